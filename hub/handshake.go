package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"tidings/connections"
	"tidings/hub/protocol"
)

// maxVersion is the newest version of both encodings.
const maxVersion = 2

// refusal is the text of a handshake that fails.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	refusedLate   refusal = "Handshake was canceled."
	refusedBroken refusal = "An unexpected error occurred during connection handshake."
)

// handshake reads the first record, which asks for an encoding. Records that
// came right behind it stay in the splitter.
func (s *session) handshake() (protocol.Codec, error) { //nolint:ireturn // a codec is used through its interface only
	if err := s.conn.SetReadDeadline(time.Now().Add(s.hub.o.HandshakeTimeout)); err != nil {
		return nil, err
	}
	record, err := s.firstRecord()
	if err != nil {
		return nil, err
	}
	asked, err := protocol.ParseHandshake(record)
	if err != nil {
		if s.hub.o.DetailedErrors {
			return nil, refusedBroken + refusal(" InvalidDataException: "+err.Error())
		}
		return nil, refusedBroken
	}
	codec, known := s.hub.codec(asked.Protocol)
	switch {
	case !known:
		return nil, refusal("The protocol '" + asked.Protocol + "' is not supported.")
	case asked.Version > maxVersion:
		return nil, refusal("The server does not support version " + strconv.Itoa(asked.Version) + " of the '" + asked.Protocol + "' protocol.")
	case codec.Binary() && s.conn.Transport() == connections.ServerSentEvents:
		return nil, refusal("Cannot use the '" + asked.Protocol + "' protocol on the current transport. The transport does not support 'Binary' transfer format.")
	}
	if codec.Binary() {
		s.conn.SetBinary()
		s.hub.binary.Store(true)
	}
	s.version = asked.Version
	return codec, s.conn.SetReadDeadline(time.Time{})
}

// firstRecord is JSON text whatever encoding it asks for.
func (s *session) firstRecord() ([]byte, error) {
	for {
		record, ok, err := s.splitter.Next(protocol.JSON())
		switch {
		case err != nil:
			return nil, refusedLate
		case ok:
			return record, nil
		}
		data, err := s.conn.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, refusedLate
		}
		if err != nil {
			return nil, err
		}
		s.splitter.Feed(data)
	}
}

// refuse ends a connection that has not joined. The session writes itself:
// there is no actor yet that could.
func (s *session) refuse(ctx context.Context, err error) {
	var text refusal
	if !errors.As(err, &text) {
		return // the client has gone
	}
	s.hub.o.Logger.InfoContext(ctx, "handshake refused", slog.Any("connection", s.conn), slog.String("reason", string(text)))
	writeAndFinish(s.conn, protocol.HandshakeAnswer(string(text)), "handshake")
	for err = nil; err == nil; { // until the client has closed, or has had the time to
		_, err = s.conn.Receive()
	}
}

// writeAndFinish writes records to a connection that no actor owns.
func writeAndFinish(c *connections.Conn, records []byte, reason string) {
	sink := c.Sink()
	frame := sink.Frame(nil, records)
	n, err := sink.TryWrite(frame)
	if err == nil && n < len(frame) {
		written := make(chan error, 1)
		sink.Drain(frame[n:], func(err error) { written <- err })
		err = <-written
	}
	if err != nil {
		c.Abort()
		return
	}
	sink.Finish(reason)
}

// unavailable is the refusal of a connection whose place in the log cannot be
// found at the moment.
func unavailable(err error) error {
	return fmt.Errorf("%w (%w)", refusal("The state of this device cannot be loaded at the moment. Try again."), err)
}
