package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// idleOver measures what the server grows by for connections that hear
// nothing.
func (l load) idleOver(how manner) func(context.Context, *server) (figures, error) {
	return func(ctx context.Context, s *server) (figures, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		warm, err := idlers(ctx, s, dialers, how) // what the first connections cost once
		if err != nil {
			return nil, err
		}
		defer hangUp(warm)
		before, err := s.atRest(ctx)
		if err != nil {
			return nil, err
		}
		all, err := idlers(ctx, s, l.idle, how)
		if err != nil {
			return nil, err
		}
		defer hangUp(all)
		after, err := s.atRest(ctx)
		n := float64(len(all))
		return figures{
			"connections":            n,
			"bytes/connection":       (after.resident - before.resident) / n,
			"heap bytes/connection":  (after.heap - before.heap) / n,
			"stack bytes/connection": (after.stack - before.stack) / n,
			"goroutines/connection":  (after.goroutines - before.goroutines) / n,
		}, err
	}
}

// idlers are clients that have heard everything there is.
func idlers(ctx context.Context, s *server, n int, how manner) ([]*client, error) {
	all, err := crowd(ctx, s, n, how)
	if err != nil {
		return nil, err
	}
	for i, c := range all {
		if err = c.settle(ctx, how); err != nil {
			hangUp(all)
			return nil, fmt.Errorf("user/%d: %w", i, err)
		}
	}
	return all, nil
}

// settle waits until there is nothing more to come, and acknowledges it where
// that counts: a connection that may come back keeps what has not been.
func (c *client) settle(ctx context.Context, how manner) error {
	select {
	case <-c.welcome:
	case <-ctx.Done():
		return fmt.Errorf("no welcome: %w", ctx.Err())
	}
	if how.transport == lastingSocket {
		return c.wire.say(ctx, fmt.Appendf(nil, `{"type":8,"sequenceId":%d}%c`, c.greeted, ends))
	}
	return nil
}

// usage is what a server holds, in bytes.
type usage struct{ resident, heap, stack, goroutines float64 }

// atRest is what the server holds after a garbage collection, once it has
// nothing more to do: goroutines neither come nor go.
func (s *server) atRest(ctx context.Context) (usage, error) {
	const look = 250 * time.Millisecond
	const few = 10 // come and go at all times
	var now usage
	for before, pace := math.Inf(1), time.Tick(look); math.Abs(now.goroutines-before) > few; <-pace {
		before = now.goroutines
		profile, err := s.profile(ctx, "goroutine?debug=1")
		if err != nil {
			return usage{}, err
		}
		if now.goroutines, err = figure(profile, "goroutine profile: total"); err != nil {
			return usage{}, err
		}
	}
	err := s.collected(ctx, &now)
	return now, err
}

// collected fills in the memory that is in use. It takes two collections: what
// lies in a pool survives the first (sync.Pool).
func (s *server) collected(ctx context.Context, u *usage) error {
	var heap []byte
	for range 2 {
		var err error
		if heap, err = s.profile(ctx, "heap?gc=1&debug=1"); err != nil {
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
	u.resident, err = s.resident()
	return err
}
