package actors

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// Operators look at a system without holding it up: whom a page shows is found
// out from what never changes, or is atomic, on their own goroutine; a shard is
// asked once, and for what only it knows of the few that are shown.

// ConnectionQuery says which connections are listed. The zero value lists all.
type ConnectionQuery struct {
	// Text is a part of the id of the connection or of the user, whatever its
	// case.
	Text string
	// User, Role and Group are exact, Transport is a name such as "WebSockets";
	// what is empty selects nothing.
	User, Role, Group, Transport string
	// Before is ConnectionPage.Next of the page before; empty = the first page.
	Before string
	// Limit is the size of the page: default 50, at most 200.
	Limit int
}

// ConnectionPage is a part of the list of connections, the newest first. Who
// stays while pages are read is on exactly one of them.
type ConnectionPage struct {
	Items []ConnectionInfo
	// Total counts all connections, Matched those that were asked for, on
	// whatever page.
	Total, Matched int
	// Next is for ConnectionQuery.Before, opaque; empty on the last page.
	Next string
}

// ConnectionInfo is a connection as it was when its shard was asked.
type ConnectionInfo struct {
	ID, User string
	// Roles are those in force. Groups are those the connection or its user is
	// in; a page lists the first 20. Both are sorted.
	Roles, Groups []string
	// GroupCount counts all groups.
	GroupCount       int
	Transport, Codec string
	// Began is when the connection joined, Heard when something last came from
	// its client.
	Began, Heard time.Time
	// Phase is "joined" (no event is delivered yet), "catching up", "live",
	// "lagging" (its socket is blocked, it will read the log) or "closing".
	Phase string
	// Position is that of the last event that was handed to the socket.
	Position notifications.Position
	// QueuedBytes and QueuedFrames are what waits for the socket.
	QueuedBytes, QueuedFrames int
	// Resumable says that the connection may come back with another socket.
	Resumable bool
	// Traced says that operators trace its user.
	Traced bool
}

// groupsShown is how many groups a page lists of each connection.
const groupsShown = 20

// Connections lists connections. It waits for the shards, and returns [ErrPlace]
// if Before is none that a page has given.
func (s *System) Connections(ctx context.Context, q ConnectionQuery) (ConnectionPage, error) {
	var before place // itself before all others
	if q.Before != "" {
		var err error
		if before, err = parsePlace(q.Before); err != nil {
			return ConnectionPage{}, err
		}
	}
	everybody := s.everybody()
	page := ConnectionPage{Total: len(everybody)}
	candidates, err := s.candidates(ctx, q, everybody)
	if err != nil {
		return ConnectionPage{}, err
	}
	q.Text = strings.ToLower(q.Text)
	newest := foremost[*Connection]{limit: pageSize(q.Limit), compare: byPlace}
	for _, c := range candidates {
		if !q.selects(c) {
			continue
		}
		page.Matched++
		if q.Before == "" || before.compare(c.place()) < 0 {
			newest.offer(c)
		}
	}
	shown, more := newest.page()
	if more {
		page.Next = shown[len(shown)-1].place().String()
	}
	page.Items, err = s.look(ctx, shown, groupsShown)
	return page, err
}

func byPlace(a, b *Connection) int { return a.place().compare(b.place()) }

// candidates are the members of the role and the group that are asked for, or
// everybody.
func (s *System) candidates(ctx context.Context, q ConnectionQuery, everybody []*Connection) ([]*Connection, error) {
	candidates := everybody
	if q.Role != "" {
		var err error
		if candidates, err = s.gather(ctx, notifications.ToRole(q.Role)); err != nil {
			return nil, err
		}
	}
	if q.Group == "" {
		return candidates, nil
	}
	members, err := s.gather(ctx, notifications.ToGroup(q.Group))
	if err != nil || q.Role == "" {
		return members, err
	}
	in := make(map[*Connection]struct{}, len(members))
	for _, c := range members {
		in[c] = struct{}{}
	}
	return slices.DeleteFunc(candidates, func(c *Connection) bool {
		_, both := in[c]
		return !both
	}), nil
}

// selects looks at what may be read on any goroutine. Text is in lower case.
func (q *ConnectionQuery) selects(c *Connection) bool {
	switch user := c.member.User; {
	case q.User != "" && user != q.User:
		return false
	case q.Transport != "" && c.transport() != q.Transport:
		return false
	case q.Text == "":
		return true
	default:
		return strings.Contains(strings.ToLower(c.id), q.Text) || strings.Contains(strings.ToLower(user), q.Text)
	}
}

// transport may be called on any goroutine: one that may come back has it noted,
// and the sink of any other never changes.
func (c *Connection) transport() string {
	if c.inbound != nil {
		return c.inbound.transport
	}
	return c.member.Sink.Transport()
}

// Connection is one connection of this node, with all its groups; false = there
// is none of that id.
func (s *System) Connection(ctx context.Context, id string) (ConnectionInfo, bool, error) {
	c, known := s.Lookup(id)
	if !known {
		return ConnectionInfo{}, false, nil
	}
	found, err := s.look(ctx, []*Connection{c}, maxGroups*maxGroups)
	if err != nil {
		return ConnectionInfo{}, false, err
	}
	return found[0], true, nil
}

// Close ends a connection so that its client comes back; it does not wait for
// the end. It returns [ErrGone] if there is none of that id.
func (s *System) Close(ctx context.Context, id string) error {
	c, known := s.Lookup(id)
	if !known {
		return ErrGone
	}
	return c.Close(ctx, ReasonOperator, &protocol.Close{AllowReconnect: true})
}

// The messages of operators. Their replies have a place in their channels.
type (
	// look asks for some connections of the shard, with that many groups each.
	look struct {
		handles []*Connection
		groups  int
		reply   chan<- []ConnectionInfo
	}
	// glance is filled in by a connection.
	glance struct {
		phase         phase
		bytes, frames int
	}
)

// look asks the shards for connections, each once. The answer is in order.
func (s *System) look(ctx context.Context, handles []*Connection, groups int) ([]ConnectionInfo, error) {
	of := make(map[*door][]*Connection)
	for _, c := range handles {
		of[c.shard] = append(of[c.shard], c)
	}
	found, err := inquire(ctx, s, slices.Collect(maps.Keys(of)), func(d *door, reply chan<- []ConnectionInfo) any {
		return &look{of[d], groups, reply}
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b ConnectionInfo) int {
		return cmp.Or(b.Began.Compare(a.Began), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// inquire asks some shards and returns their answers, in whatever order.
func inquire[A any](ctx context.Context, s *System, doors []*door, question func(d *door, reply chan<- A) any) ([]A, error) {
	replies := make(chan A, len(doors)) // no shard waits
	for _, d := range doors {
		if err := d.command(ctx, nil, question(d, replies)); err != nil {
			return nil, err
		}
	}
	answers := make([]A, 0, len(doors))
	for range doors {
		select {
		case a := <-replies:
			answers = append(answers, a)
		case <-s.closed:
			return nil, ErrGone
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return answers, nil
}

func (s *shard) look(ctx actor.Context, m *look) []ConnectionInfo {
	infos := make([]ConnectionInfo, 0, len(m.handles))
	for _, handle := range m.handles {
		infos = append(infos, s.info(ctx, handle, m.groups))
	}
	return infos
}

// info is a connection, also if it has not joined yet or has left.
func (s *shard) info(ctx actor.Context, handle *Connection, groups int) ConnectionInfo {
	info := ConnectionInfo{
		ID: handle.id, User: handle.member.User, Transport: handle.transport(), Codec: handle.codec.Name(),
		Began: time.Unix(0, handle.began), Heard: time.Unix(0, handle.heard.Load()),
		Phase: joined.String(), Position: handle.Position(), Resumable: handle.inbound != nil,
	}
	if handle.pid == nil {
		return info
	}
	g := &glance{phase: closing}
	if s.conns[handle.id] == handle {
		ctx.Send(handle.pid, g) // it fills it in, at once
	}
	info.Phase, info.QueuedBytes, info.QueuedFrames = g.phase.String(), g.bytes, g.frames
	info.Roles, info.Traced = slices.Clone(handle.roles), handle.person.traced
	info.Groups, info.GroupCount = handle.groups(groups)
	return info
}

// groups are the first groups of a connection, and how many there are.
func (c *Connection) groups(limit int) (names []string, count int) {
	lowest := foremost[string]{limit: limit, compare: strings.Compare}
	for name := range c.member.Groups {
		lowest.offer(name)
	}
	for name := range c.person.groups {
		if !has(c.member.Groups, name) {
			lowest.offer(name)
		}
	}
	names, _ = lowest.page()
	return names, lowest.offered
}

func (c *connection) glance(m *glance) {
	m.phase, m.bytes, m.frames = c.phase, c.queued, len(c.outbox)
	if u := c.unacked; u != nil {
		m.bytes += u.waiting
		m.frames += int(u.first + int64(len(u.messages)) - 1 - u.given)
	}
}

func (p phase) String() string {
	switch p {
	case joined:
		return "joined"
	case catching:
		return "catching up"
	case live:
		return "live"
	case lagging:
		return "lagging"
	default:
		return "closing"
	}
}
