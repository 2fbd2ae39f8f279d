package connections_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/connections"
	"tidings/roles"
)

// resumable allows stateful reconnect.
func resumable() connections.Options { return connections.Options{StatefulReconnect: true} }

// promised negotiates with stateful reconnect and returns the query of the
// sockets.
func (s *site) promised(headers ...string) string {
	s.t.Helper()
	a := s.do(http.MethodPost, "/negotiate?negotiateVersion=1&useStatefulReconnect=true", headers...)
	if !strings.Contains(a.body, `"useStatefulReconnect":true`) {
		s.t.Fatalf("negotiate: got %s, want the promise", a.body)
	}
	_, token := negotiated(s.t, a)
	return "id=" + token
}

// kept opens a connection that may come back.
func (s *site) kept(conns <-chan *served) (query string, ws *websocket.Conn, c *served) {
	s.t.Helper()
	query = s.promised()
	ws = s.mustDial(query)
	c = wait(s.t, "the connection", conns)
	if !c.Resumable() {
		s.t.Error("the connection is not resumable")
	}
	c.KeepForReturn()
	c.KeepForReturn()
	return query, ws, c
}

// lose wants Receive to fail because the socket is lost.
func (c *served) lose() {
	c.t.Helper()
	if data, err := c.Receive(); err == nil || errors.Is(err, io.EOF) {
		c.t.Errorf("Receive: got %q, %v, want a lost socket", data, err)
	}
}

// returns waits for the next socket.
func (c *served) returns() {
	c.t.Helper()
	if err := c.Return(c.t.Context()); err != nil {
		c.t.Fatalf("Return: %v", err)
	}
}

// talk exchanges a message over a socket.
func (c *served) talk(ws *websocket.Conn, text string) {
	c.t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Errorf("client: %v", err)
	}
	c.hear(text)
	c.say("re: " + text)
	if _, message, err := ws.ReadMessage(); err != nil || string(message) != "re: "+text {
		c.t.Errorf("client: got %q, %v, want the answer to %q", message, err, text)
	}
}

// signalr.md §10, "Drop" and "Return": another socket with the same token goes
// on, as often as need be.
func TestReturn(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, ws, c := s.kept(conns)
	sinks := map[connections.Sink]bool{}
	for n := range 5 {
		c.talk(ws, fmt.Sprint("message ", n))
		sink := c.Sink()
		if sinks[sink] || c.Sink() != sink {
			t.Errorf("socket %d: its sink is that of another one", n)
		}
		sinks[sink] = true
		_ = ws.NetConn().Close()
		c.lose()
		returned := make(chan error, 1)
		go func() { returned <- c.Return(t.Context()) }()
		ws = s.mustDial(query)
		if err := wait(t, "the return", returned); err != nil {
			t.Fatalf("Return: %v", err)
		}
	}
	c.talk(ws, "last")
	_ = ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	c.ends(io.EOF)
	if _, a := s.dial(query); a.status != http.StatusNotFound {
		t.Errorf("after the end, before it is served to its end: got %d, want 404", a.status)
	}
	if err := c.Return(t.Context()); !errors.Is(err, connections.ErrNotReturned) {
		t.Errorf("Return after the end: got %v, want ErrNotReturned", err)
	}
	c.leave()
	if got := wait(t, "the end", s.seen.ended); got != "WebSockets normal" {
		t.Errorf("observed: got %q", got)
	}
	if _, a := s.dial(query); a.status != http.StatusNotFound || a.body != unknown {
		t.Errorf("after the end: got %d %q, want 404", a.status, a.body)
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if len(s.seen.opened) != 1 {
		t.Errorf("opened %d times, want once", len(s.seen.opened))
	}
}

// signalr.md §10: a new socket takes over from one the server still believes
// alive.
func TestReturnTakesOver(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, first, c := s.kept(conns)
	c.talk(first, "hello")
	old := c.Sink()
	second := s.mustDial(query)
	c.lose()
	c.returns()
	if n, err := old.TryWrite([]byte("x")); err == nil {
		t.Errorf("TryWrite to the old socket: got %d and no error", n)
	}
	drained := make(chan error, 1)
	old.Drain([]byte("x"), func(err error) { drained <- err })
	if err := wait(t, "the drain of the old socket", drained); err == nil {
		t.Error("Drain to the old socket: no error")
	}
	c.talk(second, "here I am")
	if _, _, err := first.ReadMessage(); err == nil {
		t.Error("the old socket still speaks")
	}
}

// What is being drained into the old socket fails, once, and holds nobody up.
func TestReturnWhileDraining(t *testing.T) {
	s, conns := openServed(t, resumable())
	query := s.promised()
	s.narrow("?" + query)
	c := wait(t, "the connection", conns)
	c.KeepForReturn()
	drained := make(chan error, 2)
	c.Sink().Drain(stall(t, c.Conn), func(err error) { drained <- err })
	second := s.mustDial(query)
	c.lose()
	c.returns()
	if err := wait(t, "the drain", drained); err == nil {
		t.Error("Drain: no error")
	}
	c.talk(second, "go on")
	if len(drained) > 0 {
		t.Error("Drain has ended twice")
	}
}

// Without KeepForReturn a second socket is refused, with it only where it was
// promised.
func TestReturnMustBeKept(t *testing.T) {
	s, conns := openServed(t, resumable())
	query := s.promised()
	ws := s.mustDial(query)
	c := wait(t, "the connection", conns)
	if _, a := s.dial(query); a.status != http.StatusConflict {
		t.Errorf("before KeepForReturn: got %d, want 409", a.status)
	}
	_ = ws.NetConn().Close()
	c.lose()
	if err := c.Return(t.Context()); !errors.Is(err, connections.ErrNotReturned) {
		t.Errorf("Return: got %v, want ErrNotReturned", err)
	}
	for name, query := range map[string]string{"not asked for": "id=" + s.token(), "without negotiation": ""} {
		ws := s.mustDial(query)
		c := wait(t, "the connection", conns)
		c.KeepForReturn()
		if c.Resumable() {
			t.Errorf("%s: resumable", name)
		}
		if query != "" {
			if _, a := s.dial(query); a.status != http.StatusConflict {
				t.Errorf("%s: got %d, want 409", name, a.status)
			}
		}
		_ = ws.NetConn().Close()
		c.lose()
		if err := c.Return(t.Context()); !errors.Is(err, connections.ErrNotReturned) {
			t.Errorf("%s: Return: got %v, want ErrNotReturned", name, err)
		}
	}
	// A promise that is used for another transport is none.
	for _, accept := range []string{"text/event-stream", "*/*"} {
		response, err := s.request(t.Context(), http.MethodGet, "?"+s.promised(), nil, "Accept", accept)
		if err != nil {
			t.Fatal(err)
		}
		c := wait(t, "the connection", conns)
		c.KeepForReturn()
		if err := c.Return(t.Context()); c.Resumable() || !errors.Is(err, connections.ErrNotReturned) {
			t.Errorf("%s: resumable %v, Return: %v", c.Transport(), c.Resumable(), err)
		}
		c.Abort()
		_ = response.Body.Close()
	}
}

// signalr.md §10: a client that has closed in order, or broken the protocol,
// does not come back, and hears the answer to that.
func TestNoReturnAfterAClose(t *testing.T) {
	for name, test := range map[string]struct {
		frame []byte
		code  int
	}{
		"an error of the peer": {frame(final|8, "\x03\xf3"), websocket.CloseNormalClosure},
		"a violation":          {frame(final|3, "x"), websocket.CloseProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			s, conns := openServed(t, resumable())
			query, ws, c := s.kept(conns)
			if _, err := ws.NetConn().Write(test.frame); err != nil {
				t.Fatal(err)
			}
			c.lose()
			if err := c.Return(t.Context()); !errors.Is(err, connections.ErrNotReturned) {
				t.Errorf("Return: got %v, want ErrNotReturned", err)
			}
			if _, a := s.dial(query); a.status != http.StatusNotFound {
				t.Errorf("a socket that comes now: got %d, want 404", a.status)
			}
			c.Sink().Finish("network")
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, test.code) {
				t.Errorf("answer: got %v, want %d", err, test.code)
			}
		})
	}
}

// Of several sockets that come before the reader has noticed, the newest
// counts; the others are closed.
func TestNewestReturns(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, _, c := s.kept(conns)
	older, newest := s.mustDial(query), s.mustDial(query)
	if err := newest.WriteMessage(websocket.TextMessage, []byte("I am the newest")); err != nil {
		t.Fatal(err)
	}
	data, err := c.Receive()
	for ; err != nil; data, err = c.Receive() {
		c.returns()
	}
	if string(data) != "I am the newest" {
		t.Errorf("got %q", data)
	}
	if _, _, err := older.ReadMessage(); err == nil {
		t.Error("the older one is still there")
	}
}

// However many come at the same time, one is there in the end, and none is
// left behind.
func TestManyReturn(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, _, c := s.kept(conns)
	const clients = 20
	var dialled sync.WaitGroup
	sockets := make(chan *websocket.Conn, clients)
	for range clients {
		dialled.Go(func() {
			ws, _ := s.dial(query)
			sockets <- ws
		})
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			data, err := c.Receive()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && c.Return(t.Context()) != nil:
				return
			case err == nil:
				c.say(string(data))
			}
		}
	}()
	dialled.Wait()
	close(sockets)
	alive := 0
	for ws := range sockets {
		if ws.WriteMessage(websocket.TextMessage, []byte("hello")) != nil {
			continue
		}
		if _, message, err := ws.ReadMessage(); err == nil && string(message) == "hello" {
			alive++
			_ = ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
		}
	}
	if alive != 1 {
		t.Errorf("%d sockets are alive, want 1", alive)
	}
	wait(t, "the end", served)
}

// signalr.md §10: the connection waits for the disconnect timeout, and not
// longer; or as long as its context.
func TestReturnEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s *site, c *served, cancel func())
		want error
	}{
		{"timeout", func(*site, *served, func()) {}, connections.ErrNotReturned},
		{"context", func(_ *site, _ *served, cancel func()) { cancel() }, context.Canceled},
		{"abort", func(_ *site, c *served, _ func()) { c.Abort() }, connections.ErrNotReturned},
		{"shutdown", func(s *site, _ *served, _ func()) {
			ctx, cancel := context.WithCancel(s.t.Context())
			cancel()
			go func() { _ = s.Shutdown(ctx) }()
		}, connections.ErrNotReturned},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := resumable()
			if test.name == "timeout" {
				o.DisconnectTimeout = 50 * time.Millisecond
			}
			s, conns := openServed(t, o)
			query, ws, c := s.kept(conns)
			_ = ws.NetConn().Close()
			c.lose()
			began := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			returned := make(chan error, 1)
			go func() { returned <- c.Return(ctx) }()
			test.end(s, c, cancel)
			if err := wait(t, "the end of the wait", returned); !errors.Is(err, test.want) {
				t.Errorf("Return: got %v, want %v", err, test.want)
			}
			if got := time.Since(began); test.name == "timeout" && got < o.DisconnectTimeout {
				t.Errorf("Return has given up after %v", got)
			}
			if _, a := s.dial(query); a.status != http.StatusNotFound {
				t.Errorf("a socket that comes too late: got %d, want 404", a.status)
			}
			c.leave()
			if got := wait(t, "the end", s.seen.ended); got != "WebSockets network" {
				t.Errorf("observed: got %q, want network", got)
			}
		})
	}
}

// A socket that was offered and not taken is closed when its connection ends.
func TestOfferIsNotLeaked(t *testing.T) {
	for name, end := range map[string]func(c *served){
		"the handler returns": func(c *served) { c.leave() },
		"abort":               func(c *served) { c.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			s, conns := openServed(t, resumable())
			query, _, c := s.kept(conns)
			late := s.mustDial(query)
			c.lose()
			end(c)
			if _, _, err := late.ReadMessage(); err == nil {
				t.Error("the socket is still there")
			}
		})
	}
}

// A kind of messages that was chosen is kept.
func TestReturnKeepsTheKind(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, _, c := s.kept(conns)
	c.SetBinary()
	ws := s.mustDial(query)
	c.lose()
	c.returns()
	c.say("bytes")
	if kind, message, err := ws.ReadMessage(); err != nil || kind != websocket.BinaryMessage || string(message) != "bytes" {
		t.Errorf("got kind %d, %q, %v, want binary", kind, message, err)
	}
}

// Pongs of later sockets reach whoever writes, too.
func TestReturnKeepsControl(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, _, c := s.kept(conns)
	pongs := make(chan string, 1)
	c.OnControl(func(frame []byte) { pongs <- string(frame) })
	ws := s.mustDial(query)
	c.lose()
	c.returns()
	if _, err := ws.NetConn().Write(append(frame(final|9, "p"), frame(final|1, "x")...)); err != nil {
		t.Fatal(err)
	}
	c.hear("x")
	if got := wait(t, "the pong", pongs); got != "\x8a\x01p" {
		t.Errorf("got %q", got)
	}
}

// signalr.md §10, "User", and §12: every request authenticates. Another user is
// refused, the same one is known anew.
func TestRenewal(t *testing.T) {
	token := func(user, role string) string { return mint(t, roles.Grant{UserID: user, Roles: []string{role}}) }
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	o := resumable()
	o.Verifier = verifier(t, "")
	for _, transport := range []string{connections.WebSockets, connections.LongPolling, connections.ServerSentEvents} {
		t.Run(transport, func(t *testing.T) {
			s, conns := openServed(t, o)
			first := token("ann", "first")
			query := s.promised(bearer(first)...)
			var again func(token string) int
			switch transport {
			case connections.WebSockets:
				s.mustDial(query, bearer(first)...)
				again = func(token string) int { _, a := s.dial(query, bearer(token)...); return a.status }
			case connections.ServerSentEvents:
				s.events("?"+query, bearer(first)...)
				again = func(token string) int { return s.ask(http.MethodPost, "?"+query, "", bearer(token)...).status }
			default:
				s.want(s.ask(http.MethodGet, "?"+query, "", bearer(first)...), http.StatusOK, "")
				again = func(token string) int {
					poll := s.later(http.MethodGet, "?"+query, "", bearer(token)...)
					return (<-poll).status
				}
			}
			c := wait(t, "the connection", conns)
			c.KeepForReturn()
			for _, kind := range kinds() {
				a := s.do(kind[0], "?"+query, append(kind[1:], bearer(token("bob", "first"))...)...)
				s.want(a, http.StatusForbidden, "")
				if a := s.do(kind[0], "?"+query, kind[1:]...); a.status != http.StatusUnauthorized {
					t.Errorf("without a token: got %d, want 401", a.status)
				}
			}
			if transport == connections.ServerSentEvents {
				if got := again(token("ann", "second")); got != http.StatusOK {
					t.Errorf("POST with a new token: got %d", got)
				}
				if !c.Principal().HasRole("first") {
					t.Error("a POST has changed the principal")
				}
				return
			}
			renew := func(role string) {
				t.Helper()
				if transport == connections.LongPolling {
					c.say("news")
				}
				if got := again(token("ann", role)); got != http.StatusOK && got != http.StatusSwitchingProtocols {
					t.Errorf("%s: got %d", role, got)
				}
				if transport == connections.WebSockets {
					c.lose()
					c.returns()
				}
				if p := c.Principal(); p.UserID != "ann" || !p.HasRole(role) {
					t.Errorf("principal: got %+v, want the role %s", p, role)
				}
			}
			renew("second")
			told := make(chan roles.Principal, 10)
			c.OnRenewed(func(p roles.Principal) { told <- p })
			if p := wait(t, "what has come before", told); !p.HasRole("second") {
				t.Errorf("told of %+v", p)
			}
			renew("third")
			if p := wait(t, "what comes later", told); !p.HasRole("third") {
				t.Errorf("told of %+v", p)
			}
			if c.BearerToken() != first {
				t.Error("the token is not the one the connection was made with")
			}
			c.Abort()
		})
	}
}

// Bounds of resumable connections: when one is reached, it is not offered;
// promises that were made before are not kept beyond it.
func TestResumableIsBounded(t *testing.T) {
	bearer := func(user string) []string {
		return []string{"Authorization", "Bearer " + mint(t, roles.Grant{UserID: user})}
	}
	s, conns := openServed(t, connections.Options{StatefulReconnect: true, MaxResumable: 3, MaxResumablePerUser: 2, Verifier: verifier(t, "")})
	offered := func(user string) bool {
		a := s.do(http.MethodPost, "/negotiate?negotiateVersion=1&useStatefulReconnect=true", bearer(user)...)
		return strings.Contains(a.body, `"useStatefulReconnect":true`)
	}
	keep := func(user string) (string, *served) {
		query := s.promised(bearer(user)...)
		s.mustDial(query, bearer(user)...)
		c := wait(t, "the connection", conns)
		c.KeepForReturn()
		return query, c
	}
	early := s.promised(bearer("ann")...)
	_, first := keep("ann")
	keep("ann")
	if offered("ann") || !offered("bob") {
		t.Error("two of ann: want that she gets no more, and bob does")
	}
	s.mustDial(early, bearer("ann")...)
	c := wait(t, "the connection", conns)
	c.KeepForReturn()
	if _, a := s.dial(early, bearer("ann")...); a.status != http.StatusConflict {
		t.Errorf("a promise beyond the bound: got %d, want 409", a.status)
	}
	query, bob := keep("bob")
	if offered("bob") || offered("cas") {
		t.Error("three of all: want that nobody gets more")
	}
	s.mustDial(query, bearer("bob")...) // to return takes no further place
	bob.lose()
	bob.returns()
	first.leave()
	wait(t, "the end", s.seen.ended)
	if !offered("ann") || !offered("bob") || !offered("cas") {
		t.Error("one has gone: want that there is a place again")
	}
	keep("cas")
	if offered("cas") {
		t.Error("three of all again: want that nobody gets more")
	}
}

// Anonymous callers are only under the bound of the node.
func TestResumableOfAnonymousCallers(t *testing.T) {
	s, conns := openServed(t, connections.Options{StatefulReconnect: true, MaxResumable: 4, MaxResumablePerUser: 1})
	for range 4 {
		s.kept(conns)
	}
	a := s.do(http.MethodPost, "/negotiate?negotiateVersion=1&useStatefulReconnect=true")
	if strings.Contains(a.body, "useStatefulReconnect") {
		t.Errorf("got %s", a.body)
	}
}

// Who returns while new connections are refused is there already.
func TestReturnWhileRefusing(t *testing.T) {
	s, conns := openServed(t, resumable())
	query, _, c := s.kept(conns)
	s.Refuse()
	ws := s.mustDial(query)
	c.lose()
	c.returns()
	c.talk(ws, "still here")
}
