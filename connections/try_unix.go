//go:build unix

package connections

import (
	"errors"
	"os"
	"syscall"
)

// prepare makes it possible to try a write, if the socket is one of the
// system's.
func (c *Conn) prepare() {
	socket, ok := c.net.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	c.raw, c.attempt = raw, c.writeOnce
	tune(raw)
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
