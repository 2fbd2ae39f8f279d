package actors

import (
	"math"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/notifications"
)

// A shard writes when it has handled a message, so that all that the message had
// for a connection leaves in one write, and takes the time of the writes.

// due is a connection with something to write, and the position it had when it
// was given the first of that.
type due struct {
	connection *connection
	after      notifications.Position
}

// nothing is after every event: no connection is being written to.
const nothing notifications.Position = math.MaxUint64

// begin is before every message of the shard.
func (d *desk) begin(now time.Time) {
	d.now = now
	d.walking, d.timing, d.after = nil, nil, nothing
}

// lap counts writes that have just been made.
func (d *desk) lap(writes int) {
	if d.timing != nil && writes > 0 {
		d.timing.lap(writes, d.options.Now())
	}
}

// settle flushes what the message has queued and removes whom it has ended. It
// writes for one connection after the other and goes to each directly: after a
// system call nothing is left in the caches of the processor, and what an actor
// is made of would have to be fetched again.
func (s *shard) settle(ctx actor.Context) {
	d := s.desk
	for i, due := range d.dirty {
		d.after = due.after
		s.flush(ctx, due.connection)
		if i%lapWrites == lapWrites-1 {
			d.lap(lapWrites)
		}
	}
	d.lap(len(d.dirty) % lapWrites)
	d.after = nothing
	d.noteHandings()
	clear(d.dirty)
	d.dirty = d.dirty[:0]
	for _, handle := range d.gone {
		s.leave(ctx, &leave{handle: handle})
	}
	clear(d.gone)
	d.gone = d.gone[:0]
}

// flush writes what waits for a connection. One that fails is stopped, as by its
// supervisor.
func (s *shard) flush(ctx actor.Context, c *connection) {
	defer func() {
		if reason := recover(); reason != nil {
			logFailure(s.desk.options.Logger, c.self, reason)
			ctx.Stop(c.self)
		}
	}()
	c.flush()
}
