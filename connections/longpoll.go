package connections

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

func (s *Server) servePoll(w http.ResponseWriter, r *http.Request, by caller) {
	c, first, err := s.admit(r, by, LongPolling, func() pipe { return newPolls(&s.options) })
	if err != nil {
		s.refuse(w, err)
		return
	}
	p, ok := c.current().(*polls)
	answer := s.newResponse(w)
	switch {
	case first && ok: // it is answered at once, and marks the beginning
		s.begin(r, c)
		_ = sendBatch(answer, nil) // whoever has not heard it polls again
		p.leave(toldNothing)
	case !ok || !p.serve(answer, r, func() { c.renew(by.principal) }):
		s.refuse(w, errUnknown)
	}
}

// serveDelete ends a connection for its client.
func (s *Server) serveDelete(w http.ResponseWriter, r *http.Request, by caller) {
	c, err := s.find(r, by)
	if err != nil {
		s.refuse(w, err)
		return
	}
	p, ok := c.current().(*polls)
	switch {
	case !ok:
		s.refuse(w, errDeleted)
	case !p.delete():
		s.refuse(w, errUnknown)
	default:
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusAccepted)
	}
}

// polls are the requests of a long-polling connection. One of them at a time
// fetches what there is; a newer one displaces it.
type polls struct {
	halves

	turn chan struct{} // full: a poll fetches
	over chan struct{} // closed with the end: later requests find nothing

	mu       sync.Mutex // guards all below
	pending  int
	displace context.CancelFunc // of the newest poll
	idle     *time.Timer        // runs while no poll is pending
	deleted  bool               // the client has said goodbye
	ended    bool               // over is closed
	carrier  *response          // of the poll that is being answered with records
}

// newPolls begins with the first poll pending.
func newPolls(o *Options) *polls {
	p := &polls{halves: newHalves(o), turn: make(chan struct{}, 1), over: make(chan struct{}), pending: 1, displace: func() {}}
	p.idle = time.AfterFunc(o.DisconnectTimeout, p.expire)
	p.idle.Stop()
	return p
}

// Transport implements Sink.
func (*polls) Transport() string { return LongPolling }

// Frame implements Sink: a poll is answered with records and nothing else.
func (*polls) Frame(dst, records []byte) []byte { return append(dst, records...) }

// Finish implements Sink. The polls that still come get what is left, and then
// the end.
func (p *polls) Finish(reason string) {
	if !p.reason.CompareAndSwap(nil, &reason) {
		return
	}
	if reason == "slow" || reason == "network" {
		p.abort()
		return
	}
	p.in.close(io.EOF)
	p.out.finish()
}

// told is how a poll was answered.
type told uint8

const (
	toldNothing told = iota
	toldRecords
	toldEnd
)

// serve answers a poll, which has been welcomed before it waits. It is false
// when there is nothing left to poll for.
func (p *polls) serve(w *response, r *http.Request, welcome func()) bool {
	ctx, cancel := context.WithTimeout(r.Context(), p.options.PollTimeout)
	defer cancel()
	if !p.enter(cancel) {
		return false
	}
	welcome()
	w.keepAlive()
	p.leave(p.answer(ctx, w, r))
	return true
}

// enter makes the poll the newest one.
func (p *polls) enter(cancel context.CancelFunc) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.idle.Stop()
	p.pending++
	p.displace()
	p.displace = cancel
	return true
}

// leave is the end of a poll. Between polls the client has DisconnectTimeout
// to come again.
func (p *polls) leave(what told) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	switch {
	case p.ended:
	case what == toldEnd, p.deleted && p.pending == 0 && what == toldNothing:
		p.end()
	case p.pending == 0:
		p.displace = func() {}
		p.idle.Reset(p.options.DisconnectTimeout)
	}
}

func (p *polls) answer(ctx context.Context, w *response, r *http.Request) told {
	var batch []byte
	err := p.takeTurn(ctx)
	if err == nil {
		defer func() { <-p.turn }()
		batch, err = p.out.next(ctx)
	}
	noCache(w.Header())
	switch {
	case err == nil:
		return p.deliver(w, batch)
	case r.Context().Err() != nil, errors.Is(err, context.DeadlineExceeded) && !p.leaving():
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusOK)
		return toldNothing
	case errors.Is(err, context.Canceled): // by a newer one
		w.WriteHeader(http.StatusNoContent)
		return toldNothing
	}
	w.WriteHeader(http.StatusNoContent)
	return toldEnd
}

func (p *polls) takeTurn(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver keeps what could not be written for the next poll. What the kernel
// has taken counts as delivered: a client that closes when it has everything
// looks the same as one that has gone too early, and would hear it twice.
func (p *polls) deliver(w *response, batch []byte) told {
	p.setCarrier(w)
	defer p.setCarrier(nil)
	if err := sendBatch(w, batch); err != nil {
		p.out.putBack(batch)
		return toldNothing
	}
	p.out.delivered()
	return toldRecords
}

func (p *polls) setCarrier(w *response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.carrier = w
}

// sendBatch answers a poll with records, or with nothing.
func sendBatch(w *response, batch []byte) error {
	h := w.Header()
	noCache(h)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(batch)))
	return w.send(batch)
}

// noCache sets what the official server sets.
func noCache(h http.Header) {
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
}

// delete is the goodbye of the client. The poll that is pending still hears
// what the server says to that. It is false when it comes too late.
func (p *polls) delete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.deleted {
		return false
	}
	p.deleted = true
	p.in.close(io.EOF)
	if p.pending == 0 {
		p.end()
	}
	return true
}

func (p *polls) leaving() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deleted
}

func (p *polls) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// expire ends a connection that nobody polls.
func (p *polls) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == 0 && !p.ended {
		p.end()
	}
}

// end: later requests find nothing. The lock is held.
func (p *polls) end() {
	p.ended = true
	p.idle.Stop()
	close(p.over)
	p.depart()
}

// abort implements pipe.
func (p *polls) abort() {
	p.fail(net.ErrClosed)
	p.forget()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.carrier != nil {
		p.carrier.abort()
	}
}

func (p *polls) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.end()
	}
}

// close implements pipe.
func (p *polls) close() (reason string) {
	late := time.NewTimer(p.options.CloseTimeout)
	defer late.Stop()
	select {
	case <-p.over:
	case <-late.C:
		p.forget()
	}
	return *p.reason.Load()
}
