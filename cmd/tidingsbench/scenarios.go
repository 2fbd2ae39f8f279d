package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// The shape of the loads.
const (
	batch     = 100
	emitters  = 4
	dialers   = 16
	missed    = 50 // events that every client of the replay has missed
	patience  = time.Minute
	perSecond = float64(time.Second)
)

// append stores batches as fast as they are acknowledged.
func (l load) append(ctx context.Context, s *server) (figures, error) {
	var stored int64
	var mu sync.Mutex
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for e := range emitters {
		group.Go(func() error {
			for time.Since(began) < l.seconds {
				events := make([]event, batch)
				for i := range events {
					events[i] = newEvent("user/" + strconv.Itoa(e*batch+i))
				}
				positions, err := s.publish(ctx, events)
				if err != nil {
					return err
				}
				mu.Lock()
				stored += int64(len(positions))
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	return figures{"events/s": float64(stored) * perSecond / float64(time.Since(began))}, err
}

// personal sends events to one user each, at a steady rate.
func (l load) personal(ctx context.Context, s *server) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, l.seconds+patience)
	defer cancel()
	all, err := crowd(ctx, s, l.connections, manner{})
	if err != nil {
		return nil, err
	}
	defer hangUp(all)
	wanted := make([][]uint64, len(all))
	began := time.Now()
	const tick = 10 * time.Millisecond
	each := max(1, l.rate/int(time.Second/tick))
	next := 0
	for pace := time.Tick(tick); time.Since(began) < l.seconds; <-pace {
		events, whose := make([]event, each), make([]int, each)
		for i := range events {
			whose[i] = next % len(all)
			events[i] = newEvent("user/" + strconv.Itoa(whose[i]))
			next++
		}
		positions, err := s.publish(ctx, events)
		if err != nil {
			return nil, err
		}
		for i, p := range positions {
			wanted[whose[i]] = append(wanted[whose[i]], p)
		}
	}
	took := time.Since(began)
	return l.heard(ctx, all, wanted, took)
}

// broadcast sends events to everyone, one batch after the other.
func (l load) broadcast(ctx context.Context, s *server) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, l.seconds+patience)
	defer cancel()
	all, err := crowd(ctx, s, l.connections, manner{})
	if err != nil {
		return nil, err
	}
	defer hangUp(all)
	var positions []uint64
	began := time.Now()
	for time.Since(began) < l.seconds {
		stored, err := s.publish(ctx, []event{newEvent("everyone")})
		if err != nil {
			return nil, err
		}
		positions = append(positions, stored...)
	}
	wanted := make([][]uint64, len(all))
	for i := range wanted {
		wanted[i] = positions
	}
	return l.heard(ctx, all, wanted, time.Since(began))
}

// heard waits for everything and sums up.
func (l load) heard(ctx context.Context, all []*client, wanted [][]uint64, took time.Duration) (figures, error) {
	var errs []error
	var latencies []time.Duration
	last := time.Now()
	for i, c := range all {
		if err := c.until(ctx, wanted[i]); err != nil {
			errs = append(errs, fmt.Errorf("user/%d: %w", i, err))
		}
		latencies = append(latencies, c.latencies...)
	}
	took += time.Since(last)
	slices.Sort(latencies)
	f := figures{
		"connections":  float64(len(all)),
		"deliveries/s": float64(len(latencies)) * perSecond / float64(took),
	}
	if n := len(latencies); n > 0 {
		f["p50 ms"] = milliseconds(latencies[n/2])
		f["p99 ms"] = milliseconds(latencies[n*99/100])
	}
	return f, errors.Join(errs...)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// replay lets all clients miss some events and come back at once.
func (l load) replay(ctx context.Context, s *server) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	wanted, err := l.miss(ctx, s)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	all, err := crowd(ctx, s, l.connections, manner{query: "replay=all"})
	if err != nil {
		return nil, err
	}
	defer hangUp(all)
	var errs []error
	for i, c := range all {
		if err := c.until(ctx, wanted[i]); err != nil {
			errs = append(errs, fmt.Errorf("user/%d: %w", i, err))
		}
	}
	took := time.Since(began)
	return figures{
		"connections":       float64(len(all)),
		"events each":       missed,
		"replays/s":         float64(len(all)) * perSecond / float64(took),
		"replayed events/s": float64(len(all)*missed) * perSecond / float64(took),
	}, errors.Join(errs...)
}

// miss stores the events that nobody is there to hear, by user.
func (l load) miss(ctx context.Context, s *server) ([][]uint64, error) {
	wanted := make([][]uint64, l.connections)
	for n := 0; n < missed*l.connections; n += batch {
		events := make([]event, batch)
		for i := range events {
			events[i] = newEvent("user/" + strconv.Itoa((n+i)%l.connections))
		}
		positions, err := s.publish(ctx, events)
		if err != nil {
			return nil, err
		}
		for i, p := range positions {
			user := (n + i) % l.connections
			wanted[user] = append(wanted[user], p)
		}
	}
	return wanted, nil
}

func sorted(f figures) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for _, name := range slices.Sorted(maps.Keys(f)) {
			if !yield(name, f[name]) {
				return
			}
		}
	}
}

func shown(value float64) string {
	if value < 100 {
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
	return strconv.FormatFloat(value, 'f', 0, 64)
}
