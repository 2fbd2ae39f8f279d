package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// The shape of the calls: connections, and how many calls of each are under way
// in the second run.
const (
	callers = 64
	deep    = 16
)

// echo calls a method that answers with its argument: one call after the other
// on each connection, and then many at a time.
func (l load) echo(how calls) func(context.Context, *server) (figures, error) {
	return func(ctx context.Context, s *server) (figures, error) {
		single, err := l.callAll(ctx, s, how, 1)
		if err != nil {
			return nil, fmt.Errorf("1 call at a time: %w", err)
		}
		many, err := l.callAll(ctx, s, how, deep)
		if err != nil {
			return nil, fmt.Errorf("%d calls at a time: %w", deep, err)
		}
		n := len(single.latencies)
		return figures{
			"connections":           callers,
			"calls/s":               single.rate,
			"p50 ms":                milliseconds(single.latencies[n/2]),
			"p99 ms":                milliseconds(single.latencies[n*99/100]),
			"calls/s, 16 at a time": many.rate,
		}, nil
	}
}

// called is what became of the calls of all connections.
type called struct {
	rate      float64 // answers per second
	latencies []time.Duration
}

func (l load) callAll(ctx context.Context, s *server, how calls, atOnce int) (called, error) {
	all := make([]*caller, callers)
	for i := range all {
		var err error
		if all[i], err = newCaller(ctx, s, how); err != nil {
			return called{}, err
		}
		defer all[i].socket.Close() //nolint:errcheck // it is over
	}
	began := time.Now()
	group := errgroup.Group{}
	for i, c := range all {
		group.Go(func() error {
			if err := c.run(atOnce, began.Add(l.seconds)); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
			return nil
		})
	}
	err := group.Wait()
	took := time.Since(began)
	var sum called
	for _, c := range all {
		sum.latencies = append(sum.latencies, c.latencies...)
	}
	slices.Sort(sum.latencies)
	sum.rate = float64(len(sum.latencies)) * perSecond / float64(took)
	return sum, err
}

// caller calls over a connection of its own. Calls are answered in order.
type caller struct {
	socket *socket
	how    calls
	opcode byte
	rest   []byte // records that came with the answer to the handshake

	sent      []time.Time // of the calls under way, by id modulo their number
	calls     int         // made
	latencies []time.Duration

	record, frames, want []byte // used again and again
}

func newCaller(ctx context.Context, s *server, how calls) (*caller, error) {
	d, err := s.door("")
	if err != nil {
		return nil, err
	}
	socket, err := openSocket(ctx, d, "")
	if err != nil {
		return nil, err
	}
	name, opcode := how.protocol()
	c := &caller{socket: socket, how: how, opcode: opcode}
	if err := c.shake(ctx, name); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return c, nil
}

// shake asks for a protocol. The answer is text, whatever the protocol.
func (c *caller) shake(ctx context.Context, protocol string) error {
	if err := c.socket.say(ctx, handshake(protocol, 1)); err != nil {
		return err
	}
	message, err := c.socket.next()
	if err != nil {
		return err
	}
	answer, rest, _ := bytes.Cut(message, []byte{ends})
	if string(answer) != "{}" {
		return fmt.Errorf("handshake: %s", answer)
	}
	c.rest = bytes.Clone(rest)
	return nil
}

// run keeps some calls under way until the time has come, and waits for the
// answers to all of them.
func (c *caller) run(atOnce int, end time.Time) error {
	if err := c.socket.SetDeadline(end.Add(patience)); err != nil {
		return err
	}
	c.sent = make([]time.Time, atOnce)
	for range atOnce {
		c.call(time.Now())
	}
	records := c.rest
	for {
		if err := c.hear(records, end); err != nil {
			return err
		}
		if err := c.send(); err != nil {
			return err
		}
		if len(c.latencies) == c.calls {
			return nil
		}
		var err error
		if records, err = c.socket.next(); err != nil {
			return fmt.Errorf("%d of %d answered: %w", len(c.latencies), c.calls, err)
		}
	}
}

// call makes a call, in a frame of its own as the official clients do.
func (c *caller) call(now time.Time) {
	c.sent[c.calls%len(c.sent)] = now
	c.record = c.how.call(c.record[:0], c.calls)
	c.frames = appendFrame(c.frames, c.opcode, c.record)
	c.calls++
}

func (c *caller) send() error {
	if len(c.frames) == 0 {
		return nil
	}
	_, err := c.socket.Write(c.frames)
	c.frames = c.frames[:0]
	return err
}

// hear makes another call for each answer. Pings, and what the program says to
// everybody who comes, are passed over.
func (c *caller) hear(records []byte, end time.Time) error {
	for len(records) > 0 {
		record, rest, err := c.how.next(records)
		if err != nil {
			return fmt.Errorf("%w: %q", err, records)
		}
		records = rest
		switch c.how.kind(record) {
		case kindClose:
			return fmt.Errorf("closed by the server: %q", record)
		case kindCompletion:
			if err := c.answered(record, end); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *caller) answered(record []byte, end time.Time) error {
	id := len(c.latencies)
	c.want = c.how.answer(c.want[:0], id)
	if !bytes.Equal(record, c.want) {
		return fmt.Errorf("answer to call %d: %q, want %q", id, record, c.want)
	}
	now := time.Now()
	c.latencies = append(c.latencies, now.Sub(c.sent[id%len(c.sent)]))
	if now.Before(end) {
		c.call(now)
	}
	return nil
}
