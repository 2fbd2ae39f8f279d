package persistence

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// Window is a stretch of the log of one hub: what was stored from Since on, and
// before Until; zero = up to the end as it is now.
type Window struct {
	Hub          string
	Since, Until time.Time
}

// ReadWindow gives take the entries of a window, in order, for tools that do not
// follow the log. What cannot be read is passed over; it is among the rejected
// messages. An error of take ends it.
func ReadWindow(ctx context.Context, n *NATS, o Options, w Window, take func(*notifications.Entry) error) error {
	o = o.withDefaults()
	consumer, err := n.js.OrderedConsumer(ctx, o.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{logPrefix + EncodeToken(w.Hub) + ".>"},
		DeliverPolicy:  jetstream.DeliverByStartTimePolicy,
		OptStartTime:   &w.Since,
	})
	if err != nil {
		return fmt.Errorf("window of %s: %w", o.Stream, err)
	}
	until := w.Until
	if until.IsZero() {
		until = time.Now()
	}
	for more := true; more && err == nil; {
		more, err = o.readBatch(ctx, consumer, until, take)
	}
	return err
}

// readBatch gives take the next entries; false = there are no more in the window.
func (o Options) readBatch(ctx context.Context, from jetstream.Consumer, until time.Time, take func(*notifications.Entry) error) (bool, error) {
	batch, err := from.FetchNoWait(windowBatch)
	if err != nil {
		return false, fmt.Errorf("window of %s: %w", o.Stream, err)
	}
	taken := 0
	for msg := range batch.Messages() {
		meta, metaErr := msg.Metadata()
		if metaErr != nil {
			return false, fmt.Errorf("window of %s: %w", o.Stream, metaErr)
		}
		if !meta.Timestamp.Before(until) {
			return false, nil
		}
		taken++
		position := notifications.Position(meta.Sequence.Stream)
		entry, unreadable := o.entry(stored{subject: msg.Subject(), header: msg.Headers(), data: msg.Data(), position: position, at: meta.Timestamp})
		if unreadable != nil {
			continue
		}
		if err = take(entry); err != nil {
			return false, err
		}
	}
	if err = cmp.Or(batch.Error(), ctx.Err()); err != nil {
		return false, fmt.Errorf("window of %s: %w", o.Stream, err)
	}
	return taken > 0, nil
}

// windowBatch is how many messages a tool asks for at once.
const windowBatch = 500
