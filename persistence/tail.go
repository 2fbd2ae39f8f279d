package persistence

import (
	"slices"
	"sort"
	"sync"

	"tidings/notifications"
)

// tail keeps the newest events, as many as fit its budget, so that replays
// need not ask the server.
type tail struct {
	limit int // bytes

	mu      sync.RWMutex // guards all below
	entries []*notifications.Entry
	bytes   int
}

// entryOverhead is what an entry takes beside its texts.
const entryOverhead = 400

func sizeOf(e *notifications.Entry) int {
	ev := &e.Event
	return entryOverhead + len(ev.Data) + len(ev.Title) + len(ev.Body) + len(ev.Source) + len(ev.Link) + len(ev.Recipient.Key)
}

func (t *tail) add(e *notifications.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = append(t.entries, e)
	t.bytes += sizeOf(e)
	drop := 0
	for t.bytes > t.limit && drop < len(t.entries)-1 {
		t.bytes -= sizeOf(t.entries[drop])
		t.entries[drop] = nil
		drop++
	}
	// Appending to the rest makes a new array now and then, which lets go of
	// what was dropped.
	t.entries = t.entries[drop:]
}

// get finds an event by its position.
func (t *tail) get(p notifications.Position) (*notifications.Entry, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	i := t.guess(p)
	if i < 0 {
		i = sort.Search(len(t.entries), func(i int) bool { return t.entries[i].Position >= p })
	}
	if i == len(t.entries) || t.entries[i].Position != p {
		return nil, false
	}
	return t.entries[i], true
}

// guess finds a position where it is if none before it is missing; -1 = it is
// not there. Most logs have few holes.
func (t *tail) guess(p notifications.Position) int {
	if len(t.entries) == 0 || p < t.entries[0].Position {
		return -1
	}
	i := p - t.entries[0].Position
	if i >= notifications.Position(len(t.entries)) || t.entries[i].Position != p {
		return -1
	}
	return int(i) //nolint:gosec // it is an index
}

// forget drops the events of a recipient up to a position.
func (t *tail) forget(a address, upTo notifications.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = slices.DeleteFunc(t.entries, func(e *notifications.Entry) bool {
		if e.Position > upTo || e.Hub != a.hub || e.Event.Recipient != a.recipient {
			return false
		}
		t.bytes -= sizeOf(e)
		return true
	})
}

func (t *tail) size() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return int64(t.bytes)
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries, t.bytes = nil, 0
}
