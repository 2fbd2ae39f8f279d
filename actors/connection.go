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
	person *person
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
	unacked *unacked    // nil unless the connection may come back
	inbox   *inboxWatch // nil until there is something to tell of it
}

func newConnection(d *desk) *connection {
	return &connection{desk: d, handle: d.joining, member: d.joining.member, person: d.joining.person}
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
		c.sweep()
	case *answer:
		c.answer(m)
	case *control:
		if !c.full(1) && c.attached() { // a peer that does not read needs no pong
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
	case *glance:
		c.glance(m)
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
	default:
		c.receiveUser(m)
	}
}

// receiveUser is the part of the table that is about the user of the connection.
func (c *connection) receiveUser(message any) {
	switch m := message.(type) {
	case *restated:
		c.catchUp.stale = true
	case *changed:
		c.changed(m)
	case *follow:
		c.followInbox()
	case *recounted:
		c.recounted(m)
	case *remind:
		c.remind()
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

// sweep takes what the running pass brings.
func (c *connection) sweep() {
	for c.swept < c.desk.passEnd {
		if t := c.desk.stretchAt(c.swept, c.member.Codec, c.member.Sink); t != nil && c.takeStretch(t) {
			c.swept = t.to
			continue
		}
		c.take(c.desk.ring.at(c.swept))
		c.swept++
	}
}

// take is the gate every event passes, in growing position.
func (c *connection) take(p *parcel) {
	if p.entry == nil {
		c.takeLive(p)
		return
	}
	if c.inbox != nil {
		c.arrived(p.entry)
	}
	if p.position <= c.last || c.phase >= closing {
		return
	}
	if c.phase == live && (c.full(1) || c.stalled()) { // in this order: the write may fail
		// It has everything before this event, whatever its last one was: what
		// the log has dropped meanwhile was not for it.
		c.setLast(p.position - 1)
		c.phase = lagging
		c.setBehind(1)
	}
	if c.phase != live {
		c.missed = p.position
		c.noteDeferred(p)
		return
	}
	if c.person.silences(p.entry) {
		c.setLast(p.position)
		c.noteMuted(p)
		return
	}
	frame, err := p.framed(c.member.Codec, c.member.Sink)
	if err != nil {
		c.log().Error("event cannot be encoded", slog.Uint64("position", uint64(p.position)), slog.Any("error", err))
		return
	}
	c.putEvents(frame, p.position)
	c.setLast(p.position)
	c.noteSent(p, len(frame))
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
