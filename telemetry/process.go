package telemetry

import (
	"runtime"
	"sync"
	"time"
)

// Usage is what the process has used: time of processors since it began, and
// memory as the kernel counts it, in bytes. What cannot be known on this system
// is 0.
type Usage struct {
	User, System time.Duration
	Resident     int64
}

// shareWindow is the least time over which the share of the processors is
// measured.
const shareWindow = time.Second

// Processors tells how much of the processors that the runtime may use the
// process has used lately. The zero value measures from its first look on. It is
// safe for concurrent use.
type Processors struct {
	mu    sync.Mutex // guards all below
	at    time.Time
	used  time.Duration
	share float64
}

// Share is a number from 0 to 1, of the time since the last look, or of the one
// before that where a second has not passed yet.
func (p *Processors) Share() float64 {
	usage := ReadUsage()
	return p.look(time.Now(), usage.User+usage.System)
}

func (p *Processors) look(now time.Time, used time.Duration) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		p.at, p.used = now, used
	}
	if passed := now.Sub(p.at); passed >= shareWindow {
		p.share = min(float64(used-p.used)/float64(passed)/float64(runtime.GOMAXPROCS(0)), 1)
		p.at, p.used = now, used
	}
	return p.share
}
