package connections

import (
	"encoding/binary"
	"errors"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// attempt is the one write that TryWrite makes; it is a part of the Conn so
// that a write allocates nothing.
type attempt struct {
	p   []byte
	n   int
	err error
}

// Transport is the name of the transport.
func (c *Conn) Transport() string { return WebSockets }

// Frame appends one message that holds the records, whole. It is pure: frames
// of one kind are the same for all connections.
func (c *Conn) Frame(dst, records []byte) []byte {
	if c.binary {
		return appendFrame(dst, websocket.BinaryMessage, records)
	}
	return appendFrame(dst, websocket.TextMessage, records)
}

// TryWrite writes what the kernel takes at once and never waits. A short count
// without an error says that the rest must go through Drain, as everything
// does where a write cannot be tried (TLS in this process).
func (c *Conn) TryWrite(p []byte) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	c.try = attempt{p: p}
	if err := c.raw.Write(c.attempt); err != nil {
		return 0, err
	}
	n, err := c.try.n, c.try.err
	c.try = attempt{}
	return n, err
}

// Drain takes p over and writes it on a goroutine of its own, which ends when
// it has been written, when no byte has moved for SendTimeout, or when the
// socket is closed. Then it calls done, once.
func (c *Conn) Drain(p []byte, done func(error)) {
	c.draining.Store(true)
	go func() {
		err := c.drain(p)
		c.draining.Store(false)
		done(err)
	}()
}

func (c *Conn) drain(p []byte) error {
	for len(p) > 0 {
		if err := c.net.SetWriteDeadline(time.Now().Add(c.server.options.SendTimeout)); err != nil {
			return err
		}
		n, err := c.net.Write(p)
		p = p[n:]
		var timeout net.Error
		moves := n > 0 && errors.As(err, &timeout) && timeout.Timeout()
		if err != nil && (!moves || c.finished.Load() != nil) {
			return err
		}
	}
	// A deadline left behind would fail the next attempt.
	return c.net.SetWriteDeadline(time.Time{})
}

// Finish says that nothing more will be written: a close frame, as far as the
// kernel takes it, then the peer has CloseTimeout to answer. A peer that takes
// nothing ("slow", or it is being drained) or is gone ("network") is cut at
// once: half a frame may be on its way. One that is gone because it has sent a
// close frame is answered (RFC 6455 §5.5.1), and so is one that has broken the
// protocol (§7.1.7). Finish never waits.
func (c *Conn) Finish(reason string) {
	if !c.finished.CompareAndSwap(nil, &reason) {
		return
	}
	code := websocket.CloseNormalClosure
	switch {
	case reason == "slow", reason == "network" && !c.closed.Load() && !c.violated.Load(), c.draining.Load() && c.raw != nil:
		c.Abort()
		return
	case c.violated.Load():
		code = websocket.CloseProtocolError
	case reason == "error":
		code = websocket.CloseInternalServerErr
	}
	frame := appendFrame(nil, websocket.CloseMessage, binary.BigEndian.AppendUint16(nil, uint16(code)))
	if c.raw == nil {
		_ = c.net.SetWriteDeadline(time.Now().Add(c.server.options.CloseTimeout)) // the connection ends in any case
		c.goodbye.Go(func() { _, _ = c.net.Write(frame) })
	} else {
		_, _ = c.TryWrite(frame) // best effort
	}
	_ = c.net.SetReadDeadline(time.Now().Add(c.server.options.CloseTimeout)) // likewise
}
