package persistence

import (
	"context"
	"fmt"
	"time"

	"tidings/notifications"
)

// The measures of waiting for the own follower.
const (
	awaitMost = 2 * time.Second
	awaitStep = 5 * time.Millisecond
)

// Await implements notifications.Catalogue.
func (l *Log) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, awaitMost)
	defer cancel()
	stream, err := l.nats.js.Stream(ctx, l.o.Stream)
	if err != nil {
		return fmt.Errorf("await the end of the log: %w", unreachable(err))
	}
	end := notifications.Position(stream.CachedInfo().State.LastSeq)
	step := time.NewTicker(awaitStep)
	defer step.Stop()
	for l.index.head() < end {
		select {
		case <-step.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: this node has read up to %d of %d", notifications.ErrUnavailable, l.index.head(), end)
		}
	}
	return nil
}
