package actors

import (
	"log/slog"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// This is the part of a connection that may come back with another socket; see
// unacked for what it keeps.

// keep queues a message of a connection that may come back. One that would keep
// more than it may ends the session: its client comes back with a new one.
func (c *connection) keep(frame []byte) {
	if c.unacked.overfull() || c.desk.gauges.kept.Load() > c.desk.options.ReconnectBytes {
		c.log().Warn("client does not come back, or does not acknowledge", slog.Int("waiting_bytes", c.unacked.waiting))
		c.end(ReasonSlow)
		return
	}
	c.unacked.add(frame)
	c.desk.gauges.kept.Add(int64(len(frame)))
	c.mark()
}

// putEvents queues a frame of events that are written now.
func (c *connection) putEvents(frame []byte, positions ...notifications.Position) {
	c.put(frame)
	if c.unacked != nil {
		c.unacked.addGiven(positions...)
	}
}

func (c *connection) attached() bool { return c.unacked == nil || c.unacked.attached }
func (c *connection) stalled() bool  { return c.unacked != nil && c.unacked.stalled() }

// free gives back what was kept.
func (c *connection) free(bytes int) { c.desk.gauges.kept.Add(-int64(bytes)) }

// forget gives back all at the end of the connection.
func (c *connection) forget() {
	if u := c.unacked; u != nil {
		c.free(u.kept())
		c.unacked = newUnacked(0)
		c.unacked.attached = false
	}
}

// resend queues what the present socket is to be given and may be given now.
func (c *connection) resend() {
	u := c.unacked
	if u == nil {
		return
	}
	for m := u.next(); m != nil && (!c.blocked || c.phase == closing); m = u.next() {
		if m.position == 0 {
			c.put(m.frame)
			u.gave()
		} else if !u.putLoaded(c.put) {
			c.reload()
			break
		}
	}
	c.free(u.trim())
}

// reload asks for the events that come next.
func (c *connection) reload() {
	u := c.unacked
	if u.reloading {
		return
	}
	u.reloading = true
	c.desk.shared.request(&reading{
		handle: c.handle, codec: c.member.Codec, sink: c.member.Sink, until: c.handle.joinedAt,
		exact: u.run(c.desk.options.PageEvents), first: u.first + int64(u.sent),
	})
}

func (c *connection) reloaded(m *reloaded) {
	u := c.unacked
	if u == nil {
		return
	}
	u.reloading = false
	if m.err != nil {
		c.handle.retry = true // see relapse
		return
	}
	u.loaded = m
	c.mark()
}

// acked lets go of what the client has.
func (c *connection) acked(m *acked) {
	if c.unacked == nil {
		m.reply <- 0
		return
	}
	up, freed := c.unacked.ack(m.number)
	c.free(freed)
	m.reply <- up
	c.mark()
}

// confirm acknowledges what the client has sent.
func (c *connection) confirm() {
	if c.unacked == nil || !c.unacked.attached || c.phase >= closing {
		return
	}
	if frame, ok := c.framed(&parcel{message: protocol.Share(&protocol.Ack{SequenceID: c.handle.confirmable()})}); ok {
		c.put(frame)
	}
}

// release begins: the client counts from now on.
func (c *connection) release() {
	if c.unacked != nil {
		c.unacked.holding = false
		c.mark()
	}
}

// detach is the loss of the socket. What it has not written will be written to
// the next one.
func (c *connection) detach() {
	if c.unacked == nil || !c.unacked.attached {
		return
	}
	c.unacked.attached = false
	c.outbox, c.queued, c.blocked = nil, 0, false
	if c.phase == closing {
		c.end(c.reason)
	}
}

// attach is another socket. It hears the number of the first message it will
// be given before anything else (HubProtocol, "Sequence Message").
func (c *connection) attach(m *attach) {
	if c.unacked == nil || c.phase >= closing {
		return
	}
	c.detach()
	c.member.Sink = m.sink
	first := &protocol.Sequence{SequenceID: c.unacked.attach()}
	if frame, ok := c.framed(&parcel{message: protocol.Share(first)}); ok {
		c.put(frame)
	}
	c.handle.wrote = c.desk.now
}
