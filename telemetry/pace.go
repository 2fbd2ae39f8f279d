package telemetry

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// spansASecond is about how many spans are kept of a busy node. One costs 3 µs
// where nothing else runs, and three times that on a node whose caches are full
// of something else: what operators see never takes more than a hundredth of a
// processor.
const spansASecond = 1000

// pace chooses which traces are kept when there are too many: whole ones, by
// their ids, so that what is kept of one is all of it. The zero value keeps all
// until a second has passed. It is safe for concurrent use.
type pace struct {
	began   atomic.Int64  // Unix nanoseconds; of the second that is being counted
	seen    atomic.Int64  // in it
	dropped atomic.Uint64 // traces whose ids, as numbers of 63 bits, are below this are not kept
}

// keeps tells whether a span of that trace is kept.
func (p *pace) keeps(id trace.TraceID, now time.Time) bool {
	seen, at, began := p.seen.Add(1), now.UnixNano(), p.began.Load()
	if passed := at - began; passed >= int64(time.Second) && p.began.CompareAndSwap(began, at) {
		p.seen.Store(0)
		share := 1.0
		if began != 0 {
			share = min(1, spansASecond*time.Duration(passed).Seconds()/float64(seen))
		}
		p.dropped.Store(uint64((1 - share) * math.MaxInt64))
	}
	// The last eight bytes are random (W3C Trace Context, "trace-id").
	return binary.BigEndian.Uint64(id[8:])>>1 >= p.dropped.Load()
}
