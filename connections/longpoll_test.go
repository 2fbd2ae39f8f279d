package connections_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
)

// pollHeaders wants the headers of an answer to a poll (signalr.md §6.10).
func pollHeaders(t *testing.T, a answer, kind string) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type":  kind,
		"Cache-Control": "no-cache, no-store",
		"Pragma":        "no-cache",
		"Expires":       "Thu, 01 Jan 1970 00:00:00 GMT",
	} {
		if got := strings.Join(a.header.Values(name), "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

const binaryKind = "application/octet-stream"

// signalr.md §6.1: the first poll is answered at once, with nothing.
func TestFirstPoll(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	suffix := "?id=" + s.token()
	a := s.ask(http.MethodGet, suffix+"&_=1700000000000", "")
	s.want(a, http.StatusOK, "")
	pollHeaders(t, a, binaryKind)
	if got := a.header.Get("Content-Length"); got != "0" {
		t.Errorf("Content-Length: got %q, want 0", got)
	}
	c := wait(t, "the connection", conns)
	if c.Transport() != connections.LongPolling || c.Sink().Transport() != "LongPolling" || c.Resumable() {
		t.Errorf("got transport %q, sink %q, resumable %v", c.Transport(), c.Sink().Transport(), c.Resumable())
	}
	if got := c.Query().Encode(); got != "_=1700000000000" {
		t.Errorf("query: got %q, want that of the first poll", got)
	}
	s.do(http.MethodDelete, suffix)
}

// signalr.md §6.3: a poll waits for data and is answered with all that is
// ready, whole records only.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		c := <-conns
		for range 10 {
			poll := s.later(http.MethodGet, suffix, "")
			synctest.Wait()
			c.say("one\x1e")
			a := <-poll
			s.want(a, http.StatusOK, "one\x1e")
			pollHeaders(t, a, binaryKind)
			if got := a.header.Get("Content-Length"); got != "4" {
				t.Errorf("Content-Length: got %q, want 4", got)
			}
			c.say("two\x1e")
			c.say("thr")
			c.say("ee\x1e")
			s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "two\x1ethree\x1e")
			s.want(s.ask(http.MethodPost, suffix, "four\x1e"), http.StatusOK, "")
			c.hear("four\x1e")
		}
	})
}

// signalr.md §6.3: a poll that nothing comes for is answered with nothing, and
// the connection lives.
func TestPollTimeout(t *testing.T) {
	for want, o := range map[time.Duration]connections.Options{
		90 * time.Second: {},
		3 * time.Second:  {PollTimeout: 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, conns := openServedPipes(t, o)
			suffix := s.polled()
			for range 3 {
				began := time.Now()
				a := s.ask(http.MethodGet, suffix, "")
				s.want(a, http.StatusOK, "")
				pollHeaders(t, a, "text/plain")
				if got := time.Since(began); got != want {
					t.Errorf("answered after %v, want %v", got, want)
				}
			}
			(<-conns).say("news")
			s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "news")
		})
	}
}

// signalr.md §6.4: a newer poll displaces the older one, which gets 204, and
// the connection lives.
func TestPollsDisplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		var polls []<-chan answer
		for range 5 {
			polls = append(polls, s.later(http.MethodGet, suffix, ""))
			synctest.Wait()
		}
		for _, older := range polls[:4] {
			a := <-older
			s.want(a, http.StatusNoContent, "")
			pollHeaders(t, a, "")
		}
		c := <-conns
		c.say("news")
		s.want(<-polls[4], http.StatusOK, "news")
		c.say("more")
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "more")
	})
}

// Whatever polls displace each other, every record is told once, and those of
// one answer are in order.
func TestPollsThatCompete(t *testing.T) {
	const records = 2000
	s, conns := openServed(t, connections.Options{SendBuffer: 100})
	suffix := s.polled()
	c := wait(t, "the connection", conns)
	bodies := make(chan string, records)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				switch a := <-s.later(http.MethodGet, suffix, ""); a.status {
				case http.StatusOK:
					bodies <- a.body
				case http.StatusNoContent:
				default: // 404: it is over
					return
				}
			}
		})
	}
	for i := range records {
		c.say(fmt.Sprintf("%04d\x1e", i))
	}
	c.Sink().Finish("normal")
	c.leave()
	all.Wait()
	close(bodies)
	heard := make([]bool, records)
	for body := range bodies {
		last := -1
		for record := range strings.SplitSeq(strings.TrimSuffix(body, "\x1e"), "\x1e") {
			n, err := strconv.Atoi(record)
			if body == "" {
				break
			}
			if err != nil || heard[n] || (last >= 0 && n != last+1) {
				t.Fatalf("%q after %d: heard before: %v, %v", record, last, err == nil && heard[n], err)
			}
			heard[n], last = true, n
		}
	}
	if missing := slices.Index(heard, false); missing >= 0 {
		t.Errorf("%d was never told", missing)
	}
}

// A newer poll waits until the older one, which is being answered, has
// finished: records keep their order.
func TestPollWaitsForTheOlderOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		c := <-conns
		first := strings.Repeat("1", 40_000)
		c.say(first)
		older, err := s.request(t.Context(), http.MethodGet, suffix, nil) // reads the headers
		if err != nil {
			t.Fatal(err)
		}
		c.say("2")
		newer := s.later(http.MethodGet, suffix, "")
		synctest.Wait()
		select {
		case a := <-newer:
			t.Errorf("the newer poll has not waited: %d %q", a.status, a.body)
		default:
		}
		s.want(s.read(older), http.StatusOK, first)
		s.want(<-newer, http.StatusOK, "2")
	})
}

// signalr.md §6.11: what a poll that dies takes with it is given to the next.
func TestLostAnswerIsGivenAgain(t *testing.T) {
	for _, when := range []string{"while it waits", "while it is answered"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{})
				suffix := s.polled()
				c := <-conns
				first := strings.Repeat("1", 40_000)
				ctx, cut := context.WithCancel(t.Context())
				if when == "while it waits" {
					go func() { _, _ = s.request(ctx, http.MethodGet, suffix, nil) }() //nolint:bodyclose // it has no answer
					synctest.Wait()
					cut()
					synctest.Wait()
					c.say(first)
				} else {
					c.say(first)
					response, err := s.request(ctx, http.MethodGet, suffix, nil)
					if err != nil || response.StatusCode != http.StatusOK {
						t.Fatalf("got %v, %v", response, err)
					}
					cut()
					_ = response.Body.Close()
					synctest.Wait()
				}
				c.say("2")
				s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, first+"2")
			})
		})
	}
}

// The same on a socket, where the kernel has taken a part.
func TestLostAnswerOnASocket(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	suffix := s.polled()
	c := wait(t, "the connection", conns)
	all := strings.Repeat("0123456789abcdef", 1<<20) // more than any kernel takes
	c.say(all)
	wire, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(strings.TrimSuffix(s.url, "/hub"), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(wire, "GET /hub"+suffix+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(wire, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := wire.Close(); err != nil { // resets: there is more to read
		t.Fatal(err)
	}
	if a := s.ask(http.MethodGet, suffix, ""); a.status != http.StatusOK || a.body != all {
		t.Errorf("got %d with %d bytes, want 200 with all %d", a.status, len(a.body), len(all))
	}
}

// A client that does not read its answer is given up after the send timeout,
// and may poll again.
func TestPollThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		c := <-conns
		all := strings.Repeat("x", 40_000)
		c.say(all)
		response, err := s.request(t.Context(), http.MethodGet, suffix, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + 1)
		synctest.Wait()
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, all)
		_ = response.Body.Close()
	})
}

// signalr.md §6.5: DELETE is answered with 202 at once, then the connection is
// over for its client.
func TestDelete(t *testing.T) {
	for _, test := range []struct {
		name    string
		pending bool
		last    string // what the server says to the goodbye
	}{
		{"between two polls", false, ""},
		{"between two polls, with a last word", false, "Close"},
		{"while a poll waits", true, ""},
		{"while a poll waits, with a last word", true, "Close"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{})
				suffix := s.polled()
				c := <-conns
				time.Sleep(time.Second)
				s.want(s.ask(http.MethodPost, suffix, "goodbye"), http.StatusOK, "")
				var poll <-chan answer
				if test.pending {
					poll = s.later(http.MethodGet, suffix, "")
					synctest.Wait()
				}
				a := s.ask(http.MethodDelete, suffix, "")
				s.want(a, http.StatusAccepted, "")
				if got := a.header.Get("Content-Type"); got != "text/plain" {
					t.Errorf("Content-Type: got %q, want text/plain", got)
				}
				s.want(s.ask(http.MethodPost, suffix, "x"), http.StatusNotFound, unknown)
				s.want(s.ask(http.MethodDelete, suffix, ""), http.StatusNotFound, unknown)
				c.hear("goodbye")
				c.ends(io.EOF)
				if test.last != "" {
					c.say(test.last)
				}
				c.Sink().Finish("normal")
				c.leave()
				if test.pending && test.last != "" {
					s.want(<-poll, http.StatusOK, test.last)
					s.want(s.ask(http.MethodGet, suffix, ""), http.StatusNoContent, "")
				} else if test.pending {
					s.want(<-poll, http.StatusNoContent, "")
				}
				if got := <-s.seen.ended; got != "LongPolling normal" {
					t.Errorf("observed: got %q", got)
				}
				s.want(s.ask(http.MethodGet, suffix, ""), http.StatusNotFound, unknown)
				s.want(s.ask(http.MethodPost, suffix, "x"), http.StatusNotFound, unknown)
				s.want(s.ask(http.MethodDelete, suffix, ""), http.StatusNotFound, unknown)
			})
		})
	}
}

// A server that does not care for the goodbye does not hold the poll.
func TestDeleteOfADeafHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		<-conns
		poll := s.later(http.MethodGet, suffix, "")
		synctest.Wait()
		s.want(s.ask(http.MethodDelete, suffix, ""), http.StatusAccepted, "")
		began := time.Now()
		s.want(<-poll, http.StatusNoContent, "")
		if got := time.Since(began); got > 90*time.Second {
			t.Errorf("the poll has waited for %v", got)
		}
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusNotFound, unknown)
	})
}

// The client aborts its poll before it says goodbye: the JavaScript client
// does.
func TestDeleteAfterAnAbortedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		c := <-conns
		ctx, abort := context.WithCancel(t.Context())
		go func() { _, _ = s.request(ctx, http.MethodGet, suffix, nil) }() //nolint:bodyclose // it has no answer
		synctest.Wait()
		abort()
		s.want(s.ask(http.MethodDelete, suffix, ""), http.StatusAccepted, "")
		c.ends(io.EOF)
		synctest.Wait()
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusNotFound, unknown)
	})
}

// signalr.md §6.6: a connection that nobody polls for the disconnect timeout
// is gone; what it has sent before is still received. POSTs do not keep it.
func TestNobodyPolls(t *testing.T) {
	for name, after := range map[string]time.Duration{"in time": 15*time.Second - 1, "late": 15 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{})
				suffix := s.polled()
				c := <-conns
				poll := s.later(http.MethodGet, suffix, "")
				time.Sleep(time.Minute) // a poll that waits begins the time anew
				c.say("hello")
				s.want(<-poll, http.StatusOK, "hello")
				time.Sleep(after / 2)
				s.want(s.ask(http.MethodPost, suffix, "x"), http.StatusOK, "")
				time.Sleep(after - after/2)
				synctest.Wait()
				if name == "in time" {
					c.say("news")
					s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "news")
					return
				}
				s.want(s.ask(http.MethodGet, suffix, ""), http.StatusNotFound, unknown)
				s.want(s.ask(http.MethodPost, suffix, "x"), http.StatusNotFound, unknown)
				c.hear("x")
				c.ends(io.EOF)
				if n := c.accepts("nobody hears that"); n == 0 {
					t.Error("TryWrite: nothing is taken, which looks like a slow client")
				}
			})
		})
	}
}

// A poll after the server has finished gets what is left, the next one the
// end, and then there is nothing.
func TestPollsAfterFinish(t *testing.T) {
	for _, test := range []struct {
		name    string
		pending bool
		said    string
		want    []string // bodies of 200, or 204 and 404
	}{
		{"something is left", false, "Close", []string{"Close", "204", "404"}},
		{"nothing is left", false, "", []string{"204", "404"}},
		{"a poll waits", true, "", []string{"204", "404"}},
		{"a poll waits, something is left", true, "Close", []string{"Close", "204", "404"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{})
				suffix := s.polled()
				c := <-conns
				time.Sleep(time.Second)
				next := func() answer { return s.ask(http.MethodGet, suffix, "") }
				if test.pending {
					poll := s.later(http.MethodGet, suffix, "")
					synctest.Wait()
					again := next
					next = func() answer { next = again; return <-poll }
				}
				if test.said != "" {
					c.say(test.said)
				}
				c.Sink().Finish("timeout")
				c.Sink().Finish("twice")
				c.ends(io.EOF)
				if _, err := c.Sink().TryWrite([]byte("x")); err == nil {
					t.Error("TryWrite after Finish: no error")
				}
				s.want(s.ask(http.MethodPost, suffix, "x"), http.StatusNotFound, unknown)
				c.leave()
				for _, want := range test.want {
					switch want {
					case "204":
						s.want(next(), http.StatusNoContent, "")
					case "404":
						synctest.Wait()
						s.want(next(), http.StatusNotFound, unknown)
					default:
						s.want(next(), http.StatusOK, want)
					}
				}
				if got := <-s.seen.ended; got != "LongPolling timeout" {
					t.Errorf("observed: got %q", got)
				}
			})
		})
	}
}

// If nobody polls after the end, the connection is forgotten.
func TestNobodyPollsAfterFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		c := <-conns
		c.say("Close")
		c.leave() // without a word
		began := time.Now()
		if got := <-s.seen.ended; got != "LongPolling normal" || time.Since(began) != 5*time.Second {
			t.Errorf("got %q after %v, want the end after 5 s", got, time.Since(began))
		}
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusNotFound, unknown)
	})
}

// A connection that is cut ends its poll and everything that waits for it.
func TestPollsAreCut(t *testing.T) {
	for name, cut := range map[string]func(*served){
		"abort":   func(c *served) { c.Abort() },
		"slow":    func(c *served) { c.Sink().Finish("slow") },
		"network": func(c *served) { c.Sink().Finish("network") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conns := openServedPipes(t, connections.Options{SendBuffer: 1, ReceiveBuffer: 1})
				waiting := s.polled()
				a := <-conns
				full := s.polled()
				b := <-conns
				if b.accepts("x") == 0 {
					t.Error("an empty outbox takes nothing")
				}
				drained := make(chan error, 1)
				b.Sink().Drain([]byte("y"), func(err error) { drained <- err })
				s.want(s.ask(http.MethodPost, full, "1"), http.StatusOK, "")
				post, poll := s.later(http.MethodPost, full, "2"), s.later(http.MethodGet, waiting, "")
				synctest.Wait()
				cut(a)
				cut(b)
				s.want(<-poll, http.StatusNoContent, "")
				s.want(<-post, http.StatusNotFound, unknown)
				if err := <-drained; err == nil {
					t.Error("Drain: no error")
				}
				if _, err := a.Receive(); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("Receive: got %v, want an error", err)
				}
				s.want(s.ask(http.MethodGet, waiting, ""), http.StatusNotFound, unknown)
			})
		})
	}
}

// An answer that nobody reads ends at once when its connection is cut.
func TestAnswerIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{})
		suffix := s.polled()
		c := <-conns
		c.say(strings.Repeat("x", 40_000))
		response, err := s.request(t.Context(), http.MethodGet, suffix, nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c.Abort()
		if got, err := io.ReadAll(response.Body); err == nil || time.Since(began) > 0 {
			t.Errorf("got %d bytes, %v after %v, want that it breaks off at once", len(got), err, time.Since(began))
		}
		_ = response.Body.Close()
	})
}

// SendBuffer of a long-polling connection: whole frames or nothing.
func TestPollSendBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conns := openServedPipes(t, connections.Options{SendBuffer: 10})
		suffix := s.polled()
		c := <-conns
		for _, step := range []struct {
			frame string
			taken int
		}{
			{"12345", 5},
			{"678901", 0},
			{"67890", 5},
			{"1", 0},
			{"", 0},
		} {
			if n := c.accepts(step.frame); n != step.taken {
				t.Errorf("%q: got %d, want %d", step.frame, n, step.taken)
			}
		}
		drained := make(chan error, 1)
		c.Sink().Drain([]byte("drained"), func(err error) { drained <- err })
		synctest.Wait()
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "1234567890")
		if err := <-drained; err != nil {
			t.Errorf("Drain: %v", err)
		}
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "drained")
		synctest.Wait()
		if n := c.accepts(strings.Repeat("x", 100)); n != 100 {
			t.Errorf("alone: got %d, want all", n)
		}
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, strings.Repeat("x", 100))
	})
}

// The frame of a poll is the records themselves, and TryWrite keeps nothing of
// what it is given: frames are shared.
func TestPollFrames(t *testing.T) {
	s, conns := openServed(t, connections.Options{})
	suffix := s.polled()
	c := wait(t, "the connection", conns)
	c.SetBinary()
	shared := c.Sink().Frame([]byte("a"), []byte{0, 1, 0xff})
	if !bytes.Equal(shared, []byte{'a', 0, 1, 0xff}) {
		t.Errorf("got %q", shared)
	}
	if n := c.accepts(string(shared)); n != len(shared) {
		t.Errorf("got %d", n)
	}
	mine := []byte("mine")
	if _, err := c.Sink().TryWrite(mine); err != nil {
		t.Error(err)
	}
	copy(mine, "else")
	s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "a\x00\x01\xffmine")
}

// The http.Server takes a client for gone when its ReadTimeout passes; polls
// and streams that wait longer lift it.
func TestReadTimeoutIsLifted(t *testing.T) {
	short := func(web *http.Server) { web.ReadTimeout = 50 * time.Millisecond }
	s, conns := openServed(t, connections.Options{PollTimeout: 200 * time.Millisecond, ReceiveBuffer: 1}, short)
	suffix := s.polled()
	c := wait(t, "the connection", conns)
	began := time.Now()
	a := s.ask(http.MethodGet, suffix, "")
	s.want(a, http.StatusOK, "")
	pollHeaders(t, a, "text/plain")
	if got := time.Since(began); got < 200*time.Millisecond {
		t.Errorf("the poll was answered after %v", got)
	}
	e := s.events("?id=" + s.token())
	stream := wait(t, "the stream", conns)
	s.want(s.ask(http.MethodPost, suffix, "1"), http.StatusOK, "")
	post := s.later(http.MethodPost, suffix, "2") // waits for room
	if err := stream.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Error(err)
	}
	if _, err := stream.Receive(); errors.Is(err, io.EOF) {
		t.Error("the stream has ended")
	}
	stream.say("still here")
	e.hear("still here")
	c.hear("12")
	s.want(wait(t, "the POST", post), http.StatusOK, "")
	// The connection of the client is as good as ever.
	s.want(s.ask(http.MethodPost, suffix, "3"), http.StatusOK, "")
	c.hear("3")
}
