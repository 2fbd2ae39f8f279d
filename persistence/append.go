package persistence

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"tidings/notifications"
)

// The times of an append: how long it may take when the caller does not say,
// how long one attempt may, and how long to wait before the next.
const (
	appendTimeout = 10 * time.Second
	attemptTime   = 3 * time.Second
	attemptPause  = 100 * time.Millisecond
)

// Appender appends to a log without following it: what an emitter needs. It
// implements notifications.Appender.
type Appender struct {
	nats   *NATS
	tracer trace.Tracer // nil = no spans, and nothing that describes them

	appended, failed atomic.Int64
}

// NewAppender appends over a connection; nobody asks whether the log is there.
// A nil provider makes no spans.
func NewAppender(n *NATS, provider trace.TracerProvider) *Appender {
	a := &Appender{nats: n}
	if _, silent := provider.(noop.TracerProvider); provider != nil && !silent {
		a.tracer = provider.Tracer("tidings/persistence")
	}
	return a
}

// begin begins the span of an append.
func (a *Appender) begin(ctx context.Context, hub string, e *notifications.Event) (context.Context, trace.Span) { //nolint:ireturn // the library's type
	if a.tracer == nil {
		return ctx, noop.Span{}
	}
	ctx, name, options := publishSpan(ctx, hub, e)
	return a.tracer.Start(ctx, name, options...) //nolint:spancheck // the caller ends it
}

// Append implements notifications.Appender. It repeats an attempt that failed,
// with the same id, until ctx ends or ten seconds have passed.
func (a *Appender) Append(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	ctx, span := a.begin(ctx, hub, &e)
	defer span.End()
	receipt, err := a.append(ctx, hub, e)
	a.note(span, receipt, err)
	return receipt, err
}

// note says what has become of an append.
func (a *Appender) note(span trace.Span, receipt notifications.Receipt, err error) {
	if err != nil {
		a.failed.Add(1)
		span.SetStatus(codes.Error, "append failed")
		span.SetAttributes(attribute.String("error.type", "unavailable"))
		return
	}
	a.appended.Add(1)
	if span.IsRecording() {
		span.SetAttributes(
			attribute.Int64("notify.stream.seq", int64(receipt.Position)), //nolint:gosec // positions fit
			attribute.Bool("notify.duplicate", receipt.Duplicate),
		)
	}
}

// publishSpan is the span of an append: a child of what the process is doing,
// or else of what the emitter was doing; linked to the latter if that is
// another trace.
func publishSpan(ctx context.Context, hub string, e *notifications.Event) (parent context.Context, name string, options []trace.SpanStartOption) {
	template := logPrefix + EncodeToken(hub) + "." + string(e.Recipient.Kind) + ".{key}"
	options = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"),
			attribute.String("messaging.operation.name", "publish"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.template", template),
			attribute.String("messaging.message.id", e.ID),
			attribute.String("notify.hub", hub),
			attribute.String("notify.event.type", e.Type),
			attribute.String("notify.recipient.kind", string(e.Recipient.Kind)),
		),
	}
	creation := propagation.TraceContext{}.Extract(context.WithoutCancel(ctx), propagation.MapCarrier{
		"traceparent": e.TraceParent, "tracestate": e.TraceState,
	})
	doing, emitter := trace.SpanContextFromContext(ctx), trace.SpanContextFromContext(creation)
	switch {
	case e.TraceParent == "" || doing.TraceID() == emitter.TraceID():
	case doing.IsValid():
		options = append(options, trace.WithLinks(trace.Link{SpanContext: emitter}))
	default:
		ctx = trace.ContextWithRemoteSpanContext(ctx, emitter)
	}
	return ctx, "publish " + template, options
}

func (a *Appender) append(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	msg, options, err := message(ctx, hub, e)
	if err != nil {
		return notifications.Receipt{}, err
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		ack, err := a.nats.js.PublishMsg(attempt, msg, options...)
		cancel()
		if err == nil {
			return receiptOf(&e, ack), nil
		}
		var refused *jetstream.APIError
		if errors.Is(err, nats.ErrMaxPayload) {
			return notifications.Receipt{}, &notifications.InvalidError{
				Reason: fmt.Sprintf("is stored in %d bytes, the log takes at most %d", len(msg.Data), a.nats.conn.MaxPayload()),
			}
		}
		if errors.As(err, &refused) && refused.Code >= 400 && refused.Code < 500 && refused.Code != 429 {
			return notifications.Receipt{}, fmt.Errorf("append %s: %w", e.ID, err)
		}
		select {
		case <-ctx.Done():
			return notifications.Receipt{}, fmt.Errorf("append %s: %w: %w", e.ID, notifications.ErrUnavailable, err)
		case <-time.After(attemptPause):
		}
	}
}

func receiptOf(e *notifications.Event, ack *jetstream.PubAck) notifications.Receipt {
	return notifications.Receipt{ID: e.ID, Position: notifications.Position(ack.Sequence), Duplicate: ack.Duplicate}
}

// emitterHeader says which user emitted an event, as one token of a subject: a
// door of ours has written it. Who publishes by other doors can write it, too.
const emitterHeader = "Tidings-Emitter"

// message is the stored form of an event: JSON without its recipient, which
// the subject says, and the headers of the log. An event without a creation
// context gets that of its append.
func message(ctx context.Context, hub string, e notifications.Event) (*nats.Msg, []jetstream.PublishOpt, error) {
	if e.TraceParent == "" {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		e.TraceParent, e.TraceState = carrier["traceparent"], carrier["tracestate"]
	}
	msg := nats.NewMsg(Subject(hub, e.Recipient))
	// Written as they are: Header.Set keeps the case, and W3C names are lower.
	if e.TraceParent != "" {
		msg.Header.Set("traceparent", e.TraceParent)
	}
	if e.TraceState != "" {
		msg.Header.Set("tracestate", e.TraceState)
	}
	if e.Emitter != "" {
		msg.Header.Set(emitterHeader, EncodeToken(e.Emitter))
	}
	data, err := e.AppendJSON(make([]byte, 0, sizeOf(&e)))
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", e.ID, err)
	}
	msg.Data = data
	options := []jetstream.PublishOpt{jetstream.WithMsgID(e.ID)}
	if !e.ExpiresAt.IsZero() {
		// At least a second, as the server demands; readers look at ExpiresAt.
		options = append(options, jetstream.WithMsgTTL(max(time.Second, (time.Until(e.ExpiresAt)+time.Second-1).Truncate(time.Second))))
	}
	return msg, options, nil
}
