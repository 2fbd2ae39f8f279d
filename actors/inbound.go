package actors

import (
	"context"
	"sync/atomic"

	"tidings/notifications"
)

// inbound is what a connection that may come back has heard from its client.
type inbound struct {
	received  atomic.Int64 // the highest number
	again     atomic.Bool  // something came twice: the client missed our Ack
	away      atomic.Bool  // there is no socket
	confirmed int64        // of received; used on the shard's goroutine only
	transport string       // of all its sockets
}

// Received says that the client's messages up to a number are here; they will
// be acknowledged soon. It is for resumable connections only.
func (c *Connection) Received(number int64) { c.inbound.received.Store(number) }

// ReceivedAgain says that one came twice: the acknowledgement was lost.
func (c *Connection) ReceivedAgain() { c.inbound.again.Store(true) }

// unconfirmed tells whether there is something to acknowledge.
func (c *Connection) unconfirmed() bool {
	in := c.inbound
	return in != nil && (in.received.Load() > in.confirmed || in.again.Load())
}

// confirmable is the number to acknowledge.
func (c *Connection) confirmable() int64 {
	c.inbound.again.Store(false)
	c.inbound.confirmed = c.inbound.received.Load()
	return c.inbound.confirmed
}

// Acked says that the client has everything up to a number. It returns the
// highest position of an event among what that lets go, or 0.
func (c *Connection) Acked(ctx context.Context, number int64) (notifications.Position, error) {
	reply := make(chan notifications.Position, 1)
	if err := c.shard.command(ctx, c, &acked{c, number, reply}); err != nil {
		return 0, err
	}
	select {
	case up := <-reply:
		return up, nil
	case <-c.done:
		return 0, ErrGone
	case <-c.shard.system.closed:
		return 0, ErrGone
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Release begins what Member.Resumable holds back: the client counts now.
func (c *Connection) Release(ctx context.Context) error {
	return c.shard.command(ctx, c, &release{c})
}

// Detach says that the socket is lost and that another one may come: nothing is
// written meanwhile, and the client's silence does not count.
func (c *Connection) Detach(ctx context.Context) error {
	c.inbound.away.Store(true)
	return c.shard.command(ctx, c, &detach{c})
}

// Attach says that the client is back: what it has not acknowledged is written
// to the sink, and then what comes.
func (c *Connection) Attach(ctx context.Context, s Sink) error {
	c.Heard()
	c.inbound.away.Store(false)
	return c.shard.command(ctx, c, &attach{c, s})
}
