package actors

import (
	"tidings/hub/protocol"
	"tidings/notifications"
)

// stretch is a part of the ring that was encoded once, as a whole, for all
// connections of one codec and transport that take all of it: under load
// several events leave in one write, which copies nothing for each connection.
type stretch struct {
	from, to         uint64 // numbers of the ring
	codec, transport string

	bytes       []byte // nil = it cannot be taken as a whole
	first, last notifications.Position
	parcels     []*parcel
	sizes       []int // of their frames
	takers      int
}

// stretchBytes bounds a stretch, unless it is one event.
const stretchBytes = 64 << 10

// stretchAt is the stretch that begins at a number of the ring and is over at
// the end of the running pass, or before. The connections of a pass begin at
// the same few numbers.
func (d *desk) stretchAt(from uint64, c protocol.Codec, s Sink) *stretch {
	codec, transport := c.Name(), s.Transport()
	for _, t := range d.stretches {
		if t.from == from && t.codec == codec && t.transport == transport {
			return t
		}
	}
	if len(d.stretches) >= maxStretches {
		return nil
	}
	t := &stretch{from: from, to: from, codec: codec, transport: transport}
	for t.to < d.passEnd && t.add(d.ring.at(t.to), c, s) {
	}
	d.stretches = append(d.stretches, t)
	return t
}

// maxStretches bounds what is looked through: who begins elsewhere takes event
// after event.
const maxStretches = 64

// add takes one more event in, unless there is no room or it is not for all.
func (t *stretch) add(p *parcel, c protocol.Codec, s Sink) bool {
	if p.entry == nil {
		return false
	}
	frame, err := p.framed(c, s)
	if err != nil || len(t.parcels) > 0 && len(t.bytes)+len(frame) > stretchBytes {
		return false
	}
	switch len(t.parcels) {
	case 0:
		t.first, t.bytes = p.position, frame // often there is but one
	case 1:
		t.bytes = append(make([]byte, 0, stretchBytes/4), t.bytes...) // the frame is not ours
		fallthrough
	default:
		t.bytes = append(t.bytes, frame...)
	}
	t.last = p.position
	t.parcels, t.sizes = append(t.parcels, p), append(t.sizes, len(frame))
	t.to++
	return true
}

// settleStretches notes who has taken what: before the parcels are finished.
func (d *desk) settleStretches() {
	for i, t := range d.stretches {
		for j, p := range t.parcels {
			tally := &p.tallies[d.shard]
			tally.connections += t.takers
			tally.bytes += t.takers * t.sizes[j]
		}
		d.stretches[i] = nil
	}
	d.stretches = d.stretches[:0]
}

// takeStretch is take for a stretch. It returns false when the connection has
// to look at each event.
func (c *connection) takeStretch(t *stretch) bool {
	if t.bytes == nil || t.first <= c.last || c.phase != live || c.inbox != nil || c.unacked != nil ||
		c.person.traced || c.person.choosy() || c.full(1) {
		return false
	}
	c.put(t.bytes)
	c.setLast(t.last)
	t.takers++
	return true
}
