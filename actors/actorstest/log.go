package actorstest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tidings/notifications"
)

// Epoch is the epoch of every [Log].
const Epoch = 7

// Log is a log in memory; it implements notifications.Library and is safe for
// concurrent use. It is a model of persistence.Log: slow and plain.
type Log struct {
	mu        sync.Mutex
	entries   []*notifications.Entry // of position 1, 2, 3 …
	recalling []*notifications.Entry // those of the entries that recall
	dropped   notifications.Position // how many of them the log no longer has
	broken    error
}

var _ notifications.Library = (*Log)(nil)

// Append stores an event and returns its entry. One without an id gets "e" and
// its position.
func (l *Log) Append(hub string, e notifications.Event) *notifications.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	position := notifications.Position(len(l.entries) + 1)
	e.ID = cmp.Or(e.ID, fmt.Sprintf("e%d", position))
	if e.Recalls != "" {
		e.Target = cmp.Or(e.Target, notifications.RecalledTarget)
	}
	e.Target = cmp.Or(e.Target, notifications.DefaultTarget)
	entry := &notifications.Entry{Position: position, Hub: hub, Event: e, Stored: time.UnixMilli(int64(position)).UTC()}
	l.entries = append(l.entries, entry)
	if e.Recalls != "" {
		l.recalling = append(l.recalling, entry)
	}
	return entry
}

// Drop makes the log forget all entries up to a position, as retention does.
func (l *Log) Drop(upTo notifications.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = upTo
}

// Break makes Read and Find fail until it is called with nil.
func (l *Log) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
}

// held are the entries that the log still has.
func (l *Log) held() []*notifications.Entry {
	return l.entries[min(int(l.dropped), len(l.entries)):]
}

// brief describes an entry; recalls are the recalls the log has.
func (l *Log) brief(e *notifications.Entry, recalls []*notifications.Entry) notifications.Brief {
	b := notifications.Brief{
		Position: e.Position, Hub: e.Hub, Stored: e.Stored, Recipient: e.Event.Recipient, Type: e.Event.Type, ExpiresAt: e.Event.ExpiresAt,
		Severity: cmp.Or(e.Event.Severity, notifications.Info), MembersAt: cmp.Or(e.Event.MembersAt, notifications.Emit),
		Recall: e.Event.Recalls != "",
	}
	if b.Recall {
		return b
	}
	b.RecalledBy = first(recalls, func(later *notifications.Entry) bool {
		return later.Position > e.Position && later.Event.Recalls == e.Event.ID && forTheSame(later, e)
	})
	if e.Event.CollapseKey != "" {
		b.CollapsedBy = first(l.entries[e.Position:], func(later *notifications.Entry) bool {
			return later.Event.CollapseKey == e.Event.CollapseKey && later.Event.Recalls == "" && forTheSame(later, e)
		})
	}
	return b
}

// first is the position of the first entry that is meant, 0 = none is.
func first(entries []*notifications.Entry, meant func(*notifications.Entry) bool) notifications.Position {
	if i := slices.IndexFunc(entries, meant); i >= 0 {
		return entries[i].Position
	}
	return 0
}

func forTheSame(a, b *notifications.Entry) bool {
	return a.Hub == b.Hub && a.Event.Recipient == b.Event.Recipient
}

// briefs describes what the memberships may read, oldest first.
func (l *Log) briefs(hub string, memberships []notifications.Membership) []notifications.Brief {
	recalls := l.recalls()
	var all []notifications.Brief
	for _, e := range l.held() {
		if mayRead(e, hub, memberships) {
			all = append(all, l.brief(e, recalls))
		}
	}
	return all
}

// mayRead tells whether one of the memberships covers an entry.
func mayRead(e *notifications.Entry, hub string, memberships []notifications.Membership) bool {
	return e.Hub == hub && slices.ContainsFunc(memberships, func(m notifications.Membership) bool {
		return m.Recipient == e.Event.Recipient && (e.Position > m.Since || e.Event.MembersAt == notifications.Read)
	})
}

// recalls are the recalls that the log still has.
func (l *Log) recalls() []*notifications.Entry {
	return slices.DeleteFunc(slices.Clone(l.recalling), func(e *notifications.Entry) bool { return e.Position <= l.dropped })
}

// told are those of the briefs that are replayed.
func told(briefs []notifications.Brief) []notifications.Brief {
	now := time.Now()
	return slices.DeleteFunc(briefs, func(b notifications.Brief) bool { return leftOut(b, now) })
}

// leftOut tells whether an entry is not replayed.
func leftOut(b notifications.Brief, now time.Time) bool {
	return b.RecalledBy != 0 || b.CollapsedBy != 0 || !b.ExpiresAt.IsZero() && !now.Before(b.ExpiresAt)
}

// Read implements notifications.Reader. A limit of 0 is none.
func (l *Log) Read(_ context.Context, q notifications.Query) (notifications.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return notifications.Page{}, l.broken
	}
	page := notifications.Page{UpTo: notifications.Position(len(l.entries)), First: l.dropped + 1}
	for _, p := range q.Exact {
		if p > l.dropped {
			page.Entries = append(page.Entries, l.entries[p-1])
		}
	}
	if q.Exact != nil {
		return page, nil
	}
	recalls, now := l.recalls(), time.Now()
	for _, e := range l.entries[min(int(max(l.dropped, q.After)), len(l.entries)):] {
		if !mayRead(e, q.Hub, q.Memberships) || leftOut(l.brief(e, recalls), now) {
			continue
		}
		if len(page.Entries) == q.Limit && q.Limit > 0 {
			page.UpTo = page.Entries[q.Limit-1].Position
			break
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

// State implements notifications.Reader.
func (l *Log) State() notifications.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := notifications.Position(len(l.entries))
	return notifications.LogState{Epoch: Epoch, First: l.dropped + 1, Last: last, End: last}
}

// Before implements notifications.Reader.
func (l *Log) Before(t time.Time) notifications.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := slices.BinarySearchFunc(l.entries, t, func(e *notifications.Entry, t time.Time) int { return e.Stored.Compare(t) })
	return notifications.Position(n)
}

// Recent implements notifications.Reader.
func (l *Log) Recent(hub string, memberships []notifications.Membership, n int) (notifications.Position, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := told(l.briefs(hub, memberships))
	n = min(n, len(all))
	if n == 0 {
		return notifications.Position(len(l.entries)), 0
	}
	return all[len(all)-n].Position - 1, n
}

// StoredAt implements notifications.Reader.
func (l *Log) StoredAt(p notifications.Position) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p <= l.dropped || int(p) > len(l.entries) {
		return time.Time{}, false
	}
	return l.entries[p-1].Stored, true
}

// Brief implements notifications.Catalogue.
func (l *Log) Brief(p notifications.Position) (notifications.Brief, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p <= l.dropped || int(p) > len(l.entries) {
		return notifications.Brief{}, false
	}
	return l.brief(l.entries[p-1], l.recalls()), true
}

// Walk implements notifications.Catalogue. yield must not ask the log anything.
func (l *Log) Walk(hub string, memberships []notifications.Membership, before notifications.Position, yield func(notifications.Brief) bool) notifications.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range slices.Backward(l.briefs(hub, memberships)) {
		if (before == 0 || b.Position < before) && !yield(b) {
			break
		}
	}
	return notifications.Position(len(l.entries))
}

// Find implements notifications.Catalogue.
func (l *Log) Find(_ context.Context, hub, id string) ([]*notifications.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, l.broken
	}
	return slices.DeleteFunc(slices.Clone(l.held()), func(e *notifications.Entry) bool { return e.Hub != hub || e.Event.ID != id }), nil
}

// Await implements notifications.Catalogue.
func (l *Log) Await(context.Context) error { return nil }
