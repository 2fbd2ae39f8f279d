package persistence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	limit := cmp.Or(q.Limit, pageEntries)
	positions, upTo := l.index.find(q.Hub, q.Memberships, q.After, limit)
	entries, err := l.load(ctx, positions)
	if err != nil {
		return notifications.Page{}, fmt.Errorf("read after %d: %w", q.After, err)
	}
	page := notifications.Page{UpTo: upTo, First: l.State().First}
	size, budget, now := 0, cmp.Or(q.Bytes, pageBytes), time.Now()
	for _, e := range entries {
		if e == nil || e.Event.Expired(now) {
			continue
		}
		if size += sizeOf(e); size > budget && len(page.Entries) > 0 {
			page.UpTo = page.Entries[len(page.Entries)-1].Position
			break
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

// load fetches events by position: from the tail, else from the server. One
// that is no longer there is nil: it has expired.
func (l *Log) load(ctx context.Context, positions []notifications.Position) ([]*notifications.Entry, error) {
	entries := make([]*notifications.Entry, len(positions))
	var missing []int
	for i, p := range positions {
		if e, ok := l.tail.get(p); ok {
			entries[i] = e
		} else {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return entries, nil
	}
	errs := make([]error, fetchers)
	var wg sync.WaitGroup
	for worker := range min(fetchers, len(missing)) {
		wg.Go(func() {
			for i := worker; i < len(missing) && errs[worker] == nil; i += fetchers {
				at := missing[i]
				entries[at], errs[worker] = l.fetch(ctx, positions[at])
			}
		})
	}
	wg.Wait()
	return entries, errors.Join(errs...)
}

func (l *Log) fetch(ctx context.Context, p notifications.Position) (*notifications.Entry, error) {
	raw, err := l.stream.GetMsg(ctx, uint64(p))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil //nolint:nilnil // expired, which is no error
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrConnectionClosed):
		return nil, fmt.Errorf("%w: %w", notifications.ErrUnavailable, err)
	case err != nil:
		return nil, err
	}
	e, err := l.entry(stored{subject: raw.Subject, header: raw.Header, data: raw.Data, position: p, at: raw.Time})
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // rejected when it was followed; it is nobody's event
	}
	return e, nil
}

// State implements notifications.Reader.
func (l *Log) State() notifications.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := l.index.head()
	return notifications.LogState{Epoch: l.epoch, First: min(l.first, head+1), Last: head}
}

// Before implements notifications.Reader.
func (l *Log) Before(t time.Time) notifications.Position { return l.index.before(t) }

// Recent implements notifications.Reader.
func (l *Log) Recent(hub string, memberships []notifications.Membership, n int) (notifications.Position, int) {
	positions := l.index.recent(hub, memberships, n)
	if len(positions) == 0 {
		return l.index.head(), 0
	}
	return positions[0] - 1, len(positions)
}

// StoredAt implements notifications.Reader.
func (l *Log) StoredAt(p notifications.Position) (time.Time, bool) { return l.index.storedAt(p) }
