package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// separator ends every record of the JSON encoding.
const separator = 0x1e

const jsonName = "json"

// JSON is the text encoding (HubProtocol, "JSON Encoding").
func JSON() Codec { return jsonCodec{} } //nolint:ireturn // a codec is used through its interface only

type jsonCodec struct{}

// Name implements Codec.
func (jsonCodec) Name() string { return jsonName }

// Binary implements Codec.
func (jsonCodec) Binary() bool { return false }

// Split implements Records.
func (jsonCodec) Split(data []byte, limit int) (record, rest []byte, err error) {
	record, rest, found := bytes.Cut(data, []byte{separator}) // not found: record is all there is
	switch {
	case len(record)+1 > limit: // the separator counts
		return nil, data, tooLarge(limit)
	case !found:
		return nil, data, nil
	}
	return record, rest, nil
}

// Append implements Records. Properties stand in the order of the official
// server, and only what JSON demands is escaped.
func (jsonCodec) Append(dst []byte, m Message) ([]byte, error) {
	b := append(dst, `{"type":`...)
	var err error
	switch m := m.(type) {
	case *Invocation:
		b, err = appendInvocation(b, typeInvocation, m)
	case *StreamInvocation:
		b, err = appendInvocation(b, typeStreamInvocation, (*Invocation)(m))
	case *StreamItem:
		b = appendHead(b, typeStreamItem, m.Headers, m.InvocationID)
		b, err = appendValue(append(b, `,"item":`...), m.Item)
	case *Completion:
		b, err = appendCompletion(b, m)
	case *CancelInvocation:
		b = appendHead(b, typeCancelInvocation, m.Headers, m.InvocationID)
	case *Ping:
		b = append(b, '6')
	case *Close:
		b = appendClose(b, m)
	case *Ack:
		b = strconv.AppendInt(append(b, `8,"sequenceId":`...), m.SequenceID, 10)
	case *Sequence:
		b = strconv.AppendInt(append(b, `9,"sequenceId":`...), m.SequenceID, 10)
	default:
		return dst, fmt.Errorf("encode %T: no message of the protocol", m)
	}
	if err != nil {
		return dst, err
	}
	return append(b, '}', separator), nil
}

func appendHead(b []byte, kind int64, h Headers, id string) []byte {
	b = strconv.AppendInt(b, kind, 10)
	if len(h) > 0 {
		b = append(b, `,"headers":`...)
		b, _ = appendValue(b, h) // a map of strings can always be encoded
	}
	if id != "" {
		b = appendString(append(b, `,"invocationId":`...), id)
	}
	return b
}

func appendInvocation(b []byte, kind int64, m *Invocation) ([]byte, error) {
	b = appendHead(b, kind, m.Headers, m.InvocationID)
	b = appendString(append(b, `,"target":`...), m.Target)
	b = append(b, `,"arguments":[`...)
	for i, argument := range m.Arguments {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, argument); err != nil {
			return nil, fmt.Errorf("encode argument %d of %s: %w", i+1, m.Target, err)
		}
	}
	b = append(b, ']')
	if len(m.StreamIDs) > 0 {
		return appendValue(append(b, `,"streamIds":`...), m.StreamIDs)
	}
	return b, nil
}

func appendCompletion(b []byte, m *Completion) ([]byte, error) {
	b = appendHead(b, typeCompletion, m.Headers, m.InvocationID)
	switch {
	case m.Error != "":
		return appendString(append(b, `,"error":`...), m.Error), nil
	case m.HasResult:
		return appendValue(append(b, `,"result":`...), m.Result)
	default:
		return b, nil
	}
}

func appendClose(b []byte, m *Close) []byte {
	b = append(b, '7')
	if m.Error != "" {
		b = appendString(append(b, `,"error":`...), m.Error)
	}
	if m.AllowReconnect {
		b = append(b, `,"allowReconnect":true`...)
	}
	return b
}

// appender lets an encoder of the standard library append to a slice.
type appender []byte

// Write implements io.Writer.
func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// AppendValue implements Values.
func (jsonCodec) AppendValue(dst []byte, value any) ([]byte, error) {
	b, err := appendValue(dst, value)
	if err != nil {
		return dst, err
	}
	return b, nil
}

// JSONAppender is a value that knows its own JSON: what encoding/json would make
// of it, without escapes for HTML.
type JSONAppender interface {
	AppendJSON(dst []byte) ([]byte, error)
}

func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case Value:
		return v.form.appendJSON(b)
	case Encoded:
		return v.form(jsonName).appendJSON(b)
	case JSONAppender:
		return v.AppendJSON(b)
	}
	out := appender(b)
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return out[:len(out)-1], nil // the encoder ends with a line feed
}

// EncodeJSON is the JSON of one value, as the text encoding writes it.
func EncodeJSON(value any) (json.RawMessage, error) { return appendValue(nil, value) }

const hex = "0123456789abcdef"

// appendString escapes what JSON demands and nothing else; bytes that are no
// UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 && shortEscape(c) != 0:
			b = append(b, '\\', shortEscape(c))
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// shortEscape is the letter that stands for a control character, or 0.
func shortEscape(c byte) byte {
	switch c {
	case '\b':
		return 'b'
	case '\t':
		return 't'
	case '\n':
		return 'n'
	case '\f':
		return 'f'
	case '\r':
		return 'r'
	default:
		return 0
	}
}
