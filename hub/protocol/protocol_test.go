package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/hub/protocol"
)

// The bytes of the official server, property by property.
func TestJSONWritesWhatTheOfficialServerWrites(t *testing.T) {
	for _, test := range []struct {
		name    string
		message protocol.Message
		want    string
	}{
		{"invocation", &protocol.Invocation{Target: "T", Arguments: []any{1, "a<b&c>é\u2028", nil}}, "{\"type\":1,\"target\":\"T\",\"arguments\":[1,\"a<b&c>é\\u2028\",null]}"},
		{"no arguments", &protocol.Invocation{Target: "T"}, `{"type":1,"target":"T","arguments":[]}`},
		{"client result", &protocol.Invocation{InvocationID: "s1", Target: "Ask"}, `{"type":1,"invocationId":"s1","target":"Ask","arguments":[]}`},
		{"headers", &protocol.Invocation{Target: "T", Headers: protocol.Headers{"traceparent": "00-1"}}, `{"type":1,"headers":{"traceparent":"00-1"},"target":"T","arguments":[]}`},
		{"stream invocation", &protocol.StreamInvocation{InvocationID: "1", Target: "S", StreamIDs: []string{"2"}}, `{"type":4,"invocationId":"1","target":"S","arguments":[],"streamIds":["2"]}`},
		{"null item", &protocol.StreamItem{InvocationID: "1"}, `{"type":2,"invocationId":"1","item":null}`},
		{"void result", &protocol.Completion{InvocationID: "0", HasResult: true}, `{"type":3,"invocationId":"0","result":null}`},
		{"zero result", &protocol.Completion{InvocationID: "0", HasResult: true, Result: 0}, `{"type":3,"invocationId":"0","result":0}`},
		{"stream end", &protocol.Completion{InvocationID: "0"}, `{"type":3,"invocationId":"0"}`},
		{"error", &protocol.Completion{InvocationID: "0", Error: "a \"b\"\n\x01"}, `{"type":3,"invocationId":"0","error":"a \"b\"\n\u0001"}`},
		{"cancel", &protocol.CancelInvocation{InvocationID: "7"}, `{"type":5,"invocationId":"7"}`},
		{"ping", &protocol.Ping{}, `{"type":6}`},
		{"close", &protocol.Close{}, `{"type":7}`},
		{"close with all", &protocol.Close{Error: "e", AllowReconnect: true}, `{"type":7,"error":"e","allowReconnect":true}`},
		{"ack", &protocol.Ack{SequenceID: 3}, `{"type":8,"sequenceId":3}`},
		{"sequence", &protocol.Sequence{SequenceID: 4}, `{"type":9,"sequenceId":4}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := protocol.JSON().Append([]byte("before"), test.message)
			if err != nil || string(got) != "before"+test.want+"\x1e" {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
	if _, err := protocol.JSON().Append(nil, &protocol.Invocation{Target: "T", Arguments: []any{make(chan int)}}); err == nil {
		t.Error("a channel was encoded")
	}
}

func TestJSONReads(t *testing.T) {
	raw := func(texts ...string) []protocol.Raw {
		all := []protocol.Raw{}
		for _, text := range texts {
			all = append(all, protocol.Raw(text))
		}
		return all
	}
	for _, test := range []struct {
		name, record string
		want         protocol.Message
	}{
		{"type last, white space, unknown property", ` { "target" : "T" , "x":{"type":9}, "arguments" : [ 1 , "a,]}\"" , {"k":[ ]} ] , "type" : 1 } `, &protocol.Invocation{Target: "T", RawArguments: raw(`1`, `"a,]}\""`, `{"k":[ ]}`)}},
		{"empty id is none", `{"type":1,"invocationId":"","target":"T","arguments":[]}`, &protocol.Invocation{Target: "T", RawArguments: raw()}},
		{"escaped name and value", `{"t\u0079pe":1,"target":"T\u0041","arguments":[]}`, &protocol.Invocation{Target: "TA", RawArguments: raw()}},
		{"streams and headers", `{"type":4,"invocationId":"1","target":"T","arguments":[],"streamIds":["a","b"],"headers":{"h":"v"}}`, &protocol.StreamInvocation{InvocationID: "1", Target: "T", RawArguments: raw(), StreamIDs: []string{"a", "b"}, Headers: protocol.Headers{"h": "v"}}},
		{"null item", `{"type":2,"invocationId":"1","item":null}`, &protocol.StreamItem{InvocationID: "1", RawItem: protocol.Raw("null")}},
		{"result", `{"type":3,"invocationId":"1","result":{"a":1}}`, &protocol.Completion{InvocationID: "1", HasResult: true, RawResult: protocol.Raw(`{"a":1}`)}},
		{"error", `{"type":3,"invocationId":"1","error":"e"}`, &protocol.Completion{InvocationID: "1", Error: "e"}},
		{"cancel", `{"type":5,"invocationId":"1"}`, &protocol.CancelInvocation{InvocationID: "1"}},
		{"ping", `{"type":6}`, &protocol.Ping{}},
		{"close", `{"type":7,"error":null,"allowReconnect":false}`, &protocol.Close{}},
		{"ack", `{"type":8,"sequenceId":12}`, &protocol.Ack{SequenceID: 12}},
		{"sequence", `{"sequenceId":1,"type":9}`, &protocol.Sequence{SequenceID: 1}},
		{"unknown type", `{"type":99,"target":1}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := protocol.JSON().Decode([]byte(test.record))
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%s: %v, -want +got:\n%s", test.record, err, diff)
			}
		})
	}
}

func TestJSONRefuses(t *testing.T) {
	deep := `{"type":1,"target":"T","arguments":[` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `]}`
	for _, record := range []string{
		``, ` `, `[]`, `1`, `"x"`, `null`, `{`, `{}`, `{"type":6}x`, "\xef\xbb\xbf{\"type\":6}", `{"Type":6}`, `{"type":"6"}`, `{"type":null}`,
		`{"type":1,"target":"T"}`, `{"type":1,"arguments":[]}`, `{"type":1,"target":"","arguments":[]}`, `{"type":1,"target":1,"arguments":[]}`,
		`{"type":1,"target":"T","arguments":{}}`, `{"type":1,"target":"T","arguments":null}`, `{"type":1,"invocationId":null,"target":"T","arguments":[]}`,
		`{"type":1,"invocationId":1,"target":"T","arguments":[]}`, `{"type":1,"target":"T","arguments":[],"streamIds":[1]}`,
		`{"type":1,"target":"T","arguments":[],"headers":{"a":1}}`, `{"type":1,"target":"T","arguments":[],"headers":[]}`,
		`{"type":2,"invocationId":"1"}`, `{"type":2,"item":1}`, `{"type":3,"result":1}`, `{"type":3,"invocationId":"1","result":1,"error":"e"}`,
		`{"type":3,"invocationId":"1","error":null}`, `{"type":4,"target":"T","arguments":[]}`, `{"type":5}`, `{"type":7,"allowReconnect":"x"}`, `{"type":7,"error":1}`,
		`{"type":8}`, `{"type":8,"sequenceId":"1"}`, `{"type":9,"sequenceId":1.5}`, "{\"type\":6,\"a\":\"\xff\"}", deep,
	} {
		if m, err := protocol.JSON().Decode([]byte(record)); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%s: got %#v, %v, want ErrMalformed", record, m, err)
		}
	}
}

// Binding is as strict as System.Text.Json.
func TestJSONBinds(t *testing.T) {
	type payload struct {
		Text  *string   `json:"text"`
		Count int64     `json:"count"`
		At    time.Time `json:"at"`
	}
	for _, test := range []struct {
		raw  string
		into any
		ok   bool
	}{
		{`1`, new(int32), true},
		{`"1"`, new(int32), false},
		{`1.5`, new(int32), false},
		{`2147483648`, new(int32), false},
		{`null`, new(int32), false},
		{`true`, new(int), false},
		{`1`, new(string), false},
		{`"a"`, new(string), true},
		{`null`, new(string), true},
		{`null`, new(bool), false},
		{`1`, new(float64), true},
		{`"aGk="`, new([]byte), true},
		{`"?"`, new([]byte), false},
		{`null`, new(payload), false},
		{`null`, new(*payload), true},
		{`{"TEXT":"x","count":1,"at":"2026-01-02T03:04:05.678Z","more":1}`, new(payload), true},
		{`{"count":"1"}`, new(payload), false},
	} {
		if err := protocol.JSON().Bind(protocol.Raw(test.raw), test.into); (err == nil) != test.ok {
			t.Errorf("bind %s to %T: got %v, want ok = %v", test.raw, test.into, err, test.ok)
		}
	}
}

func TestHandshake(t *testing.T) {
	for _, test := range []struct {
		record string
		want   protocol.Handshake
		ok     bool
	}{
		{`{"protocol":"json","version":1}`, protocol.Handshake{Protocol: "json", Version: 1}, true},
		{` {"version":-1, "protocol":"messagepack", "x":[1]}`, protocol.Handshake{Protocol: "messagepack", Version: -1}, true},
		{`{"protocol":"json"}`, protocol.Handshake{}, false},
		{`{"version":1}`, protocol.Handshake{}, false},
		{`{"protocol":1,"version":1}`, protocol.Handshake{}, false},
		{`{"protocol":"json","version":"1"}`, protocol.Handshake{}, false},
		{`{"protocol":"json","version":null}`, protocol.Handshake{}, false},
		{`{"type":6}`, protocol.Handshake{}, false},
		{`GET /`, protocol.Handshake{}, false},
	} {
		got, err := protocol.ParseHandshake([]byte(test.record))
		if (err == nil) != test.ok || got != test.want || (err != nil && !errors.Is(err, protocol.ErrMalformed)) {
			t.Errorf("%s: got %+v, %v, want %+v, ok = %v", test.record, got, err, test.want, test.ok)
		}
	}
	if got := string(protocol.HandshakeAnswer("")) + string(protocol.HandshakeAnswer(`no "x"`)); got != "{}\x1e{\"error\":\"no \\\"x\\\"\"}\x1e" {
		t.Errorf("answers: got %q", got)
	}
}

// Any chunking of the bytes yields the same records.
func TestSplitterDoesNotCareForChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOf(rapid.StringMatching(`[a-z]{0,40}`)).Draw(t, "records")
		var stream []byte
		for _, r := range records {
			stream = append(append(stream, r...), 0x1e)
		}
		s := protocol.Splitter{Limit: 41} // the longest of them with its separator
		var got []string
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "chunk")
			chunk := append([]byte(nil), stream[:n]...) // as a reader's buffer
			stream = stream[n:]
			s.Feed(chunk)
			for {
				r, ok, err := s.Next(protocol.JSON())
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				got = append(got, string(r))
			}
			clear(chunk) // the reader reuses it
		}
		if fmt.Sprint(got) != fmt.Sprint(records) {
			t.Fatalf("got %q, want %q", got, records)
		}
	})
}

// The limit counts one record with its separator, not the bytes that came
// together.
func TestSplitterLimitsOneRecord(t *testing.T) {
	small := strings.Repeat("x", 9) + "\x1e"
	s := protocol.Splitter{Limit: 10}
	s.Feed([]byte(strings.Repeat(small, 50)))
	for range 50 {
		if _, ok, err := s.Next(protocol.JSON()); !ok || err != nil {
			t.Fatalf("got %v, %v, want a record", ok, err)
		}
	}
	for _, late := range []string{strings.Repeat("x", 10) + "\x1e", strings.Repeat("x", 10)} {
		s := protocol.Splitter{Limit: 10}
		s.Feed([]byte(late))
		if _, _, err := s.Next(protocol.JSON()); !errors.Is(err, protocol.ErrTooLarge) {
			t.Errorf("%q: got %v, want ErrTooLarge", late, err)
		}
	}
}

func TestSharedEncodesOnce(t *testing.T) {
	s := protocol.Share(&protocol.Ping{})
	first, err := s.Bytes(protocol.JSON())
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Bytes(protocol.JSON())
	if err != nil || &first[0] != &second[0] {
		t.Errorf("the second call encoded again: %v", err)
	}
}

func FuzzJSONDecode(f *testing.F) {
	for _, seed := range []string{`{"type":1,"target":"T","arguments":[1,{"a":[]}],"headers":{"h":"v"}}`, `{"type":3,"invocationId":"1","result":null}`, `{"type":2,"invocationId":"1","item":"\u0041"}`, `{"type":7}`, `{"type":8,"sequenceId":1}`, `{`, `{"a":"\\"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		m, err := protocol.JSON().Decode(record)
		if err != nil && !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("error of another kind: %v", err)
		}
		if i, ok := m.(*protocol.Invocation); ok {
			for _, raw := range i.RawArguments {
				if !json.Valid(raw) {
					t.Errorf("argument %q is no JSON", raw)
				}
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte(`{"protocol":"json","version":1}`))
	f.Add([]byte(`{"protocol":"json","version":1e9}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		if h, err := protocol.ParseHandshake(record); err != nil && (h != protocol.Handshake{} || !errors.Is(err, protocol.ErrMalformed)) {
			t.Errorf("got %+v, %v", h, err)
		}
	})
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\x1eb\x1e\x1ec"), 2)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		if cut < 0 || cut > len(stream) {
			return
		}
		s := protocol.Splitter{Limit: 64}
		for _, chunk := range [][]byte{stream[:cut], stream[cut:]} {
			s.Feed(append([]byte(nil), chunk...))
			for ok := true; ok; {
				var err error
				if _, ok, err = s.Next(protocol.JSON()); err != nil {
					return
				}
			}
		}
	})
}

func BenchmarkJSONDecodeInvocation(b *testing.B) {
	record := []byte(`{"type":1,"invocationId":"12","target":"SendToSelf","arguments":[{"title":"Hello","body":"a text of some length"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.JSON().Decode(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONAppendInvocation(b *testing.B) {
	m := &protocol.Invocation{Target: "ReceiveNotification", Arguments: []any{map[string]int{"a": 1}}}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.JSON().Append(buf, m); err != nil {
			b.Fatal(err)
		}
	}
}
