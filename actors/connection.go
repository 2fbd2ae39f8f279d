package actors

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// phase says where the events of the log come from.
type phase uint8

const (
	joined   phase = iota // nowhere yet: Resume has not been called
	catching              // from pages of the log
	live                  // from the shard
	lagging               // the socket is blocked; afterwards from the log
	closing               // nowhere any more: what is queued is written, then the end
	ended
)

// connection is the actor of one browser connection. It owns its socket: every
// byte that is written passes through here.
type connection struct {
	desk   *desk
	handle *Connection
	member *Member
	self   *actor.PID

	phase phase
	// last is the position up to which everything was handed to the socket.
	last notifications.Position
	// missed is the newest position that came while the connection was not
	// live: a page must reach it before the connection is live again.
	missed notifications.Position
	// swept is the number of the next parcel of the shard's ring.
	swept uint64

	outbox  [][]byte
	queued  int  // bytes in outbox
	blocked bool // the sink is draining
	behind  bool // counted as lagging
	dirty   bool // already on the desk's list
	reason  string
	paced   []chan<- struct{} // lanes that wait for room

	catchUp catchUp
	unacked *unacked // nil unless the connection may come back
}

func newConnection(d *desk) *connection {
	return &connection{desk: d, handle: d.joining, member: d.joining.member}
}

// Receive is the table of contents.
func (c *connection) Receive(ctx actor.Context) {
	defer logPanic(ctx, c.desk.options.Logger)
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.start(ctx)
	case *parcel:
		c.pull()
		c.take(m)
	case *sweep:
		c.pull()
	case *flush:
		c.flush()
	case *answer:
		c.answer(m)
	case *control:
		if c.attached() && !c.full(1) { // a peer that does not read needs no pong
			c.put(m.frame)
		}
	case *drained:
		c.drained(m)
	case *page:
		c.page(m)
	case *resume:
		c.resume(m)
	case *enter:
		c.enter(m)
	case *exit:
		c.exit(m)
	case *ping:
		c.ping(m.parcel)
	case *hangUp:
		c.hangUp(m.reason, m.last)
	case *relapse:
		c.relapse()
	case *leave:
		c.end(m.reason)
	case *actor.Stopped:
		c.stopped()
	default:
		c.receiveReturn(m)
	}
}

// receiveReturn is the part of the table that is about coming back with another
// socket.
func (c *connection) receiveReturn(message any) {
	switch m := message.(type) {
	case *confirm:
		c.confirm()
	case *acked:
		c.acked(m)
	case *release:
		c.release()
	case *detach:
		c.detach()
	case *attach:
		c.attach(m)
	case *reloaded:
		c.reloaded(m)
	}
}

func (c *connection) start(ctx actor.Context) {
	c.self = ctx.Self()
	c.swept = c.desk.ring.head()
	c.last = c.member.After
	c.handle.position.Store(uint64(c.last))
	c.handle.wrote = c.desk.now
	if c.member.Resumable {
		c.unacked = newUnacked(c.desk.options.ReconnectBuffer)
	}
	if len(c.member.First) > 0 {
		c.put(c.member.Sink.Frame(nil, c.member.First))
		c.flush()
	}
	c.member.First = nil
}

// pull takes what the ring has for everyone. It comes before any other event,
// or an older event of the ring would be taken for one already heard.
func (c *connection) pull() {
	for head := c.desk.ring.head(); c.swept < head; c.swept++ {
		c.take(c.desk.ring.at(c.swept))
	}
}

// take is the gate every event passes, in growing position.
func (c *connection) take(p *parcel) {
	if p.entry == nil {
		c.takeLive(p)
		return
	}
	if p.position <= c.last || c.phase >= closing {
		return
	}
	if c.phase == live && (c.stalled() || c.full(1)) {
		// It has everything before this event, whatever its last one was: what
		// the log has dropped meanwhile was not for it.
		c.setLast(p.position - 1)
		c.phase = lagging
		c.setBehind(1)
	}
	t := &p.tallies[c.desk.shard]
	if c.phase != live {
		c.missed = p.position
		t.deferred++
		return
	}
	frame, err := p.framed(c.member.Codec, c.member.Sink)
	if err != nil {
		c.log().Error("event cannot be encoded", slog.Uint64("position", uint64(p.position)), slog.Any("error", err))
		return
	}
	c.putEvents(frame, p.position)
	c.setLast(p.position)
	t.connections++
	t.bytes += len(frame)
}

// takeLive queues an unstored message, or drops it for a connection that is
// too slow: its next value is worth more. One that may come back was promised
// every message.
func (c *connection) takeLive(p *parcel) {
	if c.phase >= closing || p.spares(c.handle.id) {
		return
	}
	if c.unacked == nil && c.full(1) {
		c.desk.gauges.dropped.Add(1)
		return
	}
	if frame, ok := c.framed(p); ok {
		c.say(frame)
	}
}

// answerFactor bounds the answers that wait for a blocked socket, in outboxes.
// Lanes keep far below.
const answerFactor = 64

// answer queues what must not be dropped, up to a bound of its own.
func (c *connection) answer(m *answer) {
	defer c.pace(m.taken)
	if c.phase >= closing {
		return
	}
	if c.full(answerFactor) {
		c.log().Warn("connection does not take its answers", slog.Int("queued_bytes", c.queued))
		c.end(ReasonSlow)
		return
	}
	frame := c.member.Sink.Frame(nil, m.record)
	switch {
	case m.counted:
		c.say(frame)
	case c.attached():
		c.put(frame)
	}
}

func (c *connection) framed(p *parcel) ([]byte, bool) {
	frame, err := p.framed(c.member.Codec, c.member.Sink)
	if err != nil {
		c.log().Error("message cannot be encoded", slog.Any("error", err))
	}
	return frame, err == nil
}

// say queues a message that is no event of the log.
func (c *connection) say(frame []byte) {
	if c.unacked == nil {
		c.put(frame)
		return
	}
	c.keep(frame)
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
		c.desk.dirty = append(c.desk.dirty, c.self)
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

func (c *connection) setLast(p notifications.Position) {
	c.last = p
	c.handle.position.Store(uint64(p))
}

func (c *connection) ping(p *parcel) {
	if c.blocked || c.phase >= closing || !c.attached() {
		return
	}
	if frame, ok := c.framed(p); ok {
		c.put(frame)
	}
}

// hangUp lets what is queued go out, and the Close record after it.
func (c *connection) hangUp(reason string, last *parcel) {
	if c.phase >= closing {
		return
	}
	c.setBehind(-1)
	c.phase, c.reason = closing, reason
	if !c.attached() {
		c.end(reason)
		return
	}
	if c.unacked != nil {
		c.unacked.hurry()
		c.resend()
	}
	if last != nil {
		if frame, ok := c.framed(last); ok {
			c.put(frame)
		}
	}
	c.unpace()
	if !c.blocked {
		c.flush()
	}
}

// end is the last thing a connection does: its reader ends soon after, and the
// session above lets the shard remove it.
func (c *connection) end(reason string) {
	if c.phase == ended {
		return
	}
	c.setBehind(-1)
	c.phase, c.reason = ended, reason
	c.handle.reason.Store(&reason)
	c.outbox, c.queued = nil, 0
	c.unpace()
	c.forget()
	c.member.Sink.Finish(reason)
	c.desk.gone = append(c.desk.gone, c.handle)
}

// setBehind counts a connection as lagging, once, until it is live or over.
func (c *connection) setBehind(step int64) {
	if behind := step > 0; behind != c.behind {
		c.behind = behind
		c.desk.gauges.lagging.Add(step)
	}
}

// stopped also runs after a panic of this actor: the browser will come back
// and the log will replay.
func (c *connection) stopped() {
	if c.desk.shared.stopping.Load() {
		c.end(ReasonShutdown)
	}
	c.end(ReasonError)
	c.handle.over()
}

// log is made when there is something to say: a logger of its own would cost
// every connection memory.
func (c *connection) log() *slog.Logger {
	return c.desk.options.Logger.With(slog.String("connection_id", c.handle.id))
}

// closeRecord is a Close message as a parcel, or nil.
func closeRecord(m *protocol.Close) *parcel {
	if m == nil {
		return nil
	}
	return &parcel{message: protocol.Share(m)}
}
