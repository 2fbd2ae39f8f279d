package persistence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// The measures of following. A pull of 2,000 and more keeps up where the
// library's default of 500 does not.
const (
	pullMessages  = 4000
	pullHeartbeat = time.Second
	pullExpiry    = 5 * time.Second
	batchEntries  = 512
	checkEvery    = 2 * time.Second
	retryFirst    = 50 * time.Millisecond
	retryMost     = 2 * time.Second
)

// ErrLogWentBack says that the log has lost its end and uses positions anew: a
// restored backup, or a power failure without SyncAlways. The node must start
// over, because what it has told its connections is no longer true.
var ErrLogWentBack = errors.New("the log has lost its end")

// Follow reads the log in order, notes it in the index and the tail and hands
// it on, batch by batch; batches of what was there before Ready have no entries,
// because nobody can be connected who has not read it. It is the one follower
// of the node and returns when ctx ends. A server that is away is waited for;
// nothing is lost meanwhile.
func (l *Log) Follow(ctx context.Context, deliver func(context.Context, notifications.Batch) error) error {
	obeying, err := l.nats.conn.Subscribe(eventsErasedSubject, func(msg *nats.Msg) { l.obey(ctx, msg.Data) })
	if err != nil {
		return fmt.Errorf("follow erasures: %w", err)
	}
	defer func() { _ = obeying.Unsubscribe() }() // the connection may be gone
	rejecting := make(chan struct{})
	go func() {
		defer close(rejecting)
		l.storeRejects(ctx)
	}()
	defer func() { <-rejecting }()
	pause := retryFirst
	for {
		began := time.Now()
		err = l.followOnce(ctx, deliver)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrLogWentBack):
			return err
		}
		l.setHealth(err)
		l.o.Logger.WarnContext(ctx, "log cannot be followed, will try again", slog.Any("error", err))
		if time.Since(began) > retryMost {
			pause = retryFirst
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
	}
}

// followOnce follows until something breaks.
func (l *Log) followOnce(ctx context.Context, deliver func(context.Context, notifications.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := l.check(ctx); err != nil {
		return err
	}
	consumer, err := l.nats.js.OrderedConsumer(ctx, l.o.Stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   uint64(l.index.head()) + 1,
	})
	if err != nil {
		return fmt.Errorf("follow after %d: %w", l.index.head(), err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullMessages), jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry))
	if err != nil {
		return fmt.Errorf("follow after %d: %w", l.index.head(), err)
	}
	incoming := make(chan jetstream.Msg, pullMessages) // full: the pull waits
	pumped := make(chan error, 1)
	go func() { pumped <- pump(ctx, messages, incoming) }()
	defer func() {
		cancel()
		messages.Stop()
		<-pumped //nolint:errcheck // it was returned, or it is that we have stopped
	}()
	return l.take(ctx, incoming, pumped, deliver)
}

// pump moves messages from the library's iterator to a channel, which can be
// emptied without waiting.
func pump(ctx context.Context, messages jetstream.MessagesContext, to chan<- jetstream.Msg) error {
	for {
		msg, err := messages.Next()
		if err != nil {
			return fmt.Errorf("follow: %w", err)
		}
		select {
		case to <- msg:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) take(ctx context.Context, incoming <-chan jetstream.Msg, pumped chan error, deliver func(context.Context, notifications.Batch) error) error {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case msg := <-incoming:
			history := !l.isReady()
			batch, err := l.gather(ctx, msg, incoming)
			if err != nil {
				return err
			}
			if history {
				batch.Entries = nil // nobody can be connected yet
			}
			if err := deliver(ctx, batch); err != nil {
				return err
			}
			l.setHealth(nil)
		case <-ticker.C:
			if err := l.check(ctx); err != nil {
				return err
			}
			l.setHealth(nil)
		case err := <-pumped:
			pumped <- err // for followOnce
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather makes a batch of a message and of what has come in meanwhile. One that
// makes the log ready ends there: it is history, what follows is not.
func (l *Log) gather(ctx context.Context, msg jetstream.Msg, incoming <-chan jetstream.Msg) (notifications.Batch, error) {
	var b notifications.Batch
	history := !l.isReady()
	for n := 1; ; n++ {
		if err := l.note(ctx, msg, &b); err != nil {
			return b, err
		}
		if n == batchEntries || history && l.isReady() {
			return b, nil
		}
		select {
		case msg = <-incoming:
		default:
			return b, nil
		}
	}
}

// note takes one message in: the index and the tail have it before anybody is
// told.
func (l *Log) note(ctx context.Context, msg jetstream.Msg, b *notifications.Batch) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	p := notifications.Position(meta.Sequence.Stream)
	head := l.index.head()
	if p <= head {
		return nil // the consumer was made anew
	}
	if p > head+1 && l.isReady() {
		lost, overtakenErr := l.overtaken(ctx, head)
		if overtakenErr != nil {
			return overtakenErr
		}
		b.Lost = b.Lost || lost
	}
	s := stored{subject: msg.Subject(), header: msg.Headers(), data: msg.Data(), position: p, at: meta.Timestamp}
	entry, err := l.o.entry(s)
	if err != nil {
		l.reject(s, err)
		l.index.add(p, s.at, nil)
	} else if l.keep(entry) {
		b.Entries = append(b.Entries, entry)
	}
	l.counts.followed.Add(1)
	b.UpTo = p
	if meta.NumPending == 0 {
		l.readyOnce.Do(func() { close(l.ready) })
	}
	return nil
}

// keep notes an event in the tail and the index, unless it was erased while it
// was on its way.
func (l *Log) keep(e *notifications.Entry) bool {
	l.tail.add(e)
	kept := l.index.add(e.Position, e.Stored, e)
	if !kept {
		l.tail.forget(address{e.Hub, e.Event.Recipient}, e.Position)
	}
	return kept
}

func (l *Log) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// overtaken tells what a hole in the positions is, when the node has read up to
// head: events that have expired, which is nobody's loss, or events that the
// retention of the log has dropped before this node could read them.
func (l *Log) overtaken(ctx context.Context, head notifications.Position) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if err := l.refreshFirst(ctx); err != nil {
		return false, err
	}
	first := l.firstRetained()
	if first <= head+1 {
		return false, nil
	}
	l.o.Logger.ErrorContext(ctx, "this node fell behind the retention of the log",
		slog.Uint64("read", uint64(head)), slog.Uint64("first", uint64(first)))
	return true, nil
}

// check compares what the node believes with the stream as it is: its epoch,
// where it begins and where it ends.
func (l *Log) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	stream, err := l.nats.js.Stream(ctx, l.o.Stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", l.o.Stream, err)
	}
	info := stream.CachedInfo()
	epoch, err := epochOf(info)
	if err != nil {
		return err
	}
	head := l.index.head()
	first, last := notifications.Position(info.State.FirstSeq), notifications.Position(info.State.LastSeq)
	l.counts.last.Store(info.State.LastSeq)
	l.counts.bytes.Store(int64(info.State.Bytes)) //nolint:gosec // disks are smaller
	l.counts.bound.Store(max(info.Config.MaxBytes, 0))
	if epoch != l.State().Epoch {
		l.o.Logger.ErrorContext(ctx, "the log was made anew: all positions start over", slog.String("stream", l.o.Stream))
		l.startOver(epoch, first)
		return errNewEpoch
	}
	if last < head {
		return fmt.Errorf("%w: it ends at %d, this node has read %d", ErrLogWentBack, last, head)
	}
	// What was pending may have expired while the node was reading.
	atEnd := !l.isReady() && (info.State.Msgs == 0 || l.nothingPending(ctx, head))
	if atEnd && info.State.Msgs == 0 {
		l.index.reset(last)
	}
	l.setFirst(max(first, 1))
	if atEnd { // only now: who waits for it asks at once where the log begins
		l.readyOnce.Do(func() { close(l.ready) })
	}
	return nil
}

// nothingPending tells whether the log holds no message beyond head.
func (l *Log) nothingPending(ctx context.Context, head notifications.Position) bool {
	newest, err := l.stream.GetLastMsgForSubject(ctx, logPrefix+">")
	return errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && notifications.Position(newest.Sequence) <= head
}

var errNewEpoch = errors.New("the log was made anew")

func (l *Log) startOver(epoch uint64, first notifications.Position) {
	l.tail.reset()
	l.index.reset(max(first, 1) - 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.first = epoch, max(first, 1)
}

// setFirst follows the retention of the stream, but not beyond what this node
// has read: the messages behind that may be on their way.
func (l *Log) setFirst(first notifications.Position) {
	l.mu.Lock() // until both say the same: a reader must not miss what it was not told is gone
	defer l.mu.Unlock()
	l.first = max(l.first, l.index.trim(first))
}

func (l *Log) firstRetained() notifications.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
