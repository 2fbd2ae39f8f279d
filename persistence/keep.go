package persistence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The measures of a keeper: how many records may wait, how many are on their way
// at the same moment, and how long the last ones may take when the node stops.
const (
	keepQueue = 8192
	keepBatch = 256
	keepLast  = 2 * time.Second
)

// KeepStats is a look at what keeps records, for gauges.
type KeepStats struct {
	// Kept counts the records that are stored, Lost those that found the queue
	// full, were refused, or were left when the node stopped.
	Kept, Lost int64
	// Waiting is how many wait to be stored.
	Waiting int
}

// keeper stores records soon, in the order in which they came, without making
// anybody wait.
type keeper struct {
	js     jetstream.JetStream
	what   string
	logger *slog.Logger
	// linger is how long a record waits for others to be stored with.
	linger time.Duration

	queue      chan record
	kept, lost atomic.Int64
}

// record is a value that is stored as JSON. One with an id is stored once,
// however often it is published. Listed ones are stored as the elements of an
// array, with the next ones for the same subject: an append of its own for each
// would cost as much as the event it is about.
type record struct {
	subject, id string
	value       any
	listed      bool

	data  []byte // the JSON, once the record is about to be stored
	count int64  // of the records in it
}

// keepBytes bounds what is stored together.
const keepBytes = 64 << 10

func newKeeper(n *NATS, what string, logger *slog.Logger) (*keeper, error) {
	// Else the library waits for ever for what is not answered, until too much is.
	js, err := jetstream.New(n.conn, jetstream.WithPublishAsyncTimeout(attemptTime))
	if err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return &keeper{js: js, what: what, logger: logger, queue: make(chan record, keepQueue)}, nil
}

// put never waits; what finds the queue full is lost.
func (k *keeper) put(r record) {
	select {
	case k.queue <- r:
	default:
		k.lost.Add(1)
	}
}

func (k *keeper) stats() KeepStats {
	return KeepStats{Kept: k.kept.Load(), Lost: k.lost.Load(), Waiting: len(k.queue)}
}

// run stores what comes until ctx ends, and then what is left, for two seconds
// at most.
func (k *keeper) run(ctx context.Context) error {
	defer k.js.CleanupPublisher()
	for {
		select {
		case r := <-k.queue:
			if batch := k.store(ctx, k.gather(ctx, r)); len(batch) > 0 {
				k.finish(ctx, batch)
				return nil
			}
		case <-ctx.Done():
			k.finish(ctx, nil)
			return nil
		}
	}
}

// finish stores what is left.
func (k *keeper) finish(ctx context.Context, batch []record) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepLast)
	defer cancel()
	for {
		batch = k.store(last, batch)
		if len(batch) > 0 {
			break
		}
		select {
		case r := <-k.queue:
			batch = k.gather(ctx, r)
			continue
		default:
		}
		return
	}
	lost := sum(batch) + int64(len(k.queue))
	k.lost.Add(lost)
	k.logger.WarnContext(ctx, "records are lost because the node stops", slog.String("of", k.what), slog.Int64("lost", lost))
}

// gather makes a batch of a record and of what comes while it lingers; when ctx
// has ended, of what is there.
func (k *keeper) gather(ctx context.Context, r record) []record {
	batch := []record{r}
	late := time.NewTimer(k.linger)
	defer late.Stop()
	for len(batch) < keepBatch {
		select {
		case r = <-k.queue:
			batch = append(batch, r)
			continue
		default:
		}
		select {
		case r = <-k.queue:
			batch = append(batch, r)
		case <-late.C:
			return k.encode(batch)
		case <-ctx.Done():
			return k.encode(batch)
		}
	}
	return k.encode(batch)
}

// encode makes the messages of records. One that cannot be encoded is lost, and
// nothing else with it.
func (k *keeper) encode(batch []record) []record {
	messages := batch[:0]
	for _, r := range batch {
		data, err := encode(r.value)
		if err != nil {
			k.lose(err, 1)
			continue
		}
		if n := len(messages) - 1; r.listed && n >= 0 && messages[n].listed && messages[n].subject == r.subject && len(messages[n].data)+len(data) < keepBytes {
			last := &messages[n]
			last.data = append(append(append(last.data[:len(last.data)-1], ','), data...), ']')
			last.count++
			continue
		}
		if r.listed {
			data = append(append([]byte{'['}, data...), ']')
		}
		r.value, r.data, r.count = nil, data, 1
		messages = append(messages, r)
	}
	return messages
}

func (k *keeper) lose(err error, n int64) {
	k.lost.Add(n)
	k.logger.Error("record is refused and lost", slog.String("of", k.what), slog.Any("error", err))
}

// sum is how many records these messages hold.
func sum(messages []record) (n int64) {
	for _, r := range messages {
		n += r.count
	}
	return n
}

// store stores a batch, however long that takes, and returns what is left when
// ctx ends. After a failure it goes on with the first record that was not
// stored, and repeats those behind it: a later one must not be replaced by an
// earlier one.
func (k *keeper) store(ctx context.Context, batch []record) []record {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		stored, err := k.try(ctx, batch)
		k.kept.Add(sum(batch[:stored]))
		batch = batch[stored:]
		if len(batch) == 0 {
			return nil
		}
		if err != nil && refused(err) {
			k.lose(err, batch[0].count)
			batch = batch[1:]
			continue
		}
		if ctx.Err() != nil {
			return batch
		}
		k.logger.WarnContext(ctx, "records cannot be stored, will try again", slog.String("of", k.what), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return batch
		case <-time.After(pause):
		}
	}
}

// refused tells whether it is of no use to try again.
func refused(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadHeaderMsg) ||
		errors.As(err, &api) && api.Code >= 400 && api.Code < 500 && api.Code != 429
}

// try publishes a batch at once and returns how many records from the first one
// on are stored, and what was the matter with the next.
func (k *keeper) try(ctx context.Context, batch []record) (stored int, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, 0, len(batch))
	var publishErr error
	for _, r := range batch {
		var future jetstream.PubAckFuture
		if future, publishErr = k.publish(r); publishErr != nil {
			break
		}
		futures = append(futures, future)
	}
	for i, future := range futures {
		select {
		case <-future.Ok():
		case err = <-future.Err():
			return i, err
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return len(futures), publishErr
}

func (k *keeper) publish(r record) (jetstream.PubAckFuture, error) { //nolint:ireturn // the library's type
	msg := nats.NewMsg(r.subject)
	msg.Data = r.data
	if r.id != "" {
		msg.Header.Set(nats.MsgIdHdr, r.id)
	}
	return k.js.PublishMsgAsync(msg)
}
