package telemetry

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

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

// category is the reason as Azure SignalR sorts the ends of connections.
func category(reason string) attribute.KeyValue {
	if reason == "slow" {
		reason = "slow_client"
	}
	return reasonOf(reason)
}

// Opened implements connections.Observer.
func (m *Metrics) Opened(name string) {
	m.connections.Add(m.ctx, 1, metric.WithAttributes(transport(name)))
	m.opens.Add(m.ctx, 1, metric.WithAttributes(transport(name)))
}

// Closed implements connections.Observer.
func (m *Metrics) Closed(name, reason string, lasted time.Duration) {
	m.connections.Add(m.ctx, -1, metric.WithAttributes(transport(name)))
	m.lasted.Record(m.ctx, lasted.Seconds(), metric.WithAttributes(transport(name), status(reason)))
	m.closes.Add(m.ctx, 1, metric.WithAttributes(category(reason)))
	switch reason {
	case "protocol_error", "handshake":
		m.blame(ofUser, reason)
	case "error":
		m.blame(ofSystem, "connection")
	}
}

// Refused implements connections.Observer.
func (m *Metrics) Refused(code int) {
	m.totals.refused.Add(1)
	m.refused.Add(m.ctx, 1, metric.WithAttributes(attribute.Int("http.response.status_code", code)))
	m.blameStatus(code)
}

func (m *Metrics) blameStatus(code int) {
	whose := ofUser
	if code >= 500 {
		whose = ofSystem
	}
	m.blame(whose, "http_"+strconv.Itoa(code))
}

// Unauthenticated counts a token that was refused; reason is one of a bounded
// set.
func (m *Metrics) Unauthenticated(reason string) {
	m.strangers.Add(m.ctx, 1, metric.WithAttributes(reasonOf(reason)))
}

// Joined implements hub.Observer.
func (m *Metrics) Joined(name string, took time.Duration) {
	m.joined.Record(m.ctx, took.Seconds(), metric.WithAttributes(transport(name)))
}

// Invoked implements hub.Observer.
func (m *Metrics) Invoked(ctx context.Context, hub, method, errorType string, took time.Duration) {
	m.totals.invocations.Add(1)
	attributes := []attribute.KeyValue{attribute.String("rpc.system.name", "signalr"), attribute.String("rpc.method", hub+"/"+method)}
	m.calls.Record(ctx, took.Seconds(), metric.WithAttributes(withError(attributes, errorType)...))
	switch errorType {
	case "":
		return
	case "unavailable", "internal":
		m.blame(ofSystem, errorType)
	case "cancelled": // by the client, which is its right
	default:
		m.blame(ofUser, errorType)
	}
	m.totals.invocationErrors.Add(1)
}

// Acknowledged implements hub.Observer.
func (m *Metrics) Acknowledged(took time.Duration) {
	m.acknowledged.Record(m.ctx, max(took, 0).Seconds())
}

// Due implements hub.Observer.
func (m *Metrics) Due(due, late int) {
	m.due.Add(m.ctx, int64(due))
	m.late.Add(m.ctx, int64(late))
}
