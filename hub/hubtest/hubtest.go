// Package hubtest is the kit for testing hubs as browsers meet them: through
// negotiate, a handshake and WebSocket frames, with no client library between
// that could hide what the server does.
//
// A hub is served on a socket of the loopback interface ([Serve]) or on pipes
// ([ServePipes]). Pipes work inside a testing/synctest bubble: there timeouts
// cost nothing, and synctest.Wait tells when the server has nothing more to
// say.
//
//	server := hubtest.Serve(t, h, connections.Options{})
//	ann := server.Connect("ann", "", "admin")
//	ann.Send(`{"type":1,"invocationId":"1","target":"Echo","arguments":["hi"]}`)
//	got := ann.Receive()
package hubtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidings/connections"
	"tidings/hub/protocol"
	"tidings/roles"
)

// Patience bounds every wait of this kit.
const Patience = 20 * time.Second

// Secret signs the tokens of this kit.
const Secret = "the secret of hubtest, which is no secret"

// Verifier accepts the tokens of this kit.
func Verifier(tb testing.TB) *roles.Keys {
	tb.Helper()
	v, err := roles.NewVerifier(tb.Context(), roles.Options{Issuers: []roles.Issuer{{Secret: []byte(Secret)}}})
	if err != nil {
		tb.Fatalf("hubtest: %v", err)
	}
	return v
}

// Token is a token for a user with these roles, good for a day.
func Token(tb testing.TB, user string, held ...string) string {
	tb.Helper()
	return Mint(tb, roles.Grant{UserID: user, Roles: held, TTL: 24 * time.Hour, Now: time.Now()})
}

// Mint signs a token.
func Mint(tb testing.TB, g roles.Grant) string {
	tb.Helper()
	token, err := roles.Mint([]byte(Secret), g)
	if err != nil {
		tb.Fatalf("hubtest: %v", err)
	}
	return token
}

// Hub is what is served: hub.Hub, hub.Notifications or hub.Analytics.
type Hub interface {
	connections.Handler
	// Run keeps the hub going until ctx ends.
	Run(ctx context.Context) error
	// CloseAll sends all connections away.
	CloseAll(ctx context.Context, perSecond int) error
}

// Server is a hub that is being served, with its browsers, until the test
// ends.
type Server struct {
	*connections.Server

	// URL is that of the hub.
	URL string

	t      testing.TB
	hub    Hub
	client *http.Client
	leave  context.CancelFunc // ends Run
	ended  chan error
}

// Serve serves a hub on a socket. Without a Verifier in the options callers
// need a token of this kit.
func Serve(tb testing.TB, h Hub, o connections.Options) *Server {
	tb.Helper()
	s := newServer(tb, h, o, nil)
	web := httptest.NewServer(s)
	s.URL = web.URL + "/hub"
	s.t.Cleanup(func() { s.close(web.Close) })
	return s
}

// ServePipes is Serve on pipes: in a testing/synctest bubble, or to do without
// the kernel.
func ServePipes(tb testing.TB, h Hub, o connections.Options) *Server {
	tb.Helper()
	listener := NewPipes()
	s := newServer(tb, h, o, listener.Dial)
	web := &http.Server{Handler: s, ReadHeaderTimeout: Patience}
	over := make(chan error, 1)
	go func() { over <- web.Serve(listener) }()
	s.URL = "http://pipes/hub"
	s.t.Cleanup(func() {
		s.close(func() {
			_ = web.Close() // nothing is left to be lost
			if err := <-over; !errors.Is(err, http.ErrServerClosed) {
				tb.Errorf("hubtest: serve: %v", err)
			}
		})
	})
	return s
}

func newServer(tb testing.TB, h Hub, o connections.Options, dial func(context.Context, string, string) (net.Conn, error)) *Server {
	tb.Helper()
	if o.Verifier == nil {
		o.Verifier = Verifier(tb)
	}
	// The hub outlives tb.Context, which ends before the cleanups begin.
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	s := &Server{
		Server: connections.NewServer(h, o), t: tb, hub: h, leave: cancel, ended: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}},
	}
	go func() { s.ended <- h.Run(ctx) }()
	return s
}

// Hub is the hub that is served.
func (s *Server) Hub() Hub { return s.hub } //nolint:ireturn // whatever was given

// close ends the server as a node does, and tells what does not end well.
func (s *Server) close(web func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), Patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		s.t.Errorf("hubtest: connections are left: %v", err)
	}
	s.Stop()
	web()
}

// Stop ends the Run of the hub and waits for it. Stopping twice is once.
func (s *Server) Stop() {
	s.t.Helper()
	s.leave()
	select {
	case err, first := <-s.ended:
		if first {
			close(s.ended)
		}
		if err != nil {
			s.t.Errorf("hubtest: Run: %v", err)
		}
	case <-time.After(Patience):
		s.t.Errorf("hubtest: Run has not ended after %v", Patience)
	}
}

// Answer is an HTTP answer, read to its end.
type Answer struct {
	*http.Response

	Text string
}

// Do makes a request of the hub's path + suffix, such as "/negotiate?…", with
// a bearer token if there is one.
func (s *Server) Do(method, suffix, token string) Answer {
	s.t.Helper()
	r := s.request(method, suffix)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("hubtest: %s %s: %v", method, suffix, err)
	}
	return read(s.t, response)
}

func (s *Server) request(method, suffix string) *http.Request {
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+suffix, http.NoBody)
	if err != nil {
		s.t.Fatalf("hubtest: %v", err)
	}
	return r
}

func read(tb testing.TB, response *http.Response) Answer {
	tb.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatalf("hubtest: read the answer: %v", err)
	}
	_ = response.Body.Close() // it has been read to its end
	return Answer{response, string(text)}
}

// Negotiate makes a connection, of version 1, and returns its public id and
// its secret token. query is that of the hub's URL.
func (s *Server) Negotiate(token, query string) (id, connectionToken string) {
	s.t.Helper()
	answer := s.Do(http.MethodPost, "/negotiate?"+join(query, "negotiateVersion=1"), token)
	var n struct{ ConnectionID, ConnectionToken string }
	if err := json.Unmarshal([]byte(answer.Text), &n); err != nil || n.ConnectionToken == "" {
		s.t.Fatalf("hubtest: negotiate: %s %s", answer.Status, answer.Text)
	}
	return n.ConnectionID, n.ConnectionToken
}

// Connect negotiates, opens a WebSocket and shakes hands. query is that of the
// hub's URL, such as "device=d1", or empty.
func (s *Server) Connect(user, query string, held ...string) *Browser {
	s.t.Helper()
	return s.ConnectWith(protocol.JSON(), user, query, held...)
}

// ConnectWith is Connect in another encoding.
func (s *Server) ConnectWith(codec protocol.Codec, user, query string, held ...string) *Browser {
	s.t.Helper()
	token := Token(s.t, user, held...)
	id, connectionToken := s.Negotiate(token, query)
	b := s.MustOpen(token, join(query, "id="+connectionToken))
	b.ID = id
	b.Speak(codec)
	b.ShakeHands()
	return b
}

func join(parts ...string) string {
	return strings.Trim(strings.Join(parts, "&"), "&")
}

// Pipes is a network without sockets: it implements net.Listener, and Dial is
// its other side. In a bubble whoever waits for it waits durably.
type Pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
}

// NewPipes makes a network.
func NewPipes() *Pipes { return &Pipes{make(chan net.Conn), make(chan struct{})} }

// Dial connects to whoever accepts, whatever the address.
func (p *Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.incoming <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *Pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr implements net.Listener.
func (*Pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
