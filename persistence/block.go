package persistence

import (
	"iter"

	"tidings/notifications"
)

// blockShift makes blocks of 32,768 positions: the most that two bytes can
// number together with "none".
const blockShift = 15

// block describes a stretch of positions, in 25 bytes each: column by column,
// so that nothing is lost between them.
type block struct {
	times      []int64  // Unix milliseconds; <= 0 for a position without an event
	recipients []uint32 // their numbers, plus one; 0 for a position without an event
	types      []uint32 // their numbers
	marks      []mark
	// The ids are found by their hashes. heads holds the newest place of each
	// bucket, plus one, older the one before it in the same bucket; 0 = none.
	sums         []uint32
	heads, older []uint16
}

func newBlock(size int) *block {
	return &block{
		times: make([]int64, size), recipients: make([]uint32, size), types: make([]uint32, size), marks: make([]mark, size),
		sums: make([]uint32, size), heads: make([]uint16, size), older: make([]uint16, size),
	}
}

// bucket is the one that a hash is in. It takes other bits than sums has.
func (b *block) bucket(hash uint64) *uint16 { return &b.heads[hash>>32%uint64(len(b.heads))] }

// link makes place i be found by the hash of its id.
func (b *block) link(i int, hash uint64) {
	head := b.bucket(hash)
	b.sums[i], b.older[i] = uint32(hash), *head //nolint:gosec // the lower half
	*head = uint16(i) + 1                       //nolint:gosec // below 1<<15
}

// find goes through the places of a hash, from the newest to the oldest.
func (b *block) find(hash uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for next := *b.bucket(hash); next != 0; next = b.older[next-1] {
			if b.sums[next-1] == uint32(hash) && !yield(int(next)-1) { //nolint:gosec // the lower half
				return
			}
		}
	}
}

// mark says what there is to know of an event in few bits: its severity, and
// what can be looked up elsewhere.
type mark uint8

const (
	severityBits mark = 3
	forReaders   mark = 1 << iota << 1 // members at reading may read it too
	doesExpire
	hasKey
	isCollapsed
	isRecall
	isRecalled
)

// severities are the severities by their number.
func severities() [4]notifications.Severity {
	return [...]notifications.Severity{notifications.Info, notifications.Success, notifications.Warning, notifications.Critical}
}

// markOf is the mark of an event that nothing has happened to.
func markOf(e *notifications.Event) mark {
	var m mark
	for i, s := range severities() {
		if s == e.Severity {
			m = mark(i)
		}
	}
	if e.MembersAt == notifications.Read {
		m |= forReaders
	}
	if !e.ExpiresAt.IsZero() {
		m |= doesExpire
	}
	switch {
	case e.Recalls != "":
		m |= isRecall
	case e.CollapseKey != "":
		m |= hasKey
	}
	return m
}

// names gives numbers to values, from 0 on, and takes back those of values that
// are no longer used.
type names[V comparable] struct {
	numbers map[V]uint32
	all     []name[V] // by number
	free    []uint32
	own     func(V) V // makes of a value one that is no part of something large
}

type name[V comparable] struct {
	value V
	uses  uint32
}

// newNames are none; a nil function means that values are kept as they come.
func newNames[V comparable](own func(V) V) names[V] {
	return names[V]{numbers: make(map[V]uint32), own: own}
}

// take is the number of a value that is used once more.
func (n *names[V]) take(value V) uint32 {
	number, known := n.numbers[value]
	if !known {
		if last := len(n.free) - 1; last >= 0 {
			number, n.free = n.free[last], n.free[:last]
		} else {
			number = uint32(len(n.all)) //nolint:gosec // as many as fit in memory
			n.all = append(n.all, name[V]{})
		}
		if n.own != nil {
			value = n.own(value)
		}
		n.numbers[value], n.all[number].value = number, value
	}
	n.all[number].uses++
	return number
}

// release takes one use back.
func (n *names[V]) release(number uint32) {
	of := &n.all[number]
	if of.uses--; of.uses == 0 {
		delete(n.numbers, of.value)
		*of = name[V]{}
		n.free = append(n.free, number)
	}
}
