//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// client is a lean connection to the notification hub, over any transport, of
// the scenario that compares them: one goroutine, no library.
type client struct {
	wire    wire
	welcome chan struct{} // closed when the hub has said where the client stands
	greeted int           // messages of the hub until then; of listen, which closes welcome
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

type transport uint8

const (
	webSocket     transport = iota
	lastingSocket           // negotiated with stateful reconnect
	eventStream
	longPolling
)

// openClient opens a connection and says which protocol it speaks.
func openClient(ctx context.Context, s *target, user string, how transport) (*client, error) {
	d, err := s.door(user)
	if err != nil {
		return nil, err
	}
	c := &client{welcome: make(chan struct{})}
	version := 1
	switch how {
	case webSocket:
		c.wire, err = openSocket(ctx, d, "")
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

// openClients connects clients, user/0 to user/n-1.
func openClients(ctx context.Context, s *target, n int, how transport) ([]*client, error) {
	all := make([]*client, n)
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(dialers)
	for i := range all {
		group.Go(func() (err error) {
			all[i], err = openClient(inGroup, s, strconv.Itoa(i), how)
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

// listen waits for what the hub says first, and passes over the rest, until the
// connection ends.
func (c *client) listen() {
	for welcomed := false; ; {
		records, err := c.wire.next()
		if err != nil {
			return
		}
		for record := range bytes.SplitSeq(records, []byte{ends}) {
			if welcomed || !bytes.Contains(record, []byte(`"target":`)) {
				continue
			}
			c.greeted++
			if welcomed = bytes.Contains(record, []byte(`"target":"Resumed"`)); welcomed {
				close(c.welcome)
			}
		}
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
