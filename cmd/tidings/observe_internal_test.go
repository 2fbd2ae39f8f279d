package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"tidings/actors"
	"tidings/notifications"
)

// A delivery that tells of connections has a span for each; a user is named if
// operators trace that user.
func TestDetailsAreSpans(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	o := observer{tracer: provider.Tracer("t")}
	began := time.Unix(1000, 0)
	d := actors.Delivery{Entry: &notifications.Entry{}, Started: began, Details: []actors.Detail{
		{Connection: "a", User: "ann", Outcome: "sent", After: time.Millisecond},
		{Connection: "b", Outcome: "failed", After: time.Second},
	}}
	ctx, parent := o.tracer.Start(t.Context(), "deliver")
	o.details(ctx, d)
	parent.End()
	var got []string
	for _, s := range spans.GetSpans() {
		if s.Name != "deliver to connection" {
			continue
		}
		var attributes []string
		for _, a := range s.Attributes {
			attributes = append(attributes, string(a.Key)+"="+a.Value.AsString())
		}
		slices.Sort(attributes)
		got = append(got, fmt.Sprint(attributes, s.Status.Code, s.SpanKind, s.StartTime.Equal(began), s.EndTime.Sub(began), s.Parent.SpanID() == parent.SpanContext().SpanID()))
	}
	want := []string{
		"[enduser.id=ann notify.connection.id=a notify.delivery.outcome=sent] Unset internal true 1ms true",
		"[notify.connection.id=b notify.delivery.outcome=failed] Error internal true 1s true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans of the details: got %q, want %q", got, want)
	}
	attributes := deliveryAttributes(actors.Delivery{Entry: d.Entry, P99: 1500 * time.Microsecond, Failed: 3, Slow: 2}, 0)
	for key, want := range map[string]string{"notify.delivery.p99_ms": "1.5", "notify.delivery.failed": "3", "notify.delivery.slow": "2"} {
		found := false
		for _, a := range attributes {
			found = found || string(a.Key) == key && a.Value.String() == want
		}
		if !found {
			t.Errorf("a delivery has no %s of %s", key, want)
		}
	}
}
