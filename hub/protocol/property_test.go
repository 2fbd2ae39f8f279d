package protocol_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/hub/protocol"
)

// anyOf draws a value of the types that Bind makes for an any. Those that only
// MessagePack has are drawn for it.
func anyOf(codec protocol.Codec) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64Min(math.MaxInt64 + 1).AsAny(), rapid.String().AsAny(),
		rapid.Float64Range(-1e6, 1e6).Filter(func(f float64) bool { return f != math.Trunc(f) }).AsAny(),
	}
	if codec.Binary() {
		scalars = append(
			scalars, rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Float32().AsAny(), rapid.Float64().AsAny(),
			rapid.Map(rapid.Int64(), func(n int64) time.Time { return time.Unix(n>>20, (n&0xfffff)*953).UTC() }).AsAny(),
			rapid.Custom(func(t *rapid.T) protocol.Extension {
				return protocol.Extension{Type: rapid.Int8Range(0, 127).Draw(t, "type"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
			}).AsAny(),
		)
	}
	scalar := rapid.OneOf(scalars...)
	var value func(levels int) *rapid.Generator[any]
	value = func(levels int) *rapid.Generator[any] {
		if levels == 0 {
			return scalar
		}
		inner := rapid.Deferred(func() *rapid.Generator[any] { return value(levels - 1) })
		return rapid.OneOf(scalar, rapid.SliceOfN(inner, 0, 20).AsAny(), rapid.MapOfN(rapid.String(), inner, 0, 20).AsAny())
	}
	return value(3)
}

// messageOf draws any message.
func messageOf(t *rapid.T, value *rapid.Generator[any]) protocol.Message { //nolint:ireturn // the message types share nothing but being messages
	name := rapid.StringMatching(`[a-zé"]{1,40}`)
	headers := protocol.Headers(rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "headers"))
	if len(headers) == 0 {
		headers = nil
	}
	id, target, values := name.Draw(t, "id"), name.Draw(t, "target"), rapid.SliceOfN(value, 0, 4)
	var streams []string
	if rapid.Bool().Draw(t, "streams") {
		streams = rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "ids")
	}
	number := rapid.Int64().Draw(t, "number")
	switch kind := rapid.IntRange(1, 12).Draw(t, "kind"); kind {
	case 1:
		return &protocol.Invocation{Headers: headers, InvocationID: id, Target: target, Arguments: values.Draw(t, "arguments"), StreamIDs: streams}
	case 2:
		return &protocol.StreamItem{Headers: headers, InvocationID: id, Item: value.Draw(t, "item")}
	case 3:
		return &protocol.Completion{Headers: headers, InvocationID: id, HasResult: true, Result: value.Draw(t, "result")}
	case 4:
		return &protocol.StreamInvocation{Headers: headers, InvocationID: id, Target: target, Arguments: values.Draw(t, "arguments"), StreamIDs: streams}
	case 5:
		return &protocol.CancelInvocation{Headers: headers, InvocationID: id}
	case 6:
		return &protocol.Ping{}
	case 7:
		return &protocol.Close{Error: rapid.String().Draw(t, "error"), AllowReconnect: rapid.Bool().Draw(t, "reconnect")}
	case 8:
		return &protocol.Ack{SequenceID: number}
	case 9:
		return &protocol.Sequence{SequenceID: number}
	case 10:
		return &protocol.Completion{Headers: headers, InvocationID: id, Error: target}
	case 11:
		return &protocol.Completion{Headers: headers, InvocationID: id}
	default:
		return &protocol.Invocation{Headers: headers, Target: target, Arguments: values.Draw(t, "arguments")}
	}
}

// received is a message as it would have been sent: with its raw values bound.
func received(t interface{ Fatal(...any) }, codec protocol.Codec, m protocol.Message, bind func(protocol.Raw) (any, error)) protocol.Message { //nolint:ireturn // see messageOf
	value := func(raw protocol.Raw) any {
		v, err := bind(raw)
		if err != nil {
			t.Fatal(codec.Name(), err)
		}
		return v
	}
	switch m := m.(type) {
	case *protocol.Invocation:
		m.Arguments = make([]any, len(m.RawArguments))
		for i, raw := range m.RawArguments {
			m.Arguments[i] = value(raw)
		}
		m.RawArguments = nil
	case *protocol.StreamInvocation:
		received(t, codec, (*protocol.Invocation)(m), bind)
	case *protocol.StreamItem:
		m.Item, m.RawItem = value(m.RawItem), nil
	case *protocol.Completion:
		if m.HasResult {
			m.Result, m.RawResult = value(m.RawResult), nil
		}
	}
	return m
}

func sameValues() cmp.Options {
	return cmp.Options{
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Arguments" }, cmp.FilterValues(func(a, b []any) bool { return len(a)+len(b) == 0 }, cmp.Ignore())),
		cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
		cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
		cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) }),
	}
}

// What is written is read as the same message, whole, and written as the same
// bytes again.
func TestEveryMessageComesBack(t *testing.T) {
	for _, codec := range codecs() {
		t.Run(codec.Name(), func(t *testing.T) {
			value := anyOf(codec)
			rapid.Check(t, func(t *rapid.T) {
				want := messageOf(t, value)
				record, err := codec.Append(nil, want)
				if err != nil {
					t.Fatal(err)
				}
				body, rest, err := codec.Split(record, len(record))
				if err != nil || len(rest) != 0 {
					t.Fatalf("split: %x, %v", rest, err)
				}
				message, err := codec.Decode(body)
				if err != nil {
					t.Fatal(err)
				}
				got := received(t, codec, message, func(raw protocol.Raw) (v any, err error) { return v, codec.Bind(raw, &v) })
				if diff := cmp.Diff(want, got, sameValues()); diff != "" {
					t.Fatalf("-want +got:\n%s", diff)
				}
				again, err := codec.Append(nil, got)
				if err != nil || !bytes.Equal(again, record) {
					t.Fatalf("again: got %x, %v, want %x", again, err, record)
				}
			})
		})
	}
}

// A value that is only passed on arrives as it was sent, whatever the encodings
// on its way.
func TestValuesAndEncodedPassThrough(t *testing.T) {
	value := anyOf(protocol.JSON())
	rapid.Check(t, func(t *rapid.T) {
		want := value.Draw(t, "value")
		v := want
		for range rapid.IntRange(1, 4).Draw(t, "hops") {
			codec := rapid.SampledFrom(codecs()).Draw(t, "codec")
			raw, err := codec.AppendValue(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			var next protocol.Value
			if err := codec.Bind(raw, &next); err != nil {
				t.Fatal(err)
			}
			if v = next; rapid.Bool().Draw(t, "encode") {
				if v, err = protocol.Encode(next, rapid.SampledFrom(codecs()).Draw(t, "for")); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, codec := range codecs() {
			raw, err := codec.AppendValue(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			var got any
			if err := codec.Bind(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, sameValues()); diff != "" {
				t.Fatalf("%s: -want +got:\n%s", codec.Name(), diff)
			}
		}
	})
}

func payloadOf(levels int) *rapid.Generator[payload] {
	return rapid.Custom(func(t *rapid.T) payload {
		p := payload{
			Text: rapid.Ptr(rapid.String(), true).Draw(t, "text"), Count: rapid.Int64().Draw(t, "count"), Ratio: rapid.Float64Range(-1e9, 1e9).Draw(t, "ratio"), Flag: rapid.Bool().Draw(t, "flag"),
			Tags: rapid.SliceOf(rapid.String()).Draw(t, "tags"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"), At: time.UnixMilli(rapid.Int64Range(-1e13, 1e14).Draw(t, "at")).UTC(),
		}
		if rapid.Bool().Draw(t, "nil") {
			p.Tags, p.Data = nil, nil
		}
		if levels > 0 {
			p.Child = rapid.Ptr(payloadOf(levels-1), true).Draw(t, "child")
		}
		return p
	})
}

// A struct comes back from both encodings, and through a Value from one to the
// other except for what only MessagePack has kinds for.
func TestStructsComeBackAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := payloadOf(3).Draw(t, "payload")
		for _, codec := range codecs() {
			raw, err := codec.AppendValue(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			var got payload
			if err := codec.Bind(raw, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %v, -want +got:\n%s", codec.Name(), err, cmp.Diff(want, got))
			}
			var v protocol.Value
			if err := codec.Bind(raw, &v); err != nil {
				t.Fatal(err)
			}
			text, err := protocol.JSON().AppendValue(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			got = payload{}
			if err := protocol.JSON().Bind(text, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s through JSON: %v, -want +got:\n%s", codec.Name(), err, cmp.Diff(want, got))
			}
		}
	})
}

// targets are types that both encodings read from the same kinds.
func targets() []any {
	type inner struct {
		A int8            `json:"a"`
		B *bool           `json:"b"`
		C []any           `json:"c"`
		D map[string]any  `json:"d"`
		E *inner2         `json:"e"`
		F [2]uint16       `json:"f"`
		G optional        `json:"g"`
		H map[int8]string `json:"h"`
		I level           `json:"i"`
	}
	return []any{
		new(any), new(int8), new(uint64), new(float64), new(string), new(bool), new([]int), new([2]int), new(map[string]int), new(map[int]any), new(map[level]bool), new([]any), new(map[string]any),
		new(inner), new(*inner), new([]inner), new(map[string]*inner), new(inner2), new(level), new(*level), new(optional), new([]optional), new([]*string), new(anything), new([1][]map[string]inner2),
	}
}

type inner2 struct {
	A    string   `json:"a"`
	B    []*int32 `json:"b"`
	C    float64  `json:"c"`
	Self []inner2 `json:"self"`
}

// document draws JSON that resembles what targets want.
func document(levels int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.SampledFrom([]any{nil, nil, true, false, "low", "high", "", "x", 0, 1, -1, 127, 128, 256, 1.5, json.Number("1.0"), json.Number("1e2"), json.Number("18446744073709551615"), json.Number("18446744073709551616")}),
		rapid.Int64().AsAny(),
	)
	if levels == 0 {
		return scalar
	}
	inner := document(levels - 1)
	names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "A", "self", "any", "1", "200", "low", "n", ""})
	return rapid.OneOf(scalar, rapid.SliceOfN(inner, 0, 3).AsAny(), rapid.MapOfN(names, inner, 0, 4).AsAny())
}

// Both encodings agree on what fits a type, and on the value.
func TestBothEncodingsAgree(t *testing.T) {
	all := targets()
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(document(4).Draw(t, "document"))
		if err != nil {
			t.Fatal(err)
		}
		packed, err := protocol.MessagePack().AppendValue(nil, json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range all {
			typ := reflect.TypeOf(target).Elem()
			fromJSON, fromPack := reflect.New(typ), reflect.New(typ)
			errJSON := protocol.JSON().Bind(text, fromJSON.Interface())
			errPack := protocol.MessagePack().Bind(packed, fromPack.Interface())
			if (errJSON == nil) != (errPack == nil) {
				t.Fatalf("%s to %s: JSON %v, MessagePack %v", text, typ, errJSON, errPack)
			}
			if errJSON == nil && !reflect.DeepEqual(fromJSON.Interface(), fromPack.Interface()) {
				t.Fatalf("%s to %s: JSON %+v, MessagePack %+v", text, typ, fromJSON.Elem(), fromPack.Elem())
			}
		}
	})
}
