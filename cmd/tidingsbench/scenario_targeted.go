//go:build linux

package main

import (
	"context"
	"fmt"
)

// store emits batches for users that are not there, as fast as they are
// acknowledged.
func store(ctx context.Context, b *bench) error {
	b.parameter("size", b.size)
	b.parameter("batch", b.batch)
	b.parameter("emitters", b.emitters)
	b.parameter("sync", b.sync)
	spent, err := b.phase(ctx, func() error { return b.flood(ctx, b.ledger.users(0, b.emitters*b.batch), 0) })
	if err != nil {
		return err
	}
	b.set(figureEvents, perSecond(b.ledger.count(), spent.took))
	b.set("server cpu µs/event", micros(spent.server)/float64(b.ledger.count()))
	return b.complete(ctx)
}

// targeted tells personal events, first as fast as they are heard and then at
// half of a given rate, or of the one that was reached.
func targeted(ctx context.Context, b *bench) error {
	b.parameter("connections", b.connections)
	b.parameter("size", b.size)
	b.parameter("batch", b.batch)
	b.parameter("emitters", b.emitters)
	if _, err := b.crowd(ctx, 0, b.connections); err != nil {
		return err
	}
	users := b.ledger.users(0, b.connections)
	rate, err := b.fullSpeed(ctx, users)
	if err != nil {
		return err
	}
	if err = b.halfSpeed(ctx, half(rate, b.rate), users); err != nil {
		return err
	}
	return b.complete(ctx)
}

// half is half of the rate that is asked for, else of the one that was reached.
func half(reached, asked float64) float64 {
	if asked > 0 {
		return asked / 2
	}
	return reached / 2
}

// fullSpeed returns the events per second that were acknowledged and heard.
func (b *bench) fullSpeed(ctx context.Context, users []uint32) (float64, error) {
	spent, err := b.phase(ctx, func() error {
		if err := b.flood(ctx, users, 2*b.emitters*b.batch); err != nil {
			return err
		}
		return b.room(ctx, 0)
	})
	if err != nil {
		return 0, fmt.Errorf("at full speed: %w", err)
	}
	n := b.ledger.due()
	rate := perSecond(n, spent.took)
	b.set(figureEvents, rate)
	b.set("server cpu µs/event", micros(spent.server)/float64(n))
	return rate, b.latencies("full ", b.fleet.Samples().Live)
}

func (b *bench) halfSpeed(ctx context.Context, rate float64, users []uint32) error {
	b.fleet.ResetSamples()
	before := b.ledger.due()
	spent, err := b.phase(ctx, func() error {
		stop := b.paces(ctx, b.evenly(rate, users)...)
		waited := wait(ctx, b.seconds)
		if err := stop(); err != nil {
			return err
		}
		return waited
	})
	if err != nil {
		return fmt.Errorf("at half speed: %w", err)
	}
	if err = b.room(ctx, 0); err != nil {
		return err
	}
	n := b.ledger.due() - before
	b.set("paced events/s", perSecond(n, spent.took))
	b.set("paced server cpu µs/event", micros(spent.server)/float64(max(n, 1)))
	return b.latencies("paced ", b.fleet.Samples().Live)
}

// mixedPace tells two events a second to everyone, and personal ones at a rate.
func mixedPace(ctx context.Context, b *bench) error {
	const broadcasts = 2 // a second
	rate := b.rate
	if rate == 0 {
		rate = 500
	}
	b.parameter("connections", b.connections)
	b.parameter("size", b.size)
	b.parameter("broadcasts/s", broadcasts)
	b.parameter("personal/s", rate)
	b.parameter("sync", b.sync)
	if _, err := b.crowd(ctx, 0, b.connections); err != nil {
		return err
	}
	b.fleet.ResetSamples()
	before := b.ledger.due()
	spent, err := b.phase(ctx, func() error {
		stop := b.paces(ctx, stream{broadcasts, []uint32{toEveryone}}, stream{rate, b.ledger.users(0, b.connections)})
		waited := wait(ctx, b.seconds)
		if err := stop(); err != nil {
			return err
		}
		return waited
	})
	if err != nil {
		return err
	}
	if err = b.room(ctx, 0); err != nil {
		return err
	}
	b.deliveries(b.ledger.due()-before, spent)
	if err = b.latencies("", b.fleet.Samples().Live); err != nil {
		return err
	}
	return b.complete(ctx)
}

// mixedRecipients tells events to everyone, ten roles, seven groups and users,
// as fast as they are heard. Nobody may hear what is not theirs.
func mixedRecipients(ctx context.Context, b *bench) error {
	const held, joined, personal = 10, 7, 15
	b.parameter("connections", b.connections)
	b.parameter("size", b.size)
	all := make([]person, b.connections)
	for i := range all {
		all[i] = person{fmt.Sprint(i), []string{fmt.Sprint(i % held)}, []string{fmt.Sprint(i % joined)}}
	}
	clients, err := b.people(ctx, all)
	if err != nil {
		return err
	}
	if err = b.connect(ctx, clients); err != nil {
		return err
	}
	nextRole, nextGroup := around(b.named("role/", held)), around(b.named("group/", joined))
	nextUser := around(b.ledger.users(0, b.connections))
	spent, err := b.phase(ctx, func() error {
		failed := b.again(func() error {
			to := []uint32{toEveryone, nextRole(), nextGroup(), nextRole(), nextGroup()}
			for range personal {
				to = append(to, nextUser())
			}
			return b.tell(ctx, 2*b.connections, to...)
		})
		if failed != nil {
			return failed
		}
		return b.room(ctx, 0)
	})
	if err != nil {
		return err
	}
	b.set(figureEvents, perSecond(b.ledger.count(), spent.took))
	b.deliveries(b.ledger.due(), spent)
	if err = b.latencies("", b.fleet.Samples().Live); err != nil {
		return err
	}
	return b.complete(ctx)
}

// named are the numbers of recipients that are called by number, too.
func (b *bench) named(prefix string, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = b.ledger.number(prefix + fmt.Sprint(i))
	}
	return all
}
