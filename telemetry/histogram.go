package telemetry

import (
	"math"
	"sync/atomic"
	"time"
)

// The bounds of a [Histogram]: steps of a fifth between the shortest and the
// longest time that are told apart. A quantile that lies between the two is
// wrong by a tenth at most.
const (
	shortest = 50 * time.Microsecond
	longest  = 100 * time.Second
	steps    = 80
)

// Histogram counts how long something took, for windows of time: the difference
// of two looks at it is what happened between them. The zero value is empty. It
// is safe for concurrent use; nobody waits for anybody.
type Histogram struct {
	// counts are, in this order, what took no longer than the shortest time, what
	// lies in each step, and what took longer than the longest.
	counts [steps + 2]atomic.Uint64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) { h.counts[stepOf(d)].Add(1) }

// stride is the logarithm of what one step is more than the one before.
func stride() float64 { return math.Log(float64(longest)/float64(shortest)) / steps }

func stepOf(d time.Duration) int {
	switch {
	case d <= shortest:
		return 0
	case d > longest:
		return steps + 1
	}
	step := math.Ceil(math.Log(float64(d)/float64(shortest)) / stride())
	return int(min(max(step, 1), steps)) // at the ends, what rounding has left
}

// Counts is a look at the histogram, as long as every other one. It is the
// caller's.
func (h *Histogram) Counts() []uint64 {
	counts := make([]uint64, len(h.counts))
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
	}
	return counts
}

// Quantile is the duration that a share q of what was counted between two looks
// did not exceed: 0.5 is the median. A nil before is the beginning. It is false
// when nothing was counted. What is shorter than 50 µs is told as that, what is
// longer than 100 s likewise; between them the error is 10 % at most.
func Quantile(before, after []uint64, q float64) (time.Duration, bool) {
	since := func(i int) uint64 {
		if i < len(before) {
			return after[i] - min(before[i], after[i])
		}
		return after[i]
	}
	var total uint64
	for i := range after {
		total += since(i)
	}
	if total == 0 {
		return 0, false
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(total)))
	var seen uint64
	for i := range after {
		if seen += since(i); seen >= max(rank, 1) {
			return middle(i), true
		}
	}
	return longest, true
}

// middle is the time that is wrong by the same factor at both ends of a step.
func middle(step int) time.Duration {
	switch step {
	case 0:
		return shortest
	case steps + 1:
		return longest
	}
	return time.Duration(float64(shortest) * math.Exp((float64(step)-.5)*stride()))
}
