package connections

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, by caller) {
	e := newEvents(s.newResponse(w), &s.options)
	c, _, err := s.admit(r, by, ServerSentEvents, func() pipe { return e })
	if err != nil {
		s.refuse(w, err)
		return
	}
	s.begin(r, c)
	e.stream(r.Context())
}

// events is a stream of Server-Sent Events (HTML, "Server-sent events"), and
// the POSTs that belong to it. The HTTP handler of the stream writes it.
type events struct {
	halves

	w     *response
	ended chan struct{} // closed when the handler of the stream has returned
}

func newEvents(w *response, o *Options) *events {
	return &events{halves: newHalves(o), w: w, ended: make(chan struct{})}
}

// Transport implements Sink.
func (*events) Transport() string { return ServerSentEvents }

// Frame implements Sink: the records are one event. Its lines may end in any
// way; the client puts a line feed between them.
func (*events) Frame(dst, records []byte) []byte {
	for more := true; more; {
		line := records
		end := bytes.IndexAny(records, "\r\n")
		if more = end >= 0; more {
			line = records[:end]
			records = bytes.TrimPrefix(records[end:], []byte("\r"))
			// What is left begins with the line feed that belongs to the
			// carriage return, with the next line, or with the end itself.
			records = bytes.TrimPrefix(records, []byte("\n"))
		}
		dst = append(append(append(dst, "data: "...), line...), "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// Finish implements Sink.
func (e *events) Finish(reason string) {
	if !e.reason.CompareAndSwap(nil, &reason) {
		return
	}
	if reason == "slow" || reason == "network" {
		e.abort()
		return
	}
	e.in.close(io.EOF)
	e.out.finish()
}

// errNotTaken ends an event stream whose client does not read it.
var errNotTaken = errors.New("event stream: the client takes nothing")

// stream writes the stream to its end.
func (e *events) stream(ctx context.Context) {
	defer close(e.ended)
	defer e.w.done()
	e.w.keepAlive()
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache,no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Encoding", "identity")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	switch err := e.write(ctx); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.fail(errNotTaken)
	case !errors.Is(err, io.EOF): // else all has been said
		e.depart()
	}
}

// write begins with a comment: some browsers are not open before.
func (e *events) write(ctx context.Context) error {
	err := e.w.send([]byte(":\r\n"))
	for err == nil {
		var batch []byte
		if batch, err = e.out.next(ctx); err == nil {
			err = e.w.send(batch)
			e.out.delivered()
		}
	}
	return err
}

// abort implements pipe.
func (e *events) abort() {
	e.fail(net.ErrClosed)
	e.w.abort()
}

// close implements pipe.
func (e *events) close() (reason string) {
	late := time.NewTimer(e.options.CloseTimeout)
	defer late.Stop()
	select {
	case <-e.ended:
	case <-late.C:
		e.abort() // its handler ends by itself
	}
	return *e.reason.Load()
}
