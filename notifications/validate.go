package notifications

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of the fields of an event, in bytes.
const (
	maxID          = 128
	maxType        = 200
	maxCollapseKey = 128
	maxReplayOf    = 400
	maxActions     = 10
)

// DefaultEventBytes is the size of an event that is accepted by default.
const DefaultEventBytes = 64 << 10

// Limits are the limits that can be configured.
type Limits struct {
	// EventBytes bounds what is stored for an event. 0 = DefaultEventBytes.
	EventBytes int
}

// Complete sets what the emitter has left out.
func (e *Event) Complete(now time.Time, newID func() string) {
	if e.ID == "" {
		e.ID = newID()
	}
	if e.Recalls != "" {
		e.Type, e.Target = cmp.Or(e.Type, RecalledType), cmp.Or(e.Target, RecalledTarget)
	}
	e.Type = cmp.Or(e.Type, DefaultType)
	e.Target = cmp.Or(e.Target, DefaultTarget)
	e.Severity = cmp.Or(e.Severity, Info)
	e.MembersAt = cmp.Or(e.MembersAt, Emit)
	if e.CreatedAt.IsZero() {
		e.CreatedAt = now
	}
	e.CreatedAt = e.CreatedAt.UTC().Truncate(time.Millisecond)
	if !validTraceParent(e.TraceParent) {
		e.TraceParent, e.TraceState = "", ""
	}
	if len(e.TraceState) > maxTraceState || hasControl(e.TraceState) {
		e.TraceState = ""
	}
}

// maxTraceState is what W3C Trace Context asks every party to carry.
const maxTraceState = 512

// Validate says which field is wrong, as an [*InvalidError], or nil. The event
// must have been completed.
func (e *Event) Validate(l Limits) error {
	if err := e.Recipient.Validate(); err != nil {
		return invalid("recipient", err.Error())
	}
	if e.Recipient.Kind == Connection {
		return invalid("recipient", "a connection hears live messages only; emit to its user, to a role or to a group")
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{
		{"id", e.ID, maxID},
		{"type", e.Type, maxType},
		{"target", e.Target, maxType},
		{"source", e.Source, maxType * 2},
		{"collapseKey", e.CollapseKey, maxCollapseKey},
		{"recalls", e.Recalls, maxID},
		{"replayOf", e.ReplayOf, maxReplayOf},
	} {
		switch {
		case len(f.value) > f.limit:
			return invalid(f.name, "has "+strconv.Itoa(len(f.value))+" bytes, at most "+strconv.Itoa(f.limit)+" are allowed")
		case hasControl(f.value):
			return invalid(f.name, "holds control characters")
		}
	}
	switch e.Severity {
	case Info, Success, Warning, Critical:
	default:
		return invalid("severity", "want info, success, warning or critical, got "+strconv.Quote(clip(string(e.Severity))))
	}
	if e.MembersAt != Emit && e.MembersAt != Read {
		return invalid("membersAt", "want emit or read, got "+strconv.Quote(clip(string(e.MembersAt))))
	}
	if err := e.validateTimes(); err != nil {
		return err
	}
	if err := e.validateLinks(); err != nil {
		return err
	}
	if size, limit := e.size(), cmp.Or(l.EventBytes, DefaultEventBytes); size > limit {
		return invalid("", "has "+strconv.Itoa(size)+" bytes, at most "+strconv.Itoa(limit)+" are allowed")
	}
	return nil
}

// validateTimes refuses what RFC 3339 cannot write: such an event could be told
// to nobody.
func (e *Event) validateTimes() error {
	for _, f := range []struct {
		name string
		at   time.Time
	}{{"expiresAt", e.ExpiresAt}, {"notBefore", e.NotBefore}, {"createdAt", e.CreatedAt}} {
		if year := f.at.Year(); year < 0 || year > 9999 {
			return invalid(f.name, "wants a year of four digits")
		}
	}
	return nil
}

func (e *Event) validateLinks() error {
	if err := validLink(e.Link); err != "" {
		return invalid("link", err)
	}
	if len(e.Actions) > maxActions {
		return invalid("actions", "at most "+strconv.Itoa(maxActions)+" are allowed")
	}
	for i, a := range e.Actions {
		field := "actions[" + strconv.Itoa(i) + "]"
		switch {
		case a.Label == "":
			return invalid(field, "has no label")
		case (a.Link == "") == (a.Method == ""):
			return invalid(field, "wants either a link or a method")
		}
		if err := validLink(a.Link); err != "" {
			return invalid(field, err)
		}
	}
	return nil
}

// size is about what is stored: the parts without a limit of their own, and a
// constant for the rest.
func (e *Event) size() int {
	n := len(e.Title) + len(e.Body) + len(e.Data) + len(e.Link) + len(e.ID) + len(e.Type) + len(e.Source) + len(e.CollapseKey) +
		len(e.Recalls) + len(e.ReplayOf)
	for _, a := range e.Actions {
		n += len(a.Label) + len(a.Link) + len(a.Method)
	}
	return n
}

// validLink says what is wrong with a link: only http(s) and relative ones
// are, since a page will offer it to a person.
func validLink(link string) string {
	if link == "" {
		return ""
	}
	u, err := url.Parse(link)
	switch {
	case err != nil || hasControl(link) || strings.Contains(link, `\`):
		return "is no URL"
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return "wants http:, https: or a relative link, got " + u.Scheme + ":"
	}
	return ""
}

func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// validTraceParent checks the form of W3C Trace Context, version 00 and later
// versions that begin like it.
func validTraceParent(s string) bool {
	const shape = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(s) < len(shape) || (len(s) > len(shape) && (s[:2] == "00" || s[len(shape)] != '-')) || s[:2] == "ff" || len(s) > 2*len(shape) {
		return false
	}
	for i, c := range []byte(shape) {
		if isHex := s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f'; (c == '-') != (s[i] == '-') || (c == '0' && !isHex) {
			return false
		}
	}
	return s[3:35] != shape[3:35] && s[36:52] != shape[36:52]
}
