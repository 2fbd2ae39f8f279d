package persistence_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
)

// another is another node on the server of a test; it is not followed yet.
func another(t *testing.T, js jetstream.JetStream) *persistence.Log {
	t.Helper()
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: js.Conn().ConnectedUrl()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	l, err := persistence.Open(t.Context(), conn, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What a user was told is gone from the server and from all nodes; what others
// were told is not, and what comes is stored as ever.
func TestEraseEvents(t *testing.T) {
	l, js := listening(t, persistence.Options{})
	other := another(t, js)
	f, g := make(follower, 64), make(follower, 64)
	defer follow(t, l, f.deliver)()
	defer follow(t, other, g.deliver)()
	<-l.Ready()
	<-other.Ready()
	ann, bob := notifications.ToUser("ann"), notifications.ToUser("bob")
	publish(t, js, hub, notifications.Event{ID: "a1", Recipient: ann, Title: "x"})                                   // 1
	publish(t, js, hub, notifications.Event{Recipient: ann, CollapseKey: "k", ExpiresAt: time.Now().Add(time.Hour)}) // 2
	publish(t, js, hub, notifications.Event{Recipient: bob, Title: "x"})                                             // 3
	publish(t, js, hub, notifications.Event{Recipient: ann, Recalls: "a1"})                                          // 4
	publish(t, js, "other", notifications.Event{Recipient: ann, Title: "x"})                                         // 5
	publish(t, js, hub, notifications.Event{Recipient: notifications.ToRole("ann"), Title: "x"})                     // 6
	for _, broken := range []string{persistence.Subject(hub, ann), persistence.Subject(hub, bob)} {
		if _, err := js.Publish(t.Context(), broken, []byte("no JSON")); err != nil { // 7, 8
			t.Fatal(err)
		}
	}
	f.until(t, 8)
	g.until(t, 8)
	wantRejected(t, js, map[string]string{"7": "no valid JSON", "8": "no valid JSON"})

	if n, err := l.Erase(t.Context(), hub, "ann"); n != 4 || err != nil {
		t.Fatalf("Erase: got %d, %v, want 4", n, err)
	}
	wantGone(t, js, "TIDINGS", 1, 2, 4, 7)
	wantForgotten(t, l)
	eventually(t, "the other node forgets", func() bool { _, held := other.Brief(4); return !held })
	wantForgotten(t, other)
	wantRejected(t, js, map[string]string{"8": "no valid JSON"})

	if n, err := l.Erase(t.Context(), hub, "ann"); n != 0 || err != nil {
		t.Errorf("once more: got %d, %v, want 0", n, err)
	}
	next := appendTo(t, l, event(ann, "next"))
	f.until(t, next)
	g.until(t, next)
	third := another(t, js)
	defer follow(t, third, make(follower, 64).deliver)()
	<-third.Ready()
	for i, node := range []*persistence.Log{l, other, third} {
		if got := fmt.Sprint(everything(t, node, 0, 2, ann), everything(t, node, 0, 2, bob)); got != "[9] [3]" {
			t.Errorf("node %d: read %s, want [9] [3]", i, got)
		}
	}
}

// wantGone tells whether the server still has any of these messages.
func wantGone(t *testing.T, js jetstream.JetStream, name string, gone ...uint64) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range gone {
		if _, err := stream.GetMsg(t.Context(), p); !errors.Is(err, jetstream.ErrMsgNotFound) {
			t.Errorf("message %d of %s: got %v, want none", p, name, err)
		}
	}
	if want := stream.CachedInfo().State.LastSeq - uint64(len(gone)); stream.CachedInfo().State.Msgs != want {
		t.Errorf("%s has %d messages, want %d", name, stream.CachedInfo().State.Msgs, want)
	}
}

// wantForgotten tells whether a node knows anything of what TestEraseEvents erases, or
// believes that it has lost something.
func wantForgotten(t *testing.T, l *persistence.Log) {
	t.Helper()
	memberships := []notifications.Membership{{Recipient: notifications.ToUser("ann")}}
	for _, p := range []notifications.Position{1, 2, 4} {
		_, known := l.Brief(p)
		_, held := l.StoredAt(p)
		if known || held {
			t.Errorf("%d is known: %v, %v", p, known, held)
		}
	}
	for _, q := range []notifications.Query{{Hub: hub, Memberships: memberships}, {Hub: hub, Exact: []notifications.Position{1, 2, 4, 7}}} {
		page, err := l.Read(t.Context(), q)
		if err != nil || len(page.Entries) != 0 || page.First != 1 {
			t.Errorf("read %+v: got %d entries from %d, %v, want none and no loss", q, len(page.Entries), page.First, err)
		}
	}
	l.Walk(hub, memberships, 0, func(b notifications.Brief) bool { t.Errorf("walked over %+v", b); return true })
	if got := found(t, l, "a1"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	if after, n := l.Recent(hub, memberships, 9); after != l.State().Last || n != 0 {
		t.Errorf("Recent: got %d after %d", n, after)
	}
	// Somebody else who has read up to there has missed nothing.
	start := notifications.ResumeRequest{Cursor: notifications.CursorAt(l, 2).String()}.Resolve(l, hub, nil, nil)
	if start.Resumed.Truncated || start.After != 2 {
		t.Errorf("resumed after 2: got %+v", start)
	}
}

// The server overwrites what it deletes.
func TestErasedTextIsOnNoDisk(t *testing.T) {
	const secret = "the-secret-of-ann"
	dir := t.TempDir()
	f := make(follower, 64)
	l := persistencetest.Reopen(t, dir, persistence.Options{}, f.deliver)
	appendTo(t, l, event(notifications.ToUser("ann"), secret))
	appendTo(t, l, event(notifications.ToUser("bob"), "the-secret-of-bob"))
	f.until(t, 2)
	if n, err := l.Erase(t.Context(), hub, "ann"); n != 1 || err != nil {
		t.Fatalf("Erase: got %d, %v", n, err)
	}
	eventually(t, "what stays is on disk", func() bool { return onDisk(t, dir, "the-secret-of-bob") })
	if onDisk(t, dir, secret) {
		t.Error("the text is on disk")
	}
}

func onDisk(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the server may have removed a file meanwhile
		t.Fatal(err)
	}
	return found
}

func TestEraseAsksForALogThatAllowsIt(t *testing.T) {
	l, js := listening(t, persistence.Options{})
	stream, err := js.Stream(t.Context(), "TIDINGS")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.DenyDelete = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Erase(t.Context(), hub, "ann"); n != 0 || err == nil || err.Error() != "the log was made with deny_delete: events cannot be erased" {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := l.Erase(t.Context(), hub, ""); err == nil || !strings.Contains(err.Error(), "erase: recipient") {
		t.Errorf("nobody: got %v", err)
	}
}

// What is erased while a node is behind never reaches it, and is no loss.
func TestEraseBeforeANodeHasRead(t *testing.T) {
	l, js := listening(t, persistence.Options{})
	f := make(follower, 64)
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	slow := another(t, js)
	gate, batches := make(chan struct{}), make(chan notifications.Batch, 64)
	defer follow(t, slow, func(ctx context.Context, b notifications.Batch) error {
		batches <- b
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})()
	<-slow.Ready()
	ann, bob := notifications.ToUser("ann"), notifications.ToUser("bob")
	publish(t, js, hub, notifications.Event{Recipient: notifications.ToUser("carl"), Title: "1"})
	<-batches // it waits
	publish(t, js, hub, notifications.Event{Recipient: ann, Title: "2"})
	publish(t, js, hub, notifications.Event{Recipient: bob, Title: "3"})
	f.until(t, 3)
	for _, user := range []string{"ann", "carl"} {
		if n, err := l.Erase(t.Context(), hub, user); n != 1 || err != nil {
			t.Fatalf("Erase: got %d, %v", n, err)
		}
	}
	// Nodes hear of erasures in their order.
	eventually(t, "the slow node has heard", func() bool { _, held := slow.Brief(1); return !held })
	close(gate)
	var got []string
	for upTo := notifications.Position(1); upTo < 3; {
		select {
		case b := <-batches:
			upTo = b.UpTo
			for _, e := range b.Entries {
				got = append(got, e.Event.Title)
			}
			if b.Lost {
				t.Error("something is said to be lost")
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing after %d", upTo)
		}
	}
	if fmt.Sprint(got) != "[3]" {
		t.Errorf("heard %v, want [3]", got)
	}
	if got := fmt.Sprint(everything(t, slow, 0, 10, ann), everything(t, slow, 0, 10, bob)); got != "[] [3]" {
		t.Errorf("read %s, want [] [3]", got)
	}
}
