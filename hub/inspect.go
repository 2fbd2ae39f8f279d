package hub

import (
	"context"
	"time"

	"tidings/actors"
	"tidings/notifications"
)

// ConnectionInfo is a connection as operators see it.
type ConnectionInfo struct {
	actors.ConnectionInfo

	// Hub is the name of the hub, Device that of the client's device, or empty.
	Hub, Device string
}

// ConnectionPage is a part of the list of connections; see
// [actors.ConnectionPage].
type ConnectionPage struct {
	Items          []ConnectionInfo
	Total, Matched int
	Next           string
}

// Connections lists connections of this node; see [actors.System.Connections].
func (h *Hub) Connections(ctx context.Context, q actors.ConnectionQuery) (ConnectionPage, error) {
	found, err := h.system.Connections(ctx, q)
	page := ConnectionPage{Total: found.Total, Matched: found.Matched, Next: found.Next}
	for _, c := range found.Items {
		page.Items = append(page.Items, h.describe(c))
	}
	return page, err
}

// Connection is one connection of this node, with all its groups; false = there
// is none of that id.
func (h *Hub) Connection(ctx context.Context, id string) (ConnectionInfo, bool, error) {
	c, known, err := h.system.Connection(ctx, id)
	if !known || err != nil {
		return ConnectionInfo{}, false, err
	}
	return h.describe(c), true, nil
}

// describe adds what the session knows.
func (h *Hub) describe(c actors.ConnectionInfo) ConnectionInfo {
	info := ConnectionInfo{ConnectionInfo: c, Hub: h.o.Name}
	if s := h.session(c.ID); s != nil {
		info.Device = s.resume.name
	}
	return info
}

// ActiveGroups lists the roles and groups that have members on this node; see
// [actors.System.Groups].
func (h *Hub) ActiveGroups(ctx context.Context, q actors.GroupQuery) (actors.GroupPage, error) {
	return h.system.Groups(ctx, q)
}

// Members lists the connections of a role or a group on this node; see
// [actors.System.Members].
func (h *Hub) Members(ctx context.Context, of notifications.Recipient, after string, limit int) (actors.MemberPage, error) {
	return h.system.Members(ctx, of, after, limit)
}

// CloseConnection ends a connection of this node so that its client comes back.
// It returns [actors.ErrGone] if there is none of that id.
func (h *Hub) CloseConnection(ctx context.Context, id string) error {
	return h.system.Close(ctx, id)
}

// Trace has deliveries tell of the connections of a user until that time; see
// [actors.System.Trace].
func (h *Hub) Trace(user string, until time.Time) error { return h.system.Trace(user, until) }

// Untrace ends that.
func (h *Hub) Untrace(user string) { h.system.Untrace(user) }

// Traced are the users who are traced, each with the time until then.
func (h *Hub) Traced() map[string]time.Time { return h.system.Traced() }
