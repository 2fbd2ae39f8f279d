package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"tidings/telemetry"
)

func TestSpansAreKept(t *testing.T) {
	o := keeping(t, nothing, 1<<20)
	tracer := o.Tracer.Tracer("t")
	began := time.Now().Add(-time.Minute)
	ctx, root := tracer.Start(t.Context(), "POST /v1/notifications", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began))
	_, child := tracer.Start(ctx, "publish", trace.WithAttributes(attribute.String("messaging.message.id", "e1"), attribute.Int("n", 3)),
		trace.WithTimestamp(began.Add(time.Second)), trace.WithLinks(trace.LinkFromContext(ctx)))
	child.SetStatus(codes.Error, "append failed")
	child.End(trace.WithTimestamp(began.Add(2 * time.Second)))
	root.End(trace.WithTimestamp(began.Add(3 * time.Second)))
	_, other := tracer.Start(t.Context(), "replay")
	other.End()
	if root.SpanContext().IsSampled() {
		t.Error("nobody exports, and it says it was sampled")
	}
	id := root.SpanContext().TraceID().String()
	for _, test := range []struct {
		name  string
		query telemetry.TraceQuery
		want  []string
	}{
		{"all, the newest first", telemetry.TraceQuery{}, []string{"replay", "POST /v1/notifications"}},
		{"by name", telemetry.TraceQuery{Text: "PUBLISH"}, []string{"POST /v1/notifications"}},
		{"by the id of an event", telemetry.TraceQuery{Text: "e1"}, []string{"POST /v1/notifications"}},
		{"by a part of the id", telemetry.TraceQuery{Text: "1"}, []string{"POST /v1/notifications"}}, // of the path
		{"nothing", telemetry.TraceQuery{Text: "e2"}, nil},
		{"failed", telemetry.TraceQuery{Failed: true}, []string{"POST /v1/notifications"}},
		{"slow", telemetry.TraceQuery{Least: time.Second}, []string{"POST /v1/notifications"}},
		{"of a service", telemetry.TraceQuery{Service: "shop"}, nil},
	} {
		var got []string
		for _, s := range o.Spans.Traces(test.query) {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	if got := o.Spans.Traces(telemetry.TraceQuery{Limit: 1}); len(got) != 1 {
		t.Errorf("limit 1: got %d", len(got))
	}
	s := o.Spans.Traces(telemetry.TraceQuery{Text: "e1"})[0]
	if s.TraceID != id || s.Spans != 2 || s.Failed != 1 || s.Duration != 3000 || !slices.Equal(s.Services, []string{"tidings"}) {
		t.Errorf("got %+v", s)
	}
	spans, err := o.Spans.Trace(id)
	if err != nil || len(spans) != 2 || spans[0].Name != "POST /v1/notifications" || spans[0].Kind != "server" || spans[0].Parent != "" {
		t.Fatalf("got %+v, %v", spans, err)
	}
	if c := spans[1]; c.Parent != spans[0].ID || !c.Failed || c.Status != "append failed" || c.Attributes["messaging.message.id"] != "e1" ||
		c.Attributes["n"] != int64(3) || len(c.Links) != 1 || c.Links[0].ID != spans[0].ID || c.Duration != 1000 {
		t.Errorf("got %+v", c)
	}
	if _, err := o.Spans.Trace("x"); !errors.Is(err, telemetry.ErrTraceID) {
		t.Errorf("got %v", err)
	}
	if none, err := o.Spans.Trace(strings.Repeat("1", 32)); err != nil || len(none) != 0 {
		t.Errorf("got %v, %v", none, err)
	}
}

// A flood of quick spans does not push out what has failed, nor what was slow,
// and takes no more than its bound.
func TestAFloodLeavesTheRare(t *testing.T) {
	const limit = 100_000
	o := keeping(t, nothing, limit)
	tracer := o.Tracer.Tracer("t")
	_, failed := tracer.Start(t.Context(), "deliver x")
	failed.SetStatus(codes.Error, "no")
	failed.End()
	_, slow := tracer.Start(t.Context(), "deliver x")
	slow.End(trace.WithTimestamp(time.Now().Add(time.Hour)))
	for i := range 10_000 {
		_, span := tracer.Start(t.Context(), "deliver x", trace.WithAttributes(attribute.Int("i", i)))
		span.End()
	}
	if got := o.Spans.Traces(telemetry.TraceQuery{Failed: true}); len(got) != 1 || got[0].TraceID != failed.SpanContext().TraceID().String() {
		t.Errorf("failed: got %+v", got)
	}
	if got := o.Spans.Traces(telemetry.TraceQuery{Least: time.Minute}); len(got) != 1 || got[0].TraceID != slow.SpanContext().TraceID().String() {
		t.Errorf("slow: got %+v", got)
	}
	if got := o.Spans.Bytes(); got > limit {
		t.Errorf("%d bytes are kept, at most %d are allowed", got, limit)
	}
}

// Emitters choose the types of events, so the names of spans have no bound; what
// is slow is found all the same, whatever came before.
func TestManyNamesLeaveTheSlow(t *testing.T) {
	o := keeping(t, nothing, 10_000)
	tracer := o.Tracer.Tracer("t")
	for i := range 1000 {
		_, span := tracer.Start(t.Context(), fmt.Sprint("deliver ", i))
		span.End()
	}
	_, slow := tracer.Start(t.Context(), "deliver last")
	slow.End(trace.WithTimestamp(time.Now().Add(time.Hour)))
	for range 1000 {
		_, span := tracer.Start(t.Context(), "deliver x")
		span.End()
	}
	if got := o.Spans.Traces(telemetry.TraceQuery{Least: time.Minute}); len(got) != 1 || got[0].Name != "deliver last" {
		t.Errorf("got %+v", got)
	}
}

// The exporter gets what the sampler lets through, this process all.
func TestSamplerDecidesOnExportOnly(t *testing.T) {
	for _, test := range []struct {
		sampler, arg string
		sampled      bool
		wrong        string
	}{
		{"", "", true, ""},
		{"always_off", "", false, ""},
		{"always_on", "", true, ""},
		{"traceidratio", "0", false, ""},
		{"traceidratio", "1", true, ""},
		{"parentbased_always_on", "", true, ""},
		{"parentbased_always_off", "", false, ""},
		{"parentbased_traceidratio", "1", true, ""},
		{"sometimes", "", false, `OTEL_TRACES_SAMPLER: no sampler is called "sometimes"`},
		{"traceidratio", "2", false, "OTEL_TRACES_SAMPLER_ARG: want 0 to 1"},
	} {
		t.Run(test.sampler+test.arg, func(t *testing.T) {
			collected := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			defer collected.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collected.URL+"/v1/traces")
			env := map[string]string{
				"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collected.URL + "/v1/traces", "OTEL_TRACES_SAMPLER": test.sampler, "OTEL_TRACES_SAMPLER_ARG": test.arg,
			}
			o, err := telemetry.Start(t.Context(), telemetry.Options{Version: "v1", SpanBytes: 1 << 20, Getenv: func(name string) string { return env[name] }})
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %v, want %s", err, test.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, span := o.Tracer.Tracer("t").Start(t.Context(), "one")
			span.End()
			if span.SpanContext().IsSampled() != test.sampled {
				t.Errorf("sampled: got %v", span.SpanContext().IsSampled())
			}
			if got := o.Spans.Traces(telemetry.TraceQuery{}); len(got) != 1 {
				t.Errorf("kept: got %d", len(got))
			}
			if err := o.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func exported(spans ...*tracev1.Span) *collector.ExportTraceServiceRequest {
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{
		Resource: &resourcev1.Resource{Attributes: []*common.KeyValue{{
			Key: "service.name", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "shop"}},
		}}},
		ScopeSpans: []*tracev1.ScopeSpans{{Spans: spans}},
	}}}
}

func packed(t *testing.T, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(body)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func send(t *testing.T, s *telemetry.Spans, contentType, encoding string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/traces", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Content-Encoding", encoding)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestSpansOfOthersAreTaken(t *testing.T) {
	id, parent := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 8)
	whole, err := proto.Marshal(exported(
		&tracev1.Span{
			TraceId: id, SpanId: parent, Name: "checkout", Kind: tracev1.Span_SPAN_KIND_CLIENT, StartTimeUnixNano: 1e18, EndTimeUnixNano: 1e18 + 5e6,
			Status: &tracev1.Status{Code: tracev1.Status_STATUS_CODE_ERROR, Message: "no"},
			Attributes: []*common.KeyValue{
				{Key: "s", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: strings.Repeat("x", 5000)}}},
				{Key: "l", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{}}}},
			},
		},
		&tracev1.Span{Name: "no ids", StartTimeUnixNano: 1, EndTimeUnixNano: 2},
		&tracev1.Span{TraceId: id, SpanId: id[:8], Name: "ends first", StartTimeUnixNano: 2, EndTimeUnixNano: 1},
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, contentType, encoding string
		body                        []byte
	}{
		{"protobuf", "application/x-protobuf", "", whole},
		{"packed", "application/x-protobuf; x=y", "gzip", packed(t, whole)},
		{"JSON", "application/json", "", []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"scope":{"name":"x"},"spans":[
			{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","name":"checkout","kind":3,"startTimeUnixNano":"1000000000000000000","endTimeUnixNano":1000000000005000000,
			 "status":{"code":2,"message":"no"},"attributes":[{"key":"s","value":{"stringValue":"` + strings.Repeat("x", 5000) + `"}},{"key":"l","value":{"arrayValue":{}}}],"futureField":1,
			 "links":[]},
			{"name":"no ids","startTimeUnixNano":"1","endTimeUnixNano":"2"},
			{"traceId":"01010101010101010101010101010101","spanId":"0101010101010101","startTimeUnixNano":"2","endTimeUnixNano":"1"}]}]}]}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := telemetry.NewSpans(1 << 20)
			w := send(t, s, test.contentType, test.encoding, test.body)
			if w.Code != http.StatusOK {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if test.name != "JSON" {
				var answer collector.ExportTraceServiceResponse
				if err := proto.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.GetPartialSuccess().GetRejectedSpans() != 2 {
					t.Errorf("got %v, %v", &answer, err)
				}
			} else if !strings.Contains(w.Body.String(), `"rejectedSpans":"2"`) {
				t.Errorf("got %s", w.Body)
			}
			spans, err := s.Trace("01010101010101010101010101010101")
			if err != nil || len(spans) != 1 {
				t.Fatalf("got %+v, %v", spans, err)
			}
			got := spans[0]
			if got.ID != "0202020202020202" || got.Name != "checkout" || got.Service != "shop" || got.Kind != "client" || got.Duration != 5 || !got.Failed || got.Status != "no" {
				t.Errorf("got %+v", got)
			}
			if text, _ := got.Attributes["s"].(string); len(text) != 1024 {
				t.Errorf("a long value was kept with %d bytes", len(text))
			}
		})
	}
}

func TestBadExportsAreRefused(t *testing.T) {
	bomb := packed(t, make([]byte, 64<<20))
	for _, test := range []struct {
		name, contentType, encoding string
		body                        []byte
		want                        int
	}{
		{"text", "text/plain", "", []byte("x"), http.StatusUnsupportedMediaType},
		{"brotli", "application/json", "br", []byte("{}"), http.StatusUnsupportedMediaType},
		{"no protobuf", "application/x-protobuf", "", []byte("\x01\xff"), http.StatusBadRequest},
		{"no JSON", "application/json", "", []byte(`{"resourceSpans":`), http.StatusBadRequest},
		{"an id that is none", "application/json", "", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}`), http.StatusBadRequest},
		{"not packed", "application/json", "gzip", []byte("{}"), http.StatusBadRequest},
		{"cut off", "application/json", "gzip", packed(t, []byte("{}"))[:12], http.StatusBadRequest},
		{"huge", "application/x-protobuf", "", make([]byte, 5<<20), http.StatusRequestEntityTooLarge},
		{"a bomb", "application/x-protobuf", "gzip", bomb, http.StatusRequestEntityTooLarge},
		{"empty", "application/json", "", []byte("{}"), http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := telemetry.NewSpans(1 << 20)
			w := send(t, s, test.contentType, test.encoding, test.body)
			if w.Code != test.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, test.want)
			}
			if test.contentType == "application/json" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("the answer is no JSON: %s", w.Body)
			}
			if s.Bytes() != 0 {
				t.Error("something was kept")
			}
		})
	}
}

func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","links":[{"traceId":"00"}]}]}]}]}`), true)
	body, err := proto.Marshal(exported(&tracev1.Span{TraceId: make([]byte, 16), SpanId: make([]byte, 7), Name: "x"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, false)
	f.Add([]byte(`null`), true)
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		const limit = 10_000
		s := telemetry.NewSpans(limit)
		if _, err := s.Take(body, isJSON); err != nil {
			return
		}
		if s.Bytes() > limit {
			t.Errorf("%d bytes are kept", s.Bytes())
		}
		for _, summary := range s.Traces(telemetry.TraceQuery{}) {
			if spans, err := s.Trace(summary.TraceID); err != nil || len(spans) != summary.Spans {
				t.Errorf("%+v: %d spans, %v", summary, len(spans), err)
			}
		}
	})
}

// What it costs a span to be kept.
func BenchmarkSpan(b *testing.B) {
	for name, limit := range map[string]int{"none": 0, "kept": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			o, err := telemetry.Start(b.Context(), telemetry.Options{Version: "v1", Getenv: nothing, SpanBytes: limit})
			if err != nil {
				b.Fatal(err)
			}
			tracer := o.Tracer.Tracer("t")
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Start(b.Context(), "deliver order.shipped")
				if span.IsRecording() {
					span.SetAttributes(attribute.String("messaging.message.id", "e1"), attribute.Int("notify.delivery.connections", 1000),
						attribute.String("notify.hub", "notifications"), attribute.Bool("notify.replay", false))
				}
				span.End()
			}
		})
	}
}
