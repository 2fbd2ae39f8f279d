package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// task is a part of a node that runs until it is stopped.
type task struct {
	name  string
	leave context.CancelFunc
	over  chan struct{}
}

// launch runs a part of the node. One that ends with an error ends the node.
func (n *node) launch(ctx context.Context, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &task{name: name, leave: cancel, over: make(chan struct{})}
	n.tasks = append(n.tasks, t)
	go func() {
		defer close(t.over)
		if err := run(ctx); err != nil {
			select {
			case n.failed <- fmt.Errorf("%s: %w", name, err):
			default: // one reason is enough
			}
		}
	}()
}

// halt ends the parts of these names, one after the other.
func (n *node) halt(ctx context.Context, names ...string) error {
	for _, name := range names {
		at := slices.IndexFunc(n.tasks, func(t *task) bool { return t.name == name })
		if at < 0 {
			continue // it was not started
		}
		n.tasks[at].leave()
		select {
		case <-n.tasks[at].over:
		case <-ctx.Done():
			return fmt.Errorf("%s has not ended: %w", name, ctx.Err())
		}
	}
	return nil
}

// telemetryGrace is kept of the drain timeout for the export of what happened
// last.
const telemetryGrace = 3 * time.Second

// stop ends the node in the reverse order of its start: it is not ready any
// more, nobody is let in, those who are in are sent away to come back
// elsewhere, and then the parts end from the top to the bottom. Whatever has
// not ended when ctx does is left behind; the log has everything.
func (n *node) stop(ctx context.Context) error {
	early, cancel := context.WithTimeout(ctx, max(n.s.DrainTimeout-telemetryGrace, n.s.DrainTimeout/2))
	defer cancel()
	var errs []error
	for _, door := range n.doors {
		door.Refuse()
	}
	requests := make(chan error, 1) // those that are being answered
	go func() {
		if n.public.http == nil {
			requests <- nil
			return
		}
		requests <- n.public.http.Shutdown(early)
	}()
	errs = append(errs, n.sendAway(early), <-requests)
	errs = append(errs, n.halt(early, "collector", "memory", "log", "live messages"), n.sendOperatorsAway(early))
	errs = append(errs, n.halt(early, "console", "schedules", "states", "notification hub", "analytics hub", "cursors", "visits", "audit"))
	if n.nats != nil {
		errs = append(errs, n.nats.Close(early))
	}
	if n.embedded != nil {
		errs = append(errs, n.embedded.Shutdown())
	}
	if n.operators.http != nil {
		errs = append(errs, n.operators.http.Close())
	}
	errs = append(errs, n.halt(ctx, "http", "ops"))
	if n.telemetry != nil {
		errs = append(errs, n.telemetry.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// The pace of sending connections away: as fast as the timeout needs, and not
// slower than leastPace a second.
const leastPace = 2000

// sendAway closes all connections so that their clients come back, in waves,
// and waits for the sockets to end.
func (n *node) sendAway(ctx context.Context) error {
	if n.notifications == nil {
		return nil
	}
	waves, cancel := context.WithTimeout(ctx, n.s.DrainTimeout/2)
	defer cancel()
	var errs []error
	for _, h := range []interface {
		CloseAll(ctx context.Context, perSecond int) error
	}{n.notifications, n.analytics} {
		open := n.notifications.Stats().Connections + n.analytics.Stats().Connections
		pace := max(leastPace, int(float64(4*open)/n.s.DrainTimeout.Seconds()))
		errs = append(errs, h.CloseAll(waves, pace))
	}
	for _, door := range n.doors {
		errs = append(errs, door.Shutdown(waves))
	}
	return errors.Join(errs...)
}

// sendOperatorsAway closes the connections of the console, which has shown how
// the others went.
func (n *node) sendOperatorsAway(ctx context.Context) error {
	if n.console == nil || n.operatorsDoor == nil {
		return nil
	}
	n.operatorsDoor.Refuse()
	return errors.Join(n.console.CloseAll(ctx, 0), n.operatorsDoor.Shutdown(ctx))
}
