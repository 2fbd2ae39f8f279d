package notifications_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

const hub = notifications.DefaultHub

// now is the moment at which the tests are.
var now = time.Date(2026, 1, 2, 15, 4, 5, 678e6, time.UTC)

func newID() string { return "made" }

// refused is what the emitter of an event is told: "field: reason".
func refused(t *testing.T, err error) string {
	t.Helper()
	var invalid *notifications.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got error %v, want an *InvalidError", err)
	}
	want := "invalid event: " + invalid.Field + ": " + invalid.Reason
	if invalid.Field == "" {
		want = "invalid event: " + invalid.Reason
	}
	if got := err.Error(); got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	return strings.TrimPrefix(want, "invalid event: ")
}

func TestNotificationHoldsWhatABrowserIsTold(t *testing.T) {
	e := notifications.Entry{
		Position: 41, Hub: hub, Stored: now,
		Event: notifications.Event{
			ID: "e1", Recipient: notifications.ToGroup("g/1 x"), Type: "order.shipped", Source: "shop", Target: "OnOrder",
			Title: "Shipped", Body: "It is on its way.", Data: json.RawMessage(`{"order":1}`), Severity: notifications.Success,
			Link: "/orders/1", Actions: []notifications.Action{{Label: "Track", Link: "/track/1"}}, CollapseKey: "order/1",
			Recalls: "e0", ReplayOf: "notifications/7", ExpiresAt: now.Add(time.Hour), NotBefore: now, MembersAt: notifications.Read, CreatedAt: now.Add(-time.Second),
			TraceParent: traceParent, TraceState: "a=b",
		},
	}
	got, err := json.Marshal(e.Notification(7))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"e1","position":41,"cursor":"` + notifications.Cursor{Epoch: 7, Position: 41, Stored: now}.String() + `",` +
		`"recipient":"group/g/1 x","type":"order.shipped","source":"shop","title":"Shipped","body":"It is on its way.",` +
		`"data":{"order":1},"severity":"success","link":"/orders/1","actions":[{"label":"Track","link":"/track/1"}],` +
		`"collapseKey":"order/1","recalls":"e0","replayOf":"notifications/7","expiresAt":"2026-01-02T16:04:05.678Z","createdAt":"2026-01-02T15:04:04.678Z",` +
		`"traceparent":"` + traceParent + `"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("notification (-want +got):\n%s", diff)
	}
}

func TestNotificationLeavesOutWhatIsNotThere(t *testing.T) {
	e := notifications.Entry{Position: 1, Event: notifications.Event{ID: "e1", Recipient: notifications.ToEveryone()}}
	e.Event.Complete(now, newID)
	got, err := json.Marshal(e.Notification(7))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"e1","position":1,"cursor":"` + notifications.Cursor{Epoch: 7, Position: 1}.String() +
		`","recipient":"everyone","type":"notification","severity":"info","createdAt":"2026-01-02T15:04:05.678Z"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("notification (-want +got):\n%s", diff)
	}
}

func TestEventExpires(t *testing.T) {
	for _, test := range []struct {
		name    string
		expires time.Time
		want    bool
	}{
		{"never", time.Time{}, false},
		{"later", now.Add(time.Millisecond), false},
		{"now", now, true},
		{"before", now.Add(-time.Millisecond), true},
	} {
		e := notifications.Event{ExpiresAt: test.expires}
		if got := e.Expired(now); got != test.want {
			t.Errorf("%s: Expired of an event that expires at %v at %v: got %v, want %v", test.name, test.expires, now, got, test.want)
		}
	}
}
