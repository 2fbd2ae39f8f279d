package connections

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// maxSending is how many requests of one connection may wait while another
	// one brings its bytes; the official clients send one at a time.
	maxSending = 16
	// sendLimit is how long a request may take to bring its bytes: as long as
	// the official clients wait for the answer.
	sendLimit = 100 * time.Second
	// restLimit is how long the rest of a refused body is read, so that the
	// client can hear the refusal before its connection is closed.
	restLimit = time.Second
)

// serveSend takes a piece of the client's stream of bytes. It is answered when
// all of it waits for Receive. What has come of a body that breaks off stays:
// it is a part of the stream.
func (s *Server) serveSend(w http.ResponseWriter, r *http.Request, by caller) {
	c, err := s.find(r, by)
	switch {
	case errors.Is(err, errUnattached):
		s.serveEarly(w, r, by)
		return
	case err != nil:
		s.refuse(w, err)
		return
	}
	in := c.inbox()
	if in == nil {
		s.refuse(w, errPosted)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sendLimit)
	defer cancel()
	answer := s.newResponse(w)
	s.taken(answer, r, s.bring(ctx, answer, r, in))
}

// taken answers when a body has been taken, or why not.
func (s *Server) taken(w *response, r *http.Request, err error) {
	if err != nil {
		w.readBefore(time.Now().Add(restLimit))
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		s.refuse(w, unreadable(err))
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
}

// maxEarly bounds what may be posted before there is a transport: a handshake
// and a little more.
const maxEarly = 4 << 10

// serveEarly takes what a client sends before its first poll or its stream, as
// the official server does: some clients begin with the handshake.
func (s *Server) serveEarly(w http.ResponseWriter, r *http.Request, by caller) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.SendTimeout)
	defer cancel()
	answer := s.newResponse(w)
	if r.ContentLength > maxEarly {
		s.taken(answer, r, errUnattached)
		return
	}
	body := &timedBody{ctx: ctx, server: s, response: answer, body: r.Body}
	early, err := io.ReadAll(io.LimitReader(body, maxEarly+1))
	if err == nil {
		err = s.keepEarly(ctx, r, by, early)
	}
	s.taken(answer, r, err)
}

// keepEarly keeps it until the transport comes, or gives it to the one that has
// come meanwhile.
func (s *Server) keepEarly(ctx context.Context, r *http.Request, by caller, early []byte) error {
	if waits, err := s.wait(queryValue(r, "id"), early); waits {
		return err
	}
	c, err := s.find(r, by)
	if err != nil {
		return err
	}
	if in := c.inbox(); in != nil {
		return in.put(ctx, early)
	}
	return errPosted
}

func (s *Server) wait(token string, early []byte) (waits bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lobby.keepEarly(token, early)
}

// timedBody is a body of which every piece must come in time.
type timedBody struct {
	ctx      context.Context //nolint:containedctx // that of the request, for one call of io.ReadAll
	server   *Server
	response *response
	body     io.Reader
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	return b.server.readBody(b.ctx, b.response, b.body, p)
}

// inbox is where bytes go that are sent by POST. A WebSocket has none.
func (c *Conn) inbox() *inbox {
	switch p := c.current().(type) {
	case *events:
		return p.in
	case *polls:
		return p.in
	}
	return nil
}

func (s *Server) bring(ctx context.Context, w *response, r *http.Request, in *inbox) error {
	if err := in.begin(ctx); err != nil {
		return err
	}
	defer in.end()
	buffer := s.buffer()
	defer s.buffers.Put(buffer)
	for {
		n, err := s.readBody(ctx, w, r.Body, *buffer)
		if n > 0 {
			if late := in.put(ctx, (*buffer)[:n]); late != nil {
				return late
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// readBody gives every piece of a body SendTimeout to come, and all together
// as long as ctx. Without a body that is being read the server watches whether
// the client is still there, which must have no deadline.
func (s *Server) readBody(ctx context.Context, w *response, body io.Reader, p []byte) (int, error) {
	deadline := time.Now().Add(s.options.SendTimeout)
	if last, ok := ctx.Deadline(); ok && last.Before(deadline) {
		deadline = last
	}
	w.readBefore(deadline)
	defer w.keepAlive()
	n, err := body.Read(p)
	w.counter.received.Add(int64(n))
	return n, err
}

// unreadable is the refusal of a body that could not be taken.
func unreadable(err error) error {
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return refusal{http.StatusRequestTimeout, "The body has not come in time."}
	}
	return refusal{http.StatusBadRequest, "The body cannot be read."}
}
