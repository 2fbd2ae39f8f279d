//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
)

// The modes of broadcast.
const (
	modeOne       = "one"
	modeSaturated = "saturated"
)

// broadcast tells events to everyone: one at a time, so that each is heard by
// all before the next one, or as many as a window holds.
func broadcast(ctx context.Context, b *bench) error {
	b.parameter("connections", b.connections)
	b.parameter("size", b.size)
	b.parameter("mode", b.mode)
	load := b.oneByOne
	switch b.mode {
	case modeOne:
	case modeSaturated:
		b.parameter("window", b.window)
		load = b.windowful
	default:
		return fmt.Errorf("no mode is called %q; there are %s, %s", b.mode, modeOne, modeSaturated)
	}
	if _, err := b.crowd(ctx, 0, b.connections); err != nil {
		return err
	}
	for range 3 { // what the first events cost once
		if err := b.tell(ctx, 0, toEveryone); err != nil {
			return err
		}
	}
	b.fleet.ResetSamples()
	before := b.ledger.due()
	spent, err := b.phase(ctx, func() error {
		if err := load(ctx); err != nil {
			return err
		}
		return b.room(ctx, 0)
	})
	if err != nil {
		return err
	}
	b.deliveries(b.ledger.due()-before, spent)
	if err = b.latencies("", b.fleet.Samples().Live); err != nil {
		return err
	}
	return b.complete(ctx)
}

// deliveries notes what deliveries have cost.
func (b *bench) deliveries(n uint64, spent cost) {
	millions := float64(max(n, 1)) / 1e6
	b.set(figureRate, perSecond(n, spent.took))
	b.set(figureCPU, spent.server.Seconds()/millions)
	b.set("client cpu s/M deliveries", spent.client.Seconds()/millions)
}

func (b *bench) oneByOne(ctx context.Context) error {
	return b.again(func() error { return b.tell(ctx, 0, toEveryone) })
}

// windowful emits half a window whenever at most the other half is under way.
func (b *bench) windowful(ctx context.Context) error {
	half := slices.Repeat([]uint32{toEveryone}, max(b.window/2, 1))
	return b.again(func() error { return b.tell(ctx, len(half)*b.connections, half...) })
}
