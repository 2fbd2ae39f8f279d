package persistence

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"tidings/notifications"
)

var _ notifications.Library = (*Log)(nil)

// Brief implements notifications.Catalogue.
func (l *Log) Brief(p notifications.Position) (notifications.Brief, bool) { return l.index.brief(p) }

// Walk implements notifications.Catalogue. yield is called with the index
// locked: it must not ask the log anything.
func (l *Log) Walk(hub string, memberships []notifications.Membership, before notifications.Position, yield func(notifications.Brief) bool) notifications.Position {
	return l.index.walk(hub, memberships, before, yield)
}

// Find implements notifications.Catalogue.
func (l *Log) Find(ctx context.Context, hub, id string) ([]*notifications.Entry, error) {
	entries, err := l.load(ctx, l.index.find(hub, id))
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", id, err)
	}
	return slices.DeleteFunc(entries, func(e *notifications.Entry) bool {
		return e == nil || e.Hub != hub || e.Event.ID != id
	}), nil
}

// brief describes an event.
func (x *index) brief(p notifications.Position) (notifications.Brief, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if p < x.first || p >= x.next {
		return notifications.Brief{}, false
	}
	if b, i := x.at(p); b.recipients[i] == 0 {
		return notifications.Brief{}, false
	}
	return x.briefLocked(p), true
}

func (x *index) briefLocked(p notifications.Position) notifications.Brief {
	b, i := x.at(p)
	m := b.marks[i]
	of := x.recipients.all[b.recipients[i]-1].value
	brief := notifications.Brief{
		Position:  p,
		Hub:       of.hub,
		Stored:    time.UnixMilli(b.times[i]).UTC(),
		Recipient: of.recipient,
		Type:      x.types.all[b.types[i]].value,
		Severity:  severities()[m&severityBits],
		MembersAt: notifications.Emit,
		Recall:    m&isRecall != 0,
	}
	if m&forReaders != 0 {
		brief.MembersAt = notifications.Read
	}
	if m&doesExpire != 0 {
		brief.ExpiresAt = time.UnixMilli(x.expiresAt[p]).UTC()
	}
	if m&isCollapsed != 0 {
		brief.CollapsedBy = x.collapsedBy[p]
	}
	if m&isRecalled != 0 {
		brief.RecalledBy = x.recalledBy[p]
	}
	return brief
}

// told tells whether an event is replayed: one that has not expired and was
// neither replaced nor taken back. Recalls are not: whoever has the recalled
// event must hear of them.
func (x *index) told(p notifications.Position, now int64) bool {
	b, i := x.at(p)
	m := b.marks[i]
	return m&(isCollapsed|isRecalled) == 0 && (m&doesExpire == 0 || now < x.expiresAt[p])
}

// find returns the positions of a hub whose events have that id, ascending. It
// may name others: see recall.
func (x *index) find(hub, id string) []notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.DeleteFunc(x.named(id), func(p notifications.Position) bool {
		b, i := x.at(p)
		return x.recipients.all[b.recipients[i]-1].value.hub != hub
	})
}

// pageLook is how many events a page looks at: who appends waits meanwhile.
const pageLook = 16 << 10

// page returns the next positions that a query is told, at most limit, and the
// position the answer is complete to. There may be none of them before the end.
func (x *index) page(q notifications.Query, limit int, now time.Time) (found []notifications.Position, upTo notifications.Position) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ms := now.UnixMilli()
	m := x.merge(q.Hub, q.Memberships, oldestFirst, func(all []posting) []posting { return all[firstAfter(all, q.After):] })
	for looked := 1; ; looked++ {
		p, more := m.next()
		switch {
		case !more:
			return found, x.next - 1
		case x.told(p, ms) && len(found) == limit:
			return found, found[limit-1]
		case x.told(p, ms):
			found = append(found, p)
		}
		if looked == pageLook {
			return found, p
		}
	}
}

// recent finds the newest n positions that the memberships are told. There are
// found of them, those after that position.
func (x *index) recent(hub string, memberships []notifications.Membership, n int, now time.Time) (after notifications.Position, found int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	after = x.next - 1
	ms := now.UnixMilli()
	m := x.merge(hub, memberships, newestFirst, func(all []posting) []posting { return all })
	for found < n {
		p, more := m.next()
		if !more {
			break
		}
		if x.told(p, ms) {
			after, found = p-1, found+1
		}
	}
	return after, found
}

// walk gives yield what the memberships may read, newest first.
func (x *index) walk(hub string, memberships []notifications.Membership, before notifications.Position, yield func(notifications.Brief) bool) notifications.Position {
	x.mu.RLock()
	defer x.mu.RUnlock()
	m := x.merge(hub, memberships, newestFirst, func(all []posting) []posting {
		if before == 0 {
			return all
		}
		return all[:firstAfter(all, before-1)]
	})
	for {
		p, more := m.next()
		if !more || !yield(x.briefLocked(p)) {
			return x.next - 1
		}
	}
}

// firstAfter is the index of the first posting beyond a position.
func firstAfter(list []posting, p notifications.Position) int {
	return sort.Search(len(list), func(i int) bool { return list[i].position() > p })
}

// order is the direction of a merge.
type order int

const (
	oldestFirst order = iota
	newestFirst
)

// merge goes through what some memberships may read, each position once. Runs
// are a heap: the first of them goes on first.
type merge struct {
	order order
	runs  []run
	last  posting
}

// run is what is left of the postings of one membership.
type run struct {
	list  []posting
	since notifications.Position
}

// merge begins one, of the part of each list that is asked for.
func (x *index) merge(hub string, memberships []notifications.Membership, o order, part func([]posting) []posting) merge {
	m := merge{order: o, runs: make([]run, 0, len(memberships))}
	for _, member := range memberships {
		r, known := x.recipients.numbers[address{hub, member.Recipient}]
		if !known {
			continue
		}
		next := run{list: part(x.lists[r].held), since: member.Since}
		if m.settle(&next) {
			m.runs = append(m.runs, next)
		}
	}
	for i := len(m.runs)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m
}

// next returns the next position, and false when there is none.
func (m *merge) next() (notifications.Position, bool) {
	for len(m.runs) > 0 {
		p := m.head(&m.runs[0])
		m.cut(&m.runs[0])
		if !m.settle(&m.runs[0]) {
			end := len(m.runs) - 1
			m.runs[0] = m.runs[end]
			m.runs = m.runs[:end]
		}
		m.sink(0)
		if p != m.last { // two memberships of one recipient
			m.last = p
			return p.position(), true
		}
	}
	return 0, false
}

// head is the posting of a run that is next, cut takes it off.
func (m *merge) head(r *run) posting {
	if m.order == newestFirst {
		return r.list[len(r.list)-1]
	}
	return r.list[0]
}

func (m *merge) cut(r *run) {
	if m.order == newestFirst {
		r.list = r.list[:len(r.list)-1]
	} else {
		r.list = r.list[1:]
	}
}

// settle passes over what was emitted before its reader became a member, but
// for what is for whoever is a member when reading. It returns false when
// nothing is left.
func (m *merge) settle(r *run) bool {
	for len(r.list) > 0 {
		if p := m.head(r); p.position() > r.since || p.forReaders() {
			return true
		}
		m.cut(r)
	}
	return false
}

// sink brings a run to its place in the heap.
func (m *merge) sink(i int) {
	for {
		child := 2*i + 1
		if child+1 < len(m.runs) && m.earlier(child+1, child) {
			child++
		}
		if child >= len(m.runs) || !m.earlier(child, i) {
			return
		}
		m.runs[i], m.runs[child] = m.runs[child], m.runs[i]
		i = child
	}
}

func (m *merge) earlier(i, j int) bool {
	a, b := m.head(&m.runs[i]), m.head(&m.runs[j])
	if m.order == newestFirst {
		return a > b
	}
	return a < b
}
