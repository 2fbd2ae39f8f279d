//go:build linux || darwin || freebsd

package telemetry

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// ReadUsage asks the kernel.
func ReadUsage() Usage {
	var u Usage
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.User, u.System = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	}
	// Linux: in pages, the second number is what is resident (proc(5)).
	text, err := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
		pages, _ := strconv.ParseInt(string(fields[1]), 10, 64) // the kernel writes numbers
		u.Resident = pages * int64(os.Getpagesize())
	}
	return u
}
