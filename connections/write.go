package connections

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// attempts are used again and again, so that a write allocates nothing.
var attempts = sync.Pool{New: func() any { return &attempt{} }} //nolint:gochecknoglobals // for all sockets

// attempt is the one write that TryWrite makes.
type attempt struct {
	p   []byte
	n   int
	err error
}

// Transport implements Sink.
func (*socket) Transport() string { return WebSockets }

// Frame implements Sink: the records are one message.
func (s *socket) Frame(dst, records []byte) []byte {
	if s.binary {
		return appendFrame(dst, websocket.BinaryMessage, records)
	}
	return appendFrame(dst, websocket.TextMessage, records)
}

// TryWrite implements Sink: it writes what the kernel takes. Where a write
// cannot be tried (TLS in this process) everything goes through Drain.
func (s *socket) TryWrite(p []byte) (int, error) {
	if s.raw == nil {
		return 0, nil
	}
	try, _ := attempts.Get().(*attempt) // nothing else is in there
	*try = attempt{p: p}
	s.try = try
	err := s.raw.Write(s.attempt)
	n := 0
	if err == nil {
		n, err = try.n, try.err
		s.counter().sent.Add(int64(n))
	}
	s.try, *try = nil, attempt{}
	attempts.Put(try)
	return n, err
}

// Drain implements Sink.
func (s *socket) Drain(p []byte, done func(error)) {
	s.draining.Store(true)
	go func() {
		err := s.drain(p)
		s.draining.Store(false)
		done(err)
	}()
}

func (s *socket) drain(p []byte) error {
	for len(p) > 0 {
		if err := s.net.SetWriteDeadline(time.Now().Add(s.server.options.SendTimeout)); err != nil {
			return err
		}
		n, err := s.net.Write(p)
		s.counter().sent.Add(int64(n))
		p = p[n:]
		var timeout net.Error
		moves := n > 0 && errors.As(err, &timeout) && timeout.Timeout()
		if err != nil && (!moves || s.finished.Load() != nil) {
			return err
		}
	}
	// A deadline left behind would fail the next attempt.
	return s.net.SetWriteDeadline(time.Time{})
}

// Finish implements Sink: a close frame, as far as the kernel takes it, then
// the peer has CloseTimeout to answer. A peer that takes nothing ("slow", or it
// is being drained) or is gone ("network") is cut at once: half a frame may be
// on its way. One that is gone because it has sent a close frame is answered
// (RFC 6455 §5.5.1), and so is one that has broken the protocol (§7.1.7).
func (s *socket) Finish(reason string) {
	if !s.finished.CompareAndSwap(nil, &reason) {
		return
	}
	code := websocket.CloseNormalClosure
	switch {
	case reason == "slow", reason == "network" && !s.closed.Load() && !s.violated.Load(), s.draining.Load() && s.raw != nil:
		s.abort()
		return
	case s.violated.Load():
		code = websocket.CloseProtocolError
	case reason == "error":
		code = websocket.CloseInternalServerErr
	}
	frame := appendFrame(nil, websocket.CloseMessage, binary.BigEndian.AppendUint16(nil, uint16(code)))
	if s.raw == nil {
		_ = s.net.SetWriteDeadline(time.Now().Add(s.server.options.CloseTimeout)) // the connection ends in any case
		s.goodbye.Go(func() { _, _ = s.net.Write(frame) })
	} else {
		_, _ = s.TryWrite(frame) // best effort
	}
	_ = s.net.SetReadDeadline(time.Now().Add(s.server.options.CloseTimeout)) // likewise
	s.rouse()
}
