package persistence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// The bounds of a page whose query names none, and of what is asked of the
// server at the same moment.
const (
	pageEntries = 256
	pageBytes   = 256 << 10
	fetchers    = 16
)

// Read implements notifications.Reader.
func (l *Log) Read(ctx context.Context, q notifications.Query) (notifications.Page, error) {
	positions, upTo := l.positions(q)
	entries, err := l.load(ctx, positions)
	if err != nil {
		return notifications.Page{}, fmt.Errorf("read after %d: %w", q.After, err)
	}
	page := notifications.Page{UpTo: upTo, First: l.State().First}
	size, budget, now := 0, cmp.Or(q.Bytes, pageBytes), time.Now()
	for _, e := range entries {
		if e == nil || q.Exact == nil && e.Event.Expired(now) {
			continue // it has expired, or was erased, since the index was asked
		}
		if size += sizeOf(&e.Event); size > budget && len(page.Entries) > 0 {
			page.UpTo = page.Entries[len(page.Entries)-1].Position
			break
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

// eventOverhead is what an event takes beside its texts.
const eventOverhead = 400

func sizeOf(e *notifications.Event) int {
	return eventOverhead + len(e.Data) + len(e.Title) + len(e.Body) + len(e.Source) + len(e.Link) + len(e.Recipient.Key)
}

// positions are those of a page, and the one it is complete to.
func (l *Log) positions(q notifications.Query) (found []notifications.Position, upTo notifications.Position) {
	if n := len(q.Exact); n > 0 {
		return q.Exact, q.Exact[n-1]
	}
	return l.index.page(q, cmp.Or(q.Limit, pageEntries), time.Now())
}

// load fetches events by position: from the tail, else from the server. One
// that is not there, or no longer, is nil.
func (l *Log) load(ctx context.Context, positions []notifications.Position) ([]*notifications.Entry, error) {
	entries := make([]*notifications.Entry, len(positions))
	var absent []int
	for i, p := range positions {
		if e, ok := l.tail.get(p); ok {
			entries[i] = e
		} else {
			absent = append(absent, i)
		}
	}
	if len(absent) == 0 {
		return entries, nil
	}
	errs := make([]error, len(absent))
	next := make(chan int, len(absent))
	for i := range absent {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range min(fetchers, len(absent)) {
		wg.Go(func() {
			for i := range next {
				at := absent[i]
				entries[at], errs[i] = l.fetch(ctx, positions[at])
			}
		})
	}
	wg.Wait()
	holes := len(errs)
	errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, errHole) })
	if holes -= len(errs); holes > 0 {
		errs = append(errs, l.refreshFirst(ctx))
	}
	return entries, errors.Join(errs...)
}

// errHole says that a position holds no event any more.
var errHole = errors.New("no event at this position")

func (l *Log) fetch(ctx context.Context, p notifications.Position) (*notifications.Entry, error) {
	raw, err := l.stream.GetMsg(ctx, uint64(p))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, errHole
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrConnectionClosed):
		return nil, fmt.Errorf("%w: %w", notifications.ErrUnavailable, err)
	case err != nil:
		return nil, err
	}
	e, err := l.o.entry(stored{subject: raw.Subject, header: raw.Header, data: raw.Data, position: p, at: raw.Time})
	if err != nil {
		return nil, errHole
	}
	switch at, held := l.index.storedAt(p); {
	case l.index.isHole(p):
		return nil, errHole // it is being erased
	case !held, !at.Equal(e.Stored):
		// Another log has taken the place of this one: what stands here may be
		// for somebody else.
		return nil, fmt.Errorf("%w: position %d is not what this node has read", notifications.ErrUnavailable, p)
	}
	return e, nil
}

// refreshFirst finds out whether a hole is an event that has expired, which is
// nobody's loss, or the end of what the log retains, which a reader is told.
func (l *Log) refreshFirst(ctx context.Context) error {
	stream, err := l.nats.js.Stream(ctx, l.o.Stream)
	if err != nil {
		return fmt.Errorf("%w: %w", notifications.ErrUnavailable, err)
	}
	l.setFirst(notifications.Position(max(stream.CachedInfo().State.FirstSeq, 1)))
	return nil
}

// State implements notifications.Reader.
func (l *Log) State() notifications.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := l.index.head()
	end := max(head, notifications.Position(l.counts.last.Load()))
	return notifications.LogState{Epoch: l.epoch, First: min(l.first, head+1), Last: head, End: end}
}

// Before implements notifications.Reader.
func (l *Log) Before(t time.Time) notifications.Position { return l.index.before(t) }

// Recent implements notifications.Reader.
func (l *Log) Recent(hub string, memberships []notifications.Membership, n int) (notifications.Position, int) {
	return l.index.recent(hub, memberships, n, time.Now())
}

// StoredAt implements notifications.Reader.
func (l *Log) StoredAt(p notifications.Position) (time.Time, bool) { return l.index.storedAt(p) }
