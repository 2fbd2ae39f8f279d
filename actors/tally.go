package actors

import (
	"slices"
	"time"

	"tidings/notifications"
)

// tally is what one shard did with a parcel. It fills a cache line, so that
// shards do not slow each other down.
type tally struct {
	connections, deferred, slow, muted, failed, bytes int

	timing  *timing  // of the handling that wrote the parcel; nil = it was not written
	details *details // nil until there is one
}

// outcome is what a detail tells of a connection.
type outcome uint8

const (
	sent   outcome = iota // to a traced user
	slow                  // behind: it will read the event from the log
	failed                // its socket broke while the event was written
	muted                 // by a traced user
	outcomes
)

func (o outcome) String() string {
	switch o {
	case sent:
		return "sent"
	case slow:
		return "slow"
	case failed:
		return "failed"
	default:
		return "muted"
	}
}

// details are what a shard tells of single connections.
type details struct {
	list []Detail
	of   [outcomes]uint8
}

// The bounds of details: of one kind for each shard, and of an event.
const (
	detailsEach = 8
	maxDetails  = 64
)

// note adds a detail, unless there are enough of its kind.
func (t *tally) note(o outcome, c *connection, after time.Duration) {
	if t.details == nil {
		t.details = &details{}
	}
	if t.details.of[o] >= detailsEach {
		return
	}
	t.details.of[o]++
	d := Detail{Connection: c.handle.id, Outcome: o.String(), After: max(after, 0)}
	if c.person.traced {
		d.User = c.person.user
	}
	t.details.list = append(t.details.list, d)
}

// addTo adds up what the shards did.
func (t *tally) addTo(d *Delivery) {
	d.Connections += t.connections
	d.Deferred += t.deferred
	d.Slow += t.slow
	d.Muted += t.muted
	d.Failed += t.failed
	d.Bytes += t.bytes
	if t.details != nil {
		list := t.details.list
		d.Details = append(d.Details, list[:min(len(list), maxDetails-len(d.Details))]...)
	}
}

// clock finds out how long the connections have waited. Where a shard has seen
// no write – the events were queued before a blocked socket, or have left with
// others before their turn – they count as written when it was done with them.
func (p *parcel) clock(d *Delivery) {
	if d.Connections == 0 {
		return
	}
	var all histogram
	all.clear()
	for i := range p.tallies {
		t := &p.tallies[i]
		switch {
		case t.timing != nil:
			late := t.timing.began.Sub(p.started)
			all.addLater(&t.timing.spread, late)
			d.Max = max(d.Max, late+t.timing.latest)
			t.timing.release()
			t.timing = nil
		case t.connections > 0:
			all.add(d.Ended.Sub(p.started), t.connections)
			d.Max = max(d.Max, d.Ended.Sub(p.started))
		}
	}
	d.P50, d.P99 = min(all.quantile(.5), d.Max), min(all.quantile(.99), d.Max)
}

// handing is an event that is written to a traced user.
type handing struct {
	parcel     *parcel
	connection *connection
}

// maxHandings bounds those of one handling.
const maxHandings = 1024

// noteDeferred notes an event that a connection will read from the log. One that has
// joined and is not up to date yet is not slow.
func (c *connection) noteDeferred(p *parcel) {
	t := &p.tallies[c.desk.shard]
	t.deferred++
	if c.phase == lagging || c.phase == catching && c.catchUp.cause == fellBehind {
		t.slow++
		t.note(slow, c, c.desk.now.Sub(p.started))
	}
}

func (c *connection) noteMuted(p *parcel) {
	t := &p.tallies[c.desk.shard]
	t.muted++
	if c.person.traced {
		t.note(muted, c, c.desk.now.Sub(p.started))
	}
}

func (c *connection) noteSent(p *parcel, bytes int) {
	t := &p.tallies[c.desk.shard]
	t.connections++
	t.bytes += bytes
	if c.person.traced && len(c.desk.handings) < maxHandings {
		c.desk.handings = append(c.desk.handings, handing{p, c})
	}
}

// noteFailed notes the events that were in the write that has broken a socket.
func (c *connection) noteFailed() {
	now := c.desk.options.Now()
	for _, p := range c.desk.walking {
		if p.to[0].Kind != notifications.Everyone && c.writes(p) {
			c.noteBroken(p, now)
		}
	}
	for _, p := range slices.Backward(c.desk.ring.parcels) {
		if p.entry == nil {
			continue
		}
		if p.position <= c.desk.after {
			return
		}
		if c.writes(p) {
			c.noteBroken(p, now)
		}
	}
}

func (c *connection) noteBroken(p *parcel, now time.Time) {
	t := &p.tallies[c.desk.shard]
	t.failed++
	t.note(failed, c, now.Sub(p.started))
}

// writes tells whether the write that is being made has this event in it.
func (c *connection) writes(p *parcel) bool {
	return p.position > c.desk.after && p.position <= c.last && c.hears(p.to[0]) && !c.person.silences(p.entry)
}

func (c *connection) hears(r notifications.Recipient) bool {
	switch r.Kind {
	case notifications.User:
		return r.Key == c.member.User
	case notifications.Role:
		return slices.Contains(c.handle.roles, r.Key)
	case notifications.Group:
		return has(c.member.Groups, r.Key) || has(c.person.groups, r.Key)
	default:
		return true
	}
}

// noteHandings tells of traced users what has been written to them by now.
func (d *desk) noteHandings() {
	if len(d.handings) == 0 {
		return
	}
	now := d.options.Now()
	for _, h := range d.handings {
		if h.connection.phase != ended && h.connection.attached() {
			h.parcel.tallies[d.shard].note(sent, h.connection, now.Sub(h.parcel.started))
		}
	}
	clear(d.handings)
	d.handings = d.handings[:0]
}
