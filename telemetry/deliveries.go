package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// outcomeOf is what a delivery is counted by; the outcome is empty where it
// does not matter.
type outcomeOf struct{ kind, outcome string }

func (o outcomeOf) option() metric.MeasurementOption { //nolint:ireturn // the API says so
	attributes := []attribute.KeyValue{attribute.String("target.kind", o.kind)}
	if o.outcome != "" {
		attributes = append(attributes, attribute.String("outcome", o.outcome))
	}
	return metric.WithAttributeSet(attribute.NewSet(attributes...))
}

func outcomes() map[outcomeOf]metric.MeasurementOption {
	all := make(map[outcomeOf]metric.MeasurementOption)
	for _, kind := range []string{"user", "role", "group", "everyone"} {
		for _, outcome := range []string{"", "expired", "offline", "sent", "deferred", "muted"} {
			o := outcomeOf{kind, outcome}
			all[o] = o.option()
		}
	}
	return all
}

func (m *Metrics) counted(kind, outcome string) metric.MeasurementOption { //nolint:ireturn // likewise
	o := outcomeOf{kind, outcome}
	if known, ok := m.outcomes[o]; ok {
		return known
	}
	return o.option()
}

// Delivery is what became of one event on this node.
type Delivery struct {
	// Kind is that of the recipient.
	Kind string
	// Sent, Deferred and Muted count connections, Bytes what they were sent.
	Sent, Deferred, Muted, Bytes int
	Expired                      bool
	// Latency is from the log's acknowledgement to the last socket, Fanout from
	// when the node took the event from the log.
	Latency, Fanout time.Duration
}

// Delivered counts one event. A sampled span in ctx becomes an example of how
// long it took.
func (m *Metrics) Delivered(ctx context.Context, d Delivery) {
	if d.Expired {
		m.outcome(&m.totals.expired, d.Kind, "expired", 1)
		return
	}
	size, kind := d.Sent+d.Deferred+d.Muted, m.counted(d.Kind, "")
	m.fanSize.Record(ctx, float64(size), kind)
	if size == 0 {
		m.outcome(&m.totals.offline, d.Kind, "offline", 1)
		return
	}
	m.outcome(&m.totals.sent, d.Kind, "sent", d.Sent)
	m.outcome(&m.totals.deferred, d.Kind, "deferred", d.Deferred)
	m.outcome(&m.totals.muted, d.Kind, "muted", d.Muted)
	m.totals.sentBytes.Add(int64(d.Bytes))
	m.bytes.Add(ctx, int64(d.Bytes), kind)
	latency := max(d.Latency, 0)
	m.latencies.Observe(latency)
	m.latency.Record(ctx, latency.Seconds(), kind)
	m.fanLatency.Record(ctx, max(d.Fanout, 0).Seconds(), kind)
}

func (m *Metrics) outcome(total *atomic.Int64, kind, outcome string, n int) {
	if n > 0 {
		total.Add(int64(n))
		m.deliveries.Add(m.ctx, int64(n), m.counted(kind, outcome))
	}
}

// Replayed counts one connection that has caught up. A sampled span in ctx
// becomes an example of how long it took.
func (m *Metrics) Replayed(ctx context.Context, events int, trigger string, took time.Duration) {
	m.totals.replays.Add(1)
	m.totals.replayed.Add(int64(events))
	attributes := metric.WithAttributes(attribute.String("trigger", trigger))
	m.replayed.Add(ctx, int64(events), attributes)
	m.replays.Record(ctx, took.Seconds(), attributes)
}

// Latencies is how long deliveries took, from the log's acknowledgement to the
// last socket; events that nobody here was sent do not count.
func (m *Metrics) Latencies() *Histogram { return &m.latencies }

// Totals are what has been counted since the node began.
type Totals struct {
	// Sent, Deferred and Muted count connections that an event was for, Expired
	// and Offline events. SentBytes is what was sent.
	Sent      int64 `json:"sent"`
	Deferred  int64 `json:"deferred"`
	Muted     int64 `json:"muted"`
	Expired   int64 `json:"expired"`
	Offline   int64 `json:"offline"`
	SentBytes int64 `json:"sentBytes"`
	// Invocations include InvocationErrors.
	Invocations      int64 `json:"invocations"`
	InvocationErrors int64 `json:"invocationErrors"`
	// Refused counts requests to hubs that were answered with an error.
	Refused int64 `json:"refused"`
	// Replays counts connections that have caught up, Replayed the events they
	// were sent for it.
	Replays  int64 `json:"replays"`
	Replayed int64 `json:"replayed"`
}

// totals are counted beside the instruments, which cannot be read.
type totals struct {
	sent, deferred, muted, expired, offline, sentBytes atomic.Int64
	invocations, invocationErrors, refused             atomic.Int64
	replays, replayed                                  atomic.Int64
}

// Totals is a look at them, each as it is when it is looked at.
func (m *Metrics) Totals() Totals {
	t := &m.totals
	return Totals{
		Sent: t.sent.Load(), Deferred: t.deferred.Load(), Muted: t.muted.Load(), Expired: t.expired.Load(), Offline: t.offline.Load(),
		SentBytes: t.sentBytes.Load(), Invocations: t.invocations.Load(), InvocationErrors: t.invocationErrors.Load(),
		Refused: t.refused.Load(), Replays: t.replays.Load(), Replayed: t.replayed.Load(),
	}
}
