package hub

import (
	"encoding/json"
	"time"

	"tidings/notifications"
)

// document is an argument whose faults the method tells itself: a binding error
// would hide them.
type document struct{ raw json.RawMessage }

// UnmarshalJSON implements json.Unmarshaler.
func (d *document) UnmarshalJSON(data []byte) error {
	d.raw = append(json.RawMessage(nil), data...)
	return nil
}

// counts is what a call that has to do with an inbox is answered with.
type counts struct {
	Counts  notifications.Counts       `json:"counts"`
	Version notifications.InboxVersion `json:"version"`
}

// inboxMethods are those about the caller's own inbox, and about durable
// memberships.
func (n *Notifications) inboxMethods() Methods {
	return Methods{
		"Inbox":       n.inbox,
		"Counts":      n.counts,
		"MarkSeen":    n.mark(notifications.ChangeSeen),
		"MarkRead":    n.mark(notifications.ChangeRead),
		"MarkUnread":  n.mark(notifications.ChangeUnread),
		"Archive":     n.mark(notifications.ChangeArchived),
		"Unarchive":   n.mark(notifications.ChangeUnarchived),
		"MarkAllSeen": n.markAll(notifications.ChangeAllSeen),
		"MarkAllRead": n.markAll(notifications.ChangeAllRead),

		"Preferences":    n.preferences,
		"SetPreferences": n.setPreferences,
		"Mute":           n.mute,
		"Unmute":         n.unmute,

		"AddToGroup":      n.addToGroup,
		"RemoveFromGroup": n.removeFromGroup,
	}
}

// asker is the caller, for their own inbox.
func (n *Notifications) asker(c *Context) notifications.Asker {
	return notifications.Asker{Principal: c.Principal(), Hub: n.Name(), Device: c.session.resume.name, Via: viaHub}
}

// viaHub is the door of the audit.
const viaHub = "hub"

func (n *Notifications) inbox(c *Context, query document) (notifications.InboxPage, error) {
	q, err := notifications.DecodeInboxQuery(query.raw)
	if err != nil {
		return notifications.InboxPage{}, err
	}
	page, err := n.inboxes.Page(c.Context(), n.asker(c), q)
	if err != nil {
		return page, err
	}
	return page, c.session.member.WatchInbox(c.Context())
}

func (n *Notifications) counts(c *Context) (counts, error) {
	inbox, err := n.inboxes.Counts(c.Context(), n.asker(c))
	if err != nil {
		return counts{}, err
	}
	return counts{inbox.Counts, inbox.Version}, c.session.member.WatchInbox(c.Context())
}

// mark makes the method that changes the status of some notifications.
func (n *Notifications) mark(kind notifications.ChangeKind) any {
	return func(c *Context, ids document) (counts, error) {
		refs, err := notifications.DecodeRefs(ids.raw)
		if err != nil {
			return counts{}, err
		}
		if _, err = n.inboxes.Mark(c.Context(), n.asker(c), kind, refs); err != nil {
			return counts{}, err
		}
		return n.counts(c)
	}
}

func (n *Notifications) markAll(kind notifications.ChangeKind) any {
	return func(c *Context, upTo document) (counts, error) {
		var to notifications.UpTo
		if err := to.UnmarshalJSON(upTo.raw); err != nil {
			return counts{}, err
		}
		if _, err := n.inboxes.MarkAll(c.Context(), n.asker(c), kind, to); err != nil {
			return counts{}, err
		}
		return n.counts(c)
	}
}

// preferences is what a client is told of its preferences.
type preferences struct {
	notifications.Preferences

	// Version is to be given back with a change, see SetPreferences.
	Version notifications.Version `json:"version"`
}

func (n *Notifications) preferences(c *Context) (preferences, error) {
	p, version, err := n.inboxes.Preferences(c.Context(), n.asker(c))
	return preferences{p, version}, err
}

func (n *Notifications) setPreferences(c *Context, d document) (preferences, error) {
	p, version, err := notifications.DecodeVersionedPreferences(d.raw, time.Now())
	if err != nil {
		return preferences{}, err
	}
	return preferred(n.inboxes.SetPreferences(c.Context(), n.asker(c), p, version))
}

func preferred(s notifications.State, err error) (preferences, error) {
	return preferences{s.Preferences, s.PreferencesVersion}, err
}

func (n *Notifications) mute(c *Context, d document) (preferences, error) {
	m, err := notifications.DecodeMute(d.raw)
	if err != nil {
		return preferences{}, err
	}
	return preferred(n.inboxes.Mute(c.Context(), n.asker(c), m))
}

func (n *Notifications) unmute(c *Context, d document) (preferences, error) {
	m, err := notifications.DecodeMute(d.raw)
	if err != nil {
		return preferences{}, err
	}
	return preferred(n.inboxes.Unmute(c.Context(), n.asker(c), m))
}

// member is a durable membership that an administrator asks for.
func (n *Notifications) member(c *Context, user string) notifications.Asker {
	a := n.asker(c)
	a.User = user
	return a
}

// addToGroup makes a user a durable member. The last argument is the number of
// seconds after which that ends, or null.
func (n *Notifications) addToGroup(c *Context, user, group string, ttl *float64) error {
	var duration time.Duration
	if ttl != nil {
		var err error
		if duration, err = notifications.Seconds(*ttl); err != nil {
			return err
		}
	}
	_, err := n.inboxes.AddMember(c.Context(), n.member(c, user), group, duration)
	return err
}

func (n *Notifications) removeFromGroup(c *Context, user, group string) error {
	_, err := n.inboxes.RemoveMember(c.Context(), n.member(c, user), group)
	return err
}

func (n *Notifications) recall(c *Context, id string) (notifications.Recalled, error) {
	return n.commands.Recall(c.Context(), n.emitter(c), id)
}
