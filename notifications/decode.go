package notifications

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// DecodeEvent reads the JSON of an event strictly, for the doors: a field that
// does not exist is an error that names it. The error is an [*InvalidError].
// now is the time a ttl counts from when the event has no createdAt.
func DecodeEvent(payload []byte, now time.Time) (Event, error) {
	if !utf8.Valid(payload) {
		return Event{}, invalid("", "not UTF-8")
	}
	quick := draft{event: new(Event)}
	if quick.scan(string(payload)) && quick.scanRecipient() {
		return quick.finish(now)
	}
	return decodeFields(payload, now)
}

func decodeFields(payload []byte, now time.Time) (Event, error) {
	fields, err := object(payload)
	if err != nil {
		return Event{}, err
	}
	if _, is := fields["specversion"]; is {
		return decodeCloudEvent(fields, now)
	}
	d := draft{event: new(Event)}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		known, err := d.set(name, fields[name])
		if err != nil {
			return Event{}, err
		}
		if !known {
			return Event{}, unknownField(name)
		}
	}
	return d.finish(now)
}

func unknownField(name string) error {
	reason := "no such field"
	if near := nearest(name); near != "" {
		reason += `; did you mean "` + near + `"?`
	}
	return invalid(clip(name), reason)
}

// Stored are the bytes of one message of the log.
type Stored struct {
	// Recipient is what the place of the message says.
	Recipient Recipient
	// Header finds a header whatever the case of its name; "" = none.
	Header  func(name string) string
	Payload []byte
	// At is when the log took it.
	At time.Time
	// ID is given to an event that brings none.
	ID string
	// Limits are those the event was accepted with.
	Limits Limits
}

// ReadEvent reads what an emitter has published. It is lenient: any JSON is an
// event, if need be one with nothing but data, so that `nats pub` works.
//
//   - An object with title, body or data, or with event fields only, is an
//     event; its unknown fields are passed over (an emitter may be newer).
//   - A CloudEvent, structured or binary, is mapped to an event.
//   - Any other JSON becomes the data of an event.
//
// What cannot be read is an [*InvalidError], for the rejected events; so is what
// was stored before its time: nobody would be told again when that has come.
func ReadEvent(s Stored) (Event, error) {
	e, err := s.read()
	if err != nil {
		return Event{}, err
	}
	e.Recipient = s.Recipient
	if e.ID == "" {
		e.ID = s.ID
	}
	if e.TraceParent == "" {
		e.TraceParent, e.TraceState = s.Header("traceparent"), s.Header("tracestate")
	}
	e.Complete(s.At, func() string { return s.ID })
	if err := e.Validate(s.Limits); err != nil {
		return Event{}, err
	}
	if e.NotBefore.After(s.At.Add(lateSchedule)) {
		return Event{}, invalid("notBefore", "scheduled events are sent through the HTTP API or a hub, not to the log")
	}
	return e, nil
}

func (s Stored) read() (Event, error) {
	switch {
	case s.Header("ce-specversion") != "":
		return s.readBinaryCloudEvent()
	case len(s.Payload) == 0:
		return Event{}, invalid("", "empty")
	case !utf8.Valid(s.Payload):
		return Event{}, invalid("", "not UTF-8")
	}
	quick := draft{event: new(Event)}
	if quick.scan(string(s.Payload)) {
		return quick.finish(s.At)
	}
	return s.readFields()
}

func (s Stored) readFields() (Event, error) {
	if !json.Valid(s.Payload) {
		return Event{}, invalid("", jsonProblem(json.Unmarshal(s.Payload, new(any))))
	}
	fields, err := object(s.Payload)
	if err != nil {
		return Event{Data: s.Payload}, nil //nolint:nilerr // valid JSON, but no object: it is data
	}
	plain := looksLikeEvent(fields)
	delete(fields, "recipient") // the place of the message says it
	if _, is := fields["specversion"]; is {
		return decodeCloudEvent(fields, s.At)
	}
	if !plain {
		return Event{Data: s.Payload}, nil
	}
	d := draft{event: new(Event)}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if _, err := d.set(name, fields[name]); err != nil {
			return Event{}, err
		}
	}
	return d.finish(s.At)
}

func looksLikeEvent(fields map[string]json.RawMessage) bool {
	for _, telling := range []string{"title", "body", "data"} {
		if _, has := fields[telling]; has {
			return true
		}
	}
	for name := range fields {
		if !slices.Contains(fieldNames(), name) {
			return false
		}
	}
	return len(fields) > 0
}
