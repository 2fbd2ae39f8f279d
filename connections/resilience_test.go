package connections_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/connections"
)

// signalr.md §13.10: a flood of negotiations takes no more than its bound, is
// refused cheaply, and does not hurt those who are there.
func TestNegotiationFlood(t *testing.T) {
	const bound, flood = 1000, 10_000
	s := open(t, echo, connections.Options{MaxWaiting: bound})
	mine := s.token()
	ws := s.mustDial("id=" + mine)
	var all sync.WaitGroup
	var in, out, other atomic.Int64
	for range 8 {
		all.Go(func() {
			for range flood / 8 {
				switch s.do(http.MethodPost, "/negotiate?negotiateVersion=1").status {
				case http.StatusOK:
					in.Add(1)
				case http.StatusServiceUnavailable:
					out.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	all.Wait()
	if in.Load() != bound || out.Load() != flood-bound || other.Load() > 0 {
		t.Errorf("%d got in, %d were refused, %d something else, want %d and %d", in.Load(), out.Load(), other.Load(), bound, flood-bound)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := ws.ReadMessage(); err != nil || string(message) != "still here" {
		t.Errorf("the one that was there: got %q, %v", message, err)
	}
}

// Those who come and go do not use up the lobby, and are not remembered.
func TestLobbyForgets(t *testing.T) {
	s := open(t, stay, connections.Options{MaxWaiting: 2})
	first := s.token() // stays, and is the oldest
	for range 100 {
		suffix := s.polled()
		s.want(s.ask(http.MethodDelete, suffix, ""), http.StatusAccepted, "")
	}
	s.mustDial("id=" + first)
}

// Clients that send half a header, or half a body, hold only themselves up.
func TestSlowRequests(t *testing.T) {
	s, conns := openServed(t, connections.Options{SendTimeout: 50 * time.Millisecond}, func(web *http.Server) {
		web.ReadHeaderTimeout = 50 * time.Millisecond
	})
	suffix := s.polled()
	c := wait(t, "the connection", conns)
	other := s.polled()
	var answers sync.WaitGroup
	for i := range 40 {
		wire := s.dialTCP()
		head := "POST /hub" + suffix + " HTTP/1.1\r\nHost: x\r\n"
		if i%2 == 0 {
			head += "Content-Length: 10\r\n\r\n"
		}
		if _, err := io.WriteString(wire, head); err != nil {
			t.Fatal(err)
		}
		answers.Go(func() {
			got, _ := io.ReadAll(wire) // or a reset
			text := string(got)
			switch {
			case i%2 != 0, strings.HasPrefix(text, "HTTP/1.1 408 "), strings.HasPrefix(text, "HTTP/1.1 429 "):
			default:
				t.Errorf("half a body: got %q", text)
			}
		})
	}
	s.want(s.ask(http.MethodPost, other, "hello"), http.StatusOK, "")
	wait(t, "the other one", conns).hear("hello")
	answers.Wait()
	s.want(s.ask(http.MethodPost, suffix, "at last"), http.StatusOK, "")
	c.hear("at last")
}

// A request that is refused is not read to its end.
func TestRefusedBodyIsNotRead(t *testing.T) {
	s := open(t, stay, connections.Options{}, func(web *http.Server) { web.ReadTimeout = 200 * time.Millisecond })
	for _, suffix := range []string{"", "?id=nobody", "?id=" + s.token()} {
		wire := s.dialTCP()
		if _, err := io.WriteString(wire, "POST /hub"+suffix+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(wire)
		if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 40") {
			t.Errorf("%q: got %q, %v", suffix, got, err)
		}
	}
}

// RFC 6455 §5.2: a length of which the highest bit is set is none. Other
// lengths are taken at their word and cost nothing before the bytes come.
func TestLengthsThatCannotBe(t *testing.T) {
	for _, length := range []uint64{1 << 63, 1<<64 - 1, 1<<63 - 1, 1 << 40} {
		t.Run(fmt.Sprintf("%x", length), func(t *testing.T) {
			s, conns := openServed(t, connections.Options{})
			ws := s.mustDial("")
			c := wait(t, "the connection", conns)
			head := binary.BigEndian.AppendUint64([]byte{final | 1, 0x80 | 127}, length)
			if _, err := ws.NetConn().Write(append(head, 0, 0, 0, 0, 'a')); err != nil {
				t.Fatal(err)
			}
			if length < 1<<63 {
				c.hear("a")
				_ = ws.NetConn().Close()
				c.lose()
				return
			}
			c.lose()
			c.Sink().Finish("network")
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseProtocolError) {
				t.Errorf("answer: got %v, want 1002", err)
			}
		})
	}
}

// A message that never ends is received as it comes and not kept.
func TestFragmentsWithoutEnd(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	ws := s.mustDial("")
	c := wait(t, "the connection", conns)
	piece := strings.Repeat("x", 32<<10)
	send := func(first byte) {
		t.Helper()
		if _, err := ws.NetConn().Write(frame(first, piece)); err != nil {
			t.Fatal(err)
		}
		c.hear(piece) // before the next one comes
	}
	send(1)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 1000 {
		send(0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes more after 32 MB of one message", grown)
	}
	// Empty ones neither.
	var empty []byte
	for range 10_000 {
		empty = append(empty, frame(0, "")...)
	}
	if _, err := ws.NetConn().Write(append(empty, frame(final, "end")...)); err != nil {
		t.Fatal(err)
	}
	c.hear("end")
}

// Compression is not negotiated, whatever the client offers.
func TestNoCompression(t *testing.T) {
	s := open(t, echo, connections.Options{})
	dialer := websocket.Dialer{EnableCompression: true}
	ws, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // it is empty
	t.Cleanup(func() { _ = ws.Close() })
	if got := response.Header.Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("extensions: got %q, want none", got)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 1000))); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < 1000; {
		_, message, err := ws.ReadMessage()
		if err != nil || len(message) == 0 {
			t.Fatalf("after %d bytes: got %q, %v", got, message, err)
		}
		got += len(message)
	}
}

// A client that sends frames before it has been let in is refused.
func TestFramesBeforeTheUpgrade(t *testing.T) {
	s := open(t, stay, connections.Options{})
	wire := s.dialTCP()
	head := "GET /hub HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := wire.Write(append([]byte(head), frame(final|1, "early")...)); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(wire) // or a reset
	if strings.HasPrefix(string(got), "HTTP/1.1 101") {
		t.Errorf("got %q, want that it is refused", got)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
