package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidings/actors"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// hole is a socket that takes everything and keeps nothing; it counts what it
// was given.
type hole struct{ wrote *sync.WaitGroup }

func (hole) Transport() string                { return "Hole" }
func (hole) Frame(dst, records []byte) []byte { return append(dst, records...) }
func (h hole) TryWrite(p []byte) (int, error) {
	h.wrote.Done()
	return len(p), nil
}
func (hole) Drain([]byte, func(error)) {}
func (hole) Finish(string)             {}

// crowd is a system of one shard with connections whose sockets are holes, and
// what they have been given to count.
func crowd(tb testing.TB, size int) (*actors.System, []*actors.Connection, *sync.WaitGroup) {
	tb.Helper()
	system, err := actors.New(actors.Options{Shards: 1, KeepAlive: time.Hour}) // a ping would be counted, too
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- system.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	var wrote sync.WaitGroup
	connections := make([]*actors.Connection, size)
	for i := range connections {
		c, err := system.Join(tb.Context(), actors.Member{
			ID: fmt.Sprint("c", i), User: fmt.Sprint("u", i), Roles: []string{"ops"}, Codec: protocol.JSON(), Sink: hole{&wrote},
		})
		if err != nil {
			tb.Fatal(err)
		}
		if err := c.Resume(tb.Context(), 0); err != nil {
			tb.Fatal(err)
		}
		connections[i] = c
	}
	return system, connections, &wrote
}

// loaded is a crowd that is in a group. deliver hands one event on and waits
// until every connection has it.
func loaded(tb testing.TB, size int, to notifications.Recipient) (deliver func()) {
	tb.Helper()
	system, connections, wrote := crowd(tb, size)
	for _, c := range connections {
		// A group is joined by mail through the same box, so it is after Resume.
		if err := c.JoinGroup(tb.Context(), "g", 0); err != nil {
			tb.Fatal(err)
		}
	}
	position := notifications.Position(0)
	return func() {
		position++
		e := &notifications.Entry{Position: position, Hub: notifications.DefaultHub, Event: notifications.Event{
			ID: "e", Recipient: to, Target: notifications.DefaultTarget, Title: "a notification of an ordinary length",
		}}
		wrote.Add(size)
		if err := system.Deliver(tb.Context(), notifications.Batch{Entries: []*notifications.Entry{e}, UpTo: position}); err != nil {
			tb.Fatal(err)
		}
		wrote.Wait()
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, to := range []notifications.Recipient{notifications.ToEveryone(), notifications.ToRole("ops"), notifications.ToGroup("g")} {
		b.Run(string(to.Kind), func(b *testing.B) {
			const connections = 1000
			deliver := loaded(b, connections, to)
			b.ReportAllocs()
			for b.Loop() {
				deliver()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*connections), "ns/delivery")
		})
	}
}

// 100,000 connections join one group, and leave it again.
func BenchmarkGroup(b *testing.B) {
	const size = 100_000
	_, connections, _ := crowd(b, size)
	all := func(do func(*actors.Connection) error) float64 {
		began := time.Now()
		for _, c := range connections {
			if err := do(c); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began).Seconds()
	}
	var joining, leaving float64
	for b.Loop() {
		joining += all(func(c *actors.Connection) error { return c.JoinGroup(b.Context(), "g", 0) })
		leaving += all(func(c *actors.Connection) error { return c.LeaveGroup(b.Context(), "g") })
	}
	b.ReportMetric(joining/float64(b.N), "s/joining")
	b.ReportMetric(leaving/float64(b.N), "s/leaving")
}

// A burst of events for everyone holds the follower instead of the memory:
// the log keeps what the shard has not taken on.
func TestBroadcastsAreBounded(t *testing.T) {
	const connections, batches, each = 200, 300, 64
	system, err := actors.New(actors.Options{Shards: 1, KeepAlive: time.Hour}) // pings would be counted, too
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- system.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	counting := &counter{}
	for i := range connections {
		c, err := system.Join(ctx, actors.Member{ID: fmt.Sprint("c", i), User: fmt.Sprint("u", i), Codec: protocol.JSON(), Sink: counting})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Resume(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	position, longest := notifications.Position(0), int64(0)
	for range batches {
		var b notifications.Batch
		for range each {
			position++
			b.Entries = append(b.Entries, &notifications.Entry{Position: position, Hub: notifications.DefaultHub, Event: notifications.Event{
				Recipient: notifications.ToEveryone(), Target: "T",
			}})
		}
		b.UpTo = position
		if err := system.Deliver(ctx, b); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, system.Stats().Sweeping)
	}
	want := int64(connections) * int64(position)
	for late := time.Now().Add(20 * time.Second); counting.records.Load() < want && time.Now().Before(late); {
		runtime.Gosched()
	}
	// Up to 2,048, and what the 64 batches before the follower waits may hold.
	if limit := int64(2048 + 65*each); longest > limit {
		t.Errorf("%d events were waiting for the sweep, at most %d may", longest, limit)
	}
	if got := counting.records.Load(); got != want {
		t.Errorf("%d events were heard, want %d", got, want)
	}
}

// counter is a socket that counts the records it is given.
type counter struct {
	hole

	records atomic.Int64
}

func (c *counter) TryWrite(p []byte) (int, error) {
	c.records.Add(int64(bytes.Count(p, []byte{0x1e})))
	return len(p), nil
}

// Delivering allocates per event, not per connection.
func TestDeliveryDoesNotAllocatePerConnection(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, to := range []notifications.Recipient{notifications.ToEveryone(), notifications.ToRole("ops")} {
		const connections, perEvent = 500, 60
		deliver := loaded(t, connections, to)
		deliver()
		if got := testing.AllocsPerRun(50, deliver); got > perEvent {
			t.Errorf("%s: %.0f allocations for one event to %d connections, at most %d are allowed", to, got, connections, perEvent)
		}
	}
}
