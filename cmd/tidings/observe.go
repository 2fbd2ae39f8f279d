package main

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"tidings/actors"
	"tidings/notifications"
	"tidings/persistence"
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
	o.metrics.Delivered(telemetry.Delivery{
		Kind: string(e.Recipient.Kind), Sent: d.Connections, Deferred: d.Deferred, Muted: d.Muted, Bytes: d.Bytes,
		Expired: d.Expired, Latency: d.Ended.Sub(d.Entry.Stored),
	})
	age := d.Started.Sub(d.Entry.Stored)
	ctx := context.Background()
	options := []trace.SpanStartOption{trace.WithTimestamp(d.Started)}
	if emitter := creation(e.TraceParent, e.TraceState); emitter.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: emitter}))
		if age < liveAge {
			ctx = trace.ContextWithRemoteSpanContext(ctx, emitter)
		}
	}
	_, span := o.tracer.Start(ctx, "deliver "+e.Type, options...)
	if span.IsRecording() {
		span.SetAttributes(deliveryAttributes(d, age)...)
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
		attribute.Int("notify.delivery.muted", d.Muted),
		attribute.Int("notify.delivery.bytes", d.Bytes),
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
	o.metrics.Replayed(r.Events, trigger, r.Ended.Sub(r.Started))
	if r.Events == 0 {
		return // nothing was missed
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(r.Started), trace.WithNewRoot()}
	for _, parent := range r.Traces {
		if emitter := creation(parent, ""); emitter.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: emitter}))
		}
	}
	_, span := o.tracer.Start(context.Background(), "replay", options...)
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

// watch registers the figures that are read when somebody looks.
func (n *node) watch(context.Context) error {
	return n.telemetry.Metrics.Watch(slices.Concat(n.hubFigures(), n.logFigures(), n.otherFigures())...)
}

func (n *node) hubFigures() []telemetry.Figure {
	sum := func(figure func(actors.Stats) int64) func() int64 {
		return func() int64 { return figure(n.notifications.Stats()) + figure(n.analytics.Stats()) }
	}
	return []telemetry.Figure{
		{
			Name: "notify.users.online", Unit: "{user}", Description: "Users with a connection to a hub of this node.",
			Read: sum(func(s actors.Stats) int64 { return s.Users }),
		},
		{
			Name: "notify.groups.active", Unit: "{group}", Description: "Roles and groups with a member, by shard.",
			Read: sum(func(s actors.Stats) int64 { return s.Groups }),
		},
		{
			Name: "notify.connections.lagging", Unit: "{connection}", Description: "Connections that read the log instead of hearing it.",
			Read: sum(func(s actors.Stats) int64 { return s.Lagging }),
		},
		{
			Name: "notify.reconnect.kept", Unit: "By", Description: "Bytes kept for clients that may come back with another socket.",
			Read: sum(func(s actors.Stats) int64 { return s.Kept }),
		},
		{
			Name: "notify.actor.mailbox.max", Unit: "{message}", Description: "Length of the longest mailbox of a shard.",
			Read: sum(func(s actors.Stats) int64 { return s.Mailbox }),
		},
		{
			Name: "notify.actor.mailbox.overflow", Unit: "{message}", Description: "Messages that found a bounded mailbox full; not zero is a bug.",
			Counts: true, Read: sum(func(s actors.Stats) int64 { return s.Overflow }),
		},
		{
			Name: "notify.actor.sweep.pending", Unit: "{message}", Description: "Messages for everyone that some connection has not been given yet.",
			Read: sum(func(s actors.Stats) int64 { return s.Sweeping }),
		},
		{
			Name: "notify.live.dropped", Unit: "{message}", Description: "Live messages that a slow connection, or a busy shard, did not hand on.",
			Counts: true, Read: sum(func(s actors.Stats) int64 { return s.Dropped }),
		},
	}
}

func (n *node) logFigures() []telemetry.Figure {
	read := func(figure func(persistence.Stats) int64) func() int64 {
		return func() int64 { return figure(n.log.Stats()) }
	}
	return []telemetry.Figure{
		{
			Name: "notify.log.appended", Unit: "{event}", Description: "Events this node has appended.",
			Counts: true, Read: read(func(s persistence.Stats) int64 { return s.Appended }),
		},
		{
			Name: "notify.log.append_errors", Unit: "{event}", Description: "Events this node could not append.",
			Counts: true, Read: read(func(s persistence.Stats) int64 { return s.AppendErrors }),
		},
		{
			Name: "notify.log.followed", Unit: "{message}", Description: "Messages of the log this node has read.",
			Counts: true, Read: read(func(s persistence.Stats) int64 { return s.Followed }),
		},
		{
			Name: "notify.log.rejected", Unit: "{message}", Description: "Messages of the log that are no events.",
			Counts: true, Read: read(func(s persistence.Stats) int64 { return s.Rejected }),
		},
		{
			Name: "notify.log.position", Unit: "{position}", Description: "Newest position this node has read.",
			Read: read(func(s persistence.Stats) int64 { return place(s.Head) }),
		},
		{
			Name: "notify.log.lag", Unit: "{position}", Description: "Positions this node has still to read.",
			Read: read(func(s persistence.Stats) int64 { return place(s.Last - s.Head) }),
		},
		{
			Name: "notify.log.index.entries", Unit: "{position}", Description: "Positions the index holds.",
			Read: read(func(s persistence.Stats) int64 { return s.Entries }),
		},
		{
			Name: "notify.log.tail.size", Unit: "By", Description: "Memory of recent events.",
			Read: read(func(s persistence.Stats) int64 { return s.TailBytes }),
		},
		{
			Name: "notify.log.size", Unit: "By", Description: "What the log takes on the disk.",
			Read: read(func(s persistence.Stats) int64 { return s.LogBytes }),
		},
		{
			Name: "notify.log.bound", Unit: "By", Description: "What the log may take on the disk; 0 = anything.",
			Read: read(func(s persistence.Stats) int64 { return s.LogBound }),
		},
	}
}

// otherFigures are those of what else is kept, and of the way to it.
func (n *node) otherFigures() []telemetry.Figure {
	return []telemetry.Figure{
		{
			Name: "notify.audit.lost", Unit: "{record}", Description: "Records of the audit that could not be kept.",
			Counts: true, Read: func() int64 { return n.audit.Stats().Lost },
		},
		{
			Name: "notify.visits.lost", Unit: "{record}", Description: "Records of who was connected that could not be kept.",
			Counts: true, Read: func() int64 { return n.visits.Stats().Lost },
		},
		{
			Name: "notify.nats.connected", Unit: "{connection}", Description: "1 while NATS can be reached, else 0.",
			Read: func() int64 {
				if n.nats.Connected() {
					return 1
				}
				return 0
			},
		},
	}
}

func place(p notifications.Position) int64 { return int64(p) } //nolint:gosec // positions fit
