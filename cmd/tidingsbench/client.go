package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// client is a lean connection to the notification hub, over any transport: one
// goroutine, no library, so that the load costs less than what it loads.
type client struct {
	wire     wire
	welcome  chan struct{} // closed when the hub has said where the client stands
	greeted  int           // messages of the hub until then; of listen, which closes welcome
	welcomed bool          // of listen

	mu        sync.Mutex // guards all below
	positions []uint64
	latencies []time.Duration
	changed   chan struct{}
}

// wire is a transport, as a client has it.
type wire interface {
	io.Closer
	// next waits for what the hub says: whole records, valid until the next
	// call.
	next() ([]byte, error)
	// say sends records.
	say(ctx context.Context, records []byte) error
}

// manner says how a client connects. The zero value is a WebSocket without
// negotiation.
type manner struct {
	transport transport
	query     string // of the hub: where to begin
}

type transport uint8

const (
	webSocket     transport = iota
	lastingSocket           // negotiated with stateful reconnect
	eventStream
	longPolling
)

// connect opens a connection and says which protocol it speaks.
func connect(ctx context.Context, s *server, user string, how manner) (*client, error) {
	d, err := s.door(user)
	if err != nil {
		return nil, err
	}
	c := &client{welcome: make(chan struct{}), changed: make(chan struct{}, 1)}
	version := 1
	switch how.transport {
	case webSocket:
		c.wire, err = openSocket(ctx, d, how.query)
	case lastingSocket:
		version = 2 // the first that has acknowledgements
		c.wire, err = openLastingSocket(ctx, d)
	case eventStream:
		c.wire, err = openEvents(ctx, d)
	case longPolling:
		c.wire, err = openPolls(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	if err := c.wire.say(ctx, handshake("json", version)); err != nil {
		return nil, errors.Join(err, c.wire.Close())
	}
	return c, nil
}

// ends is behind every JSON record, and behind every handshake.
const ends = 0x1e

func handshake(protocol string, version int) []byte {
	return fmt.Appendf(nil, `{"protocol":%q,"version":%d}%c`, protocol, version, ends)
}

// crowd connects clients, user/0 to user/n-1.
func crowd(ctx context.Context, s *server, n int, how manner) ([]*client, error) {
	all := make([]*client, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dialers)
	for i := range all {
		group.Go(func() (err error) {
			all[i], err = connect(ctx, s, strconv.Itoa(i), how)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		hangUp(all)
		return nil, err
	}
	for _, c := range all {
		go c.listen() // ends with the connection
	}
	return all, nil
}

func hangUp(all []*client) {
	for _, c := range all {
		if c != nil {
			_ = c.wire.Close() // it is over
		}
	}
}

// listen collects what the server says until the connection ends.
func (c *client) listen() {
	for {
		records, err := c.wire.next()
		if err != nil {
			return
		}
		now := time.Now()
		for record := range bytes.SplitSeq(records, []byte{ends}) {
			c.take(record, now)
		}
	}
}

// take notes a record if it is a notification.
func (c *client) take(record []byte, now time.Time) {
	position, ok := number(record, `"position":`)
	if !ok {
		c.greet(record)
		return
	}
	emitted, _ := number(record, `"title":"`)
	c.mu.Lock()
	c.positions = append(c.positions, position)
	c.latencies = append(c.latencies, now.Sub(time.Unix(0, int64(emitted)))) //nolint:gosec // a time
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// greet notes what the hub says first.
func (c *client) greet(record []byte) {
	if c.welcomed || !bytes.Contains(record, []byte(`"target":`)) {
		return
	}
	c.greeted++
	if c.welcomed = bytes.Contains(record, []byte(`"target":"Resumed"`)); c.welcomed {
		close(c.welcome)
	}
}

// number finds the digits after a key.
func number(record []byte, key string) (uint64, bool) {
	_, rest, found := bytes.Cut(record, []byte(key))
	if !found {
		return 0, false
	}
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseUint(string(rest[:max(end, 0)]), 10, 64)
	return n, err == nil
}

// until waits for n notifications and checks that they are those wanted, in
// order, each once.
func (c *client) until(ctx context.Context, wanted []uint64) error {
	for {
		c.mu.Lock()
		heard := len(c.positions)
		c.mu.Unlock()
		if heard >= len(wanted) {
			break
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return fmt.Errorf("heard %d of %d: %w", heard, len(wanted), ctx.Err())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, position := range wanted {
		if c.positions[i] != position {
			return fmt.Errorf("event %d is at %d, want %d", i, c.positions[i], position)
		}
	}
	if len(c.positions) > len(wanted) {
		return fmt.Errorf("heard %d, want %d", len(c.positions), len(wanted))
	}
	return nil
}
