package connections

import (
	"context"
	"errors"
	"sync"
	"time"

	"tidings/roles"
)

// ErrNotReturned says that no further socket will come.
var ErrNotReturned = errors.New("the client has not returned")

// Resumable tells whether the client has been promised that it may come back
// with another socket: it asked in negotiate, and came over a WebSocket.
func (c *Conn) Resumable() bool { return c.resumable }

// KeepForReturn lets another socket with the token of the connection take over
// from now on, if the connection is resumable and the bounds still allow it:
// it is called when the handshake has shown that the client knows how. false
// says that it is not resumable, or that more clients have been told so than
// may be kept.
func (c *Conn) KeepForReturn() bool {
	switch {
	case c.isKept():
		return true
	case !c.resumable || !c.server.keep(c.maker.principal.UserID):
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = true
	return true
}

func (c *Conn) isKept() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept
}

// Return waits for the next socket, DisconnectTimeout at most, when Receive
// has failed with an error that is not io.EOF. When it returns nil, Receive,
// SetReadDeadline and Sink are those of the new socket, and the old one is
// closed: what is still being drained into it fails. The error is that of ctx,
// or ErrNotReturned, at once where none can come: the connection is not kept,
// it was aborted, or its client has closed it in order or broken the protocol.
func (c *Conn) Return(ctx context.Context) error {
	lost, ok := c.pipe.(*socket)
	if !ok || !c.isKept() || lost.closed.Load() || lost.violated.Load() {
		c.giveUp()
		return ErrNotReturned
	}
	lost.abort()
	err := c.awaitSocket(ctx)
	if err != nil {
		c.giveUp()
		lost.Finish("network") // says why it ends, unless that has been said
	}
	return err
}

func (c *Conn) awaitSocket(ctx context.Context) error {
	late := time.NewTimer(c.server.options.DisconnectTimeout)
	defer late.Stop()
	for {
		changed, err := c.takeOver()
		if changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-late.C:
			return ErrNotReturned
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeOver attaches the socket that has come. If none has, it returns what
// tells of the next one.
func (c *Conn) takeOver() (<-chan struct{}, error) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return nil, ErrNotReturned
	}
	if c.offered == nil {
		defer c.mu.Unlock()
		return c.changed.listen(), nil
	}
	next := c.offered
	c.offered = nil
	next.socket.binary = c.binary
	c.pipe = next.socket
	c.mu.Unlock()
	c.renew(next.principal)
	return nil, nil
}

// offer is a socket that has come for a connection which has one already, or
// had.
type offer struct {
	socket    *socket
	principal roles.Principal
	number    int // in order of arrival of the requests
}

// arrive numbers a request that is going to offer a socket.
func (c *Conn) arrive() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived++
	return c.arrived
}

// offer makes the reader of the connection lose its socket and find this one.
// The newest counts, however long its upgrade has taken. A connection that is
// over cuts it.
func (c *Conn) offer(o offer) {
	c.mu.Lock()
	if c.over || o.number < c.newest {
		c.mu.Unlock()
		o.socket.abort()
		return
	}
	c.newest = o.number
	older, current := c.offered, c.pipe
	c.offered = &o
	c.changed.ring()
	c.mu.Unlock()
	if older != nil {
		older.socket.abort()
	}
	current.abort()
}

// giveUp says that no further socket may take over. One that has come in vain
// is cut.
func (c *Conn) giveUp() {
	c.mu.Lock()
	c.over = true
	late := c.offered
	c.offered = nil
	c.changed.ring()
	c.mu.Unlock()
	if late != nil {
		late.socket.abort()
	}
}

// renewal tells of principals that are newer than that of the first request.
type renewal struct {
	mu   sync.Mutex // guards all below, and keeps the calls in order
	tell func(roles.Principal)
	come bool // before there was anybody to tell
}

// OnRenewed names who is told when a later poll or a returning socket has
// authenticated anew, for the same user. If one has before, it is called at
// once. It must not block.
func (c *Conn) OnRenewed(tell func(roles.Principal)) {
	c.renewal.mu.Lock()
	defer c.renewal.mu.Unlock()
	c.renewal.tell = tell
	if c.renewal.come {
		tell(c.Principal())
	}
}

func (c *Conn) renew(p roles.Principal) {
	if p.Anonymous() {
		return
	}
	c.renewal.mu.Lock()
	defer c.renewal.mu.Unlock()
	c.principal.Store(&p)
	c.renewal.come = true
	if c.renewal.tell != nil {
		c.renewal.tell(p)
	}
}

// keeping counts the connections that may come back. It is guarded by the lock
// of the Server.
type keeping struct {
	total  int
	byUser map[string]int
}

// mayKeep tells whether one more may be promised that it may come back.
func (s *Server) mayKeep(userID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.StatefulReconnect && s.options.offers(WebSockets) && s.roomToKeep(userID)
}

func (s *Server) roomToKeep(userID string) bool {
	return s.kept.total < s.options.MaxResumable && (userID == "" || s.kept.byUser[userID] < s.options.MaxResumablePerUser)
}

// keep counts one more. Several clients may have got the same last promise:
// those that come too late are not kept.
func (s *Server) keep(userID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.roomToKeep(userID) {
		return false
	}
	s.kept.total++
	if userID != "" {
		s.kept.byUser[userID]++
	}
	return true
}

// release is the end of keep; the lock of the server is held.
func (s *Server) release(userID string) {
	s.kept.total--
	if userID == "" {
		return
	}
	if s.kept.byUser[userID]--; s.kept.byUser[userID] == 0 {
		delete(s.kept.byUser, userID)
	}
}
