package persistence

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
	tidingsv1 "tidings/proto/tidings/v1"
)

// stored is one message of the log as it came.
type stored struct {
	subject  string
	header   nats.Header
	data     []byte
	position notifications.Position
	at       time.Time
	exact    bool // its headers have the names that this program writes
}

// entry makes an event of a message, or says why it is none.
func (o Options) entry(s stored) (*notifications.Entry, error) {
	hub, recipient, err := ParseSubject(s.subject)
	if err != nil {
		return nil, err
	}
	s.exact = writtenHere(s.header)
	if limit := escaped * o.EventBytes; len(s.data) > limit {
		return nil, fmt.Errorf("message of %d bytes, at most %d are read", len(s.data), limit)
	}
	at := s.at.UTC().Truncate(time.Millisecond)
	event, err := o.decode(s, recipient, at)
	if err != nil {
		return nil, err
	}
	if emitter := s.find(emitterHeader); emitter != "" {
		event.Emitter, _ = DecodeToken(emitter) // what is no token says nothing
	}
	return &notifications.Entry{Position: s.position, Hub: hub, Event: event, Stored: at}, nil
}

// escaped is how much longer than an event its JSON may be: a control character
// is written in six bytes.
const escaped = 8

func (o Options) decode(s stored, recipient notifications.Recipient, at time.Time) (notifications.Event, error) {
	if tidingsv1.IsProtobuf(s.find("content-type")) && s.find("ce-specversion") == "" {
		text, err := tidingsv1.CanonicalJSON(s.data)
		if err != nil {
			return notifications.Event{}, err
		}
		s.data = text
	}
	return notifications.ReadEvent(notifications.Stored{
		Recipient: recipient,
		Header:    s.find,
		Payload:   s.data,
		At:        at,
		ID:        s.id(),
		Limits:    notifications.Limits{EventBytes: o.EventBytes},
	})
}

// writtenHere tells whether all headers are such as this program writes, which
// need not be searched by names of another case.
func writtenHere(header nats.Header) bool {
	for name := range header {
		switch name {
		case nats.MsgIdHdr, jetstream.MsgTTLHeader, "traceparent", "tracestate", emitterHeader:
		default:
			return false
		}
	}
	return true
}

// find reads a header whatever the case of its name: NATS keeps it, emitters
// write it as they like.
func (s stored) find(name string) string {
	if s.exact {
		return s.header.Get(name)
	}
	for key, values := range s.header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// id is the id of an event that brings none: the one it was de-duplicated by,
// or its place.
func (s stored) id() string {
	if id := s.header.Get(nats.MsgIdHdr); id != "" {
		return id
	}
	return fmt.Sprintf("log-%d-%d", s.at.UnixMilli(), s.position)
}
