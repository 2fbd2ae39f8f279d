package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Metrics counts. No attribute has values that callers can make up: a method
// is one that was registered, a reason one of a few.
type Metrics struct {
	meter metric.Meter
	ctx   context.Context //nolint:containedctx // the API wants one; measurements carry nothing of their caller

	connections metric.Int64UpDownCounter
	lasted      metric.Float64Histogram
	refused     metric.Int64Counter
	calls       metric.Float64Histogram
	deliveries  metric.Int64Counter
	bytes       metric.Int64Counter
	latency     metric.Float64Histogram
	replayed    metric.Int64Counter
	replays     metric.Float64Histogram

	outcomes map[outcomeOf]metric.MeasurementOption // made once: each event is measured
}

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

// seconds are the bounds of short times, and long those of connections, which
// may last for days.
func seconds() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
}

func long() []float64 {
	return []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300, 1800, 7200, 28800, 86400}
}

func newMetrics(ctx context.Context, meter metric.Meter) (*Metrics, error) {
	m := &Metrics{meter: meter, ctx: context.WithoutCancel(ctx), outcomes: outcomes()}
	var errs [9]error
	m.connections, errs[0] = meter.Int64UpDownCounter("signalr.server.active_connections", metric.WithUnit("{connection}"), metric.WithDescription("Connections that are open."))
	m.lasted, errs[1] = meter.Float64Histogram("signalr.server.connection.duration", metric.WithUnit("s"), metric.WithDescription("How long connections lasted."), metric.WithExplicitBucketBoundaries(long()...))
	m.refused, errs[2] = meter.Int64Counter("notify.connection.refused", metric.WithUnit("{request}"), metric.WithDescription("Requests to a hub that were answered with an error."))
	m.calls, errs[3] = meter.Float64Histogram("rpc.server.call.duration", metric.WithUnit("s"), metric.WithDescription("How long hub invocations took."), metric.WithExplicitBucketBoundaries(seconds()...))
	m.deliveries, errs[4] = meter.Int64Counter("notify.delivery.messages", metric.WithUnit("{message}"), metric.WithDescription("Events handed to connections, by what became of them."))
	m.bytes, errs[5] = meter.Int64Counter("notify.delivery.bytes", metric.WithUnit("By"), metric.WithDescription("Bytes of events handed to connections."))
	m.latency, errs[6] = meter.Float64Histogram("notify.delivery.latency", metric.WithUnit("s"), metric.WithDescription("From the log's acknowledgement to the last socket of the node."), metric.WithExplicitBucketBoundaries(seconds()...))
	m.replayed, errs[7] = meter.Int64Counter("notify.replay.messages", metric.WithUnit("{message}"), metric.WithDescription("Events read back for connections that missed them."))
	m.replays, errs[8] = meter.Float64Histogram("notify.replay.duration", metric.WithUnit("s"), metric.WithDescription("How long connections took to catch up."), metric.WithExplicitBucketBoundaries(seconds()...))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.connections.Add(ctx, 0, metric.WithAttributes(transport("WebSockets"))) // 0 is a figure, too
	return m, nil
}

// transport is the OpenTelemetry name of a SignalR transport.
func transport(name string) attribute.KeyValue {
	switch name {
	case "WebSockets":
		name = "web_sockets"
	case "ServerSentEvents":
		name = "server_sent_events"
	case "LongPolling":
		name = "long_polling"
	}
	return attribute.String("signalr.transport", name)
}

// status is the OpenTelemetry name of the reason a connection ended for.
func status(reason string) attribute.KeyValue {
	switch reason {
	case "normal":
		reason = "normal_closure"
	case "shutdown":
		reason = "app_shutdown"
	}
	return attribute.String("signalr.connection.status", reason)
}

// Opened implements connections.Observer.
func (m *Metrics) Opened(name string) {
	m.connections.Add(m.ctx, 1, metric.WithAttributes(transport(name)))
}

// Closed implements connections.Observer.
func (m *Metrics) Closed(name, reason string, lasted time.Duration) {
	m.connections.Add(m.ctx, -1, metric.WithAttributes(transport(name)))
	m.lasted.Record(m.ctx, lasted.Seconds(), metric.WithAttributes(transport(name), status(reason)))
}

// Refused implements connections.Observer.
func (m *Metrics) Refused(code int) {
	m.refused.Add(m.ctx, 1, metric.WithAttributes(attribute.Int("http.response.status_code", code)))
}

// Invoked implements hub.Observer.
func (m *Metrics) Invoked(hub, method, errorType string, took time.Duration) {
	attributes := []attribute.KeyValue{attribute.String("rpc.system.name", "signalr"), attribute.String("rpc.method", hub+"/"+method)}
	if errorType != "" {
		attributes = append(attributes, attribute.String("error.type", errorType))
	}
	m.calls.Record(m.ctx, took.Seconds(), metric.WithAttributes(attributes...))
}

// Delivery is what became of one event on this node.
type Delivery struct {
	// Kind is that of the recipient.
	Kind string
	// Sent, Deferred and Muted count connections, Bytes what they were sent.
	Sent, Deferred, Muted, Bytes int
	Expired                      bool
	// Latency is from the log's acknowledgement to the last socket.
	Latency time.Duration
}

// Delivered counts one event.
func (m *Metrics) Delivered(d Delivery) {
	count := func(outcome string, n int) {
		if n > 0 {
			m.deliveries.Add(m.ctx, int64(n), m.counted(d.Kind, outcome))
		}
	}
	switch {
	case d.Expired:
		count("expired", 1)
	case d.Sent+d.Deferred+d.Muted == 0:
		count("offline", 1)
	default:
		count("sent", d.Sent)
		count("deferred", d.Deferred)
		count("muted", d.Muted)
		m.bytes.Add(m.ctx, int64(d.Bytes), m.counted(d.Kind, ""))
		m.latency.Record(m.ctx, max(d.Latency, 0).Seconds(), m.counted(d.Kind, ""))
	}
}

// Replayed counts one connection that has caught up.
func (m *Metrics) Replayed(events int, trigger string, took time.Duration) {
	attributes := metric.WithAttributes(attribute.String("trigger", trigger))
	m.replayed.Add(m.ctx, int64(events), attributes)
	m.replays.Record(m.ctx, took.Seconds(), attributes)
}

// Figure is a number that is read when somebody looks.
type Figure struct {
	Name, Unit, Description string
	// Counts says that the number only grows.
	Counts bool
	Read   func() int64
}

// Watch registers figures.
func (m *Metrics) Watch(figures ...Figure) error {
	var errs []error
	for _, f := range figures {
		read := metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(f.Read())
			return nil
		})
		var err error
		if f.Counts {
			_, err = m.meter.Int64ObservableCounter(f.Name, metric.WithUnit(f.Unit), metric.WithDescription(f.Description), read)
		} else {
			_, err = m.meter.Int64ObservableGauge(f.Name, metric.WithUnit(f.Unit), metric.WithDescription(f.Description), read)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
