package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidings/hub/protocol"
)

// node is a type that is part of itself in every way there is.
type node struct {
	Next  *node
	List  []node
	Map   map[string]node
	Any   any
	Array [1]*node
	Value protocol.Value
	Keys  map[int]any
}

// asSent puts Values in place of what was received.
func asSent(t *testing.T, codec protocol.Codec, m protocol.Message) protocol.Message { //nolint:ireturn // see messageOf
	t.Helper()
	return received(t, codec, m, func(raw protocol.Raw) (any, error) {
		var v protocol.Value
		err := codec.Bind(raw, &v)
		return v, err
	})
}

func FuzzMessagePackDecode(f *testing.F) {
	for _, record := range vectors(f) {
		f.Add(record[1:])
	}
	for _, seed := range []string{
		"98 01 80 c0 a1 54 90 90 82 01 02 03 04 c7 01 05 00", "dd 00000006 d3 0000000000000001 df 00000001 db 00000001 68 da 0001 76 d9 01 31 db 00000001 54 dc 0001 dd 00000000 dc 0001 d9 01 32",
		"92 63 c1", "95 03 80 a1 31 01 a0", "94 02 80 a1 31 d8 05 00", "92 08 d3 ffffffffffffffff", "96 01 80 c0 a1 54 91 91 91 df ffffffff", "91 cf ffffffffffffffff",
	} {
		f.Add(unhex(f, seed))
	}
	codec := protocol.MessagePack()
	f.Fuzz(func(t *testing.T, record []byte) {
		first, err := codec.Decode(record)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) || first != nil {
				t.Fatalf("got %#v, %v", first, err)
			}
			return
		}
		if first == nil {
			return
		}
		again, err := codec.Decode(record)
		if err != nil {
			t.Fatal(err)
		}
		written, err := codec.Append(nil, asSent(t, codec, again))
		if err != nil {
			t.Fatal(err)
		}
		body, rest, err := codec.Split(written, len(written))
		if err != nil || len(rest) > 0 {
			t.Fatalf("%x: %x, %v", written, rest, err)
		}
		second, err := codec.Decode(body)
		if diff := cmp.Diff(first, second); err != nil || diff != "" {
			t.Fatalf("%x: %v, -first +second:\n%s", body, err, diff)
		}
		if last, err := codec.Append(nil, asSent(t, codec, second)); err != nil || !bytes.Equal(last, written) {
			t.Fatalf("got %x, %v, want %x", last, err, written)
		}
	})
}

func FuzzMessagePackBind(f *testing.F) {
	for _, seed := range []string{
		"c0", "01", "d3ffffffff7fffffff", "cfffffffffffffffff", "cb3ff8000000000000", "ca7fc00000", "a161", "c4026869", "d6ff6957343d", "d7ffee6b27ffffffffff", "c70cff00000005ffffffffffffffff", "d4050a", "c70005", "920102", "9301920281a16103c0",
		"820102a16103", "82a161030102", "81c0c0", "81a13102", "81cb7ff800000000000001", "81a56368696c6481a56368696c6481a26174c0", "84a474657874c0a474616773c0a464617461c0a56368696c64c0", "81a44e65787481a34d617081a16181a5417272617991c0", "81a44c69737492808081", "dd7fffffff00",
		"81a56368696c6481a26174d6ff6957343d", "82a16e01a16d91c0", "81a3616e7981a16ec0", "de000101a161", "c1", "d9ff61", "81a4746578749161",
	} {
		f.Add(unhex(f, seed))
	}
	codec := protocol.MessagePack()
	all := append(targets(), new(payload), new(node), new(map[string]node), new(protocol.Extension), new(json.RawMessage), new(json.Number), new([]byte), new(numbers), new(twice), new(embedTime), new(renamed))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, target := range all {
			into := reflect.New(reflect.TypeOf(target).Elem())
			if err := codec.Bind(raw, into.Interface()); err != nil {
				continue
			}
			first, err := codec.AppendValue(nil, into.Interface())
			if err != nil {
				t.Fatalf("%T: %+v: %v", target, into.Elem(), err)
			}
			again := reflect.New(into.Type().Elem())
			if err := codec.Bind(first, again.Interface()); err != nil {
				t.Fatalf("%T: %x: %v", target, first, err)
			}
			if second, err := codec.AppendValue(nil, again.Interface()); err != nil || !bytes.Equal(first, second) {
				t.Fatalf("%T: got %x, %v, want %x", target, second, err, first)
			}
		}
		var v protocol.Value
		if codec.Bind(raw, &v) != nil {
			return
		}
		if text, err := protocol.JSON().AppendValue(nil, v); err == nil && !json.Valid(text) {
			t.Fatalf("%x is no JSON: %s", raw, text)
		}
	})
}

// The chunks make no difference, and neither does what follows.
func FuzzPackSplit(f *testing.F) {
	f.Add(unhex(f, "02 91 06 02 91 06 08 96 01 80 c0 a1 54 90 90"), 3)
	f.Add(unhex(f, "82 80 80 80 00 91 06 ff ff ff ff 07"), 1)
	f.Add(unhex(f, "ff ff ff ff ff"), 4)
	f.Add(append(unhex(f, "c8 01"), make([]byte, 300)...), 100)
	f.Add(unhex(f, "00"), 0)
	const limit = 200
	codec := protocol.MessagePack()
	split := func(chunks ...[]byte) (records []string, err error) {
		s := protocol.Splitter{Limit: limit}
		for _, chunk := range chunks {
			chunk = bytes.Clone(chunk)
			s.Feed(chunk)
			for {
				record, ok, err := s.Next(codec)
				if err != nil {
					return records, err
				}
				if !ok {
					break
				}
				records = append(records, string(record))
			}
			clear(chunk)
		}
		return records, nil
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		if cut < 0 || cut > len(stream) {
			return
		}
		whole, errWhole := split(stream)
		parts, errParts := split(stream[:cut], stream[cut:])
		if diff := cmp.Diff(whole, parts); diff != "" || (errWhole == nil) != (errParts == nil) {
			t.Fatalf("cut at %d: %v, %v, -whole +parts:\n%s", cut, errWhole, errParts, diff)
		}
		if errWhole != nil && !errors.Is(errWhole, protocol.ErrMalformed) && !errors.Is(errWhole, protocol.ErrTooLarge) {
			t.Fatalf("error of another kind: %v", errWhole)
		}
		for _, record := range whole {
			if len(record) == 0 || len(record) > limit {
				t.Fatalf("a record of %d bytes", len(record))
			}
		}
	})
}

// Both encodings agree on any JSON, too, that MessagePack can say.
func FuzzJSONBind(f *testing.F) {
	for _, seed := range []string{
		`null`, `[1,null]`, `{"a":null,"b":false,"c":[1,1.5,18446744073709551615],"d":{"x":1e2},"f":[1,2],"g":null,"h":{"1":"x"},"i":"low"}`, `{"self":[{"a":"null"},{"self":[]}],"b":[1,null]}`,
		`{"any":{"any":[9007199254740993]}}`, `[[{"a":{"a":"\ud800"}}]]`, `{"low":true}`, `1e999`, ` [ ] `, "\"\xff\"", `{"A":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	all := targets()
	f.Fuzz(func(t *testing.T, text []byte) {
		packed, failed := protocol.MessagePack().AppendValue(nil, json.RawMessage(text))
		if bytes.Contains(text, []byte("-0")) {
			return // encoding/json refuses it for an unsigned integer, and MessagePack has no such integer
		}
		for _, target := range all {
			typ := reflect.TypeOf(target).Elem()
			fromJSON, fromPack := reflect.New(typ), reflect.New(typ)
			errJSON := protocol.JSON().Bind(text, fromJSON.Interface())
			if failed != nil {
				continue
			}
			errPack := protocol.MessagePack().Bind(packed, fromPack.Interface())
			if (errJSON == nil) != (errPack == nil) || errJSON == nil && !reflect.DeepEqual(fromJSON.Interface(), fromPack.Interface()) {
				t.Fatalf("%s to %s: JSON %v, %+v, MessagePack %v, %+v", text, typ, errJSON, fromJSON.Elem(), errPack, fromPack.Elem())
			}
		}
	})
}
