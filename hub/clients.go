package hub

import (
	"context"
	"encoding/json"
	"fmt"

	"tidings/actors"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// Clients selects whom a message is for. Unknown names select nobody and are
// no error. What is sent is not stored: who is not connected does not hear it.
type Clients struct {
	hub    *Hub
	caller *Context // inside of a call
}

// Clients are those of the hub, also outside of a call.
func (h *Hub) Clients() Clients { return Clients{hub: h} }

// All are all connections.
func (c Clients) All() Recipients { return c.to(notifications.ToEveryone()) }

// AllExcept are all connections but these.
func (c Clients) AllExcept(connectionIDs ...string) Recipients {
	return c.All().except(connectionIDs)
}

// Client is one connection.
func (c Clients) Client(connectionID string) Recipients { return c.Clients(connectionID) }

// Clients are some connections.
func (c Clients) Clients(connectionIDs ...string) Recipients {
	return c.all(notifications.Connection, connectionIDs)
}

// Group are the connections in a group.
func (c Clients) Group(name string) Recipients { return c.Groups(name) }

// Groups are the connections in some groups; who is in two of them hears twice.
func (c Clients) Groups(names ...string) Recipients { return c.all(notifications.Group, names) }

// GroupExcept are the connections in a group but these.
func (c Clients) GroupExcept(name string, connectionIDs ...string) Recipients {
	return c.Group(name).except(connectionIDs)
}

// User are the connections of a user.
func (c Clients) User(id string) Recipients { return c.Users(id) }

// Users are the connections of some users.
func (c Clients) Users(ids ...string) Recipients { return c.all(notifications.User, ids) }

// Role are the connections whose token holds a role.
func (c Clients) Role(name string) Recipients { return c.Roles(name) }

// Roles are the connections whose token holds some of the roles; one that holds
// two of them hears twice.
func (c Clients) Roles(names ...string) Recipients { return c.all(notifications.Role, names) }

func (c Clients) to(r ...notifications.Recipient) Recipients {
	return Recipients{hub: c.hub, caller: c.caller, to: r}
}

func (c Clients) all(kind notifications.Kind, keys []string) Recipients {
	to := make([]notifications.Recipient, len(keys))
	for i, key := range keys {
		to[i] = notifications.Recipient{Kind: kind, Key: key}
	}
	return c.to(to...)
}

// clients is embedded under a name that does not hide the method Clients.
type clients = Clients

// CallerClients are the clients inside of a call.
type CallerClients struct{ clients }

// Caller is the connection that is calling.
func (c CallerClients) Caller() Recipients { return c.Client(c.caller.ConnectionID()) }

// Others are all connections but the caller.
func (c CallerClients) Others() Recipients { return c.AllExcept(c.caller.ConnectionID()) }

// OthersInGroup are the connections in a group but the caller.
func (c CallerClients) OthersInGroup(name string) Recipients {
	return c.GroupExcept(name, c.caller.ConnectionID())
}

// Recipients are whom a message is for.
type Recipients struct {
	hub    *Hub
	caller *Context // inside of a call
	to     []notifications.Recipient
	less   []string
}

func (r Recipients) except(connectionIDs []string) Recipients {
	r.less = connectionIDs
	return r
}

// Send invokes a method of these clients. The arguments are encoded at once, so
// they may be changed afterwards. It waits while the node is busy, not for the
// clients: a slow one misses it. Through a backplane arguments travel as JSON.
func (r Recipients) Send(ctx context.Context, method string, arguments ...any) error {
	encoded, err := r.hub.encode(method, arguments)
	if err != nil {
		return err
	}
	here, elsewhere := r.places()
	if len(elsewhere) > 0 {
		if err := r.publish(ctx, elsewhere, method, encoded); err != nil {
			return err
		}
	}
	if len(here) == 0 {
		return nil
	}
	message := &protocol.Invocation{Target: method, Arguments: encoded, Headers: traceHeaders(traceParent(ctx))}
	return r.hub.system.Send(ctx, actors.Live{To: here, Except: r.less, Message: protocol.Share(message)})
}

// encode encodes arguments for all encodings that somebody may hear them in.
func (h *Hub) encode(method string, arguments []any) ([]any, error) {
	encoded := make([]any, len(arguments))
	for i, argument := range arguments {
		value, err := protocol.Encode(argument, h.inUse()...)
		if err != nil {
			return nil, fmt.Errorf("argument %d of %s: %w", i+1, method, err)
		}
		encoded[i] = value
	}
	return encoded, nil
}

// inUse are the encodings that have been asked for: JSON, and the binary one
// once somebody has come with it.
func (h *Hub) inUse() []protocol.Codec {
	if h.binary.Load() {
		return h.codecs
	}
	return h.codecs[:1]
}

func anySlice(raw []json.RawMessage) []any {
	all := make([]any, len(raw))
	for i, argument := range raw {
		all[i] = argument
	}
	return all
}

// places tells whom to reach on this node and whom through the backplane, which
// comes back to this node, too.
func (r Recipients) places() (here, elsewhere []notifications.Recipient) {
	if r.hub.o.Backplane == nil {
		return r.to, nil
	}
	for _, to := range r.to {
		if to.Kind == notifications.Connection {
			if _, known := r.hub.system.Lookup(to.Key); known {
				here = append(here, to)
				continue
			}
		}
		elsewhere = append(elsewhere, to)
	}
	return here, elsewhere
}

func (r Recipients) publish(ctx context.Context, to []notifications.Recipient, method string, arguments []any) error {
	m := notifications.Live{Hub: r.hub.o.Name, Except: r.less, Target: method, TraceParent: traceParent(ctx)}
	for _, argument := range arguments {
		raw, err := protocol.EncodeJSON(argument)
		if err != nil {
			return err
		}
		m.Arguments = append(m.Arguments, raw)
	}
	for _, m.To = range to {
		if m.To.Validate() != nil {
			continue // a name that nobody can have selects nobody
		}
		if err := r.hub.o.Backplane.PublishLive(m); err != nil {
			return err
		}
	}
	return nil
}

// Groups changes who is in which group. Names are exact; membership ends with
// the connection.
type Groups struct{ hub *Hub }

// Groups are those of the hub, also outside of a call.
func (h *Hub) Groups() Groups { return Groups{h} }

// Add makes a connection a member. Adding twice is once; an unknown connection
// is no error.
func (g Groups) Add(ctx context.Context, connectionID, name string) error {
	if err := notifications.ToGroup(name).Validate(); err != nil {
		return Error{Text: err.Error()}
	}
	c, known := g.hub.system.Lookup(connectionID)
	if !known {
		return nil
	}
	var since notifications.Position
	if g.hub.o.Durable != nil {
		since = g.hub.o.Durable.Reader.State().Last
	}
	return c.JoinGroup(ctx, name, since)
}

// Remove ends a membership, if there is one.
func (g Groups) Remove(ctx context.Context, connectionID, name string) error {
	c, known := g.hub.system.Lookup(connectionID)
	if !known {
		return nil
	}
	return c.LeaveGroup(ctx, name)
}
