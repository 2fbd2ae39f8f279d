//go:build linux

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

// invoke calls a method that answers with its argument, in both encodings: one
// call after the other on each connection, and then many at a time.
func invoke(ctx context.Context, b *bench) error {
	b.line.Server = "conformance"
	b.parameter("connections", callers)
	for _, how := range []calls{jsonCalls{}, packCalls{}} {
		for _, atOnce := range []int{1, deep} {
			name, _ := how.protocol()
			if err := b.callAll(ctx, how, atOnce, fmt.Sprintf("%s, %d at once ", name, atOnce)); err != nil {
				return fmt.Errorf("%s, %d calls at a time: %w", name, atOnce, err)
			}
		}
	}
	return nil
}

// callAll measures calls to a server of their own.
func (b *bench) callAll(ctx context.Context, how calls, atOnce int, prefix string) error {
	return b.alone(ctx, b.startConformance, func() error {
		all := make([]*caller, callers)
		for i := range all {
			var err error
			if all[i], err = newCaller(ctx, b.server, how); err != nil {
				return err
			}
			defer all[i].socket.Close() //nolint:errcheck // it is over
		}
		return b.run(ctx, all, atOnce, prefix)
	})
}

// run lets all call until the time is over.
func (b *bench) run(ctx context.Context, all []*caller, atOnce int, prefix string) error {
	spent, err := b.phase(ctx, func() error {
		end := time.Now().Add(b.seconds)
		group := errgroup.Group{}
		for i, c := range all {
			group.Go(func() error {
				if err := c.run(atOnce, end); err != nil {
					return fmt.Errorf("connection %d: %w", i, err)
				}
				return nil
			})
		}
		return group.Wait()
	})
	if err != nil {
		return err
	}
	var latencies []time.Duration
	for _, c := range all {
		latencies = append(latencies, c.latencies...)
	}
	slices.Sort(latencies)
	b.set(prefix+"calls/s", perSecond(uint64(len(latencies)), spent.took))
	return b.latencies(prefix, latencies)
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

func newCaller(ctx context.Context, s *target, how calls) (*caller, error) {
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
