//go:build linux

package fleet

import (
	"slices"
	"time"
)

// Samples are times that clients measured, each sorted.
type Samples struct {
	Live   []time.Duration // emit → receive, of events emitted after the client connected
	Replay []time.Duration // per return: start of the connect → last missed event heard
	Ready  []time.Duration // per connect: start → welcome
}

// Stats count what the clients of a fleet met since it began.
type Stats struct {
	Connected uint64 // now
	Connects  uint64 // that were welcome
	Refused   uint64 // connects that were not
	Ended     uint64 // connections that ended unasked

	Marks    uint64 // whole marks heard, whichever
	Bytes    uint64 // read
	Reads    uint64 // reads that brought something
	Messages uint64 // WebSocket messages

	Duplicates uint64 // marks heard again
	Gaps       uint64 // marks that were passed over and have not come since
	Reordered  uint64 // marks that came after a later one of their recipient
	Misrouted  uint64 // marks of a recipient that is none of the client's
	Truncated  uint64 // marks without their end
	Malformed  uint64 // what could not be read
	Backwards  uint64 // positions that did not grow
}

func (s *Stats) add(t *Stats) {
	s.Connected += t.Connected
	s.Connects += t.Connects
	s.Refused += t.Refused
	s.Ended += t.Ended
	s.Marks += t.Marks
	s.Bytes += t.Bytes
	s.Reads += t.Reads
	s.Messages += t.Messages
	s.Duplicates += t.Duplicates
	s.Gaps += t.Gaps
	s.Reordered += t.Reordered
	s.Misrouted += t.Misrouted
	s.Truncated += t.Truncated
	s.Malformed += t.Malformed
	s.Backwards += t.Backwards
}

// times are durations of at most 71 minutes in microseconds. They are kept in
// pieces, so that a long run never stops to copy them.
type times struct {
	full [][]uint32
	open []uint32
}

const timesPiece = 1 << 16

// add notes nanoseconds.
func (t *times) add(ns int64) {
	if len(t.open) == cap(t.open) {
		if t.open != nil {
			t.full = append(t.full, t.open)
		}
		t.open = make([]uint32, 0, timesPiece)
	}
	t.open = append(t.open, uint32(max(ns, 0)/int64(time.Microsecond))) //nolint:gosec // far below 71 minutes
}

func (t *times) reset() {
	t.full, t.open = nil, t.open[:0]
}

func (t *times) appendTo(dst []time.Duration) []time.Duration {
	dst = slices.Grow(dst, len(t.full)*timesPiece+len(t.open))
	for _, piece := range t.full {
		dst = appendTimes(dst, piece)
	}
	return appendTimes(dst, t.open)
}

func appendTimes(dst []time.Duration, piece []uint32) []time.Duration {
	for _, us := range piece {
		dst = append(dst, time.Duration(us)*time.Microsecond)
	}
	return dst
}
