package hub

import (
	"context"
	"net/url"
	"sync"

	"tidings/actors"
	"tidings/hub/protocol"
	"tidings/roles"
)

// Context is one call, or one connect or disconnect, as the application sees
// it. It is good until the function that got it returns, or, if that returns a
// stream, until the stream has ended.
type Context struct {
	ctx        context.Context //nolint:containedctx // it is the call's, like that of an http.Request
	session    *session
	request    *request // nil for a connect or disconnect
	connecting bool     // nothing is read from the client yet
}

// Context ends with the connection; that of a call with streams also when the
// client cancels its stream.
func (c *Context) Context() context.Context { return c.ctx }

// ConnectionID is the public name of the connection.
func (c *Context) ConnectionID() string { return c.session.conn.ID() }

// Principal is who is calling.
func (c *Context) Principal() roles.Principal { return c.session.conn.Principal() }

// UserID is the user who is calling, or empty.
func (c *Context) UserID() string { return c.session.conn.Principal().UserID }

// Query is that of the request that made the connection, without its token. It
// must not be changed.
func (c *Context) Query() url.Values { return c.session.conn.Query() }

// Transport is the name of the transport.
func (c *Context) Transport() string { return c.session.conn.Transport() }

// BearerToken is the token the connection was made with, or empty. It is a
// secret.
func (c *Context) BearerToken() string { return c.session.conn.BearerToken() }

// Items is what the application keeps with the connection.
func (c *Context) Items() *sync.Map {
	if c.session.items.Load() == nil {
		c.session.items.CompareAndSwap(nil, &sync.Map{})
	}
	return c.session.items.Load()
}

// Clients are those a message can be sent to.
func (c *Context) Clients() CallerClients {
	return CallerClients{Clients{c.session.hub, c}}
}

// Groups changes who is in which group.
func (c *Context) Groups() Groups { return Groups{c.session.hub} }

// JoinGroup adds the caller to a group. A caller with a device is in it again
// when the device comes back.
func (c *Context) JoinGroup(name string) error { return c.session.joinGroup(c.ctx, name) }

// LeaveGroup takes the caller out of a group.
func (c *Context) LeaveGroup(name string) error { return c.session.leaveGroup(c.ctx, name) }

// Ack keeps a cursor as that of the caller's device: it has everything up to
// there.
func (c *Context) Ack(cursor string) error { return c.session.ack(cursor) }

// Abort ends the connection for good: its client does not come back by itself.
func (c *Context) Abort() error { return c.Close(Close{}) }

// Close is the last message of a connection.
type Close struct {
	// Error is shown to the client; empty = none.
	Error string
	// AllowReconnect lets a client with automatic reconnect come back.
	AllowReconnect bool
}

// Close ends the connection with this message, behind what was sent before.
func (c *Context) Close(m Close) error {
	return c.session.member.Close(c.ctx, actors.ReasonNormal, &protocol.Close{Error: m.Error, AllowReconnect: m.AllowReconnect})
}
