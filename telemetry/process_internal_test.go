package telemetry

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	u := ReadUsage()
	if runtime.GOOS == "linux" && (u.User <= 0 || u.Resident < int64(os.Getpagesize())) {
		t.Errorf("got %+v", u)
	}
}

// The share is that of the time since the last look, which does not become shorter
// than a second because several look.
func TestShareOfTheProcessors(t *testing.T) {
	var p Processors
	busy := func(share float64) time.Duration {
		return time.Duration(share * float64(runtime.GOMAXPROCS(0)) * float64(time.Second))
	}
	began := time.Unix(1000, 0)
	for _, look := range []struct {
		after, used time.Duration
		want        float64
	}{
		{0, time.Hour, 0}, // what was before is nobody's
		{500 * time.Millisecond, time.Hour + busy(0.5), 0},
		{time.Second, time.Hour + busy(0.5), 0.5},
		{1500 * time.Millisecond, time.Hour + busy(1), 0.5},
		{3 * time.Second, time.Hour + busy(1), 0.25},
		{4 * time.Second, 2 * time.Hour, 1}, // no more than there are
	} {
		if got := p.look(began.Add(look.after), look.used); got != look.want {
			t.Errorf("after %v: got %g, want %g", look.after, got, look.want)
		}
	}
}
