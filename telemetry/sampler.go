package telemetry

import (
	"cmp"
	"fmt"
	"strconv"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// recording keeps every span for this process, and lets the exporter have those
// that another sampler wants.
type recording struct{ exported sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (r recording) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := r.exported.ShouldSample(p)
	if result.Decision == sdktrace.Drop {
		result.Decision = sdktrace.RecordOnly
	}
	return result
}

// Description implements sdktrace.Sampler.
func (r recording) Description() string { return "Recording{" + r.exported.Description() + "}" }

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
