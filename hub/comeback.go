package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"tidings/actors"
	"tidings/connections"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// comeback is what the reader of a connection keeps that may come back with
// another socket (HubProtocol, "Stateful reconnect"; where that text and the
// official implementations disagree, the implementations).
type comeback struct {
	received int64 // the highest number handled
	next     int64 // the number of the next counted message
	// waiting says that the client has not said yet where it goes on; nothing
	// before that counts.
	waiting bool
	// quiet says that nothing has come since the handshake: the official
	// JavaScript client counts what it hears from its first record on.
	quiet bool
}

// resumeVersion is the first version that has acknowledgements.
const resumeVersion = 2

// quietTimeout is how long messages are held for a client that says nothing
// after its handshake.
const quietTimeout = 500 * time.Millisecond

// refusedTooMany is for clients that negotiated before others and come after
// them. Negotiating anew, they are not offered what there is too much of.
const refusedTooMany refusal = "Too many clients with stateful reconnect are connected. Connect again."

// newComeback is nil for a connection that ends with its socket.
func newComeback(c *connections.Conn, version int) (*comeback, error) {
	switch {
	case !c.Resumable() || version < resumeVersion:
		return nil, nil //nolint:nilnil // an ordinary connection
	case !c.KeepForReturn():
		return nil, refusedTooMany
	}
	return &comeback{next: 1, quiet: true}, nil
}

// number counts a message. It tells whether to skip it: it came before, or it
// is about counting.
func (b *comeback) number(member *actors.Connection, m protocol.Message) (skip bool, err error) {
	if b == nil {
		_, ack := m.(*protocol.Ack)
		return ack, nil
	}
	if sequence, is := m.(*protocol.Sequence); is {
		return true, b.goOn(sequence.SequenceID)
	}
	if !protocol.Counted(m) {
		_, leaving := m.(*protocol.Close)
		return b.waiting && !leaving, nil
	}
	if b.waiting {
		return true, nil
	}
	number := b.next
	b.next++
	if number <= b.received {
		member.ReceivedAgain()
		return true, nil
	}
	b.received = number
	member.Received(number)
	return false, nil
}

// goOn is where the client goes on: with a message that is here already, or
// with the next one.
func (b *comeback) goOn(number int64) error {
	if number < 1 || number > b.received+1 {
		return fmt.Errorf("%w: sequence %d, want 1 to %d", protocol.ErrMalformed, number, b.received+1)
	}
	b.next, b.waiting = number, false
	return nil
}

// acknowledged lets go of what the client has, and moves its device on.
func (s *session) acknowledged(ctx context.Context, number int64) error {
	up, err := s.member.Acked(ctx, number)
	if err != nil {
		return nil //nolint:nilerr // the connection is over, which the reader is about to notice
	}
	if up > 0 {
		s.advance(notifications.CursorAt(s.hub.o.Durable.Reader, up))
	}
	return nil
}

// receiveAgain is receive for a connection that may come back.
func (s *session) receiveAgain(ctx context.Context) ([]byte, error) {
	for {
		data, err := s.receiveOnce(ctx)
		switch {
		case err == nil:
			return data, nil
		case errors.Is(err, io.EOF), s.gone(ctx):
			return nil, err
		}
		if err = s.awaitReturn(ctx, err); err != nil {
			return nil, err
		}
	}
}

// receiveOnce ends what is held back for a client that does not count yet.
func (s *session) receiveOnce(ctx context.Context) ([]byte, error) {
	if !s.comeback.quiet {
		return s.conn.Receive()
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(quietTimeout)); err != nil {
		return nil, err
	}
	data, err := s.conn.Receive()
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if err != nil && !late {
		return nil, err
	}
	s.comeback.quiet = false
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if err := s.member.Release(ctx); err != nil {
		return nil, err
	}
	return data, nil
}

// awaitReturn waits for another socket. What it has not been told by then is
// why the first one broke.
func (s *session) awaitReturn(ctx context.Context, broken error) error {
	s.log().InfoContext(ctx, "socket lost, the client may come back", slog.Any("reason", broken))
	if err := s.member.Detach(ctx); err != nil {
		return broken
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the wait
		select {
		case <-s.member.Done():
			cancel()
		case <-wait.Done():
		}
	}()
	if err := s.conn.Return(wait); err != nil {
		return broken
	}
	s.comeback.waiting, s.comeback.quiet = true, false
	s.splitter = protocol.Splitter{Limit: s.hub.o.MaxMessage} // half a record is lost on both sides
	return s.member.Attach(ctx, s.conn.Sink())
}
