package connections

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
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

// writeOnce returns true whatever happened: to wait is not for us.
func (c *Conn) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), c.try.p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			c.try.n = 0
		case err != nil:
			c.try.n, c.try.err = 0, os.NewSyscallError("write", err)
		default:
			c.try.n = n
		}
		return true
	}
}

// Drain takes p over and writes it on a goroutine of its own, which ends when
// it has been written, when no byte has moved for SendTimeout, or when the
// socket is closed. Then it calls done, once.
func (c *Conn) Drain(p []byte, done func(error)) {
	go func() { done(c.drain(p)) }()
}

func (c *Conn) drain(p []byte) error {
	for len(p) > 0 {
		if err := c.net.SetWriteDeadline(time.Now().Add(c.server.options.SendTimeout)); err != nil {
			return err
		}
		n, err := c.net.Write(p)
		p = p[n:]
		var timeout net.Error
		if err != nil && (n == 0 || !errors.As(err, &timeout) || !timeout.Timeout()) {
			return err
		}
	}
	// A deadline left behind would fail the next attempt.
	return c.net.SetWriteDeadline(time.Time{})
}

// Finish says that nothing more will be written: a close frame, as far as the
// kernel takes it, then the peer has CloseTimeout to answer. A peer that takes
// nothing ("slow") or is gone ("network") is cut at once: half a frame may be
// on its way.
func (c *Conn) Finish(reason string) {
	if !c.finished.CompareAndSwap(nil, &reason) {
		return
	}
	code := websocket.CloseNormalClosure
	switch reason {
	case "slow", "network":
		c.Abort()
		return
	case "error":
		code = websocket.CloseInternalServerErr
	}
	frame := appendFrame(nil, websocket.CloseMessage, binary.BigEndian.AppendUint16(nil, uint16(code)))
	if c.raw == nil {
		_ = c.net.SetWriteDeadline(time.Now().Add(c.server.options.CloseTimeout)) // the connection ends in any case
		go func() { _, _ = c.net.Write(frame) }()
	} else {
		_, _ = c.TryWrite(frame) // best effort
	}
	_ = c.net.SetReadDeadline(time.Now().Add(c.server.options.CloseTimeout)) // likewise
}
