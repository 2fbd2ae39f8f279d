package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"tidings/actors"
	"tidings/notifications"
	"tidings/telemetry"
)

// liveAge is how old an event may be for its delivery to belong to the trace of
// its emitter; what is delivered later is another story, linked to it.
const liveAge = time.Minute

// observer makes spans and counts of what the actors did. It implements
// actors.Observer.
type observer struct {
	tracer  trace.Tracer
	metrics *telemetry.Metrics
}

func (n *node) observer() observer {
	return observer{n.telemetry.Tracer.Tracer("tidings/actors"), n.telemetry.Metrics}
}

// creation is the context an event was made in.
func creation(traceParent, traceState string) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{
		"traceparent": traceParent, "tracestate": traceState,
	})
	return trace.SpanContextFromContext(ctx)
}

// Delivered implements actors.Observer.
func (o observer) Delivered(d actors.Delivery) {
	e := &d.Entry.Event
	age := d.Started.Sub(d.Entry.Stored)
	ctx := context.Background()
	options := []trace.SpanStartOption{trace.WithTimestamp(d.Started)}
	if emitter := creation(e.TraceParent, e.TraceState); emitter.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: emitter}))
		if age < liveAge {
			ctx = trace.ContextWithRemoteSpanContext(ctx, emitter)
		}
	}
	ctx, span := o.tracer.Start(ctx, "deliver "+e.Type, options...)
	o.metrics.Delivered(ctx, telemetry.Delivery{
		Kind: string(e.Recipient.Kind), Sent: d.Connections, Deferred: d.Deferred, Muted: d.Muted, Bytes: d.Bytes,
		Expired: d.Expired, Latency: d.Ended.Sub(d.Entry.Stored), Fanout: d.Ended.Sub(d.Started),
	})
	if span.IsRecording() {
		span.SetAttributes(deliveryAttributes(d, age)...)
		o.details(ctx, d)
	}
	span.End(trace.WithTimestamp(d.Ended))
}

func deliveryAttributes(d actors.Delivery, age time.Duration) []attribute.KeyValue {
	e := &d.Entry.Event
	offline := !d.Expired && d.Connections+d.Deferred+d.Muted == 0
	return []attribute.KeyValue{
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.name", "deliver"),
		attribute.String("messaging.message.id", e.ID),
		attribute.Int64("notify.stream.seq", place(d.Entry.Position)),
		attribute.String("notify.hub", d.Entry.Hub),
		attribute.String("notify.event.type", e.Type),
		attribute.String("notify.recipient.kind", string(e.Recipient.Kind)),
		attribute.Int64("notify.event.age_ms", max(age.Milliseconds(), 0)),
		attribute.Int("notify.delivery.connections", d.Connections),
		attribute.Int("notify.delivery.deferred", d.Deferred),
		attribute.Int("notify.delivery.slow", d.Slow),
		attribute.Int("notify.delivery.muted", d.Muted),
		attribute.Int("notify.delivery.failed", d.Failed),
		attribute.Int("notify.delivery.bytes", d.Bytes),
		attribute.Float64("notify.delivery.p50_ms", milliseconds(d.P50)),
		attribute.Float64("notify.delivery.p99_ms", milliseconds(d.P99)),
		attribute.Float64("notify.delivery.max_ms", milliseconds(d.Max)),
		attribute.Bool("notify.delivery.expired", d.Expired),
		attribute.Bool("notify.delivery.offline", offline),
		attribute.Bool("notify.replay", age >= liveAge),
	}
}

// Replayed implements actors.Observer.
func (o observer) Replayed(r actors.Replay) {
	trigger := "reconnect"
	if !r.Resumed {
		trigger = "catchup"
	}
	if r.Events == 0 { // nothing was missed
		o.metrics.Replayed(context.Background(), 0, trigger, r.Ended.Sub(r.Started))
		return
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(r.Started), trace.WithNewRoot()}
	for _, parent := range r.Traces {
		if emitter := creation(parent, ""); emitter.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: emitter}))
		}
	}
	ctx, span := o.tracer.Start(context.Background(), "replay", options...)
	o.metrics.Replayed(ctx, r.Events, trigger, r.Ended.Sub(r.Started))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("notify.replay", trigger),
			attribute.String("notify.connection.id", r.Connection),
			attribute.Int64("notify.replay.from_seq", place(r.After)),
			attribute.Int64("notify.replay.to_seq", place(r.UpTo)),
			attribute.Int("notify.replay.events", r.Events),
			attribute.Int("notify.replay.bytes", r.Bytes),
		)
	}
	span.End(trace.WithTimestamp(r.Ended))
}

func place(p notifications.Position) int64 { return int64(p) } //nolint:gosec // positions fit
