package persistence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
	"tidings/persistence"
)

var (
	_ notifications.States    = (*persistence.States)(nil)
	_ notifications.Schedules = (*persistence.Schedules)(nil)
	_ notifications.Audit     = (*persistence.Audit)(nil)
	_ notifications.Visits    = (*persistence.Visits)(nil)
	_ notifications.Devices   = (*persistence.Cursors)(nil)
	_ persistence.Bounds      = (*persistence.Log)(nil)
)

// station is a server with a port that can be stopped and started again.
type station struct {
	dir, addr string
	server    *persistence.Server
}

func newStation(tb testing.TB) *station {
	tb.Helper()
	s := &station{dir: tb.TempDir(), addr: "127.0.0.1:0"}
	s.start(tb)
	s.addr = s.server.Addr()
	tb.Cleanup(func() { s.stop(tb) })
	return s
}

func (s *station) start(tb testing.TB) {
	tb.Helper()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: s.dir, Listen: s.addr, Sync: persistence.SyncInterval})
	if err != nil {
		tb.Fatal(err)
	}
	s.server = server
}

func (s *station) stop(tb testing.TB) {
	tb.Helper()
	if s.server == nil {
		return
	}
	if err := s.server.Shutdown(); err != nil {
		tb.Error(err)
	}
	s.server = nil
}

// connect is a connection of one node.
func (s *station) connect(tb testing.TB) *persistence.NATS {
	tb.Helper()
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + s.addr})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// past is a connection that goes past the nodes.
func (s *station) past(tb testing.TB) jetstream.JetStream { //nolint:ireturn // the library's type
	tb.Helper()
	conn, err := nats.Connect("nats://" + s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

// background runs something until the test ends, or the returned function is
// called.
func background(tb testing.TB, run func(context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// eventually asks again and again.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.Tick(5 * time.Millisecond); !is(); {
		select {
		case <-tick:
		case <-deadline:
			tb.Fatalf("not within 20 s: %s", what)
		}
	}
}

// text is a value in a form that can be compared.
func text(tb testing.TB, v any) string {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// lossy is a way to a server that loses the first answer to a publish on a
// subject, and the connection with it.
func lossy(t *testing.T, addr, subject string) (way string, lost <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	losing := make(chan struct{})
	arm, lose := make(chan struct{}), sync.OnceFunc(func() { close(losing) })
	armed := sync.OnceFunc(func() { close(arm) })
	carry := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		server, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		all.Go(func() {
			defer func() { _ = server.Close() }()
			buffer := make([]byte, 64<<10)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if bytes.Contains(buffer[:n], []byte("HPUB "+subject+" ")) {
					armed()
				}
				if _, err = server.Write(buffer[:n]); err != nil {
					return
				}
			}
		})
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			if closed(arm) && !closed(losing) {
				lose()
				return
			}
			if _, err = conn.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return "nats://" + listener.Addr().String(), losing
}

// info is a stream, with the subjects that match.
func (s *station) info(t *testing.T, stream, subject string) *jetstream.StreamInfo {
	t.Helper()
	is, err := s.past(t).Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := is.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	return info
}
