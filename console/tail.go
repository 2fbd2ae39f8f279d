package console

import (
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"tidings/hub"
	"tidings/notifications"
)

// The bounds of a live look at the log.
const (
	tailEvery = 250 * time.Millisecond
	tailLines = 50 // at a time; what is more is counted
	tailMost  = 64 // who look at once
)

// tail hands what the node hears on to those who look at it.
type tail struct {
	watched atomic.Bool // somebody does

	mu      sync.Mutex // guards all below
	readers map[*tailReader]struct{}
}

// tailReader is somebody who looks.
type tailReader struct {
	filter filter

	mu      sync.Mutex // guards all below
	entries []*notifications.Entry
	skipped int
}

func newTail() *tail { return &tail{readers: make(map[*tailReader]struct{})} }

// Hear is told what the node has read of the log. It costs next to nothing while
// nobody looks, and never waits.
func (c *Console) Hear(b notifications.Batch) {
	if !c.tail.watched.Load() {
		return
	}
	c.tail.mu.Lock()
	defer c.tail.mu.Unlock()
	for r := range c.tail.readers {
		r.hear(b.Entries)
	}
}

func (r *tailReader) hear(entries []*notifications.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		switch {
		case !r.filter.wants(e):
		case len(r.entries) == tailLines:
			r.skipped++
		default:
			r.entries = append(r.entries, e)
		}
	}
}

func (r *tailReader) heard() (entries []*notifications.Entry, skipped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries, skipped = r.entries, r.skipped
	r.entries, r.skipped = nil, 0
	return entries, skipped
}

func (t *tail) add(r *tailReader) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.readers) == tailMost {
		return false
	}
	t.readers[r] = struct{}{}
	t.watched.Store(true)
	return true
}

func (t *tail) remove(r *tailReader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.readers, r)
	t.watched.Store(len(t.readers) > 0)
}

// TailPiece is what has come since the piece before, oldest first.
type TailPiece struct {
	Lines []LogLine `json:"lines"`
	// Skipped is how many more there were.
	Skipped int `json:"skipped"`
}

// follow tells what comes, as it comes.
func (c *Console) follow(h *hub.Context, q LogQuestion) (iter.Seq[TailPiece], error) {
	f, err := q.filter()
	if err != nil {
		return nil, err
	}
	r := &tailReader{filter: f}
	if !c.tail.add(r) {
		return nil, hub.Error{Text: "Too many look at the log at the same moment. Try again."}
	}
	return func(yield func(TailPiece) bool) {
		defer c.tail.remove(r)
		tick := time.NewTicker(tailEvery)
		defer tick.Stop()
		for more := true; more; {
			select {
			case <-h.Context().Done():
				return
			case <-tick.C:
				more = c.tell(r, yield)
			}
		}
	}, nil
}

// tell hands on what has come, if anything has; false = no more is wanted.
func (c *Console) tell(r *tailReader, yield func(TailPiece) bool) bool {
	entries, skipped := r.heard()
	if len(entries) == 0 {
		return true
	}
	piece := TailPiece{Lines: make([]LogLine, 0, len(entries)), Skipped: skipped}
	for _, e := range entries {
		piece.Lines = append(piece.Lines, c.line(e))
	}
	return yield(piece)
}
