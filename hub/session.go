package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"tidings/actors"
	"tidings/connections"
	"tidings/hub/protocol"
	"tidings/notifications"
	"tidings/roles"
)

// maxQueued is how many invocations of one connection may wait; then its
// reader stops reading.
const maxQueued = 64

// session is one connection as its hub sees it. Its reader goroutine runs
// ServeConn from top to bottom.
type session struct {
	hub      *Hub
	conn     *connections.Conn
	splitter protocol.Splitter
	codec    protocol.Codec
	version  int // of the encoding, as asked for
	member   *actors.Connection
	items    sync.Map // what the application keeps with the connection
	resume   *resumption
	comeback *comeback // nil unless the client may come back with another socket

	shaken func() // see Hub.shakes

	turns   turns
	room    chan struct{} // full: the reader waits
	idle    sync.WaitGroup
	replies *actors.Lane  // of the reader
	over    chan struct{} // closed when nothing more is read
	uploads *uploads

	mu        sync.Mutex // guards all below
	streams   map[string]context.CancelCauseFunc
	streaming int                                    // calls with streams
	asked     map[string]chan<- *protocol.Completion // questions to the client, by id
	lanes     []*actors.Lane                         // of calls that have ended
	waiting   int                                    // calls that wait for an answer of some client
}

// request is one invocation of the client, of either kind.
type request struct {
	*protocol.Invocation

	streaming bool // the client wants a stream
	uploads   []*upload
	start     func() // of a call with streams

	placed bool // it has one of the places of the reader; guarded by session.mu
	plain  bool // it takes turns
	turn   bool // and has one; guarded by turns.mu while it waits for a client
}

// ServeConn implements connections.Handler.
func (h *Hub) ServeConn(ctx context.Context, conn *connections.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{
		hub: h, conn: conn, room: make(chan struct{}, maxQueued), over: make(chan struct{}),
		splitter: protocol.Splitter{Limit: h.o.MaxMessage},
	}
	s.shaken = h.shakes(conn)
	defer s.shaken()
	err := s.join(ctx)
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	s.log().InfoContext(ctx, "connection opened", slog.Any("principal", conn.Principal()), slog.String("transport", conn.Transport()))
	err = s.connected(ctx)
	if err == nil {
		h.enlist(s)
		if err = s.start(ctx); err == nil {
			err = s.read(ctx)
		}
		s.leave()
		cancel()
		s.idle.Wait()
		if err == nil {
			err = endedByServer(s.member.Ended())
		}
		s.disconnected(context.WithoutCancel(ctx), err)
	}
	s.member.Leave(leaveReason(err))
	<-s.member.Done()
	s.log().InfoContext(ctx, "connection closed", slog.Any("reason", err))
}

// log is made when there is something to say: a logger of its own would cost
// every connection memory.
func (s *session) log() *slog.Logger {
	return s.hub.o.Logger.With(slog.String("connection_id", s.conn.ID()))
}

// leaveReason is what the metrics call the end of a session; it counts only
// when the actor has not ended first, for a reason of its own.
func leaveReason(err error) string {
	if err == nil {
		return actors.ReasonNormal
	}
	return actors.ReasonNetwork
}

// join takes the connection from its first byte to where it is delivered to.
func (s *session) join(ctx context.Context) error {
	codec, err := s.handshake()
	if err != nil {
		return err
	}
	s.codec = codec
	if s.comeback, err = newComeback(s.conn, s.version); err != nil {
		return err
	}
	if s.resume, err = s.hub.resumption(ctx, s.conn); err != nil {
		return err
	}
	principal := s.conn.Principal()
	m := actors.Member{
		ID: s.conn.ID(), User: principal.UserID, Roles: principal.Roles,
		Groups: s.resume.groups(), Codec: codec, Sink: s.conn.Sink(),
		After: s.resume.start.After, First: protocol.HandshakeAnswer(""),
		Resumable: s.comeback != nil, Unpinged: s.conn.Transport() == connections.LongPolling,
	}
	if s.hub.o.CloseOnAuthExpiration {
		m.Expires = principal.Expires
	}
	s.shaken()
	if s.member, err = s.hub.system.Join(ctx, m); err != nil {
		return refusedBroken
	}
	s.conn.OnControl(s.member.Control)
	if s.hub.o.CloseOnAuthExpiration {
		s.conn.OnRenewed(func(p roles.Principal) { s.member.Renew(p.Expires) })
	}
	s.prepare(ctx)
	return nil
}

// prepare makes what calls need. Their goroutines end before ServeConn does.
func (s *session) prepare(ctx context.Context) {
	s.uploads = newUploads(s.codec, s.hub.o.StreamBuffer, s.member.Done())
	s.turns = turns{
		limit: s.hub.o.ParallelInvocations,
		run:   func(r *request) { s.run(ctx, r) },
		start: s.idle.Go,
		busy: func(busy bool) { // a client that waits for us is not silent
			s.member.Heard()
			s.member.Busy(busy)
		},
	}
}

// connected runs the application's handler. From its success on the connection
// is in, and is told to the disconnect handler whatever happens next.
func (s *session) connected(ctx context.Context) error {
	if err := s.onConnected(ctx); err != nil {
		s.log().WarnContext(ctx, "connection refused by its handler", slog.Any("error", err))
		s.hangUp(ctx, actors.ReasonError, &protocol.Close{Error: s.hub.closeText(err)})
		return err
	}
	return nil
}

// start starts delivery.
func (s *session) start(ctx context.Context) error {
	if s.hub.o.Durable != nil {
		resumed := &protocol.Invocation{Target: "Resumed", Arguments: []any{s.resume.start.Resumed}}
		if err := s.member.Send(ctx, resumed); err != nil {
			return err
		}
	}
	if s.resume.start.Oldest {
		return s.member.ResumeOldest(ctx, s.resume.start.After)
	}
	return s.member.Resume(ctx, s.resume.start.After)
}

// hangUp says goodbye and waits for the client to take it.
func (s *session) hangUp(ctx context.Context, reason string, m *protocol.Close) {
	if err := s.member.Close(ctx, reason, m); err != nil {
		return // it has ended already
	}
	for err := error(nil); err == nil; {
		_, err = s.conn.Receive()
	}
}

// endedByServer is what the disconnect handler hears when the client has taken
// its leave in order, but because the server had ended the connection.
func endedByServer(reason string) error {
	switch reason {
	case "", actors.ReasonNormal, actors.ReasonShutdown, actors.ReasonAuthExpired:
		return nil
	}
	return fmt.Errorf("%w: %s", errClosedByServer, reason)
}

// errClosedByServer ends a session whose actor ended first.
var errClosedByServer = errors.New("closed by the server")

// read routes what the client sends, until it ends. A nil error is a clean
// end.
func (s *session) read(ctx context.Context) error {
	for {
		if err := s.route(ctx); err != nil {
			return s.ended(ctx, err)
		}
		data, err := s.receive(ctx)
		if err != nil {
			return s.ended(ctx, err)
		}
		s.member.Heard()
		s.splitter.Feed(data)
	}
}

// receive waits for bytes, if need be of another socket.
func (s *session) receive(ctx context.Context) ([]byte, error) {
	if s.comeback == nil {
		return s.conn.Receive()
	}
	return s.receiveAgain(ctx)
}

// leave says that nothing more is read: whoever waits for the client waits in
// vain.
func (s *session) leave() {
	select {
	case <-s.over:
		return
	default:
	}
	close(s.over)
	s.hub.strike(s)
	s.cancelStreams()
}

// ended finds out why reading ended and says so to the client if it is to
// blame.
func (s *session) ended(ctx context.Context, err error) error {
	var closed *clientClosed
	switch {
	case errors.Is(err, io.EOF):
		s.finish()
		return nil
	case errors.As(err, &closed):
		s.finish()
		s.hangUp(ctx, actors.ReasonNormal, nil)
		return closed.err()
	case errors.Is(err, protocol.ErrMalformed), errors.Is(err, protocol.ErrTooLarge):
		s.log().WarnContext(ctx, "protocol error", slog.Any("error", err))
		s.finish()
		s.hangUp(ctx, actors.ReasonProtocolError, &protocol.Close{Error: "Connection closed with an error.", AllowReconnect: true})
		return err
	}
	return err
}

// farewell is how long a client that is leaving is still worked for.
const farewell = 5 * time.Second

// finish lets the calls run that came before the record that ends the
// connection: records are handled in order, and a client that says something
// and goodbye wants it done. Nobody is left to wait for when the server has
// ended the connection itself.
func (s *session) finish() {
	s.leave()
	idle := make(chan struct{})
	go func() { // ends with the worker, which ServeConn waits for
		s.idle.Wait()
		close(idle)
	}()
	late := time.NewTimer(farewell)
	defer late.Stop()
	select {
	case <-idle:
	case <-s.member.Done():
	case <-late.C:
	}
}

// clientClosed is a Close message of the client.
type clientClosed struct{ text string }

func (c *clientClosed) Error() string { return "closed by the client: " + c.text }

// err is what the disconnect handler hears: nothing after a plain Close.
func (c *clientClosed) err() error {
	if c.text == "" {
		return nil
	}
	return c
}

// route handles the records that are complete.
func (s *session) route(ctx context.Context) error {
	for {
		record, ok, err := s.splitter.Next(s.codec)
		if err != nil || !ok {
			return err
		}
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
		s.member.Busy(true) // it may wait for its method, and we do not hear the client meanwhile
		s.uploads.push(m.InvocationID, m.RawItem)
		s.turns.tell()
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
		r.plain, r.turn = false, false
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

// since is where the history of a group begins that is joined now.
func (s *session) since() notifications.Position {
	if s.hub.o.Durable == nil {
		return 0
	}
	return s.hub.o.Durable.Reader.State().Last
}
