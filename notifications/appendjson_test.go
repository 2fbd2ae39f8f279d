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

// data is JSON with and without space between its tokens, or none.
func dataOfEvents() *rapid.Generator[json.RawMessage] {
	return rapid.Custom(func(t *rapid.T) json.RawMessage {
		if !rapid.Bool().Draw(t, "any") {
			return nil
		}
		value := map[string]any{texts().Draw(t, "key"): []any{texts().Draw(t, "value"), 1.5, nil, map[string]any{" a\t": `\"`}}}
		text, err := json.MarshalIndent(value, rapid.SampledFrom([]string{"", " "}).Draw(t, "prefix"), rapid.SampledFrom([]string{"", "\t", "  "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	})
}

func actionLists() *rapid.Generator[[]notifications.Action] {
	return rapid.Custom(func(t *rapid.T) []notifications.Action {
		if !rapid.Bool().Draw(t, "any") {
			return nil
		}
		return []notifications.Action{{Label: texts().Draw(t, "label"), Link: texts().Draw(t, "link")}}
	})
}

// sameAsEncodingJSON fails the test unless appending is what encoding/json does
// with plain, the same value without its methods.
func sameAsEncodingJSON(t *rapid.T, appendJSON func([]byte) ([]byte, error), plain any) {
	t.Helper()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	wantErr := encoder.Encode(plain)
	got, err := appendJSON([]byte("before"))
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("error %v, encoding/json has %v", err, wantErr)
	}
	if err == nil && string(got)+"\n" != "before"+want.String() {
		t.Fatalf("got  %s\nwant before%s", got, want.String())
	}
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
			Data: dataOfEvents().Draw(t, "data"), Actions: actionLists().Draw(t, "actions"),
			CollapseKey: text("collapseKey"), Recalls: text("recalls"), ReplayOf: text("replayOf"),
			ExpiresAt: times().Draw(t, "expiresAt"), CreatedAt: times().Draw(t, "createdAt"), TraceParent: text("traceparent"),
		}
		sameAsEncodingJSON(t, n.AppendJSON, plain(n))
	})
}

// So is the event, but for its recipient.
func TestEventsAppendJSONIsEncodingJSON(t *testing.T) {
	t.Parallel()
	type plain notifications.Event // without the method
	rapid.Check(t, func(t *rapid.T) {
		var e notifications.Event
		if rapid.Bool().Draw(t, "empty") {
			sameAsEncodingJSON(t, e.AppendJSON, plain(e))
			return
		}
		for _, field := range []*string{
			&e.ID, &e.Type, &e.Source, &e.Target, &e.Title, &e.Body, &e.Link, &e.CollapseKey, &e.Recalls, &e.ReplayOf, &e.TraceParent, &e.TraceState,
		} {
			*field = texts().Draw(t, "text")
		}
		e.Severity, e.MembersAt = notifications.Severity(texts().Draw(t, "severity")), notifications.MembersAt(texts().Draw(t, "membersAt"))
		e.Data, e.Actions = dataOfEvents().Draw(t, "data"), actionLists().Draw(t, "actions")
		e.ExpiresAt, e.NotBefore, e.CreatedAt = times().Draw(t, "expiresAt"), times().Draw(t, "notBefore"), times().Draw(t, "createdAt")
		want := plain(e)
		e.Recipient = notifications.ToRole("ops") // is not written
		sameAsEncodingJSON(t, e.AppendJSON, want)
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
