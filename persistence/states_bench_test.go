package persistence_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"tidings/notifications"
	"tidings/persistence"
)

// inProcess is how every benchmark stores: an embedded server with file storage,
// synced every two seconds, and a connection inside of the process.
func inProcess(b *testing.B) *persistence.NATS {
	b.Helper()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: b.TempDir(), Sync: persistence.SyncInterval})
	if err != nil {
		b.Fatal(err)
	}
	conn, err := persistence.Connect(persistence.ConnectOptions{Server: server})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close(context.WithoutCancel(b.Context()))
		_ = server.Shutdown()
	})
	return conn
}

func openStates(b *testing.B, conn *persistence.NATS, users int) *persistence.States {
	b.Helper()
	states, err := persistence.OpenStates(b.Context(), conn, persistence.Options{StateUsers: users}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return states
}

// remembered makes memory answer; nobody wants to hear of changes.
func remembered(b *testing.B, s *persistence.States) {
	b.Helper()
	heard := followed(b, s)
	go func() {
		for {
			select {
			case <-heard:
			case <-b.Context().Done():
				return
			}
		}
	}()
}

// filled gives many users some changes each.
func filled(b *testing.B, conn *persistence.NATS, users, changes int) {
	b.Helper()
	s := openStates(b, conn, users)
	remembered(b, s)
	for c := range changes {
		for u := range users {
			change(b, s, fmt.Sprint("user-", u), read(notifications.Position(c*3+1)))
		}
	}
}

func BenchmarkStateLoadUnknown(b *testing.B) {
	conn := inProcess(b)
	filled(b, conn, 1000, 1)
	s := openStates(b, conn, 1)
	for b.Loop() {
		load(b, s, "nobody")
	}
}

func BenchmarkStateLoad(b *testing.B) {
	for _, changes := range []int{1, 8, 63, 64, 127} {
		b.Run(fmt.Sprint(changes, "-changes"), func(b *testing.B) {
			conn := inProcess(b)
			filled(b, conn, 1000, changes)
			s := openStates(b, conn, 1)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				load(b, s, fmt.Sprint("user-", i%1000))
				i++
			}
		})
	}
}

func BenchmarkStateLoadCached(b *testing.B) {
	conn := inProcess(b)
	filled(b, conn, 1000, 10)
	s := openStates(b, conn, 2000)
	remembered(b, s)
	for i := range 1000 {
		load(b, s, fmt.Sprint("user-", i))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		load(b, s, fmt.Sprint("user-", i%1000))
		i++
	}
}

func BenchmarkStateAppend(b *testing.B) {
	s := openStates(b, inProcess(b), 10_000)
	remembered(b, s)
	i := 0
	state := make(map[string]notifications.State)
	b.ReportAllocs()
	for b.Loop() {
		user := fmt.Sprint("user-", i%10000)
		after, err := s.Append(b.Context(), hub, user, state[user], read(notifications.Position(i/1000+1)))
		if err != nil {
			b.Fatal(err)
		}
		state[user] = after
		i++
	}
}

// What a node that starts costs, per user that comes back, and what a user in
// memory takes.
func BenchmarkStateRebuild(b *testing.B) {
	const users, changes = 20_000, 10
	conn := inProcess(b)
	filled(b, conn, users, changes)
	s := openStates(b, conn, users)
	remembered(b, s)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for u := range users {
		load(b, s, fmt.Sprint("user-", u))
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(users/b.Elapsed().Seconds(), "users/s")
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/users, "B/user")
}
