package main

import (
	"strings"
	"time"
	"unicode/utf16"

	"tidings/hub"
	"tidings/hub/protocol"
)

// payload is a value of many kinds. The names of its fields are the same in
// JSON and in MessagePack; a []byte is base64 in the one and binary in the
// other, a time text in the one and a timestamp in the other.
type payload struct {
	Text  *string   `json:"text"`
	Count int64     `json:"count"`
	Ratio float64   `json:"ratio"`
	Flag  bool      `json:"flag"`
	Tags  []string  `json:"tags"`
	Data  []byte    `json:"data"`
	At    time.Time `json:"at"`
	Child *payload  `json:"child"`
}

// utc is the payload with its times in UTC.
func (p payload) utc() payload {
	p.At = p.At.UTC()
	if p.Child != nil {
		child := p.Child.utc()
		p.Child = &child
	}
	return p
}

// maxText bounds what MakeText makes.
const maxText = 1 << 20

// values are methods that take and return values of each kind. Arguments are
// bound strictly: what is of another kind, or out of range, fails the call
// before the function runs.
func values() hub.Methods {
	return hub.Methods{
		// A protocol.Value is passed on as it came, whatever it is.
		"Echo":      func(_ *hub.Context, value protocol.Value) protocol.Value { return value },
		"EchoTyped": func(_ *hub.Context, p payload) payload { return p.utc() },
		"EchoBytes": func(_ *hub.Context, data []byte) []byte { return data },
		"EchoTime":  func(_ *hub.Context, t time.Time) time.Time { return t.UTC() },
		"Add":       func(_ *hub.Context, a, b int32) int32 { return a + b },
		"Concat":    func(_ *hub.Context, a, b string) string { return a + b },
		"Length": func(_ *hub.Context, text string) int {
			return len(utf16.Encode([]rune(text)))
		},
		"MakeText": func(_ *hub.Context, length int32) (string, error) {
			if length < 0 || length > maxText {
				return "", hub.Error{Text: "a text has 0 to 1048576 characters"}
			}
			return strings.Repeat("x", int(length)), nil
		},
	}
}
