package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"tidings/notifications"
	"tidings/roles"
)

// The bounds of a request.
const (
	maxEvents = 1000
	maxBody   = 16 << 20
	maxKey    = 256
)

// publish stores one event, or up to 1,000 of an array. All are checked before
// the first is stored.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := h.tracer.Start(ctx, "POST /v1/notifications", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", http.MethodPost),
		attribute.String("http.route", "/v1/notifications"),
	))
	defer span.End()
	request, err := h.read(ctx, r)
	if err != nil {
		span.SetStatus(codes.Error, http.StatusText(problemOf(err).Status))
		h.fail(w, r, err)
		return
	}
	answers, status, err := h.store(ctx, request)
	if err != nil {
		span.SetStatus(codes.Error, http.StatusText(problemOf(err).Status))
		h.fail(w, r, err)
		return
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if request.array {
		write(w, status, "application/json", answers)
		return
	}
	write(w, status, "application/json", answers[0])
}

// request is a set of events that may be stored.
type request struct {
	hub    string
	events []notifications.Event
	array  bool
}

// answer is what became of one event: its receipt, or why it was not stored.
type answer struct {
	notifications.Receipt

	Error *problem `json:"error,omitempty"`
}

// store appends the events in order. An array of which some were stored and
// some not is answered with 207 and both. When the log is away, the rest is not
// tried: that would hold the caller up for each.
func (h *Handler) store(ctx context.Context, q *request) ([]answer, int, error) {
	answers := make([]answer, len(q.events))
	var firstErr, away error
	stored := 0
	for i, e := range q.events {
		receipt, err := notifications.Receipt{}, away
		if away == nil {
			receipt, err = h.o.Commands.Append(ctx, q.hub, e)
		}
		if errors.Is(err, notifications.ErrUnavailable) {
			away = err
		}
		if err == nil {
			answers[i].Receipt = receipt
			stored++
			continue
		}
		if firstErr == nil {
			firstErr = err
		}
		p := problemOf(err)
		answers[i] = answer{Receipt: notifications.Receipt{ID: e.ID}, Error: &p}
	}
	switch {
	case firstErr == nil:
		return answers, http.StatusOK, nil
	case stored == 0:
		return nil, 0, &notStored{ids: q.ids(), err: firstErr}
	}
	return answers, http.StatusMultiStatus, nil
}

// read authenticates, decodes and checks.
func (h *Handler) read(ctx context.Context, r *http.Request) (*request, error) {
	token, err := roles.HeaderToken(r)
	if err != nil {
		return nil, err
	}
	caller, err := h.o.Verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	body, err := h.body(r)
	if err != nil {
		return nil, err
	}
	q := &request{hub: r.URL.Query().Get("hub")}
	if q.hub == "" {
		q.hub = notifications.DefaultHub
	}
	if len(q.hub) > maxKey || !utf8.ValidString(q.hub) {
		return nil, &requestError{http.StatusBadRequest, "hub wants 1 to 256 bytes of UTF-8."}
	}
	if err = h.decode(r, body, q); err != nil {
		return nil, err
	}
	if err = setIDs(r.Header.Get("Idempotency-Key"), caller, q); err != nil {
		return nil, err
	}
	for i, e := range q.events {
		if q.events[i], err = h.o.Commands.Check(caller, e); err != nil {
			return nil, q.at(i, err)
		}
	}
	return q, nil
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

// body reads no more than may be accepted; events have their own limit.
func (h *Handler) body(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, &requestError{http.StatusBadRequest, "The body could not be read."}
	}
	if len(body) > maxBody {
		return nil, tooLarge(maxBody)
	}
	return body, nil
}

func tooLarge(limit int) error {
	return &requestError{http.StatusRequestEntityTooLarge, "The body is larger than " + strconv.Itoa(limit) + " bytes."}
}

// decode makes events of a body, by its content type.
func (h *Handler) decode(r *http.Request, body []byte, q *request) error {
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read is none of ours
	switch {
	case r.Header.Get("Ce-Specversion") != "":
		return h.decodeBinary(r, body, q)
	case r.Header.Get("Content-Type") == "",
		contentType == "application/x-www-form-urlencoded", // what curl -d says of anything
		contentType == "application/json", contentType == "application/cloudevents+json", contentType == "application/cloudevents-batch+json":
		return h.decodeJSON(body, q)
	case h.o.Protobuf != nil && (contentType == "application/protobuf" || contentType == "application/x-protobuf"):
		text, err := h.o.Protobuf(body)
		if err != nil {
			return &requestError{http.StatusBadRequest, "The body is " + err.Error() + "."}
		}
		return h.decodeJSON(text, q)
	default:
		return &requestError{
			http.StatusUnsupportedMediaType,
			"Content-Type wants to be application/json, application/protobuf, application/cloudevents+json or application/cloudevents-batch+json.",
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
		return &requestError{http.StatusBadRequest, "The body is no valid JSON: " + err.Error() + "."}
	}
	if len(raw) == 0 || len(raw) > maxEvents {
		return &requestError{http.StatusRequestEntityTooLarge, "An array wants 1 to 1000 events, got " + strconv.Itoa(len(raw)) + "."}
	}
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
func (h *Handler) decodeBinary(r *http.Request, body []byte, q *request) error {
	if len(body) > h.o.EventBytes {
		return tooLarge(h.o.EventBytes)
	}
	e, err := notifications.DecodeBinaryCloudEvent(r.Header.Get, body, h.o.Now())
	q.events = []notifications.Event{e}
	return err
}

// setIDs gives events without an id one that is made of the idempotency key,
// so that a request that is repeated stores nothing twice. The key is the
// caller's own: another caller's same key is another id.
func setIDs(key string, caller roles.Principal, q *request) error {
	if key == "" {
		return nil
	}
	if len(key) > maxKey {
		return &requestError{http.StatusBadRequest, "Idempotency-Key is longer than 256 bytes."}
	}
	for i := range q.events {
		if q.events[i].ID == "" {
			sum := sha256.Sum256([]byte(caller.Issuer + "\x00" + caller.UserID + "\x00" + key + "\x00" + strconv.Itoa(i)))
			q.events[i].ID = "key-" + hex.EncodeToString(sum[:16])
		}
	}
	return nil
}
