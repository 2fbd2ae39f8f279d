package protocol

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// number reads a number of JSON: an integer stays one as long as 64 bits hold
// it, all else is a float64.
func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("number %s: %w", text, err)
	}
	return f, nil
}

func packNumber(b []byte, text string) ([]byte, error) {
	if text == "" { // the zero json.Number
		return packUint(b, 0), nil
	}
	if c := text[0]; c != '-' && (c < '0' || c > '9') || !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("encode json.Number: %q is no number", text)
	}
	n, err := number(text)
	switch n := n.(type) {
	case int64:
		return packInt(b, n), nil
	case uint64:
		return packUint(b, n), nil
	case float64:
		return packFloat64(b, n), nil
	default:
		return nil, err
	}
}

// transcodeJSON appends JSON text, which need not be valid, as MessagePack.
// Text stays text, even where it is a date or base64: nobody can tell.
func transcodeJSON(b, text []byte, levels int) ([]byte, error) {
	if err := check(text); err != nil {
		return nil, err
	}
	b, _, err := packJSON(b, trim(text), levels)
	return b, err
}

// packJSON appends the value that valid JSON begins with; rest follows it, and
// white space.
func packJSON(b, text []byte, levels int) (packed, rest []byte, err error) {
	if levels == 0 && (text[0] == '{' || text[0] == '[') {
		return nil, nil, errDepth()
	}
	switch text[0] {
	case '{':
		return packObject(b, text, levels-1)
	case '[':
		return packElements(b, text, levels-1)
	}
	end := valueEnd(text)
	value, rest := text[:end], trim(text[end:])
	switch value[0] {
	case 'n':
		b = packNil(b)
	case 't', 'f':
		b = packBool(b, value[0] == 't')
	case '"':
		var s string
		s, err = stringValue("value", value)
		b = packString(b, s)
	default:
		b, err = packNumber(b, string(value))
	}
	return b, rest, err
}

func packObject(b, text []byte, levels int) (packed, rest []byte, err error) {
	start, n := len(b), 0
	b = append(b, 0)
	for rest = trim(text[1:]); rest[0] != '}'; rest = afterComma(rest) {
		b, rest, err = packJSON(b, rest, levels) // the name
		if err == nil {
			b, rest, err = packJSON(b, trim(rest[1:]), levels)
		}
		if err != nil {
			return nil, nil, err
		}
		n++
	}
	return endMap(b, start, n), trim(rest[1:]), nil
}

func packElements(b, text []byte, levels int) (packed, rest []byte, err error) {
	start, n := len(b), 0
	b = append(b, 0)
	for rest = trim(text[1:]); rest[0] != ']'; rest = afterComma(rest) {
		if b, rest, err = packJSON(b, rest, levels); err != nil {
			return nil, nil, err
		}
		n++
	}
	return endArray(b, start, n), trim(rest[1:]), nil
}

// transcodePack appends one MessagePack value, which need not be well-formed, as
// JSON. Bytes become base64 and a timestamp RFC 3339; any other extension is an
// object, as encoding/json writes [Extension].
func transcodePack(b, packed []byte) ([]byte, error) {
	r := reader{data: packed}
	b, err := r.appendJSON(b, maxDepth)
	if err == nil && r.left() > 0 {
		err = fmt.Errorf("%w: bytes after a value", ErrMalformed)
	}
	return b, err
}

func (r *reader) appendJSON(b []byte, levels int) ([]byte, error) {
	t, err := r.within(levels)
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case kindArray:
		return r.appendElements(b, t.count, levels-1)
	case kindMap:
		return r.appendObject(b, t.count, levels-1)
	default:
		return t.appendScalar(b)
	}
}

// appendScalar is appendJSON for what nothing belongs to but itself.
func (t token) appendScalar(b []byte) ([]byte, error) {
	switch t.kind {
	case kindNil:
		return append(b, "null"...), nil
	case kindBool:
		return strconv.AppendBool(b, t.number == 1), nil
	case kindInt, kindUint:
		return t.appendInteger(b), nil
	case kindFloat32:
		return appendValue(b, t.float32())
	case kindFloat64:
		return appendValue(b, t.float64())
	case kindString:
		return appendString(b, string(t.data)), nil
	case kindBytes:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), t.data), '"'), nil
	default:
		return appendExtension(b, t)
	}
}

func (t token) appendInteger(b []byte) []byte {
	if n, ok := t.signed(); ok {
		return strconv.AppendInt(b, n, 10)
	}
	return strconv.AppendUint(b, t.number, 10)
}

func (r *reader) appendElements(b []byte, n int, levels int) ([]byte, error) {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = r.appendJSON(b, levels); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (r *reader) appendObject(b []byte, n int, levels int) ([]byte, error) {
	b = append(b, '{')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := r.name()
		if err != nil {
			return nil, err
		}
		if b, err = r.appendJSON(append(appendString(b, name), ':'), levels); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// name reads a key of a map as the text that JSON has for it.
func (r *reader) name() (string, error) {
	t, err := r.next()
	switch {
	case err != nil:
		return "", err
	case t.kind == kindString:
		return string(t.data), nil
	case t.kind == kindInt, t.kind == kindUint:
		return string(t.appendInteger(nil)), nil
	default:
		return "", fmt.Errorf("%s is no name in JSON", t.kind)
	}
}

func appendExtension(b []byte, t token) ([]byte, error) {
	if t.extension != timestamp {
		return appendValue(b, Extension{t.extension, t.data})
	}
	at, ok := t.time()
	if !ok {
		return nil, errTimestamp()
	}
	return appendValue(b, at)
}

func errTimestamp() error { return fmt.Errorf("%w: not a timestamp of MessagePack", ErrMalformed) }
