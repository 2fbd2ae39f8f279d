package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Metrics counts. No attribute has values that callers can make up: a method
// is one that was registered, a route a pattern, a reason one of a few. Its
// methods are safe for concurrent use and do not wait.
type Metrics struct {
	meter metric.Meter
	ctx   context.Context //nolint:containedctx // the API wants one; what is no latency carries nothing of its caller

	connections        metric.Int64UpDownCounter
	opens, closes      metric.Int64Counter
	refused, strangers metric.Int64Counter
	lasted, joined     metric.Float64Histogram

	calls, requests metric.Float64Histogram
	errors          metric.Int64Counter

	deliveries, bytes   metric.Int64Counter
	latency             metric.Float64Histogram
	fanSize, fanLatency metric.Float64Histogram
	replayed            metric.Int64Counter
	replays             metric.Float64Histogram

	acknowledged metric.Float64Histogram
	due, late    metric.Int64Counter

	appends, batches metric.Float64Histogram

	// Made once: each event, append and batch is measured.
	outcomes          map[outcomeOf]metric.MeasurementOption
	published, handed metric.MeasurementOption
	latencies         Histogram
	totals            totals
}

// The bounds of histograms: seconds of short times, of requests (as the HTTP
// conventions have them) and of connections, which may last for days; and numbers
// of connections.
func seconds() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
}

func requestSeconds() []float64 {
	return []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
}

func long() []float64 {
	return []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300, 1800, 7200, 28800, 86400}
}

// patient are seconds that a person may need.
func patient() []float64 {
	return []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 86400}
}

func audiences() []float64 {
	return []float64{0, 1, 2, 5, 10, 100, 1000, 10_000, 100_000}
}

func newMetrics(ctx context.Context, meter metric.Meter) (*Metrics, error) {
	m := &Metrics{
		meter: meter, ctx: context.WithoutCancel(ctx), outcomes: outcomes(),
		published: metric.WithAttributeSet(attribute.NewSet(SentAttributes("")...)),
		handed:    metric.WithAttributeSet(attribute.NewSet(logAttributes("process")...)),
	}
	with := &maker{meter: meter}
	m.makeDoors(with)
	m.makeEvents(with)
	if err := errors.Join(with.errs...); err != nil {
		return nil, err
	}
	m.connections.Add(ctx, 0, metric.WithAttributes(transport("WebSockets"))) // 0 is a figure, too
	m.due.Add(ctx, 0)
	m.late.Add(ctx, 0)
	return m, nil
}

// makeDoors makes what counts connections, invocations and requests.
func (m *Metrics) makeDoors(with *maker) {
	var err error
	m.connections, err = m.meter.Int64UpDownCounter("signalr.server.active_connections", metric.WithUnit("{connection}"), metric.WithDescription("Connections that are open."))
	with.errs = append(with.errs, err)
	m.lasted = with.histogram("signalr.server.connection.duration", "s", "How long connections lasted.", long())
	m.opens = with.counter("notify.connection.opens", "{connection}", "Connections that were opened.")
	m.closes = with.counter("notify.connection.closes", "{connection}", "Connections that have ended, by the reason.")
	m.refused = with.counter("notify.connection.refused", "{request}", "Requests to a hub that were answered with an error.")
	m.strangers = with.counter("notify.auth.failures", "{request}", "Tokens that were refused, by the reason.")
	m.joined = with.histogram("notify.handshake.duration", "s", "From the transport to a place among those who are delivered to.", seconds())
	m.calls = with.histogram("rpc.server.call.duration", "s", "How long hub invocations took.", seconds())
	m.requests = with.histogram("http.server.request.duration", "s", "How long HTTP requests took, but for those of hubs.", requestSeconds())
	m.errors = with.counter("notify.errors", "{error}", "What went wrong, by whose fault it was.")
}

// makeEvents makes what counts events on their way.
func (m *Metrics) makeEvents(with *maker) {
	m.deliveries = with.counter("notify.delivery.messages", "{message}", "Events handed to connections, by what became of them.")
	m.bytes = with.counter("notify.delivery.bytes", "By", "Bytes of events handed to connections.")
	m.latency = with.histogram("notify.delivery.latency", "s", "From the log's acknowledgement to the last socket of the node.", seconds())
	m.fanSize = with.histogram("notify.fanout.size", "{connection}", "Connections of this node that an event was for.", audiences())
	m.fanLatency = with.histogram("notify.fanout.duration", "s", "From taking an event from the log to the last socket of the node.", seconds())
	m.replayed = with.counter("notify.replay.messages", "{message}", "Events read back for connections that missed them.")
	m.replays = with.histogram("notify.replay.duration", "s", "How long connections took to catch up.", seconds())
	m.acknowledged = with.histogram("notify.ack.latency", "s", "From the log, or from the connection where that came later, to the acknowledgement of the client.", patient())
	m.due = with.counter("notify.ack.due", "{acknowledgement}", "Acknowledgements that have come or should have.")
	m.late = with.counter("notify.ack.late", "{acknowledgement}", "Those that have not come in time.")
	m.appends = with.histogram("messaging.client.operation.duration", "s", "How long appending to the log took.", seconds())
	m.batches = with.histogram("messaging.process.duration", "s", "How long the follower took to hand on what it had read in one go.", seconds())
}

// maker makes instruments, and keeps what goes wrong.
type maker struct {
	meter metric.Meter
	errs  []error
}

func (m *maker) counter(name, unit, description string) metric.Int64Counter { //nolint:ireturn // the API says so
	c, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)
	return c
}

func (m *maker) histogram(name, unit, description string, bounds []float64) metric.Float64Histogram { //nolint:ireturn // likewise
	h, err := m.meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
	m.errs = append(m.errs, err)
	return h
}

// reasonOf is the attribute that says why.
func reasonOf(reason string) attribute.KeyValue { return attribute.String("reason", reason) }

// fault says whose fault something is: what the caller could have done better, or
// what somebody who runs nodes must mend.
type fault string

const (
	ofUser   fault = "user"
	ofSystem fault = "system"
)

// blame counts an error.
func (m *Metrics) blame(whose fault, reason string) {
	m.errors.Add(m.ctx, 1, metric.WithAttributes(attribute.String("class", string(whose)), reasonOf(reason)))
}

// The attributes of what is done with the log (OpenTelemetry, "Messaging
// metrics"). The destination is a template: subjects hold the ids of users.
func logAttributes(operation string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.destination.template", "tidings.log.{hub}.{kind}.{key}"),
	}
}

// SentAttributes are those of the figure messaging.client.sent.messages;
// errorType is empty for what went well.
func SentAttributes(errorType string) []attribute.KeyValue {
	return withError(logAttributes("publish"), errorType)
}

// ConsumedAttributes are those of the figure
// messaging.client.consumed.messages.
func ConsumedAttributes() []attribute.KeyValue { return logAttributes("receive") }

func withError(attributes []attribute.KeyValue, errorType string) []attribute.KeyValue {
	if errorType == "" {
		return attributes
	}
	return append(attributes, attribute.String("error.type", errorType))
}

// Appended counts one append of an event or of several; errorType is empty
// after a success. A sampled span in ctx becomes an example of its duration.
func (m *Metrics) Appended(ctx context.Context, errorType string, took time.Duration) {
	what := m.published
	if errorType != "" {
		what = metric.WithAttributes(SentAttributes(errorType)...)
	}
	m.appends.Record(ctx, took.Seconds(), what)
}

// Followed counts one batch that the follower has handed on.
func (m *Metrics) Followed(took time.Duration) {
	m.batches.Record(m.ctx, took.Seconds(), m.handed)
}
