package actors

import "github.com/asynkron/protoactor-go/actor"

// user is the actor of one user on this shard: the parent of its connections.
type user struct {
	desk   *desk
	person *person
}

// Receive is the table of contents.
func (u *user) Receive(ctx actor.Context) {
	defer logPanic(ctx, u.desk.options.Logger)
	switch m := ctx.Message().(type) {
	case *parcel, *sweep:
		for _, handle := range u.person.connections.list {
			ctx.Send(handle.pid, m)
		}
	case *join:
		u.join(ctx, m)
	case *leave:
		if u.person.connections.remove(m.handle) {
			ctx.Send(m.handle.pid, m)
			ctx.Stop(m.handle.pid)
		}
	}
}

func (u *user) join(ctx actor.Context, m *join) {
	u.desk.joining = m.handle
	pid, err := ctx.SpawnNamed(u.desk.connection, m.handle.name)
	if err != nil {
		panic(err) // names are counted, so this cannot be
	}
	m.handle.pid = pid
	u.person.connections.add(m.handle)
}

// seats is a set of connections that is cheap to walk, to join and to leave.
type seats struct {
	list  []*Connection
	index map[*Connection]int
}

func (s *seats) len() int { return len(s.list) }

func (s *seats) add(c *Connection) {
	if _, in := s.index[c]; in {
		return
	}
	if s.index == nil {
		s.index = make(map[*Connection]int)
	}
	s.index[c] = len(s.list)
	s.list = append(s.list, c)
}

func (s *seats) remove(c *Connection) bool {
	at, in := s.index[c]
	if !in {
		return false
	}
	last := len(s.list) - 1
	s.list[at] = s.list[last]
	s.index[s.list[at]] = at
	s.list[last] = nil
	s.list = s.list[:last]
	delete(s.index, c)
	return true
}
