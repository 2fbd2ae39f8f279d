package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"tidings/telemetry"
)

// scrape is what Prometheus reads; the headers, in pairs, are those of its request.
func scrape(t *testing.T, o *telemetry.Telemetry, headers ...string) string {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	o.Handler().ServeHTTP(w, r)
	return w.Body.String()
}

// wantLines looks for lines of a scrape.
func wantLines(t *testing.T, got string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(got, want) {
			t.Errorf("no line %s in\n%s", want, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	o := start(t, nothing)
	m, ctx := o.Metrics, t.Context()
	m.Opened("WebSockets")
	m.Opened("ServerSentEvents")
	m.Joined("WebSockets", 2*time.Millisecond)
	m.Closed("WebSockets", "normal", 90*time.Second)
	m.Refused(http.StatusUnauthorized)
	m.Unauthenticated("expired")
	m.Invoked(ctx, "chat", "Say", "", 3*time.Millisecond)
	m.Invoked(ctx, "chat", "_OTHER", "not_found", time.Millisecond)
	m.Delivered(ctx, telemetry.Delivery{Kind: "role", Sent: 5, Deferred: 2, Bytes: 1000, Latency: 4 * time.Millisecond, Fanout: 2 * time.Millisecond})
	m.Delivered(ctx, telemetry.Delivery{Kind: "user"})
	m.Delivered(ctx, telemetry.Delivery{Kind: "user", Expired: true})
	m.Replayed(ctx, 12, "reconnect", time.Second)
	m.Acknowledged(20 * time.Second)
	m.Due(3, 1)
	m.Appended(ctx, "", 2*time.Millisecond)
	m.Appended(ctx, "unavailable", 10*time.Second)
	m.Followed(time.Millisecond)
	got := scrape(t, o)
	wantLines(
		t, got,
		`signalr_server_active_connections{signalr_transport="web_sockets"} 0`,
		`signalr_server_active_connections{signalr_transport="server_sent_events"} 1`,
		`signalr_server_connection_duration_seconds_bucket{signalr_connection_status="normal_closure",signalr_transport="web_sockets",le="120"} 1`,
		`signalr_server_connection_duration_seconds_bucket{signalr_connection_status="normal_closure",signalr_transport="web_sockets",le="60"} 0`,
		`notify_connection_opens_total{signalr_transport="server_sent_events"} 1`,
		`notify_connection_closes_total{reason="normal"} 1`,
		`notify_connection_refused_total{http_response_status_code="401"} 1`,
		`notify_auth_failures_total{reason="expired"} 1`,
		`notify_handshake_duration_seconds_bucket{signalr_transport="web_sockets",le="0.0025"} 1`,
		`rpc_server_call_duration_seconds_count{rpc_method="chat/Say",rpc_system_name="signalr"} 1`,
		`rpc_server_call_duration_seconds_count{error_type="not_found",rpc_method="chat/_OTHER",rpc_system_name="signalr"} 1`,
		`notify_errors_total{class="user",reason="http_401"} 1`,
		`notify_errors_total{class="user",reason="not_found"} 1`,
		`notify_delivery_messages_total{outcome="sent",target_kind="role"} 5`,
		`notify_delivery_messages_total{outcome="deferred",target_kind="role"} 2`,
		`notify_delivery_messages_total{outcome="offline",target_kind="user"} 1`,
		`notify_delivery_messages_total{outcome="expired",target_kind="user"} 1`,
		`notify_delivery_bytes_total{target_kind="role"} 1000`,
		`notify_delivery_latency_seconds_count{target_kind="role"} 1`,
		`notify_fanout_size_bucket{target_kind="role",le="5"} 0`, `notify_fanout_size_bucket{target_kind="role",le="10"} 1`,
		`notify_fanout_size_bucket{target_kind="user",le="0"} 1`,
		`notify_fanout_duration_seconds_bucket{target_kind="role",le="0.0025"} 1`,
		`notify_replay_messages_total{trigger="reconnect"} 12`,
		`notify_ack_latency_seconds_bucket{le="30"} 1`, `notify_ack_due_total 3`, `notify_ack_late_total 1`,
		`messaging_client_operation_duration_seconds_count{messaging_destination_template="tidings.log.{hub}.{kind}.{key}",messaging_operation_name="publish",messaging_system="nats"} 1`,
		`messaging_client_operation_duration_seconds_count{error_type="unavailable",messaging_destination_template="tidings.log.{hub}.{kind}.{key}",messaging_operation_name="publish",messaging_system="nats"} 1`,
		`messaging_process_duration_seconds_count{messaging_destination_template="tidings.log.{hub}.{kind}.{key}",messaging_operation_name="process",messaging_system="nats"} 1`,
		"go_goroutine_count",
	)
	if strings.Contains(got, "otel_scope") {
		t.Error("every series has labels of its scope")
	}
	want := telemetry.Totals{
		Sent: 5, Deferred: 2, Expired: 1, Offline: 1, SentBytes: 1000, Invocations: 2, InvocationErrors: 1, Refused: 1, Replays: 1, Replayed: 12,
	}
	if got := m.Totals(); got != want {
		t.Errorf("totals: got %+v, want %+v", got, want)
	}
	if median, some := telemetry.Quantile(nil, m.Latencies().Counts(), 0.5); !some || median < 3600*time.Microsecond || median > 4400*time.Microsecond {
		t.Errorf("latency: got %v, %v, want 4ms", median, some)
	}
}

// Who is to blame for the end of a connection, for a call and for a request.
func TestErrorsHaveSomebodyToBlame(t *testing.T) {
	o := start(t, nothing)
	m := o.Metrics
	for _, reason := range []string{"normal", "shutdown", "slow", "network", "timeout", "auth_expired", "truncated", "protocol_error", "handshake", "error"} {
		m.Closed("WebSockets", reason, time.Second)
	}
	for _, problem := range []string{"", "cancelled", "stale", "internal", "unavailable"} {
		m.Invoked(t.Context(), "chat", "Say", problem, time.Millisecond)
	}
	m.Refused(http.StatusServiceUnavailable)
	got := scrape(t, o)
	wantLines(
		t, got, `notify_connection_closes_total{reason="slow_client"} 1`,
		`{class="user",reason="protocol_error"} 1`, `{class="user",reason="handshake"} 1`, `{class="system",reason="connection"} 1`,
		`{class="user",reason="stale"} 1`, `{class="system",reason="internal"} 1`, `{class="system",reason="unavailable"} 1`, `{class="system",reason="http_503"} 1`,
	)
	if n := strings.Count(got, "\nnotify_errors_total{"); n != 7 {
		t.Errorf("%d kinds of errors, want 7", n)
	}
}

func TestFigures(t *testing.T) {
	o := start(t, nothing)
	var n atomic.Int64
	n.Store(7)
	read := func() float64 { return float64(n.Load()) }
	which := func(name string) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("network.io.direction", name)}
	}
	if err := o.Metrics.Watch(
		telemetry.Figure{Name: "notify.log.lag", Unit: "{position}", Read: read},
		telemetry.Figure{Name: "notify.log.rejected", Unit: "{message}", Counts: true, Read: read},
		telemetry.Figure{Name: "notify.connection.bytes", Unit: "By", Counts: true, Attributes: which("receive"), Read: read},
		telemetry.Figure{Name: "notify.server.load", Unit: "1", Read: func() float64 { return 0.25 }},
		telemetry.Figure{Name: "notify.connection.bytes", Unit: "By", Counts: true, Attributes: which("transmit"), Read: func() float64 { return 2 * read() }},
	); err != nil {
		t.Fatal(err)
	}
	n.Store(8)
	wantLines(
		t, scrape(t, o), "notify_log_lag 8", "notify_log_rejected_total 8", "notify_server_load_ratio 0.25",
		`notify_connection_bytes_total{network_io_direction="receive"} 8`, `notify_connection_bytes_total{network_io_direction="transmit"} 16`,
	)
}

// Clients can make up neither methods nor transports, so the number of series
// does not depend on them; what is left is bounded by what is registered. If
// somebody gives an attribute a value that is made up all the same, the series of
// that metric end at a bound.
func TestSeriesAreBounded(t *testing.T) {
	o := start(t, nothing)
	for i := range 10_000 {
		// The hub passes _OTHER for what does not exist; statuses and reasons
		// come from tables.
		o.Metrics.Invoked(t.Context(), "notifications", "_OTHER", "not_found", time.Duration(i))
		o.Metrics.Delivered(t.Context(), telemetry.Delivery{Kind: "user", Sent: 1, Latency: time.Duration(i)})
		o.Metrics.Refused(400 + i%5)
	}
	if got := strings.Count(scrape(t, o), "\n"); got > 500 {
		t.Errorf("%d lines", got)
	}
	for i := range 10_000 {
		o.Metrics.Unauthenticated(fmt.Sprint("made up ", i))
	}
	if got := strings.Count(scrape(t, o), "\nnotify_auth_failures_total{"); got > 512 {
		t.Errorf("%d series of one metric", got)
	}
}

// A sampled trace hangs on the bucket of each latency, for whoever asks for
// OpenMetrics; without an exporter it is one that is kept in memory.
func TestLatenciesHaveExamples(t *testing.T) {
	const accept = "application/openmetrics-text; version=1.0.0"
	collected := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collected.Close()
	for _, test := range []struct {
		name      string
		env       map[string]string
		spanBytes int
		want      bool
	}{
		{"nothing is traced", nil, 0, false},
		{"kept in memory", nil, 1 << 20, true},
		{"exported", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collected.URL + "/v1/traces"}, 0, true},
		{
			"kept in memory and not sampled for the exporter",
			map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collected.URL + "/v1/traces", "OTEL_TRACES_SAMPLER": "always_off"},
			1 << 20, false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			o := keeping(t, func(name string) string { return test.env[name] }, test.spanBytes)
			for name, measure := range map[string]func(ctx context.Context){
				"notify_delivery_latency_seconds": func(ctx context.Context) {
					o.Metrics.Delivered(ctx, telemetry.Delivery{Kind: "user", Sent: 1, Latency: time.Millisecond})
				},
				"notify_replay_duration_seconds":   func(ctx context.Context) { o.Metrics.Replayed(ctx, 1, "reconnect", time.Millisecond) },
				"rpc_server_call_duration_seconds": func(ctx context.Context) { o.Metrics.Invoked(ctx, "chat", "Say", "", time.Millisecond) },
				"messaging_client_operation_duration_seconds": func(ctx context.Context) {
					o.Metrics.Appended(ctx, "", time.Millisecond)
				},
			} {
				ctx, span := o.Tracer.Tracer("t").Start(t.Context(), "one")
				measure(ctx)
				span.End()
				example := ""
				for line := range strings.Lines(scrape(t, o, "Accept", accept)) {
					if strings.HasPrefix(line, name+"_bucket") && strings.Contains(line, `trace_id="`+span.SpanContext().TraceID().String()+`"`) {
						example = line
					}
				}
				if (example != "") != test.want {
					t.Errorf("%s: got example %q, want one: %v", name, example, test.want)
				}
				if test.want && !strings.Contains(example, "# {") {
					t.Errorf("%s: got %q, want # {…}", name, example)
				}
			}
		})
	}
}
