package protocol_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/hub/protocol"
)

// unhex reads bytes that may be grouped by blanks.
func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return b
}

// vectors are the golden records by name.
func vectors(tb testing.TB) map[string][]byte {
	tb.Helper()
	file, err := os.ReadFile("testdata/vectors/messagepack.txt")
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]byte{}
	for line := range strings.Lines(string(file)) {
		line, _, _ = strings.Cut(line, "#")
		if name, record, ok := strings.Cut(line, ":"); ok {
			all[name] = unhex(tb, strings.TrimSpace(record))
		}
	}
	return all
}

type goldenMessage struct {
	name    string
	message protocol.Message
	// raw is what stands for the values when the message is read.
	raw protocol.Message
}

func raws(texts ...string) []protocol.Raw {
	all := []protocol.Raw{}
	for _, text := range texts {
		b, _ := hex.DecodeString(text)
		all = append(all, b)
	}
	return all
}

func goldenMessages() []goldenMessage {
	type (
		invocation = protocol.Invocation
		completion = protocol.Completion
	)
	h := protocol.Headers{"h": "v"}
	xz := protocol.Headers{"x": "y", "z": "z"}
	return []goldenMessage{
		{"invocation", &invocation{InvocationID: "xyz", Target: "method", Arguments: []any{42}}, &invocation{InvocationID: "xyz", Target: "method", RawArguments: raws("2a")}},
		{"invocation without id", &invocation{Target: "method", Arguments: []any{42}}, &invocation{Target: "method", RawArguments: raws("2a")}},
		{"invocation with headers", &invocation{Headers: xz, InvocationID: "xyz", Target: "method", Arguments: []any{42}}, &invocation{Headers: xz, InvocationID: "xyz", Target: "method", RawArguments: raws("2a")}},
		{"no arguments", &invocation{Target: "T"}, &invocation{Target: "T", RawArguments: raws()}},
		{"arguments", &invocation{Target: "T", Arguments: []any{"é", nil, true, -1, 1.5, []byte{0}, map[string]int{}}}, &invocation{Target: "T", RawArguments: raws("a2c3a9", "c0", "c3", "ff", "cb3ff8000000000000", "c40100", "80")}},
		{"client result", &invocation{InvocationID: "s1", Target: "Ask"}, &invocation{InvocationID: "s1", Target: "Ask", RawArguments: raws()}},
		{"streams of the client", &invocation{InvocationID: "0", Target: "T", StreamIDs: []string{"1", "2"}}, &invocation{InvocationID: "0", Target: "T", RawArguments: raws(), StreamIDs: []string{"1", "2"}}},
		{"stream invocation", &protocol.StreamInvocation{InvocationID: "xyz", Target: "method", Arguments: []any{42}}, &protocol.StreamInvocation{InvocationID: "xyz", Target: "method", RawArguments: raws("2a")}},
		{"stream and streams", &protocol.StreamInvocation{InvocationID: "1", Target: "S", StreamIDs: []string{"2"}}, &protocol.StreamInvocation{InvocationID: "1", Target: "S", RawArguments: raws(), StreamIDs: []string{"2"}}},
		{"item", &protocol.StreamItem{InvocationID: "xyz", Item: 42}, &protocol.StreamItem{InvocationID: "xyz", RawItem: protocol.Raw{0x2a}}},
		{"item with headers", &protocol.StreamItem{Headers: h, InvocationID: "1", Item: 42}, &protocol.StreamItem{Headers: h, InvocationID: "1", RawItem: protocol.Raw{0x2a}}},
		{"null item", &protocol.StreamItem{InvocationID: "1"}, &protocol.StreamItem{InvocationID: "1", RawItem: protocol.Raw{0xc0}}},
		{"error", &completion{InvocationID: "xyz", Error: "Error"}, &completion{InvocationID: "xyz", Error: "Error"}},
		{"end of a stream", &completion{InvocationID: "xyz"}, &completion{InvocationID: "xyz"}},
		{"result", &completion{InvocationID: "xyz", HasResult: true, Result: 42}, &completion{InvocationID: "xyz", HasResult: true, RawResult: protocol.Raw{0x2a}}},
		{"void result", &completion{InvocationID: "0", HasResult: true}, &completion{InvocationID: "0", HasResult: true, RawResult: protocol.Raw{0xc0}}},
		{"completion with headers", &completion{Headers: h, InvocationID: "0", HasResult: true, Result: ""}, &completion{Headers: h, InvocationID: "0", HasResult: true, RawResult: protocol.Raw{0xa0}}},
		{"cancel", &protocol.CancelInvocation{InvocationID: "xyz"}, &protocol.CancelInvocation{InvocationID: "xyz"}},
		{"cancel with headers", &protocol.CancelInvocation{Headers: h, InvocationID: "7"}, &protocol.CancelInvocation{Headers: h, InvocationID: "7"}},
		{"ping", &protocol.Ping{}, &protocol.Ping{}},
		{"close", &protocol.Close{}, &protocol.Close{}},
		{"close with error", &protocol.Close{Error: "xyz"}, &protocol.Close{Error: "xyz"}},
		{"close with all", &protocol.Close{Error: "xyz", AllowReconnect: true}, &protocol.Close{Error: "xyz", AllowReconnect: true}},
		{"ack", &protocol.Ack{SequenceID: 36}, &protocol.Ack{SequenceID: 36}},
		{"ack of many", &protocol.Ack{SequenceID: 1394}, &protocol.Ack{SequenceID: 1394}},
		{"sequence", &protocol.Sequence{SequenceID: 19}, &protocol.Sequence{SequenceID: 19}},
		{"sequence of many", &protocol.Sequence{SequenceID: 100000}, &protocol.Sequence{SequenceID: 100000}},
	}
}

// The bytes of the official text and server, both ways.
func TestMessagePackGolden(t *testing.T) {
	records, codec := vectors(t), protocol.MessagePack()
	for _, test := range goldenMessages() {
		t.Run(test.name, func(t *testing.T) {
			want := records[test.name]
			delete(records, test.name)
			got, err := codec.Append([]byte("before"), test.message)
			if err != nil || string(got) != "before"+string(want) {
				t.Fatalf("append: got %x, %v, want %x", got, err, want)
			}
			record, rest, err := codec.Split(append(slices.Clip(want), 0xff), len(want))
			if err != nil || len(rest) != 1 {
				t.Fatalf("split: got %x, %x, %v", record, rest, err)
			}
			message, err := codec.Decode(record)
			if diff := cmp.Diff(test.raw, message); err != nil || diff != "" {
				t.Errorf("decode: %v, -want +got:\n%s", err, diff)
			}
		})
	}
	for name := range records {
		t.Errorf("no message for the vector %q", name)
	}
}

// Any legal width and any later element is read.
func TestMessagePackReads(t *testing.T) {
	for _, test := range []struct {
		name, record string
		want         protocol.Message
	}{
		{"no stream ids", "95 01 80 c0 a1 54 90", &protocol.Invocation{Target: "T", RawArguments: raws()}},
		{"empty id is none", "96 01 80 a0 a1 54 90 90", &protocol.Invocation{Target: "T", RawArguments: raws()}},
		{"later elements", "98 01 80 c0 a1 54 90 90 82 01 02 03 04 c7 01 05 00", &protocol.Invocation{Target: "T", RawArguments: raws()}},
		{"widest", "dd 00000006 d3 0000000000000001 df 00000001 db 00000001 68 da 0001 76 d9 01 31 db 00000001 54 dc 0001 dd 00000000 dc 0001 d9 01 32", &protocol.Invocation{
			Headers: protocol.Headers{"h": "v"}, InvocationID: "1", Target: "T", RawArguments: raws("dd00000000"), StreamIDs: []string{"2"},
		}},
		{"wide kind of result", "dc 0005 d0 03 de 0000 a1 31 cf 0000000000000003 c2", &protocol.Completion{InvocationID: "1", HasResult: true, RawResult: protocol.Raw{0xc2}}},
		{"empty error", "95 03 80 a1 31 01 a0", &protocol.Completion{InvocationID: "1"}},
		{"void and more", "95 03 80 a1 31 02 c0", &protocol.Completion{InvocationID: "1"}},
		{"long ping", "92 06 c0", &protocol.Ping{}},
		{"close of the client", "92 07 c0", &protocol.Close{}},
		{"negative ack", "92 08 d3 ffffffffffffffff", &protocol.Ack{SequenceID: -1}},
		{"wide ack", "92 08 cf 7fffffffffffffff", &protocol.Ack{SequenceID: math.MaxInt64}},
		{"uint 8", "92 09 cc 13", &protocol.Sequence{SequenceID: 19}},
		{"uint 16", "92 09 cd 0013", &protocol.Sequence{SequenceID: 19}},
		{"uint 32", "92 09 ce 00000013", &protocol.Sequence{SequenceID: 19}},
		{"int 16", "92 09 d1 8000", &protocol.Sequence{SequenceID: math.MinInt16}},
		{"int 32", "92 09 d2 80000000", &protocol.Sequence{SequenceID: math.MinInt32}},
		{"unknown type", "92 63 80", nil},
		{"type 0", "91 00", nil},
		{"negative type", "91 ff", nil},
		{"unknown type of another shape", "93 0a a1 78 91 91 c0", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := protocol.MessagePack().Decode(unhex(t, test.record))
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%s: %v, -want +got:\n%s", test.record, err, diff)
			}
		})
	}
}

func TestMessagePackRefuses(t *testing.T) {
	nested := func(n int) string { return "96 01 80 c0 a1 54 91" + strings.Repeat("91", n-1) + "90 90" }
	for name, record := range map[string]string{
		"nothing": "", "no array": "06", "a map": "81 06 c0", "nil": "c0", "empty array": "90", "bytes after it": "91 06 00", "type as text": "91 a1 36",
		"type as float": "91 cb 4018000000000000", "no type": "91 c0", "huge type": "91 cf ffffffffffffffff", "cut in the array": "96 01", "cut in the length": "dc 00", "a promise": "dd ffffffff 06",
		"no headers": "91 01", "headers are nil": "96 01 c0 c0 a1 54 90 90", "headers are a list": "96 01 90 c0 a1 54 90 90", "header is a number": "96 01 81 a1 68 01 c0 a1 54 90 90", "name is a number": "96 01 81 01 a1 76 c0 a1 54 90 90", "cut headers": "96 01 8f a1 68",
		"no target": "93 01 80 c0", "empty target": "96 01 80 c0 a0 90 90", "target is nil": "96 01 80 c0 c0 90 90", "target is bytes": "96 01 80 c0 c4 01 54 90 90", "id is a number": "96 01 80 01 a1 54 90 90",
		"no arguments": "94 01 80 c0 a1 54", "arguments are nil": "96 01 80 c0 a1 54 c0 90", "arguments are a map": "96 01 80 c0 a1 54 80 90", "a promised argument": "96 01 80 c0 a1 54 dd 7fffffff 90", "stream ids are nil": "96 01 80 c0 a1 54 90 c0", "stream id is a number": "96 01 80 c0 a1 54 90 91 01",
		"no id to stream": "96 04 80 c0 a1 54 90 90", "empty id to stream": "96 04 80 a0 a1 54 90 90", "no item": "93 02 80 a1 31", "no id of an item": "94 02 80 c0 01", "no kind": "93 03 80 a1 31", "no id of a completion": "95 03 80 c0 03 01", "kind 0": "95 03 80 a1 31 00 c0",
		"kind 4": "95 03 80 a1 31 04 c0", "kind as text": "95 03 80 a1 31 a1 33 c0", "no result": "94 03 80 a1 31 03", "no error": "94 03 80 a1 31 01", "error is nil": "95 03 80 a1 31 01 c0", "error is a number": "95 03 80 a1 31 01 01", "no id to cancel": "92 05 80", "nil to cancel": "93 05 80 c0", "empty id to cancel": "93 05 80 a0",
		"short close": "91 07", "close with a number": "92 07 01", "reconnect is nil": "93 07 c0 c0", "reconnect is a number": "93 07 c0 01", "short ack": "91 08", "ack as text": "92 08 a1 31", "ack as float": "92 08 cb 3ff0000000000000", "ack as nil": "92 08 c0", "ack of too many": "92 08 cf 8000000000000000", "short sequence": "91 09",
		"reserved byte": "94 02 80 a1 31 c1", "reserved byte in an unknown type": "92 63 c1", "reserved byte in a later element": "92 06 c1", "text is not UTF-8": "94 02 80 a1 31 a1 ff", "id is not UTF-8": "93 05 80 a1 ff", "nested UTF-8": "94 02 80 a1 31 91 d9 01 c0", "bytes cut short": "94 02 80 a1 31 c4 05 00", "huge bytes": "94 02 80 a1 31 c6 ffffffff 00",
		"extension cut short": "94 02 80 a1 31 d8 05 00", "map cut short": "94 02 80 a1 31 82 01 02 03", "huge map": "94 02 80 a1 31 df ffffffff", "number cut short": "94 02 80 a1 31 cf 00", "too deep": nested(64 - 1), "too deep in an unknown type": "92 63 " + strings.Repeat("81 01", 64) + "01",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := protocol.MessagePack().Decode(unhex(t, record)); !errors.Is(err, protocol.ErrMalformed) || m != nil {
				t.Errorf("%s: got %#v, %v, want ErrMalformed", record, m, err)
			}
		})
	}
	if _, err := protocol.MessagePack().Decode(unhex(t, nested(64-2))); err != nil {
		t.Errorf("64 levels: got %v", err)
	}
	if _, err := protocol.MessagePack().Decode(bytes.Repeat([]byte{0x91}, 1<<20)); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("a million levels: got %v, want ErrMalformed", err)
	}
}

func TestMessagePackSplits(t *testing.T) {
	const limit = 200
	for _, test := range []struct {
		name, data string
		record     string // "" = none yet
		want       error
	}{
		{"nothing", "", "", nil},
		{"whole", "02 91 06", "91 06", nil},
		{"and more", "02 91 06 02 91", "91 06", nil},
		{"cut", "02 91", "", nil},
		{"only the length", "02", "", nil},
		{"half a length", "80", "", nil},
		{"long way to write 2", "82 80 80 80 00 91 06", "91 06", nil},
		{"the longest", "c6 01" + strings.Repeat("00", limit-2), strings.Repeat("00", limit-2), nil},
		{"longer", "c7 01", "", protocol.ErrTooLarge},
		{"the longest length", "ff ff ff ff 07", "", protocol.ErrTooLarge},
		{"a length over 31 bits", "ff ff ff ff 08", "", protocol.ErrMalformed},
		{"a length of six bytes", "80 80 80 80 80 00", "", protocol.ErrMalformed},
		{"a length without end", "ff ff ff ff ff", "", protocol.ErrMalformed},
		{"empty", "00", "", protocol.ErrMalformed},
		{"empty, the long way", "80 00", "", protocol.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			record, _, err := protocol.MessagePack().Split(unhex(t, test.data), limit)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || !bytes.Equal(record, unhex(t, test.record)) || (record == nil) != (test.record == "") {
				t.Errorf("%s: got %x, %v, want %s, %v", test.data, record, err, test.record, test.want)
			}
			s := protocol.Splitter{Limit: limit}
			s.Feed(unhex(t, test.data))
			if record, ok, err := s.Next(protocol.MessagePack()); !errors.Is(err, test.want) || ok != (test.record != "") || !bytes.Equal(record, unhex(t, test.record)) {
				t.Errorf("splitter: %s: got %x, %v, %v", test.data, record, ok, err)
			}
		})
	}
}

// Any chunking of the bytes yields the same records.
func TestMessagePackSplitterDoesNotCareForChunks(t *testing.T) {
	codec := protocol.MessagePack()
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want, got []string
		for range rapid.IntRange(0, 6).Draw(t, "records") {
			before := len(stream)
			var err error
			item := strings.Repeat("x", rapid.IntRange(0, 200).Draw(t, "size"))
			if stream, err = codec.Append(stream, &protocol.StreamItem{InvocationID: "1", Item: item}); err != nil {
				t.Fatal(err)
			}
			record, _, _ := codec.Split(stream[before:], len(stream))
			want = append(want, string(record))
		}
		s := protocol.Splitter{}
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "chunk")
			chunk := bytes.Clone(stream[:n])
			stream = stream[n:]
			s.Feed(chunk)
			for {
				record, ok, err := s.Next(codec)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				got = append(got, string(record))
			}
			clear(chunk) // the reader reuses it
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestCodecs(t *testing.T) {
	for _, test := range []struct {
		codec  protocol.Codec
		name   string
		binary bool
	}{{protocol.JSON(), "json", false}, {protocol.MessagePack(), "messagepack", true}} {
		if name, binary := test.codec.Name(), test.codec.Binary(); name != test.name || binary != test.binary {
			t.Errorf("got %s, %v, want %s, %v", name, binary, test.name, test.binary)
		}
		if got, err := test.codec.Append([]byte("x"), nil); err == nil || string(got) != "x" {
			t.Errorf("%s: no message was encoded: %q, %v", test.name, got, err)
		}
		if got, err := test.codec.Append([]byte("x"), &protocol.StreamItem{Item: func() {}}); err == nil || string(got) != "x" || !strings.Contains(err.Error(), "func()") {
			t.Errorf("%s: a function was encoded: %q, %v", test.name, got, err)
		}
		if got, err := test.codec.AppendValue([]byte("x"), make(chan int)); err == nil || string(got) != "x" || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("%s: a channel was encoded: %q, %v", test.name, got, err)
		}
	}
}

// HubProtocol, "Message Types": stateful reconnect counts types 1 to 5.
func TestCounted(t *testing.T) {
	for _, test := range []struct {
		message protocol.Message
		want    bool
	}{
		{&protocol.Invocation{}, true},
		{&protocol.StreamItem{}, true},
		{&protocol.Completion{}, true},
		{&protocol.StreamInvocation{}, true},
		{&protocol.CancelInvocation{}, true},
		{&protocol.Ping{}, false},
		{&protocol.Close{}, false},
		{&protocol.Ack{}, false},
		{&protocol.Sequence{}, false},
		{nil, false},
	} {
		if got := protocol.Counted(test.message); got != test.want {
			t.Errorf("%T: got %v, want %v", test.message, got, test.want)
		}
	}
}
