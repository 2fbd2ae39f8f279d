package connections_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/connections"
)

// resting is a handler that echoes what it reads, and rests when its client
// says nothing.
type resting struct {
	rests atomic.Int64
	heard atomic.Int64 // pieces read, and how many of them when it went to rest
	since atomic.Int64
	rest  chan *connections.Conn // one by one, those that rest
	ended chan error
}

func newResting() *resting {
	return &resting{rest: make(chan *connections.Conn, 1<<16), ended: make(chan error, 1<<10)}
}

func (r *resting) serve(_ context.Context, c *connections.Conn) {
	c.MayRest()
	r.goOn(c)
}

func (r *resting) goOn(c *connections.Conn) {
	for {
		data, err := c.Receive()
		switch {
		case errors.Is(err, connections.ErrIdle):
			r.rests.Add(1)
			r.since.Store(r.heard.Load())
			c.Rest(func() { r.goOn(c) })
			r.rest <- c
			return
		case err != nil:
			r.ended <- err
			return
		}
		r.heard.Add(1)
		if err = write(c, c.Sink().Frame(nil, data)); err != nil {
			r.ended <- err
			return
		}
	}
}

// said wants an echo.
func said(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := ws.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

// A client that says nothing has no goroutine, is heard when it says something,
// and its end is noticed.
func TestRest(t *testing.T) {
	t.Parallel()
	r := newResting()
	s := open(t, r.serve, connections.Options{})
	ws := s.mustDial("")
	for i := range 3 {
		wait(t, "it rests", r.rest)
		said(t, ws, fmt.Sprint("a", i))
		said(t, ws, fmt.Sprint("b", i))
	}
	wait(t, "it rests", r.rest)
	// A frame of the transport itself is no message: the library waits for one.
	if err := ws.WriteControl(websocket.PingMessage, []byte("!"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	<-time.After(1200 * time.Millisecond) // longer than it lingers
	said(t, ws, "after a ping")
	wait(t, "it rests after a message", r.rest)
	if err := ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "the end", r.ended); err == nil {
		t.Error("a client that has closed is not at its end")
	}
	if got := wait(t, "the reason", s.seen.ended); got != connections.WebSockets+" normal" && got != "normal" {
		t.Errorf("ended with %q", got)
	}
}

// A client that has rested long and says one thing, as a ping, rests again when
// that has been read: it is woken once, and not waited for.
func TestRestAfterAPing(t *testing.T) {
	t.Parallel()
	r := newResting()
	s := open(t, r.serve, connections.Options{})
	ws := s.mustDial("")
	wait(t, "it rests", r.rest)
	for range 2 {
		before := r.rests.Load()
		<-time.After(5100 * time.Millisecond) // what is taken for a long rest
		said(t, ws, "ping")
		<-time.After(500 * time.Millisecond) // half of what a busy client is waited for
		if rests := r.rests.Load() - before; rests != 1 || r.since.Load() != r.heard.Load() {
			t.Errorf("it rested %d times, having read %d of %d pieces; want once, after all", rests, r.since.Load(), r.heard.Load())
		}
	}
}

// A client that is cut while it rests has ended.
func TestCutAtRest(t *testing.T) {
	t.Parallel()
	r := newResting()
	s := open(t, r.serve, connections.Options{})
	ws := s.mustDial("")
	wait(t, "it rests", r.rest)
	_ = ws.UnderlyingConn().Close()
	_ = wait(t, "the end", r.ended)
}

// What ends a connection from this side wakes it.
func TestEndedAtRest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *connections.Conn){
		"Finish": func(c *connections.Conn) { c.Sink().Finish("normal") },
		"slow":   func(c *connections.Conn) { c.Sink().Finish("slow") },
		"Abort":  func(c *connections.Conn) { c.Abort() },
	} {
		r := newResting()
		s := open(t, r.serve, connections.Options{CloseTimeout: 100 * time.Millisecond})
		ws := s.mustDial("")
		end(wait(t, name+": it rests", r.rest))
		_ = wait(t, name+": the end", r.ended)
		_ = ws.Close()
	}
}

// A server that stops cuts those that rest.
func TestShutdownAtRest(t *testing.T) {
	t.Parallel()
	r := newResting()
	s := open(t, r.serve, connections.Options{})
	s.mustDial("")
	wait(t, "it rests", r.rest)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	_ = wait(t, "the end", r.ended)
}

// A message that comes in two halves, long after one another, is one.
func TestHalvesFarApart(t *testing.T) {
	t.Parallel()
	r := newResting()
	s := open(t, r.serve, connections.Options{})
	ws := s.mustDial("")
	raw := ws.UnderlyingConn()
	// The deadline of silence passes amid the first message, and before the rest
	// of the second.
	for range 2 {
		for _, half := range []string{"\x81\x85\x00\x00\x00\x00he", "llo"} {
			if _, err := raw.Write([]byte(half)); err != nil {
				t.Fatal(err)
			}
			<-time.After(1200 * time.Millisecond) // longer than it lingers
		}
		got := ""
		for got != "hello" { // what is read is a piece
			_, piece, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			got += string(piece)
		}
	}
}

// Many clients that rest and wake as they like, and are ended from either side
// meanwhile: nothing is lost, and nobody is left behind.
func TestManyAtRest(t *testing.T) {
	t.Parallel()
	r := newResting()
	s := open(t, r.serve, connections.Options{CloseTimeout: 100 * time.Millisecond})
	const clients = 60
	var all sync.WaitGroup
	for i := range clients {
		ws := s.mustDial("")
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for n := range 4 {
				<-time.After(time.Duration(random.IntN(2500)) * time.Millisecond)
				text := fmt.Sprint(i, "/", n)
				if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
					t.Error(err)
				}
				if _, got, err := ws.ReadMessage(); err != nil || string(got) != text {
					t.Errorf("got %q, %v, want %q", got, err, text)
				}
			}
			_ = ws.Close()
		})
	}
	all.Wait()
	for range clients {
		_ = wait(t, "the end", r.ended)
	}
	if r.rests.Load() == 0 {
		t.Error("nobody has rested")
	}
}
