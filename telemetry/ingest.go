package telemetry

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The bounds of a span from elsewhere.
const (
	takenAttributes = 64
	takenLinks      = 32
	takenText       = 1024 // bytes of a name, a value or a status
)

// errNoTraces says that a body is no ExportTraceServiceRequest. It shows nothing
// of the body.
var errNoTraces = errors.New("the body is no ExportTraceServiceRequest")

// Take keeps the spans of an export request (OTLP 1.10, "OTLP/HTTP"), in protobuf
// or in JSON, and returns how many it has refused, because they have no ids or
// end before they begin. The error says that the body is none.
func (s *Spans) Take(body []byte, isJSON bool) (refused int, err error) { //nolint:revive // the caller speaks one of two encodings
	var request collector.ExportTraceServiceRequest
	if isJSON {
		if body, err = withBase64IDs(body); err == nil {
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, &request)
		}
	} else {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		return 0, errNoTraces
	}
	for _, of := range request.GetResourceSpans() {
		service := serviceOf(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			refused += s.takeEach(scope.GetSpans(), service)
		}
	}
	return refused, nil
}

func (s *Spans) takeEach(spans []*tracev1.Span, service string) (refused int) {
	for _, one := range spans {
		if kept, ok := taken(one, service); ok {
			s.keep(kept)
		} else {
			refused++
		}
	}
	return refused
}

// serviceOf is the name that a resource gives itself.
func serviceOf(attributes []*common.KeyValue) string {
	for _, a := range attributes {
		if name := a.GetValue().GetStringValue(); a.GetKey() == "service.name" && name != "" {
			return clip(name)
		}
	}
	return "unknown_service"
}

// taken is a span as it is kept, with no more of it than is good.
func taken(from *tracev1.Span, service string) (*span, bool) {
	of := &span{
		kind: kindOf(from.GetKind()), failed: from.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR,
		name: clip(from.GetName()), service: service, status: clip(from.GetStatus().GetMessage()),
		start: nanoseconds(from.GetStartTimeUnixNano()), end: nanoseconds(from.GetEndTimeUnixNano()),
		attributes: attributesOf(from.GetAttributes()),
	}
	copy(of.trace[:], from.GetTraceId())
	copy(of.id[:], from.GetSpanId())
	copy(of.parent[:], from.GetParentSpanId())
	links := from.GetLinks()
	for _, l := range links[:min(len(links), takenLinks)] {
		var config trace.SpanContextConfig
		copy(config.TraceID[:], l.GetTraceId())
		copy(config.SpanID[:], l.GetSpanId())
		of.links = append(of.links, sdktrace.Link{SpanContext: trace.NewSpanContext(config)})
	}
	ok := of.trace.IsValid() && of.id.IsValid() && !of.end.Before(of.start)
	return of, ok && len(from.GetTraceId()) == len(of.trace) && len(from.GetSpanId()) == len(of.id)
}

func nanoseconds(n uint64) time.Time { return time.Unix(0, int64(n)) } //nolint:gosec // one that is too large lies before its end

func kindOf(kind tracev1.Span_SpanKind) trace.SpanKind {
	switch kind {
	case tracev1.Span_SPAN_KIND_SERVER:
		return trace.SpanKindServer
	case tracev1.Span_SPAN_KIND_CLIENT:
		return trace.SpanKindClient
	case tracev1.Span_SPAN_KIND_PRODUCER:
		return trace.SpanKindProducer
	case tracev1.Span_SPAN_KIND_CONSUMER:
		return trace.SpanKindConsumer
	default:
		return trace.SpanKindInternal
	}
}

func attributesOf(from []*common.KeyValue) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, min(len(from), takenAttributes))
	for _, a := range from[:min(len(from), takenAttributes)] {
		key := clip(a.GetKey())
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			attributes = append(attributes, attribute.String(key, clip(v.StringValue)))
		case *common.AnyValue_BoolValue:
			attributes = append(attributes, attribute.Bool(key, v.BoolValue))
		case *common.AnyValue_IntValue:
			attributes = append(attributes, attribute.Int64(key, v.IntValue))
		case *common.AnyValue_DoubleValue:
			attributes = append(attributes, attribute.Float64(key, v.DoubleValue))
		default: // lists and maps are shown as they print
			attributes = append(attributes, attribute.String(key, clip(fmt.Sprint(a.GetValue()))))
		}
	}
	return attributes
}

// clip is the beginning of a text, in memory of its own.
func clip(text string) string { return string([]byte(text[:min(len(text), takenText)])) }

// withBase64IDs turns the ids of OTLP/JSON, which are hexadecimal, into what JSON
// of protobuf has.
func withBase64IDs(body []byte) ([]byte, error) {
	var request struct {
		ResourceSpans []struct {
			Resource   json.RawMessage `json:"resource,omitempty"`
			ScopeSpans []struct {
				Spans []map[string]json.RawMessage `json:"spans"`
			} `json:"scopeSpans"`
		} `json:"resourceSpans"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	for _, of := range request.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, one := range scope.Spans {
				if err := base64IDs(one); err != nil {
					return nil, err
				}
			}
		}
	}
	return json.Marshal(request)
}

func base64IDs(of map[string]json.RawMessage) error {
	for _, name := range []string{"traceId", "spanId", "parentSpanId"} {
		raw, has := of[name]
		if !has {
			continue
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		id, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		of[name] = json.RawMessage(`"` + base64.StdEncoding.EncodeToString(id) + `"`)
	}
	raw, has := of["links"]
	if !has {
		return nil
	}
	var links []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &links); err != nil {
		return err
	}
	for _, l := range links {
		if err := base64IDs(l); err != nil {
			return err
		}
	}
	text, err := json.Marshal(links)
	of["links"] = text
	return err
}
