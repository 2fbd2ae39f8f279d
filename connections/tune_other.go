//go:build unix && !linux

package connections

import "syscall"

// tune has nothing to set on this system.
func tune(syscall.RawConn) {}
