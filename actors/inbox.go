package actors

import (
	"context"
	"slices"
	"time"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// inboxChanged is the client method that is told how an inbox changes.
const inboxChanged = "InboxChanged"

// The measures of telling a client of its inbox: how often it is told of events
// that arrive, how many may arrive while it is counted, and how many changes one
// message lists.
const (
	tellEvery  = time.Second
	maxArrived = 256
	maxChanges = 64
)

// inboxWatch is the inbox of a connection's user, as its token sees it: the
// counters that its client is told of. What the user does is told to every
// connection of the user; what arrives, to those whose client has asked for its
// inbox.
type inboxWatch struct {
	following bool
	// inbox is folded on while counted is true.
	inbox   notifications.Inbox
	counted bool
	pending bool // it is being counted
	stale   bool // what is being counted is of a past that has changed
	arrived []*notifications.Entry

	changes []InboxChange
	told    time.Time
}

// InboxChange is one thing that happened to an inbox. Its JSON names are public
// API.
type InboxChange struct {
	// Kind is that of the change of the user's state, or "reload": more has
	// happened than is listed.
	Kind      notifications.ChangeKind `json:"kind"`
	Positions notifications.Positions  `json:"positions,omitempty"`
	UpTo      notifications.Position   `json:"upTo,omitempty"`
	Group     string                   `json:"group,omitempty"`
}

// reload stands for changes that are too many to be listed.
const reload notifications.ChangeKind = "reload"

// InboxChanged is what a client hears when its inbox has changed. Its JSON names
// are public API.
type InboxChanged struct {
	Counts  notifications.Counts       `json:"counts"`
	Version notifications.InboxVersion `json:"version"`
	// Changed is what the user did, on whatever device; empty when events have
	// arrived or expired.
	Changed []InboxChange `json:"changed"`
}

// The messages about inboxes.
type (
	// follow says that the client has asked for its inbox.
	follow struct{ handle *Connection }
	// changed is a change of the user's state; nil = nobody has done anything, but
	// the inbox may be another one.
	changed struct{ change *notifications.Change }
	// recounted is an inbox that was counted.
	recounted struct {
		handle *Connection
		inbox  notifications.Inbox
	}
	// remind says that the client is owed a message, or that something expires.
	remind struct{}
)

// counting is the errand of counting an inbox.
type counting struct {
	handle      *Connection
	memberships []notifications.Membership
	state       *notifications.State // never changed
	now         time.Time
}

func (r *counting) from() *Connection { return r.handle }

func (r *counting) run(_ context.Context, o *Options) any {
	return &recounted{r.handle, notifications.Recount(o.Catalogue, o.Hub, r.memberships, r.state, r.now)}
}

// watched makes the watch when it is first needed; nil in a hub without inboxes
// and for nobody's connection.
func (c *connection) watched() *inboxWatch {
	if c.inbox == nil && c.desk.options.Catalogue != nil && c.member.User != "" && c.phase < closing {
		c.inbox = &inboxWatch{}
	}
	return c.inbox
}

func (c *connection) followInbox() {
	if w := c.watched(); w != nil && !w.following {
		w.following = true
		c.count()
	}
}

// changed is told of everything the user does.
func (c *connection) changed(m *changed) {
	if m.change == nil && (c.inbox == nil || !c.inbox.following) {
		return
	}
	w := c.watched()
	if w == nil {
		return
	}
	if m.change != nil {
		w.changes = append(w.changes, InboxChange{
			Kind: m.change.Kind, Positions: m.change.Positions, UpTo: m.change.UpTo, Group: m.change.Group,
		})
	}
	if len(w.changes) > maxChanges {
		w.changes = []InboxChange{{Kind: reload}}
	}
	c.count()
}

// count has the inbox counted anew.
func (c *connection) count() {
	w := c.inbox
	w.stale = w.pending
	if w.pending {
		return
	}
	w.pending, w.counted = true, false
	now := c.desk.now
	c.desk.shared.request(&counting{
		handle: c.handle, state: c.person.state, now: now,
		memberships: c.person.state.Memberships(c.member.User, c.handle.roles, now),
	})
}

// recounted takes an inbox over, and what has arrived while it was counted.
func (c *connection) recounted(m *recounted) {
	w := c.inbox
	if w == nil {
		return
	}
	w.pending = false
	arrived := w.arrived
	w.arrived = nil
	if w.stale {
		c.count()
		return
	}
	w.inbox, w.counted = m.inbox, true
	for _, e := range arrived {
		if !w.inbox.Arrive(e, c.person.state, c.desk.now) {
			c.count()
			return
		}
	}
	c.expireAt(w.inbox.Expires)
	c.tell()
}

// arrived folds in an event that has come for the connection, if it is one for
// its inbox: groups that the connection itself has joined are not.
func (c *connection) arrived(e *notifications.Entry) {
	w := c.inbox
	if !w.following {
		return
	}
	if to := e.Event.Recipient; to.Kind == notifications.Group {
		if _, durable := c.person.groups[to.Key]; !durable {
			return
		}
	}
	switch {
	case w.pending && len(w.arrived) >= maxArrived:
		w.stale = true
	case w.pending:
		w.arrived = append(w.arrived, e)
	case !w.counted || !w.inbox.Arrive(e, c.person.state, c.desk.now):
		c.count()
	case c.desk.now.Sub(w.told) >= tellEvery:
		c.expireAt(w.inbox.Expires)
		c.tell()
	default:
		c.expireAt(w.inbox.Expires)
		c.handle.owed = true
	}
}

// expireAt has the inbox counted anew at that time; zero = never.
func (c *connection) expireAt(at time.Time) {
	c.handle.recount = 0
	if !at.IsZero() {
		c.handle.recount = at.UnixNano()
	}
}

// remind comes once a second while there is something to tell or to expire.
func (c *connection) remind() {
	w := c.inbox
	switch {
	case w == nil || c.phase >= closing:
		c.handle.owed, c.handle.recount = false, 0
	case w.pending:
	case c.handle.recount != 0 && c.desk.now.UnixNano() >= c.handle.recount:
		c.handle.recount = 0
		c.count()
	default:
		c.tell()
	}
}

// tell says how the inbox is. A client that is slow is told later, and then of
// the inbox as it is by then.
func (c *connection) tell() {
	w := c.inbox
	if c.phase >= closing || !w.counted {
		return
	}
	if c.full(1) {
		c.handle.owed = true
		return
	}
	c.handle.owed = false
	changes := w.changes
	if changes == nil {
		changes = []InboxChange{}
	}
	frame, ok := c.framed(&parcel{message: protocol.Share(&protocol.Invocation{
		Target:    inboxChanged,
		Arguments: []any{InboxChanged{Counts: w.inbox.Counts, Version: w.inbox.Version, Changed: slices.Clip(changes)}},
	})})
	w.changes, w.told = nil, c.desk.now
	if ok {
		c.say(frame)
	}
	if !w.following {
		c.inbox = nil
		c.handle.recount = 0
	}
}
