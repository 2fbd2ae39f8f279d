package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep a record may nest, as in the official server.
const maxDepth = 64

// Decode implements Records. Properties may come in any order, unknown ones are
// ignored, names are case-sensitive.
func (jsonCodec) Decode(record []byte) (Message, error) { //nolint:ireturn // the message types share nothing but being messages
	if err := check(record); err != nil {
		return nil, err
	}
	kind, err := typeOf(record)
	if err != nil {
		return nil, err
	}
	switch kind {
	case typeInvocation, typeStreamInvocation:
		return decodeInvocation(record, kind)
	case typeStreamItem:
		return decodeStreamItem(record)
	case typeCompletion:
		return decodeCompletion(record)
	case typeCancelInvocation:
		return decodeCancel(record)
	case typePing:
		return &Ping{}, nil
	case typeClose:
		return decodeClose(record)
	case typeAck:
		n, err := sequenceID(record)
		return &Ack{n}, err
	case typeSequence:
		n, err := sequenceID(record)
		return &Sequence{n}, err
	default:
		return nil, nil //nolint:nilnil // an unknown type is skipped, as documented
	}
}

func typeOf(record []byte) (kind int, err error) {
	found := false
	err = walk(record, func(name string, value []byte) (err error) {
		if name == "type" {
			found = true
			if kind, err = strconv.Atoi(string(value)); err != nil {
				err = fmt.Errorf("%w: type is no integer", ErrMalformed)
			}
		}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: no type", ErrMalformed)
	}
	return kind, err
}

func decodeInvocation(record []byte, kind int) (Message, error) { //nolint:ireturn // see Decode
	m := &Invocation{}
	var hasTarget, hasArguments bool
	err := walk(record, func(name string, value []byte) (err error) {
		switch name {
		case "invocationId":
			m.InvocationID, err = stringValue(name, value)
		case "target":
			hasTarget = true
			m.Target, err = stringValue(name, value)
		case "arguments":
			hasArguments = true
			m.RawArguments, err = elements(name, value)
		case "streamIds":
			m.StreamIDs, err = stringValues(name, value)
		case "headers":
			m.Headers, err = headersValue(value)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !hasTarget || m.Target == "":
		return nil, fmt.Errorf("%w: invocation without target", ErrMalformed)
	case !hasArguments:
		return nil, fmt.Errorf("%w: invocation without arguments", ErrMalformed)
	case kind == typeStreamInvocation && m.InvocationID == "":
		return nil, fmt.Errorf("%w: stream invocation without id", ErrMalformed)
	case kind == typeStreamInvocation:
		return (*StreamInvocation)(m), nil
	}
	return m, nil
}

func decodeStreamItem(record []byte) (Message, error) { //nolint:ireturn // see Decode
	m := &StreamItem{}
	err := walk(record, func(name string, value []byte) (err error) {
		switch name {
		case "invocationId":
			m.InvocationID, err = stringValue(name, value)
		case "item":
			m.RawItem = value
		case "headers":
			m.Headers, err = headersValue(value)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case m.InvocationID == "":
		return nil, fmt.Errorf("%w: stream item without id", ErrMalformed)
	case m.RawItem == nil:
		return nil, fmt.Errorf("%w: stream item without item", ErrMalformed)
	}
	return m, nil
}

func decodeCompletion(record []byte) (Message, error) { //nolint:ireturn // see Decode
	m := &Completion{}
	hasError := false
	err := walk(record, func(name string, value []byte) (err error) {
		switch name {
		case "invocationId":
			m.InvocationID, err = stringValue(name, value)
		case "error":
			hasError = true
			m.Error, err = stringValue(name, value)
		case "result":
			m.HasResult, m.RawResult = true, value
		case "headers":
			m.Headers, err = headersValue(value)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case m.InvocationID == "":
		return nil, fmt.Errorf("%w: completion without id", ErrMalformed)
	case hasError && m.HasResult:
		return nil, fmt.Errorf("%w: completion with both result and error", ErrMalformed)
	}
	return m, nil
}

func decodeCancel(record []byte) (Message, error) { //nolint:ireturn // see Decode
	m := &CancelInvocation{}
	err := walk(record, func(name string, value []byte) (err error) {
		switch name {
		case "invocationId":
			m.InvocationID, err = stringValue(name, value)
		case "headers":
			m.Headers, err = headersValue(value)
		}
		return err
	})
	if err == nil && m.InvocationID == "" {
		err = fmt.Errorf("%w: cancel without id", ErrMalformed)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func decodeClose(record []byte) (Message, error) { //nolint:ireturn // see Decode
	m := &Close{}
	err := walk(record, func(name string, value []byte) (err error) {
		switch {
		case name == "error" && string(value) != "null":
			m.Error, err = stringValue(name, value)
		case name == "allowReconnect":
			if m.AllowReconnect, err = strconv.ParseBool(string(value)); err != nil {
				err = fmt.Errorf("%w: allowReconnect is no boolean", ErrMalformed)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func sequenceID(record []byte) (id int64, err error) {
	found := false
	err = walk(record, func(name string, value []byte) (err error) {
		if name == "sequenceId" {
			found = true
			if id, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				err = fmt.Errorf("%w: sequenceId is no integer", ErrMalformed)
			}
		}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: no sequenceId", ErrMalformed)
	}
	return id, err
}

func stringValue(name string, value []byte) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", fmt.Errorf("%w: %s is no string", ErrMalformed, name)
	}
	if plain := value[1 : len(value)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), nil
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
	}
	return s, nil
}

func stringValues(name string, value []byte) ([]string, error) {
	raw, err := elements(name, value)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(raw))
	for i, element := range raw {
		if all[i], err = stringValue(name, element); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func headersValue(value []byte) (Headers, error) {
	h := Headers{}
	err := walk(value, func(name string, value []byte) (err error) {
		h[name], err = stringValue("header", value)
		return err
	})
	return h, err
}

// members calls each for the properties of a JSON object, in order, with the
// bytes of their values.
func members(record []byte, each func(name string, value []byte) error) error {
	if err := check(record); err != nil {
		return err
	}
	return walk(record, each)
}

// check makes sure, once, that walking the record need not doubt anything.
func check(record []byte) error {
	switch {
	case !utf8.Valid(record):
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	case !json.Valid(record) || depth(record) > maxDepth:
		return fmt.Errorf("%w: not JSON, or nested more than %d deep", ErrMalformed, maxDepth)
	}
	return nil
}

// walk is members for JSON that is known to be valid.
func walk(record []byte, each func(name string, value []byte) error) error {
	rest := trim(record)
	if rest[0] != '{' {
		return fmt.Errorf("%w: not an object", ErrMalformed)
	}
	for rest = trim(rest[1:]); rest[0] != '}'; rest = afterComma(rest) {
		end := valueEnd(rest)
		name, err := stringValue("name", rest[:end])
		if err != nil {
			return err
		}
		rest = trim(trim(rest[end:])[1:]) // the colon
		end = valueEnd(rest)
		if err := each(name, rest[:end]); err != nil {
			return err
		}
		rest = trim(rest[end:])
	}
	return nil
}

// elements cuts a JSON array, already known to be valid.
func elements(name string, value []byte) ([]Raw, error) {
	if value[0] != '[' {
		return nil, fmt.Errorf("%w: %s is no array", ErrMalformed, name)
	}
	all := []Raw{}
	for rest := trim(value[1:]); rest[0] != ']'; rest = afterComma(rest) {
		end := valueEnd(rest)
		all = append(all, Raw(rest[:end]))
		rest = trim(rest[end:])
	}
	return all, nil
}

func afterComma(b []byte) []byte {
	if b[0] == ',' {
		return trim(b[1:])
	}
	return b
}

func trim(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueEnd is the length of the value that valid JSON begins with.
func valueEnd(b []byte) int {
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
		return nestedEnd(b)
	}
	if end := bytes.IndexAny(b, ",}] \t\r\n"); end >= 0 {
		return end
	}
	return len(b)
}

func stringEnd(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func nestedEnd(b []byte) int {
	nesting := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
		case '{', '[':
			nesting++
		case '}', ']':
			if nesting--; nesting == 0 {
				return i + 1
			}
		}
	}
}

// depth is how deep valid JSON nests.
func depth(b []byte) int {
	deepest, nesting, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			nesting++
			deepest = max(deepest, nesting)
		case c == '}' || c == ']':
			nesting--
		}
	}
	return deepest
}
