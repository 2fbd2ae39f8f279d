package persistence

import (
	"fmt"
	"testing"
	"time"

	"tidings/notifications"
)

// A replay of 50 missed events, out of a log of a million events for 100,000
// users, from the index and the tail: no consumer, no question to the server.
func BenchmarkReplay(b *testing.B) {
	const events, users, missed = 1_000_000, 100_000, 50
	l := &Log{index: newIndex(), tail: newTail(1 << 30), o: Options{}.withDefaults()}
	text := "a notification of an ordinary length, such as people write them"
	for p := notifications.Position(1); p <= events; p++ {
		to := notifications.ToUser(fmt.Sprint(p % users))
		if p > events-users*missed/100 && p%(users/100) == 77 {
			to = notifications.ToUser("77") // the last ones are what was missed
		}
		e := &notifications.Entry{Position: p, Hub: "h", Stored: time.UnixMilli(int64(p)).UTC(), Event: notifications.Event{Recipient: to, Title: text}}
		l.index.add(p, e.Stored, e)
		if p > events-users {
			l.tail.add(e)
		}
	}
	q := notifications.Query{Hub: "h", After: events - users*missed/100, Memberships: []notifications.Membership{
		{Recipient: notifications.ToUser("77")}, {Recipient: notifications.ToRole("ops")}, {Recipient: notifications.ToEveryone()},
	}}
	page, err := l.Read(b.Context(), q)
	if err != nil || len(page.Entries) != missed {
		b.Fatalf("read %d events, want %d: %v", len(page.Entries), missed, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Read(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replays/s")
}
