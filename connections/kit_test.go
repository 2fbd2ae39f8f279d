package connections_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"tidings/connections"
	"tidings/hub/hubtest"
	"tidings/roles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// handler is a connections.Handler, and a hub of hubtest.
type handler func(ctx context.Context, c *connections.Conn)

// ServeConn implements connections.Handler.
func (h handler) ServeConn(ctx context.Context, c *connections.Conn) { h(ctx, c) }

// Run implements hubtest.Hub.
func (h handler) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// CloseAll implements hubtest.Hub.
func (h handler) CloseAll(context.Context, int) error { return nil }

// stay serves a connection by reading until its end.
func stay(_ context.Context, c *connections.Conn) {
	for {
		if _, err := c.Receive(); err != nil {
			return
		}
	}
}

// echo sends back what it reads.
func echo(_ context.Context, c *connections.Conn) {
	for {
		data, err := c.Receive()
		if err != nil {
			return
		}
		if write(c, c.Sink().Frame(nil, data)) != nil {
			return
		}
	}
}

// write writes as the owner of a connection does, but waits.
func write(c *connections.Conn, p []byte) error {
	n, err := c.Sink().TryWrite(p)
	if err != nil || n == len(p) {
		return err
	}
	written := make(chan error, 1)
	c.Sink().Drain(p[n:], func(err error) { written <- err })
	return <-written
}

// site is an endpoint under test.
type site struct {
	*connections.Server

	t      *testing.T
	web    *http.Server
	url    string // of the hub
	client *http.Client
	seen   *seen
}

// open serves a handler on a socket until the test ends, and wants it to end
// well.
func open(t *testing.T, h handler, o connections.Options, tune ...func(*http.Server)) *site {
	t.Helper()
	s := newSite(t, h, o, nil)
	web := httptest.NewUnstartedServer(s)
	for _, set := range tune {
		set(web.Config)
	}
	web.Start()
	s.web, s.url = web.Config, web.URL+"/hub"
	t.Cleanup(func() { s.close(web.Close) })
	return s
}

// openPipes is open on pipes, for a bubble.
func openPipes(t *testing.T, h handler, o connections.Options) *site {
	t.Helper()
	listener := hubtest.NewPipes()
	s := newSite(t, h, o, listener)
	s.web, s.url = &http.Server{Handler: s, ReadHeaderTimeout: patience, ReadTimeout: patience}, "http://pipes/hub"
	over := make(chan error, 1)
	go func() { over <- s.web.Serve(listener) }()
	t.Cleanup(func() {
		s.close(func() {
			_ = s.web.Close() // nothing is left to be lost
			if err := <-over; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("serve: %v", err)
			}
		})
	})
	return s
}

func newSite(t *testing.T, h handler, o connections.Options, listener *hubtest.Pipes) *site {
	t.Helper()
	s := &site{t: t, seen: &seen{ended: make(chan string, 1000)}}
	o.Observer = s.seen
	s.Server = connections.NewServer(h, o)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 10}
	if listener != nil {
		transport.DialContext = listener.Dial
	}
	s.client = &http.Client{Transport: transport}
	return s
}

func (s *site) close(web func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.t.Errorf("Shutdown: %v", err)
	}
	s.client.CloseIdleConnections()
	web()
}

// answer is an HTTP answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// do makes a request that is answered at once, without a socket between;
// headers come in pairs.
func (s *site) do(method, suffix string, headers ...string) answer {
	s.t.Helper()
	return serve(s.t, s, method, suffix, headers...)
}

// serve asks a handler without a socket between.
func serve(t *testing.T, h http.Handler, method, suffix string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://tidings.example/hub"+suffix, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// upgrade are the headers that ask for a WebSocket.
func upgrade(more ...string) []string {
	return append([]string{
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
	}, more...)
}

// dial opens a WebSocket; headers come in pairs. A refusal is an answer.
func (s *site) dial(query string, headers ...string) (*websocket.Conn, answer) {
	s.t.Helper()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	ws, response, err := websocket.DefaultDialer.DialContext(s.t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"?"+query, h)
	if response == nil {
		s.t.Fatalf("open ?%s: %v", query, err)
	}
	body, _ := io.ReadAll(response.Body) // as far as the library kept it
	_ = response.Body.Close()            // it is in memory
	if err != nil {
		return nil, answer{response.StatusCode, response.Header, string(body)}
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	if err := ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return ws, answer{response.StatusCode, response.Header, string(body)}
}

// mustDial is dial that must succeed.
func (s *site) mustDial(query string, headers ...string) *websocket.Conn {
	s.t.Helper()
	ws, a := s.dial(query, headers...)
	if ws == nil {
		s.t.Fatalf("open ?%s: got %d %q, want 101", query, a.status, a.body)
	}
	return ws
}

// seen is an observer that remembers.
type seen struct {
	mu      sync.Mutex // guards the lists
	opened  []string
	refused []int
	ended   chan string
}

// Opened implements connections.Observer.
func (s *seen) Opened(transport string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, transport)
}

// Closed implements connections.Observer.
func (s *seen) Closed(transport, reason string, lasted time.Duration) {
	if lasted <= 0 {
		reason += fmt.Sprint(" after ", lasted)
	}
	s.ended <- transport + " " + reason
}

// Refused implements connections.Observer.
func (s *seen) Refused(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, status)
}

func (s *seen) statuses() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := fmt.Sprint(s.refused)
	s.refused = nil
	return all
}

// wait returns the next value of a channel.
func wait[T any](t *testing.T, what string, from <-chan T) T { //nolint:ireturn // whatever the channel holds
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("waiting for %s: nothing after %v", what, patience)
		panic("not reached")
	}
}

// secret signs the tokens of these tests.
const secret = "0123456789abcdef0123456789abcdef"

func verifier(t *testing.T, issuer string) *roles.Keys {
	t.Helper()
	v, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Name: issuer, Secret: []byte(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mint(t *testing.T, g roles.Grant) string {
	t.Helper()
	if g.TTL == 0 {
		g.TTL = time.Hour
	}
	if g.Now.IsZero() {
		g.Now = time.Now()
	}
	token, err := roles.Mint([]byte(secret), g)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
