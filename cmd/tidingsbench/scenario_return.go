//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/cmd/tidingsbench/fleet"
)

// replay cuts clients, tells each of them some events and lets all return at
// once, while a few others hear a steady stream. Before that, events for many
// users are in the log.
func replay(ctx context.Context, b *bench) error {
	if !b.server.recovers {
		return fmt.Errorf("%s does not tell what was missed", b.target)
	}
	rate := b.rate
	if rate == 0 {
		rate = 1000
	}
	b.parameter("connections", b.connections)
	b.parameter("missed", b.missed)
	b.parameter("live connections", b.live)
	b.parameter("live events/s", rate)
	b.parameter("preloaded", b.preload)
	b.parameter("size", b.size)
	users := max(b.users, b.connections)
	if err := b.supply(ctx, b.ledger.users(0, users), (b.preload+users-1)/users); err != nil {
		return err
	}
	away, err := b.crowd(ctx, 0, b.connections)
	if err != nil {
		return err
	}
	if _, err = b.crowd(ctx, users, b.live); err != nil {
		return err
	}
	present := stream{rate, b.ledger.users(users, b.live)}
	if err = b.during(ctx, "live quiet ", present, func() error { return wait(ctx, b.seconds) }); err != nil {
		return err
	}
	b.fleet.Cut(away)
	if err = b.supply(ctx, b.ledger.users(0, b.connections), b.missed); err != nil {
		return err
	}
	if err = b.returnAll(ctx, away, present); err != nil {
		return err
	}
	return b.complete(ctx)
}

// during measures what live clients hear while something happens, after which
// everybody has heard everything.
func (b *bench) during(ctx context.Context, prefix string, present stream, happens func() error) error {
	b.fleet.ResetSamples()
	stop := b.paces(ctx, present)
	err := happens()
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if err = b.room(ctx, 0); err != nil {
		return err
	}
	return b.latencies(prefix, b.fleet.Samples().Live)
}

// returnAll measures the return of clients that have missed something.
func (b *bench) returnAll(ctx context.Context, away []*fleet.Client, present stream) error {
	lasts := b.ledger.lasts()
	var spent cost
	inTime, cancel := context.WithTimeout(ctx, 2*b.patience)
	defer cancel()
	err := b.during(ctx, "live during ", present, func() (err error) {
		spent, err = b.phase(ctx, func() error {
			if failed := b.fleet.Connect(inTime, away); failed != nil {
				return failed
			}
			return b.fleet.WaitAll(inTime, lasts)
		})
		return err
	})
	if err != nil {
		return err
	}
	n := uint64(len(away))
	b.set("replay s", spent.took.Seconds())
	b.set("replays/s", perSecond(n, spent.took))
	b.set("replayed events/s", perSecond(n*uint64(b.missed), spent.took)) //nolint:gosec // not negative
	b.set("server cpu µs/replay", micros(spent.server)/float64(n))
	b.set("live p99 during/quiet", b.line.Figures["live during p99 ms"]/b.line.Figures["live quiet p99 ms"])
	return b.latencies("replay ", b.fleet.Samples().Replay)
}

// churn lets clients come and go as fast as they can while events flow. Each
// comes back to where it was.
func churn(ctx context.Context, b *bench) error {
	const cohorts = 8
	rate := b.rate
	if rate == 0 {
		rate = 500
	}
	b.parameter("connections", b.connections)
	b.parameter("personal/s", rate)
	b.parameter("size", b.size)
	clients, err := b.crowd(ctx, 0, b.connections)
	if err != nil {
		return err
	}
	b.fleet.ResetSamples()
	before := b.fleet.Stats().Connects
	spent, err := b.phase(ctx, func() error {
		stop := b.paces(ctx, b.background(rate)...)
		end := time.Now().Add(b.seconds)
		group, inGroup := errgroup.WithContext(ctx)
		for i := range cohorts {
			own := clients[i*len(clients)/cohorts : (i+1)*len(clients)/cohorts]
			group.Go(func() error { return b.comeAndGo(inGroup, own, end) })
		}
		return errors.Join(group.Wait(), stop())
	})
	if err != nil {
		return err
	}
	n := b.fleet.Stats().Connects - before
	b.set("connects/s", perSecond(n, spent.took))
	b.set("server cpu µs/connect", micros(spent.server)/float64(max(n, 1)))
	if err = b.latencies("ready ", b.fleet.Samples().Ready); err != nil {
		return err
	}
	return b.settle(ctx)
}

// background is the load while clients come and go: a few events for everyone,
// and personal ones.
func (b *bench) background(rate float64) []stream {
	const broadcasts = 2 // a second
	return append(b.evenly(rate, b.ledger.users(0, b.connections)), stream{broadcasts, []uint32{toEveryone}})
}

// comeAndGo leaves politely and is cut, by turns.
func (b *bench) comeAndGo(ctx context.Context, own []*fleet.Client, end time.Time) error {
	for leave := b.fleet.Cut; time.Now().Before(end); {
		leave(own)
		if err := b.connect(ctx, own); err != nil {
			return err
		}
		leave = b.fleet.Disconnect
	}
	return nil
}

// settle is complete for servers that recover. Of the others it notes what was
// lost: that is what they are.
func (b *bench) settle(ctx context.Context) error {
	if b.server.recovers {
		err := b.complete(ctx)
		b.delivered()
		return err
	}
	const still = 500 * time.Millisecond
	for before := uint64(0); before != b.fleet.Heard(); {
		before = b.fleet.Heard()
		if err := wait(ctx, still); err != nil {
			return err
		}
	}
	b.delivered()
	if s := b.fleet.Stats(); s.Reordered+s.Misrouted+s.Truncated+s.Malformed+s.Ended > 0 {
		return fmt.Errorf("%d reordered, %d misrouted, %d truncated, %d malformed, %d ended", s.Reordered, s.Misrouted, s.Truncated, s.Malformed, s.Ended)
	}
	return nil
}

// delivered notes how much of what was due was heard, and how often.
func (b *bench) delivered() {
	expected, missing := b.fleet.Tally(b.ledger.lasts())
	b.set("delivered %", 100*float64(expected-missing)/float64(max(expected, 1)))
	b.set("duplicates", float64(b.fleet.Stats().Duplicates))
}

// jitter cuts every client now and then for a while, at random, while events
// flow.
func jitter(ctx context.Context, b *bench) error {
	rate := b.rate
	if rate == 0 {
		rate = 500
	}
	b.parameter("connections", b.connections)
	b.parameter("personal/s", rate)
	b.parameter("size", b.size)
	b.parameter("every s", b.every.Seconds())
	b.parameter("away s", b.away.Seconds())
	clients, err := b.crowd(ctx, 0, b.connections)
	if err != nil {
		return err
	}
	b.fleet.ResetSamples()
	var cuts int64
	spent, err := b.phase(ctx, func() (failed error) {
		stop := b.paces(ctx, b.background(rate)...)
		cuts, failed = b.shake(ctx, clients)
		return errors.Join(failed, stop())
	})
	if err != nil {
		return err
	}
	err = b.settle(ctx)
	b.set("cuts", float64(cuts))
	b.set("server cpu %", 100*spent.server.Seconds()/spent.took.Seconds())
	if err != nil || !b.server.recovers {
		return err
	}
	samples := b.fleet.Samples()
	if err = b.latencies("live ", samples.Live); err != nil {
		return err
	}
	return b.latencies("replay ", samples.Replay)
}

// shake cuts and reconnects clients until the time is over, and at the end all
// are back. It returns how many cuts there were.
func (b *bench) shake(ctx context.Context, clients []*fleet.Client) (int64, error) {
	const tick = 50 * time.Millisecond
	var cuts atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	next := make([]time.Time, len(clients)) // when each is cut
	began := time.Now()
	for i := range next {
		next[i] = began.Add(rand.N(b.every)) //nolint:gosec // chance, not secrecy
	}
	for now, ticks := began, time.Tick(tick); now.Before(began.Add(b.seconds)) && ctx.Err() == nil; now = <-ticks {
		var due []*fleet.Client
		for i, c := range clients {
			if now.After(next[i]) {
				due = append(due, c)
				next[i] = now.Add(b.away + b.every/2 + rand.N(b.every)) //nolint:gosec // chance, not secrecy
			}
		}
		if len(due) == 0 {
			continue
		}
		cuts.Add(int64(len(due)))
		group.Go(func() error { return b.interrupt(ctx, due) })
	}
	err := group.Wait()
	return cuts.Load(), err
}

// interrupt cuts clients; they are back after about as long as they are to be
// away.
func (b *bench) interrupt(ctx context.Context, due []*fleet.Client) error {
	b.fleet.Cut(due)
	if err := wait(ctx, b.away/2+rand.N(b.away)); err != nil { //nolint:gosec // chance, not secrecy
		return err
	}
	return b.connect(ctx, due)
}
