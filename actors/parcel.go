package actors

import (
	"slices"
	"sync/atomic"
	"time"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// parcel is one message on its way down, shared by all shards and connections
// of the node: an event of the log, or a live message, whose position is 0.
type parcel struct {
	position notifications.Position
	to       []notifications.Recipient // one for an event of the log
	except   []string                  // connections that do not hear it
	message  *protocol.Shared
	frames   atomic.Pointer[frame]

	// For the events of the log.
	entry    *notifications.Entry
	started  time.Time
	expired  bool
	owed     atomic.Int32 // shards that have not finished with it
	tallies  []tally      // one per shard, written by that shard only
	observer Observer
}

// frame is a parcel encoded for one codec and one transport.
type frame struct {
	codec, transport string
	bytes            []byte
	next             *frame
}

// newParcel prepares an entry for delivery; the message is encoded when the
// first connection needs it.
func newParcel(e *notifications.Entry, epoch uint64, shards int, now time.Time) *parcel {
	return &parcel{
		position: e.Position,
		to:       []notifications.Recipient{e.Event.Recipient},
		message:  protocol.Share(invocation(e, epoch, "")),
		entry:    e,
		started:  now,
		expired:  e.Event.Expired(now),
		tallies:  make([]tally, shards),
	}
}

// replayed marks a notification that the client had missed.
type replayed string

const fromHistory replayed = "replayed"

// invocation is an entry as the browser hears it. The creation context of the
// event travels in its headers, so that the browser can go on with the trace.
func invocation(e *notifications.Entry, epoch uint64, mark replayed) *protocol.Invocation {
	n := e.Notification(epoch)
	n.Replayed = mark == fromHistory
	m := &protocol.Invocation{Target: e.Event.Target, Arguments: []any{&n}}
	if e.Event.TraceParent != "" {
		m.Headers = protocol.Headers{"traceparent": e.Event.TraceParent}
		if e.Event.TraceState != "" {
			m.Headers["tracestate"] = e.Event.TraceState
		}
	}
	return m
}

// framed is the parcel's bytes for a connection. Two shards may encode the
// same parcel at the same moment; both results are right and one is kept.
func (p *parcel) framed(c protocol.Codec, s Sink) ([]byte, error) {
	codec, transport := c.Name(), s.Transport()
	for {
		first := p.frames.Load()
		for f := first; f != nil; f = f.next {
			if f.codec == codec && f.transport == transport {
				return f.bytes, nil
			}
		}
		records, err := p.message.Bytes(c)
		if err != nil {
			return nil, err
		}
		f := &frame{codec: codec, transport: transport, bytes: s.Frame(nil, records), next: first}
		if p.frames.CompareAndSwap(first, f) {
			return f.bytes, nil
		}
	}
}

func (p *parcel) spares(connectionID string) bool {
	return len(p.except) > 0 && slices.Contains(p.except, connectionID)
}

// finish is called by every shard the parcel was posted to, once, when its tally
// is complete.
func (p *parcel) finish(now time.Time) {
	if p.entry == nil || p.owed.Add(-1) > 0 {
		return
	}
	d := Delivery{Entry: p.entry, Started: p.started, Ended: now, Expired: p.expired}
	for i := range p.tallies {
		p.tallies[i].addTo(&d)
	}
	p.clock(&d)
	p.observer.Delivered(d)
}
