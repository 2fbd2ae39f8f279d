package actors

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// cause says why a connection reads the log.
type cause string

const (
	resumed    cause = "resumed"     // the connection is new
	fellBehind cause = "fell behind" // its socket was blocked
)

// catchUp is the part of a connection that reads the log.
type catchUp struct {
	cause   cause
	pending bool    // a page is being read
	stale   bool    // the page being read is of memberships that have changed
	oldest  bool    // the first page begins wherever the log does
	replay  *Replay // nil unless it is under way
}

// maxReplayTraces bounds the span links of a replay: 128 of them were measured
// at 25 µs and 60 KB.
const maxReplayTraces = 32

func (c *connection) resume(m *resume) {
	if c.phase != joined {
		return
	}
	c.setLast(m.after)
	c.catchUp.oldest = m.oldest
	if c.desk.options.Reader == nil {
		c.phase = live
		return
	}
	c.phase = catching
	c.read(resumed)
}

// read asks for the next page after last, unless one is on its way or the
// socket has not taken the one before.
func (c *connection) read(why cause) {
	u := &c.catchUp
	u.cause = why
	if u.pending || c.blocked || c.stalled() {
		return
	}
	if u.replay == nil {
		u.replay = &Replay{
			Connection: c.handle.id, User: c.member.User, Resumed: why == resumed,
			After: c.last, Started: c.desk.now,
		}
	}
	u.pending, u.stale = true, false
	c.desk.shared.request(&reading{
		handle:      c.handle,
		codec:       c.member.Codec,
		sink:        c.member.Sink,
		until:       c.handle.joinedAt,
		memberships: c.handle.memberships(),
		preferences: c.person.preferences(),
		after:       c.last,
	})
}

// page takes one page over and decides what is next: another one when the
// socket has taken this, or life.
func (c *connection) page(m *page) {
	u := &c.catchUp
	u.pending = false
	switch {
	case c.phase != catching:
		return
	case m.err != nil:
		c.log().Warn("log cannot be read, will try again", slog.Any("error", m.err))
		c.handle.retry = true
		return
	case u.stale:
		c.read(u.cause)
		return
	case c.stalled():
		return // read again when it no longer is, see flush
	case m.truncated && !u.oldest:
		// The client comes back with its cursor and is told what is missing.
		c.log().Warn("log was truncated before it could be read", slog.Uint64("after", uint64(c.last)))
		c.hangUp(ReasonTruncated, closeRecord(&protocol.Close{AllowReconnect: true}))
		return
	}
	u.oldest = false
	if m.events > 0 {
		c.putEvents(m.frames, m.positions...)
	}
	c.setLast(max(c.last, m.upTo))
	u.replay.Events += m.events
	u.replay.Bytes += len(m.frames)
	u.replay.Traces = append(u.replay.Traces, m.traces[:min(len(m.traces), maxReplayTraces-len(u.replay.Traces))]...)
	if m.complete && c.missed <= c.last {
		c.caughtUp()
		return
	}
	// Ask for the next page when this one has been written, which flush does.
	if m.events == 0 {
		c.read(u.cause)
	}
}

func (c *connection) caughtUp() {
	replay := c.catchUp.replay
	c.catchUp.replay = nil
	c.phase = live
	c.setBehind(-1)
	replay.UpTo, replay.Ended = c.last, c.desk.now
	if replay.Events > 0 || replay.Resumed {
		c.desk.options.Observer.Replayed(*replay)
	}
}

// relapse is told after a failure of the shard, when events may have been lost
// on their way here, and when the log could not be read: it is read from the
// last event that was not lost.
func (c *connection) relapse() {
	c.handle.retry = false
	c.mark() // what could not be read again is asked for again
	switch {
	case c.desk.options.Reader == nil:
	case c.phase == live:
		c.swept = c.desk.ring.head()
		c.phase = catching
		c.read(fellBehind)
	case c.phase == catching:
		c.read(c.catchUp.cause)
	}
}

func (c *connection) enter(m *enter) {
	if _, member := c.member.Groups[m.group]; member {
		return
	}
	if c.member.Groups == nil {
		c.member.Groups = make(map[string]notifications.Position)
	}
	c.member.Groups[m.group] = m.since
	c.catchUp.stale = true
}

func (c *connection) exit(m *exit) {
	delete(c.member.Groups, m.group)
	c.catchUp.stale = true
}

// reading is the errand for one page.
type reading struct {
	handle      *Connection
	codec       protocol.Codec
	sink        Sink
	memberships []notifications.Membership
	after       notifications.Position
	preferences *notifications.Preferences // of the user; never changed
	// until is the end of the log when the connection joined: events up to it
	// were missed, later ones are merely late.
	until notifications.Position
	// exact are the positions to read again, for the messages from that number
	// on; nil for a page.
	exact []notifications.Position
	first int64
}

func (r *reading) from() *Connection { return r.handle }

// run reads what was asked for.
func (r *reading) run(ctx context.Context, o *Options) any {
	if r.exact != nil {
		return r.again(ctx, o)
	}
	return r.fetch(ctx, o)
}

// gone stands for an event that the log has dropped since it was sent: a
// message that counts and that clients pass over.
func gone() *protocol.Completion { return &protocol.Completion{InvocationID: "gone"} }

// again reads events that were written to a socket that is lost.
func (r *reading) again(ctx context.Context, o *Options) *reloaded {
	m := &reloaded{handle: r.handle, from: r.first}
	found, err := o.Reader.Read(ctx, notifications.Query{Hub: o.Hub, Exact: r.exact, Bytes: o.PageBytes})
	if err != nil {
		m.err = err
		return m
	}
	epoch := o.Reader.State().Epoch
	var records []byte
	for _, p := range r.exact {
		if p > found.UpTo {
			break
		}
		var message protocol.Message = gone()
		if len(found.Entries) > 0 && found.Entries[0].Position == p {
			message = invocation(found.Entries[0], epoch, r.mark(p))
			found.Entries = found.Entries[1:]
		}
		if records, err = r.codec.Append(records, message); err != nil {
			m.err = err
			return m
		}
		m.count++
	}
	m.frame = r.sink.Frame(nil, records)
	return m
}

func (r *reading) mark(p notifications.Position) replayed {
	if p <= r.until {
		return fromHistory
	}
	return ""
}

// pages are for encoding: what is kept of one is framed and has the right size.
var pages = sync.Pool{New: func() any { return new([]byte) }} //nolint:gochecknoglobals // for all readers

// fetch reads and encodes one page. It runs on a reader goroutine.
func (r *reading) fetch(ctx context.Context, o *Options) *page {
	head := o.Reader.State()
	found, err := o.Reader.Read(ctx, notifications.Query{
		Hub: o.Hub, After: r.after, Memberships: r.memberships, Limit: o.PageEvents, Bytes: o.PageBytes,
	})
	p := &page{
		handle: r.handle, upTo: found.UpTo, complete: found.UpTo >= head.Last,
		truncated: found.First > r.after+1, err: err,
	}
	if err != nil {
		return p
	}
	pooled, _ := pages.Get().(*[]byte) // nothing else is in there
	records := (*pooled)[:0]
	defer func() {
		*pooled = records[:0]
		pages.Put(pooled)
	}()
	for _, e := range found.Entries {
		if r.preferences.Silences(&e.Event, e.Stored) != "" {
			continue // it raises no alert, late or not
		}
		encoded, err := r.codec.Append(records, invocation(e, head.Epoch, r.mark(e.Position)))
		if err != nil {
			o.Logger.ErrorContext(ctx, "event cannot be encoded", slog.Uint64("position", uint64(e.Position)), slog.Any("error", err))
			continue
		}
		records = encoded
		p.events++
		if r.handle.inbound != nil {
			p.positions = append(p.positions, e.Position)
		}
		if e.Event.TraceParent != "" && len(p.traces) < maxReplayTraces {
			p.traces = append(p.traces, e.Event.TraceParent)
		}
	}
	if len(records) > 0 {
		p.frames = r.sink.Frame(nil, records)
	}
	return p
}

// readTimeout bounds one page; a reader that waits longer for the log tries
// again later and lets others have its place.
const readTimeout = 10 * time.Second

// readPages is a reader goroutine of the system.
func (s *System) readPages(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			e := s.nextErrand()
			if e == nil {
				continue
			}
			bounded, cancel := context.WithTimeout(ctx, readTimeout)
			answer := e.run(bounded, s.options)
			cancel()
			e.from().shard.post(answer)
			s.rouse()
		}
	}
}
