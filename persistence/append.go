package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"tidings/notifications"
)

// The times of an append: how long it may take when the caller does not say,
// how long one attempt may, and how long to wait before the next.
const (
	appendTimeout = 10 * time.Second
	attemptTime   = 3 * time.Second
	attemptPause  = 100 * time.Millisecond
)

// Append implements notifications.Appender. It repeats an attempt that failed,
// with the same id, until ctx ends or ten seconds have passed.
func (l *Log) Append(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	template := "tidings.log." + hub + "." + string(e.Recipient.Kind) + ".{key}"
	ctx, span := l.tracer.Start(parent(ctx, e), "publish "+template,
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"),
			attribute.String("messaging.operation.name", "publish"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.template", template),
			attribute.String("messaging.message.id", e.ID),
			attribute.String("notify.hub", hub),
			attribute.String("notify.event.type", e.Type),
		))
	defer span.End()
	receipt, err := l.append(ctx, hub, e)
	if err != nil {
		l.counts.appendErrors.Add(1)
		span.SetStatus(codes.Error, "append failed")
		span.SetAttributes(attribute.String("error.type", "unavailable"))
		return receipt, err
	}
	l.counts.appended.Add(1)
	span.SetAttributes(
		attribute.Int64("notify.stream.seq", int64(receipt.Position)), //nolint:gosec // positions fit
		attribute.Bool("notify.duplicate", receipt.Duplicate),
	)
	return receipt, nil
}

// parent is the context an append belongs to: what the process is doing, or
// else what the emitter was doing.
func parent(ctx context.Context, e notifications.Event) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() || e.TraceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": e.TraceParent, "tracestate": e.TraceState,
	})
}

func (l *Log) append(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	msg, options, err := message(ctx, hub, e)
	if err != nil {
		return notifications.Receipt{}, err
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTime)
		ack, err := l.nats.js.PublishMsg(attempt, msg, options...)
		cancel()
		if err == nil {
			return notifications.Receipt{ID: e.ID, Position: notifications.Position(ack.Sequence), Duplicate: ack.Duplicate}, nil
		}
		var refused *jetstream.APIError
		if errors.Is(err, nats.ErrMaxPayload) || (errors.As(err, &refused) && refused.Code >= 400 && refused.Code < 500 && refused.Code != 429) {
			return notifications.Receipt{}, fmt.Errorf("append %s: %w", e.ID, err)
		}
		select {
		case <-ctx.Done():
			return notifications.Receipt{}, fmt.Errorf("append %s: %w: %w", e.ID, notifications.ErrUnavailable, err)
		case <-time.After(attemptPause):
		}
	}
}

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
	e.Recipient = notifications.Recipient{}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", e.ID, err)
	}
	msg.Data = data
	options := []jetstream.PublishOpt{jetstream.WithMsgID(e.ID)}
	if !e.ExpiresAt.IsZero() {
		// At least a second, as the server demands; readers look at ExpiresAt.
		options = append(options, jetstream.WithMsgTTL(max(time.Second, time.Until(e.ExpiresAt).Round(time.Second))))
	}
	return msg, options, nil
}
