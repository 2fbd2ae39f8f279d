//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
)

// transports measures what idle connections cost on each transport, on a server
// of its own. They are of users of their own, which hold nothing.
func transports(ctx context.Context, b *bench) error {
	if b.target != nameTidings {
		return fmt.Errorf("%s has one transport", b.target)
	}
	b.parameter("connections", b.connections)
	for how, name := range map[transport]string{
		webSocket: "websocket", lastingSocket: "stateful reconnect", eventStream: "event stream", longPolling: "long polling",
	} {
		err := b.alone(ctx, b.startTarget, func() error { return b.idleOver(ctx, how, name+" ") })
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// alone runs a part of a scenario with a server of its own.
func (b *bench) alone(ctx context.Context, start func(context.Context) (*target, error), part func() error) error {
	server, err := start(ctx)
	if err != nil {
		return err
	}
	b.server, b.line.Version = server, server.version
	defer func() { b.server = nil }()
	return errors.Join(part(), server.stop())
}

// idleOver measures what the server grows by for connections that hear nothing.
func (b *bench) idleOver(ctx context.Context, how transport, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*b.patience)
	defer cancel()
	warm, err := settled(ctx, b.server, dialers, how) // what the first connections cost once
	if err != nil {
		return err
	}
	defer hangUp(warm)
	before, err := b.server.atRest(ctx)
	if err != nil {
		return err
	}
	all, err := settled(ctx, b.server, b.connections, how)
	if err != nil {
		return err
	}
	defer hangUp(all)
	after, err := b.server.atRest(ctx)
	n := float64(len(all))
	b.set(prefix+"rss bytes/connection", (after.resident-before.resident)/n)
	b.set(prefix+"heap bytes/connection", (after.heap-before.heap)/n)
	b.set(prefix+"stack bytes/connection", (after.stack-before.stack)/n)
	b.set(prefix+"goroutines/connection", (after.goroutines-before.goroutines)/n)
	return err
}

// settled are clients that have heard everything there is.
func settled(ctx context.Context, s *target, n int, how transport) ([]*client, error) {
	all, err := openClients(ctx, s, n, how)
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
func (c *client) settle(ctx context.Context, how transport) error {
	select {
	case <-c.welcome:
	case <-ctx.Done():
		return fmt.Errorf("no welcome: %w", ctx.Err())
	}
	if how == lastingSocket {
		return c.wire.say(ctx, fmt.Appendf(nil, `{"type":8,"sequenceId":%d}%c`, c.greeted, ends))
	}
	return nil
}
