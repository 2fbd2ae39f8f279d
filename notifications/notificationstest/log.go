package notificationstest

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"tidings/notifications"
)

// Epoch is the epoch of a [Log] that names no other.
const Epoch = 7

// Window is how long a [Log] de-duplicates ids.
const Window = 2 * time.Minute

// Log is a log in memory that keeps its time by the clock of a test; it
// implements notifications.Library and notifications.Appender and is safe for
// concurrent use. It does what their comments say in the plainest way. The zero
// value is ready for use.
type Log struct {
	// Now is the clock. Default time.Now. It and Epoch are set before the first
	// use.
	Now   func() time.Time
	Epoch uint64

	mu      sync.Mutex // guards all below
	entries []*notifications.Entry
	briefs  []notifications.Brief
	dropped notifications.Position
	broken  error
}

var (
	_ notifications.Library  = (*Log)(nil)
	_ notifications.Appender = (*Log)(nil)
)

// Break makes Read, Find and Append fail until it is called with nil.
func (l *Log) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
}

// Drop makes the log forget everything up to a position, as retention does.
func (l *Log) Drop(upTo notifications.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = upTo
}

func (l *Log) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

// Append implements notifications.Appender. What the event leaves out gets its
// default.
func (l *Log) Append(_ context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return notifications.Receipt{}, l.broken
	}
	stored := l.now().UTC().Truncate(time.Millisecond)
	e.Complete(stored, notifications.NewID)
	for _, earlier := range slices.Backward(l.entries) {
		if earlier.Hub == hub && earlier.Event.ID == e.ID && stored.Sub(earlier.Stored) < Window {
			return notifications.Receipt{ID: e.ID, Position: earlier.Position, Duplicate: true}, nil
		}
	}
	p := l.add(&notifications.Entry{Position: l.next(), Hub: hub, Event: e, Stored: stored})
	return notifications.Receipt{ID: e.ID, Position: p}, nil
}

// Put stores what entry makes of the next position, as it is.
func (l *Log) Put(entry func(p notifications.Position) *notifications.Entry) *notifications.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := entry(l.next())
	l.add(e)
	return e
}

func (l *Log) next() notifications.Position { return notifications.Position(len(l.entries) + 1) }

func (l *Log) add(entry *notifications.Entry) notifications.Position {
	e := &entry.Event
	l.mark(entry.Position, entry.Hub, e)
	l.entries = append(l.entries, entry)
	l.briefs = append(l.briefs, notifications.Brief{
		Position: entry.Position, Hub: entry.Hub, Stored: entry.Stored, Recipient: e.Recipient, Type: e.Type,
		Severity: cmp.Or(e.Severity, notifications.Info), MembersAt: cmp.Or(e.MembersAt, notifications.Emit),
		ExpiresAt: e.ExpiresAt, Recall: e.Recalls != "",
	})
	return entry.Position
}

// mark notes what an event at p does to earlier ones: a recall takes back those
// of the id, another one replaces those of its key.
func (l *Log) mark(p notifications.Position, hub string, e *notifications.Event) {
	if e.Recalls == "" && e.CollapseKey == "" {
		return
	}
	for i, earlier := range l.entries {
		b := &l.briefs[i]
		switch {
		case earlier.Hub != hub || b.Recipient != e.Recipient || b.Recall:
		case e.Recalls != "":
			if earlier.Event.ID == e.Recalls && b.RecalledBy == 0 {
				b.RecalledBy = p
			}
		case earlier.Event.CollapseKey == e.CollapseKey && b.CollapsedBy == 0:
			b.CollapsedBy = p
		}
	}
}

// Entry is the entry at a position the log holds.
func (l *Log) Entry(p notifications.Position) *notifications.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[p-1]
}

func (l *Log) holds(p notifications.Position) bool {
	return p > l.dropped && p <= notifications.Position(len(l.entries))
}

// told gives yield the positions beyond after that memberships are told when they
// read the log, oldest first.
func (l *Log) told(hub string, memberships []notifications.Membership, after notifications.Position) iter.Seq[notifications.Position] {
	now := l.now()
	return func(yield func(notifications.Position) bool) {
		for _, b := range l.briefs[min(int(max(after, l.dropped)), len(l.briefs)):] {
			left := b.CollapsedBy != 0 || b.RecalledBy != 0 || !b.ExpiresAt.IsZero() && !now.Before(b.ExpiresAt)
			if !left && l.reads(hub, memberships, b) && !yield(b.Position) {
				return
			}
		}
	}
}

func (l *Log) reads(hub string, memberships []notifications.Membership, b notifications.Brief) bool {
	return b.Hub == hub && l.holds(b.Position) && slices.ContainsFunc(memberships, func(m notifications.Membership) bool { return m.Covers(b) })
}

// Read implements notifications.Reader. It knows no bound of bytes.
func (l *Log) Read(_ context.Context, q notifications.Query) (notifications.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return notifications.Page{}, l.broken
	}
	page := notifications.Page{UpTo: notifications.Position(len(l.entries)), First: l.dropped + 1}
	positions, limit := slices.Values(q.Exact), len(q.Exact)
	if q.Exact == nil {
		positions, limit = l.told(q.Hub, q.Memberships, q.After), cmp.Or(q.Limit, 256)
	}
	for p := range positions {
		switch {
		case !l.holds(p):
		case len(page.Entries) == limit:
			page.UpTo = page.Entries[limit-1].Position
			return page, nil
		default:
			page.Entries = append(page.Entries, l.entries[p-1])
		}
	}
	return page, nil
}

// State implements notifications.Reader.
func (l *Log) State() notifications.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := notifications.Position(len(l.entries))
	return notifications.LogState{Epoch: cmp.Or(l.Epoch, Epoch), First: l.dropped + 1, Last: last, End: last}
}

// Before implements notifications.Reader.
func (l *Log) Before(t time.Time) notifications.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.entries) {
		if e.Stored.Before(t) {
			return e.Position
		}
	}
	return 0
}

// Recent implements notifications.Reader.
func (l *Log) Recent(hub string, memberships []notifications.Membership, n int) (notifications.Position, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := slices.Collect(l.told(hub, memberships, 0))
	if n = min(n, len(told)); n == 0 {
		return notifications.Position(len(l.entries)), 0
	}
	return told[len(told)-n] - 1, n
}

// StoredAt implements notifications.Reader.
func (l *Log) StoredAt(p notifications.Position) (time.Time, bool) {
	b, held := l.Brief(p)
	return b.Stored, held
}

// Brief implements notifications.Catalogue.
func (l *Log) Brief(p notifications.Position) (notifications.Brief, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holds(p) {
		return notifications.Brief{}, false
	}
	return l.briefs[p-1], true
}

// Walk implements notifications.Catalogue.
func (l *Log) Walk(hub string, memberships []notifications.Membership, before notifications.Position, yield func(notifications.Brief) bool) notifications.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range slices.Backward(l.briefs) {
		if (before == 0 || b.Position < before) && l.reads(hub, memberships, b) && !yield(b) {
			break
		}
	}
	return notifications.Position(len(l.briefs))
}

// Find implements notifications.Catalogue.
func (l *Log) Find(_ context.Context, hub, id string) ([]*notifications.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, l.broken
	}
	return slices.DeleteFunc(slices.Clone(l.entries), func(e *notifications.Entry) bool {
		return e.Hub != hub || e.Event.ID != id || !l.holds(e.Position)
	}), nil
}

// Await implements notifications.Catalogue: a log in memory is never behind.
func (l *Log) Await(context.Context) error { return nil }
