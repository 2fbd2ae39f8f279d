package console

import (
	"cmp"
	"context"
	"errors"
	"time"

	"tidings/actors"
	"tidings/hub"
	"tidings/notifications"
)

// Connection is a connection as operators see it.
type Connection struct {
	ID   string `json:"id"`
	Hub  string `json:"hub"`
	User string `json:"user"`
	// Roles are those in force, Groups some of its groups, of which it has
	// GroupCount.
	Roles      []string  `json:"roles"`
	Groups     []string  `json:"groups"`
	GroupCount int       `json:"groupCount"`
	Transport  string    `json:"transport"`
	Protocol   string    `json:"protocol"`
	Device     string    `json:"device"`
	Began      time.Time `json:"began"`
	Heard      time.Time `json:"heard"`
	Age        int64     `json:"ageMs"`
	Phase      string    `json:"phase"`
	// Position is that of the last event it was sent, Behind how many positions
	// the log is further.
	Position     notifications.Position `json:"position"`
	Behind       notifications.Position `json:"behind"`
	QueuedBytes  int                    `json:"queuedBytes"`
	QueuedFrames int                    `json:"queuedFrames"`
	Traced       bool                   `json:"traced"`
}

func (c *Console) shown(i hub.ConnectionInfo) Connection {
	s := Connection{
		ID: i.ID, Hub: i.Hub, User: i.User, Roles: append([]string{}, i.Roles...), Groups: append([]string{}, i.Groups...), // never null
		GroupCount: i.GroupCount, Transport: i.Transport, Protocol: i.Codec, Device: i.Device, Began: i.Began.UTC(), Heard: i.Heard.UTC(),
		Age: c.o.Now().Sub(i.Began).Milliseconds(), Phase: i.Phase, Position: i.Position,
		QueuedBytes: i.QueuedBytes, QueuedFrames: i.QueuedFrames, Traced: i.Traced,
	}
	if end := c.o.Log.State().Last; i.Position > 0 && end > i.Position && i.Phase != "live" {
		s.Behind = end - i.Position // one that is live has everything that was for it
	}
	return s
}

// ConnectionsQuestion asks for a page of the connections of a hub.
type ConnectionsQuestion struct {
	Hub, Text, User, Role, Group, Transport, Before string
	Limit                                           int
}

// ConnectionList is such a page, the newest connections first.
type ConnectionList struct {
	Items   []Connection `json:"items"`
	Total   int          `json:"total"`
	Matched int          `json:"matched"`
	Next    string       `json:"next,omitempty"`
}

// The entries of a page.
const (
	defaultPage = 50
	maxPage     = 200
)

func (c *Console) connections(h *hub.Context, q ConnectionsQuestion) (ConnectionList, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return ConnectionList{}, err
	}
	page, err := of.Connections(h.Context(), actors.ConnectionQuery{
		Text: q.Text, User: q.User, Role: q.Role, Group: q.Group, Transport: q.Transport, Before: q.Before, Limit: limit(q.Limit),
	})
	if err != nil {
		return ConnectionList{}, busy(err)
	}
	list := ConnectionList{Items: []Connection{}, Total: page.Total, Matched: page.Matched, Next: page.Next}
	for _, i := range page.Items {
		list.Items = append(list.Items, c.shown(i))
	}
	return list, nil
}

func limit(asked int) int { return min(cmp.Or(max(asked, 0), defaultPage), maxPage) }

// busy tells an operator why there is no answer.
func busy(err error) error {
	switch {
	case errors.Is(err, actors.ErrPlace):
		return hub.Error{Text: "There is no such page. Load the first one again."}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, actors.ErrGone):
		return hub.Error{Text: "The node is too busy, or is stopping. Try again."}
	}
	return err
}

// ConnectionQuestion names a connection.
type ConnectionQuestion struct{ ID string }

func (c *Console) connection(h *hub.Context, q ConnectionQuestion) (Connection, error) {
	_, info, err := c.locate(h.Context(), q.ID)
	if err != nil {
		return Connection{}, err
	}
	return c.shown(info), nil
}

// locate finds a connection on whatever hub it is.
func (c *Console) locate(ctx context.Context, id string) (*hub.Hub, hub.ConnectionInfo, error) {
	for _, of := range c.o.Hubs {
		info, here, err := of.Connection(ctx, id)
		if err != nil {
			return nil, hub.ConnectionInfo{}, busy(err)
		}
		if here {
			return of, info, nil
		}
	}
	return nil, hub.ConnectionInfo{}, hub.Error{Text: "There is no such connection on this node, or not any more."}
}

// GroupsQuestion asks for the roles and groups with members.
type GroupsQuestion struct {
	Kind, Text, Hub, After string
	Limit                  int
}

// GroupList is a page of them, by name.
type GroupList struct {
	Items   []Group `json:"items"`
	Matched int     `json:"matched"`
	Next    string  `json:"next,omitempty"`
}

// Group is a role or a group, with its connections on this node.
type Group struct {
	Kind        string `json:"kind"`
	Name        string `json:"name"`
	Connections int    `json:"connections"`
}

func (c *Console) groups(h *hub.Context, q GroupsQuestion) (GroupList, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return GroupList{}, err
	}
	page, err := of.ActiveGroups(h.Context(), actors.GroupQuery{
		Kind: notifications.Kind(q.Kind), Text: q.Text, After: q.After, Limit: limit(q.Limit),
	})
	if err != nil {
		return GroupList{}, busy(err)
	}
	list := GroupList{Items: []Group{}, Matched: page.Matched, Next: page.Next}
	for _, g := range page.Items {
		list.Items = append(list.Items, Group{string(g.Recipient.Kind), g.Recipient.Key, g.Connections})
	}
	return list, nil
}

// MembersQuestion asks for the members of a role or a group.
type MembersQuestion struct {
	Kind, Name, Hub, After string
	Limit                  int
}

// MemberList is a page of them, by connection.
type MemberList struct {
	Items []Member `json:"items"`
	Total int      `json:"total"`
	Next  string   `json:"next,omitempty"`
}

// Member is a connection in a role or a group.
type Member struct {
	Connection string    `json:"connection"`
	User       string    `json:"user"`
	Transport  string    `json:"transport"`
	Began      time.Time `json:"began"`
}

func (c *Console) members(h *hub.Context, q MembersQuestion) (MemberList, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return MemberList{}, err
	}
	to := notifications.Recipient{Kind: notifications.Kind(q.Kind), Key: q.Name}
	if to.Kind != notifications.Role && to.Kind != notifications.Group {
		return MemberList{}, hub.Error{Text: "Want the kind role or group."}
	}
	page, err := of.Members(h.Context(), to, q.After, limit(q.Limit))
	if err != nil {
		return MemberList{}, busy(err)
	}
	list := MemberList{Items: []Member{}, Total: page.Total, Next: page.Next}
	for _, m := range page.Items {
		list.Items = append(list.Items, Member{m.ID, m.User, m.Transport, m.Began.UTC()})
	}
	return list, nil
}

// TracedUser is somebody on the operators' trace list.
type TracedUser struct {
	User  string    `json:"user"`
	Until time.Time `json:"until"`
}

// TracedList is that list.
type TracedList struct {
	Items []TracedUser `json:"items"`
}

func (c *Console) traced(*hub.Context, Nothing) (TracedList, error) {
	list := TracedList{Items: []TracedUser{}}
	for user, until := range c.o.Hubs[0].Traced() {
		list.Items = append(list.Items, TracedUser{user, until.UTC()})
	}
	sortBy(list.Items, func(t TracedUser) string { return t.User })
	return list, nil
}
