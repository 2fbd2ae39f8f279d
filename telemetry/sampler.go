package telemetry

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// recording keeps spans for this process, all of them unless there are too many,
// and lets the exporter have those that another sampler wants.
type recording struct {
	exported sdktrace.Sampler
	pace     pace
}

// ShouldSample implements sdktrace.Sampler.
func (r *recording) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := r.exported.ShouldSample(p)
	if result.Decision == sdktrace.Drop && r.pace.keeps(p.TraceID, time.Now()) {
		result.Decision = sdktrace.RecordOnly
	}
	return result
}

// Description implements sdktrace.Sampler.
func (r *recording) Description() string { return "Recording{" + r.exported.Description() + "}" }

// ClientParent is the attribute of a span whose parent is a client's: package hub
// sets it when it starts one.
const ClientParent = attribute.Key("notify.client.parent")

// unswayed decides on a span whose parent is a client's as if it had none: whether
// a client says that its trace is sampled is not looked at.
type unswayed struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (u unswayed) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if slices.Contains(p.Attributes, ClientParent.Bool(true)) {
		p.ParentContext = trace.ContextWithSpanContext(p.ParentContext, trace.SpanContext{})
	}
	return u.Sampler.ShouldSample(p)
}

// samplerOf reads OTEL_TRACES_SAMPLER and its argument (OpenTelemetry, "General
// SDK Configuration"), which the SDK does only if it is given no sampler.
func samplerOf(getenv func(string) string) (sdktrace.Sampler, error) { //nolint:ireturn // one of several
	name := cmp.Or(getenv("OTEL_TRACES_SAMPLER"), "parentbased_always_on")
	ratio := 1.0
	if text := getenv("OTEL_TRACES_SAMPLER_ARG"); text != "" {
		var err error
		if ratio, err = strconv.ParseFloat(text, 64); err != nil || ratio < 0 || ratio > 1 {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: want 0 to 1, got %q", text)
		}
	}
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio), nil
	case "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample()), nil
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample()), nil
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio)), nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER: no sampler is called %q", name)
	}
}

// NewNamesOnly reads OTEL_SEMCONV_STABILITY_OPT_IN (OpenTelemetry, "Semantic
// conventions for RPC spans"): rpc wants the names of today alone, rpc/dup those
// of before as well. Both are the default here, because .NET still has the old
// ones.
func NewNamesOnly(getenv func(string) string) bool {
	wanted := strings.Split(getenv("OTEL_SEMCONV_STABILITY_OPT_IN"), ",")
	for i := range wanted {
		wanted[i] = strings.TrimSpace(wanted[i])
	}
	return slices.Contains(wanted, "rpc") && !slices.Contains(wanted, "rpc/dup")
}
