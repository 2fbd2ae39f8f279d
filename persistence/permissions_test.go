package persistence_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tidings/notifications"
	"tidings/persistence"
)

// documented starts the server whose configuration docs/guides/running.md shows,
// on a port and a directory of the test.
func documented(t *testing.T) (url string) {
	t.Helper()
	guide, err := os.ReadFile("../docs/guides/running.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(guide), "A configuration of nats-server with a user for nodes")
	_, text, ok := strings.Cut(text, "```text\n")
	text, _, closed := strings.Cut(text, "```\n")
	if !found || !ok || !closed {
		t.Fatal("the guide shows no configuration")
	}
	dir := t.TempDir()
	text = strings.NewReplacer("127.0.0.1:4222", "127.0.0.1:-1", `"nats-data"`, `"`+dir+`"`, "sync_interval: always", "sync_interval: 2s").Replace(text)
	file := filepath.Join(dir, "nats.conf")
	if err = os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return outside(t, options)
}

// outside runs a server until the test ends, and returns where it is.
func outside(t *testing.T, o *server.Options) (url string) {
	t.Helper()
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return "nats://" + s.Addr().String()
}

// What the guide allows a node is enough for all it does, and an emitter can
// write nothing but events.
func TestTheDocumentedPermissionsAreEnough(t *testing.T) {
	url := documented(t)
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: url, User: "tidings", Password: "node-password"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	log, err := persistence.Open(t.Context(), conn, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer follow(t, log, func(context.Context, notifications.Batch) error { return nil })()
	appendTo(t, log, event(notifications.ToUser("ann"), "hello"))

	states, err := persistence.OpenStates(t.Context(), conn, persistence.Options{}, log)
	if err != nil {
		t.Fatal(err)
	}
	heard := followed(t, states)
	for range 5 {
		change(t, states, "ann", read(1))
		<-heard
	}
	if err = states.Erase(t.Context(), hub, "ann"); err != nil {
		t.Error(err)
	}

	due := newSink()
	schedules, err := persistence.OpenSchedules(t.Context(), conn, persistence.Options{}, persistence.SchedulesOptions{Log: due})
	if err != nil {
		t.Fatal(err)
	}
	background(t, schedules.Run)
	e, other := later("now", 0), later("never", time.Hour)
	schedule(t, schedules, e)
	schedule(t, schedules, other)
	due.until(t, e.ID)
	if !cancelled(t, schedules, other.ID) {
		t.Error("not canceled")
	}

	audit, visits := openAudit(t, conn, persistence.Options{}), openVisits(t, conn, persistence.Options{})
	background(t, audit.Run)
	background(t, visits.Run)
	audit.Record(audited(1))
	visits.Note(visited(1, 1))
	eventually(t, "both are kept", func() bool { return audit.Stats().Kept == 1 && visits.Stats().Kept == 1 })
	if records, err := audit.Records(t.Context(), time.Now().Add(-time.Minute), 5); err != nil || len(records) != 1 {
		t.Errorf("audit: got %d, %v", len(records), err)
	}
	if err = visits.Erase(t.Context(), hub, "ann"); err != nil {
		t.Error(err)
	}

	cursors := openCursors(t, conn)
	cursors.Save(hub, "ann", "d", device(1, 1))
	if err = cursors.Flush(t.Context(), hub, "ann", "d"); err != nil {
		t.Error(err)
	}
	if err = cursors.Erase(t.Context(), hub, "ann"); err != nil {
		t.Error(err)
	}

	refused := make(chan error, 16)
	shop, err := nats.Connect(url, nats.UserInfo("shop", "shop-password"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	for _, subject := range []string{
		"tidings.state.notifications.user.ann", "tidings.scheduled.notifications.x", "tidings.due.notifications.x",
		"tidings.audit.notifications.emitted", "tidings.connections.notifications.ann.c", "tidings.control.state-erased",
		"$JS.API.STREAM.PURGE.TIDINGS_STATE", "$JS.API.STREAM.MSG.DELETE.TIDINGS",
	} {
		if err = shop.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		select {
		case err = <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: got %v, want that it is not permitted", subject, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("an emitter may publish to %s", subject)
		}
	}
}
