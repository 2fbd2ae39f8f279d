package persistence

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// scan gives take the messages that a stream holds now, from where the
// configuration says, in order, until take wants no more. It is for people who
// ask: it opens a consumer.
func scan(ctx context.Context, stream jetstream.Stream, from jetstream.OrderedConsumerConfig, take func(jetstream.Msg, *jetstream.MsgMetadata) (more bool, err error)) error {
	consumer, err := stream.OrderedConsumer(ctx, from)
	if err != nil {
		return unreachable(err)
	}
	for left := consumer.CachedInfo().NumPending; left > 0; {
		taken, more, err := scanBatch(ctx, consumer, left, take)
		if err != nil || !more {
			return err
		}
		left -= min(taken, left)
	}
	return nil
}

// scanBatch takes the next of the messages that are left. None come when the
// rest has expired meanwhile.
func scanBatch(ctx context.Context, from jetstream.Consumer, left uint64, take func(jetstream.Msg, *jetstream.MsgMetadata) (bool, error)) (taken uint64, more bool, err error) {
	batch, err := from.Fetch(int(min(left, batchMessages)), jetstream.FetchMaxWait(attemptTime))
	if err != nil {
		return 0, false, unreachable(err)
	}
	for msg := range batch.Messages() {
		meta, metaErr := msg.Metadata()
		if metaErr != nil {
			return taken, false, metaErr
		}
		taken++
		if more, err = take(msg, meta); err != nil || !more {
			return taken, false, err
		}
	}
	if err = batch.Error(); err != nil {
		return taken, false, unreachable(err)
	}
	return taken, taken > 0, ctx.Err()
}
