package connections_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
)

// signalr.md §5, "Answer" and "First bytes": exactly these headers, and a
// comment that opens the stream before anything is said.
func TestEventStreamBegins(t *testing.T) {
	s, conns := openServed(t, connections.Options{Origins: []string{"https://app.example"}})
	e := s.events("?id="+s.token(), "Origin", "https://app.example")
	if e.response.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", e.response.StatusCode)
	}
	for name, want := range map[string]string{
		"Content-Type":                "text/event-stream",
		"Cache-Control":               "no-cache,no-store",
		"Pragma":                      "no-cache",
		"Content-Encoding":            "identity",
		"X-Accel-Buffering":           "no",
		"Content-Length":              "",
		"Access-Control-Allow-Origin": "https://app.example",
	} {
		if got := strings.Join(e.response.Header.Values(name), "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	first := make([]byte, 3)
	if _, err := io.ReadFull(e.reader, first); err != nil || string(first) != ":\r\n" {
		t.Errorf("first bytes: got %q, %v, want :\\r\\n", first, err)
	}
	c := wait(t, "the connection", conns)
	if c.Transport() != connections.ServerSentEvents || c.Sink().Transport() != "ServerSentEvents" || c.Resumable() {
		t.Errorf("got transport %q, sink %q, resumable %v", c.Transport(), c.Sink().Transport(), c.Resumable())
	}
}

// signalr.md §5, "A message": a line feed inside the payload splits it into
// several lines, the carriage return before it is dropped. Several records may
// share one event.
func TestEventFrames(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	s.events("?id=" + s.token())
	sink := wait(t, "the connection", conns).Sink()
	for _, test := range []struct{ records, want string }{
		{"", "data: \r\n\r\n"},
		{"a", "data: a\r\n\r\n"},
		{"{\"type\":6}\x1e", "data: {\"type\":6}\x1e\r\n\r\n"},
		{"a\x1eb\x1e", "data: a\x1eb\x1e\r\n\r\n"},
		{"a\nb", "data: a\r\ndata: b\r\n\r\n"},
		{"a\r\nb", "data: a\r\ndata: b\r\n\r\n"},
		{"a\rb", "data: a\r\ndata: b\r\n\r\n"}, // a line end to every client, so it must be one to us
		{"a\n\r\nb", "data: a\r\ndata: \r\ndata: b\r\n\r\n"},
		{"\n", "data: \r\ndata: \r\n\r\n"},
		{" a ", "data:  a \r\n\r\n"},
		{"data: x\r\n\r\nevent: y", "data: data: x\r\ndata: \r\ndata: event: y\r\n\r\n"},
	} {
		if got := string(sink.Frame([]byte("before"), []byte(test.records))); got != "before"+test.want {
			t.Errorf("%q: got %q, want %q", test.records, got[len("before"):], test.want)
		}
	}
}

// signalr.md §5: what is written comes at once, what is sent by POST is
// received, and the end of the stream ends the connection.
func TestEventStream(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	suffix := "?id=" + s.token()
	e := s.events(suffix)
	c := wait(t, "the connection", conns)
	for range 10 {
		s.want(s.ask(http.MethodPost, suffix, "ping\x1e"), http.StatusOK, "")
		c.hear("ping\x1e")
		c.say("pong\x1e")
		e.hear("pong\x1e")
	}
	long := strings.Repeat("0123456789", 20_000)
	c.say(long)
	c.say("last")
	e.hear(long)
	e.hear("last")
	s.want(s.ask(http.MethodPost, suffix, "goodbye"), http.StatusOK, "")
	e.close()
	c.hear("goodbye") // was sent before
	c.ends(io.EOF)
	c.ends(io.EOF)
	if n := c.accepts("nobody hears that"); n == 0 {
		t.Error("TryWrite: nothing is taken when the client has gone, which looks like one that is slow")
	}
	written := make(chan error, 1)
	c.Sink().Drain([]byte("nor that"), func(err error) { written <- err })
	if err := wait(t, "the drain", written); err != nil {
		t.Errorf("Drain: %v", err)
	}
	s.want(s.ask(http.MethodPost, suffix, "late"), http.StatusNotFound, unknown)
	s.want(s.ask(http.MethodGet, suffix, "", "Accept", "text/event-stream"), http.StatusNotFound, unknown)
	c.leave()
	if got := wait(t, "the end", s.seen.ended); got != "ServerSentEvents normal" {
		t.Errorf("observed: got %q", got)
	}
}

// After Finish everything that was written goes out, then the stream ends.
func TestEventStreamFinishes(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	suffix := "?id=" + s.token()
	e := s.events(suffix)
	c := wait(t, "the connection", conns)
	c.say("Close")
	c.Sink().Finish("protocol_error")
	c.Sink().Finish("twice")
	e.hear("Close")
	e.over()
	c.ends(io.EOF)
	if _, err := c.Sink().TryWrite([]byte("more")); err == nil {
		t.Error("TryWrite after Finish: no error")
	}
	c.leave()
	if got := wait(t, "the end", s.seen.ended); got != "ServerSentEvents protocol_error" {
		t.Errorf("observed: got %q", got)
	}
	s.want(s.ask(http.MethodPost, suffix, "x"), http.StatusNotFound, unknown)
}

// A stream that is cut breaks off, whatever was to be written.
func TestEventStreamIsCut(t *testing.T) {
	for name, cut := range map[string]func(*served){
		"abort":   func(c *served) { c.Abort() },
		"slow":    func(c *served) { c.Sink().Finish("slow") },
		"network": func(c *served) { c.Sink().Finish("network") },
	} {
		t.Run(name, func(t *testing.T) {
			s, conns := openServed(t, connections.Options{})
			e := s.events("?id=" + s.token())
			c := wait(t, "the connection", conns)
			cut(c)
			if _, err := e.next(); err == nil {
				t.Error("an event came of a stream that was cut")
			}
			if _, err := c.Receive(); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("Receive: got %v, want an error", err)
			}
			if _, err := c.Sink().TryWrite([]byte("x")); err == nil {
				t.Error("TryWrite: no error")
			}
		})
	}
}

// A client that reads nothing fills the kernel's buffers, then the bound of
// ours, and then it is given up (signalr.md §4, "TransportSendTimeout").
func TestEventStreamIsNotRead(t *testing.T) {
	s, conns := openServed(t, connections.Options{SendTimeout: 100 * time.Millisecond, SendBuffer: 1000})
	s.events("?id=" + s.token())
	c := wait(t, "the connection", conns)
	frame := c.Sink().Frame(nil, bytes.Repeat([]byte("x"), 1<<20))
	gaveUp := make(chan error, 1)
	for range 100 { // as the owner of a connection
		n, err := c.Sink().TryWrite(frame)
		if err != nil {
			gaveUp <- err
			break
		}
		if n == 0 {
			drained := make(chan error, 1)
			c.Sink().Drain(frame, func(err error) { drained <- err })
			if err := wait(t, "the drain", drained); err != nil {
				gaveUp <- err
				break
			}
		}
	}
	if err := wait(t, "the end", gaveUp); err == nil {
		t.Error("no error")
	}
	if _, err := c.Receive(); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Receive: got %v, want an error that is no deadline", err)
	}
}

// In a bubble the same to the second, and a client that reads slowly is kept.
func TestEventStreamSendTimeout(t *testing.T) {
	for _, test := range []struct {
		name  string
		pause time.Duration // between two reads
		after time.Duration // of the failure; 0 = none
	}{
		{"slow", 9 * time.Second, 0},
		{"stuck", time.Hour, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{})
				e := s.events("?id=" + s.token())
				if _, err := e.line(); err != nil {
					t.Fatal(err)
				}
				c := <-conns
				began := time.Now()
				c.say(strings.Repeat("x", 40_000))
				if test.after > 0 {
					if _, err := c.Receive(); err == nil || errors.Is(err, io.EOF) || time.Since(began) != test.after {
						t.Errorf("Receive: got %v after %v, want an error after %v", err, time.Since(began), test.after)
					}
					return
				}
				for all := 0; all < 40_000; {
					time.Sleep(test.pause)
					n, err := e.reader.Read(make([]byte, 4<<10))
					if err != nil {
						t.Fatalf("after %d bytes: %v", all, err)
					}
					all += n
				}
			})
		})
	}
}

// ReceiveBuffer and SendBuffer of an event stream: frames are taken whole or
// not at all, and a frame that is larger than the bound is taken alone.
func TestEventStreamSendBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{SendBuffer: 10})
		listener := s.events("?id=" + s.token())
		if _, err := listener.line(); err != nil {
			t.Fatal(err)
		}
		c := <-conns
		if n := c.accepts(strings.Repeat("1", 8192) + "\n"); n != 8193 { // now being written to nobody
			t.Errorf("alone: got %d, want all", n)
		}
		synctest.Wait()
		if n := c.accepts("x"); n != 0 {
			t.Errorf("beside a full outbox: got %d, want 0", n)
		}
		drained := make(chan error, 1)
		c.Sink().Drain([]byte("2\n"), func(err error) { drained <- err })
		synctest.Wait()
		select {
		case err := <-drained:
			t.Errorf("Drain has not waited: %v", err)
		default:
		}
		for range 2 {
			if _, err := listener.line(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-drained; err != nil {
			t.Errorf("Drain: %v", err)
		}
	})
}

// A goodbye that nobody reads is not waited for for ever.
func TestEventStreamIsNotReadToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{CloseTimeout: 3 * time.Second})
		s.events("?id=" + s.token())
		c := <-conns
		c.say(strings.Repeat("x", 40_000))
		c.Sink().Finish("normal")
		began := time.Now()
		c.leave()
		if got := <-s.seen.ended; got != "ServerSentEvents normal" || time.Since(began) != 3*time.Second {
			t.Errorf("got %q after %v, want the end after 3 s", got, time.Since(began))
		}
	})
}

// An old proxy speaks HTTP/1.0: a stream ends with its connection, and a poll
// has a length.
func TestHalvesOverHTTP10(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	ask := func(suffix, accept string) net.Conn {
		t.Helper()
		wire := s.dialTCP()
		if _, err := io.WriteString(wire, "GET /hub"+suffix+" HTTP/1.0\r\nAccept: "+accept+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return wire
	}
	stream := ask("?id="+s.token(), "text/event-stream")
	c := wait(t, "the stream", conns)
	c.say("one")
	c.Sink().Finish("normal")
	if got, err := io.ReadAll(stream); err != nil || !strings.HasSuffix(string(got), "\r\n\r\n:\r\ndata: one\r\n\r\n") || strings.Contains(string(got), "chunked") {
		t.Errorf("stream: got %q, %v", got, err)
	}
	polled := s.polled()
	wait(t, "the poll", conns).say("news")
	if got, err := io.ReadAll(ask(polled, "*/*")); err != nil || !strings.HasSuffix(string(got), "\r\n\r\nnews") || !strings.Contains(string(got), "Content-Length: 4\r\n") {
		t.Errorf("poll: got %q, %v", got, err)
	}
}

// Over HTTP/2, with its own flow control and deadlines, a stream and its POSTs
// share a connection; an idle stream stays.
func TestHalvesOverHTTP2(t *testing.T) {
	h, conns, leave := handOver(t)
	server := connections.NewServer(h, connections.Options{SendTimeout: 50 * time.Millisecond})
	web := httptest.NewUnstartedServer(server)
	web.EnableHTTP2 = true
	web.Config.ReadTimeout = 300 * time.Millisecond // and for the handshake of TLS
	web.StartTLS()
	s := &site{Server: server, t: t, url: web.URL + "/hub", client: web.Client(), seen: &seen{}}
	t.Cleanup(func() { s.close(web.Close) })
	t.Cleanup(leave)
	suffix := "?id=" + s.token()
	e := s.events(suffix)
	if e.response.ProtoMajor != 2 {
		t.Fatalf("got %s, want HTTP/2", e.response.Proto)
	}
	if _, err := e.line(); err != nil {
		t.Fatal(err)
	}
	c := wait(t, "the connection", conns)
	if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Error(err)
	}
	c.ends(os.ErrDeadlineExceeded) // the stream has been idle
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	s.want(s.ask(http.MethodPost, suffix, "ping"), http.StatusOK, "")
	c.hear("ping")
	c.say("pong")
	e.hear("pong")
	polled := s.polled()
	p := wait(t, "the other connection", conns)
	later := s.later(http.MethodGet, polled, "")
	if err := p.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Error(err)
	}
	p.ends(os.ErrDeadlineExceeded)
	p.say("news")
	s.want(wait(t, "the poll", later), http.StatusOK, "news")
}
