package actors

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// user is the actor of one user on this shard: it hands on what is for all
// connections of the user.
type user struct {
	desk   *desk
	person *person
}

// Receive is the table of contents.
func (u *user) Receive(ctx actor.Context) {
	defer logPanic(ctx, u.desk.options.Logger)
	switch m := ctx.Message().(type) {
	case *parcel:
		for _, handle := range u.person.connections.list {
			ctx.Send(handle.pid, m)
		}
	case *admit:
		u.person.connections.add(m.handle)
	case *dismiss:
		u.person.connections.remove(m.handle)
	}
}

// fewSeats is up to how many connections are looked for one after the other:
// most users have one or two, for whom an index would cost more than the list.
const fewSeats = 16

// seats is a set of connections that is cheap to walk, to join and to leave.
type seats struct {
	list  []*Connection
	index map[*Connection]int // nil while there are few
}

func (s *seats) len() int { return len(s.list) }

func (s *seats) find(c *Connection) (at int, in bool) {
	if s.index != nil {
		at, in = s.index[c]
		return at, in
	}
	at = slices.Index(s.list, c)
	return at, at >= 0
}

func (s *seats) add(c *Connection) {
	if _, in := s.find(c); in {
		return
	}
	s.list = append(s.list, c)
	switch {
	case s.index != nil:
		s.index[c] = len(s.list) - 1
	case len(s.list) > fewSeats:
		s.index = make(map[*Connection]int)
		for i, seated := range s.list {
			s.index[seated] = i
		}
	}
}

func (s *seats) remove(c *Connection) {
	at, in := s.find(c)
	if !in {
		return
	}
	last := len(s.list) - 1
	s.list[at] = s.list[last]
	s.list[last] = nil
	s.list = s.list[:last]
	switch {
	case s.index == nil:
	case last == 0:
		s.index = nil
	default:
		delete(s.index, c)
		if at < last {
			s.index[s.list[at]] = at
		}
	}
}
