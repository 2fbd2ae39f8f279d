package hub

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"tidings/hub/protocol"
	"tidings/roles"
)

// ClientContext says what the traceparent in the headers of an invocation is to
// the span of that invocation. Whether the client says that its trace is sampled,
// and its tracestate, are never looked at.
type ClientContext string

// LinkContext makes the span a trace of its own that is linked to what the client
// was doing. ParentContext makes it a part of the client's trace, if the caller
// may manage or emit to others by the policy of the hub, and links those of all
// others; a hub without a policy trusts everybody. A sampler that does what the parent
// says would leave such spans out, unless it looks at notify.client.parent, which they
// have. IgnoreContext does neither.
const (
	LinkContext   ClientContext = "link"
	ParentContext ClientContext = "parent"
	IgnoreContext ClientContext = "ignore"
)

// clientParent marks a span whose parent is a client's, for a sampler that lets
// no client decide; telemetry.ClientParent is the same.
const clientParent = attribute.Key("notify.client.parent")

// span is one per invocation: linked to the request that made the connection and,
// as the options say, to what the client says it was doing, or a part of that.
func (s *session) span(ctx context.Context, method *method, m *protocol.Invocation) (context.Context, trace.Span) { //nolint:ireturn // the API's type
	full := s.hub.o.Service + "/" + methodName(method)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	links := []trace.Link{{SpanContext: s.conn.ConnectSpan()}}
	client := s.hub.clientSpan(m)
	switch {
	case client.IsValid() && s.hub.trusts(s.conn.Principal()):
		ctx = trace.ContextWithRemoteSpanContext(ctx, client)
		options = append(options, trace.WithAttributes(clientParent.Bool(true)))
	case client.IsValid():
		links = append(links, trace.Link{SpanContext: client})
		fallthrough
	default:
		options = append(options, trace.WithNewRoot())
	}
	ctx, span := s.hub.tracer.Start(ctx, full, append(options, trace.WithLinks(links...))...)
	if span.IsRecording() {
		span.SetAttributes(s.hub.invocationAttributes(full)...)
		span.SetAttributes(attribute.String("notify.connection.id", s.conn.ID()))
		if method == nil {
			span.SetAttributes(attribute.String("rpc.method_original", m.Target))
		}
	}
	return ctx, span
}

// invocationAttributes are those that all invocations of a method have.
func (h *Hub) invocationAttributes(full string) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("rpc.system.name", "signalr"),
		attribute.String("rpc.method", full),
		attribute.String("notify.hub", h.o.Name),
	}
	if h.o.NewNamesOnly {
		return attributes
	}
	// What .NET emits. Its rpc.method is the short name, which would be another
	// value of one attribute: that of today is told.
	return append(attributes, attribute.String("rpc.system", "signalr"), attribute.String("rpc.service", h.o.Service))
}

// clientSpan is what a client says it was doing, or nothing.
func (h *Hub) clientSpan(m *protocol.Invocation) trace.SpanContext {
	parent := m.Headers["traceparent"]
	if parent == "" || h.o.ClientContext == IgnoreContext {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	said := trace.SpanContextFromContext(ctx)
	return said.WithTraceFlags(said.TraceFlags() &^ trace.FlagsSampled)
}

// trusts tells whether a caller may be the parent of a span.
func (h *Hub) trusts(who roles.Principal) bool {
	switch policy := h.o.Policy; {
	case h.o.ClientContext != ParentContext:
		return false
	case policy == nil:
		return true
	default:
		return policy.MayManage(who) || policy.MayEmitToOthers(who)
	}
}

// traceParent is the W3C context of what is going on, or empty.
func traceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// traceHeaders tell a client what it is a part of.
func traceHeaders(traceParent string) protocol.Headers {
	if traceParent == "" {
		return nil
	}
	return protocol.Headers{"traceparent": traceParent}
}
