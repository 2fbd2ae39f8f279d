package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP/HTTP receiver of traces (OTLP 1.0, "OTLP/HTTP").
type receiver struct {
	mu      sync.Mutex
	changed chan struct{} // closed and made anew when spans have come
	spans   []*tracev1.Span
	service string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{changed: make(chan struct{})}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/v1/traces")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var body io.Reader = q.Body
	if q.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(q.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(data, &request)
	}
	if err != nil || q.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		r.service = text(resource.GetResource().GetAttributes(), "service.name")
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// wait returns the first span that is wanted.
func (r *receiver) wait(t *testing.T, what string, wanted func(*tracev1.Span) bool) *tracev1.Span {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		at, changed := slices.IndexFunc(r.spans, wanted), r.changed
		var names []string
		for _, s := range r.spans {
			names = append(names, s.GetName())
		}
		var found *tracev1.Span
		if at >= 0 {
			found = r.spans[at]
		}
		r.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no span %s among %s", what, strings.Join(names, ", "))
		}
	}
}

func (r *receiver) named(t *testing.T, name string, trace []byte) *tracev1.Span {
	t.Helper()
	return r.wait(t, name, func(s *tracev1.Span) bool {
		return s.GetName() == name && (trace == nil || bytes.Equal(s.GetTraceId(), trace))
	})
}

func text(attributes []*common.KeyValue, key string) string {
	for _, a := range attributes {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

func number(s *tracev1.Span, key string) int64 {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetIntValue()
		}
	}
	return -1
}

// The trace ids of the emitters in this test.
const (
	restTrace = "0af7651916cd43dd8448eb211c80319c"
	natsTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	emitSpan  = "00f067aa0ba902b7"
)

func traceOf(t *testing.T, id string) []byte {
	t.Helper()
	b, err := hex.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantParent(t *testing.T, child *tracev1.Span, parent string) {
	t.Helper()
	if got := hex.EncodeToString(child.GetParentSpanId()); got != parent {
		t.Errorf("parent of %s: got %q, want %q", child.GetName(), got, parent)
	}
}

// emit → append → deliver is one trace, whichever door the event came through,
// and the browser is told which.
func TestOneTraceFromEmitterToBrowser(t *testing.T) {
	otlp := newReceiver(t)
	node := start(t)
	ann := node.connect(t, "/hubs/notifications?device=d1", node.token(t, "ann"))
	node.live(t)

	t.Run("REST", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+node.http+"/v1/notifications",
			strings.NewReader(`{"recipient":"user/ann","title":"Hi","type":"order.shipped","id":"e1"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+node.token(t, "shop", "emitter"))
		request.Header.Set("Traceparent", "00-"+restTrace+"-"+emitSpan+"-01")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		_, record := ann.alert()
		if got := record.Headers["traceparent"]; !strings.HasPrefix(got, "00-"+restTrace+"-") {
			t.Errorf("the browser was told of trace %q, want %s", got, restTrace)
		}
		id := traceOf(t, restTrace)
		door := otlp.named(t, "POST /v1/notifications", id)
		publish := otlp.named(t, "publish tidings.log.notifications.user.{key}", id)
		deliver := otlp.named(t, "deliver order.shipped", id)
		wantParent(t, door, emitSpan)
		wantParent(t, publish, hex.EncodeToString(door.GetSpanId()))
		wantParent(t, deliver, hex.EncodeToString(publish.GetSpanId()))
		if door.GetKind() != tracev1.Span_SPAN_KIND_SERVER || publish.GetKind() != tracev1.Span_SPAN_KIND_PRODUCER || deliver.GetKind() != tracev1.Span_SPAN_KIND_INTERNAL {
			t.Errorf("kinds: got %v, %v, %v", door.GetKind(), publish.GetKind(), deliver.GetKind())
		}
		if len(deliver.GetLinks()) != 1 {
			t.Errorf("deliver has %d links, want one to the creation context", len(deliver.GetLinks()))
		}
		for _, span := range []*tracev1.Span{publish, deliver} {
			for key, want := range map[string]string{"messaging.message.id": "e1", "messaging.system": "nats", "notify.hub": "notifications", "notify.event.type": "order.shipped", "notify.recipient.kind": "user"} {
				if got := text(span.GetAttributes(), key); got != want {
					t.Errorf("%s: %s is %q, want %q", span.GetName(), key, got, want)
				}
			}
			if got := number(span, "notify.stream.seq"); got != 1 {
				t.Errorf("%s: notify.stream.seq is %d, want 1", span.GetName(), got)
			}
		}
		if got := number(deliver, "notify.delivery.connections"); got != 1 {
			t.Errorf("notify.delivery.connections is %d, want 1", got)
		}
	})

	t.Run("NATS", func(t *testing.T) {
		emitter, err := nats.Connect("nats://" + node.nats)
		if err != nil {
			t.Fatal(err)
		}
		defer emitter.Close()
		msg := nats.NewMsg("tidings.log.notifications.user.ann")
		msg.Data = []byte(`{"title":"from NATS"}`)
		msg.Header.Set("traceparent", "00-"+natsTrace+"-"+emitSpan+"-01")
		if err := emitter.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
		ann.alert()
		deliver := otlp.named(t, "deliver notification", traceOf(t, natsTrace))
		wantParent(t, deliver, emitSpan)
	})

	t.Run("hub", func(t *testing.T) {
		if m := ann.invoke("SendToSelf", "note to self"); m.Error != "" || string(m.Result) != "3" {
			t.Fatalf("SendToSelf: got %s %q, want position 3", m.Result, m.Error)
		}
		call := otlp.named(t, "NotificationHub/SendToSelf", nil)
		connect := otlp.named(t, "GET /hubs/notifications", nil)
		publish := otlp.named(t, "publish tidings.log.notifications.user.{key}", call.GetTraceId())
		deliver := otlp.named(t, "deliver notification", call.GetTraceId())
		wantParent(t, call, "")
		wantParent(t, publish, hex.EncodeToString(call.GetSpanId()))
		wantParent(t, deliver, hex.EncodeToString(publish.GetSpanId()))
		if call.GetKind() != tracev1.Span_SPAN_KIND_SERVER || text(call.GetAttributes(), "rpc.system.name") != "signalr" || text(call.GetAttributes(), "rpc.method") != "NotificationHub/SendToSelf" {
			t.Errorf("invocation span: %v", call)
		}
		if len(call.GetLinks()) != 1 || !bytes.Equal(call.GetLinks()[0].GetSpanId(), connect.GetSpanId()) {
			t.Errorf("the invocation is not linked to its connection: %v", call.GetLinks())
		}
		ann.invoke("Nonsense")
		unknown := otlp.named(t, "NotificationHub/_OTHER", nil)
		if text(unknown.GetAttributes(), "error.type") != "not_found" || unknown.GetStatus().GetCode() != tracev1.Status_STATUS_CODE_ERROR {
			t.Errorf("unknown method: %v", unknown)
		}
	})

	t.Run("replay", func(t *testing.T) {
		again := node.connect(t, "/hubs/notifications?replay=all", node.token(t, "ann"))
		for range 3 {
			if n, _ := again.alert(); !n.Replayed {
				t.Errorf("position %d is not marked as replayed", n.Position)
			}
		}
		replay := otlp.wait(t, "replay of three", func(s *tracev1.Span) bool {
			return s.GetName() == "replay" && number(s, "notify.replay.events") == 3
		})
		wantParent(t, replay, "")
		if len(replay.GetLinks()) != 3 {
			t.Errorf("replay of 3 events: %d links, want 3", len(replay.GetLinks()))
		}
	})
	otlp.mu.Lock()
	defer otlp.mu.Unlock()
	if otlp.service != "tidings" {
		t.Errorf("service.name is %q, want tidings", otlp.service)
	}
}
