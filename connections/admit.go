package connections

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What the transports refuse alike (TransportProtocols; the texts are those of
// the official server).
var (
	errUnnamed    = refusal{http.StatusBadRequest, "Connection ID required"}
	errUnknown    = refusal{http.StatusNotFound, "No Connection with that ID"}
	errUnattached = refusal{http.StatusBadRequest, "The connection has no transport yet, and this is more than a handshake."} // see serveEarly
	errChanged    = refusal{http.StatusBadRequest, "Cannot change transports mid-connection"}
	errSecond     = refusal{http.StatusConflict, ""}
	errUser       = refusal{http.StatusForbidden, ""}
	errPosted     = refusal{http.StatusMethodNotAllowed, "POST requests are not allowed for WebSocket connections."}
	errDeleted    = refusal{http.StatusBadRequest, "Cannot terminate this connection using the DELETE endpoint."}
	errNew        = refusal{http.StatusServiceUnavailable, "The server takes no new connections at the moment."}
)

func unsupported(transport string) error {
	return refusal{http.StatusNotFound, transport + " transport not supported by this end point type"}
}

// admit finds the connection that a GET is for. The first one attaches its
// transport, made by attach unless that has to wait for the upgrade; it may
// also make a new connection when the client has skipped negotiation.
func (s *Server) admit(r *http.Request, by caller, transport string, attach func() pipe) (c *Conn, first bool, err error) {
	token := queryValue(r, "id")
	if token == "" && transport != WebSockets {
		return nil, false, errUnnamed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.attached[token]; c != nil {
		return c, false, s.mayContinue(c, by, transport)
	}
	n, waits := s.lobby.find(token)
	if token == "" {
		n, waits, token = negotiated{id: newID(), userID: by.principal.UserID}, true, newID()
	}
	switch {
	case !waits:
		return nil, false, errUnknown
	case n.userID != by.principal.UserID:
		return nil, false, errUser
	case !s.options.offers(transport):
		return nil, false, unsupported(transport)
	case s.refusing:
		return nil, false, errNew
	}
	s.lobby.remove(token)
	c = s.newConn(n, r, by)
	c.token, c.transport = strings.Clone(token), transport
	c.resumable = n.resumable && transport == WebSockets
	if attach != nil {
		c.pipe = attach()
		if len(n.early) > 0 {
			_, _ = c.inbox().tryPut(n.early) // it is empty
		}
	}
	s.attached[c.token] = c
	s.wg.Add(1)
	return c, true, nil
}

func (s *Server) newConn(n negotiated, r *http.Request, by caller) *Conn {
	c := &Conn{server: s, id: n.id, maker: by, query: publicQuery(r), remote: r.RemoteAddr, opened: time.Now()}
	c.principal.Store(&c.maker.principal)
	return c
}

// mayContinue tells why a further GET of a connection is refused.
func (s *Server) mayContinue(c *Conn, by caller, transport string) error {
	switch {
	case c.gone():
		return errUnknown
	case c.maker.principal.UserID != by.principal.UserID:
		return errUser
	case !s.options.offers(transport):
		return unsupported(transport)
	case c.transport != transport:
		return errChanged
	case transport == LongPolling, c.isKept():
		return nil
	}
	return errSecond
}

// find finds the connection that a POST or a DELETE is for. errUnattached says
// that it has no transport yet.
func (s *Server) find(r *http.Request, by caller) (*Conn, error) {
	token := queryValue(r, "id")
	if token == "" {
		return nil, errUnnamed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.attached[token]
	n, waits := s.lobby.find(token)
	switch {
	case waits && n.userID != by.principal.UserID:
		return nil, errUser
	case waits && r.Method == http.MethodDelete:
		return nil, errDeleted
	case waits:
		return nil, errUnattached
	case c == nil || c.gone():
		return nil, errUnknown
	case c.maker.principal.UserID != by.principal.UserID:
		return nil, errUser
	}
	return c, nil
}

// publicQuery is the query without what must stay secret. It holds nothing of
// the request's memory.
func publicQuery(r *http.Request) url.Values {
	var q url.Values
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, "access_token") || strings.EqualFold(key, "id") {
			continue
		}
		if q == nil {
			q = url.Values{}
		}
		for _, value := range values {
			q.Add(strings.Clone(key), strings.Clone(value))
		}
	}
	return q
}
