package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tidings/actors"
	"tidings/connections"
	"tidings/hub/protocol"
	"tidings/notifications"
	"tidings/roles"
)

// session is one connection as its hub sees it. Its reader goroutine runs open,
// goOn and end, one after the other; while the client says nothing, there is
// none.
type session struct {
	ctx    context.Context //nolint:containedctx // that of the connection, and it has no function of its own
	cancel context.CancelFunc

	hub      *Hub
	conn     *connections.Conn
	splitter protocol.Splitter
	codec    protocol.Codec
	version  int // of the encoding, as asked for
	member   *actors.Connection
	items    atomic.Pointer[sync.Map] // what the application keeps with the connection
	resume   *resumption
	began    time.Time
	head     notifications.LogState // when it began
	comeback *comeback              // nil unless the client may come back with another socket

	turns   turns
	room    chan struct{} // full: the reader waits; nil until there was a call
	idle    sync.WaitGroup
	replies *actors.Lane // of the reader
	uploads *uploads     // nil until the client sends a stream

	mu      sync.Mutex                             // guards all below
	streams map[string]context.CancelCauseFunc     // the calls with streams, see request.streamKey
	asked   map[string]chan<- *protocol.Completion // questions to the client, by id
	lanes   []*actors.Lane                         // of calls that have ended
	waiting int                                    // calls that wait for an answer of some client
	left    bool                                   // nothing more is read
	over    chan struct{}                          // closed then; nil while nobody waits for that
}

// ServeConn implements connections.Handler.
func (h *Hub) ServeConn(ctx context.Context, conn *connections.Conn) {
	s := &session{hub: h, conn: conn, splitter: protocol.Splitter{Limit: h.o.MaxMessage}}
	if err := s.open(ctx); err != nil {
		return
	}
	s.goOn() //nolint:contextcheck // it has its own by now
}

// open takes the connection to where calls are read. After an error nothing is
// left of it.
func (s *session) open(ctx context.Context) error {
	s.hub.shakes(s.conn)
	defer s.hub.shaken(s.conn)
	came := time.Now()
	if err := s.join(ctx); err != nil {
		s.refuse(ctx, err)
		return err
	}
	s.hub.o.Observer.Joined(s.conn.Transport(), time.Since(came))
	// What takes a deadline from this context leaves something in it: it is made
	// when nearly all of that is over.
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.log().InfoContext(ctx, "connection opened", slog.Any("principal", s.conn.Principal()), slog.String("transport", s.conn.Transport()))
	if err := s.connected(ctx); err != nil {
		s.depart(err)
		return err
	}
	s.hub.enlist(s)
	s.visit(time.Time{}, "")
	if err := s.start(ctx); err != nil {
		s.end(err) //nolint:contextcheck // likewise
		return err
	}
	if s.comeback == nil {
		s.conn.MayRest()
	}
	return nil
}

// goOn reads what the client says until it ends, or says nothing for a while.
func (s *session) goOn() {
	err := s.read(s.ctx)
	if errors.Is(err, connections.ErrIdle) {
		s.conn.Rest(s.goOn)
		return
	}
	s.end(err)
}

// end is the way out of a connection that was in.
func (s *session) end(err error) {
	s.leave()
	s.cancel()
	s.idle.Wait()
	if err == nil {
		err = endedByServer(s.member.Ended())
	}
	s.disconnected(context.WithoutCancel(s.ctx), err)
	s.depart(err)
	s.visit(time.Now(), s.member.Ended())
}

// depart takes the connection out of the system.
func (s *session) depart(err error) {
	s.cancel()
	s.member.Leave(leaveReason(err))
	<-s.member.Done()
	s.log().InfoContext(s.ctx, "connection closed", slog.Any("reason", err))
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
	s.hub.opening.enter()
	defer s.hub.opening.leave()
	if s.comeback, err = newComeback(s.conn, s.version); err != nil {
		return err
	}
	s.began = time.Now()
	if s.hub.o.Durable != nil {
		s.head = s.hub.o.Durable.Reader.State()
	}
	if s.resume, err = s.hub.resumption(ctx, s.conn); err != nil {
		return err
	}
	principal := s.conn.Principal()
	m := actors.Member{
		ID: s.conn.ID(), User: principal.UserID, Roles: principal.Roles, Issued: principal.IssuedAt, State: s.resume.opening.state,
		Groups: s.resume.groups(), Codec: codec, Sink: s.conn.Sink(),
		After: s.resume.after, First: protocol.HandshakeAnswer(""),
		Resumable: s.comeback != nil, Unpinged: s.conn.Transport() == connections.LongPolling,
	}
	if s.hub.o.CloseOnAuthExpiration {
		m.Expires = principal.Expires
	}
	s.hub.shaken(s.conn)
	if s.member, err = s.hub.system.Join(ctx, m); err != nil {
		return refusedBroken
	}
	s.conn.OnControl(s.member.Control)
	s.conn.OnRenewed(func(p roles.Principal) { s.renewed(p) })
	s.turns.of = s
	return s.refresh(ctx)
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
	start := s.resume.opening.start
	s.resume.opening = nil
	if s.hub.o.Durable != nil {
		resumed := &protocol.Invocation{Target: "Resumed", Arguments: []any{start.Resumed}}
		if err := s.member.Send(ctx, resumed); err != nil {
			return err
		}
	}
	if start.Oldest {
		return s.member.ResumeOldest(ctx, start.After)
	}
	return s.member.Resume(ctx, start.After)
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
	case "", actors.ReasonNormal, actors.ReasonShutdown, actors.ReasonAuthExpired, actors.ReasonOperator:
		return nil
	}
	return fmt.Errorf("%w: %s", errClosedByServer, reason)
}

// errClosedByServer ends a session whose actor ended first.
var errClosedByServer = errors.New("closed by the server")

// read routes what the client sends, until it ends. A nil error is a clean
// end, and connections.ErrIdle none.
func (s *session) read(ctx context.Context) error {
	for {
		if err := s.route(ctx); err != nil {
			return s.ended(ctx, err)
		}
		data, err := s.receive(ctx)
		if errors.Is(err, connections.ErrIdle) {
			return err
		}
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
	s.mu.Lock()
	before := s.left
	s.left = true
	if s.over != nil && !before {
		close(s.over)
	}
	s.mu.Unlock()
	if before {
		return
	}
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

// since is where the history of a group begins that is joined now.
func (s *session) since() notifications.Position {
	if s.hub.o.Durable == nil {
		return 0
	}
	return s.hub.o.Durable.Reader.State().Last
}
