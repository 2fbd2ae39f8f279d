package persistence

import (
	"slices"
	"sort"
	"sync"
	"time"

	"tidings/notifications"
)

// index is the whole log in memory, without its payloads: when each position
// was stored, and which positions each recipient has. It costs 16 bytes an
// event, twice that at worst while a list grows.
type index struct {
	mu sync.RWMutex
	// times are Unix milliseconds by position, from base on. A position that
	// holds no event has the time of the one before, negated. They are what the
	// log says, because a cursor is held against them: sorted by size unless a
	// clock was set back.
	base  notifications.Position
	times []int64
	lists map[address][]posting
	// stale counts positions that were dropped and may still stand in lists.
	stale int
}

// address is a recipient of a hub.
type address struct {
	hub       string
	recipient notifications.Recipient
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

func newIndex() *index {
	return &index{base: 1, lists: make(map[address][]posting)}
}

// add notes a position; entry is nil for one that could not be read.
// Positions grow.
func (x *index) add(p notifications.Position, stored time.Time, entry *notifications.Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.times) == 0 {
		x.base = p
	}
	for x.base+notifications.Position(len(x.times)) < p {
		x.times = append(x.times, -x.newest())
	}
	x.times = append(x.times, stored.UnixMilli())
	if entry != nil {
		a := address{entry.Hub, entry.Event.Recipient}
		x.lists[a] = append(x.lists[a], newPosting(p, entry.Event.MembersAt))
	}
}

func (x *index) newest() int64 {
	if len(x.times) == 0 {
		return 0
	}
	return abs(x.times[len(x.times)-1])
}

func abs(n int64) int64 { return max(n, -n) }

// head is the newest position, 0 when there is none.
func (x *index) head() notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.headLocked()
}

func (x *index) headLocked() notifications.Position {
	return x.base + notifications.Position(len(x.times)) - 1
}

func (x *index) len() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return int64(len(x.times))
}

// trim forgets what lies before first. Lists are cleaned when enough of them
// is stale, so that each position is moved a constant number of times.
func (x *index) trim(first notifications.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if first <= x.base {
		return
	}
	n := min(int(first-x.base), len(x.times)) //nolint:gosec // bounded by what is in memory
	x.times = x.times[n:]
	x.base = first
	x.stale += n
	if x.stale <= len(x.times)/4 {
		return
	}
	x.stale = 0
	x.times = slices.Clone(x.times)
	for a, list := range x.lists {
		if rest := after(list, first-1); len(rest) == 0 {
			delete(x.lists, a)
		} else if len(rest) < len(list) {
			x.lists[a] = slices.Clone(rest)
		}
	}
}

// reset forgets everything: the log is another one. head is the position
// before its first.
func (x *index) reset(head notifications.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.base, x.times, x.lists, x.stale = head+1, nil, make(map[address][]posting), 0
}

// after is the part of a list beyond a position.
func after(list []posting, p notifications.Position) []posting {
	i := sort.Search(len(list), func(i int) bool { return list[i].position() > p })
	return list[i:]
}

// storedAt is the time of a position, if it is held.
func (x *index) storedAt(p notifications.Position) (time.Time, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if p < x.base || p > x.headLocked() {
		return time.Time{}, false
	}
	ms := x.times[p-x.base]
	return time.UnixMilli(ms).UTC(), ms > 0
}

// before is the newest position stored before t; a position near it where a
// clock was set back.
func (x *index) before(t time.Time) notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ms := t.UnixMilli()
	n := sort.Search(len(x.times), func(i int) bool { return abs(x.times[i]) >= ms })
	return x.base + notifications.Position(n) - 1 //nolint:gosec // n >= 0
}

// find returns the next positions of the memberships beyond p, at most limit,
// and the position the answer is complete to.
func (x *index) find(hub string, memberships []notifications.Membership, p notifications.Position, limit int) (found []notifications.Position, upTo notifications.Position) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	heads := make([][]posting, 0, len(memberships))
	for _, m := range memberships {
		list := after(x.lists[address{hub, m.Recipient}], max(p, x.base-1))
		if m.Since > p {
			list = readable(list, m.Since)
		}
		if len(list) > 0 {
			heads = append(heads, list)
		}
	}
	for len(found) < limit {
		next := lowest(heads)
		if next < 0 {
			return found, x.headLocked()
		}
		if position := heads[next][0].position(); len(found) == 0 || found[len(found)-1] != position {
			found = append(found, position)
		}
		heads[next] = heads[next][1:]
	}
	if lowest(heads) < 0 {
		return found, x.headLocked()
	}
	return found, found[len(found)-1]
}

// readable is a list without what was emitted before its reader became a
// member, but with what is for whoever is a member when reading.
func readable(list []posting, since notifications.Position) []posting {
	later := after(list, since)
	var all []posting
	for _, p := range list[:len(list)-len(later)] {
		if p.forReaders() {
			all = append(all, p)
		}
	}
	if all == nil {
		return later
	}
	return append(all, later...)
}

// lowest is which of the lists goes on first, or -1.
func lowest(heads [][]posting) int {
	best := -1
	for i, list := range heads {
		if len(list) > 0 && (best < 0 || list[0] < heads[best][0]) {
			best = i
		}
	}
	return best
}

// recent returns the newest n positions of the memberships, ascending.
func (x *index) recent(hub string, memberships []notifications.Membership, n int) []notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []notifications.Position
	for _, m := range memberships {
		list := after(x.lists[address{hub, m.Recipient}], x.base-1)
		if m.Since > 0 {
			list = readable(list, m.Since)
		}
		for _, p := range list[max(0, len(list)-n):] {
			all = append(all, p.position())
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[max(0, len(all)-n):]
}
