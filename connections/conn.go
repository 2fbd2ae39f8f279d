// Package connections lets browsers in: it negotiates, checks where they come
// from and who they are, and hands each on as a two-way pipe of bytes, a
// [Conn], over WebSockets, Server-Sent Events or long polling. It knows
// sockets, headers and transports and nothing of hubs.
//
// An idle WebSocket costs no goroutine and no buffer: the HTTP handler has
// returned, one poller waits for all sockets whose clients say nothing, and there
// is no writer and no timer. A long-polling connection costs the same goroutine and
// one timer, and those of the HTTP server while a poll waits; an event stream
// keeps its HTTP handler, which writes it. Whoever owns the connection above
// writes to it without waiting, see [Sink].
package connections

import (
	"errors"
	"io"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"tidings/roles"
)

// The names of the transports, as in negotiate.
const (
	WebSockets       = "WebSockets"
	ServerSentEvents = "ServerSentEvents"
	LongPolling      = "LongPolling"
)

// Transports are all of them, in the order in which clients try them unless
// told otherwise.
func Transports() []string { return []string{WebSockets, ServerSentEvents, LongPolling} }

// Sink is the writing half of a transport. It has one owner at a time.
type Sink interface {
	// Transport is the name of the transport.
	Transport() string
	// Frame appends the records, whole, as one unit of the transport: what a
	// client gets is made of whole units. It is pure: frames of one kind are
	// the same for all connections.
	Frame(dst, records []byte) []byte
	// TryWrite writes what can be taken at once and never waits; it does not
	// keep p. A short count without an error says that the rest must go
	// through Drain.
	TryWrite(p []byte) (int, error)
	// Drain takes p over and writes it on a goroutine of its own, which ends
	// when it has been written, when the peer has taken no byte for
	// SendTimeout, or with the connection. Then it calls done, once.
	Drain(p []byte, done func(error))
	// Finish says that nothing more will be written, and why; the first reason
	// counts. What was written still goes out, within CloseTimeout, unless the
	// peer takes nothing ("slow") or is gone ("network"). It never waits.
	Finish(reason string)
}

// pipe is a transport of one connection.
type pipe interface {
	Sink
	// receive is Conn.Receive.
	receive() ([]byte, error)
	setReadDeadline(t time.Time) error
	// abort cuts it at once.
	abort()
	// close waits until what was written before Finish has gone out, as far as
	// the peer takes it in time, and then ends it for good. It returns the
	// reason of Finish.
	close() (reason string)
}

// Conn is one connection. Receive, SetReadDeadline, SetBinary, MayRest, Rest and
// Return belong to the goroutine of Handler.ServeConn, a Sink to one owner at a time;
// the others are safe for concurrent use.
type Conn struct {
	server    *Server
	id, token string
	transport string
	maker     caller
	query     url.Values
	remote    string
	span      *trace.SpanContext // nil if it is not recorded
	opened    time.Time
	resumable bool

	next func() // of Rest

	control   atomic.Pointer[func([]byte)]
	principal atomic.Pointer[roles.Principal] // of the newest request
	renewal   renewal

	mu      sync.Mutex // guards all below
	pipe    pipe       // nil until attached; Return alone changes it
	binary  bool
	kept    bool   // another socket may take over
	over    bool   // and now none may any more
	offered *offer // a socket that Return has not taken yet
	changed bell   // one of the two above
	arrived int    // requests to take over
	newest  int    // of those that have offered a socket
}

// ID is the public name of the connection.
func (c *Conn) ID() string { return c.id }

// Transport is the name of the transport.
func (c *Conn) Transport() string { return c.transport }

// Principal is who has connected, as the newest poll or socket has it; its
// UserID never changes and is empty for an anonymous caller.
func (c *Conn) Principal() roles.Principal { return *c.principal.Load() }

// BearerToken is the token the connection was made with, or empty. It is a
// secret.
func (c *Conn) BearerToken() string { return c.maker.token }

// Query is the query of the request that made the connection, without its
// token. The caller must not change it.
func (c *Conn) Query() url.Values { return c.query }

// RemoteAddr is the address of the peer that made the connection.
func (c *Conn) RemoteAddr() string { return c.remote }

// ConnectSpan is the span of the request that made the connection.
func (c *Conn) ConnectSpan() trace.SpanContext {
	if c.span == nil {
		return trace.SpanContext{}
	}
	return *c.span
}

// begun keeps the span of the request, if there is any.
func (c *Conn) begun(span trace.SpanContext) {
	if span.IsValid() {
		c.span = &span
	}
}

// LogValue names the connection without its secrets.
func (c *Conn) LogValue() slog.Value {
	return slog.GroupValue(slog.String("connection_id", c.id), slog.String("remote", c.remote))
}

// Sink is where to write. It is another one after Return.
func (c *Conn) Sink() Sink { return c.current() } //nolint:ireturn // one of three transports

func (c *Conn) current() pipe { //nolint:ireturn // likewise
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pipe
}

// Receive returns the next bytes of the client, which are valid until the next
// call: a piece of its stream of bytes, which says nothing of records. io.EOF
// says that the client has ended the connection, or that the server has and
// the transport is through with it; os.ErrDeadlineExceeded that nothing was
// said in time; any other error, that it broke.
//
// After os.ErrDeadlineExceeded and a new deadline Receive goes on, but not in
// the middle of a message of a WebSocket.
func (c *Conn) Receive() ([]byte, error) {
	data, err := c.pipe.receive()
	if errors.Is(err, io.EOF) {
		c.giveUp()
	}
	return data, err
}

// SetReadDeadline makes Receive fail from then on; zero = never. It is that of
// the current transport.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.pipe.setReadDeadline(t) }

// SetBinary makes Frame write binary messages, where the transport tells them
// from text. It is called before frames are made, and is kept by sockets that
// come later.
func (c *Conn) SetBinary() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.binary = true
	if s, ok := c.pipe.(*socket); ok {
		s.binary = true
	}
}

// OnControl names who writes the frames of the transport itself, such as the
// pong to a ping. Without one they are not sent: the reader must not write
// between the frames of somebody else.
func (c *Conn) OnControl(write func(frame []byte)) { c.control.Store(&write) }

// Abort cuts the connection at once and for good.
func (c *Conn) Abort() {
	c.giveUp()
	if p := c.current(); p != nil { // else see attach
		p.abort()
	}
}

// attach gives a connection its first transport. One that comes after Abort is
// cut as well.
func (c *Conn) attach(p pipe) {
	c.mu.Lock()
	c.pipe = p
	over := c.over
	c.mu.Unlock()
	if over {
		p.abort()
	}
}

// end says goodbye when the handler has returned, if that has not been done:
// nobody else writes any more. It returns the reason of the end.
func (c *Conn) end() (reason string) {
	c.giveUp()
	p := c.current()
	p.Finish("normal")
	return p.close()
}

// gone tells whether requests for this connection come too late. A socket that
// is being attached is there.
func (c *Conn) gone() bool {
	switch p := c.current().(type) {
	case *polls:
		return p.gone()
	case *events:
		return p.in.closed()
	default:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.over
	}
}

// bell wakes all who wait for something to change. It is guarded by the lock
// of what changes.
type bell struct{ waiting chan struct{} }

// listen is a channel that is closed at the next ring.
func (b *bell) listen() <-chan struct{} {
	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}
	return b.waiting
}

func (b *bell) ring() {
	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}
