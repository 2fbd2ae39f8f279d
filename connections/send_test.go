package connections_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
)

// halves opens a connection of a transport that is made of requests and
// returns its suffix. Its client does not leave before the end of the test.
func (s *site) halves(transport string) string {
	s.t.Helper()
	if transport == connections.LongPolling {
		return s.polled()
	}
	suffix := "?id=" + s.token()
	if _, err := s.events(suffix).line(); err != nil {
		s.t.Fatal(err)
	}
	return suffix
}

// inBubbles runs a test for both transports of that kind.
func inBubbles(t *testing.T, o connections.Options, test func(s *site, suffix string, c *served)) {
	t.Helper()
	for _, transport := range []string{connections.ServerSentEvents, connections.LongPolling} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, o)
				suffix := s.halves(transport)
				test(s, suffix, <-conns)
			})
		})
	}
}

// signalr.md §6.9: any part of the stream of bytes, whatever its type, 200
// once the bytes wait for their reader.
func TestSend(t *testing.T) {
	inBubbles(t, connections.Options{}, func(s *site, suffix string, c *served) {
		t := s.t
		for _, kind := range []string{"text/plain;charset=UTF-8", "application/octet-stream", "x", ""} {
			a := s.ask(http.MethodPost, suffix, "part of a rec", "Content-Type", kind)
			s.want(a, http.StatusOK, "")
			if got := a.header.Get("Content-Type"); got != "text/plain" {
				t.Errorf("Content-Type: got %q, want text/plain", got)
			}
			s.want(s.ask(http.MethodPost, suffix, ""), http.StatusOK, "")
			s.want(s.ask(http.MethodPost, suffix, "ord\x1e\x00\xff"), http.StatusOK, "")
			c.hear("part of a record\x1e\x00\xff")
		}
		// In pieces of unknown length, as a proxy may send them.
		response, err := s.request(t.Context(), http.MethodPost, suffix, io.MultiReader(strings.NewReader("a"), strings.NewReader("b")))
		if err != nil {
			t.Fatal(err)
		}
		s.want(s.read(response), http.StatusOK, "")
		c.hear("ab")
	})
}

// A POST waits while its connection is not read.
func TestSendWaits(t *testing.T) {
	inBubbles(t, connections.Options{ReceiveBuffer: 10_000, DisconnectTimeout: time.Hour}, func(s *site, suffix string, c *served) {
		t := s.t
		s.want(s.ask(http.MethodPost, suffix, strings.Repeat("1", 8192)), http.StatusOK, "")
		second := s.later(http.MethodPost, suffix, strings.Repeat("2", 1808))
		s.want(<-second, http.StatusOK, "")
		third := s.later(http.MethodPost, suffix, strings.Repeat("3", 9000))
		synctest.Wait()
		select {
		case a := <-third:
			t.Errorf("the third has not waited: %d", a.status)
		default:
		}
		time.Sleep(time.Minute) // longer than any deadline of the body
		c.hear(strings.Repeat("1", 8192) + strings.Repeat("2", 1808) + strings.Repeat("3", 4096))
		s.want(<-third, http.StatusOK, "")
		c.hear(strings.Repeat("3", 9000-4096))
	})
}

// A buffer that is smaller than any piece takes one piece.
func TestSendIntoASmallBuffer(t *testing.T) {
	inBubbles(t, connections.Options{ReceiveBuffer: 1}, func(s *site, suffix string, c *served) {
		post := s.later(http.MethodPost, suffix, strings.Repeat("x", 100_000))
		c.hear(strings.Repeat("x", 100_000))
		s.want(<-post, http.StatusOK, "")
	})
}

// signalr.md §6.9: one POST at a time is applied, in order of arrival. Those
// that wait are bounded; what is more gets 429.
func TestSendsTakeTurns(t *testing.T) {
	inBubbles(t, connections.Options{ReceiveBuffer: 1}, func(s *site, suffix string, c *served) {
		t := s.t
		s.want(s.ask(http.MethodPost, suffix, "<"), http.StatusOK, "")
		var posts []<-chan answer
		want := ""
		for i := range 17 {
			body := strings.Repeat(string(rune('a'+i)), 5000) // in two pieces
			posts = append(posts, s.later(http.MethodPost, suffix, body))
			want += body
			synctest.Wait()
		}
		a := s.ask(http.MethodPost, suffix, "too many")
		if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
			t.Errorf("the one too many: got %d %q, want 429 with Retry-After", a.status, a.body)
		}
		c.hear("<" + want)
		for _, post := range posts {
			s.want(<-post, http.StatusOK, "")
		}
		s.want(s.ask(http.MethodPost, suffix, ">"), http.StatusOK, "")
		c.hear(">")
	})
}

// A POST that waits ends with the connection.
func TestSendsEndWithTheConnection(t *testing.T) {
	inBubbles(t, connections.Options{ReceiveBuffer: 1}, func(s *site, suffix string, c *served) {
		s.want(s.ask(http.MethodPost, suffix, "1"), http.StatusOK, "")
		posts := []<-chan answer{s.later(http.MethodPost, suffix, "2"), s.later(http.MethodPost, suffix, "3")}
		synctest.Wait()
		c.Sink().Finish("normal")
		for _, post := range posts {
			s.want(<-post, http.StatusNotFound, unknown)
		}
		c.hear("1")
		c.ends(io.EOF)
	})
}

// A POST that is not read for as long as clients wait is given up, one that
// waits for its turn likewise.
func TestSendWaitsInVain(t *testing.T) {
	inBubbles(t, connections.Options{ReceiveBuffer: 1, DisconnectTimeout: time.Hour}, func(s *site, suffix string, c *served) {
		t := s.t
		s.want(s.ask(http.MethodPost, suffix, "1"), http.StatusOK, "")
		began := time.Now()
		second := s.later(http.MethodPost, suffix, "2")
		synctest.Wait()
		time.Sleep(time.Second)
		third := s.later(http.MethodPost, suffix, "3")
		if a := <-second; a.status != http.StatusRequestTimeout || time.Since(began) != 100*time.Second {
			t.Errorf("got %d after %v, want 408 after 100 s", a.status, time.Since(began))
		}
		if a := <-third; a.status != http.StatusRequestTimeout || time.Since(began) != 101*time.Second {
			t.Errorf("got %d after %v, want 408 after 101 s", a.status, time.Since(began))
		}
		s.want(s.ask(http.MethodDelete, suffix, ""), map[string]int{"LongPolling": 202, "ServerSentEvents": 400}[c.Transport()],
			map[string]string{"ServerSentEvents": deleted}[c.Transport()])
		c.hear("1")
	})
}

// drip is a body that comes a byte at a time.
type drip struct {
	body  string
	pause time.Duration
	over  <-chan struct{}
}

// Read implements io.Reader.
func (d *drip) Read(p []byte) (int, error) {
	if d.body == "" {
		return 0, io.EOF
	}
	select {
	case <-time.After(d.pause):
	case <-d.over:
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p[:1], d.body)
	d.body = d.body[n:]
	return n, nil
}

// A body must come: a piece within the send timeout, all of it within 100 s.
// What has come stands.
func TestBodyMustCome(t *testing.T) {
	for _, test := range []struct {
		name   string
		drip   drip
		status int
		after  time.Duration
		stands string
	}{
		{"drips", drip{body: strings.Repeat("x", 9), pause: 9 * time.Second}, http.StatusOK, 81 * time.Second, "xxxxxxxxx"},
		{"drips too long", drip{body: strings.Repeat("x", 20), pause: 9 * time.Second}, http.StatusRequestTimeout, 100 * time.Second, "xxxxxxxxxxx"},
		{"drips too slowly", drip{body: "xx", pause: 11 * time.Second}, http.StatusRequestTimeout, 10 * time.Second, ""},
		{"breaks off", drip{body: "xx", pause: 60 * time.Second}, http.StatusRequestTimeout, 10 * time.Second, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubbles(t, connections.Options{DisconnectTimeout: time.Hour}, func(s *site, suffix string, c *served) {
				t := s.t
				began := time.Now()
				body := test.drip
				body.over = t.Context().Done()
				response, err := s.request(t.Context(), http.MethodPost, suffix, &body)
				if err != nil {
					t.Fatal(err)
				}
				a := s.read(response)
				if a.status != test.status || time.Since(began) != test.after {
					t.Errorf("got %d %q after %v, want %d after %v", a.status, a.body, time.Since(began), test.status, test.after)
				}
				s.want(s.ask(http.MethodPost, suffix, "next"), http.StatusOK, "")
				c.hear(test.stands + "next")
			})
		})
	}
}

// A client that goes in the middle of a body leaves what has come, and the
// turn.
func TestBodyBreaksOff(t *testing.T) {
	for _, transport := range []string{connections.ServerSentEvents, connections.LongPolling} {
		s, conns := openServed(t, connections.Options{})
		suffix := s.halves(transport)
		c := wait(t, "the connection", conns)
		for _, head := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
			wire := s.dialTCP()
			if _, err := io.WriteString(wire, "POST /hub"+suffix+" HTTP/1.1\r\nHost: x\r\n"+head); err != nil {
				t.Fatal(err)
			}
			c.hear("half")
			if err := wire.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s.want(s.ask(http.MethodPost, suffix, "next"), http.StatusOK, "")
		c.hear("next")
		wire := s.dialTCP()
		if _, err := io.WriteString(wire, "POST /hub"+suffix+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(wire)
		if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.HasSuffix(string(got), "The body cannot be read.") {
			t.Errorf("no body at all: got %q, %v, want 400", got, err)
		}
	}
}

// dialTCP opens a connection without HTTP.
func (s *site) dialTCP() net.Conn {
	s.t.Helper()
	address := strings.TrimPrefix(strings.TrimSuffix(s.url, "/hub"), "http://")
	wire, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = wire.Close() })
	return wire
}

// A POST whose client has gone while it waited for room does not hold the
// turn for ever.
func TestSenderGoesWhileItWaits(t *testing.T) {
	inBubbles(t, connections.Options{ReceiveBuffer: 1}, func(s *site, suffix string, c *served) {
		t := s.t
		s.want(s.ask(http.MethodPost, suffix, "1"), http.StatusOK, "")
		ctx, cut := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = s.request(ctx, http.MethodPost, suffix, strings.NewReader("2")) //nolint:bodyclose // it has no answer
		}()
		synctest.Wait()
		third := s.later(http.MethodPost, suffix, "3")
		synctest.Wait()
		cut()
		<-gone
		synctest.Wait()
		c.hear("13")
		s.want(<-third, http.StatusOK, "")
	})
}

// Deadlines of reading work as on a socket: they may be set while somebody
// reads, and lifted.
func TestReceiveDeadlineOfHalves(t *testing.T) {
	inBubbles(t, connections.Options{}, func(s *site, suffix string, c *served) {
		t := s.t
		began := time.Now()
		if err := c.SetReadDeadline(began.Add(3 * time.Second)); err != nil {
			t.Error(err)
		}
		c.ends(os.ErrDeadlineExceeded)
		c.ends(os.ErrDeadlineExceeded)
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("the deadline passed after %v", got)
		}
		s.want(s.ask(http.MethodPost, suffix, "late"), http.StatusOK, "")
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		c.hear("late")
		go func() {
			time.Sleep(time.Second)
			if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Error(err)
			}
		}()
		began = time.Now()
		c.ends(os.ErrDeadlineExceeded)
		if got := time.Since(began); got != 2*time.Second {
			t.Errorf("the deadline that was set while reading passed after %v", got)
		}
	})
}

// After a deadline between two messages a WebSocket goes on, too.
func TestReceiveGoesOnAfterADeadline(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	ws := s.mustDial("")
	c := wait(t, "the connection", conns)
	for range 3 {
		if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Error(err)
		}
		c.ends(os.ErrDeadlineExceeded)
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		for _, text := range []string{"one", "two"} {
			if err := ws.WriteMessage(1, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		c.hear("onetwo")
	}
	_ = ws.Close()
	if _, err := c.Receive(); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Receive: got %v, want an error", err)
	}
}

// A client may begin with its handshake, before its first poll or its stream:
// the official server takes it, and signalrcore depends on it.
func TestSendBeforeTheTransport(t *testing.T) {
	for _, transport := range []string{connections.ServerSentEvents, connections.LongPolling} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{})
				suffix := "?id=" + s.token()
				s.want(s.ask(http.MethodPost, suffix, "hand"), http.StatusOK, "")
				s.want(s.ask(http.MethodPost, suffix, "shake\x1e"), http.StatusOK, "")
				const much = "The connection has no transport yet, and this is more than a handshake."
				s.want(s.ask(http.MethodPost, suffix, strings.Repeat("x", 5000)), http.StatusBadRequest, much)
				if transport == connections.LongPolling {
					s.want(s.do(http.MethodGet, suffix), http.StatusOK, "")
				} else if _, err := s.events(suffix).line(); err != nil {
					t.Fatal(err)
				}
				c := <-conns
				c.hear("handshake\x1e")
				s.want(s.ask(http.MethodPost, suffix, "later"), http.StatusOK, "")
				c.hear("later")
			})
		})
	}
}
