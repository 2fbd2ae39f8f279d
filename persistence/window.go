package persistence

import (
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
	stream, err := n.js.Stream(ctx, o.Stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", o.Stream, unreachable(err))
	}
	until := w.Until
	if until.IsZero() {
		until = time.Now()
	}
	return scan(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{logPrefix + EncodeToken(w.Hub) + ".>"},
		DeliverPolicy:  jetstream.DeliverByStartTimePolicy,
		OptStartTime:   &w.Since,
	}, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		if !meta.Timestamp.Before(until) {
			return false, nil
		}
		position := notifications.Position(meta.Sequence.Stream)
		entry, err := o.entry(stored{subject: msg.Subject(), header: msg.Headers(), data: msg.Data(), position: position, at: meta.Timestamp})
		if err != nil {
			return true, nil //nolint:nilerr // it is among the rejected messages
		}
		return true, take(entry)
	})
}
