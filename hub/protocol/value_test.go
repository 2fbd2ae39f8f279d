package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tidings/hub/protocol"
)

func codecs() []protocol.Codec { return []protocol.Codec{protocol.JSON(), protocol.MessagePack()} }

// A value goes on as it came in its own encoding, and transcoded in the other.
func TestValueGoesOn(t *testing.T) {
	for _, test := range []struct{ name, json, packed, fromJSON, fromPack string }{
		{"object", `{"b":1, "a":[true,null,-1.5,"x\u0041"]}`, "82a16201a16194c3c0cbbff8000000000000a27841", "82a16201a16194c3c0cbbff8000000000000a27841", `{"b":1,"a":[true,null,-1.5,"xA"]}`},
		{"wide", `9007199254740993`, "d30020000000000001", "cf0020000000000001", `9007199254740993`},
		{"unsigned", `18446744073709551615`, "cfffffffffffffffff", "cfffffffffffffffff", `18446744073709551615`},
		{"float", `1e2`, "cb4059000000000000", "cb4059000000000000", `100`},
		{"float32", `0.1`, "ca3dcccccd", "cb3fb999999999999a", `0.1`},
		{"bytes", `"aGk="`, "c4026869", "a461476b3d", `"aGk="`},
		{"time", `"2026-01-02T02:58:05.5Z"`, "d7ff773594006957343d", "b6323032362d30312d30325430323a35383a30352e355a", `"2026-01-02T02:58:05.5Z"`},
		{"extension", `{"type":5,"data":"Cg=="}`, "d4050a", "82a47479706505a464617461a443673d3d", `{"type":5,"data":"Cg=="}`},
		{"keys", `{"1":0,"-1":0,"18446744073709551615":0}`, "830100ff00cfffffffffffffffff00", "83a13100a22d3100b4313834343637343430373337303935353136313500", `{"1":0,"-1":0,"18446744073709551615":0}`},
		{"null", `null`, "c0", "c0", `null`},
		{"empty", `[[],{},""]`, "939080a0", "939080a0", `[[],{},""]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			packed := unhex(t, test.packed)
			var fromJSON, fromPack protocol.Value
			text := []byte(test.json)
			if err := protocol.JSON().Bind(text, &fromJSON); err != nil {
				t.Fatal(err)
			}
			if err := protocol.MessagePack().Bind(packed, &fromPack); err != nil {
				t.Fatal(err)
			}
			clear(text) // the record is overwritten
			clear(packed)
			for _, each := range []struct {
				codec protocol.Codec
				value protocol.Value
				want  string
			}{
				{protocol.JSON(), fromJSON, test.json},
				{protocol.JSON(), fromPack, test.fromPack},
				{protocol.MessagePack(), fromJSON, string(unhex(t, test.fromJSON))},
				{protocol.MessagePack(), fromPack, string(unhex(t, test.packed))},
			} {
				for _, value := range []any{each.value, &each.value} {
					got, err := each.codec.AppendValue(nil, value)
					if _, isPointer := value.(*protocol.Value); isPointer && !each.codec.Binary() {
						each.want = strings.ReplaceAll(each.want, ", ", ",") // encoding/json compacts
					}
					if err != nil || string(got) != each.want {
						t.Errorf("%s: got %q, %v, want %q", each.codec.Name(), got, err, each.want)
					}
				}
			}
		})
	}
}

func TestValueInsideOthers(t *testing.T) {
	type envelope struct {
		Value protocol.Value            `json:"value"`
		Ptr   *protocol.Value           `json:"ptr"`
		Map   map[string]protocol.Value `json:"map"`
		Any   any                       `json:"any"`
	}
	const text = `{"value":{"a":[1,2]},"ptr":[9007199254740993],"map":{"k":null},"any":1}`
	for _, in := range codecs() {
		raw, err := in.AppendValue(nil, json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		var e envelope
		if err := in.Bind(raw, &e); err != nil {
			t.Fatal(err)
		}
		for _, out := range codecs() {
			got, err := out.AppendValue(nil, e)
			want, _ := out.AppendValue(nil, json.RawMessage(text))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s to %s: got %q, %v, want %q", in.Name(), out.Name(), got, err, want)
			}
		}
		got, err := json.Marshal(e)
		if err != nil || string(got) != text {
			t.Errorf("encoding/json of %s: got %s, %v", in.Name(), got, err)
		}
	}
	var e envelope
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	var a map[string][]int8
	if err := e.Value.Bind(&a); err != nil || len(a["a"]) != 2 {
		t.Errorf("got %v, %v", a, err)
	}
}

func TestValueBinds(t *testing.T) {
	var fromPack protocol.Value
	if err := protocol.MessagePack().Bind(unhex(t, "d7ff773594006957343d"), &fromPack); err != nil {
		t.Fatal(err)
	}
	fromJSON := valueOf(t, `"2026-01-02T02:58:05.5Z"`)
	want := time.Date(2026, 1, 2, 2, 58, 5, 5e8, time.UTC)
	for _, v := range []protocol.Value{fromPack, fromJSON} {
		var got time.Time
		if err := v.Bind(&got); err != nil || !got.Equal(want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		if err := v.Bind(new(int)); err == nil {
			t.Error("a time was bound to an integer")
		}
	}
	got := new(1)
	if err := (protocol.Value{}).Bind(&got); err != nil || got != nil {
		t.Errorf("the zero Value: got %v, %v, want nil", got, err)
	}
	if err := new(protocol.Value).UnmarshalJSON([]byte("{")); err == nil {
		t.Error("half an object was taken for JSON")
	}
}

// What JSON cannot say is an error and no broken text.
func TestValuesThatJSONDoesNotHave(t *testing.T) {
	for name, packed := range map[string]string{
		"infinity": "cb7ff0000000000000", "no number": "ca7fc00000", "list as key": "819001", "bytes as key": "81c4016101", "nil as key": "81c001",
		"year 10000": "c70cff000000000000003afff44180", "year -1": "c70cff00000000fffffff000000000", "no timestamp": "c703ff000000",
	} {
		var v protocol.Value
		if err := protocol.MessagePack().Bind(unhex(t, packed), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := protocol.JSON().AppendValue([]byte("x"), v); err == nil || string(got) != "x" {
			t.Errorf("%s: got %s, %v, want an error", name, got, err)
		}
		if got, err := protocol.JSON().AppendValue([]byte("x"), []any{v}); err == nil || string(got) != "x" {
			t.Errorf("%s in a list: got %s, %v, want an error", name, got, err)
		}
		if err := protocol.MessagePack().Bind(unhex(t, packed), new(json.RawMessage)); err == nil {
			t.Errorf("%s: was bound to json.RawMessage", name)
		}
	}
}

// An Encoded is what the value was when it was encoded.
func TestEncodedIsSent(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	value := map[string]any{"data": []byte("hi"), "at": at, "n": 1}
	const text = `{"at":"2026-01-02T03:04:05+01:00","data":"aGk=","n":1}`
	packed := "83a26174d6ff69572795a464617461c4026869a16e01"
	transcoded := `{"at":"2026-01-02T02:04:05Z","data":"aGk=","n":1}`
	textual, err := protocol.MessagePack().AppendValue(nil, json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name       string
		codecs     []protocol.Codec
		json, pack string
	}{
		{"both", nil, text, packed},
		{"both by name", codecs(), text, packed},
		{"JSON", codecs()[:1], text, hex.EncodeToString(textual)},
		{"MessagePack", codecs()[1:], transcoded, packed},
	} {
		t.Run(test.name, func(t *testing.T) {
			encoded, err := protocol.Encode(value, test.codecs...)
			if err != nil {
				t.Fatal(err)
			}
			value["n"] = 2
			defer func() { value["n"] = 1 }()
			for _, message := range []protocol.Message{
				&protocol.Invocation{Target: "T", Arguments: []any{encoded}}, &protocol.StreamInvocation{InvocationID: "1", Target: "T", Arguments: []any{encoded}},
				&protocol.StreamItem{InvocationID: "1", Item: encoded}, &protocol.Completion{InvocationID: "1", HasResult: true, Result: encoded}, &protocol.StreamItem{InvocationID: "1", Item: []any{&encoded}},
			} {
				asJSON, err := protocol.JSON().Append(nil, message)
				if err != nil || !strings.Contains(string(asJSON), test.json) {
					t.Errorf("%T as JSON: got %s, %v, want …%s…", message, asJSON, err, test.json)
				}
				asPack, err := protocol.MessagePack().Append(nil, message)
				if err != nil || !strings.Contains(hex.EncodeToString(asPack), test.pack) {
					t.Errorf("%T as MessagePack: got %x, %v, want …%s…", message, asPack, err, test.pack)
				}
			}
			if got, err := json.Marshal(encoded); err != nil || string(got) != test.json {
				t.Errorf("encoding/json: got %s, %v, want %s", got, err, test.json)
			}
			again, err := protocol.Encode(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(again); err != nil || string(got) != test.json {
				t.Errorf("encoded again: got %s, %v, want %s", got, err, test.json)
			}
		})
	}
	if e, err := protocol.Encode(func() {}); err == nil {
		t.Errorf("a function was encoded: %v", e)
	}
	if got, err := json.Marshal(protocol.Encoded{}); err != nil || string(got) != "null" {
		t.Errorf("zero: got %s, %v, want null", got, err)
	}
}

// A message for many is encoded once for each codec.
func TestSharedKnowsBothCodecs(t *testing.T) {
	s := protocol.Share(&protocol.Ping{})
	for range 2 {
		for _, codec := range codecs() {
			want, _ := codec.Append(nil, &protocol.Ping{})
			if got, err := s.Bytes(codec); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %q, %v, want %q", codec.Name(), got, err, want)
			}
		}
	}
}

func TestEncodeJSON(t *testing.T) {
	got, err := protocol.EncodeJSON(map[string]any{"a": []byte("<"), "v": valueOf(t, `[1]`)})
	if err != nil || string(got) != `{"a":"PA==","v":[1]}` {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := protocol.EncodeJSON(func() {}); err == nil {
		t.Errorf("a function: got %s", got)
	}
}
