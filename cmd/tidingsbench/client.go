package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// client is a lean connection to the notification hub: one goroutine, no
// library, so that the load costs less than what it loads.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	message []byte

	mu        sync.Mutex // guards all below
	positions []uint64
	latencies []time.Duration
	changed   chan struct{}
}

// The frames that a client sends, ready made: masked with zeros, which the
// protocol allows (RFC 6455 §5.3 asks for unpredictable masks of browsers).
const (
	handshakeRecord = "{\"protocol\":\"json\",\"version\":1}\x1e"
	finalText       = 0x81
	maskBit         = 0x80
)

// connect opens a connection without negotiation; query may be empty.
func connect(ctx context.Context, s *server, user, query string) (*client, error) {
	token, err := s.token(user)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.http)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, reader: bufio.NewReaderSize(conn, 512), changed: make(chan struct{}, 1)}
	if err := c.open(s.http, token, query); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *client) open(host, token, query string) error {
	_, err := fmt.Fprintf(c.conn, "GET /hubs/notifications?%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", query, host, token)
	if err != nil {
		return err
	}
	status, err := c.reader.ReadString('\n')
	if err != nil || !strings.Contains(status, "101") {
		return fmt.Errorf("upgrade: %q %w", status, err)
	}
	for line := status; strings.TrimSpace(line) != ""; {
		if line, err = c.reader.ReadString('\n'); err != nil {
			return err
		}
	}
	_, err = c.conn.Write(append([]byte{finalText, maskBit | byte(len(handshakeRecord)), 0, 0, 0, 0}, handshakeRecord...))
	return err
}

// listen collects what the server says until the connection ends.
func (c *client) listen() {
	for {
		message, err := c.next()
		if err != nil {
			return
		}
		now := time.Now()
		for record := range bytes.SplitSeq(message, []byte{0x1e}) {
			c.take(record, now)
		}
	}
}

// next reads one message of the server: unmasked and in one frame.
func (c *client) next() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.reader, head[:]); err != nil {
		return nil, err
	}
	length := uint64(head[1])
	var more [8]byte
	switch length {
	case 126:
		if _, err := io.ReadFull(c.reader, more[:2]); err != nil {
			return nil, err
		}
		length = uint64(binary.BigEndian.Uint16(more[:2]))
	case 127:
		if _, err := io.ReadFull(c.reader, more[:]); err != nil {
			return nil, err
		}
		length = binary.BigEndian.Uint64(more[:])
	}
	if uint64(cap(c.message)) < length {
		c.message = make([]byte, length)
	}
	c.message = c.message[:length]
	_, err := io.ReadFull(c.reader, c.message)
	return c.message, err
}

// take notes a record if it is a notification.
func (c *client) take(record []byte, now time.Time) {
	position, ok := number(record, `"position":`)
	if !ok {
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
