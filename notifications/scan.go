package notifications

import (
	"encoding/json"
	"time"
)

// scan reads the JSON of an event in one pass, because the follower of a log
// reads every event there is. It knows objects of event fields, none of them
// twice. False says nothing but that the event has to be read the long way,
// which also tells what is wrong with it. The payload must be UTF-8, and is what
// the texts of the event are parts of; what it says of the recipient is left in
// d.recipient.
func (d *draft) scan(payload string) bool {
	s := scanner{rest: payload}
	if !s.token('{') {
		return false
	}
	for {
		name, ok := s.plain()
		if !ok || !s.token(':') || d.has(name) || !d.scanField(&s, name) {
			return false
		}
		if !s.token(',') {
			return s.token('}') && s.end()
		}
	}
}

// has tells whether a field was read before, and not found empty.
func (d *draft) has(name string) bool {
	e := d.event
	if target := e.text(name); target != nil {
		return *target != ""
	}
	switch name {
	case "recipient":
		return d.recipient != nil
	case "data":
		return e.Data != nil
	case "severity":
		return e.Severity != ""
	case "membersAt":
		return e.MembersAt != ""
	case "actions":
		return e.Actions != nil
	case "expiresAt":
		return !e.ExpiresAt.IsZero()
	case "notBefore":
		return !e.NotBefore.IsZero()
	case "createdAt":
		return !e.CreatedAt.IsZero()
	case "ttl":
		return d.ttl != 0
	default:
		return false
	}
}

// scanField reads the value of a field.
func (d *draft) scanField(s *scanner, name string) bool {
	e := d.event
	text, ok := s.plain()
	if !ok {
		raw := json.RawMessage(s.value())
		switch name {
		case "recipient":
			d.recipient = raw
			return json.Valid(raw)
		case "data":
			e.Data = raw
			return json.Valid(raw)
		default:
			known, err := d.set(name, raw)
			return known && err == nil
		}
	}
	if target := e.text(name); target != nil {
		*target = text
		return true
	}
	switch name {
	case "recipient":
		d.recipient = json.RawMessage(s.last)
	case "data":
		e.Data = json.RawMessage(s.last)
	case "severity":
		e.Severity = Severity(text)
	case "membersAt":
		e.MembersAt = MembersAt(text)
	case "createdAt":
		return scanTime(text, &e.CreatedAt)
	case "expiresAt":
		return scanTime(text, &e.ExpiresAt)
	case "notBefore":
		return scanTime(text, &e.NotBefore)
	default:
		return false
	}
	return true
}

// scanRecipient reads what scan has left.
func (d *draft) scanRecipient() bool {
	if d.recipient == nil {
		return true
	}
	_, err := d.set("recipient", d.recipient)
	return err == nil
}

func scanTime(text string, into *time.Time) bool {
	t, err := time.Parse(time.RFC3339, text)
	*into = t.UTC().Truncate(time.Millisecond)
	return err == nil
}

// scanner cuts JSON into its tokens. It does not check what is inside a value.
type scanner struct {
	rest string
	last string // the last value of plain, with its quotes
}

// space passes over white space (RFC 8259, section 2).
func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// token takes a structural character, if it is the next one.
func (s *scanner) token(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) end() bool {
	s.space()
	return len(s.rest) == 0
}

// plain takes a string without escapes, and returns what is between its quotes.
func (s *scanner) plain() (string, bool) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return "", false
	}
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.last, s.rest = s.rest[:i+1], s.rest[i+1:]
			return s.last[1:i], true
		case c == '\\' || c < ' ':
			return "", false
		}
	}
	return "", false
}

// maxDepth bounds what scan reads: far more than any event needs, and less than
// encoding/json takes.
const maxDepth = 1000

// value takes whatever comes up to the end of the value, empty if there is
// none.
func (s *scanner) value() string {
	s.space()
	end := s.valueEnd()
	raw := s.rest[:end]
	s.rest = s.rest[end:]
	return raw
}

func (s *scanner) valueEnd() int {
	depth := 0
	for i := 0; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '"':
			i = s.closingQuote(i)
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
		switch {
		case depth < 0:
			return i
		case depth > maxDepth:
			return 0
		}
	}
	return len(s.rest)
}

// closingQuote is where the string ends that begins at a place.
func (s *scanner) closingQuote(begin int) int {
	for i := begin + 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return len(s.rest)
}
