package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// The measures of what takes due events: the name of the consumer that all
// nodes share, how many events a node appends at the same moment, after which
// time another node takes over, and the longest pause before an event that could
// not be appended is tried again.
const (
	dueConsumer = "tidings-due"
	dueWorkers  = 16
	dueWait     = 30 * time.Second
	dueMost     = time.Minute
)

// Run appends events whose time has come, until ctx ends. All nodes run it, and
// each event is appended by one of them. Events that are due at the same time
// have no order among themselves. A server that is away is waited for.
func (s *Schedules) Run(ctx context.Context) error {
	if s.due.Log == nil {
		return errors.New("scheduled events: no log to append them to")
	}
	again(ctx, s.o.Logger, "taking due events", s.takeDue)
	return nil
}

// takeDue takes due events until something breaks.
func (s *Schedules) takeDue(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	consumer, err := s.nats.js.CreateOrUpdateConsumer(ctx, s.stream.CachedInfo().Config.Name, jetstream.ConsumerConfig{
		Durable: dueConsumer, FilterSubject: duePrefix + ">",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.due.TakeOver, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("consumer of due events: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(dueWorkers), jetstream.PullHeartbeat(pullHeartbeat), jetstream.PullExpiry(pullExpiry))
	if err != nil {
		return fmt.Errorf("consumer of due events: %w", err)
	}
	incoming := make(chan jetstream.Msg) // full: the pull waits
	broken := make(chan error, 1)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		defer close(incoming)
		broken <- pull(ctx, messages, incoming)
	})
	for range dueWorkers {
		all.Go(func() {
			for msg := range incoming {
				s.handle(ctx, msg)
			}
		})
	}
	return <-broken
}

// drainMost is how long a node that ends gives back what it has pulled.
const drainMost = time.Second

// pull moves due messages to the workers. When ctx ends, those that wait in this
// process are moved too: they are given back at once, and do not have to wait
// until another node takes over.
func pull(ctx context.Context, messages jetstream.MessagesContext, to chan<- jetstream.Msg) error {
	defer messages.Stop()
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		messages.Drain()
		timer := time.AfterFunc(drainMost, cancel)
		context.AfterFunc(last, func() { timer.Stop() })
	})()
	for {
		msg, err := messages.Next(jetstream.NextContext(last))
		if err != nil {
			return fmt.Errorf("due events: %w", err)
		}
		to <- msg // there is always a worker
	}
}

// handle appends what a trigger is about, or sees to it that it comes back.
func (s *Schedules) handle(ctx context.Context, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err == nil {
		err = s.settle(ctx, msg)
	}
	if err == nil {
		err = s.remove(ctx, meta.Sequence.Stream)
	}
	if err == nil {
		_ = msg.Ack() // a message that was deleted does not come back
		return
	}
	if ctx.Err() != nil {
		_ = msg.Nak() // for another node
		return
	}
	s.o.Logger.WarnContext(ctx, "due event is not appended yet, will try again", slog.String("subject", msg.Subject()), slog.Any("error", err))
	pause := dueMost
	if meta != nil && meta.NumDelivered < 6 {
		pause = time.Second << meta.NumDelivered
	}
	_ = msg.NakWithDelay(pause) // else it comes back by itself
}

// settle looks at what has become of the event a trigger was made for, and
// appends it if that is to be done.
func (s *Schedules) settle(ctx context.Context, msg jetstream.Msg) error {
	hub, id, err := parseDue(msg.Subject())
	var trigger triggerForm
	if err == nil {
		err = json.Unmarshal(msg.Data(), &trigger)
	}
	if err != nil {
		s.o.Logger.ErrorContext(ctx, "due message cannot be read and is dropped", slog.String("subject", msg.Subject()), slog.Any("error", err))
		return nil
	}
	is, err := s.take(ctx, hub, id, trigger.Nonce)
	if err != nil || is.State != taken {
		return err
	}
	position, err := s.appendDue(ctx, hub, is)
	if err != nil {
		return err
	}
	_, err = s.set(ctx, hub, id, is.sequence, place{State: done, Nonce: is.Nonce, At: is.At, Position: position})
	if errors.Is(err, errLast) {
		return nil // another node was faster
	}
	return err
}

func parseDue(subject string) (hub, id string, err error) {
	tokens := strings.Split(strings.TrimPrefix(subject, duePrefix), ".")
	if len(tokens) != 2 {
		return "", "", fmt.Errorf("subject: want %s<hub>.<id>", duePrefix)
	}
	if hub, err = DecodeToken(tokens[0]); err != nil {
		return "", "", fmt.Errorf("subject: hub: %w", err)
	}
	if id, err = DecodeToken(tokens[1]); err != nil {
		return "", "", fmt.Errorf("subject: id: %w", err)
	}
	return hub, id, nil
}

// claim is a place as a node found or left it.
type claim struct {
	place

	sequence uint64
}

// take makes an event that waits one that can no longer be canceled. What it
// returns is taken only if the event is to be appended.
func (s *Schedules) take(ctx context.Context, hub, id, nonce string) (claim, error) {
	for {
		is, sequence, err := s.at(ctx, hub, id)
		if err != nil || is.Nonce != nonce {
			return claim{}, err
		}
		if is.State != waiting {
			return claim{is, sequence}, nil
		}
		is.State = taken
		sequence, err = s.set(ctx, hub, id, sequence, is)
		if errors.Is(err, errLast) {
			continue
		}
		return claim{is, sequence}, err
	}
}

// appendDue appends an event, unless it has expired or the log has it: another
// node may have died after it had appended it, or a server that was killed may
// have forgotten that it was taken.
func (s *Schedules) appendDue(ctx context.Context, hub string, is claim) (notifications.Position, error) {
	if is.Event.Expired(time.Now()) {
		return 0, nil
	}
	if s.due.Held != nil {
		held, err := s.due.Held(ctx, hub, is.Event.ID)
		if err != nil || held {
			return 0, err
		}
	}
	receipt, err := s.due.Log.Append(ctx, hub, *is.Event)
	if invalid, refused := errors.AsType[*notifications.InvalidError](err); refused {
		s.o.Logger.ErrorContext(ctx, "due event is refused and dropped", slog.String("id", is.Event.ID), slog.Any("reason", invalid))
		return 0, nil
	}
	return receipt.Position, err
}
