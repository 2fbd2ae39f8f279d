package connections

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/trace"
)

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, by caller) {
	c, first, err := s.admit(r, by, WebSockets, nil)
	if err != nil {
		s.refuse(w, err)
		return
	}
	number := c.arrive()
	ws, span, err := s.upgrade(w, r, c)
	if err != nil {
		if first {
			s.forget(c)
			s.wg.Done()
		}
		s.refuseUpgrade(w, err)
		return
	}
	if !first {
		c.offer(offer{ws, by.principal, number})
		return
	}
	c.begun(span)
	c.attach(ws)
	s.options.Observer.Opened(WebSockets)
	// The goroutine ends with the connection, or rests; Shutdown waits for it.
	go s.serve(c)
}

// errTaken refuses an upgrade that can no longer be answered.
var errTaken = errors.New("the client has not waited for the answer, or is gone")

func (s *Server) refuseUpgrade(w http.ResponseWriter, err error) {
	if errors.Is(err, errTaken) {
		s.options.Observer.Refused(http.StatusBadRequest)
		return
	}
	w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455 §4.4
	s.refuse(w, refusal{http.StatusBadRequest, "The WebSocket handshake is not valid: " + err.Error()})
}

// upgrade answers 101.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, c *Conn) (*socket, trace.SpanContext, error) {
	_, span := s.tracer.Start(r.Context(), "GET "+r.URL.Path, spanOptions(r, c)...)
	defer span.End()
	taken := &taking{ResponseWriter: w}
	ws, err := s.upgrader.Upgrade(taken, r, nil)
	if err != nil && taken.muted != nil {
		err = errTaken // the library has closed it
	}
	if err != nil {
		return nil, trace.SpanContext{}, err
	}
	spanStatus(span, http.StatusSwitchingProtocols)
	taken.muted.on.Store(true)
	so := &socket{server: s, sum: s.traffic.place(), ws: ws, net: taken.muted.Conn, unread: taken.reader}
	taken.muted.reader = so
	so.prepare()
	ws.SetPingHandler(c.pong)
	ws.SetPongHandler(func(string) error { return nil })
	ws.SetCloseHandler(func(int, string) error { return nil }) // answered by Finish
	return so, span.SpanContext(), nil
}

// mute is the socket as the WebSocket library has it: once the connection is
// open nothing of the library's is written. Its reader would answer violations
// of the protocol itself, between the frames of whoever owns the socket, and
// hold up the owner meanwhile.
type mute struct {
	net.Conn

	on     atomic.Bool
	reader *socket // nil until the connection is open
}

// Read implements net.Conn.
func (m *mute) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	for err != nil && m.reader != nil && m.reader.untimely(err) {
		n, err = m.Conn.Read(p)
	}
	return n, err
}

// Write implements net.Conn.
func (m *mute) Write(p []byte) (int, error) {
	if m.on.Load() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

// wsBuffer is the smallest buffer that the library reads through if it is not
// its own: an idle connection keeps it.
const wsBuffer = 257

// taking is a response whose socket, when it is taken over, can be muted and
// is read through a buffer that is known.
type taking struct {
	http.ResponseWriter

	muted  *mute
	reader *bufio.Reader
}

// Hijack implements http.Hijacker.
func (t *taking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.muted = &mute{Conn: conn}
	if buffered.Reader.Buffered() == 0 { // else the library refuses
		t.reader = bufio.NewReaderSize(t.muted, wsBuffer)
		buffered = bufio.NewReadWriter(t.reader, buffered.Writer)
	}
	return t.muted, buffered, nil
}

// pong hands the answer to whoever writes.
func (c *Conn) pong(data string) error {
	if write := c.control.Load(); write != nil {
		(*write)(appendFrame(nil, websocket.PongMessage, []byte(data)))
	}
	return nil
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
