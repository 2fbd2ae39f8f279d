package connections

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// halves are what Server-Sent Events and long polling share: requests that
// bring bytes, and other requests that fetch them.
type halves struct {
	options *Options
	in      *inbox
	out     *outbox
	reason  atomic.Pointer[string] // of Finish
}

func newHalves(o *Options) halves {
	return halves{options: o, in: newInbox(o.ReceiveBuffer), out: &outbox{limit: o.SendBuffer}}
}

// TryWrite implements Sink: all of p is taken, or nothing, so that what is
// waiting is made of whole frames.
func (h *halves) TryWrite(p []byte) (int, error) { return h.out.add(p) }

// Drain implements Sink: it waits for room.
func (h *halves) Drain(p []byte, done func(error)) {
	go func() { done(h.out.drain(p)) }()
}

// receive implements pipe.
func (h *halves) receive() ([]byte, error) { return h.in.receive() }

// setReadDeadline implements pipe.
func (h *halves) setReadDeadline(t time.Time) error { //nolint:unparam // a socket may fail
	h.in.setDeadline(t)
	return nil
}

// depart is what the end of the client does: what it has sent is still read,
// and what is written is lost without an error, as on a socket that the peer
// has closed.
func (h *halves) depart() {
	h.in.close(io.EOF)
	h.out.depart()
}

// fail ends both halves with an error.
func (h *halves) fail(err error) {
	h.in.close(err)
	h.out.fail(err)
}

// response is an answer that is written with deadlines: a peer that takes no
// byte for SendTimeout is given up.
type response struct {
	http.ResponseWriter

	control *http.ResponseController
	timeout time.Duration
	counter *counter

	mu    sync.Mutex // guards all below
	phase responsePhase
}

type responsePhase uint8

const (
	answering responsePhase = iota
	aborted                 // nothing is written any more
	answered                // the handler has returned, it must not be touched
)

func (s *Server) newResponse(w http.ResponseWriter) *response {
	return &response{
		ResponseWriter: w, control: http.NewResponseController(w), timeout: s.options.SendTimeout, counter: &s.traffic.sums[s.traffic.place()],
	}
}

// keepAlive lifts the deadline of the HTTP server for reading a request: when
// it passes, the server takes the client for gone.
func (w *response) keepAlive() { w.readBefore(time.Time{}) }

func (w *response) readBefore(t time.Time) {
	_ = w.control.SetReadDeadline(t) // what has no deadline needs none
}

// writePiece is how much a peer must take within SendTimeout.
const writePiece = 4 << 10

// send writes all of p, to the wire.
func (w *response) send(p []byte) error {
	for {
		piece := p[:min(len(p), writePiece)]
		if err := w.writeBefore(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		n, err := w.Write(piece) //nolint:gosec // no client takes it for HTML
		w.counter.sent.Add(int64(n))
		if err != nil {
			return err
		}
		if p = p[len(piece):]; len(p) == 0 {
			break
		}
	}
	if err := w.control.Flush(); err != nil {
		return err
	}
	// A deadline left behind would end an idle stream of HTTP/2.
	return w.writeBefore(time.Time{})
}

func (w *response) writeBefore(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase != answering {
		return net.ErrClosed
	}
	if err := w.control.SetWriteDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// abort makes a write that hangs fail, and all that follow.
func (w *response) abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == answering {
		w.phase = aborted
		_ = w.control.SetWriteDeadline(time.Unix(1, 0)) // without deadlines no write hangs
	}
}

// done is the last thing a handler does.
func (w *response) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = answered
}
