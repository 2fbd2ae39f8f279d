//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// socket is a WebSocket. It implements wire.
type socket struct {
	net.Conn

	reader  *bufio.Reader
	message []byte
}

// The parts of a frame (RFC 6455 §5.2). What a client sends is masked, here
// with zeros, which the protocol allows: it asks for unpredictable masks of
// browsers (§5.3).
const (
	finalText    = 0x81
	finalBinary  = 0x82
	maskBit      = 0x80
	lengthIn16   = 126
	lengthIn64   = 127
	socketBuffer = 512
	socketKey    = "dGhlIHNhbXBsZSBub25jZQ==" // of every client: it proves nothing (§1.3)
)

// openSocket opens a WebSocket without negotiation, or for a connection that
// the query names.
func openSocket(ctx context.Context, d door, query string) (*socket, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: conn, reader: bufio.NewReaderSize(conn, socketBuffer)}
	if err := s.open(ctx, d, query); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// openLastingSocket opens a WebSocket whose connection outlives it.
func openLastingSocket(ctx context.Context, d door) (*socket, error) {
	n, err := d.negotiate(ctx, "&useStatefulReconnect=true")
	if err != nil {
		return nil, err
	}
	if !n.UseStatefulReconnect {
		return nil, errors.New("negotiate: no stateful reconnect")
	}
	return openSocket(ctx, d, "id="+n.ConnectionToken)
}

func (s *socket) open(ctx context.Context, d door, query string) error {
	request, err := d.raw(ctx, query, map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": socketKey,
	})
	if err != nil {
		return err
	}
	if _, err = s.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(s.reader, nil) //nolint:bodyclose // after an upgrade there is none, and else the socket is closed
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade: %s", answer.Status)
	}
	return nil
}

// say implements wire.
func (s *socket) say(_ context.Context, records []byte) error {
	_, err := s.Write(appendFrame(nil, finalText, records))
	return err
}

// appendFrame appends a frame of less than 64 KiB.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, opcode)
	if n := len(payload); n < lengthIn16 {
		dst = append(dst, maskBit|byte(n))
	} else {
		dst = append(dst, maskBit|lengthIn16, byte(n>>8), byte(n)) //nolint:gosec // two bytes
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}

// next implements wire. A message of the server is unmasked and in one frame.
func (s *socket) next() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(s.reader, head[:]); err != nil {
		return nil, err
	}
	length := uint64(head[1])
	var more [8]byte
	switch length {
	case lengthIn16:
		if _, err := io.ReadFull(s.reader, more[:2]); err != nil {
			return nil, err
		}
		length = uint64(binary.BigEndian.Uint16(more[:2]))
	case lengthIn64:
		if _, err := io.ReadFull(s.reader, more[:]); err != nil {
			return nil, err
		}
		length = binary.BigEndian.Uint64(more[:])
	}
	if uint64(cap(s.message)) < length {
		s.message = make([]byte, length)
	}
	s.message = s.message[:length]
	_, err := io.ReadFull(s.reader, s.message)
	return s.message, err
}
