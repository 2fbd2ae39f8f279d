//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"tidings/cmd/tidingsbench/fleet"
)

// connectAll lets clients connect as fast as they can, once, and tells them one
// event.
func connectAll(ctx context.Context, b *bench) error {
	b.parameter("connections", b.connections)
	all := make([]person, b.connections)
	for i := range all {
		all[i].user = fmt.Sprint(i)
	}
	clients, err := b.people(ctx, all)
	if err != nil {
		return err
	}
	spent, err := b.phase(ctx, func() error { return b.connect(ctx, clients) })
	if err != nil {
		return err
	}
	n := uint64(len(clients))
	b.set("connects/s", perSecond(n, spent.took))
	b.set("server cpu µs/connect", micros(spent.server)/float64(n))
	if err = b.latencies("ready ", b.fleet.Samples().Ready); err != nil {
		return err
	}
	if err = b.emit(ctx, time.Now(), toEveryone); err != nil {
		return err
	}
	return b.complete(ctx)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// idle measures what the server grows by for connections that hear nothing,
// each of a user with two roles and a group. Then all of them hear one event.
func idle(ctx context.Context, b *bench) error {
	b.parameter("connections", b.connections)
	clients, err := b.idlers(ctx, dialers+b.connections)
	if err != nil {
		return err
	}
	if err = b.connect(ctx, clients[:dialers]); err != nil { // what the first connections cost once
		return err
	}
	before, err := b.atRest(ctx, settles)
	if err != nil {
		return err
	}
	if err = b.connect(ctx, clients[dialers:]); err != nil {
		return err
	}
	after, err := b.atRest(ctx, idles)
	if err != nil {
		return err
	}
	n := float64(b.connections)
	b.set("rss bytes/connection", (after.resident-before.resident)/n)
	b.set("rss as it settles bytes/connection", (after.settled-before.settled)/n)
	if b.server.ops != "" {
		b.set("heap bytes/connection", (after.heap-before.heap)/n)
		b.set("stack bytes/connection", (after.stack-before.stack)/n)
		b.set("goroutines/connection", (after.goroutines-before.goroutines)/n)
	}
	spent, err := b.phase(ctx, func() error { return wait(ctx, b.seconds) })
	if err != nil {
		return err
	}
	b.set("server cpu %", 100*spent.server.Seconds()/spent.took.Seconds())
	told, err := b.phase(ctx, func() error { return b.tell(ctx, 0, toEveryone) })
	if err != nil {
		return err
	}
	b.set("one event to all s", told.took.Seconds())
	return b.complete(ctx)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idlers are users with two roles and a group each, who have yet to connect. If
// there was much to do for that, a new server goes on, whose memory is free of
// it.
func (b *bench) idlers(ctx context.Context, n int) ([]*fleet.Client, error) {
	const kinds = 10
	all := make([]person, n)
	for i := range all {
		all[i] = person{
			user:   fmt.Sprint(i),
			roles:  []string{fmt.Sprint("first-", i%kinds), fmt.Sprint("second-", i/kinds%kinds)},
			groups: []string{fmt.Sprint(i % kinds)},
		}
	}
	requests, err := b.admit(ctx, all)
	if err != nil {
		return nil, err
	}
	if b.server.launch != nil {
		if err = errors.Join(b.fleet.Close(), b.server.restart(ctx)); err != nil {
			return nil, err
		}
		if err = b.gather(); err != nil {
			return nil, err
		}
	}
	return b.join(all, requests), nil
}

// usage is what a server holds, in bytes. Settled is what is resident before
// its garbage is collected, resident after that, where it can be told to.
type usage struct{ settled, resident, heap, stack, goroutines float64 }

// settles is how long a server gets to finish what it is at, and idles how long
// it is idle before its memory is looked at: what gives memory back looks every
// few seconds whether it is needed.
const (
	settles = 2 * time.Second
	idles   = 25 * time.Second
)

// atRest is what the server holds once it has had nothing to do for a while.
func (b *bench) atRest(ctx context.Context, after time.Duration) (usage, error) {
	if err := wait(ctx, after); err != nil {
		return usage{}, err
	}
	m, err := memoryOf(b.server.pid())
	if err != nil || b.server.ops == "" {
		return usage{settled: m.resident, resident: m.resident}, err
	}
	u, err := b.server.atRest(ctx)
	u.settled = m.resident
	return u, err
}

// atRest is what the server holds after a garbage collection, once its
// goroutines neither come nor go.
func (t *target) atRest(ctx context.Context) (usage, error) {
	const look = 250 * time.Millisecond
	const few = 10 // come and go at all times
	var now usage
	for before, pace := math.Inf(1), time.Tick(look); math.Abs(now.goroutines-before) > few; <-pace {
		before = now.goroutines
		profile, err := t.profile(ctx, "goroutine?debug=1")
		if err != nil {
			return usage{}, err
		}
		if now.goroutines, err = figure(profile, "goroutine profile: total"); err != nil {
			return usage{}, err
		}
	}
	err := t.collected(ctx, &now)
	return now, err
}

// collected fills in the memory that is in use. It takes two collections: what
// lies in a pool survives the first (sync.Pool).
func (t *target) collected(ctx context.Context, u *usage) error {
	var heap []byte
	for range 2 {
		var err error
		if heap, err = t.profile(ctx, "heap?gc=1&debug=1"); err != nil {
			return err
		}
	}
	var err error
	if u.heap, err = figure(heap, "# HeapAlloc ="); err != nil {
		return err
	}
	if u.stack, err = figure(heap, "# Stack ="); err != nil {
		return err
	}
	if err = wait(ctx, settles); err != nil {
		return err
	}
	m, err := memoryOf(t.pid())
	u.resident = m.resident
	return err
}
