//go:build linux

package fleet_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tidings/cmd/tidingsbench/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

// serve accepts connections, reads their requests and leaves the rest to a
// script. It ends with the test.
func serve(t *testing.T, script func(request string, conn *net.TCPConn)) (addr string) {
	t.Helper()
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				request, err := bufio.NewReader(conn).ReadString('\n')
				if err == nil {
					script(strings.TrimSpace(request), conn)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func start(t *testing.T, o fleet.Options) *fleet.Fleet {
	t.Helper()
	f, err := fleet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func client(f *fleet.Fleet, recipients ...uint32) *fleet.Client {
	return f.Add(fleet.Spec{
		Request:    func(cursor string) []byte { return []byte("GET /?cursor=" + cursor + " HTTP/1.1\n") },
		Recipients: recipients,
	})
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// text is a frame, with the shortest length that fits.
func text(payload string) string {
	switch n := len(payload); {
	case n < 126:
		return string([]byte{0x81, byte(n)}) + payload
	case n <= 0xffff:
		return string(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(n))) + payload
	default:
		return string(binary.BigEndian.AppendUint64([]byte{0x81, 127}, uint64(n))) + payload
	}
}

func event(recipient uint32, seq uint64) string {
	return text(`{"m":"` + string(fleet.AppendMark(nil, recipient, seq, time.Now(), 192)) + `"}`)
}

// untilOver waits until clients have heard all, or a connection has ended.
func untilOver(t *testing.T, f *fleet.Fleet, acknowledged map[uint32]uint64) {
	t.Helper()
	for ctx := soon(t); f.Stats().Ended == 0; {
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		err := f.WaitAll(short, acknowledged)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestFaultsAreNoticed(t *testing.T) {
	long := `{"m":"` + string(fleet.AppendMark(nil, 1, 2, time.Now(), 192)) + `"}`
	for _, c := range []struct {
		name, sent, want string
		count            func(fleet.Stats) uint64
	}{
		{"nothing", event(1, 2), "", nil},
		{"lost", event(1, 3), "lost 1 of recipient 1", func(s fleet.Stats) uint64 { return s.Gaps }},
		{"lost at the end", "", "lost 2 of recipient 1, heard up to 1 of 3", nil},
		{"beyond", event(1, 2) + event(1, 3) + event(1, 4), "heard number 4 of recipient 1, acknowledged are 3", nil},
		{"doubled", event(1, 2) + event(1, 2), "doubled 1", func(s fleet.Stats) uint64 { return s.Duplicates }},
		{"reordered", event(1, 3) + event(1, 2), "reordered 1", func(s fleet.Stats) uint64 { return s.Reordered }},
		{"misrouted", event(2, 1), "misrouted 1", func(s fleet.Stats) uint64 { return s.Misrouted }},
		{"truncated", text(long[:100]), "truncated 1", func(s fleet.Stats) uint64 { return s.Truncated }},
		{"truncated in the middle", text(long[:60] + long[70:]), "truncated 1", func(s fleet.Stats) uint64 { return s.Truncated }},
		{"overwritten", text(strings.Replace(long, "ffff", "ff\x00f", 1)), "truncated 1", func(s fleet.Stats) uint64 { return s.Truncated }},
		{"with a tail", text(long + " "), "truncated 1", func(s fleet.Stats) uint64 { return s.Truncated }},
		{"no digits", text(strings.Replace(long, "00", "0G", 1)), "malformed 1", func(s fleet.Stats) uint64 { return s.Malformed }},
		{"capitals", text(strings.Replace(long, "00c0", "00C0", 1)), "malformed 1", func(s fleet.Stats) uint64 { return s.Malformed }},
		{"no mark", text(`{"other":1}`), "malformed 1", func(s fleet.Stats) uint64 { return s.Malformed }},
		{"a fragment", "\x01" + event(1, 2)[1:], "malformed 1", func(s fleet.Stats) uint64 { return s.Malformed }},
		{"masked", "\x81\x80\x00\x00\x00\x00", "malformed 1", func(s fleet.Stats) uint64 { return s.Malformed }},
		{"closed", "\x88\x05\x03\xe8bye", "ended: the server closed the WebSocket: 1000 bye", func(s fleet.Stats) uint64 { return s.Ended }},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := serve(t, func(_ string, conn *net.TCPConn) {
				_, _ = io.WriteString(conn, upgrade+event(1, 1)+c.sent+event(9, 1))
				_, _ = io.Copy(io.Discard, conn)
			})
			f := start(t, fleet.Options{Addr: addr, Dialect: fleet.Raw()})
			one := client(f, 1, 9)
			if err := f.Connect(soon(t), []*fleet.Client{one}); err != nil {
				t.Fatal(err)
			}
			untilOver(t, f, map[uint32]uint64{9: 1})
			acknowledged := map[uint32]uint64{1: 3, 9: 1}
			if c.want == "" {
				acknowledged[1] = 2
			}
			switch err := f.Check(acknowledged); {
			case c.want == "" && err != nil:
				t.Errorf("got %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
			if stats := f.Stats(); c.count != nil && c.count(stats) != 1 {
				t.Errorf("got %+v", stats)
			}
		})
	}
}

func TestUnaskedEnd(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn) error{
		"FIN": (*net.TCPConn).CloseWrite,
		"RST": func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			connected := make(chan struct{})
			addr := serve(t, func(_ string, conn *net.TCPConn) {
				_, _ = io.WriteString(conn, upgrade+event(1, 1))
				<-connected
				if err := end(conn); err != nil {
					t.Error(err)
				}
				_, _ = io.Copy(io.Discard, conn)
			})
			f := start(t, fleet.Options{Addr: addr, Dialect: fleet.Raw()})
			one := client(f, 1)
			if err := f.Connect(soon(t), []*fleet.Client{one}); err != nil {
				t.Fatal(err)
			}
			if err := f.WaitHeard(soon(t), 1); err != nil {
				t.Fatal(err)
			}
			if err := f.Check(map[uint32]uint64{1: 1}); err != nil {
				t.Fatal(err)
			}
			close(connected)
			untilOver(t, f, map[uint32]uint64{1: 2})
			if err := f.Check(map[uint32]uint64{1: 1}); err == nil || !strings.Contains(err.Error(), "ended 1") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"status":     {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull", "503 Service Unavailable: full"},
		"no answer":  {"", "the server ended the connection"},
		"no HTTP":    {"SSH-2.0-x\r\n\r\n", "refused: SSH-2.0-x"},
		"no welcome": {upgrade + text(`{"error":"no"}`+"\x1e"), `handshake: {"error":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, func(_ string, conn *net.TCPConn) {
				_, _ = io.WriteString(conn, c.answer)
				_ = conn.CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			})
			f := start(t, fleet.Options{Addr: addr, Dialect: fleet.SignalRJSON()})
			all := []*fleet.Client{client(f), client(f), client(f)}
			err := f.Connect(soon(t), all)
			if err == nil || !strings.Contains(err.Error(), "3 of 3 clients") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if stats := f.Stats(); stats.Refused != 3 || stats.Connected != 0 || stats.Ended != 0 {
				t.Errorf("got %+v", stats)
			}
			if err = f.Check(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err = listener.Close(); err != nil {
		t.Fatal(err)
	}
	f := start(t, fleet.Options{Addr: addr, Dialect: fleet.Raw()})
	if err = f.Connect(soon(t), []*fleet.Client{client(f)}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	addr := serve(t, func(_ string, conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) })
	f := start(t, fleet.Options{Addr: addr, Dialect: fleet.Raw(), Dialing: 2})
	all := []*fleet.Client{client(f), client(f), client(f)}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Connect(ctx, all); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 of 3") {
		t.Errorf("got %v", err)
	}
	if err := f.WaitHeard(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A client that was cut comes back with its cursor and hears what it missed,
// which makes a sample of a replay.
func TestReturn(t *testing.T) {
	notification := func(seq uint64) string {
		m := fleet.AppendMark(nil, 1, seq, time.Now(), 192)
		return text(fmt.Sprintf(`{"type":1,"target":"ReceiveNotification","arguments":[{"position":%d,"cursor":"at-%d","data":{"m":"%s"}}]}`+"\x1e", seq, seq, m))
	}
	missed := notification(3)
	var came atomic.Int32
	addr := serve(t, func(request string, conn *net.TCPConn) {
		hello := upgrade + text("{}\x1e") + text(`{"type":1,"target":"Resumed","arguments":[{"cursor":"start"}]}`+"\x1e")
		switch came.Add(1); request {
		case "GET /?cursor= HTTP/1.1":
			_, _ = io.WriteString(conn, hello+notification(1)+notification(2))
		case "GET /?cursor=at-2 HTTP/1.1":
			_, _ = io.WriteString(conn, hello+missed+notification(4))
		default:
			t.Errorf("unexpected %q", request)
		}
		_, _ = io.Copy(io.Discard, conn)
	})
	f := start(t, fleet.Options{Addr: addr, Dialect: fleet.SignalRJSON(), Sources: 3})
	all := []*fleet.Client{client(f, 1)}
	if err := f.Connect(soon(t), all); err != nil {
		t.Fatal(err)
	}
	if err := f.WaitAll(soon(t), map[uint32]uint64{1: 2}); err != nil {
		t.Fatal(err)
	}
	f.Cut(all)
	if err := f.Connect(soon(t), all); err != nil {
		t.Fatal(err)
	}
	if err := f.WaitAll(soon(t), map[uint32]uint64{1: 4}); err != nil {
		t.Fatal(err)
	}
	f.Disconnect(all)
	if err := f.Check(map[uint32]uint64{1: 4}); err != nil {
		t.Fatal(err)
	}
	if s := f.Samples(); len(s.Live) != 3 || len(s.Replay) != 1 || len(s.Ready) != 2 {
		t.Errorf("got %+v", s)
	}
	f.ResetSamples()
	if s := f.Samples(); len(s.Live)+len(s.Replay)+len(s.Ready) != 0 {
		t.Errorf("got %+v", s)
	}
	if expected, missing := f.Tally(map[uint32]uint64{1: 6}); expected != 6 || missing != 2 {
		t.Errorf("got %d, %d", expected, missing)
	}
	if stats := f.Stats(); stats.Ended != 0 || stats.Connects != 2 || stats.Connected != 0 {
		t.Errorf("got %+v", stats)
	}
}

// What came before a client is not expected of it.
func TestExpect(t *testing.T) {
	addr := serve(t, func(_ string, conn *net.TCPConn) {
		_, _ = io.WriteString(conn, upgrade+event(1, 8)+event(2, 5))
		_, _ = io.Copy(io.Discard, conn)
	})
	f := start(t, fleet.Options{Addr: addr, Dialect: fleet.Raw()})
	one := client(f, 1)
	one.Expect(1, 7)
	one.Expect(2, 4)
	if err := f.Connect(soon(t), []*fleet.Client{one}); err != nil {
		t.Fatal(err)
	}
	if err := f.WaitHeard(soon(t), 2); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(map[uint32]uint64{1: 8, 2: 5}); err != nil {
		t.Error(err)
	}
}

// Clients are cut and come back while events flow, over several loops.
func TestCutWhileEventsFlow(t *testing.T) {
	addr := serve(t, func(_ string, conn *net.TCPConn) {
		_, err := io.WriteString(conn, upgrade)
		for seq := uint64(1); err == nil; seq++ {
			_, err = io.WriteString(conn, event(1, seq))
		}
	})
	f := start(t, fleet.Options{Addr: addr, Dialect: fleet.Raw(), Loops: 3})
	all := make([]*fleet.Client, 9)
	for i := range all {
		all[i] = client(f, 1)
	}
	for range 20 {
		if err := f.Connect(soon(t), all); err != nil {
			t.Fatal(err)
		}
		if err := f.WaitHeard(soon(t), f.Heard()+100); err != nil {
			t.Fatal(err)
		}
		f.Cut(all)
		for _, c := range all {
			c.Expect(1, 0)
		}
	}
	if stats := f.Stats(); stats.Ended != 0 || stats.Connected != 0 || stats.Connects != 180 || stats.Gaps != 0 || stats.Duplicates != 0 {
		t.Errorf("got %+v", stats)
	}
}

func TestClosedFleet(t *testing.T) {
	f, err := fleet.New(fleet.Options{Addr: "127.0.0.1:1", Dialect: fleet.Raw()})
	if err != nil {
		t.Fatal(err)
	}
	one := client(f)
	if err = f.Close(); err != nil {
		t.Fatal(err)
	}
	f.Cut([]*fleet.Client{one})
	f.Disconnect([]*fleet.Client{one})
	for name, got := range map[string]error{
		"Connect": f.Connect(soon(t), []*fleet.Client{one}), "WaitHeard": f.WaitHeard(soon(t), 1),
		"WaitAll": f.WaitAll(soon(t), nil), "Check": f.Check(nil),
	} {
		if !errors.Is(got, fleet.ErrClosed) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
