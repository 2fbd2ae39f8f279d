package notifications

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// view is through whose eyes an inbox is looked at.
type view struct {
	state       *State
	memberships []Membership
	now         time.Time
	// until hides what was stored later, for an inbox of the past; 0 = nothing.
	until Position
}

// page finds a page in the catalogue and then reads the entries of it.
func page(ctx context.Context, log Library, hub string, v view, q InboxQuery) (InboxPage, error) {
	if err := q.validate(); err != nil {
		return InboxPage{}, err
	}
	before, err := q.before(log.State())
	if err != nil {
		return InboxPage{}, err
	}
	if v.until > 0 && (before == 0 || before > v.until+1) {
		before = v.until + 1
	}
	limit := cmp.Or(q.Limit, DefaultInboxPage)
	var found []Position
	log.Walk(hub, v.memberships, before, func(e Brief) bool {
		if v.shows(e) && q.wants(e, v.state.Status(e.Position)) {
			found = append(found, e.Position)
		}
		return len(found) <= limit
	})
	p := InboxPage{Items: []InboxItem{}}
	if len(found) > limit {
		found = found[:limit]
		p.Next = at(log, log.State(), found[limit-1]).String()
	}
	inbox := v.count(log, hub)
	p.Counts, p.Version = inbox.Counts, inbox.Version
	p.Items, err = v.read(ctx, log, hub, found)
	return p, err
}

// shows tells whether an entry is in the inbox, as of the view.
func (v view) shows(e Brief) bool {
	if v.until > 0 {
		// What came later had not replaced or recalled anything yet.
		if e.CollapsedBy > v.until {
			e.CollapsedBy = 0
		}
		if e.RecalledBy > v.until {
			e.RecalledBy = 0
		}
	}
	return e.Shown(v.state, v.now)
}

func (v view) count(log Library, hub string) Inbox {
	if v.until == 0 {
		return Recount(log, hub, v.memberships, v.state, v.now)
	}
	b := Inbox{Version: InboxVersion{Position: v.until, State: v.state.Version}}
	log.Walk(hub, v.memberships, v.until+1, func(e Brief) bool {
		if v.shows(e) {
			b.Counts.add(e.Severity, v.state.Status(e.Position))
		}
		return true
	})
	return b
}

// read makes items of positions, which are newest first.
func (v view) read(ctx context.Context, log Library, hub string, found []Position) ([]InboxItem, error) {
	items := make([]InboxItem, 0, len(found))
	if len(found) == 0 {
		return items, nil
	}
	oldestFirst := slices.Clone(found)
	slices.Reverse(oldestFirst)
	read, err := log.Read(ctx, Query{Hub: hub, Exact: oldestFirst, Bytes: 1 << 30})
	if err != nil {
		return nil, err
	}
	epoch := log.State().Epoch
	for _, e := range slices.Backward(read.Entries) {
		items = append(items, InboxItem{
			Notification: e.Notification(epoch),
			State:        v.state.Status(e.Position),
			Muted:        v.state.Preferences.Silences(&e.Event, e.Stored) != "",
		})
	}
	return items, nil
}

// before is the position the page ends before; 0 = the end of the log.
func (q *InboxQuery) before(log LogState) (Position, error) {
	if q.Before == "" {
		return 0, nil
	}
	c, err := ParseCursor(q.Before)
	switch {
	case err != nil:
		return 0, unfit("before", "is not the next of a page of an inbox")
	case c.Epoch != log.Epoch:
		return 0, unfit("before", "is of a log that is no more; load the first page again")
	case c.Position == 0:
		return 1, nil
	}
	return c.Position, nil
}
