package console

import (
	"cmp"
	"context"
	"slices"
	"time"

	"tidings/actors"
	"tidings/hub"
	"tidings/notifications"
)

// UserQuestion names a user.
type UserQuestion struct{ User, Hub string }

// User is all that a node knows of one.
type User struct {
	User string `json:"user"`
	Hub  string `json:"hub"`
	// Known says that there is anything at all.
	Known       bool                      `json:"known"`
	Counts      UserCounts                `json:"counts"`
	Roles       []UserRole                `json:"roles"`
	Groups      []UserGroup               `json:"groups"`
	Mutes       []notifications.Mute      `json:"mutes"`
	QuietHours  *notifications.QuietHours `json:"quietHours,omitempty"`
	Devices     []UserDevice              `json:"devices"`
	Visits      []notifications.Visit     `json:"visits"`
	Connections []Connection              `json:"connections"`
	Traced      bool                      `json:"traced"`
	TracedUntil time.Time                 `json:"tracedUntil,omitzero"`
}

// UserCounts are the counters of an inbox.
type UserCounts struct {
	Unseen int `json:"unseen"`
	Unread int `json:"unread"`
}

// UserRole is a role with the position from which its history counts.
type UserRole struct {
	Name  string                 `json:"name"`
	Since notifications.Position `json:"since"`
}

// UserGroup is a durable membership.
type UserGroup struct {
	Name  string                 `json:"name"`
	Since notifications.Position `json:"since"`
	Until time.Time              `json:"until,omitzero"`
}

// UserDevice is how far a device has come.
type UserDevice struct {
	Device   string                 `json:"device"`
	Position notifications.Position `json:"position"`
	// Behind is how many positions the log is further than what the device has
	// acknowledged; not all of them are for the user.
	Behind  notifications.Position `json:"behind"`
	Sent    notifications.Position `json:"sent"`
	AckedAt time.Time              `json:"ackedAt,omitzero"`
	Groups  []string               `json:"groups"`
}

// visitsShown bounds the visits of a user's page, the newest ones.
const visitsShown = 50

func (c *Console) user(h *hub.Context, q UserQuestion) (User, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return User{}, err
	}
	counts, err := c.o.Inboxes.Counts(h.Context(), c.asker(h, of, q.User)) // which is put on record
	if err != nil {
		return User{}, err
	}
	u := User{User: q.User, Hub: of.Name(), Counts: UserCounts{counts.Counts.Unseen, counts.Counts.Unread}}
	for _, part := range []func(context.Context, *hub.Hub, *User) error{c.userState, c.userDevices, c.userVisits, c.userConnections} {
		if err := part(h.Context(), of, &u); err != nil {
			return User{}, err
		}
	}
	u.TracedUntil, u.Traced = of.Traced()[q.User]
	u.Known = u.Known || len(u.Devices)+len(u.Visits)+len(u.Connections) > 0
	return u, nil
}

func (c *Console) userState(ctx context.Context, of *hub.Hub, u *User) error {
	s, err := c.o.States.Load(ctx, of.Name(), u.User)
	if err != nil {
		return err
	}
	u.Known = s.Version > 0
	u.Roles, u.Groups, u.Mutes = []UserRole{}, []UserGroup{}, append([]notifications.Mute{}, s.Preferences.Mutes...)
	u.QuietHours = s.Preferences.QuietHours
	for name, since := range s.Roles {
		u.Roles = append(u.Roles, UserRole{name, since})
	}
	for name, term := range s.Groups {
		if !term.Over(c.o.Now()) {
			u.Groups = append(u.Groups, UserGroup{name, term.Since, term.Until})
		}
	}
	sortBy(u.Roles, func(r UserRole) string { return r.Name })
	sortBy(u.Groups, func(g UserGroup) string { return g.Name })
	return nil
}

func (c *Console) userDevices(ctx context.Context, of *hub.Hub, u *User) error {
	devices, err := c.o.Devices.Of(ctx, of.Name(), u.User)
	log := c.o.Log.State()
	u.Devices = []UserDevice{}
	for _, d := range devices {
		shown := UserDevice{Device: d.Name, Sent: d.Sent, AckedAt: d.AckedAt, Groups: []string{}}
		if d.Cursor.Epoch == log.Epoch {
			shown.Position = d.Cursor.Position
			shown.Behind = max(log.Last, d.Cursor.Position) - d.Cursor.Position
		}
		for group := range d.Groups {
			shown.Groups = append(shown.Groups, group)
		}
		slices.Sort(shown.Groups)
		u.Devices = append(u.Devices, shown)
	}
	sortBy(u.Devices, func(d UserDevice) string { return d.Device })
	return err
}

func (c *Console) userVisits(ctx context.Context, of *hub.Hub, u *User) error {
	visits, err := c.o.Visits.Of(ctx, of.Name(), u.User)
	slices.Reverse(visits)
	u.Visits = append([]notifications.Visit{}, visits[:min(len(visits), visitsShown)]...)
	return err
}

func (c *Console) userConnections(ctx context.Context, of *hub.Hub, u *User) error {
	page, err := of.Connections(ctx, actors.ConnectionQuery{User: u.User, Limit: maxPage})
	u.Connections = []Connection{}
	for _, i := range page.Items {
		u.Connections = append(u.Connections, c.shown(i))
	}
	return busy(err)
}

func sortBy[T any](list []T, key func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// InboxQuestion asks for a page of a user's inbox.
type InboxQuestion struct {
	User, Hub, Before, State string
	Limit                    int
}

// InboxList is such a page, the newest first.
type InboxList struct {
	Items []InboxLine `json:"items"`
	Next  string      `json:"next,omitempty"`
}

// InboxLine is a notification in somebody's inbox.
type InboxLine struct {
	Position  notifications.Position `json:"position"`
	ID        string                 `json:"id"`
	Type      string                 `json:"type"`
	Title     string                 `json:"title"`
	Body      string                 `json:"body"`
	Severity  notifications.Severity `json:"severity"`
	Recipient string                 `json:"recipient"`
	CreatedAt time.Time              `json:"createdAt"`
	Status    notifications.Status   `json:"status"`
	Muted     bool                   `json:"muted"`
}

func (c *Console) userInbox(h *hub.Context, q InboxQuestion) (InboxList, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return InboxList{}, err
	}
	query := notifications.InboxQuery{Before: q.Before, Limit: limit(q.Limit)}
	if q.State != "" {
		query.Statuses = []notifications.Status{notifications.Status(q.State)}
	}
	page, err := c.o.Inboxes.Page(h.Context(), c.asker(h, of, q.User), query)
	if err != nil {
		return InboxList{}, err
	}
	list := InboxList{Items: []InboxLine{}, Next: page.Next}
	for _, i := range page.Items {
		list.Items = append(list.Items, InboxLine{
			Position: i.Position, ID: i.ID, Type: i.Type, Title: i.Title, Body: i.Body, Severity: i.Severity, Recipient: i.Recipient,
			CreatedAt: i.CreatedAt, Status: i.State, Muted: i.Muted,
		})
	}
	return list, nil
}

// ExplainQuestion asks what became of an event for a user.
type ExplainQuestion struct{ User, ID, Hub string }

// Explained is the answer, and its gist in a sentence or two.
type Explained struct {
	notifications.Explanation

	Verdict string `json:"verdict"`
}

func (c *Console) explain(h *hub.Context, q ExplainQuestion) (Explained, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return Explained{}, err
	}
	x, err := c.o.Archives.Explain(h.Context(), c.asker(h, of, q.User), q.ID)
	if err != nil {
		return Explained{}, err
	}
	return Explained{x, x.Verdict()}, nil
}

// AuditQuestion asks for what was done by or to a user, or about an id. Without
// either, what was merely emitted is left out: the log says that. Looks at users
// are left out unless they are asked for: every look at one adds to them.
type AuditQuestion struct {
	User, ID string
	Looks    bool
	Limit    int
}

func (q AuditQuestion) wants(r notifications.AuditRecord) bool {
	switch {
	case q.User != "" && r.User != q.User && r.By != q.User, q.ID != "" && r.ID != q.ID:
		return false
	case r.Action == notifications.AuditLooked:
		return q.Looks
	case r.Action == notifications.AuditEmitted:
		return q.User != "" || q.ID != ""
	}
	return true
}

// AuditList holds records, the newest first.
type AuditList struct {
	Items []notifications.AuditRecord `json:"items"`
}

func (c *Console) audit(h *hub.Context, q AuditQuestion) (AuditList, error) {
	records, err := c.o.Audit.Newest(h.Context(), limit(q.Limit), q.wants)
	if err != nil {
		return AuditList{}, err
	}
	return AuditList{append([]notifications.AuditRecord{}, records...)}, nil // never null
}
