package actors

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// group is one shard's cell of a role or a group: the members that live in
// this shard. The members are connections, not users: a role is in the token
// of a connection, and a group is joined by a connection.
type group struct {
	desk    *desk
	members seats
}

// admit and dismiss change the connections of a cell or of a user.
type (
	admit   struct{ handle *Connection }
	dismiss struct{ handle *Connection }
)

// Receive is the table of contents.
func (g *group) Receive(ctx actor.Context) {
	defer logPanic(ctx, g.desk.options.Logger)
	switch m := ctx.Message().(type) {
	case *parcel:
		for _, handle := range g.members.list {
			ctx.Send(handle.pid, m)
		}
	case *admit:
		g.members.add(m.handle)
	case *dismiss:
		g.members.remove(m.handle)
	case *muster:
		m.members = slices.Clone(g.members.list)
	}
}
