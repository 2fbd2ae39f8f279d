package persistence

import (
	"slices"
	"sort"
	"sync"

	"tidings/notifications"
)

// tail keeps the newest events, as many as fit its budget, so that replays need
// not ask the server. They are kept as bytes in a few large chunks: the garbage
// collector has nothing to look at, where a million events as values would hold
// it up for longer than a delivery may take (ADR 18).
type tail struct {
	limit int // bytes

	mu     sync.RWMutex // guards all below
	slots  []slot       // ascending
	chunks [][]byte     // oldest first; their capacities are what they take
	first  uint32       // the number of the oldest chunk
	bytes  int
	record []byte // what is being written
}

// slot is where an event is kept.
type slot struct {
	position notifications.Position
	chunk    uint32
	offset   uint32 // gone = erased
}

const gone = 1<<32 - 1

// The chunks of a tail: a sixteenth of its budget, since they are dropped as a
// whole, but none that is small or large without need.
const (
	chunksOfTail = 16
	chunkMost    = 1 << 20
	slotBytes    = 16
)

func newTail(limit int) *tail { return &tail{limit: limit} }

func (t *tail) add(e *notifications.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record := appendEntry(t.record[:0], e)
	t.record = record[:0]
	if n := len(t.chunks); n == 0 || cap(t.chunks[n-1])-len(t.chunks[n-1]) < len(record) {
		t.grow(len(record))
	}
	at := len(t.chunks) - 1
	offset := len(t.chunks[at])
	t.chunks[at] = append(t.chunks[at], record...)
	t.slots = append(t.slots, slot{e.Position, t.first + uint32(at), uint32(offset)}) //nolint:gosec // chunks are small
	for t.bytes+slotBytes*len(t.slots) > t.limit && len(t.chunks) > 1 {
		t.drop()
	}
}

// grow adds a chunk in which that many bytes have room.
func (t *tail) grow(least int) {
	size := max(min(t.limit/chunksOfTail, chunkMost), least)
	t.chunks = append(t.chunks, make([]byte, 0, size))
	t.bytes += size
}

// drop lets go of the oldest chunk.
func (t *tail) drop() {
	t.bytes -= cap(t.chunks[0])
	t.chunks = slices.Delete(t.chunks, 0, 1)
	dropped := t.first
	t.first++
	n := sort.Search(len(t.slots), func(i int) bool { return t.slots[i].chunk != dropped })
	// Appending to the rest makes a new array now and then, which lets go of
	// what was dropped.
	t.slots = t.slots[n:]
}

// get finds an event by its position.
func (t *tail) get(p notifications.Position) (*notifications.Entry, bool) {
	b := t.find(p)
	if b == nil {
		return nil, false
	}
	return readEntry(b, p), true
}

// find is where an event lies; nil = it is not there. What is written there is
// not changed any more, so that it can be read without the lock: a reader that
// allocates may be held up, and nobody else should be for it.
func (t *tail) find(p notifications.Position) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	i := t.guess(p)
	if i < 0 {
		i = sort.Search(len(t.slots), func(i int) bool { return t.slots[i].position >= p })
	}
	if i == len(t.slots) || t.slots[i].position != p || t.slots[i].offset == gone {
		return nil
	}
	return t.at(t.slots[i])
}

// at are the bytes of an event, and those behind it.
func (t *tail) at(of slot) []byte { return t.chunks[of.chunk-t.first][of.offset:] }

// guess finds a position where it is if none before it is missing; -1 = it is
// not there. Most logs have few holes.
func (t *tail) guess(p notifications.Position) int {
	if len(t.slots) == 0 || p < t.slots[0].position {
		return -1
	}
	i := p - t.slots[0].position
	if i >= notifications.Position(len(t.slots)) || t.slots[i].position != p {
		return -1
	}
	return int(i) //nolint:gosec // it is an index
}

// forget drops the events of a recipient up to a position, out of copies of the
// chunks they are in: somebody may be reading.
func (t *tail) forget(a address, upTo notifications.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	copied := t.first // chunks before this one are ours
	for i := range t.slots {
		of := &t.slots[i]
		if of.position > upTo {
			return
		}
		if of.offset == gone || !isFor(t.at(*of), a) {
			continue
		}
		if n := of.chunk - t.first; of.chunk >= copied {
			t.chunks[n] = append(make([]byte, 0, cap(t.chunks[n])), t.chunks[n]...)
			copied = of.chunk + 1
		}
		b := t.at(*of)
		clear(b[:entryBytes(b)])
		of.offset = gone
	}
}

func (t *tail) size() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return int64(t.bytes + slotBytes*len(t.slots))
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slots, t.chunks, t.bytes = nil, nil, 0
}
