package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

// emitted publishes over HTTP with the command.
func (r *running) emitted(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"publish", "--url", "http://" + r.http, "--token", r.token(t, "shop", "emitter")}, args...)
	if _, err := command(t, args...); err != nil {
		t.Fatal(err)
	}
}

// The commands that ask a server tell what has become of an event, and how an
// inbox was.
func TestExplainAndReplayOfAnInbox(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications?device=phone", node.token(t, "ann"))
	ann.resumed()
	node.emitted(t, "--to", "user/ann", "--id", "x", "--title", "T")
	n, _ := ann.alert()
	ann.invoke("Ack", n.Cursor)
	before := time.Now()
	waitFor(t, "another millisecond", func() bool { return time.Since(before) > 2*time.Millisecond })
	if m := ann.invoke("MarkRead", []string{"x"}); m.Error != "" {
		t.Fatal(m.Error)
	}
	admin := []string{"--url", "http://" + node.http, "--token", node.token(t, "root", "admin")}
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"heard and read", []string{"explain", "--user", "ann", "--id", "x"}, []string{
			"x for user ann in hub notifications: stored", "position 1, for user/ann", "was a recipient as user/ann; it is read",
			"of device phone", ": sent", "device phone: sent, acknowledged", "read at", "on device phone",
		}},
		{"somebody else", []string{"explain", "--user", "bob", "--id", "x"}, []string{"not for this user: it is for another user"}},
		{"nothing known", []string{"explain", "--user", "ann", "--id", "y"}, []string{"unknown", "because nothing is kept of this id"}},
		{"as JSON", []string{"explain", "--user", "ann", "--id", "x", "--json"}, []string{`"outcome": "stored"`, `"status": "read"`}},
		{"the inbox before it was read", []string{"replay", "--user", "ann", "--at", before.UTC().Format(time.RFC3339Nano)}, []string{`"id": "x"`, `"state": "unseen"`}},
		{"the inbox of now", []string{"replay", "--user", "ann", "--at", time.Now().UTC().Format(time.RFC3339Nano)}, []string{`"state": "read"`}},
		{"before everything", []string{"replay", "--user", "ann", "--at", "2026-01-02T10:00Z"}, []string{`"items": []`}},
	} {
		out, err := command(t, append(test.args, admin...)...)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: got\n%swant %q in it", test.name, out, want)
			}
		}
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no right to", []string{"explain", "--user", "ann", "--id", "x", "--url", "http://" + node.http, "--token", node.token(t, "bob")}, "403"},
		{"a bad time", append([]string{"replay", "--user", "ann", "--at", "yesterday"}, admin...), "want a time such as"},
		{"neither", append([]string{"replay", "--user", "ann"}, admin...), "want --user and --at"},
	} {
		if out, err := command(t, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.name, out, err, test.want)
		}
	}
}

// A window of the log is emitted again to another hub, once, and says what it
// repeats.
func TestReplayToAnotherHub(t *testing.T) {
	node := start(t)
	since := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	node.emitted(t, "--to", "user/ann", "--id", "one", "--title", "One")
	node.emitted(t, "--to", "role/ops", "--id", "two", "--title", "Two")
	args := []string{"replay", "--since", since, "--to-hub", "staging", "--nats", "nats://" + node.nats}
	for _, want := range []replayed{{Emitted: 2, From: 1, To: 2}, {Duplicates: 2, From: 1, To: 2}} {
		out, err := command(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		var got replayed
		if err := json.Unmarshal([]byte(out), &got); err != nil || got != want {
			t.Errorf("got %s, want %+v", out, want)
		}
	}
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + node.nats})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var found []string
	err = persistence.ReadWindow(t.Context(), conn, persistence.Options{}, persistence.Window{Hub: "staging"}, func(e *notifications.Entry) error {
		found = append(found, e.Event.Title+" "+e.Event.ReplayOf)
		return nil
	})
	if want := "One notifications/1, Two notifications/2"; err != nil || strings.Join(found, ", ") != want {
		t.Errorf("staging holds %v, %v, want %s", found, err, want)
	}
	audit, err := persistence.OpenAudit(t.Context(), conn, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "on record", func() bool {
		records, err := audit.Records(t.Context(), time.Time{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range records {
			if r.Action == notifications.AuditReplayed && r.Hub == "staging" {
				n++
			}
		}
		return n == 2
	})
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"the same hub", []string{"replay", "--since", since, "--to-hub", "notifications", "--nats", "nats://" + node.nats}, "everybody would hear everything again"},
		{"no pace", append(args, "--rate", "0"), "--rate"},
		{"a bad time", []string{"replay", "--since", "x", "--to-hub", "staging", "--nats", "nats://" + node.nats}, "--since: want a time"},
		{"no NATS", []string{"replay", "--since", since, "--to-hub", "staging"}, "--nats"},
	} {
		if out, err := command(t, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.name, out, err, test.want)
		}
	}
}

// An emitter that emits more than it may is told when to try again; others are
// not held up.
func TestEmitterRates(t *testing.T) {
	node := begin(t, t.TempDir(), "--emit-rate", "0.01", "--emit-burst", "2")
	t.Cleanup(func() { node.end(t) })
	post := func(user string) (status int, retryAfter string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+node.http+"/v1/notifications", strings.NewReader(`{"recipient":"user/ann"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+node.token(t, user, "emitter"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode, response.Header.Get("Retry-After")
	}
	for i, want := range []int{200, 200, 429} {
		if status, after := post("shop"); status != want || (want == 429) != (after != "") {
			t.Errorf("event %d: got %d, Retry-After %q, want %d", i, status, after, want)
		}
	}
	if status, _ := post("other"); status != http.StatusOK {
		t.Errorf("another emitter: %d", status)
	}
}
