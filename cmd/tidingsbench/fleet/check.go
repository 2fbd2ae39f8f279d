//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// casesTold is how many clients an error describes.
const casesTold = 5

// Check compares what the clients heard with what was acknowledged: the last
// sequence number by recipient, 0 or nothing for none. Nothing may be under
// way. The error says how many clients are wrong and tells the first few cases:
// lost, doubled, reordered, misrouted, truncated, beyond what was acknowledged,
// a connection that ended unasked.
func (f *Fleet) Check(acknowledged map[uint32]uint64) error {
	wrong, all := 0, 0
	var cases []string
	for _, l := range f.loops {
		l.call(func() {
			all += len(l.clients)
			for _, c := range l.clients {
				text := c.wrong(acknowledged)
				if text == "" {
					continue
				}
				if wrong++; len(cases) < casesTold {
					cases = append(cases, fmt.Sprintf("client %d: %s", c.id, text))
				}
			}
		})
	}
	if wrong == 0 {
		return f.failed()
	}
	return errors.Join(fmt.Errorf("%d of %d clients are wrong: %s", wrong, all, strings.Join(cases, "; ")), f.failed())
}

// wrong says what is wrong with a client, empty for nothing.
func (c *Client) wrong(acknowledged map[uint32]uint64) string {
	var parts []string
	for i := range c.tracks {
		t := &c.tracks[i]
		want := max(acknowledged[t.recipient], t.before)
		switch lost := t.lost(want); {
		case lost > 0:
			parts = append(parts, fmt.Sprintf("lost %d of recipient %d, heard up to %d of %d", lost, t.recipient, t.last, want))
		case t.last > want:
			parts = append(parts, fmt.Sprintf("heard number %d of recipient %d, acknowledged are %d", t.last, t.recipient, want))
		}
	}
	if f := c.faults; f != nil {
		parts = append(parts, fmt.Sprintf("doubled %d, reordered %d, misrouted %d, truncated %d, malformed %d, backwards %d, ended %d; first: %s",
			f.doubled, f.reordered, f.misrouted, f.truncated, f.malformed, f.backwards, f.ended, f.first))
	}
	return strings.Join(parts, ", ")
}

// lost counts what is missing up to a number.
func (t *track) lost(want uint64) uint64 {
	lost := t.missing()
	if t.last < want {
		lost += want - t.last
	}
	return lost
}

// Tally says how many marks the clients had to hear of what was acknowledged,
// and how many of them they have not heard.
func (f *Fleet) Tally(acknowledged map[uint32]uint64) (expected, missing uint64) {
	for _, l := range f.loops {
		l.call(func() {
			for _, c := range l.clients {
				for i := range c.tracks {
					t := &c.tracks[i]
					want := max(acknowledged[t.recipient], t.before)
					expected += want - t.before
					missing += t.lost(want)
				}
			}
		})
	}
	return expected, missing
}

// WaitAll waits until every client has heard the last acknowledged number of
// all its recipients, as a map of Check. One call waits at a time.
func (f *Fleet) WaitAll(ctx context.Context, acknowledged map[uint32]uint64) error {
	select {
	case f.waitAll <- struct{}{}:
		defer func() { <-f.waitAll }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r := newRound(len(f.loops))
	for _, l := range f.loops {
		l.post(func() { l.owe(acknowledged, r) })
	}
	select {
	case <-r.done:
		return f.failed()
	case <-f.broken:
		return f.failed()
	case <-ctx.Done():
	}
	late := 0
	for _, l := range f.loops {
		l.call(func() { late += l.forgive() })
	}
	return fmt.Errorf("%d recipients of clients are behind: %w", late, ctx.Err())
}

// owe notes what clients still have to hear, and settles when that is nothing.
func (l *loop) owe(acknowledged map[uint32]uint64, r *round) {
	for _, c := range l.clients {
		for i := range c.tracks {
			t := &c.tracks[i]
			if want := acknowledged[t.recipient]; t.last < want {
				t.owed = want
				l.owed++
			}
		}
	}
	if l.owed == 0 {
		r.settle(nil)
		return
	}
	l.settling = r
}

// pay ends the waiting for a recipient of a client.
func (l *loop) pay(t *track) {
	if t.owed == 0 {
		return
	}
	t.owed = 0
	if l.owed--; l.owed == 0 {
		l.settling.settle(nil)
		l.settling = nil
	}
}

// forgive ends all waiting, and counts what was not heard.
func (l *loop) forgive() int {
	late := l.owed
	for _, c := range l.clients {
		for i := range c.tracks {
			c.tracks[i].owed = 0
		}
	}
	l.owed, l.settling = 0, nil
	return late
}

// Heard counts the marks that clients had to hear and did: without those heard
// again and those of others. It may lag by a few that are being read.
func (f *Fleet) Heard() uint64 {
	var n uint64
	for _, l := range f.loops {
		n += l.heard.Load()
	}
	return n
}

// WaitHeard waits until Heard is at least n.
func (f *Fleet) WaitHeard(ctx context.Context, n uint64) error {
	w := &waiter{n, make(chan struct{})}
	f.mu.Lock()
	f.waiters = append(f.waiters, w)
	f.nearest.Store(min(f.nearest.Load(), n))
	f.mu.Unlock()
	f.wake() // a loop may have counted before it could see the waiter
	select {
	case <-w.done:
		return nil
	case <-f.broken:
		return f.failed()
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.forget(func(other *waiter) bool { return other == w })
	f.mu.Unlock()
	return fmt.Errorf("heard %d of %d marks: %w", f.Heard(), n, ctx.Err())
}

// waiter waits for a number of marks.
type waiter struct {
	n    uint64
	done chan struct{}
}

// wake is called after each count, and looks whether somebody waits for it.
func (f *Fleet) wake() {
	nearest := f.nearest.Load()
	if nearest == everything {
		return
	}
	n := f.Heard()
	if n < nearest {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(func(w *waiter) bool {
		if w.n > n {
			return false
		}
		close(w.done)
		return true
	})
}

// forget removes waiters. f.mu is held.
func (f *Fleet) forget(these func(*waiter) bool) {
	kept, nearest := f.waiters[:0], uint64(everything)
	for _, w := range f.waiters {
		if !these(w) {
			kept, nearest = append(kept, w), min(nearest, w.n)
		}
	}
	clear(f.waiters[len(kept):])
	f.waiters = kept
	f.nearest.Store(nearest)
}
