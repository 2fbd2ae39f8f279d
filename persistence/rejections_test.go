package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

// What was rejected can be looked through, newest first, and seen as it came.
func TestRejectedMessagesCanBeLookedThrough(t *testing.T) {
	l, js := listening(t, persistence.Options{})
	if page, more, err := l.Rejected(t.Context(), 0, 10); err != nil || len(page) != 0 || more {
		t.Fatalf("of nothing: got %v, %v, %v", page, more, err)
	}
	f := make(follower, 64)
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	const n = 5
	for i := range n {
		if _, err := js.Publish(t.Context(), persistence.Subject(hub, notifications.ToUser("ann")), fmt.Appendf(nil, `{"id": "e%d", "title": 5}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	f.until(t, n)
	var all []persistence.Rejected
	eventually(t, "all are put aside", func() bool {
		page, _, err := l.Rejected(t.Context(), 0, 10)
		all = page
		return err == nil && len(page) == n
	})
	newest := all[0]
	to := notifications.ToUser("ann")
	name, recipient, err := newest.For()
	if newest.Position != n || newest.ID != "e4" || newest.Reason == "" || string(newest.Data) != `{"id": "e4", "title": 5}` ||
		newest.Epoch != l.State().Epoch || time.Since(newest.At) > time.Minute || name != hub || recipient != to || err != nil {
		t.Errorf("got %+v, for %s %s, %v", newest, name, recipient, err)
	}
	for name := range newest.Headers {
		t.Errorf("a header %s that it did not come with", name)
	}

	var paged []persistence.Rejected
	for before, more := uint64(0), true; more; {
		var page []persistence.Rejected
		if page, more, err = l.Rejected(t.Context(), before, 2); err != nil {
			t.Fatal(err)
		}
		paged = append(paged, page...)
		before = paged[len(paged)-1].Seq
	}
	seqs := func(list []persistence.Rejected) (all []uint64) {
		for _, r := range list {
			all = append(all, r.Seq)
		}
		return all
	}
	if !slices.Equal(seqs(paged), seqs(all)) {
		t.Errorf("page by page: got %v, want %v", seqs(paged), seqs(all))
	}

	one, err := l.RejectedAt(t.Context(), all[2].Seq)
	if err != nil || one.Position != 3 {
		t.Errorf("one: got %+v, %v", one, err)
	}
	if _, err := l.RejectedAt(t.Context(), 99); !errors.Is(err, notifications.ErrNotFound) {
		t.Errorf("none: got %v, want ErrNotFound", err)
	}
}

// What cannot be kept as it came does not hold up those behind it.
func TestRejectedMessagesThatCannotBeWritten(t *testing.T) {
	l, js := listening(t, persistence.Options{})
	f := make(follower, 64)
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	subject := persistence.Subject(hub, notifications.ToUser("ann"))
	socket, err := net.Dial("tcp", strings.TrimPrefix(js.Conn().ConnectedUrl(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	// No client of NATS writes such a name.
	header := "NATS/1.0\r\nX-<b>\u0007: y\r\n\r\n"
	if _, err := fmt.Fprintf(socket, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%sno JSON\r\nPING\r\n", subject, len(header), len(header)+7, header); err != nil {
		t.Fatal(err)
	}
	f.until(t, 1)
	if _, err := js.Publish(t.Context(), subject, []byte(strings.Repeat("x", int(js.Conn().MaxPayload())-8))); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subject, []byte("no JSON either")); err != nil {
		t.Fatal(err)
	}
	f.until(t, 3)
	var page []persistence.Rejected
	eventually(t, "all are put aside", func() bool {
		page, _, err = l.Rejected(t.Context(), 0, 10)
		return err == nil && len(page) == 3
	})
	if string(page[0].Data) != "no JSON either" || page[0].Position != 3 {
		t.Errorf("the last: got %+v", page[0])
	}
	if len(page[1].Data) != 0 || !strings.Contains(page[1].Reason, "cannot be kept") || page[1].Position != 2 {
		t.Errorf("the long one: got %d bytes, reason %q", len(page[1].Data), page[1].Reason)
	}
	if page[2].Position != 1 || page[2].Reason == "" {
		t.Errorf("the one with a header that cannot be written: got %+v", page[2])
	}
}

// Everybody who answers is heard, whoever asks, and nobody waits for the silent.
func TestSurvey(t *testing.T) {
	s := newStation(t)
	a, b := s.connect(t), s.connect(t)
	alone, err := a.Survey(t.Context(), 50*time.Millisecond)
	if err != nil || len(alone) != 0 {
		t.Fatalf("nobody answers: got %q, %v", alone, err)
	}
	stopA := background(t, func(ctx context.Context) error {
		return a.AnswerSurvey(ctx, func() ([]byte, error) { return []byte("a"), nil })
	})
	stopB := background(t, func(ctx context.Context) error {
		return b.AnswerSurvey(ctx, func() ([]byte, error) { return []byte("b"), nil })
	})
	defer stopB()
	want := [][]byte{[]byte("a"), []byte("b")}
	ask := func(conn *persistence.NATS) [][]byte {
		answers, err := conn.Survey(t.Context(), 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(answers, slices.Compare)
		return answers
	}
	equal := func(got, want [][]byte) bool {
		return slices.EqualFunc(got, want, func(x, y []byte) bool { return string(x) == string(y) })
	}
	eventually(t, "both answer both", func() bool { return equal(ask(a), want) && equal(ask(b), want) })
	stopA()
	eventually(t, "one has gone", func() bool { return equal(ask(a), want[1:]) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Survey(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("who asks no longer waits: got %v", err)
	}
}

// The newest records of the audit come first, and only those that are wanted.
func TestNewestAuditRecords(t *testing.T) {
	s := newStation(t)
	audit := openAudit(t, s.connect(t), persistence.Options{})
	if got, err := audit.Newest(t.Context(), 10, func(notifications.AuditRecord) bool { return true }); err != nil || len(got) != 0 {
		t.Fatalf("of nothing: got %v, %v", got, err)
	}
	stop := background(t, audit.Run)
	const n = 600
	for i := range n {
		audit.Record(audited(i))
	}
	eventually(t, "all are kept", func() bool { return audit.Stats().Kept == n })
	stop()
	got, err := audit.Newest(t.Context(), 3, func(r notifications.AuditRecord) bool { return r.Position%2 == 1 })
	if err != nil || len(got) != 3 || got[0].ID != "599" || got[1].ID != "597" || got[2].ID != "595" {
		t.Errorf("got %v, %v, want the odd ones from 599 on", got, err)
	}
	if all, err := audit.Newest(t.Context(), 2*n, func(notifications.AuditRecord) bool { return true }); err != nil || len(all) != n {
		t.Errorf("all: got %d, %v", len(all), err)
	}
}
