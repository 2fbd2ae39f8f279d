// Package persistencetest is the kit for testing with a real log: a NATS
// server in the process, with file storage in a directory of the test.
package persistencetest

import (
	"context"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

// Log is a log that is being followed.
type Log struct {
	*persistence.Log

	NATS   *persistence.NATS
	Server *persistence.Server
}

// Run starts a server, opens the log and follows it until the test ends;
// deliver may be nil.
func Run(t *testing.T, o persistence.Options, deliver func(context.Context, notifications.Batch) error) *Log {
	t.Helper()
	return Reopen(t, t.TempDir(), o, deliver)
}

// Reopen is Run on a directory that may hold a log already.
func Reopen(t *testing.T, dir string, o persistence.Options, deliver func(context.Context, notifications.Batch) error) *Log {
	t.Helper()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: dir, Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	nats, err := persistence.Connect(persistence.ConnectOptions{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	log, err := persistence.Open(t.Context(), nats, o)
	if err != nil {
		t.Fatal(err)
	}
	if deliver == nil {
		deliver = func(context.Context, notifications.Batch) error { return nil }
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- log.Follow(ctx, deliver) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Follow: %v", err)
		}
		if err := nats.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close NATS: %v", err)
		}
		if err := server.Shutdown(); err != nil {
			t.Errorf("stop NATS: %v", err)
		}
	})
	select {
	case <-log.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("log is not ready after 30 s")
	}
	return &Log{Log: log, NATS: nats, Server: server}
}
