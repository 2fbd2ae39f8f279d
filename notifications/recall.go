package notifications

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Recalled is what became of a recall.
type Recalled struct {
	ID string `json:"id"`
	// Canceled says that the event had not been due yet: it never will be.
	Canceled bool `json:"canceled"`
	// Position is that of the recall in the log, for an event that had been
	// stored already; clients that have it hear NotificationRecalled.
	Position Position `json:"position,omitempty"`
}

// Recall takes back the event of that id: one that is scheduled is canceled, one
// that was stored is recalled, for everybody it was for. Whoever may emit to a
// recipient may recall what was emitted to it. The error wraps [ErrNotFound]
// when there is no such event, or not any more.
func (c *Commands) Recall(ctx context.Context, from Emitter, id string) (Recalled, error) {
	if id == "" || len(id) > maxID || hasControl(id) {
		return Recalled{}, unfit("id", "want the id of an event, 1 to 128 bytes of text")
	}
	if err := c.Admit(from, 1); err != nil {
		return Recalled{}, err
	}
	switch canceled, err := c.cancel(ctx, from, id); {
	case err != nil:
		return Recalled{}, err
	case canceled:
		return Recalled{ID: id, Canceled: true}, nil
	}
	entries, err := c.find(ctx, from.Hub, id)
	if err != nil {
		return Recalled{}, err
	}
	e := entries[len(entries)-1]
	recall := Event{
		// Made of the id, so that recalling twice is once.
		ID: recallID(id, len(entries)), Recipient: e.Event.Recipient, Recalls: id, MembersAt: e.Event.MembersAt, ExpiresAt: e.Event.ExpiresAt,
	}
	if recall, err = c.Check(from, recall); err != nil {
		return Recalled{}, err
	}
	if brief, held := c.o.Catalogue.Brief(e.Position); held && brief.RecalledBy != 0 { // longer ago than ids are de-duplicated
		return Recalled{ID: id, Position: brief.RecalledBy}, nil
	}
	receipt, err := c.o.Log.Append(ctx, from.Hub, recall)
	if err != nil {
		return Recalled{}, err
	}
	if !receipt.Duplicate {
		c.record(from, e.Event, AuditRecord{Action: AuditRecalled, Position: receipt.Position})
	}
	return Recalled{ID: id, Position: receipt.Position}, nil
}

// cancel forgets a scheduled event.
func (c *Commands) cancel(ctx context.Context, from Emitter, id string) (bool, error) {
	if c.o.Schedules == nil {
		return false, nil
	}
	e, waits, err := c.o.Schedules.Scheduled(ctx, from.Hub, id)
	if err != nil || !waits {
		return false, err
	}
	if _, err = c.Check(from, Event{ID: id, Recipient: e.Recipient}); err != nil {
		return false, err
	}
	canceled, err := c.o.Schedules.Cancel(ctx, from.Hub, id)
	if canceled {
		c.record(from, e, AuditRecord{Action: AuditCanceled})
	}
	return canceled, err
}

// find returns the events of that id, oldest first. The newest is one that can be
// recalled.
func (c *Commands) find(ctx context.Context, hub, id string) ([]*Entry, error) {
	var entries []*Entry
	if c.o.Catalogue != nil {
		err := c.o.Catalogue.Await(ctx)
		if err == nil {
			entries, err = c.o.Catalogue.Find(ctx, hub, id)
		}
		if err != nil {
			return nil, err
		}
	}
	if n := len(entries); n == 0 || entries[n-1].Event.Recalls != "" || entries[n-1].Event.Expired(c.o.Now()) {
		return nil, fmt.Errorf("event %q: %w", clip(id), ErrNotFound)
	}
	return entries, nil
}

// recallID is the id of the event that recalls the n-th one of an id: one that
// was stored again may be recalled again, however soon.
func recallID(id string, n int) string {
	const prefix = "recall-"
	if n > 1 {
		id += "-" + strconv.Itoa(n)
	}
	if len(prefix)+len(id) <= maxID {
		return prefix + id
	}
	return prefix + hashed(id)
}

// Lookup is what is known of an id.
type Lookup struct {
	ID string `json:"id"`
	// Positions are those of the events of that id that the log holds; more than
	// one if it was stored again outside of the de-duplication window.
	Positions []Position `json:"positions"`
	// ScheduledFor is when an event that waits is due.
	ScheduledFor time.Time `json:"scheduledFor,omitzero"`
	// RecalledBy is the position of the recall.
	RecalledBy Position `json:"recalledBy,omitempty"`
}

// Lookup finds an event by its id, for whoever may emit to its recipient. The
// error wraps [ErrNotFound] when nothing is known of it.
func (c *Commands) Lookup(ctx context.Context, from Emitter, id string) (Lookup, error) {
	if id == "" || len(id) > maxID || hasControl(id) {
		return Lookup{}, unfit("id", "want the id of an event, 1 to 128 bytes of text")
	}
	l := Lookup{ID: id, Positions: []Position{}}
	waiting, err := c.waiting(ctx, from.Hub, id, &l)
	if err != nil {
		return Lookup{}, err
	}
	stored, err := c.stored(ctx, from.Hub, id, &l)
	if err != nil {
		return Lookup{}, err
	}
	to := append(waiting, stored...)
	for _, r := range to {
		if !c.o.Policy.MayEmit(from.Principal, string(r.Kind), r.Key) {
			return Lookup{}, fmt.Errorf("%w to emit to the recipient of that event: %s", ErrForbidden, r.Kind)
		}
	}
	if len(to) == 0 {
		return Lookup{}, fmt.Errorf("event %q: %w", clip(id), ErrNotFound)
	}
	return l, nil
}

// waiting finds an event that is scheduled, and whom it is for.
func (c *Commands) waiting(ctx context.Context, hub, id string, l *Lookup) ([]Recipient, error) {
	if c.o.Schedules == nil {
		return nil, nil
	}
	e, waits, err := c.o.Schedules.Scheduled(ctx, hub, id)
	if err != nil || !waits {
		return nil, err
	}
	l.ScheduledFor = e.NotBefore
	return []Recipient{e.Recipient}, nil
}

// stored finds the events that the log holds, and whom they are for.
func (c *Commands) stored(ctx context.Context, hub, id string, l *Lookup) (to []Recipient, err error) {
	if c.o.Catalogue == nil {
		return nil, nil
	}
	if err = c.o.Catalogue.Await(ctx); err != nil {
		return nil, err
	}
	entries, err := c.o.Catalogue.Find(ctx, hub, id)
	for _, e := range entries {
		l.Positions, to = append(l.Positions, e.Position), append(to, e.Event.Recipient)
		if brief, held := c.o.Catalogue.Brief(e.Position); held {
			l.RecalledBy = max(l.RecalledBy, brief.RecalledBy)
		}
	}
	return to, err
}
