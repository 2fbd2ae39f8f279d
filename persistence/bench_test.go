package persistence_test

import (
	"context"
	"fmt"
	"testing"

	"tidings/notifications"
	"tidings/persistence"
)

// What a node needs to know a log of 100,000 events for 10,000 users when it
// starts.
func BenchmarkStart(b *testing.B) {
	const events, users = 100_000, 10_000
	conn := inProcess(b)
	if _, err := persistence.Open(b.Context(), conn, persistence.Options{}); err != nil {
		b.Fatal(err)
	}
	appender := persistence.NewAppender(conn, nil)
	for done := 0; done < events; done += 1000 {
		batch := make([]notifications.Event, 1000)
		for i := range batch {
			batch[i] = event(notifications.ToUser(fmt.Sprint((done+i)%users)), "a notification of an ordinary length, such as people write them")
			batch[i].Data = []byte(`{"order":4711,"items":[{"name":"book","number":1},{"name":"pen","number":12}],"address":"12 Long Street"}`)
		}
		for _, o := range appender.AppendAll(b.Context(), hub, batch) {
			if o.Err != nil {
				b.Fatal(o.Err)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		l, err := persistence.Open(ctx, conn, persistence.Options{})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			done <- l.Follow(ctx, func(context.Context, notifications.Batch) error { return nil })
		}()
		<-l.Ready()
		if last := l.State().Last; last != events {
			b.Fatalf("ready at %d", last)
		}
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}
