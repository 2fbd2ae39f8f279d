package notifications

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// sameAsLongWay fails the test unless both ways to read JSON say the same.
func sameAsLongWay(t interface {
	Helper()
	Errorf(format string, args ...any)
}, payload []byte,
) {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	check := func(got Event, gotErr error, want Event, wantErr error) {
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
			t.Errorf("%q: got error %v, the long way has %v", payload, gotErr, wantErr)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-long +quick):\n%s", payload, diff)
		}
	}
	got, gotErr := DecodeEvent(payload, now)
	want, wantErr := decodeFields(payload, now)
	check(got, gotErr, want, wantErr)
	if len(payload) == 0 {
		return // is told apart
	}
	s := Stored{Header: func(string) string { return "" }, Payload: payload, At: now}
	got, gotErr = s.read()
	want, wantErr = s.readFields()
	check(got, gotErr, want, wantErr)
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"title":"x"}`, ` { "title" : "x" , "data" : [ 1 , {"a":"}"} ] } `, `{"title":"x"}}`, `{"title":"x",}`, `{"title":"a","title":"b"}`,
		`{"title":null,"severity":null,"data":null,"recipient":null,"ttl":null}`, `{"data":"x","recipient":"user/ann"}`, `{"recipient":"user/\u0061nn"}`,
		`{"recipient":7,"title":"x"}`, `{"recipient":tru,"title":"x"}`, `{"data":{"a":[1,2}}`, `{"data":nullx}`, `{"data":}`, `{"data":"\x"}`, `{"data":"a\"b"}`,
		`{"t\u0069tle":"x"}`, `{"title":"x","mood":1}`, `{"order":1}`, `{"specversion":"1.0","id":"1","source":"s","type":"t"}`, "{\"title\":\"\x01\"}",
		`{"createdAt":"2026-01-02T03:04:05.1239+01:00","expiresAt":"","notBefore":"x"}`, `{"ttl":60}`, `{"ttl":60,"expiresAt":"2026-01-02T03:04:05Z"}`,
		`{"actions":[{"label":"a","link":"/x"}],"severity":"warning","membersAt":"read","type":"notification"}`, `{"id":7}`, `{"title":"\ud800"}`, `[]`, `null`, `{`,
		`{"data":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if utf8.Valid(payload) {
			sameAsLongWay(t, payload)
		}
	})
}

// What this node writes is read the quick way, and says the same as the other.
func TestScanReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.String())
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "ms")).UTC()
		})
		e := Event{
			ID: text.Draw(t, "id"), Type: text.Draw(t, "type"), Source: text.Draw(t, "source"), Target: text.Draw(t, "target"), Title: text.Draw(t, "title"),
			Body: text.Draw(t, "body"), Severity: Severity(text.Draw(t, "severity")), Link: text.Draw(t, "link"), CollapseKey: text.Draw(t, "key"),
			Recalls: text.Draw(t, "recalls"), ReplayOf: text.Draw(t, "replayOf"), ExpiresAt: at.Draw(t, "expiresAt"), CreatedAt: at.Draw(t, "createdAt"),
			MembersAt: MembersAt(text.Draw(t, "membersAt")), TraceParent: text.Draw(t, "traceparent"),
		}
		if rapid.Bool().Draw(t, "data") {
			e.Data, _ = json.Marshal(map[string]any{text.Draw(t, "name"): []any{text.Draw(t, "value"), 1, nil}})
		}
		if rapid.Bool().Draw(t, "actions") {
			e.Actions = []Action{{Label: text.Draw(t, "label"), Link: text.Draw(t, "action")}}
		}
		e.ID += "x" // every event has one
		payload, err := e.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(payload) && !(&draft{event: new(Event)}).scan(string(payload)) {
			t.Errorf("%s is read the long way", payload)
		}
		sameAsLongWay(t, payload)
	})
}

func BenchmarkReadEvent(b *testing.B) {
	s := Stored{
		Recipient: ToUser("ann"),
		Header:    func(string) string { return "" },
		At:        time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC),
		Payload: []byte(`{"id":"019aca0e-7c57-7cd6-a0f5-6f2ad8a9d6a1","type":"order.shipped","target":"ReceiveNotification","title":"Your order has been shipped",` +
			`"body":"It is on its way.","data":{"order":4711,"items":[1,2,3]},"severity":"info","membersAt":"emit","createdAt":"2026-11-28T10:00:00.001Z",` +
			`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadEvent(s); err != nil {
			b.Fatal(err)
		}
	}
}
