package connections_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"tidings/connections"
	"tidings/hub/hubtest"
)

// frame is a masked frame of a client, with a mask that changes nothing.
func frame(first byte, payload string) []byte {
	b := []byte{first, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	if len(payload) < 126 {
		b = []byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	}
	return append(b, payload...)
}

const final = 0x80

// signalr.md §4: both kinds of messages are accepted, in fragments or not, with
// pings between the fragments.
func TestReceive(t *testing.T) {
	long := strings.Repeat("0123456789", 5000)
	for _, test := range []struct {
		name   string
		frames [][]byte
		want   string
	}{
		{"text", [][]byte{frame(final|1, "hello")}, "hello"},
		{"binary", [][]byte{frame(final|2, "hello")}, "hello"},
		{"several messages", [][]byte{frame(final|1, "a"), frame(final|2, "b"), frame(final|1, "c")}, "abc"},
		{"empty message", [][]byte{frame(final|1, ""), frame(final|1, "a")}, "a"},
		{"fragments", [][]byte{frame(1, "a"), frame(0, "b"), frame(0, ""), frame(final, "c")}, "abc"},
		{"ping between fragments", [][]byte{frame(1, "a"), frame(final|9, "ping"), frame(final, "b")}, "ab"},
		{"pong that nobody asked for", [][]byte{frame(final|10, ""), frame(final|1, "a")}, "a"},
		{"longer than any buffer", [][]byte{frame(final|1, long[:50000]), frame(1, long[:9999]), frame(final, long[:20000])}, long[:50000] + long[:9999] + long[:20000]},
		{"no UTF-8", [][]byte{frame(final|1, "\xff\xfe")}, "\xff\xfe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			s := open(t, func(_ context.Context, c *connections.Conn) {
				var all []byte
				for {
					data, err := c.Receive()
					if err != nil {
						got <- string(all)
						return
					}
					all = append(all, data...)
				}
			}, connections.Options{})
			ws := s.mustDial("")
			if _, err := ws.NetConn().Write(append(bytes.Join(test.frames, nil), frame(final|8, "")...)); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, "the end", got); got != test.want {
				t.Errorf("got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(test.want), test.want)
			}
		})
	}
}

// What Receive says of the end, and how the peer is answered (RFC 6455 §5.5.1:
// a close frame is answered by one).
func TestReceiveEnds(t *testing.T) {
	closeFrame := func(code uint16) []byte {
		return frame(final|8, string(binary.BigEndian.AppendUint16(nil, code)))
	}
	for _, test := range []struct {
		name   string
		bytes  []byte
		clean  bool
		code   int // of the answer; 0 = none is needed
		reason string
	}{
		{"normal closure", closeFrame(1000), true, 1000, "normal"},
		{"going away", closeFrame(1001), true, 1000, "normal"},
		{"no code", frame(final|8, ""), true, 1000, "normal"},
		{"an error of the peer", closeFrame(1011), false, 1000, "network"},
		{"a code of an application", closeFrame(4000), false, 1000, "network"},
		{"a code that cannot be", closeFrame(1006), false, 1002, "network"},
		{"not masked", []byte{final | 1, 1, 'a'}, false, 1002, "network"},
		{"reserved bit", frame(final|0x40|1, "a"), false, 1002, "network"},
		{"unknown opcode", frame(final|3, "a"), false, 1002, "network"},
		{"continues nothing", frame(final, "a"), false, 1002, "network"},
		{"message in a message", append(frame(1, "a"), frame(final|1, "b")...), false, 1002, "network"},
		{"long ping", frame(final|9, strings.Repeat("x", 126)), false, 1002, "network"},
		{"cut", nil, false, 0, "network"},
		{"cut inside of a frame", frame(final|1, "hello")[:8], false, 0, "network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := open(t, func(_ context.Context, c *connections.Conn) {
				for {
					if _, err := c.Receive(); err != nil {
						ended <- err
						if errors.Is(err, io.EOF) {
							c.Sink().Finish("normal")
						} else {
							c.Sink().Finish("network")
						}
						return
					}
				}
			}, connections.Options{})
			ws := s.mustDial("")
			if _, err := ws.NetConn().Write(test.bytes); err != nil {
				t.Fatal(err)
			}
			if test.code == 0 {
				if err := ws.NetConn().Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := wait(t, "the end", ended); errors.Is(err, io.EOF) != test.clean {
				t.Errorf("Receive: got %v, want a clean end: %v", err, test.clean)
			}
			if got := wait(t, "the end", s.seen.ended); got != "WebSockets "+test.reason {
				t.Errorf("observed: got %q, want %s", got, test.reason)
			}
			if _, _, err := ws.ReadMessage(); test.code != 0 && !websocket.IsCloseError(err, test.code) {
				t.Errorf("answer: got %v, want %d", err, test.code)
			}
		})
	}
}

// A deadline of reading is told as such, whatever the library makes of it.
func TestReceiveDeadline(t *testing.T) {
	for _, before := range []string{"", "text", "part of a frame"} {
		ended := make(chan error, 1)
		s := open(t, func(_ context.Context, c *connections.Conn) {
			if before != "" {
				_, _ = c.Receive()
			}
			if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Error(err)
			}
			_, err := c.Receive()
			ended <- err
		}, connections.Options{})
		ws := s.mustDial("")
		said := frame(final|1, "hello")
		if before == "part of a frame" {
			said = said[:8]
		}
		if before != "" {
			if _, err := ws.NetConn().Write(said); err != nil {
				t.Fatal(err)
			}
		}
		if err := wait(t, "the deadline", ended); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q: got %v, want os.ErrDeadlineExceeded", before, err)
		}
	}
}

// Frames are whole at all lengths of their length (RFC 6455 §5.2).
func TestFrames(t *testing.T) {
	lengths := []int{0, 1, 125, 126, 127, 4096, 65535, 65536, 65537, 1 << 20}
	s := open(t, func(ctx context.Context, c *connections.Conn) {
		for i, n := range lengths {
			if i == len(lengths)/2 {
				c.SetBinary()
			}
			if err := write(c, c.Sink().Frame([]byte("before")[:0], bytes.Repeat([]byte{byte('a' + i)}, n))); err != nil {
				t.Errorf("write: %v", err)
			}
		}
		// Two frames in one write are two messages.
		if err := write(c, c.Sink().Frame(c.Sink().Frame(nil, []byte("one")), []byte("two"))); err != nil {
			t.Errorf("write: %v", err)
		}
		stay(ctx, c)
	}, connections.Options{})
	ws := s.mustDial("")
	for i, n := range lengths {
		kind, message, err := ws.ReadMessage()
		want := websocket.TextMessage
		if i >= len(lengths)/2 {
			want = websocket.BinaryMessage
		}
		if err != nil || kind != want || !bytes.Equal(message, bytes.Repeat([]byte{byte('a' + i)}, n)) {
			t.Errorf("message of %d bytes: got kind %d, %d bytes, %v", n, kind, len(message), err)
		}
	}
	for _, want := range []string{"one", "two"} {
		if _, message, err := ws.ReadMessage(); err != nil || string(message) != want {
			t.Errorf("got %q, %v, want %s", message, err, want)
		}
	}
}

// signalr.md §4, "End": a close frame 1000, or 1011 after an error of the
// application, then some time for the peer's; a peer that takes nothing is cut.
func TestFinish(t *testing.T) {
	for _, test := range []struct {
		reason string
		code   int
	}{
		{"normal", 1000},
		{"shutdown", 1000},
		{"timeout", 1000},
		{"protocol_error", 1000},
		{"error", 1011},
		{"slow", 1006},
		{"network", 1006},
		{"", 1000}, // the handler returns without a word
	} {
		t.Run(test.reason, func(t *testing.T) {
			s := open(t, func(ctx context.Context, c *connections.Conn) {
				if test.reason == "" {
					return
				}
				c.Sink().Finish(test.reason)
				c.Sink().Finish("twice")
				stay(ctx, c)
			}, connections.Options{})
			ws := s.mustDial("")
			_, _, err := ws.ReadMessage()
			if !websocket.IsCloseError(err, test.code) && (test.code != 1006 || !errors.Is(err, syscall.ECONNRESET)) {
				t.Errorf("got %v, want %d", err, test.code)
			}
			want := "WebSockets " + test.reason
			if test.reason == "" {
				want += "normal"
			}
			if got := wait(t, "the end", s.seen.ended); got != want {
				t.Errorf("observed: got %q, want %q", got, want)
			}
		})
	}
}

// A peer that does not answer the close frame is not waited for for ever.
func TestFinishOfADeafPeer(t *testing.T) {
	s := open(t, func(ctx context.Context, c *connections.Conn) {
		c.Sink().Finish("normal")
		stay(ctx, c)
	}, connections.Options{CloseTimeout: 10 * time.Millisecond})
	s.mustDial("") // and does not read
	wait(t, "the end", s.seen.ended)
}

// RFC 6455 §5.5.2: a ping is answered with its own data, by whoever writes.
func TestPong(t *testing.T) {
	frames := make(chan []byte, 10)
	s := open(t, func(_ context.Context, c *connections.Conn) {
		_, _ = c.Receive() // nobody writes yet
		c.OnControl(func(frame []byte) { frames <- frame })
		_, _ = c.Receive()
	}, connections.Options{})
	ws := s.mustDial("")
	all := [][]byte{frame(final|9, "early"), frame(final|1, "x"), frame(final|9, "late"), frame(final|9, ""), frame(final|1, "x")}
	if _, err := ws.NetConn().Write(bytes.Join(all, nil)); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end", s.seen.ended)
	close(frames)
	var got []string
	for f := range frames {
		got = append(got, string(f))
	}
	if want := []string{"\x8a\x04late", "\x8a\x00"}; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("pongs: got %q, want %q", got, want)
	}
}

// narrow opens a WebSocket that takes little before it is read.
func (s *site) narrow(suffix string) *websocket.Conn {
	s.t.Helper()
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		}}
		return d.DialContext(ctx, network, address)
	}}
	ws, response, err := dialer.DialContext(s.t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+suffix, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close() // it is empty
	s.t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// stall writes until the kernel takes no more, and returns what it did not
// take.
func stall(t *testing.T, c *connections.Conn) (rest []byte) {
	t.Helper()
	page := c.Sink().Frame(nil, bytes.Repeat([]byte("x"), 64<<10))
	for range 1000 {
		switch n, err := c.Sink().TryWrite(page); {
		case err != nil:
			t.Errorf("TryWrite: %v", err)
			return nil
		case n < len(page):
			return page[n:]
		}
	}
	t.Error("64 MB were taken by a socket that nobody reads")
	return nil
}

// A write that is tried never waits; what is left is drained when the peer
// goes on reading, and nothing is lost.
func TestTryWriteThenDrain(t *testing.T) {
	stalled := make(chan struct{})
	s := open(t, func(ctx context.Context, c *connections.Conn) {
		rest := stall(t, c)
		close(stalled)
		written := make(chan error, 1)
		c.Sink().Drain(rest, func(err error) { written <- err })
		if err := <-written; err != nil {
			t.Errorf("Drain: %v", err)
		}
		if err := write(c, c.Sink().Frame(nil, []byte("last"))); err != nil {
			t.Errorf("write: %v", err)
		}
		stay(ctx, c)
	}, connections.Options{})
	ws := s.narrow("")
	wait(t, "the stall", stalled)
	for n := 0; ; n++ {
		_, message, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		if string(message) == "last" {
			break
		}
		if len(message) != 64<<10 || bytes.Count(message, []byte("x")) != len(message) {
			t.Fatalf("message %d: %d bytes that are not ours", n, len(message))
		}
	}
}

// Whoever owns many sockets writes often: a write allocates nothing.
func TestTryWriteAllocatesNothing(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	ws := s.mustDial("")
	sink := wait(t, "the connection", conns).Sink()
	frame := sink.Frame(nil, []byte("x"))
	allocated := testing.AllocsPerRun(100, func() {
		if n, err := sink.TryWrite(frame); n != len(frame) || err != nil {
			t.Errorf("TryWrite: got %d, %v", n, err)
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations, want none", allocated)
	}
	_ = ws.Close()
}

// signalr.md §4: a peer that takes nothing for the send timeout is given up.
func TestDrainGivesUp(t *testing.T) {
	gaveUp := make(chan error, 1)
	s := open(t, func(_ context.Context, c *connections.Conn) {
		c.Sink().Drain(stall(t, c), func(err error) { gaveUp <- err })
		_, _ = c.Receive()
	}, connections.Options{SendTimeout: 50 * time.Millisecond})
	ws := s.narrow("")
	if err := wait(t, "the drain", gaveUp); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Drain: got %v, want os.ErrDeadlineExceeded", err)
	}
	_ = ws.Close()
}

// In a bubble the same to the second: one byte every nine seconds is enough to
// be kept, ten without one are not.
func TestSendTimeout(t *testing.T) {
	for _, test := range []struct {
		name   string
		pause  time.Duration // between two bytes
		failed bool
		after  time.Duration
	}{
		{"slow", 9 * time.Second, false, 9 * 10 * time.Second},
		{"stuck", time.Hour, true, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var began time.Time
				ended := make(chan error, 1)
				server := connections.NewServer(handler(func(_ context.Context, c *connections.Conn) {
					if n, err := c.Sink().TryWrite([]byte("tried")); n != 0 || err != nil {
						t.Errorf("TryWrite on a pipe: got %d, %v, want that it cannot be tried", n, err)
					}
					began = time.Now()
					c.Sink().Drain([]byte("0123456789"), func(err error) { ended <- err })
					_, _ = c.Receive()
				}), connections.Options{})
				wire := dialPipe(t, server)
				got := make(chan string, 1)
				go func() {
					var all []byte
					for len(all) < 10 {
						time.Sleep(test.pause)
						var b [1]byte
						if _, err := io.ReadFull(wire, b[:]); err != nil {
							break
						}
						all = append(all, b[0])
					}
					got <- string(all)
				}()
				err := <-ended
				if (err != nil) != test.failed || time.Since(began) != test.after {
					t.Errorf("Drain: got %v after %v, want failed = %v after %v", err, time.Since(began), test.failed, test.after)
				}
				if !test.failed {
					if text := <-got; text != "0123456789" {
						t.Errorf("read %q, want all", text)
					}
				}
				_ = wire.Close()
				if err := server.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				synctest.Wait()
				if test.failed {
					<-got
				}
			})
		})
	}
}

// dialPipe upgrades a pipe and returns the client's end of it.
func dialPipe(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	listener := hubtest.NewPipes()
	web := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	over := make(chan error, 1)
	go func() { over <- web.Serve(listener) }()
	t.Cleanup(func() {
		_ = web.Close() // nothing is left to be lost
		if err := <-over; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	dialer := websocket.Dialer{NetDialContext: listener.Dial}
	ws, response, err := dialer.DialContext(t.Context(), "ws://bubble/hub", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // it is empty
	return ws.NetConn()
}

// To say goodbye never waits, not even while a peer that does not read is
// being drained: whoever owns the connection has others to look after
// (architecture.md law 4).
func TestFinishDoesNotWaitForADrain(t *testing.T) {
	took := make(chan time.Duration, 1)
	s := open(t, func(_ context.Context, c *connections.Conn) {
		c.Sink().Drain(stall(t, c), func(error) {})
		for range 10_000 { // until it waits for the kernel
			runtime.Gosched()
		}
		began := time.Now()
		c.Sink().Finish("normal")
		took <- time.Since(began)
	}, connections.Options{SendTimeout: 5 * time.Second})
	s.narrow("")
	if got := wait(t, "Finish", took); got > time.Second {
		t.Errorf("Finish took %v", got)
	}
	wait(t, "the end", s.seen.ended)
}

// A connection that is cut ends whoever reads and writes it.
func TestAbort(t *testing.T) {
	ended := make(chan error, 2)
	s := open(t, func(_ context.Context, c *connections.Conn) {
		c.Sink().Drain(stall(t, c), func(err error) { ended <- err })
		c.Abort()
		c.Abort()
		_, err := c.Receive()
		ended <- err
		if _, err := c.Sink().TryWrite([]byte("x")); err == nil {
			t.Error("TryWrite on a cut socket: no error")
		}
	}, connections.Options{})
	s.narrow("")
	for range 2 {
		if err := wait(t, "the end", ended); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("got %v, want an error", err)
		}
	}
}

// The context of a handler does not end with the request, and keeps nothing of
// it in memory.
func TestHandlerContext(t *testing.T) {
	type key struct{}
	contexts := make(chan context.Context, 1)
	s := open(t, func(ctx context.Context, c *connections.Conn) { contexts <- ctx; stay(ctx, c) }, connections.Options{})
	inner := s.web.Handler
	s.web.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(context.WithValue(r.Context(), key{}, "kept"))
		defer cancel()
		inner.ServeHTTP(w, r.WithContext(ctx))
	})
	s.mustDial("")
	ctx := wait(t, "the connection", contexts)
	if ctx.Done() != nil || ctx.Value(key{}) != nil {
		t.Errorf("got %v, want a context that never ends and knows nothing of the request", ctx)
	}
}

// Where a write cannot be tried, as over TLS, everything goes through a drain
// and is said as well, the goodbye included.
func TestOverTLS(t *testing.T) {
	server := connections.NewServer(handler(echo), connections.Options{})
	web := httptest.NewTLSServer(server)
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	for range 20 {
		ws, response, err := dialer.DialContext(t.Context(), "wss"+strings.TrimPrefix(web.URL, "https")+"/hub", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close() // it is empty
		long := strings.Repeat("x", 200<<10)
		if err := ws.WriteMessage(websocket.TextMessage, []byte(long)); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len(long); {
			_, message, err := ws.ReadMessage()
			if err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			got += len(message)
		}
		if err := ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("the goodbye was answered with %v, want 1000", err)
		}
		_ = ws.Close()
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// A peer that does not read holds nobody up that cuts it, not even over TLS.
func TestAbortOverTLS(t *testing.T) {
	h, conns, leave := handOver(t)
	server := connections.NewServer(h, connections.Options{})
	web := httptest.NewTLSServer(server)
	s := &site{Server: server, t: t, client: web.Client()}
	t.Cleanup(func() { s.close(web.Close) })
	t.Cleanup(leave)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	ws, response, err := dialer.DialContext(t.Context(), "wss"+strings.TrimPrefix(web.URL, "https")+"/hub", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // it is empty
	t.Cleanup(func() { _ = ws.Close() })
	c := wait(t, "the connection", conns)
	drained := make(chan error, 1)
	c.Sink().Drain(make([]byte, 64<<20), func(err error) { drained <- err })
	began := time.Now()
	c.Abort()
	if got := time.Since(began); got > 2*time.Second {
		t.Errorf("Abort took %v", got)
	}
	if err := wait(t, "the drain", drained); err == nil {
		t.Error("Drain: no error")
	}
	if _, err := c.Receive(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Receive: got %v, want an error", err)
	}
}
