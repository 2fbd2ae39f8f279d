package hub

import (
	"bytes"
	"context"
	"io"

	"tidings/hub/protocol"
)

// maxQueued is how many invocations of one connection may wait; then its
// reader stops reading.
const maxQueued = 64

// request is one invocation of the client, of either kind.
type request struct {
	*protocol.Invocation

	streaming bool // the client wants a stream
	uploads   []*upload
	start     func() // of a call with streams, which takes a turn to begin only

	placed bool // it has one of the places of the reader; guarded by session.mu
	turn   bool // it has one; guarded by turns.mu while it waits for a client
}

// route handles the records that are complete.
func (s *session) route(ctx context.Context) error {
	for {
		record, ok, err := s.splitter.Next(s.codec)
		if err != nil || !ok {
			return err
		}
		s.hub.received.Add(1)
		// The message refers to its record and may outlive the buffer.
		m, err := s.codec.Decode(bytes.Clone(record))
		if err != nil {
			return err
		}
		if err := s.handle(ctx, m); err != nil {
			return err
		}
	}
}

// handle never runs a method: it only routes. Messages of types that a client
// need not send to this hub, or that nobody waits for, are passed over.
func (s *session) handle(ctx context.Context, m protocol.Message) error {
	if skip, err := s.comeback.number(s.member, m); skip || err != nil {
		return err
	}
	switch m := m.(type) {
	case *protocol.Ping:
		s.member.Pinged()
	case *protocol.Invocation:
		if len(m.StreamIDs) > 0 {
			return s.begin(ctx, &request{Invocation: m})
		}
		return s.enqueue(&request{Invocation: m})
	case *protocol.StreamInvocation:
		return s.begin(ctx, &request{Invocation: (*protocol.Invocation)(m), streaming: true})
	case *protocol.StreamItem:
		s.uploads.push(m.InvocationID, m.RawItem)
	case *protocol.Completion:
		s.complete(m)
	case *protocol.CancelInvocation:
		s.cancelStream(m.InvocationID)
	case *protocol.Ack:
		return s.acknowledged(ctx, m.SequenceID)
	case *protocol.Close:
		return &clientClosed{m.Error}
	}
	return nil
}

// complete ends a stream of the client or answers a question.
func (s *session) complete(m *protocol.Completion) {
	why := io.EOF
	if m.Error != "" {
		why = Error{Text: m.Error}
	}
	if s.uploads.finish(m.InvocationID, why) {
		return
	}
	if answer := s.answered(m.InvocationID); answer != nil {
		answer <- m // has a place of its own
	}
}

// enqueue lets an invocation wait for its turn.
func (s *session) enqueue(r *request) error {
	if s.room == nil {
		s.room = make(chan struct{}, maxQueued)
	}
	select {
	case s.room <- struct{}{}:
	case <-s.member.Done():
		return errClosedByServer
	}
	r.placed = true
	s.turns.add(r)
	return nil
}

// run runs an invocation that has its turn. When the connection is over, those
// that wait are dropped.
func (s *session) run(ctx context.Context, r *request) {
	switch {
	case r.start != nil:
		r.turn = false
		r.start()
	case !s.gone(ctx):
		s.invoke(ctx, r)
	}
	s.mu.Lock()
	placed := r.placed
	s.mu.Unlock()
	if placed {
		<-s.room
	}
}

// gone tells whether nothing can be said to the client any more.
func (s *session) gone(ctx context.Context) bool {
	select {
	case <-s.member.Done():
		return true
	default:
		return ctx.Err() != nil
	}
}
