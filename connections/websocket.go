package connections

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, by caller) {
	c, status, text := s.admit(r, by)
	if status != 0 {
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		s.refuse(w, status, text)
		return
	}
	if err := s.upgrade(w, r, c); err != nil {
		s.forget(c)
		w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455 §4.4
		s.refuse(w, http.StatusBadRequest, "The WebSocket handshake is not valid: "+err.Error())
		return
	}
	s.options.Observer.Opened(WebSockets)
	// The goroutine ends with the connection; Shutdown waits for it. The
	// request's values stay, its end does not end the connection.
	go s.serve(context.WithoutCancel(r.Context()), c)
}

// admit finds the connection a request is for, or makes a new one when the
// client has skipped negotiation, and takes it: a second socket is refused.
func (s *Server) admit(r *http.Request, by caller) (c *Conn, status int, text string) {
	token := queryValue(r, "id")
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.waiting[token]
	switch {
	case s.refusing:
		return nil, http.StatusServiceUnavailable, "The server takes no new connections at the moment."
	case token == "":
		n, token = negotiated{id: newID(), userID: by.principal.UserID}, newID()
	case s.attached[token] != nil:
		return nil, http.StatusConflict, ""
	case !known || time.Since(n.since) > s.options.DisconnectTimeout:
		delete(s.waiting, token)
		return nil, http.StatusNotFound, "No Connection with that ID"
	case n.userID != by.principal.UserID:
		return nil, http.StatusForbidden, ""
	}
	delete(s.waiting, token)
	// Cloned: these are pieces of the request, which would stay in memory.
	by.token = strings.Clone(by.token)
	c = &Conn{server: s, id: n.id, token: strings.Clone(token), caller: by, query: publicQuery(r), remote: r.RemoteAddr, opened: time.Now()}
	s.attached[token] = c
	s.wg.Add(1)
	return c, 0, ""
}

// publicQuery is the query without what must stay secret. It holds nothing of
// the request's memory.
func publicQuery(r *http.Request) url.Values {
	q := url.Values{}
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, "access_token") || strings.EqualFold(key, "id") {
			continue
		}
		for _, value := range values {
			q.Add(strings.Clone(key), strings.Clone(value))
		}
	}
	return q
}

// upgrade answers 101. The connect span ends here and not at the end of the
// connection, so that it can be seen at once.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, c *Conn) error {
	_, span := s.tracer.Start(r.Context(), "GET "+r.URL.Path, trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot(),
		trace.WithAttributes(
			attribute.String("http.request.method", http.MethodGet),
			attribute.String("http.route", r.URL.Path),
			attribute.String("signalr.transport", "web_sockets"),
			attribute.String("notify.connection.id", c.id),
		))
	defer span.End()
	ws, err := s.upgrader.Upgrade(&muting{ResponseWriter: w}, r, nil)
	if err != nil {
		return err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", http.StatusSwitchingProtocols))
	c.span = span.SpanContext()
	s.attach(c, ws)
	c.prepare()
	ws.SetPingHandler(c.pong)
	ws.SetPongHandler(func(string) error { return nil })
	ws.SetCloseHandler(func(int, string) error { return nil }) // answered by serve
	return nil
}

// attach gives a connection its socket. One that comes after Shutdown has cut
// all the others is cut as well.
func (s *Server) attach(c *Conn, ws *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ws, c.net = ws, ws.NetConn()
	if muted, ok := c.net.(*mute); ok {
		muted.on.Store(true)
		c.net = muted.Conn
	}
	if s.cutting {
		c.Abort()
	}
}

// mute is the socket as the WebSocket library has it: once the connection is
// open nothing of the library's is written. Its reader would answer violations
// of the protocol itself, between the frames of whoever owns the socket, and
// hold up the owner meanwhile.
type mute struct {
	net.Conn

	on atomic.Bool
}

// Write implements net.Conn.
func (m *mute) Write(p []byte) (int, error) {
	if m.on.Load() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

// muting is a response whose socket, when it is taken over, can be muted.
type muting struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (m *muting) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(m.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &mute{Conn: conn}, buffered, nil
}

// pong hands the answer to whoever writes.
func (c *Conn) pong(data string) error {
	if write := c.control.Load(); write != nil {
		(*write)(appendFrame(nil, websocket.PongMessage, []byte(data)))
	}
	return nil
}

func (s *Server) serve(ctx context.Context, c *Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Done()
	defer cancel()
	s.handler.ServeConn(ctx, c)
	// Nobody else writes any more: say goodbye if that has not been done.
	if c.finished.Load() == nil {
		c.Finish("normal")
	}
	c.goodbye.Wait()
	s.forget(c)
	c.cut.Do(func() { _ = c.net.Close() }) // nothing is left to be lost
	s.options.Observer.Closed(WebSockets, *c.finished.Load(), time.Since(c.opened))
}

// forget also ends the account of a connection that could not be upgraded.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.attached, c.token)
	if c.ws == nil {
		s.wg.Done()
	}
}

// The layout of a frame (RFC 6455 §5.2): final fragment, and the lengths that
// need two or eight more bytes.
const (
	finalBit    = 0x80
	lengthIn16  = 126
	lengthIn64  = 127
	maxIn7Bits  = 125
	maxIn16Bits = 1<<16 - 1
)

// appendFrame appends one unmasked final frame: what a server sends.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, finalBit|opcode)
	switch n := len(payload); {
	case n <= maxIn7Bits:
		dst = append(dst, byte(n))
	case n <= maxIn16Bits:
		dst = binary.BigEndian.AppendUint16(append(dst, lengthIn16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, lengthIn64), uint64(n))
	}
	return append(dst, payload...)
}
