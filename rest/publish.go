package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"tidings/notifications"
)

// publish stores one event, or up to 1,000 of an array. All are checked before
// the first is stored.
func (h *Handler) publish(c *call) (reply, error) {
	q := &request{from: c.emitter()}
	if err := h.read(c, q); err != nil {
		return reply{}, err
	}
	answers, status, err := h.store(c.Context(), q)
	switch {
	case err != nil:
		return reply{}, err
	case q.array:
		return reply{status: status, body: answers}, nil
	}
	return reply{status: status, body: answers[0]}, nil
}

// request is a set of events that may be stored.
type request struct {
	from   notifications.Emitter
	events []notifications.Event
	array  bool
}

// answer is what became of one event: its receipt, or why it was not stored.
type answer struct {
	notifications.Receipt

	Error *problem `json:"error,omitempty"`
}

// store appends the events in order. An array of which some were stored and
// some not is answered with 207 and both.
func (h *Handler) store(ctx context.Context, q *request) ([]answer, int, error) {
	answers := make([]answer, len(q.events))
	var firstErr error
	stored := 0
	for i, o := range h.o.Commands.AppendAll(ctx, q.from, q.events) {
		if o.Err == nil {
			answers[i].Receipt = o.Receipt
			stored++
			continue
		}
		if firstErr == nil {
			firstErr = o.Err
		}
		p := problemOf(&notStored{err: o.Err})
		answers[i] = answer{Receipt: notifications.Receipt{ID: q.events[i].ID}, Error: &p}
	}
	switch {
	case firstErr == nil:
		return answers, accepted(answers), nil
	case stored == 0:
		return nil, 0, &notStored{ids: q.ids(), err: firstErr}
	}
	return answers, http.StatusMultiStatus, nil
}

// accepted is the status of events that were all taken: 202 when all of them
// wait for their time.
func accepted(answers []answer) int {
	if slices.ContainsFunc(answers, func(a answer) bool { return a.ScheduledFor.IsZero() }) {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// read decodes and checks.
func (h *Handler) read(c *call, q *request) error {
	err := h.decode(c, q)
	if err != nil {
		return err
	}
	if err = h.o.Commands.Admit(q.from, len(q.events)); err != nil {
		return err
	}
	if err = setIDs(c.Header.Get("Idempotency-Key"), q); err != nil {
		return err
	}
	for i, e := range q.events {
		if q.events[i], err = h.o.Commands.Check(q.from, e); err != nil {
			return q.at(i, err)
		}
	}
	return nil
}

// ids are those that a repeated request must have to store nothing twice.
func (q *request) ids() []string {
	ids := make([]string, len(q.events))
	for i, e := range q.events {
		ids[i] = e.ID
	}
	return ids
}

func (q *request) at(i int, err error) error {
	if !q.array {
		return err
	}
	return &atIndex{i, err}
}

// decode makes events of a body, by its content type.
func (h *Handler) decode(c *call, q *request) error {
	if c.Header.Get("Ce-Specversion") != "" {
		return h.decodeBinary(c, q)
	}
	switch contentType := mediaType(c.Request); {
	case contentType == "", contentType == formType,
		contentType == "application/json", contentType == "application/cloudevents+json", contentType == "application/cloudevents-batch+json":
		return h.decodeJSON(c.body, q)
	case h.o.Protobuf != nil && (contentType == "application/protobuf" || contentType == "application/x-protobuf"):
		text, err := h.o.Protobuf(c.body)
		if err != nil {
			return &requestError{status: http.StatusBadRequest, detail: "The body is " + err.Error() + "."}
		}
		return h.decodeJSON(text, q)
	default:
		return &requestError{
			status: http.StatusUnsupportedMediaType,
			detail: "Content-Type wants to be application/json, application/protobuf, application/cloudevents+json or application/cloudevents-batch+json.",
		}
	}
}

// decodeJSON reads one event, or an array of them.
func (h *Handler) decodeJSON(body []byte, q *request) error {
	raw := []json.RawMessage{body}
	var into any = new(json.RawMessage)
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		q.array, into = true, &raw
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &requestError{status: http.StatusBadRequest, detail: "The body is no valid JSON: " + err.Error() + "."}
	}
	if len(raw) == 0 || len(raw) > maxEvents {
		return &requestError{status: http.StatusRequestEntityTooLarge, detail: "An array wants 1 to 1000 events, got " + strconv.Itoa(len(raw)) + "."}
	}
	q.events = make([]notifications.Event, 0, len(raw))
	for i, one := range raw {
		if len(one) > 2*h.o.EventBytes {
			return tooLarge(2 * h.o.EventBytes)
		}
		e, err := notifications.DecodeEvent(one, h.o.Now())
		if err != nil {
			return q.at(i, err)
		}
		q.events = append(q.events, e)
	}
	return nil
}

// decodeBinary reads a CloudEvent whose attributes are headers.
func (h *Handler) decodeBinary(c *call, q *request) error {
	if len(c.body) > h.o.EventBytes {
		return tooLarge(h.o.EventBytes)
	}
	e, err := notifications.DecodeBinaryCloudEvent(c.Header.Get, c.body, h.o.Now())
	q.events = []notifications.Event{e}
	return err
}

// setIDs gives events without an id one that is made of the idempotency key,
// so that a request that is repeated stores nothing twice. The key is the
// caller's own: another caller's same key is another id.
func setIDs(key string, q *request) error {
	if key == "" {
		return nil
	}
	if len(key) > maxKey {
		return &requestError{http.StatusBadRequest, "Idempotency-Key is longer than 256 bytes.", "Idempotency-Key"}
	}
	caller := q.from.Principal
	for i := range q.events {
		if q.events[i].ID == "" {
			sum := sha256.Sum256([]byte(caller.Issuer + "\x00" + caller.UserID + "\x00" + key + "\x00" + strconv.Itoa(i)))
			q.events[i].ID = "key-" + hex.EncodeToString(sum[:16])
		}
	}
	return nil
}

// lookup says what is known of an id.
func (h *Handler) lookup(c *call) (reply, error) {
	found, err := h.o.Commands.Lookup(c.Context(), c.emitter(), c.PathValue("id"))
	return reply{body: found}, err
}

// recall takes an event back.
func (h *Handler) recall(c *call) (reply, error) {
	recalled, err := h.o.Commands.Recall(c.Context(), c.emitter(), c.PathValue("id"))
	return reply{body: recalled}, err
}
