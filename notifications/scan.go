package notifications

import (
	"encoding/json"
	"time"
)

// scan reads the JSON of an event in one pass, because the follower of a log
// reads every event there is. It knows objects of event fields, none of them
// twice. False says nothing but that the event has to be read the long way,
// which also tells what is wrong with it. The payload must be UTF-8; what it
// says of the recipient is left in d.recipient.
func (d *draft) scan(payload []byte) bool {
	s := scanner{rest: payload}
	if !s.token('{') {
		return false
	}
	names := fieldNames()
	var seen uint32
	for {
		name, ok := s.plain()
		field := place(names, name)
		if !ok || field < 0 || seen&(1<<field) != 0 || !s.token(':') {
			return false
		}
		seen |= 1 << field
		if !d.scanField(&s, names[field]) {
			return false
		}
		if !s.token(',') {
			return s.token('}') && s.end()
		}
	}
}

func place(names []string, name []byte) int {
	for i, known := range names {
		if known == string(name) {
			return i
		}
	}
	return -1
}

// scanField reads the value of a field.
func (d *draft) scanField(s *scanner, name string) bool {
	e := &d.event
	text, ok := s.plain()
	if !ok {
		raw := s.value()
		switch name {
		case "recipient":
			d.recipient = raw
			return json.Valid(raw)
		case "data":
			e.Data = append(e.Data, raw...)
			return json.Valid(raw)
		default:
			_, err := d.set(name, raw)
			return len(raw) > 0 && err == nil
		}
	}
	if target := e.text(name); target != nil {
		*target = shared(text)
		return true
	}
	switch name {
	case "recipient":
		d.recipient = s.last
	case "data":
		e.Data = append(e.Data, s.last...)
	case "severity":
		e.Severity = Severity(shared(text))
	case "membersAt":
		e.MembersAt = MembersAt(shared(text))
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

func scanTime(text []byte, into *time.Time) bool {
	t, err := time.Parse(time.RFC3339, string(text))
	*into = t.UTC().Truncate(time.Millisecond)
	return err == nil
}

// shared is a text which, if it is one that many events have, takes no memory
// of its own.
func shared(text []byte) string {
	switch string(text) {
	case DefaultType:
		return DefaultType
	case DefaultTarget:
		return DefaultTarget
	case string(Info):
		return string(Info)
	case string(Warning):
		return string(Warning)
	case string(Emit):
		return string(Emit)
	default:
		return string(text)
	}
}

// scanner cuts JSON into its tokens. It does not check what is inside a value.
type scanner struct {
	rest []byte
	last []byte // the last value of plain, with its quotes
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
func (s *scanner) plain() ([]byte, bool) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.last, s.rest = s.rest[:i+1], s.rest[i+1:]
			return s.last[1:i], true
		case c == '\\' || c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// maxDepth bounds what scan reads: far more than any event needs, and less than
// encoding/json takes.
const maxDepth = 1000

// value takes whatever comes up to the end of the value, empty if there is
// none.
func (s *scanner) value() []byte {
	s.space()
	end := s.valueEnd()
	raw := s.rest[:end:end]
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
