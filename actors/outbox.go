package actors

// This is the part of a connection that writes: what waits for its socket, the
// one write that does not wait, and who is held up meanwhile.

// full tells whether a blocked socket has as much waiting as it may, times
// factor. A socket that takes writes is never full: the queue is written first.
func (c *connection) full(factor int) bool {
	o := c.desk.options
	if len(c.outbox) < factor*o.OutboxFrames && c.queued < factor*o.OutboxBytes {
		return false
	}
	if !c.blocked {
		c.flush()
	}
	return c.blocked && (len(c.outbox) >= factor*o.OutboxFrames || c.queued >= factor*o.OutboxBytes)
}

// put queues a frame. The shard flushes when it has walked its message, so
// that all frames of a batch leave in one write.
func (c *connection) put(frame []byte) {
	if c.phase == ended {
		return
	}
	c.outbox = append(c.outbox, frame)
	c.queued += len(frame)
	c.mark()
}

// mark lets the shard flush the connection when it has walked its message.
func (c *connection) mark() {
	if !c.dirty && !c.blocked {
		c.dirty = true
		c.desk.dirty = append(c.desk.dirty, due{c, c.last})
	}
}

// flush makes the one write, which does not wait.
func (c *connection) flush() {
	if c.blocked || c.phase == ended {
		c.dirty = false
		return
	}
	c.resend()
	c.dirty = false
	if len(c.outbox) > 0 {
		c.write()
		if c.blocked || c.phase == ended {
			return
		}
	}
	if c.phase == closing {
		c.end(c.reason)
		return
	}
	if !c.congested() {
		c.unpace()
	}
	if c.stalled() {
		return
	}
	switch c.phase {
	case lagging:
		c.phase = catching
		c.read(fellBehind)
	case catching:
		c.read(c.catchUp.cause)
	default:
	}
}

func (c *connection) write() {
	p := c.outbox[0]
	if len(c.outbox) > 1 {
		p = make([]byte, 0, c.queued)
		for _, frame := range c.outbox {
			p = append(p, frame...)
		}
	}
	clear(c.outbox)
	c.outbox, c.queued = c.outbox[:0], 0
	if cap(c.outbox) > keepRing {
		c.outbox = nil
	}
	n, err := c.member.Sink.TryWrite(p)
	if err != nil {
		c.noteFailed()
		c.broken(ReasonNetwork)
		return
	}
	c.handle.wrote = c.desk.now
	if n < len(p) {
		c.blocked = true
		handle, sink := c.handle, c.member.Sink
		sink.Drain(p[n:], func(err error) { handle.drained(sink, err) })
	}
}

// broken ends a connection whose socket takes nothing any more, unless another
// socket may come.
func (c *connection) broken(reason string) {
	if c.unacked == nil || c.phase == closing {
		c.end(reason)
		return
	}
	c.member.Sink.Finish(reason) // so that its reader notices
	c.detach()
}

func (c *connection) drained(m *drained) {
	if m.sink != c.member.Sink || !c.attached() {
		return // of a socket that was lost
	}
	c.blocked = false
	if c.phase == ended {
		return
	}
	if m.err != nil {
		c.broken(ReasonSlow)
		return
	}
	c.handle.wrote = c.desk.now
	c.flush()
}

// pace lets a lane go on now, or when there is room.
func (c *connection) pace(taken chan<- struct{}) {
	switch {
	case taken == nil:
	case c.congested() && c.phase < closing:
		c.paced = append(c.paced, taken)
	default:
		taken <- struct{}{} // has a place of its own
	}
}

// congested says that senders who can wait had better do so.
func (c *connection) congested() bool {
	if u := c.unacked; u != nil && (u.waiting > u.limit || u.unsent() > pacedWaiting) {
		return true
	}
	return c.blocked
}

func (c *connection) unpace() {
	for _, taken := range c.paced {
		taken <- struct{}{} // has a place of its own
	}
	c.paced = nil
}
