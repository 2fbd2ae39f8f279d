package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// stateErasedSubject is where nodes tell each other whose state was erased: deletions
// are not among what a follower hears.
const stateErasedSubject = "tidings.control.state-erased"

// stateErasedForm says whose state was erased.
type stateErasedForm struct {
	Hub  string `json:"hub"`
	User string `json:"user"`
}

// Follow hands on every change from now on, in order, after Load knows it, until
// ctx ends. It is the one follower of the node: while it is connected, memory
// answers Load. A server that is away is waited for; the changes of meanwhile
// are handed on then.
func (s *States) Follow(ctx context.Context, deliver func(context.Context, notifications.Changed)) error {
	f := &stateFollower{States: s, deliver: deliver}
	again(ctx, s.o.Logger, "following states", f.once)
	return nil
}

// stateFollower is what Follow knows.
type stateFollower struct {
	*States

	deliver func(context.Context, notifications.Changed)
	epoch   uint64 // of the stream; 0 = it was never seen
	head    uint64 // the newest sequence that was handed on
}

var errDisconnected = errors.New("connection to NATS lost")

// once follows until something breaks.
func (f *stateFollower) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer f.cache.detach()
	// What the connection loses is noticed before anything else can be heard:
	// nobody says afterwards whose state was erased meanwhile.
	lost := f.nats.conn.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer f.nats.conn.RemoveStatusListener(lost)
	erased, err := f.nats.conn.Subscribe(stateErasedSubject, f.hearErased)
	if err != nil {
		return fmt.Errorf("follow erased states: %w", err)
	}
	defer func() { _ = erased.Unsubscribe() }() // the connection may be gone
	end, err := f.place(ctx)
	if err != nil {
		return err
	}
	consumer, err := f.nats.js.OrderedConsumer(ctx, f.stream.CachedInfo().Config.Name, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.head + 1,
	})
	if err != nil {
		return fmt.Errorf("follow states after %d: %w", f.head, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullMessages), jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry))
	if err != nil {
		return fmt.Errorf("follow states after %d: %w", f.head, err)
	}
	incoming := make(chan jetstream.Msg) // full: the pull waits
	broken := make(chan error, 2)        // room for both, so that they can end
	var both sync.WaitGroup
	f.cache.attach(f.head, end)
	both.Go(func() { broken <- pump(ctx, messages, incoming) })
	both.Go(func() { broken <- f.watch(ctx, lost) })
	defer func() {
		cancel()
		messages.Stop()
		both.Wait()
	}()
	for {
		select {
		case msg := <-incoming:
			if err = f.note(ctx, msg); err != nil {
				return err
			}
		case err = <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch sees to it that memory is not trusted for longer than it may be, however
// long deliver takes: the library makes a consumer anew that has gone, without a
// word, while the stream grows and this follower does not.
func (f *stateFollower) watch(ctx context.Context, lost <-chan nats.Status) error {
	defer f.cache.detach()
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-lost:
			return errDisconnected
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			heard := f.cache.position()
			epoch, end, err := f.look(ctx)
			if err != nil {
				return err
			}
			if epoch != f.epoch || end < heard {
				return errWentBack
			}
			f.cache.reach(end)
		}
	}
}

var errWentBack = errors.New("the stream of states was made anew, or has lost its end")

// look returns what identifies the stream and where it ends.
func (f *stateFollower) look(ctx context.Context) (epoch, end uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	stream, err := f.nats.js.Stream(ctx, f.stream.CachedInfo().Config.Name)
	if err != nil {
		return 0, 0, fmt.Errorf("stream of states: %w", err)
	}
	info := stream.CachedInfo()
	epoch, err = epochOf(info)
	return epoch, info.State.LastSeq, err
}

// place finds where to go on, and returns where the stream ends. One that was
// made anew, or has lost its end, is followed from there.
func (f *stateFollower) place(ctx context.Context) (uint64, error) {
	epoch, end, err := f.look(ctx)
	if err != nil {
		return 0, err
	}
	if f.epoch != 0 && (epoch != f.epoch || end < f.head) {
		f.o.Logger.ErrorContext(ctx, "the states have lost their end: what users did last is lost",
			slog.Uint64("read", f.head), slog.Uint64("end", end))
	}
	if epoch != f.epoch || end < f.head {
		f.epoch, f.head = epoch, end
	}
	return end, nil
}

// note takes one message in: memory has it before anybody is told.
func (f *stateFollower) note(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("follow states: %w", err)
	}
	sequence := meta.Sequence.Stream
	if sequence <= f.head {
		return nil // the consumer was made anew
	}
	f.head = sequence
	hub, to, err := parseSubject(statePrefix, msg.Subject())
	var m stateMessage
	if err == nil {
		m, err = readState(msg.Data(), msg.Headers(), sequence, meta.Timestamp)
	}
	if err != nil {
		f.cache.skip(msg.Subject(), sequence)
		f.o.Logger.WarnContext(ctx, "state cannot be read", slog.String("subject", msg.Subject()), slog.Any("error", err))
		return nil
	}
	f.cache.hear(msg.Subject(), hub, to.Key, m)
	f.deliver(ctx, m.changed(hub, to.Key))
	return nil
}

func (f *stateFollower) hearErased(msg *nats.Msg) {
	var who stateErasedForm
	if err := json.Unmarshal(msg.Data, &who); err != nil {
		f.o.Logger.Warn("message about an erased state cannot be read", slog.Any("error", err))
		return
	}
	f.cache.drop(stateSubject(who.Hub, who.User))
}

// Erase implements notifications.States. What is stored is overwritten.
func (s *States) Erase(ctx context.Context, hub, user string) error {
	if err := notifications.ToUser(user).Validate(); err != nil {
		return fmt.Errorf("erase state: %w", err)
	}
	subject := stateSubject(hub, user)
	defer s.cache.drop(subject) // whatever was deleted
	// The last message goes first, so that what is left is always the state of
	// some moment. Changes that come meanwhile go too.
	raw, err := s.last(ctx, subject)
	for ; err == nil; raw, err = s.last(ctx, subject) {
		if err = s.erase(ctx, raw.Sequence); err != nil {
			break
		}
	}
	if !errors.Is(err, errNoMessage) {
		return fmt.Errorf("erase state of %s: %w", user, err)
	}
	data, err := json.Marshal(stateErasedForm{hub, user})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if err = s.nats.conn.Publish(stateErasedSubject, data); err == nil {
		err = s.nats.conn.FlushWithContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("erase state of %s: tell other nodes: %w", user, unreachable(err))
	}
	return nil
}
