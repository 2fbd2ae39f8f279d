package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"tidings/actors"
)

// details makes a span for each connection that a delivery tells of: below that
// of the delivery, from when the node took the event from the log.
func (o observer) details(ctx context.Context, d actors.Delivery) {
	for _, detail := range d.Details {
		_, span := o.tracer.Start(ctx, "deliver to connection", trace.WithTimestamp(d.Started))
		if span.IsRecording() {
			span.SetAttributes(detailAttributes(detail)...)
		}
		if detail.Outcome == "failed" {
			span.SetStatus(codes.Error, "socket broke")
		}
		span.End(trace.WithTimestamp(d.Started.Add(detail.After)))
	}
}

func detailAttributes(d actors.Detail) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("notify.connection.id", d.Connection),
		attribute.String("notify.delivery.outcome", d.Outcome),
	}
	if d.User != "" {
		attributes = append(attributes, attribute.String("enduser.id", d.User))
	}
	return attributes
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
