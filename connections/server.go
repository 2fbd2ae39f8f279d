package connections

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Handler is what a connection is for; hub.Hub is one.
type Handler interface {
	// ServeConn serves one connection and returns when it is over; its
	// transport is closed then. It runs on the connection's own goroutine. ctx
	// never ends and holds nothing of the request, which would cost every
	// connection memory.
	ServeConn(ctx context.Context, c *Conn)
}

// Server is the endpoint of one hub: an http.Handler for its path and for
// negotiate below it.
type Server struct {
	gate

	handler   Handler
	available []transport
	tracer    trace.Tracer
	upgrader  websocket.Upgrader
	buffers   sync.Pool // of *[]byte, for reading

	wg sync.WaitGroup // one per connection

	traffic traffic

	mu       sync.Mutex // guards all below
	refusing bool
	lobby    lobby
	attached map[string]*Conn // by connection token
	kept     keeping
}

// readBuffer is the piece in which messages and bodies are read, while there
// is one.
const readBuffer = 4 << 10

// NewServer makes the endpoint of a handler. Mount it at the path of the hub
// and at that path + "/".
func NewServer(h Handler, o Options) *Server {
	o = o.withDefaults()
	return &Server{
		gate:      newGate(o),
		handler:   h,
		available: available(o.Transports),
		tracer:    o.TracerProvider.Tracer("tidings/connections"),
		upgrader: websocket.Upgrader{
			// ReadBufferSize 0: the buffer of taking is used.
			WriteBufferPool: &sync.Pool{},
			CheckOrigin:     func(*http.Request) bool { return true }, // checked before, with the list of CORS
			Error:           func(http.ResponseWriter, *http.Request, int, error) {},
		},
		lobby:    newLobby(o.MaxWaiting, o.DisconnectTimeout),
		attached: make(map[string]*Conn),
		kept:     keeping{byUser: make(map[string]int)},
	}
}

func (s *Server) buffer() *[]byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, readBuffer)
	return &b
}

// ServeHTTP decides as the official server does: what it may not do comes
// first, then negotiate, then the transports (TransportProtocols).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by, ok := s.enter(w, r)
	switch {
	case !ok:
	case strings.HasSuffix(r.URL.Path, "/negotiate"):
		s.negotiate(w, r, by)
	case r.Method == http.MethodGet:
		s.serveGet(w, r, by) //nolint:contextcheck // nothing of the request stays in a connection
	case r.Method == http.MethodPost:
		s.serveSend(w, r, by)
	case r.Method == http.MethodDelete:
		s.serveDelete(w, r, by)
	default:
		s.notAllowed(w, "GET, POST, DELETE")
	}
}

func (s *Server) serveGet(w http.ResponseWriter, r *http.Request, by caller) {
	switch {
	case r.ContentLength != 0:
		// It would have to be read, with a deadline, while the answer waits.
		s.refuse(w, refusal{http.StatusBadRequest, "GET requests have no body."})
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		s.serveEvents(w, r, by)
	case websocket.IsWebSocketUpgrade(r):
		s.serveWebSocket(w, r, by)
	default:
		s.servePoll(w, r, by)
	}
}

// begin starts a connection whose transport is made of requests. Its span ends
// here and not at the end of the connection, so that it can be seen at once.
func (s *Server) begin(r *http.Request, c *Conn) {
	_, span := s.tracer.Start(r.Context(), "GET "+r.URL.Path, spanOptions(r, c)...)
	spanStatus(span, http.StatusOK)
	span.End()
	c.begun(span.SpanContext())
	s.options.Observer.Opened(c.transport)
	go s.serve(c) //nolint:gosec,contextcheck // nothing of the request stays; ends as for a WebSocket
}

// spanOptions describe the request that attaches a transport.
func spanOptions(r *http.Request, c *Conn) []trace.SpanStartOption {
	names := map[string]string{WebSockets: "web_sockets", ServerSentEvents: "server_sent_events", LongPolling: "long_polling"}
	return []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot(), trace.WithAttributes(
			attribute.String("http.request.method", http.MethodGet),
			attribute.String("http.route", r.URL.Path),
			attribute.String("signalr.transport", names[c.transport]),
			attribute.String("notify.connection.id", c.id),
		),
	}
}

func spanStatus(span trace.Span, status int) {
	span.SetAttributes(attribute.Int("http.response.status_code", status))
}

func (s *Server) serve(c *Conn) {
	s.handler.ServeConn(context.Background(), c)
	s.goOn(c)
}

// end is what becomes of a connection whose handler is through with it.
func (s *Server) end(c *Conn) {
	defer s.wg.Done()
	reason := c.end()
	s.forget(c)
	s.options.Observer.Closed(c.transport, reason, time.Since(c.opened))
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.attached, c.token)
	if c.isKept() {
		s.release(c.maker.principal.UserID)
	}
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
	for _, c := range s.attached {
		c.Abort()
	}
	s.mu.Unlock()
	// What still runs now has lost its transport; a handler that does not care
	// is not waited for without end.
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
