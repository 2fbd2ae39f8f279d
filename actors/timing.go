package actors

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// timing is when the writes of one handling of a shard were made – of a batch,
// or of a sweep through everyone – as a histogram of the time since it began.
// The parcels of the handling share it. Whoever lets go of it last gives it back,
// so that a handling allocates none.
type timing struct {
	began   time.Time
	latest  time.Duration // of the last write
	spread  histogram
	holders atomic.Int32 // the handling, and the parcels that have not been finished
	home    *sync.Pool
}

// lapWrites is how many writes share one reading of the clock, which takes 45 ns:
// each of them counts as made when the last was.
const lapWrites = 16

func newTiming(home *sync.Pool, now time.Time) *timing {
	t, recycled := home.Get().(*timing)
	if !recycled {
		t = &timing{home: home}
		t.spread.clear()
	}
	t.began, t.latest = now, 0
	t.holders.Store(1)
	return t
}

// lap counts writes that have just been made.
func (t *timing) lap(writes int, now time.Time) {
	t.latest = max(now.Sub(t.began), 0)
	t.spread.add(t.latest, writes)
}

// hold lets a tally have the timing until its parcel is finished.
func (t *timing) hold(by *tally) {
	if by.connections > 0 && !t.spread.empty() {
		t.holders.Add(1)
		by.timing = t
	}
}

func (t *timing) release() {
	if t.holders.Add(-1) == 0 {
		t.spread.clear()
		t.home.Put(t)
	}
}

// histogram is of durations: exact to a microsecond up to 16 µs and to an eighth
// beyond; what is longer than four minutes counts as four minutes.
type histogram struct {
	counts    [histogramBuckets]int32
	low, high int // the first and the last bucket that is not empty; high < low = there is none
}

const (
	histogramSteps   = 8                   // buckets each time the duration doubles
	histogramBuckets = 26 * histogramSteps // up to 2^28 µs
)

func (h *histogram) clear() {
	if !h.empty() {
		clear(h.counts[h.low : h.high+1])
	}
	h.low, h.high = histogramBuckets, -1
}

func (h *histogram) empty() bool { return h.high < h.low }

func (h *histogram) add(d time.Duration, n int) {
	at := bucketOf(d)
	h.counts[at] += int32(n) //nolint:gosec // of connections
	h.low, h.high = min(h.low, at), max(h.high, at)
}

// addLater adds another one, each duration longer by so much.
func (h *histogram) addLater(other *histogram, by time.Duration) {
	for i := other.low; i <= other.high; i++ {
		if n := other.counts[i]; n > 0 {
			h.add(middleOf(i)+by, int(n))
		}
	}
}

// quantile is what that share of the durations does not exceed.
func (h *histogram) quantile(share float64) time.Duration {
	total := 0
	for i := h.low; i <= h.high; i++ {
		total += int(h.counts[i])
	}
	rest := int(share * float64(total))
	for i := h.low; i <= h.high; i++ {
		if rest -= int(h.counts[i]); rest < 0 {
			return middleOf(i)
		}
	}
	return 0
}

func bucketOf(d time.Duration) int {
	micros := uint64(max(d.Microseconds(), 0))
	if micros < histogramSteps {
		return int(micros)
	}
	doublings := bits.Len64(micros) - bits.Len(histogramSteps)
	return min(doublings*histogramSteps+int(micros>>doublings), histogramBuckets-1) //nolint:gosec // below 16
}

// middleOf is the middle of a bucket.
func middleOf(bucket int) time.Duration {
	if bucket < 2*histogramSteps {
		return time.Duration(bucket) * time.Microsecond
	}
	doublings := bucket/histogramSteps - 1
	halves := int64(2*(bucket-doublings*histogramSteps)+1) << doublings
	return time.Duration(halves * int64(time.Microsecond/2))
}
