package persistence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	// Not the last position the stream has given: its event may have expired.
	newest, err := l.stream.GetLastMsgForSubject(ctx, logPrefix+">")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("await the end of the log: %w", unreachable(err))
	}
	end := notifications.Position(newest.Sequence)
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
