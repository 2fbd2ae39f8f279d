package persistence

import (
	"hash/maphash"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"tidings/notifications"
)

// index is the whole log in memory, without its payloads: when each position
// was stored, which positions each recipient has, and what an inbox asks of
// them. It costs about 35 bytes an event, a recipient some 200 bytes, and an
// event that expires, has a collapse key or was recalled some 50 bytes each.
type index struct {
	mu sync.RWMutex // guards all below

	// The positions from first up to next, which is not among them, are held, in
	// blocks of 1<<shift positions; the first block begins at origin.
	first, next, origin notifications.Position
	shift               uint
	blocks              []*block

	recipients names[address]
	lists      []postings // by the number of the recipient
	types      names[string]

	// What few events have is kept beside the blocks; their marks tell.
	expiresAt   map[notifications.Position]int64 // Unix milliseconds
	collapsedBy map[notifications.Position]notifications.Position
	recalledBy  map[notifications.Position]notifications.Position
	// newest is the last event of each key, keys the way back.
	newest map[collapseKey]notifications.Position
	keys   map[notifications.Position]collapseKey

	seed maphash.Seed // of the ids
	// erased says up to which position the events of a recipient were deleted,
	// where the node has not read that far.
	erased map[address]notifications.Position
}

// address is a recipient of a hub.
type address struct {
	hub       string
	recipient notifications.Recipient
}

// collapseKey is the key of events that replace each other.
type collapseKey struct {
	recipient uint32
	key       string
}

// posting is a position, and whether members at reading may read it too.
type posting uint64

func newPosting(p notifications.Position, at notifications.MembersAt) posting {
	if at == notifications.Read {
		return posting(p)<<1 | 1
	}
	return posting(p) << 1
}

func (p posting) position() notifications.Position { return notifications.Position(p >> 1) }
func (p posting) forReaders() bool                 { return p&1 == 1 }

// postings are those of a recipient, oldest first.
type postings struct {
	held []posting
	cut  int // how many were taken off the front, and may still be in memory
}

// pop takes off the oldest one. What is kept is copied when as much was taken
// off, so that each posting is moved a constant number of times.
func (l *postings) pop() {
	l.held = l.held[1:]
	if l.cut++; l.cut > len(l.held) {
		l.held, l.cut = slices.Clone(l.held), 0
	}
}

func newIndex() *index { return newIndexOf(blockShift) }

// newIndexOf is an index in blocks of 1<<shift positions, at most 1<<15.
func newIndexOf(shift uint) *index {
	x := &index{shift: shift, seed: maphash.MakeSeed()}
	x.clear(1)
	return x
}

// clear forgets everything. The next position is first, or a later one.
func (x *index) clear(first notifications.Position) {
	x.first, x.next, x.origin, x.blocks = first, first, first, nil
	x.recipients, x.lists, x.types = newNames[address](nil), nil, newNames(strings.Clone)
	x.expiresAt = make(map[notifications.Position]int64)
	x.collapsedBy = make(map[notifications.Position]notifications.Position)
	x.recalledBy = make(map[notifications.Position]notifications.Position)
	x.newest = make(map[collapseKey]notifications.Position)
	x.keys = make(map[notifications.Position]collapseKey)
	x.erased = make(map[address]notifications.Position)
}

// reset forgets everything: the log is another one. head is the position
// before its first.
func (x *index) reset(head notifications.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clear(head + 1)
}

// add notes a position; entry is nil for one that could not be read. Positions
// grow. It returns false for an event that was erased before this node has read
// it, and notes that there is none.
func (x *index) add(p notifications.Position, stored time.Time, entry *notifications.Entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.first == x.next && p > x.next { // nothing is held, so nothing lies between
		x.first, x.next, x.origin, x.blocks = p, p, p, nil
	}
	for x.next < p {
		x.extend(-x.newestTime())
	}
	var a address
	if entry != nil {
		a = address{entry.Hub, entry.Event.Recipient}
		if p <= x.erased[a] {
			x.extend(-x.newestTime())
			return false
		}
	}
	x.extend(stored.UnixMilli())
	if entry != nil {
		x.describe(p, a, &entry.Event)
	}
	if len(x.erased) > 0 {
		maps.DeleteFunc(x.erased, func(_ address, upTo notifications.Position) bool { return upTo <= p })
	}
	return true
}

// extend takes the next position in. One without an event, which has expired or
// was erased, has the time of the one before, negated. Times are what the log
// says, because a cursor is held against them: sorted by size unless a clock was
// set back.
func (x *index) extend(ms int64) {
	if (x.next-x.origin)>>x.shift == notifications.Position(len(x.blocks)) {
		x.blocks = append(x.blocks, newBlock(1<<x.shift))
	}
	x.next++
	b, i := x.at(x.next - 1)
	b.times[i] = ms
}

// at is where a position is described that is held.
func (x *index) at(p notifications.Position) (*block, int) {
	n := p - x.origin
	return x.blocks[n>>x.shift], int(n & (1<<x.shift - 1)) //nolint:gosec // below 1<<15
}

func (x *index) time(p notifications.Position) int64 {
	b, i := x.at(p)
	return b.times[i]
}

func (x *index) newestTime() int64 {
	if x.first == x.next {
		return 0
	}
	return abs(x.time(x.next - 1))
}

func abs(n int64) int64 { return max(n, -n) }

// describe notes what an event is and what it does to earlier ones.
func (x *index) describe(p notifications.Position, a address, e *notifications.Event) {
	r := x.recipients.take(a)
	if int(r) == len(x.lists) {
		x.lists = append(x.lists, postings{})
	}
	x.lists[r].held = append(x.lists[r].held, newPosting(p, e.MembersAt))
	b, i := x.at(p)
	b.recipients[i], b.types[i] = r+1, x.types.take(e.Type)
	b.marks[i] = markOf(e)
	if !e.ExpiresAt.IsZero() {
		x.expiresAt[p] = e.ExpiresAt.UnixMilli()
	}
	switch {
	case e.Recalls != "":
		x.recall(p, e.Recalls)
	case e.CollapseKey != "":
		x.collapse(p, collapseKey{r, e.CollapseKey})
	}
	b.link(i, maphash.String(x.seed, e.ID))
}

// recall marks the events that the one at p takes back: those of that id for
// the same recipient that no other one has taken back, but for recalls. It takes
// two events for one if 47 bits of the hashes of their ids are the same.
func (x *index) recall(p notifications.Position, id string) {
	by, at := x.at(p)
	for _, q := range x.named(id) {
		b, i := x.at(q)
		if b.recipients[i] == by.recipients[at] && b.marks[i]&(isRecall|isRecalled) == 0 {
			b.marks[i] |= isRecalled
			x.recalledBy[q] = p
		}
	}
}

// collapse marks the event that the one at p replaces.
func (x *index) collapse(p notifications.Position, key collapseKey) {
	if q, is := x.newest[key]; is {
		b, i := x.at(q)
		b.marks[i] |= isCollapsed
		x.collapsedBy[q] = p
		key = x.keys[q] // one copy of the text will do
		delete(x.keys, q)
	} else {
		key.key = strings.Clone(key.key) // of which the event is no part
	}
	x.newest[key], x.keys[p] = p, key
}

// named returns the positions of the events that have that id, ascending. It
// may name others: see recall.
func (x *index) named(id string) []notifications.Position {
	var found []notifications.Position
	sum := maphash.String(x.seed, id)
	for n, b := range x.blocks {
		begin := x.origin + notifications.Position(n)<<x.shift
		mine := len(found)
		for i := range b.find(sum) {
			if b.recipients[i] != 0 {
				found = append(found, begin+notifications.Position(i)) //nolint:gosec // i >= 0
			}
		}
		slices.Reverse(found[mine:])
	}
	return found
}

// trim forgets what lies before first and returns where the log begins for its
// readers: at 1 still, if all that is gone are events that have expired before
// this node has read them or were erased, since nobody has lost those.
func (x *index) trim(first notifications.Position) notifications.Position {
	x.mu.Lock()
	defer x.mu.Unlock()
	if first <= x.next && x.first == 1 && x.empty(first) {
		return 1
	}
	for end := min(first, x.next); x.first < end; x.first++ {
		x.drop(x.first)
	}
	if n := (x.first - x.origin) >> x.shift; n > 0 {
		clear(x.blocks[:n])
		x.blocks = x.blocks[n:]
		x.origin += n << x.shift
	}
	return first
}

// empty tells whether there is no event before a position.
func (x *index) empty(before notifications.Position) bool {
	for p := x.first; p < before; p++ {
		if x.time(p) > 0 {
			return false
		}
	}
	return true
}

// forget makes positions without an event of what a recipient has up to a
// position, also of what the node has not read yet.
func (x *index) forget(a address, upTo notifications.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if upTo >= x.next {
		x.erased[a] = max(upTo, x.erased[a])
	}
	r, known := x.recipients.numbers[a]
	if !known {
		return
	}
	for l := &x.lists[r]; len(l.held) > 0 && l.held[0].position() <= upTo; {
		p := l.held[0].position()
		x.drop(p)
		b, i := x.at(p)
		b.times[i] = -b.times[i]
	}
}

// drop takes back what describe has noted of the oldest event of a recipient.
func (x *index) drop(p notifications.Position) {
	b, i := x.at(p)
	if b.recipients[i] == 0 {
		return
	}
	r := b.recipients[i] - 1
	x.lists[r].pop()
	x.recipients.release(r)
	x.types.release(b.types[i])
	m := b.marks[i]
	if m&doesExpire != 0 {
		delete(x.expiresAt, p)
	}
	if m&isRecalled != 0 {
		delete(x.recalledBy, p)
	}
	switch {
	case m&isCollapsed != 0:
		delete(x.collapsedBy, p)
	case m&hasKey != 0:
		delete(x.newest, x.keys[p])
		delete(x.keys, p)
	}
	b.recipients[i], b.marks[i] = 0, 0
}

// head is the newest position, 0 when there is none.
func (x *index) head() notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.next - 1
}

// len is the number of positions that are held.
func (x *index) len() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return int64(x.next - x.first) //nolint:gosec // bounded by what is in memory
}

// storedAt is the time of a position, if it is held.
func (x *index) storedAt(p notifications.Position) (time.Time, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if p < x.first || p >= x.next {
		return time.Time{}, false
	}
	ms := x.time(p)
	return time.UnixMilli(ms).UTC(), ms > 0
}

// isHole tells whether a position is known to hold no event any more.
func (x *index) isHole(p notifications.Position) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return p >= x.first && p < x.next && x.time(p) <= 0
}

// before is the newest position stored before t; a position near it where a
// clock was set back.
func (x *index) before(t time.Time) notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ms := t.UnixMilli()
	held := int(x.next - x.first) //nolint:gosec // bounded by what is in memory
	n := sort.Search(held, func(i int) bool { return abs(x.time(x.first+notifications.Position(i))) >= ms })
	return x.first + notifications.Position(n) - 1 //nolint:gosec // n >= 0
}
