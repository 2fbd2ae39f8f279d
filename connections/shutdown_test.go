package connections_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	"tidings/connections"
)

// Whoever is there stays when new ones are refused; Shutdown waits for them.
func TestRefuseThenShutdown(t *testing.T) {
	s := open(t, echo, connections.Options{})
	_, key := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	ws := s.mustDial("")
	s.Refuse()
	for _, r := range [][]string{
		{http.MethodPost, "/negotiate"},
		append([]string{http.MethodGet, ""}, upgrade()...),
		append([]string{http.MethodGet, "?id=" + key}, upgrade()...),
	} {
		if a := s.do(r[0], r[1], r[2:]...); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" || a.body == "" {
			t.Errorf("%s %s: got %d %q, want 503 with Retry-After", r[0], r[1], a.status, a.body)
		}
	}
	if err := ws.WriteMessage(1, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := ws.ReadMessage(); err != nil || string(message) != "still here" {
		t.Errorf("the one that was there: got %q, %v", message, err)
	}
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-over:
		t.Errorf("Shutdown has not waited: %v", err)
	default:
	}
	if err := ws.NetConn().Close(); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "Shutdown", over); err != nil {
		t.Errorf("Shutdown: got %v, want nothing", err)
	}
}

// When its time is over Shutdown cuts whoever is left, and says so.
func TestShutdownCuts(t *testing.T) {
	s := open(t, stay, connections.Options{})
	first, second := s.mustDial(""), s.mustDial("")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: got %v, want context.Canceled", err)
	}
	for range 2 {
		wait(t, "the end", s.seen.ended)
	}
	for _, ws := range []interface{ ReadMessage() (int, []byte, error) }{first, second} {
		if _, _, err := ws.ReadMessage(); err == nil {
			t.Error("a message came from a connection that was cut")
		}
	}
}

// slow is a provider whose tracer holds upgrades up, where they stand between
// the decision and the socket.
type slow struct {
	embedded.TracerProvider

	entered, leave chan struct{}
}

func (s slow) Tracer(string, ...trace.TracerOption) trace.Tracer { //nolint:ireturn // the API's type
	return slowTracer{provider: s}
}

type slowTracer struct {
	embedded.Tracer

	provider slow
}

func (s slowTracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) { //nolint:ireturn // the API's type
	close(s.provider.entered)
	<-s.provider.leave
	return noop.NewTracerProvider().Tracer("").Start(ctx, name, o...) //nolint:spancheck // the caller ends it
}

// Who is being let in while the server is cut down is cut, too.
func TestShutdownDuringAnUpgrade(t *testing.T) {
	tracer := slow{entered: make(chan struct{}), leave: make(chan struct{})}
	s := open(t, stay, connections.Options{TracerProvider: tracer})
	dialled := make(chan struct{})
	go func() {
		defer close(dialled)
		s.dial("")
	}()
	wait(t, "the upgrade", tracer.entered)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(ctx) }()
	for range 1000 { // Shutdown has come to the cutting
		if a := s.do(http.MethodPost, "/negotiate"); a.status == http.StatusServiceUnavailable {
			break
		}
	}
	close(tracer.leave)
	if err := wait(t, "Shutdown", over); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: got %v, want context.Canceled", err)
	}
	wait(t, "the client", dialled)
}

// The observer hears of every connection once when it begins and once when it
// ends.
func TestObserver(t *testing.T) {
	s := open(t, echo, connections.Options{})
	for range 3 {
		ws := s.mustDial("")
		if err := ws.WriteMessage(8, []byte{3, 232}); err != nil {
			t.Fatal(err)
		}
		if got := wait(t, "the end", s.seen.ended); got != "WebSockets normal" {
			t.Errorf("ended: got %q, want normal", got)
		}
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if got := fmt.Sprint(s.seen.opened); got != "[WebSockets WebSockets WebSockets]" {
		t.Errorf("opened: got %s, want three", got)
	}
}

// The request that makes a connection is a span that ends with the upgrade;
// what is secret is not in it.
func TestConnectSpan(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	conns := make(chan *connections.Conn, 1)
	s := open(t, func(ctx context.Context, c *connections.Conn) { conns <- c; stay(ctx, c) }, connections.Options{TracerProvider: provider})
	s.mustDial("access_token=secret&x=1", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")
	c := wait(t, "the connection", conns)
	spans := exporter.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("got %d spans while the connection is open, want 1", len(spans))
	}
	span := spans[0]
	if span.Name != "GET /hub" || span.SpanKind != trace.SpanKindServer || span.Parent.IsValid() || !span.SpanContext.Equal(c.ConnectSpan()) {
		t.Errorf("got %q, %v, parent %v, context %v, want GET /hub, server, a root, that of the connection", span.Name, span.SpanKind, span.Parent, span.SpanContext)
	}
	want := map[attribute.Key]string{
		"http.request.method": "GET", "http.route": "/hub", "signalr.transport": "web_sockets",
		"notify.connection.id": c.ID(), "http.response.status_code": "101",
	}
	for _, a := range span.Attributes {
		if want[a.Key] != a.Value.String() {
			t.Errorf("%s: got %q, want %q", a.Key, a.Value.String(), want[a.Key])
		}
		delete(want, a.Key)
	}
	if len(want) > 0 {
		t.Errorf("attributes are missing: %v", want)
	}
	if lasted := span.EndTime.Sub(span.StartTime); lasted > 10*time.Second {
		t.Errorf("the span lasted %v", lasted)
	}
}
