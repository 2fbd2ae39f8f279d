package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// form is a value in the encoding of one codec. The zero form is null.
type form struct {
	codec string
	bytes []byte // never changed
}

func (f form) appendJSON(b []byte) ([]byte, error) {
	switch f.codec {
	case jsonName:
		return append(b, f.bytes...), nil
	case packName:
		return transcodePack(b, f.bytes)
	default:
		return append(b, "null"...), nil
	}
}

func (f form) appendPack(b []byte, levels int) ([]byte, error) {
	switch f.codec {
	case packName:
		return append(b, f.bytes...), nil
	case jsonName:
		return transcodeJSON(b, f.bytes, levels)
	default:
		return packNil(b), nil
	}
}

// Value is any value, in the encoding it came in, for those who only pass it
// on: sent in that encoding its bytes are the same. In the other one bytes are
// base64 and times RFC 3339 in JSON, and stay such texts on the way back. The
// zero Value is null. Values may be copied and are safe for concurrent use.
type Value struct{ form form }

// Bind decodes the value as [Values.Bind] of its codec does.
func (v Value) Bind(into any) error {
	switch v.form.codec {
	case packName:
		return MessagePack().Bind(v.form.bytes, into)
	case jsonName:
		return JSON().Bind(v.form.bytes, into)
	default:
		return JSON().Bind(Raw("null"), into)
	}
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return v.form.appendJSON(nil) }

// UnmarshalJSON implements json.Unmarshaler. It keeps a copy of text.
func (v *Value) UnmarshalJSON(text []byte) error {
	if !json.Valid(text) {
		return errors.New("not JSON")
	}
	v.form = form{jsonName, bytes.Clone(text)}
	return nil
}

// Encoded is a value that was encoded before anybody knew who would hear it; see
// [Encode]. It may be an argument, an item, a result or a part of one. In a
// codec that it was not encoded for, it is transcoded as a [Value] is. The zero
// Encoded is null.
type Encoded struct{ forms []form }

// Encode encodes value at once, so that it may be changed afterwards, for each
// of the codecs, or for JSON and MessagePack if there are none.
func Encode(value any, codecs ...Codec) (Encoded, error) {
	if len(codecs) == 0 {
		codecs = []Codec{JSON(), MessagePack()}
	}
	e := Encoded{make([]form, len(codecs))}
	for i, c := range codecs {
		encoded, err := c.AppendValue(nil, value)
		if err != nil {
			return Encoded{}, fmt.Errorf("encode %T for %s: %w", value, c.Name(), err)
		}
		e.forms[i] = form{c.Name(), encoded}
	}
	return e, nil
}

// MarshalJSON implements json.Marshaler.
func (e Encoded) MarshalJSON() ([]byte, error) { return e.form(jsonName).appendJSON(nil) }

// form is the one for that codec, or else any.
func (e Encoded) form(codec string) form {
	for _, f := range e.forms {
		if f.codec == codec {
			return f
		}
	}
	if len(e.forms) > 0 {
		return e.forms[0]
	}
	return form{}
}

// Extension is a MessagePack extension other than the timestamp: the protocol
// gives it no meaning and carries it unchanged.
type Extension struct {
	Type int8   `json:"type"`
	Data []byte `json:"data"`
}
