package protocol_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/hub/protocol"
)

// payload has one field of each kind that the conformance text names.
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

// optional decides by itself what null means.
type optional struct {
	set   bool
	value float64
}

func (o *optional) UnmarshalJSON(text []byte) error {
	if o.set = string(text) != "null"; !o.set {
		return nil
	}
	return json.Unmarshal(text, &o.value)
}

func (o optional) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

type level int

func (l *level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		*l = 0
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("no level")
	}
	return nil
}

func (l level) MarshalText() ([]byte, error) { return []byte([]string{"", "low", "high"}[l]), nil }

type (
	pointer *pointer
	numbers struct {
		N int `json:"n"`
	}
	anything struct {
		Any any `json:"any"`
	}
)

// Both encodings accept and refuse the same.
func TestBindIsStrict(t *testing.T) {
	for _, test := range []struct {
		json, pack string // "" = there is no such value
		into       any
		ok         bool
	}{
		{`1`, "01", new(int32), true},
		{`-1`, "ff", new(int32), true},
		{`2147483647`, "ce7fffffff", new(int32), true},
		{`2147483648`, "ce80000000", new(int32), false},
		{`-2147483648`, "d280000000", new(int32), true},
		{`-2147483649`, "d3ffffffff7fffffff", new(int32), false},
		{`127`, "d3000000000000007f", new(int8), true},
		{`128`, "cc80", new(int8), false},
		{`9223372036854775808`, "cf8000000000000000", new(int64), false},
		{`18446744073709551615`, "cfffffffffffffffff", new(uint64), true},
		{`256`, "cd0100", new(uint8), false},
		{`-1`, "ff", new(uint), false},
		{`1`, "d001", new(uint16), true},
		{`"1"`, "a131", new(int32), false},
		{`1.5`, "cb3ff8000000000000", new(int32), false},
		{`1.0`, "cb3ff0000000000000", new(int32), false},
		{``, "ca3f800000", new(int32), false},
		{`1e2`, "cb4059000000000000", new(int), false},
		{`true`, "c3", new(int), false},
		{`true`, "c3", new(uint), false},
		{`[1]`, "9101", new(int), false},
		{`{}`, "80", new(int), false},
		{`null`, "c0", new(int32), false},
		{`null`, "c0", new(uint8), false},
		{`null`, "c0", new(float64), false},
		{`null`, "c0", new(bool), false},
		{`null`, "c0", new(time.Time), false},
		{`null`, "c0", new(payload), false},
		{`null`, "c0", new([2]int), false},
		{`null`, "c0", new(netip.Addr), false},
		{`null`, "c0", new(protocol.Extension), false},
		{`null`, "c0", new(string), true},
		{`null`, "c0", new(*int), true},
		{`null`, "c0", new(*payload), true},
		{`null`, "c0", new([]int), true},
		{`null`, "c0", new([]byte), true},
		{`null`, "c0", new(map[string]int), true},
		{`null`, "c0", new(any), true},
		{`null`, "c0", new(optional), true},
		{`null`, "c0", new(protocol.Value), true},
		{`null`, "c0", new(json.RawMessage), true},
		{`true`, "c3", new(bool), true},
		{`1`, "01", new(bool), false},
		{`0`, "00", new(bool), false},
		{`"true"`, "a474727565", new(bool), false},
		{`1`, "01", new(string), false},
		{`true`, "c3", new(string), false},
		{`"a"`, "a161", new(string), true},
		{``, "c40161", new(string), false},
		{`["a"]`, "91a161", new(string), false},
		{`1`, "01", new(float64), true},
		{`-1`, "ff", new(float32), true},
		{`18446744073709551615`, "cfffffffffffffffff", new(float64), true},
		{`1.5`, "ca3fc00000", new(float64), true},
		{`1.5`, "cb3ff8000000000000", new(float32), true},
		{`1e300`, "cb7e37e43c8800759c", new(float32), false},
		{`"1"`, "a131", new(float64), false},
		{`true`, "c3", new(float64), false},
		{`"aGk="`, "c4026869", new([]byte), true},
		{`"?"`, "a13f", new([]byte), false},
		{`[104,105]`, "926869", new([]byte), false},
		{`[104,105]`, "926869", new([2]byte), true},
		{`[104,105]`, "c4026869", new([2]byte), true},
		{`[104,105]`, "c4026869", new([3]byte), false},
		{`[104,256]`, "9268cd0100", new([2]byte), false},
		{`"2026-01-02T03:04:05Z"`, "d6ff6957343d", new(time.Time), true},
		{``, "b4323032362d30312d30325430333a30343a30355a", new(time.Time), false},
		{`1`, "01", new(time.Time), false},
		{`"yesterday"`, "d605ff000000", new(time.Time), false},
		{``, "d7ffee6b280000000000", new(time.Time), false},           // a second of nanoseconds
		{``, "c703ff000000", new(time.Time), false},                   // three bytes
		{``, "c70cffffffffff0000000000000000", new(time.Time), false}, // four seconds of nanoseconds
		{`[1,2]`, "920102", new([2]int), true},
		{`[1]`, "9101", new([2]int), false},
		{`[1,2,3]`, "93010203", new([2]int), false},
		{`[]`, "90", new([2]int), false},
		{`[]`, "90", new([0]int), true},
		{`[[1,2],[3]]`, "929201029103", new([][2]int), false},
		{`{"a":[1]}`, "81a1619101", new(map[string][2]int), false},
		{`[1,2]`, "920102", new([]int), true},
		{`[1,null]`, "9201c0", new([]int), false},
		{`[1,null]`, "9201c0", new([]*int), true},
		{`[1,null]`, "9201c0", new([2]int), false},
		{`["null",null]`, "92a46e756c6cc0", new([]string), true},
		{`["null",1]`, "92a46e756c6c01", new([]any), true},
		{`{}`, "80", new([]int), false},
		{`{"a":1}`, "81a16101", new(map[string]int), true},
		{`{"a":null}`, "81a161c0", new(map[string]int), false},
		{`{"a":null}`, "81a161c0", new(map[string]*int), true},
		{`{"a":{"b":null}}`, "81a16181a162c0", new(map[string]map[string]bool), false},
		{`[1]`, "9101", new(map[string]int), false},
		{`{"1":2}`, "81a13102", new(map[int]int), true},
		{``, "810102", new(map[int]int), true},
		{``, "810102", new(map[uint8]int), true},
		{``, "81cd010002", new(map[uint8]int), false},
		{``, "81ff02", new(map[uint8]int), false},
		{``, "810102", new(map[string]int), false},
		{`{"1":2}`, "81a13102", new(map[uint64]int), true},
		{`{"18446744073709551615":2}`, "81b4313834343637343430373337303935353136313502", new(map[uint64]int), true},
		{`{"256":2}`, "81a332353602", new(map[int8]int), false},
		{`{"x":2}`, "81a17802", new(map[int]int), false},
		{`{"1.5":2}`, "81a3312e3502", new(map[int]int), false},
		{`{"low":2}`, "81a36c6f7702", new(map[level]int), true},
		{`{"no":2}`, "81a26e6f02", new(map[level]int), false},
		{`{"1":2}`, "81a13102", new(map[bool]int), false},
		{`{"n":1}`, "81a16e01", new(numbers), true},
		{`{"N":1}`, "81a14e01", new(numbers), true},
		{`{}`, "80", new(numbers), true},
		{`{"n":1,"m":[null]}`, "82a16e01a16d91c0", new(numbers), true},
		{``, "82010291c001", new(numbers), true}, // names that are no text are unknown
		{`{"n":null}`, "81a16ec0", new(numbers), false},
		{`{"n":"1"}`, "81a16ea131", new(numbers), false},
		{`{"n":{}}`, "81a16e80", new(numbers), false},
		{`[]`, "90", new(numbers), false},
		{`{"N":null}`, "81a14ec0", new(numbers), false},
		{`{"text":null,"tags":null,"data":null,"child":null}`, "84a474657874c0a474616773c0a464617461c0a56368696c64c0", new(payload), true},
		{`{"child":{"flag":null}}`, "81a56368696c6481a4666c6167c0", new(payload), false},
		{`{"child":{"child":{"at":null}}}`, "81a56368696c6481a56368696c6481a26174c0", new(payload), false},
		{`{"any":{"n":null}}`, "81a3616e7981a16ec0", new(anything), true},
		{`{"any":{"n":null}}`, "81a3616e7981a16ec0", new(map[string]numbers), false},
		{`"low"`, "a36c6f77", new(level), true},
		{`1`, "01", new(level), false},
		{`null`, "c0", new(level), false},
		{`"no"`, "a26e6f", new(level), false},
		{`"10.0.0.1"`, "a831302e302e302e31", new(netip.Addr), true},
		{`5`, "05", new(optional), true},
		{`"x"`, "a178", new(optional), false},
		{`123`, "7b", new(big.Int), true},
		{`1`, "01", new(json.Number), true},
		{`1.5`, "cb3ff8000000000000", new(json.Number), true},
		{`"x"`, "a178", new(json.Number), false},
		{`true`, "c3", new(json.Number), false},
		{``, "d4050a", new(protocol.Extension), true},
		{`1`, "01", new(protocol.Extension), false},
		{`1`, "01", new(error), false},
		{`null`, "c0", new(error), true},
		{`1`, "01", new(pointer), false},
		{`1`, "01", new(func()), false},
		{`1`, "01", new(complex128), false},
	} {
		for _, each := range []struct {
			codec protocol.Codec
			raw   protocol.Raw
		}{{protocol.JSON(), protocol.Raw(test.json)}, {protocol.MessagePack(), unhex(t, test.pack)}} {
			if len(each.raw) == 0 || test.json == `1` && reflect.TypeOf(test.into) == reflect.TypeFor[*pointer]() && !each.codec.Binary() {
				continue // encoding/json would follow the pointer for ever
			}
			into := reflect.New(reflect.TypeOf(test.into).Elem())
			if err := each.codec.Bind(each.raw, into.Interface()); (err == nil) != test.ok {
				t.Errorf("%s: bind %s %x to %T: got %v, want ok = %v", each.codec.Name(), test.json, each.raw, test.into, err, test.ok)
			}
		}
	}
}

// Every integer of an any is exact, in both encodings and however deep.
func TestBindToAny(t *testing.T) {
	for _, test := range []struct {
		json, pack string
		want       any
	}{
		{`null`, "c0", nil},
		{`true`, "c3", true},
		{`1`, "01", int64(1)},
		{`-1`, "ff", int64(-1)},
		{`9007199254740993`, "cf0020000000000001", int64(9007199254740993)},
		{`9223372036854775807`, "cf7fffffffffffffff", int64(9223372036854775807)},
		{`-9223372036854775808`, "d38000000000000000", int64(-9223372036854775808)},
		{`9223372036854775808`, "cf8000000000000000", uint64(9223372036854775808)},
		{`18446744073709551616`, "cb43f0000000000000", 18446744073709551616.0},
		{`1.5`, "cb3ff8000000000000", 1.5},
		{`1.0`, "cb3ff0000000000000", 1.0},
		{`1e3`, "cb408f400000000000", 1000.0},
		{``, "ca3fc00000", float32(1.5)},
		{`"a"`, "a161", "a"},
		{``, "c40161", []byte("a")},
		{``, "d6ff6957343d", time.Date(2026, 1, 2, 2, 58, 5, 0, time.UTC)},
		{``, "d4050a", protocol.Extension{Type: 5, Data: []byte{10}}},
		{``, "c700fe", protocol.Extension{Type: -2, Data: []byte{}}},
		{`[]`, "90", []any{}},
		{`[1,[2,{"a":3}],null]`, "9301920281a16103c0", []any{int64(1), []any{int64(2), map[string]any{"a": int64(3)}}, nil}},
		{`{"a":9007199254740993}`, "81a161cf0020000000000001", map[string]any{"a": int64(9007199254740993)}},
		{``, "820102a16103", map[any]any{int64(1): int64(2), "a": int64(3)}},
		{``, "82a161030102", map[any]any{int64(1): int64(2), "a": int64(3)}},
		{``, "81c0c0", map[any]any{nil: nil}},
	} {
		for _, each := range []struct {
			codec protocol.Codec
			raw   protocol.Raw
		}{{protocol.JSON(), protocol.Raw(test.json)}, {protocol.MessagePack(), unhex(t, test.pack)}} {
			if len(each.raw) == 0 {
				continue
			}
			var got any
			err := each.codec.Bind(each.raw, &got)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%s: %s %x: %v, -want +got:\n%s", each.codec.Name(), test.json, each.raw, err, diff)
			}
		}
	}
	for _, raw := range []string{"", "c1", "819001", "81c4016101", "81d4050101", "d7ffee6b280000000000", "c703ff000000", "0101", "92 01", strings.Repeat("91", 64) + "90"} {
		var got any
		if err := protocol.MessagePack().Bind(unhex(t, raw), &got); err == nil {
			t.Errorf("%s: got %#v, want an error", raw, got)
		}
	}
	for _, raw := range []string{"", "1 2", "1e999", `[1e999]`, `{"a":1e999}`, "{"} {
		var got any
		if err := protocol.JSON().Bind(protocol.Raw(raw), &got); err == nil {
			t.Errorf("%s: got %#v, want an error", raw, got)
		}
	}
}

// An any inside other types is as exact as one on its own.
func TestJSONBindToAnyInside(t *testing.T) {
	type inner struct {
		Any  any
		Skip json.RawMessage
	}
	type outer struct {
		inner

		List  []any
		Map   map[string]any
		Ptr   *inner
		Array [1]any
		Deep  map[string][]inner
		Num   json.Number
		Self  *outer
	}
	const n = "9007199254740993"
	raw := strings.ReplaceAll(`{"Any":#,"Skip":#,"List":[#],"Map":{"a":#},"Ptr":{"Any":[#]},"Array":[#],"Deep":{"a":[{"Any":{"b":#}}]},"Num":#,"Self":{"Any":#}}`, "#", n)
	const i = int64(9007199254740993)
	want := outer{
		inner: inner{Any: i, Skip: json.RawMessage(n)}, List: []any{i}, Map: map[string]any{"a": i}, Ptr: &inner{Any: []any{i}}, Array: [1]any{i},
		Deep: map[string][]inner{"a": {{Any: map[string]any{"b": i}}}}, Num: n, Self: &outer{inner: inner{Any: i}},
	}
	var got outer
	if err := protocol.JSON().Bind(protocol.Raw(raw), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// An error says where it is.
func TestBindSaysWhere(t *testing.T) {
	for _, test := range []struct{ json, want string }{
		{`{"child":{"child":{"flag":null}}}`, ".child: .child: .flag: "},
		{`{"tags":["a",1]}`, ".tags: [1]: "},
	} {
		v := valueOf(t, test.json)
		packed, err := protocol.MessagePack().AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if err := protocol.MessagePack().Bind(packed, new(payload)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want …%s…", test.json, err, test.want)
		}
	}
	if err := protocol.JSON().Bind(protocol.Raw(`{"child":{"child":{"flag":null}}}`), new(payload)); err == nil || !strings.Contains(err.Error(), ".child: .child: .flag: null for bool") {
		t.Errorf("got %v", err)
	}
}

func TestBindWantsAPointer(t *testing.T) {
	for _, codec := range []protocol.Codec{protocol.JSON(), protocol.MessagePack()} {
		for _, into := range []any{nil, 1, payload{}, (*int)(nil)} {
			if err := codec.Bind(protocol.Raw("1"), into); err == nil {
				t.Errorf("%s: bound to %T", codec.Name(), into)
			}
		}
	}
}

// What is bound keeps nothing of the record, which will be overwritten.
func TestBindCopies(t *testing.T) {
	type all struct {
		Text  string
		Bytes []byte
		Any   any
		Ext   protocol.Extension
		Value protocol.Value
		Raw   json.RawMessage
	}
	want := all{"a", []byte("b"), []any{[]byte("c"), protocol.Extension{Type: 1, Data: []byte("d")}, "e"}, protocol.Extension{Type: 1, Data: []byte("f")}, valueOf(t, `"g"`), json.RawMessage(`"h"`)}
	raw, err := protocol.MessagePack().AppendValue(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	var got all
	if err := protocol.MessagePack().Bind(raw, &got); err != nil {
		t.Fatal(err)
	}
	clear(raw)
	text := ""
	if err := got.Value.Bind(&text); err != nil || text != "g" {
		t.Errorf("value: got %q, %v", text, err)
	}
	got.Value = want.Value
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A length is a promise: nothing is allocated because of it.
func TestMessagePackBindDoesNotBelieveLengths(t *testing.T) {
	raw := protocol.Raw(append(unhex(t, "dc 7fff"), make([]byte, 0x7fff)...))
	raw[3] = 0xc0 // no struct
	type large struct{ A [1 << 16]byte }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var got []large
	if err := protocol.MessagePack().Bind(raw, &got); err == nil {
		t.Error("nil was bound to a struct")
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 {
		t.Errorf("%d bytes for an array whose first element is wrong", allocated)
	}
}

func valueOf(tb testing.TB, text string) protocol.Value {
	tb.Helper()
	var v protocol.Value
	if err := protocol.JSON().Bind(protocol.Raw(text), &v); err != nil {
		tb.Fatal(err)
	}
	return v
}
