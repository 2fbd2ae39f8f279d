package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"tidings/telemetry"
)

// A parent that is a client's does not decide whether its trace is exported, be it
// that it says so or that it does not; another parent does.
func TestClientsDoNotDecideOnExport(t *testing.T) {
	collected := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collected.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collected.URL+"/v1/traces")
	for _, test := range []struct {
		name, sampler string
		flags         trace.TraceFlags
		client, want  bool
	}{
		{"a client that is sampled, where nothing is", "parentbased_always_off", trace.FlagsSampled, true, false},
		{"a client that is not sampled, where all is", "parentbased_always_on", 0, true, true},
		{"a server that is sampled", "parentbased_always_off", trace.FlagsSampled, false, true},
		{"a server that is not sampled", "parentbased_always_on", 0, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collected.URL + "/v1/traces", "OTEL_TRACES_SAMPLER": test.sampler}
			o := keeping(t, func(name string) string { return env[name] }, 1<<20)
			parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: test.flags, Remote: true})
			_, span := o.Tracer.Tracer("t").Start(
				trace.ContextWithRemoteSpanContext(t.Context(), parent), "NotificationHub/Ack", trace.WithAttributes(telemetry.ClientParent.Bool(test.client)),
			)
			span.End()
			if got := span.SpanContext(); got.IsSampled() != test.want || got.TraceID() != parent.TraceID() {
				t.Errorf("sampled: got %v in trace %v, want %v in that of the parent", got.IsSampled(), got.TraceID(), test.want)
			}
		})
	}
}

// OpenTelemetry, "Semantic conventions for RPC spans".
func TestNamesOfConventions(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "rpc/dup": false, "rpc": true, "http, rpc": true, "rpc,rpc/dup": false, "http": false, "database": false,
	} {
		if got := telemetry.NewNamesOnly(func(string) string { return value }); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}
