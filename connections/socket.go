package connections

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// socket is one WebSocket. Over a connection that may come back there are
// several, one after the other.
type socket struct {
	server *Server
	ws     *websocket.Conn
	net    net.Conn
	raw    syscall.RawConn // nil where a write cannot be tried, see TryWrite

	// Reading.
	unread  *bufio.Reader // below ws
	message io.Reader
	buffer  *[]byte
	rest    rest

	// Writing.
	binary  bool
	sum     uint8                 // of the server's traffic
	try     *attempt              // while one is made
	attempt func(fd uintptr) bool // one write, made once
	// draining says that a goroutine is writing. It holds the lock of the
	// socket: an attempt would wait for it.
	draining atomic.Bool

	finished atomic.Pointer[string] // the reason
	closed   atomic.Bool            // the peer has sent a close frame
	violated atomic.Bool            // the peer has broken the protocol
	goodbye  sync.WaitGroup         // a close frame that could not be tried
	cut      sync.Once
}

// receive implements pipe. What it returns is a message or a part of one,
// whatever its kind.
func (s *socket) receive() ([]byte, error) {
	for {
		if s.message == nil {
			if err := s.nextMessage(); err != nil {
				return nil, err
			}
		}
		n, err := s.message.Read(*s.buffer)
		if err != nil {
			s.message = nil
		}
		if n > 0 {
			s.counter().received.Add(int64(n))
			return (*s.buffer)[:n], nil
		}
		if err != nil && err != io.EOF {
			return nil, s.readError(err)
		}
	}
}

func (s *socket) counter() *counter { return &s.server.traffic.sums[s.sum] }

// readError undoes what the library makes of a deadline that has passed – an
// error of its own that is no longer os.ErrDeadlineExceeded – and notes a
// violation of the protocol: what is neither an error of the socket nor its
// end.
func (s *socket) readError(err error) error {
	broken, ofSocket := errors.AsType[net.Error](err)
	_, ofPeer := errors.AsType[*websocket.CloseError](err)
	switch {
	case ofSocket && broken.Timeout():
		return os.ErrDeadlineExceeded
	case !ofSocket && !ofPeer && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe):
		s.violated.Store(true)
	}
	return err
}

// nextMessage waits for the header of a message, without a buffer.
func (s *socket) nextMessage() error {
	if s.buffer != nil {
		s.server.buffers.Put(s.buffer)
		s.buffer = nil
	}
	if err := s.await(); err != nil {
		return err
	}
	_, message, err := s.ws.NextReader()
	if closing, ok := errors.AsType[*websocket.CloseError](err); ok && closing.Code != websocket.CloseAbnormalClosure {
		s.closed.Store(true)
		switch closing.Code {
		case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
			return io.EOF
		}
	}
	if err != nil {
		return s.readError(err)
	}
	s.message, s.buffer = message, s.server.buffer()
	return nil
}

// setReadDeadline implements pipe.
func (s *socket) setReadDeadline(t time.Time) error { return s.net.SetReadDeadline(t) }

// abort implements pipe. TLS would wait for the peer to take its goodbye.
func (s *socket) abort() {
	s.cut.Do(func() {
		conn := s.net
		if secured, ok := conn.(*tls.Conn); ok {
			conn = secured.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // it is being cut in any case
		}
		_ = conn.Close() // likewise
	})
	s.rouse()
}

// close implements pipe. The peer has had its time: while its close frame was
// waited for, somebody was reading.
func (s *socket) close() (reason string) {
	s.goodbye.Wait()
	s.cut.Do(func() { _ = s.net.Close() }) // nothing is left to be lost
	return *s.finished.Load()
}
