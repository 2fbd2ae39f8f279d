package protocol

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
)

const packName = "messagepack"

// The kinds of results in a completion (HubProtocol, "Completion Message
// Encoding").
const (
	resultError = 1
	resultVoid  = 2
	resultValue = 3
)

// MessagePack is the binary encoding (HubProtocol, "MessagePack (MsgPack)
// encoding"). Time is a timestamp extension and []byte is bin; a struct is a map
// with the names of its json tags, whose option "string" has no meaning here.
func MessagePack() Codec { return packCodec{} } //nolint:ireturn // a codec is used through its interface only

type packCodec struct{}

// Name implements Codec.
func (packCodec) Name() string { return packName }

// Binary implements Codec.
func (packCodec) Binary() bool { return true }

// maxPrefix is how many bytes the length of a record may take, each with seven
// bits of it.
const maxPrefix = 5

// Split implements Records. A length is believed only as far as limit.
func (packCodec) Split(data []byte, limit int) (record, rest []byte, err error) {
	size, n := binary.Uvarint(data[:min(len(data), maxPrefix)])
	switch {
	case n == 0 && len(data) < maxPrefix:
		return nil, data, nil
	case n == 0, size > math.MaxInt32:
		return nil, data, fmt.Errorf("%w: the length of a record is over %d", ErrMalformed, math.MaxInt32)
	case size == 0:
		return nil, data, fmt.Errorf("%w: an empty record", ErrMalformed)
	}
	end := n + int(size)
	switch {
	case end > limit:
		return nil, data, tooLarge(limit)
	case end > len(data):
		return nil, data, nil
	}
	return data[n:end:end], data[end:], nil
}

// Append implements Records. The bytes are those of the official server, with
// the headers in order.
func (packCodec) Append(dst []byte, m Message) ([]byte, error) {
	b, err := packMessage(dst, m)
	if err != nil {
		return dst, err
	}
	if len(b)-len(dst) > math.MaxInt32 {
		return dst, fmt.Errorf("encode %T: %w", m, tooLarge(math.MaxInt32))
	}
	return packPrefix(b, len(dst)), nil
}

func packMessage(b []byte, m Message) ([]byte, error) {
	switch m := m.(type) {
	case *Invocation:
		return packInvocation(b, typeInvocation, m)
	case *StreamInvocation:
		return packInvocation(b, typeStreamInvocation, (*Invocation)(m))
	case *StreamItem:
		return packAny(packHead(b, 4, typeStreamItem, m.Headers, m.InvocationID), m.Item)
	case *Completion:
		return packCompletion(b, m)
	case *CancelInvocation:
		return packHead(b, 3, typeCancelInvocation, m.Headers, m.InvocationID), nil
	case *Ping:
		return packUint(packArray(b, 1), typePing), nil
	case *Close:
		return packClose(b, m), nil
	case *Ack:
		return packInt(packUint(packArray(b, 2), typeAck), m.SequenceID), nil
	case *Sequence:
		return packInt(packUint(packArray(b, 2), typeSequence), m.SequenceID), nil
	default:
		return nil, fmt.Errorf("encode %T: no message of the protocol", m)
	}
}

// packHead is what messages of types 1 to 5 begin with.
func packHead(b []byte, elements int, kind uint64, h Headers, id string) []byte {
	b = packUint(packArray(b, elements), kind)
	b = packMap(b, len(h))
	if len(h) > 0 {
		b = packHeaders(b, h)
	}
	if id == "" {
		return packNil(b)
	}
	return packString(b, id)
}

func packHeaders(b []byte, h Headers) []byte {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		b = packString(packString(b, name), h[name])
	}
	return b
}

func packInvocation(b []byte, kind uint64, m *Invocation) ([]byte, error) {
	b = packHead(b, 6, kind, m.Headers, m.InvocationID)
	b = packString(b, m.Target)
	b = packArray(b, len(m.Arguments))
	for i, argument := range m.Arguments {
		var err error
		if b, err = packAny(b, argument); err != nil {
			return nil, fmt.Errorf("encode argument %d of %s: %w", i+1, m.Target, err)
		}
	}
	b = packArray(b, len(m.StreamIDs))
	for _, id := range m.StreamIDs {
		b = packString(b, id)
	}
	return b, nil
}

func packCompletion(b []byte, m *Completion) ([]byte, error) {
	elements := 5
	if m.Error == "" && !m.HasResult {
		elements = 4
	}
	b = packHead(b, elements, typeCompletion, m.Headers, m.InvocationID)
	switch {
	case m.Error != "":
		return packString(packUint(b, resultError), m.Error), nil
	case m.HasResult:
		return packAny(packUint(b, resultValue), m.Result)
	default:
		return packUint(b, resultVoid), nil
	}
}

func packClose(b []byte, m *Close) []byte {
	b = packUint(packArray(b, 3), typeClose)
	if m.Error == "" {
		b = packNil(b)
	} else {
		b = packString(b, m.Error)
	}
	return packBool(b, m.AllowReconnect)
}

// AppendValue implements Values.
func (packCodec) AppendValue(dst []byte, value any) ([]byte, error) {
	b, err := packAny(dst, value)
	if err != nil {
		return dst, err
	}
	return b, nil
}

func packAny(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case Value:
		return v.form.appendPack(b, maxDepth)
	case Encoded:
		return v.form(packName).appendPack(b, maxDepth)
	}
	return packValue(b, reflect.ValueOf(value), maxDepth)
}
