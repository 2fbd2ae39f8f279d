//go:build unix

package connections

import (
	"errors"
	"os"
	"syscall"
)

// prepare makes it possible to try a write, if the socket is one of the
// system's.
func (s *socket) prepare() {
	system, ok := s.net.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return
	}
	s.raw, s.attempt = raw, s.writeOnce
	tune(raw)
}

// writeOnce returns true whatever happened: to wait is not for us.
func (s *socket) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), s.try.p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			s.try.n = 0
		case err != nil:
			s.try.n, s.try.err = 0, os.NewSyscallError("write", err)
		default:
			s.try.n = n
		}
		return true
	}
}
