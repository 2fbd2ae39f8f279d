package telemetry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"tidings/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func nothing(string) string { return "" }

func start(t *testing.T, getenv func(string) string) *telemetry.Telemetry {
	t.Helper()
	return keeping(t, getenv, 0)
}

// keeping is start with spans in memory.
func keeping(t *testing.T, getenv func(string) string, spanBytes int) *telemetry.Telemetry {
	t.Helper()
	o, err := telemetry.Start(t.Context(), telemetry.Options{Version: "v1", Getenv: getenv, SpanBytes: spanBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return o
}

func TestNothingIsExportedUnlessAskedFor(t *testing.T) {
	for _, test := range []struct {
		name   string
		env    map[string]string
		export bool
	}{
		{"nothing set", nil, false},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true},
		{"an endpoint of the signal", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true},
		{"asked for by name", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true},
		{"gRPC", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Metrics would be exported at Shutdown, to nobody.
			env := map[string]string{"OTEL_METRICS_EXPORTER": "none"}
			for key, value := range test.env {
				env[key] = value
				t.Setenv(key, value)
			}
			o := start(t, func(name string) string { return env[name] })
			if _, real := o.Tracer.(*sdktrace.TracerProvider); real != test.export {
				t.Errorf("tracer is %T, want export = %v", o.Tracer, test.export)
			}
			if _, silent := o.Tracer.(noop.TracerProvider); silent == test.export {
				t.Errorf("tracer is %T, want export = %v", o.Tracer, test.export)
			}
		})
	}
}

// sink is a receiver of OTLP/gRPC.
type sink struct {
	collector.UnimplementedTraceServiceServer

	names chan string
}

func (s sink) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				s.names <- span.GetName()
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestTracesAreExportedOverGRPC(t *testing.T) {
	var config net.ListenConfig
	socket, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	s := sink{names: make(chan string, 1)}
	collector.RegisterTraceServiceServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(socket) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	env := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + socket.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "none",
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	o, err := telemetry.Start(t.Context(), telemetry.Options{Version: "v1", Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	_, span := o.Tracer.Tracer("t").Start(t.Context(), "one")
	span.End()
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case name := <-s.names:
		if name != "one" {
			t.Errorf("got span %q, want one", name)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing was exported")
	}
}

func TestMetricsAreExported(t *testing.T) {
	var bodies atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n, _ := io.Copy(io.Discard, r.Body); n > 0 && r.URL.Path == "/v1/metrics" {
			bodies.Add(1)
		}
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", server.URL+"/v1/metrics")
	o, err := telemetry.Start(t.Context(), telemetry.Options{Version: "v1", Getenv: func(name string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": server.URL + "/v1/metrics"}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	o.Metrics.Opened("WebSockets")
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if bodies.Load() == 0 {
		t.Error("nothing was exported")
	}
}

// A line that belongs to a span says which, also through WithAttrs and
// WithGroup.
func TestLogLinesNameTheirSpan(t *testing.T) {
	var out strings.Builder
	logger := telemetry.NewLogger(&out, "json", slog.LevelInfo)
	ctx, span := sdktrace.NewTracerProvider().Tracer("t").Start(t.Context(), "s")
	defer span.End()
	logger.InfoContext(ctx, "one")
	logger.With(slog.String("a", "b")).WithGroup("g").InfoContext(ctx, "two", slog.Int("n", 1))
	logger.InfoContext(t.Context(), "three")
	logger.DebugContext(ctx, "four")
	var ids []string
	for line := range strings.Lines(out.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		inner, _ := record["g"].(map[string]any)
		id, _ := record["trace_id"].(string)
		if inner != nil {
			id, _ = inner["trace_id"].(string)
		}
		ids = append(ids, fmt.Sprint(record["msg"], id != "" && id == span.SpanContext().TraceID().String()))
	}
	if want := []string{"onetrue", "twotrue", "threefalse"}; !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v from\n%s", ids, want, out.String())
	}
	out.Reset()
	telemetry.NewLogger(&out, "text", slog.LevelDebug).Debug("x")
	if !strings.Contains(out.String(), "level=DEBUG msg=x") {
		t.Errorf("text: got %q", out.String())
	}
}
