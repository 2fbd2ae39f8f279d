package protocol_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/hub/protocol"
)

// textual has its text methods at the pointer.
type textual struct{ n int }

func (x *textual) MarshalText() ([]byte, error) { return []byte{'#', '0' + byte(x.n)}, nil }

type (
	named  string
	octet  byte
	shade  byte // has text
	broken struct{}
	wrong  struct{ text string }
)

func (s shade) MarshalText() ([]byte, error)      { return []byte{'s', '0' + byte(s)}, nil }
func (broken) MarshalText() ([]byte, error)       { return nil, errors.New("broken") }
func (w wrong) MarshalJSON() ([]byte, error)      { return []byte(w.text), nil }
func at(sec, nsec int64) time.Time                { return time.Unix(sec, nsec) }
func zone(t time.Time, hours int) time.Time       { return t.In(time.FixedZone("", hours*3600)) }
func repeat(s string, n int) string               { return strings.Repeat(s, n) }
func list(n int) []int                            { return make([]int, n) }
func keyed[K comparable, V any](k K, v V) map[K]V { return map[K]V{k: v} }

func TestMessagePackValues(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, "c0"},
		{true, "c3"},
		{false, "c2"},
		{0, "00"},
		{127, "7f"},
		{int8(-32), "e0"},
		{-33, "d0df"},
		{-128, "d080"},
		{-129, "d1ff7f"},
		{-32768, "d18000"},
		{-32769, "d2ffff7fff"},
		{math.MinInt32, "d280000000"},
		{int64(math.MinInt32 - 1), "d3ffffffff7fffffff"},
		{int64(math.MinInt64), "d38000000000000000"},
		{128, "cc80"},
		{255, "ccff"},
		{256, "cd0100"},
		{65535, "cdffff"},
		{65536, "ce00010000"},
		{int64(math.MaxUint32), "ceffffffff"},
		{int64(math.MaxUint32 + 1), "cf0000000100000000"},
		{uint64(math.MaxUint64), "cfffffffffffffffff"},
		{uint8(200), "ccc8"},
		{uintptr(1), "01"},
		{float32(1.5), "ca3fc00000"},
		{1.0, "cb3ff0000000000000"},
		{math.Inf(1), "cb7ff0000000000000"},
		{"", "a0"},
		{repeat("a", 31), "bf" + repeat("61", 31)},
		{repeat("a", 32), "d920" + repeat("61", 32)},
		{repeat("a", 256), "da0100" + repeat("61", 256)},
		{repeat("a", 65536), "db00010000" + repeat("61", 65536)},
		{"a\xff\xfeb", "a861efbfbdefbfbd62"},
		{named("x"), "a178"},
		{[]byte{}, "c400"},
		{[]byte(nil), "c0"},
		{[]octet{1}, "c40101"},
		{[2]byte{1, 2}, "c4020102"},
		{[1]octet{3}, "c40103"},
		{[]shade{1}, "91a27331"},
		{make([]byte, 256), "c50100" + repeat("00", 256)},
		{make([]byte, 65536), "c600010000" + repeat("00", 65536)},
		{[]int{1, 2}, "920102"},
		{[]int(nil), "c0"},
		{[0]int{}, "90"},
		{list(15), "9f" + repeat("00", 15)},
		{list(16), "dc0010" + repeat("00", 16)},
		{list(65536), "dd00010000" + repeat("00", 65536)},
		{[]any{nil, "a", 1.5}, "93c0a161cb3ff8000000000000"},
		{map[string]int{"b": 2, "a": 1, "ab": 3}, "83a16101a2616203a16202"},
		{map[string]int(nil), "c0"},
		{map[int]string{10: "a", -9: "b"}, "82f7a1620aa161"},
		{map[uint64]bool{1: true}, "8101c3"},
		{keyed(netip.MustParseAddr("::1"), 1), "81a33a3a3101"},
		{keyed(named("k"), 1), "81a16b01"},
		{keyed((*textual)(nil), 1), "81a001"},
		{map[any]any{int64(1): "a", "x": nil, true: 2.5}, "8301a161a178c0c3cb4004000000000000"},
		{keyed[any](at(1, 0), 1), "81d6ff0000000101"},
		{at(0, 0), "d6ff00000000"},
		{at(math.MaxUint32, 0), "d6ffffffffff"},
		{at(math.MaxUint32+1, 0), "d7ff0000000100000000"},
		{at(1, 1), "d7ff0000000400000001"},
		{at(1<<34-1, 999999999), "d7ffee6b27ffffffffff"},
		{at(1<<34, 0), "c70cff000000000000000400000000"},
		{at(-1, 5), "c70cff00000005ffffffffffffffff"},
		{time.Time{}, "c70cff00000000fffffff1886e0900"},
		{zone(at(1, 0), 5), "d6ff00000001"},
		{protocol.Extension{Type: 5, Data: []byte{1}}, "d40501"},
		{protocol.Extension{Type: -7, Data: []byte{1, 2}}, "d5f90102"},
		{protocol.Extension{Type: 5, Data: make([]byte, 4)}, "d60500000000"},
		{protocol.Extension{Type: 5, Data: make([]byte, 8)}, "d705" + repeat("00", 8)},
		{protocol.Extension{Type: 5, Data: make([]byte, 16)}, "d805" + repeat("00", 16)},
		{protocol.Extension{Type: 5}, "c70005"},
		{protocol.Extension{Type: 5, Data: make([]byte, 3)}, "c70305000000"},
		{protocol.Extension{Type: 5, Data: make([]byte, 256)}, "c8010005" + repeat("00", 256)},
		{new(5), "05"},
		{new(any(new(5))), "05"},
		{(*int)(nil), "c0"},
		{new((*payload)(nil)), "c0"},
		{json.RawMessage(` {"a":[1,-1,1.5,true,null,"é\n"],"b":{}} `), "82a1619601ffcb3ff8000000000000c3c0a3c3a90aa16280"},
		{json.RawMessage(nil), "c0"},
		{json.RawMessage(`[` + repeat("1,", 16) + `1]`), "dc0011" + repeat("01", 17)},
		{json.RawMessage(`18446744073709551615`), "cfffffffffffffffff"},
		{json.RawMessage(`18446744073709551616`), "cb43f0000000000000"},
		{json.Number("12"), "0c"},
		{json.Number("1e2"), "cb4059000000000000"},
		{json.Number(""), "00"},
		{level(1), "a36c6f77"},
		{netip.MustParseAddr("::1"), "a33a3a31"},
		{big.NewInt(7), "07"},
		{*big.NewInt(7), "80"}, // not addressable: no methods, and no exported fields
		{&textual{1}, "a22331"},
		{[]textual{{2}}, "91a22332"},
		{keyed("a", textual{3}), "81a16180"},
		{optional{set: true, value: 3}, "03"},
		{[]optional{{}}, "91c0"},
		{protocol.Value{}, "c0"},
		{protocol.Encoded{}, "c0"},
		{protocol.Headers{"a": "b"}, "81a161a162"},
		{errors.New("x"), "80"},
		{struct{}{}, "80"},
	} {
		got, err := protocol.MessagePack().AppendValue(nil, test.value)
		if err != nil || hex.EncodeToString(got) != test.want {
			t.Errorf("%T %.60v: got %.80x, %v, want %.80s", test.value, test.value, got, err, test.want)
		}
	}
}

func TestMessagePackRefusesValues(t *testing.T) {
	cycle := map[string]any{}
	cycle["a"] = cycle
	loop := []any{nil}
	loop[0] = loop
	type node struct{ Next *node }
	ring := &node{}
	ring.Next = ring
	var self any
	self = &self
	deep := func(n int) any {
		var v any
		for range n {
			v = []any{v}
		}
		return v
	}
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"channel":            {[]any{make(chan int)}, "chan int"},
		"function":           {map[string]any{"a": func() {}}, "func()"},
		"complex":            {struct{ C complex64 }{}, "complex64"},
		"key":                {map[bool]int{true: 1}, "bool"},
		"key of struct":      {map[struct{ A int }]int{{1}: 1}, "struct"},
		"list as a key":      {map[any]int{[1]int{1}: 1}, "deep"},
		"map of itself":      {cycle, "64 deep"},
		"list of itself":     {loop, "64 deep"},
		"ring":               {ring, "64 deep"},
		"pointer to itself":  {self, "nowhere"},
		"65 levels":          {deep(65), "64 deep"},
		"65 levels of JSON":  {json.RawMessage(repeat("[", 65) + repeat("]", 65)), "64 deep"},
		"60 and 5 levels":    {[]any{[]any{[]any{[]any{[]any{json.RawMessage(repeat("[", 60) + repeat("]", 60))}}}}}, "64 deep"},
		"broken text":        {broken{}, "protocol_test.broken: broken"},
		"broken key":         {map[broken]int{{}: 1}, "broken"},
		"no JSON":            {wrong{"{"}, "protocol_test.wrong"},
		"two JSON":           {wrong{"1 2"}, "protocol_test.wrong"},
		"empty JSON":         {wrong{""}, "protocol_test.wrong"},
		"no number":          {json.Number("0x1"), "0x1"},
		"infinite":           {json.Number("Inf"), "Inf"},
		"spaces":             {json.Number(" 1"), " 1"},
		"a number too large": {json.RawMessage("[1e999]"), "1e999"},
	} {
		if got, err := protocol.MessagePack().AppendValue([]byte("x"), test.value); err == nil || !strings.Contains(err.Error(), test.want) || string(got) != "x" {
			t.Errorf("%s: got %x, %v, want an error that says %q", name, got, err, test.want)
		}
	}
	if _, err := protocol.MessagePack().AppendValue(nil, deep(64)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

// The structs that encoding/json has rules for.
type (
	Base struct {
		ID   int
		Name string `json:"name"`
	}
	hidden struct {
		Seen int
		seen int
	}
	Deeper struct{ Base }
	Other  struct {
		ID    int
		Other int
	}
	Tagged struct {
		Base `json:"base"`
	}
	renamed struct {
		A int `json:"a"`
		B int `json:"b,omitempty"`
		C int `json:"-"`
		D int `json:"-,"` //nolint:staticcheck // a field that is named "-"
		E int `json:",omitempty"`
		G int `json:"ключ"`
		h int
		I *int                       `json:"i,omitempty"`
		J []int                      `json:"j,omitempty"`
		K map[string]int             `json:"k,omitempty"`
		L time.Time                  `json:"l,omitzero"`
		M Base                       `json:"m,omitempty"` //nolint:modernize // no struct is empty
		N Base                       `json:"n,omitzero"`
		O any                        `json:"o,omitempty"`
		P [0]int                     `json:"p,omitempty"`
		Q *time.Time                 `json:"q,omitzero"`
		R zeroish                    `json:"r,omitzero"`
		S []zeroish                  `json:"s,omitempty,omitzero"`
		T pzeroish                   `json:"t,omitzero"`
		U interface{ IsZero() bool } `json:"u,omitzero"`
		V string                     `json:"v,omitempty"`
		W bool                       `json:"w,omitempty"`
	}
	zeroish  int
	pzeroish int
	twice    struct {
		Deeper
		Base
		Other
	}
	Plain struct{ ID, Size int }
	Left  struct{ Plain }
	Right struct{ Plain }
	both  struct {
		Left
		Right
	}
	conflict struct {
		Base
		Other
	}
	pointers struct {
		*Base
		*Other
		hidden
	}
	Int       int
	embedInts struct {
		Int
		named
		*Deeper
	}
	embedTime struct{ time.Time }
	embedUn   struct {
		hidden `json:"h"`
	}
	large struct{ A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P int }
	tree  struct {
		Left, Right *tree           `json:",omitempty"`
		Kids        map[string]tree `json:"kids,omitempty"`
		Label       string
	}
	ptrMethods struct {
		T textual
		P *textual
		B *big.Int
		V []big.Int
		I encoding.TextMarshaler
		N encoding.TextMarshaler
	}
)

func (z zeroish) IsZero() bool   { return z == 7 }
func (z *pzeroish) IsZero() bool { return *z == 8 }

func structs() []any {
	one := 1
	when := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	return []any{
		Base{1, "n"},
		Deeper{Base{1, "n"}},
		Tagged{Base{1, "n"}},
		hidden{1, 2},
		renamed{},
		renamed{R: 7, T: 8, U: zeroish(7)},
		renamed{1, 2, 3, 4, 5, 7, 8, &one, []int{1}, map[string]int{"z": 1, "a": 2}, when, Base{1, ""}, Base{0, "x"}, 0, [0]int{}, &when, 1, []zeroish{1}, 1, zeroish(1), "v", true},
		&renamed{T: 8},
		renamed{U: (*pzeroish)(nil)},
		twice{Deeper{Base{1, "a"}}, Base{2, "b"}, Other{3, 4}},
		both{Left{Plain{1, 2}}, Right{Plain{2, 3}}},
		conflict{Base{1, "a"}, Other{2, 3}},
		pointers{},
		pointers{Base: &Base{1, "x"}},
		pointers{&Base{1, "x"}, &Other{2, 3}, hidden{4, 5}},
		embedInts{},
		embedInts{1, "x", &Deeper{Base{2, "y"}}},
		embedTime{when},
		embedUn{hidden{1, 2}},
		large{P: 1},
		tree{},
		tree{Left: &tree{Label: "l"}, Kids: map[string]tree{"b": {}, "a": {Label: "k"}}},
		ptrMethods{},
		&ptrMethods{textual{1}, &textual{2}, big.NewInt(3), []big.Int{*big.NewInt(4)}, &textual{5}, nil},
		payload{},
		payload{Text: new("t"), Count: -5, Ratio: 2.5, Flag: true, Tags: []string{"a"}, Data: []byte("d"), At: when, Child: &payload{At: when}},
		struct {
			A any
			B []any
			C map[string]any
		}{1, []any{"x", Base{}}, map[string]any{"m": &Base{}}},
		struct{ F32 float32 }{0.1},
		struct{ Q json.Number }{"1.5"},
		struct{ R json.RawMessage }{json.RawMessage(`{"z":1,"a":[2]}`)},
		map[level]int{1: 1, 2: 2},
		[]any{Base{}, &Base{}, []Base{{}}},
	}
}

// A struct means the same in both encodings: what MessagePack writes is, as
// JSON, what encoding/json writes.
func TestMessagePackWritesStructsLikeJSON(t *testing.T) {
	for _, value := range structs() {
		packed, err := protocol.MessagePack().AppendValue(nil, value)
		if err != nil {
			t.Errorf("%T: %v", value, err)
			continue
		}
		var v protocol.Value
		if err := protocol.MessagePack().Bind(packed, &v); err != nil {
			t.Errorf("%T: %x: %v", value, packed, err)
			continue
		}
		got, err := json.Marshal(v)
		want, _ := json.Marshal(value)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T: got %s, %v, want %s", value, got, err, want)
		}
	}
}

// And both are read as the same Go value.
func TestBindReadsStructsAlike(t *testing.T) {
	compare := cmp.Exporter(func(reflect.Type) bool { return true })
	number := cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 })
	for _, value := range structs() {
		typ := reflect.TypeOf(value)
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		var got [2]any
		var failed [2]error
		for i, codec := range []protocol.Codec{protocol.JSON(), protocol.MessagePack()} {
			raw, err := codec.AppendValue(nil, value)
			if err != nil {
				t.Fatal(err)
			}
			into := reflect.New(typ)
			failed[i] = codec.Bind(raw, into.Interface())
			got[i] = into.Interface()
		}
		if (failed[0] == nil) != (failed[1] == nil) {
			t.Errorf("%s: JSON %v, MessagePack %v", typ, failed[0], failed[1])
		}
		if diff := cmp.Diff(got[0], got[1], compare, number); failed[0] == nil && diff != "" {
			t.Errorf("%s: -JSON +MessagePack:\n%s", typ, diff)
		}
	}
}

func TestMessagePackFindsFieldsInAnyCase(t *testing.T) {
	type both struct {
		Lower int `json:"key"`
		Upper int `json:"KEY"`
		K     int `json:"Kelvin"`
	}
	for _, test := range []struct {
		json string
		want both
	}{
		{`{"key":1,"KEY":2}`, both{Lower: 1, Upper: 2}},
		{`{"Key":1}`, both{Lower: 1}},
		{"{\"\u212aELVIN\":3}", both{K: 3}},
	} {
		for _, codec := range []protocol.Codec{protocol.JSON(), protocol.MessagePack()} {
			raw, err := codec.AppendValue(nil, valueOf(t, test.json))
			if err != nil {
				t.Fatal(err)
			}
			var got both
			if err := codec.Bind(raw, &got); err != nil || got != test.want {
				t.Errorf("%s: %s: got %+v, %v, want %+v", codec.Name(), test.json, got, err, test.want)
			}
		}
	}
}

// An embedded pointer to a type that is not exported cannot be set.
func TestMessagePackCannotSetHiddenPointers(t *testing.T) {
	type field struct{ *hidden }
	type tagged struct {
		*hidden `json:"h"`
	}
	raw := unhex(t, "81a45365656e01")
	if err := protocol.MessagePack().Bind(raw, new(field)); err == nil || !strings.Contains(err.Error(), "exported") {
		t.Errorf("embedded: got %v", err)
	}
	if err := protocol.MessagePack().Bind(unhex(t, "81a16881a45365656e01"), new(tagged)); err == nil || !strings.Contains(err.Error(), "exported") {
		t.Errorf("tagged: got %v", err)
	}
	into := field{&hidden{}}
	if err := protocol.MessagePack().Bind(raw, &into); err != nil || into.Seen != 1 {
		t.Errorf("made before: got %v, %v", into.Seen, err)
	}
}
