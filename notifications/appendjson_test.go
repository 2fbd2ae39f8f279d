package notifications_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidings/notifications"
)

// texts are strings of all kinds: plain, with what JSON escapes, and bytes that
// are no UTF-8.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Just(""),
		rapid.StringMatching(`[a-zA-Z0-9 <>&/.-]{0,20}`),
		rapid.String(),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes")) }),
	)
}

func times() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		at := time.Unix(rapid.Int64Range(-1<<36, 1<<37).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return at.In(rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", 5400)}).Draw(t, "zone"))
	})
}

// The notification is what encoding/json makes of it, whatever is in it.
func TestAppendJSONIsEncodingJSON(t *testing.T) {
	t.Parallel()
	type plain notifications.Notification // without the method
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return texts().Draw(t, name) }
		n := notifications.Notification{
			ID: text("id"), Position: notifications.Position(rapid.Uint64().Draw(t, "position")), Cursor: text("cursor"),
			Recipient: text("recipient"), Replayed: rapid.Bool().Draw(t, "replayed"), Type: text("type"), Source: text("source"),
			Title: text("title"), Body: text("body"), Severity: notifications.Severity(text("severity")), Link: text("link"),
			CollapseKey: text("collapseKey"), Recalls: text("recalls"), ReplayOf: text("replayOf"),
			ExpiresAt: times().Draw(t, "expiresAt"), CreatedAt: times().Draw(t, "createdAt"), TraceParent: text("traceparent"),
		}
		if rapid.Bool().Draw(t, "data") {
			value := map[string]any{text("key"): []any{text("value"), 1.5, nil, map[string]any{" a\t": `\"`}}}
			n.Data, _ = json.MarshalIndent(value, rapid.SampledFrom([]string{"", " "}).Draw(t, "prefix"), rapid.SampledFrom([]string{"", "\t", "  "}).Draw(t, "indent"))
		}
		if rapid.Bool().Draw(t, "actions") {
			n.Actions = []notifications.Action{{Label: text("action"), Link: text("action link")}}
		}
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		wantErr := encoder.Encode(plain(n))
		got, err := n.AppendJSON([]byte("before"))
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("error %v, encoding/json has %v", err, wantErr)
		}
		if err == nil && string(got)+"\n" != "before"+want.String() {
			t.Fatalf("got  %s\nwant before%s", got, want.String())
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	n := notifications.Notification{
		ID: notifications.NewID(), Position: 4711, Cursor: "AAAAAAAAAAAAAAAAAAAAA", Recipient: "user/ann", Type: "order.shipped",
		Title: "Your order has been shipped", Body: "It is on its way.", Data: json.RawMessage(`{"order":4711,"items":[1,2,3]}`),
		Severity: notifications.Info, CreatedAt: time.Date(2026, 11, 28, 10, 0, 0, 1e6, time.UTC),
	}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		var err error
		if dst, err = n.AppendJSON(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
