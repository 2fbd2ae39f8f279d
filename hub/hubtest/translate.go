package hubtest

import (
	"errors"
	"math"
	"strings"

	"tidings/hub/protocol"
)

// encode makes bytes of records. The first one of all is the handshake, which
// is JSON text in every encoding; so is what is no message: it is sent as it
// stands.
func (b *Browser) encode(records []string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []byte
	for _, text := range records {
		if b.greeted {
			all = append(all, translate([]byte(text), protocol.JSON(), b.codec)...)
			continue
		}
		all = append(all, text+separator...)
		b.greeted = true
	}
	return all
}

// decode makes texts of records; mu is held.
func (b *Browser) decode(data []byte) (records []string, err error) {
	codec := b.codec
	if !b.shaken {
		codec = protocol.JSON()
	}
	for len(data) > 0 {
		record, rest, err := codec.Split(data, math.MaxInt32)
		if err != nil {
			return records, err
		}
		if record == nil {
			return records, errors.New("a record is cut")
		}
		text := string(record)
		if codec.Binary() {
			text = strings.TrimSuffix(string(translate(record, codec, protocol.JSON())), separator)
		}
		records, data = append(records, text), rest
		b.shaken, codec = true, b.codec
	}
	return records, nil
}

// translate says the same in another encoding. What is no message stays as it
// is.
func translate(record []byte, from, to protocol.Codec) []byte {
	if from.Name() == to.Name() {
		return append(record, separator...)
	}
	m, err := from.Decode(record)
	if err != nil || m == nil {
		return record
	}
	carry(m, from)
	translated, err := to.Append(nil, m)
	if err != nil {
		return record
	}
	return translated
}

// carry makes what was received what is to be sent.
func carry(m protocol.Message, from protocol.Codec) {
	value := func(raw protocol.Raw) any {
		var v protocol.Value
		if err := from.Bind(raw, &v); err != nil {
			return err.Error()
		}
		return v
	}
	arguments := func(raw []protocol.Raw) []any {
		all := make([]any, len(raw))
		for i := range raw {
			all[i] = value(raw[i])
		}
		return all
	}
	switch m := m.(type) {
	case *protocol.Invocation:
		m.Arguments = arguments(m.RawArguments)
	case *protocol.StreamInvocation:
		m.Arguments = arguments(m.RawArguments)
	case *protocol.StreamItem:
		m.Item = value(m.RawItem)
	case *protocol.Completion:
		if m.HasResult {
			m.Result = value(m.RawResult)
		}
	}
}
