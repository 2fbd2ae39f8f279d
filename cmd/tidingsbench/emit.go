//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/cmd/tidingsbench/fleet"
)

// dialers is how many requests are under way at once where that is not what is
// measured.
const dialers = 16

// people adds clients, one for each person, and their recipients. They have yet
// to connect; what was told before is not expected of them.
func (b *bench) people(ctx context.Context, all []person) ([]*fleet.Client, error) {
	requests, err := b.admit(ctx, all)
	if err != nil {
		return nil, err
	}
	return b.join(all, requests), nil
}

// admit prepares the requests of people.
func (b *bench) admit(ctx context.Context, all []person) ([]request, error) {
	requests := make([]request, len(all))
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(dialers)
	for i, p := range all {
		group.Go(func() (err error) {
			requests[i], err = b.server.admit(inGroup, p)
			return err
		})
	}
	return requests, group.Wait()
}

// join adds clients to the fleet.
func (b *bench) join(all []person, requests []request) []*fleet.Client {
	clients := make([]*fleet.Client, len(all))
	for i, p := range all {
		recipients := []uint32{toEveryone, b.ledger.number("user/" + p.user)}
		for _, channel := range p.channels() {
			recipients = append(recipients, b.ledger.number(channel))
		}
		clients[i] = b.fleet.Add(fleet.Spec{Request: requests[i], Recipients: recipients})
		for _, recipient := range recipients {
			clients[i].Expect(recipient, b.ledger.enlist(recipient))
		}
	}
	return clients
}

// crowd connects users that hold nothing, user/from and so on.
func (b *bench) crowd(ctx context.Context, from, n int) ([]*fleet.Client, error) {
	all := make([]person, n)
	for i := range all {
		all[i].user = fmt.Sprint(from + i)
	}
	clients, err := b.people(ctx, all)
	if err != nil {
		return nil, err
	}
	return clients, b.connect(ctx, clients)
}

// connect gives everybody patience, and as much again as many need.
func (b *bench) connect(ctx context.Context, clients []*fleet.Client) error {
	ctx, cancel := context.WithTimeout(ctx, b.patience+time.Duration(len(clients))*time.Millisecond)
	defer cancel()
	return b.fleet.Connect(ctx, clients)
}

// emit tells an event to each of some recipients, and returns when the server
// has acknowledged all of them. When is what latencies count from.
func (b *bench) emit(ctx context.Context, when time.Time, to ...uint32) error {
	if err := b.server.publish(ctx, b.ledger.write(b.server.toField, b.size, when, to), len(to)); err != nil {
		return err
	}
	b.ledger.note(to)
	return nil
}

// room waits until at most slack deliveries are to come.
func (b *bench) room(ctx context.Context, slack int) error {
	due, some := b.ledger.due(), uint64(slack) //nolint:gosec // not negative
	if due <= some {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	if err := b.fleet.WaitHeard(ctx, due-some); err != nil {
		return fmt.Errorf("heard %d of %d: %w", b.fleet.Heard(), due, err)
	}
	return nil
}

// tell emits now, and waits until at most slack deliveries are to come.
func (b *bench) tell(ctx context.Context, slack int, to ...uint32) error {
	if err := b.emit(ctx, time.Now(), to...); err != nil {
		return err
	}
	return b.room(ctx, slack)
}

// again does something again and again, as long as a load lasts.
func (b *bench) again(do func() error) error {
	for end := time.Now().Add(b.seconds); time.Now().Before(end); {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// flood emits batches as fast as they are acknowledged and, but for slack
// deliveries, heard. Each emitter has recipients of its own.
func (b *bench) flood(ctx context.Context, recipients []uint32, slack int) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, own := range shares(recipients, b.emitters) {
		group.Go(func() error {
			next, to := around(own), make([]uint32, b.batch)
			return b.again(func() error {
				for i := range to {
					to[i] = next()
				}
				return b.tell(ctx, slack, to...)
			})
		})
	}
	return group.Wait()
}

// supply emits once to each of some recipients, a number of times, in order.
func (b *bench) supply(ctx context.Context, recipients []uint32, times int) error {
	const batch = 500
	group, ctx := errgroup.WithContext(ctx)
	for _, own := range shares(recipients, dialers) {
		group.Go(func() error {
			next := around(own)
			for left := len(own) * times; left > 0; {
				to := make([]uint32, min(batch, left))
				for i := range to {
					to[i] = next()
				}
				if err := b.emit(ctx, time.Now(), to...); err != nil {
					return err
				}
				left -= len(to)
			}
			return nil
		})
	}
	return group.Wait()
}

// shares divides recipients among emitters; there are no empty shares.
func shares(recipients []uint32, emitters int) [][]uint32 {
	all := make([][]uint32, min(emitters, len(recipients)))
	for i, r := range recipients {
		all[i%len(all)] = append(all[i%len(all)], r)
	}
	return all
}

// around goes through recipients again and again.
func around(recipients []uint32) func() uint32 {
	next := -1
	return func() uint32 {
		next = (next + 1) % len(recipients)
		return recipients[next]
	}
}

// rhythm says when a paced emitter emits, and how much.
type rhythm struct {
	rate float64 // events per second
	tick time.Duration
}

// newRhythm emits every few milliseconds, or event by event if they are rarer.
func newRhythm(rate float64) rhythm {
	const often = 5 * time.Millisecond
	return rhythm{rate, max(often, time.Duration(float64(time.Second)/rate))}
}

// until is how many events are to be out at a tick, the first of which is 1.
func (r rhythm) until(tick int) int {
	return int(r.rate*(time.Duration(tick)*r.tick).Seconds() + 0.5)
}

// stream is what a paced emitter does: events per second, around recipients
// that are its own.
type stream struct {
	rate float64
	to   []uint32
}

// evenly divides a rate and its recipients among the emitters.
func (b *bench) evenly(rate float64, recipients []uint32) []stream {
	own := shares(recipients, b.emitters)
	all := make([]stream, len(own))
	for i, to := range own {
		all[i] = stream{rate / float64(len(own)), to}
	}
	return all
}

// paces runs several emitters at their rates until stop is called, which
// returns what went wrong once all that was due by then is out.
func (b *bench) paces(ctx context.Context, streams ...stream) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	var end time.Time
	for _, s := range streams {
		group.Go(func() error { return b.pace(ctx, s, &end) })
	}
	return func() error {
		end = time.Now()
		cancel()
		return group.Wait()
	}
}

// pace emits until the context is done, and then what was due before the end.
// Latencies count from the moment an event is due if the emitter is late
// because the server took its time: what waits outside waits all the same.
func (b *bench) pace(ctx context.Context, s stream, end *time.Time) error {
	r, next := newRhythm(s.rate), around(s.to)
	began, out := time.Now(), 0
	for tick := 1; ; tick++ {
		when, on := waitUntil(ctx, began.Add(time.Duration(tick-1)*r.tick), end)
		if !on {
			return nil
		}
		if late := time.Since(when); late > b.patience {
			return fmt.Errorf("the pace of %.0f events/s was not kept: %v behind", s.rate, late)
		}
		to := make([]uint32, r.until(tick)-out)
		for i := range to {
			to[i] = next()
		}
		out += len(to)
		if len(to) == 0 {
			continue
		}
		if err := b.emit(context.WithoutCancel(ctx), when, to...); err != nil {
			return err
		}
	}
}

// waitUntil waits until something is due, and returns when that was: now, or in
// the past if there was nothing to wait for. It is not on if it is due after
// the end, which is there when the context is done.
func waitUntil(ctx context.Context, due time.Time, end *time.Time) (when time.Time, on bool) {
	wait := time.Until(due)
	if wait <= 0 {
		return due, ctx.Err() == nil || !due.After(*end)
	}
	select {
	case <-time.After(wait):
		return time.Now(), true
	case <-ctx.Done():
		return due, false
	}
}
