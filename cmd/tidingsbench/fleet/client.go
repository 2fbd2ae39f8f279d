//go:build linux

package fleet

import (
	"fmt"
	"math"
)

// Client is one user of the server under load. All of it belongs to its loop:
// other goroutines hand orders to that.
type Client struct {
	loop   *loop
	number int // in the loop
	id     int // in the fleet
	spec   Spec
	source [4]byte // address to connect from

	fd       int
	state    state
	connects uint32
	started  int64  // of the connect, Unix ns
	missed   int64  // when the last missed event was heard, of those not yet a sample; Unix ns
	rest     []byte // of a message whose end has not come yet
	waiting  *round // for what the client does now

	tracks []track
	faults *faults // nil while there is none

	// What the dialect remembers.
	greeted  bool
	position uint64
	cursor   []byte
	channels []channel
}

type state uint8

const (
	idle       state = iota
	connecting       // TCP
	upgrading        // the request is on its way
	greeting         // a WebSocket, not yet welcome
	live
	leaving // has said that it ends, and waits for the server
)

// track is how far a client has heard a recipient.
type track struct {
	recipient uint32
	before    uint64 // what came before the client
	last      uint64
	owed      uint64 // what WaitAll waits for, 0 for nothing
	gaps      []span // numbers passed over
}

// span is of sequence numbers, both ends included.
type span struct{ from, to uint64 }

// faults are what a client met and must not.
type faults struct {
	doubled, reordered, misrouted, truncated, malformed, backwards, ended uint64

	first string
}

// Expect says that everything up to last was emitted before the client came:
// it is not expected. A recipient that is none of the client's yet becomes one.
// It may be called from any goroutine.
func (c *Client) Expect(recipient uint32, last uint64) {
	c.loop.post(func() {
		t := c.track(recipient)
		if t == nil {
			c.tracks = append(c.tracks, track{recipient: recipient})
			t = &c.tracks[len(c.tracks)-1]
		}
		c.loop.pay(t)
		c.loop.tally.Gaps -= t.missing()
		*t = track{recipient: recipient, before: last, last: last}
	})
}

// track finds a recipient. Clients have a few.
func (c *Client) track(recipient uint32) *track {
	for i := range c.tracks {
		if c.tracks[i].recipient == recipient {
			return &c.tracks[i]
		}
	}
	return nil
}

// blame counts a fault. The text of the first is kept; it is only formed for
// that.
func (c *Client) blame(count func(*faults) *uint64, format string, args ...any) {
	if c.faults == nil {
		c.faults = &faults{first: fmt.Sprintf(format, args...)}
	}
	*count(c.faults)++
}

// hear takes a mark into account.
func (l *loop) hear(c *Client, m mark) {
	l.tally.Marks++
	t := c.track(m.recipient)
	if t == nil {
		l.tally.Misrouted++
		c.blame(func(f *faults) *uint64 { return &f.misrouted }, "misrouted: number %d of recipient %d, which is none of its own", m.seq, m.recipient)
		return
	}
	switch next := t.last + 1; {
	case m.seq == next:
		t.last = m.seq
	case m.seq > next:
		l.tally.Gaps += m.seq - next
		t.gaps = append(t.gaps, span{next, m.seq - 1})
		t.last = m.seq
	default:
		if !l.late(c, t, m.seq) {
			return
		}
	}
	l.new++
	if t.owed != 0 && t.last >= t.owed {
		l.pay(t)
	}
	if m.emitted >= c.started {
		l.live.add(l.now - m.emitted)
	} else if c.connects > 1 {
		c.missed = l.now
	}
}

// late judges a number that is not beyond the last one, and reports whether it
// fills a gap.
func (l *loop) late(c *Client, t *track, seq uint64) bool {
	if !t.fill(seq) {
		l.tally.Duplicates++
		c.blame(func(f *faults) *uint64 { return &f.doubled }, "doubled: number %d of recipient %d, which stands at %d", seq, t.recipient, t.last)
		return false
	}
	l.tally.Gaps--
	l.tally.Reordered++
	c.blame(func(f *faults) *uint64 { return &f.reordered }, "reordered: number %d of recipient %d came after a later one", seq, t.recipient)
	return true
}

// fill takes a number out of the gaps, if it is in one.
func (t *track) fill(seq uint64) bool {
	for i, g := range t.gaps {
		if seq < g.from || seq > g.to {
			continue
		}
		t.gaps = append(t.gaps[:i], t.gaps[i+1:]...)
		if g.from < seq {
			t.gaps = append(t.gaps, span{g.from, seq - 1})
		}
		if seq < g.to {
			t.gaps = append(t.gaps, span{seq + 1, g.to})
		}
		return true
	}
	return false
}

// missing counts the numbers that are in gaps.
func (t *track) missing() uint64 {
	var n uint64
	for _, g := range t.gaps {
		n += g.to - g.from + 1
	}
	return n
}

// place checks that a position of the log grows.
func (l *loop) place(c *Client, position uint64) {
	if position <= c.position {
		l.tally.Backwards++
		c.blame(func(f *faults) *uint64 { return &f.backwards }, "position %d after %d", position, c.position)
		return
	}
	c.position = position
}

// unreadable counts what is no mark, or is one without its end.
func (l *loop) unreadable(c *Client, err error, text []byte) {
	count := func(f *faults) *uint64 { return &f.malformed }
	if err == errTruncated { //nolint:errorlint // as parseMark returns it
		count = func(f *faults) *uint64 { return &f.truncated }
		l.tally.Truncated++
	} else {
		l.tally.Malformed++
	}
	const enough = 80
	c.blame(count, "%v: %q", err, text[:min(len(text), enough)])
}

// everything is more than any sequence number.
const everything = math.MaxUint64
