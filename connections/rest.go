package connections

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// ErrIdle says that the client has said nothing for a while, see Conn.MayRest.
var ErrIdle = errors.New("the client has nothing to say")

const (
	// linger is how long a goroutine waits for a client that was busy.
	linger = time.Second
	// longRest is after which time a client that says something is not taken for
	// busy: it has pinged.
	longRest = 5 * time.Second
)

// MayRest lets Receive return ErrIdle, where the connection can do without a
// goroutine while its client says nothing.
func (c *Conn) MayRest() {
	if s, ok := c.pipe.(*socket); ok {
		s.rest.allowed = s.raw != nil && canRest
	}
}

// Rest is called after ErrIdle, before the handler returns: the connection goes
// on, and next is called, on another goroutine, when there is something to
// receive.
func (c *Conn) Rest(next func()) { c.next = next }

// past is a deadline that has passed, never is none.
func past() time.Time  { return time.Unix(1, 0) }
func never() time.Time { return time.Time{} }

// rest is what a socket needs to wait without a goroutine. All but place
// belongs to the reader. One whose client has sent a ping of WebSocket keeps its
// goroutine until there is a message: the library does not return for less.
type rest struct {
	allowed bool
	waiting bool  // for the first byte of a message
	armed   bool  // the deadline of the socket is ours
	wakeful bool  // something was said since it was armed
	woken   bool  // from a long rest, and nothing has been read since
	brief   bool  // what it has woken for has been read
	since   int64 // when it began to rest, in Unix nanoseconds
	conn    *Conn // whose goroutine has ended

	// place is where the poller finds it; 0 = a goroutine reads. Whoever takes it
	// out starts one.
	place atomic.Uint32
}

// await waits for the first byte of a message. The library does not go on
// after a deadline; before a message it need not learn of one.
func (s *socket) await() error {
	s.rest.waiting = true
	defer func() { s.rest.waiting = false }()
	for {
		if s.rest.allowed && s.unread.Buffered() == 0 && s.finished.Load() == nil {
			if s.rest.brief {
				s.rest.brief = false
				s.disarm()
				return ErrIdle
			}
			s.arm()
		}
		_, err := s.unread.Peek(1)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.rest.woken, s.rest.brief = false, s.rest.woken
			return nil // the library meets the error again
		}
		if !s.rest.armed {
			return os.ErrDeadlineExceeded
		}
		s.disarm()
		if !s.rest.wakeful && s.finished.Load() == nil {
			return ErrIdle
		}
	}
}

// arm makes the socket tell after a while. A deadline for each message would
// cost more than one that passes too early now and then.
func (s *socket) arm() {
	if s.rest.armed {
		s.rest.wakeful = true
		return
	}
	s.rest.armed, s.rest.wakeful = true, false
	_ = s.net.SetReadDeadline(time.Now().Add(linger)) // a socket that is closed says so when it is read
}

// disarm takes the deadline back, unless it is that of Finish.
func (s *socket) disarm() {
	s.rest.armed = false
	if s.finished.Load() == nil {
		_ = s.net.SetReadDeadline(never()) // as above
	}
	if s.finished.Load() != nil { // it may have come meanwhile
		_ = s.net.SetReadDeadline(time.Now().Add(s.server.options.CloseTimeout)) // as above
	}
}

// untimely tells whether a read has failed because our deadline has passed in
// the middle of a message, and takes it back then.
func (s *socket) untimely(err error) bool {
	if !s.rest.armed || s.rest.waiting || !errors.Is(err, os.ErrDeadlineExceeded) || s.finished.Load() != nil {
		return false
	}
	s.disarm()
	return true
}

// goOn is what the goroutine of a connection does last: the connection rests
// from now on, or ends.
func (s *Server) goOn(c *Conn) {
	so, ok := c.pipe.(*socket)
	if c.next == nil || !ok {
		s.end(c)
		return
	}
	so.rest.conn, so.rest.since = c, time.Now().UnixNano()
	if !so.lieDown() {
		so.rest.allowed = false
		s.wake(c)
	}
}

// wake goes on with a connection that has rested.
func (s *Server) wake(c *Conn) {
	next := c.next
	c.next = nil
	if so, ok := c.pipe.(*socket); ok {
		so.rest.woken = time.Since(time.Unix(0, so.rest.since)) >= longRest
	}
	next()
	s.goOn(c)
}
