// Package connections lets browsers in: it negotiates, checks where they come
// from and who they are, and hands each on as a two-way pipe of bytes, a
// [Conn]. It knows sockets, headers and transports and nothing of hubs.
//
// An idle connection costs one goroutine and no buffer: the HTTP handler has
// returned, the goroutine waits for the header of a frame, and there is no
// writer and no timer. Whoever owns the connection above writes to it without
// waiting, see [Conn.TryWrite].
package connections

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/trace"

	"tidings/roles"
)

// WebSockets is the name of the transport, as in negotiate.
const WebSockets = "WebSockets"

// Conn is one connection. The methods that read belong to the goroutine of
// Handler.ServeConn, those that write to one owner at a time; the others are
// safe for concurrent use.
type Conn struct {
	server    *Server
	id, token string
	caller    caller
	query     url.Values
	remote    string
	span      trace.SpanContext
	opened    time.Time

	ws  *websocket.Conn
	net net.Conn
	raw syscall.RawConn // nil where a write cannot be tried, see TryWrite

	// Reading.
	message io.Reader
	buffer  *[]byte

	// Writing.
	binary  bool
	try     attempt
	attempt func(fd uintptr) bool // one write, made once
	// draining says that a goroutine is writing. It holds the lock of the
	// socket: an attempt would wait for it.
	draining atomic.Bool

	control  atomic.Pointer[func([]byte)]
	finished atomic.Pointer[string] // the reason
	closed   atomic.Bool            // the peer has sent a close frame
	violated atomic.Bool            // the peer has broken the protocol
	goodbye  sync.WaitGroup         // a close frame that could not be tried
	cut      sync.Once
}

// ID is the public name of the connection.
func (c *Conn) ID() string { return c.id }

// Principal is who has connected; its UserID is empty for an anonymous caller.
func (c *Conn) Principal() roles.Principal { return c.caller.principal }

// BearerToken is the token the connection was made with, or empty. It is a
// secret.
func (c *Conn) BearerToken() string { return c.caller.token }

// Query is the query of the request that made the connection, without its
// token. The caller must not change it.
func (c *Conn) Query() url.Values { return c.query }

// RemoteAddr is the address of the peer.
func (c *Conn) RemoteAddr() string { return c.remote }

// ConnectSpan is the span of the request that made the connection.
func (c *Conn) ConnectSpan() trace.SpanContext { return c.span }

// LogValue names the connection without its secrets.
func (c *Conn) LogValue() slog.Value {
	return slog.GroupValue(slog.String("connection_id", c.id), slog.String("remote", c.remote))
}

// Receive returns the next bytes of the client, which are valid until the next
// call: a message or a part of one, whatever its kind. io.EOF says that the
// client has closed the connection, os.ErrDeadlineExceeded that it has said
// nothing in time; any other error, that it broke.
func (c *Conn) Receive() ([]byte, error) {
	for {
		if c.message == nil {
			if err := c.nextMessage(); err != nil {
				return nil, err
			}
		}
		n, err := c.message.Read(*c.buffer)
		if err != nil {
			c.message = nil
		}
		if n > 0 {
			return (*c.buffer)[:n], nil
		}
		if err != nil && err != io.EOF {
			return nil, c.readError(err)
		}
	}
}

// readError undoes what the library makes of a deadline that has passed – an
// error of its own that is no longer os.ErrDeadlineExceeded – and notes a
// violation of the protocol: what is neither an error of the socket nor its
// end.
func (c *Conn) readError(err error) error {
	broken, ofSocket := errors.AsType[net.Error](err)
	_, ofPeer := errors.AsType[*websocket.CloseError](err)
	switch {
	case ofSocket && broken.Timeout():
		return os.ErrDeadlineExceeded
	case !ofSocket && !ofPeer && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe):
		c.violated.Store(true)
	}
	return err
}

// nextMessage waits for the header of a message, without a buffer.
func (c *Conn) nextMessage() error {
	if c.buffer != nil {
		c.server.buffers.Put(c.buffer)
		c.buffer = nil
	}
	_, message, err := c.ws.NextReader()
	if closing, ok := errors.AsType[*websocket.CloseError](err); ok && closing.Code != websocket.CloseAbnormalClosure {
		c.closed.Store(true)
		switch closing.Code {
		case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
			return io.EOF
		}
	}
	if err != nil {
		return c.readError(err)
	}
	buffer, ok := c.server.buffers.Get().(*[]byte)
	if !ok {
		b := make([]byte, readBuffer)
		buffer = &b
	}
	c.message, c.buffer = message, buffer
	return nil
}

// SetReadDeadline makes Receive fail from then on; zero = never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.net.SetReadDeadline(t) }

// OnControl names who writes the frames of the transport itself, such as the
// pong to a ping. Without one they are not sent: the reader must not write
// between the frames of somebody else.
func (c *Conn) OnControl(write func(frame []byte)) { c.control.Store(&write) }

// SetBinary makes Frame write binary messages from now on.
func (c *Conn) SetBinary() { c.binary = true }

// Abort cuts the connection at once.
func (c *Conn) Abort() {
	c.cut.Do(func() {
		if tcp, ok := c.net.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // it is being cut in any case
		}
		_ = c.net.Close() // likewise
	})
}
