package actors

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/notifications"
)

// person is what a shard knows of one user with connections: the user's state,
// which all of them share, and what follows from it. An anonymous connection is
// a person of its own, of whom nothing is known.
type person struct {
	user        string
	state       *notifications.State // never changed in place, never nil
	traced      bool                 // by the operators
	connections seats
	// groups are the durable memberships in force, each with the position from
	// which its history counts; until is when the first of them ends, zero =
	// none does by itself.
	groups map[string]notifications.Position
	until  time.Time
}

// unknown is the state of somebody of whom nothing is known.
var unknown notifications.State //nolint:gochecknoglobals // never changed; one for all saves memory

// settle finds the durable memberships that are in force.
func (p *person) settle(now time.Time) {
	p.groups, p.until = nil, time.Time{}
	for name, term := range p.state.Groups {
		if term.Over(now) {
			continue
		}
		if p.groups == nil {
			p.groups = make(map[string]notifications.Position, len(p.state.Groups))
		}
		p.groups[name] = term.Since
		if !term.Until.IsZero() && (p.until.IsZero() || term.Until.Before(p.until)) {
			p.until = term.Until
		}
	}
}

// preferences are those of the moment, for somebody else's goroutine.
func (p *person) preferences() *notifications.Preferences {
	return &p.state.Preferences
}

// choosy tells whether there are events that raise no alert for this user.
func (p *person) choosy() bool {
	return len(p.state.Preferences.Mutes) > 0 || p.state.Preferences.QuietHours != nil
}

// silences tells whether an event raises no alert for this user.
func (p *person) silences(e *notifications.Entry) bool {
	return p.state.Preferences.Silences(&e.Event, e.Stored) != ""
}

// cells are the recipients that a shard keeps a cell for, of a connection: the
// roles in force, the groups it has joined and those of its user.
func (c *Connection) cells() []notifications.Recipient {
	cells := make([]notifications.Recipient, 0, len(c.roles)+len(c.member.Groups)+len(c.person.groups))
	for _, role := range c.roles {
		cells = append(cells, notifications.ToRole(role))
	}
	for name := range c.member.Groups {
		cells = append(cells, notifications.ToGroup(name))
	}
	for name := range c.person.groups {
		if !has(c.member.Groups, name) {
			cells = append(cells, notifications.ToGroup(name))
		}
	}
	return cells
}

// memberships are all recipients whose events the connection may read.
func (c *Connection) memberships() []notifications.Membership {
	all := []notifications.Membership{{Recipient: notifications.ToEveryone()}}
	if c.member.User != "" {
		all = append(all, notifications.Membership{Recipient: notifications.ToUser(c.member.User)})
	}
	for _, r := range c.cells() {
		all = append(all, notifications.Membership{Recipient: r, Since: c.since(r)})
	}
	return all
}

// since is where the history of a role or a group begins for the connection.
func (c *Connection) since(r notifications.Recipient) notifications.Position {
	if r.Kind == notifications.Role {
		return c.person.state.Roles[r.Key]
	}
	own, joined := c.member.Groups[r.Key]
	durable, member := c.person.groups[r.Key]
	switch {
	case joined && member:
		return min(own, durable)
	case joined:
		return own
	}
	return durable
}

// rolesInForce are the roles of the token without those that were taken back.
func (c *Connection) rolesInForce() []string {
	roles := slices.Clone(c.person.state.Effective(c.member.Roles, c.member.Issued))
	slices.Sort(roles)
	return slices.Compact(roles)
}

// The messages about users.
type (
	// update is a change of a user's state, or, without one, the state as it was
	// loaded.
	update struct {
		user    string
		state   *notifications.State
		changed *notifications.Changed
	}
	// reform changes the roles of a connection.
	reform struct {
		handle *Connection
		roles  []string
		issued time.Time
	}
	// restated is told to a connection whose memberships have changed.
	restated struct{}
)

// Change hands on a change of a user's state, to whoever of the user's
// connections is here. It is called in the order of the changes.
func (s *System) Change(ctx context.Context, c notifications.Changed) error {
	if c.Hub != s.options.Hub {
		return nil
	}
	return s.doorOf(c.User).command(ctx, nil, &update{user: c.User, changed: &c})
}

// Restate hands on a state that was loaded after its user's connection joined:
// changes that came while it joined are in it.
func (s *System) Restate(ctx context.Context, user string, state *notifications.State) error {
	return s.doorOf(user).command(ctx, nil, &update{user: user, state: state})
}

// update brings a user up to date.
func (s *shard) update(ctx actor.Context, m *update) {
	seat := s.users[m.user]
	if seat == nil {
		return
	}
	p := seat.person
	next := m.state
	if m.changed != nil {
		applied := p.state.Apply(*m.changed)
		next = &applied
	}
	if next.Version > p.state.Version {
		s.restate(ctx, p, next)
	}
	if m.changed == nil {
		return
	}
	// Also if a state that was loaded had it already: every change is told once,
	// but that roles were remembered, which nobody has done.
	told := &changed{&m.changed.Change}
	if m.changed.Change.Kind == notifications.ChangeRoles {
		told = &changed{}
	}
	for _, handle := range p.connections.list {
		ctx.Send(handle.pid, told)
	}
}

// restate sets the state of a user and changes the memberships of the user's
// connections accordingly, at once.
func (s *shard) restate(ctx actor.Context, p *person, state *notifications.State) {
	before := p.groups
	p.state = state
	p.settle(s.desk.now)
	regrouped := !maps.Equal(before, p.groups)
	for _, handle := range p.connections.list {
		rerolled := s.rerole(ctx, handle)
		if regrouped {
			s.regroup(ctx, handle, before)
		}
		if rerolled || regrouped {
			ctx.Send(handle.pid, &restated{})
		}
	}
}

// regroup moves a connection from the groups its user was in to those the user
// is in. A group that the connection has joined by itself is left alone.
func (s *shard) regroup(ctx actor.Context, handle *Connection, before map[string]notifications.Position) {
	own, now := handle.member.Groups, handle.person.groups
	for name := range before {
		if !has(now, name) && !has(own, name) {
			s.removeFrom(ctx, notifications.ToGroup(name), handle)
		}
	}
	for name := range now {
		if !has(before, name) && !has(own, name) {
			s.addTo(ctx, notifications.ToGroup(name), handle)
		}
	}
}

func has(groups map[string]notifications.Position, name string) bool {
	_, in := groups[name]
	return in
}

// rerole brings the roles of a connection in force; true = they have changed.
func (s *shard) rerole(ctx actor.Context, handle *Connection) bool {
	before, now := handle.roles, handle.rolesInForce()
	handle.roles = now
	for _, role := range before {
		if !slices.Contains(now, role) {
			s.removeFrom(ctx, notifications.ToRole(role), handle)
		}
	}
	for _, role := range now {
		if !slices.Contains(before, role) {
			s.addTo(ctx, notifications.ToRole(role), handle)
		}
	}
	return !slices.Equal(before, now)
}

// reform gives a connection the roles of a newer token.
func (s *shard) reform(ctx actor.Context, m *reform) {
	if s.conns[m.handle.id] != m.handle {
		return
	}
	m.handle.member.Roles, m.handle.member.Issued = m.roles, m.issued
	if s.rerole(ctx, m.handle) {
		ctx.Send(m.handle.pid, &restated{})
	}
}

// expire ends the durable memberships whose time is over.
func (s *shard) expire(ctx actor.Context) {
	for _, seat := range s.order {
		if p := seat.person; !p.until.IsZero() && !s.desk.now.Before(p.until) {
			s.restate(ctx, p, p.state)
			for _, handle := range p.connections.list {
				ctx.Send(handle.pid, &changed{})
			}
		}
	}
}
