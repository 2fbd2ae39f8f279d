package connections_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
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

// Streams and polls are waited for and cut like sockets.
func TestShutdownOfHalves(t *testing.T) {
	for _, end := range []string{"waits", "cuts"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { shutDownHalves(t, end) })
		})
	}
}

func shutDownHalves(t *testing.T, end string) {
	t.Helper()
	s, conns := openServedPipes(t, connections.Options{})
	e := s.events("?id=" + s.token())
	polled, waiting := s.polled(), "?id="+s.token()
	all := []*served{<-conns, <-conns}
	poll := s.later(http.MethodGet, polled, "")
	synctest.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(ctx) }()
	synctest.Wait()
	for _, accept := range []string{"*/*", "text/event-stream"} {
		if a := s.do(http.MethodGet, waiting, "Accept", accept); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: a new one: got %d, want 503 with Retry-After", accept, a.status)
		}
	}
	s.want(s.ask(http.MethodPost, polled, "still here"), http.StatusOK, "")
	if end == "cuts" {
		cancel()
		for _, c := range all {
			for err := error(nil); err == nil; {
				_, err = c.Receive()
			}
		}
	}
	for _, c := range all {
		c.leave()
	}
	s.want(<-poll, http.StatusNoContent, "")
	if event, err := e.next(); err == nil {
		t.Errorf("an event came: %q", event)
	}
	if err := <-over; (err != nil) != (end == "cuts") {
		t.Errorf("Shutdown: %v", err)
	}
}

// The observer hears of every connection once when it begins and once when it
// ends, whatever its transport.
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
	e := s.events("?id=" + s.token())
	if _, err := e.line(); err != nil {
		t.Fatal(err)
	}
	e.close()
	if got := wait(t, "the end", s.seen.ended); got != "ServerSentEvents normal" {
		t.Errorf("ended: got %q, want normal", got)
	}
	s.want(s.ask(http.MethodDelete, s.polled(), ""), http.StatusAccepted, "")
	if got := wait(t, "the end", s.seen.ended); got != "LongPolling normal" {
		t.Errorf("ended: got %q, want normal", got)
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if got := fmt.Sprint(s.seen.opened); got != "[WebSockets WebSockets WebSockets ServerSentEvents LongPolling]" {
		t.Errorf("opened: got %s, want each once", got)
	}
}

// The request that makes a connection is a span that ends when its transport
// is attached; what is secret is not in it.
func TestConnectSpan(t *testing.T) {
	for _, test := range []struct{ transport, name, status string }{
		{connections.WebSockets, "web_sockets", "101"},
		{connections.ServerSentEvents, "server_sent_events", "200"},
		{connections.LongPolling, "long_polling", "200"},
	} {
		t.Run(test.transport, func(t *testing.T) {
			exporter := tracetest.NewInMemoryExporter()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
			s, conns := openServed(t, connections.Options{TracerProvider: provider})
			token := s.token()
			query, parent := "access_token=secret&x=1&id="+token, []string{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}
			switch test.transport {
			case connections.WebSockets:
				s.mustDial(query, parent...)
			case connections.ServerSentEvents:
				s.events("?"+query, parent...)
			default:
				s.want(s.ask(http.MethodGet, "?"+query, "", parent...), http.StatusOK, "")
			}
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
				"http.request.method": "GET", "http.route": "/hub", "signalr.transport": test.name,
				"notify.connection.id": c.ID(), "http.response.status_code": test.status,
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
			if shown := fmt.Sprintf("%+v", span); strings.Contains(shown, token) || strings.Contains(shown, "secret") {
				t.Errorf("the span has a secret: %s", shown)
			}
			c.Abort()
		})
	}
}
