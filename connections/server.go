package connections

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"tidings/roles"
)

// Handler is what a connection is for; hub.Hub is one.
type Handler interface {
	// ServeConn serves one connection and returns when it is over; the socket
	// is closed then. It runs on the connection's own goroutine, after the
	// HTTP handler has returned, and ctx ends with the connection.
	ServeConn(ctx context.Context, c *Conn)
}

// Observer counts connections. Its methods must not block.
type Observer interface {
	// Opened is called when a transport has been attached.
	Opened(transport string)
	// Closed is called when it is over; reason is one of a bounded set.
	Closed(transport, reason string, lasted time.Duration)
	// Refused is called for a request that was answered with an HTTP status of
	// 400 or more.
	Refused(status int)
}

// Options tunes the endpoint of one hub. The zero value is ready for use and
// lets anybody in from the same origin.
type Options struct {
	// Verifier makes a principal of a bearer token; every request then needs
	// one. nil lets anonymous callers in.
	Verifier roles.Verifier
	// Origins are the exact origins, such as "https://app.example", that pages
	// of other hosts may call from, with credentials. The host's own pages
	// always may.
	Origins []string
	// AllowLocalhost lets in pages of localhost, 127.0.0.1 and [::1], whatever
	// the port: for development.
	AllowLocalhost bool
	// DisconnectTimeout is how long a negotiated connection may wait for its
	// transport. Default 15 s.
	DisconnectTimeout time.Duration
	// MaxWaiting is how many may wait so at the same moment; the next one is
	// refused with 503. Default 10,000.
	MaxWaiting int
	// SendTimeout is how long a socket may take no byte before its connection
	// is given up. Default 10 s.
	SendTimeout time.Duration
	// CloseTimeout is how long the server waits for the peer's close frame.
	// Default 5 s.
	CloseTimeout   time.Duration
	Logger         *slog.Logger
	Observer       Observer
	TracerProvider trace.TracerProvider
}

func (o Options) withDefaults() Options {
	if o.DisconnectTimeout <= 0 {
		o.DisconnectTimeout = 15 * time.Second
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 10_000
	}
	if o.SendTimeout <= 0 {
		o.SendTimeout = 10 * time.Second
	}
	if o.CloseTimeout <= 0 {
		o.CloseTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	return o
}

type silent struct{}

func (silent) Opened(string)                        {}
func (silent) Closed(string, string, time.Duration) {}
func (silent) Refused(int)                          {}

// Server is the endpoint of one hub: an http.Handler for its path and for
// negotiate below it.
type Server struct {
	handler  Handler
	options  Options
	origins  origins
	tracer   trace.Tracer
	upgrader websocket.Upgrader
	buffers  sync.Pool // of *[]byte, for reading

	wg sync.WaitGroup // one per connection

	mu        sync.Mutex // guards all below
	refusing  bool
	cutting   bool                  // Shutdown has cut all that had a socket
	waiting   map[string]negotiated // by connection token
	attached  map[string]*Conn      // by connection token
	lastSweep time.Time
}

// negotiated is a connection that has no transport yet.
type negotiated struct {
	id     string
	userID string
	since  time.Time
}

// readBuffer is the piece in which messages are read, while there is one.
const readBuffer = 4 << 10

// NewServer makes the endpoint of a handler. Mount it at the path of the hub
// and at that path + "/".
func NewServer(h Handler, o Options) *Server {
	o = o.withDefaults()
	return &Server{
		handler: h,
		options: o,
		origins: newOrigins(o.Origins, o.AllowLocalhost),
		tracer:  o.TracerProvider.Tracer("tidings/connections"),
		upgrader: websocket.Upgrader{
			// The smallest gorilla takes: an idle connection keeps it.
			ReadBufferSize:  256,
			WriteBufferPool: &sync.Pool{},
			CheckOrigin:     func(*http.Request) bool { return true }, // checked before, with the list of CORS
			Error:           func(http.ResponseWriter, *http.Request, int, error) {},
		},
		buffers: sync.Pool{New: func() any {
			b := make([]byte, readBuffer)
			return &b
		}},
		waiting:  make(map[string]negotiated),
		attached: make(map[string]*Conn),
	}
}

// ServeHTTP decides as the official server does: what it may not do comes
// first, then negotiate, then the transports (TransportProtocols).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch s.origins.check(w, r) {
	case http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.StatusForbidden:
		s.refuse(w, http.StatusForbidden, "Origin not allowed.")
		return
	}
	principal, token, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	c := caller{principal: principal, token: token}
	switch {
	case strings.HasSuffix(r.URL.Path, "/negotiate"):
		s.negotiate(w, r, c)
	case r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r):
		s.serveWebSocket(w, r, c)
	case r.Method == http.MethodGet, r.Method == http.MethodPost, r.Method == http.MethodDelete:
		s.refuseHalf(w, r)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		s.refuse(w, http.StatusMethodNotAllowed, "Method not allowed.")
	}
}

// caller is who makes a request.
type caller struct {
	principal roles.Principal
	token     string
}

// authenticate answers 401 before anything else happens, as for every request
// of the endpoint.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (roles.Principal, string, bool) {
	token, err := roles.BearerToken(r)
	if err == nil && s.options.Verifier == nil {
		return roles.Principal{}, token, true
	}
	var principal roles.Principal
	if err == nil {
		principal, err = s.options.Verifier.Verify(r.Context(), token)
	}
	if err == nil {
		return principal, token, true
	}
	var auth *roles.AuthError
	if !errors.As(err, &auth) {
		s.options.Logger.ErrorContext(r.Context(), "token cannot be verified", slog.Any("error", err))
		w.Header().Set("Retry-After", "1")
		s.refuse(w, http.StatusServiceUnavailable, "Tokens cannot be verified at the moment.")
		return principal, "", false
	}
	w.Header().Set("WWW-Authenticate", auth.WWWAuthenticate())
	s.refuse(w, http.StatusUnauthorized, "")
	return principal, "", false
}

// refuseHalf answers the send and receive halves of the transports that this
// endpoint does not speak.
func (s *Server) refuseHalf(w http.ResponseWriter, r *http.Request) {
	token := queryValue(r, "id")
	s.mu.Lock()
	_, waits := s.waiting[token]
	_, attached := s.attached[token]
	s.mu.Unlock()
	switch {
	case token == "":
		s.refuse(w, http.StatusBadRequest, "Connection ID required")
	case !waits && !attached:
		s.refuse(w, http.StatusNotFound, "No Connection with that ID")
	case r.Method == http.MethodPost && attached:
		s.refuse(w, http.StatusMethodNotAllowed, "POST requests are not allowed for WebSocket connections.")
	case r.Method == http.MethodDelete:
		s.refuse(w, http.StatusBadRequest, "Cannot terminate this connection using the DELETE endpoint.")
	case attached:
		s.refuse(w, http.StatusBadRequest, "Cannot change transports mid-connection")
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		s.refuse(w, http.StatusNotFound, "ServerSentEvents transport not supported by this end point type")
	default:
		s.refuse(w, http.StatusNotFound, "LongPolling transport not supported by this end point type")
	}
}

func (s *Server) refuse(w http.ResponseWriter, status int, text string) {
	s.options.Observer.Refused(status)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) //nolint:gosec // plain text; if the caller is gone there is nobody to tell
}

// Refuse makes the server turn new connections away, with 503; those that are
// there stay.
func (s *Server) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = true
}

// Shutdown refuses new connections and waits until those that are there have
// ended, or ctx does; then it cuts the rest. Closing them is their handler's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Refuse()
	over := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.cutting = true
	for _, c := range s.attached {
		if c.net != nil { // else see attach
			c.Abort()
		}
	}
	s.mu.Unlock()
	// What still runs now has lost its socket; a handler that does not care is
	// not waited for without end.
	late := time.NewTimer(s.options.CloseTimeout)
	defer late.Stop()
	select {
	case <-over:
	case <-late.C:
	}
	return ctx.Err()
}

// newID is 16 random bytes as text: the public id of a connection, or its
// secret token.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// queryValue finds a query parameter whatever the case of its name, as
// ASP.NET Core does.
func queryValue(r *http.Request, name string) string {
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
