// Package telemetry is what operators see of a node: traces, metrics and log
// lines. It holds the names and the providers; the rooms make spans with the
// OpenTelemetry API only.
//
// Export is off until one of the standard variables asks for it
// (OTEL_EXPORTER_OTLP_ENDPOINT, that of a signal, or OTEL_TRACES_EXPORTER=otlp);
// /metrics always works.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// attributeSets bounds the sets of attributes of one metric, beyond which all others
// are counted as one. No metric has as many: it is a net below the rule that no
// attribute is chosen by a caller.
const attributeSets = 512

// spanQueue is how many ended spans may wait for export; the default of 2048
// overflows in bursts of deliveries.
const spanQueue = 8192

// Telemetry holds the providers of a node.
type Telemetry struct {
	// Tracer makes spans, or nothing when nobody wants them.
	Tracer trace.TracerProvider
	// Spans are the newest ones, in memory; nil if none are to be kept.
	Spans *Spans
	// Metrics are what is counted.
	Metrics *Metrics

	registry *prometheus.Registry
	exported bool // spans are
	closers  []func(context.Context) error
}

// Options says what is wanted.
type Options struct {
	// Version is that of the program.
	Version string
	// Getenv looks up the standard variables.
	Getenv func(string) string
	// SpanBytes is the memory for the newest spans. 0 = none are kept.
	SpanBytes int
}

// Start makes the providers.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	t := &Telemetry{Tracer: noop.NewTracerProvider(), registry: prometheus.NewRegistry()}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", "tidings"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv()) // last: OTEL_SERVICE_NAME wins
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if err := t.startTraces(ctx, about, o); err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	if err := t.startMetrics(ctx, about, o.Getenv); err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: metrics: %w", err), t.Shutdown(ctx))
	}
	return t, nil
}

// exports tells whether a signal is to be exported, and by which protocol.
func exports(signal string, getenv func(string) string) (protocol string, on bool) {
	endpoint := cmp.Or(getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := getenv("OTEL_" + signal + "_EXPORTER")
	if (endpoint == "" && exporter != "otlp") || exporter == "none" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return "", false
	}
	return cmp.Or(getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"), true
}

func (t *Telemetry) startTraces(ctx context.Context, about *resource.Resource, o Options) error {
	sampler := sdktrace.NeverSample() // for export; also what emitters have sampled
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(about)}
	protocol, exported := exports("TRACES", o.Getenv)
	t.exported = exported
	if exported {
		wanted, err := samplerOf(o.Getenv)
		if err != nil {
			return err
		}
		exporter, err := traceExporter(ctx, protocol)
		if err != nil {
			return err
		}
		sampler = wanted
		options = append(options, sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(spanQueue)))
	}
	sampler = unswayed{sampler}
	if o.SpanBytes > 0 {
		t.Spans = NewSpans(o.SpanBytes)
		options = append(options, sdktrace.WithSpanProcessor(t.Spans))
		sampler = &recording{exported: sampler}
	}
	if !exported && t.Spans == nil {
		return nil
	}
	provider := sdktrace.NewTracerProvider(append(options, sdktrace.WithSampler(sampler))...)
	t.Tracer = provider
	t.closers = append(t.closers, provider.Shutdown)
	return nil
}

func traceExporter(ctx context.Context, protocol string) (sdktrace.SpanExporter, error) { //nolint:ireturn // one of two
	if protocol == "grpc" {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func (t *Telemetry) startMetrics(ctx context.Context, about *resource.Resource, getenv func(string) string) error {
	scrape, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{
		sdkmetric.WithResource(about), sdkmetric.WithReader(scrape),
		sdkmetric.WithCardinalityLimit(attributeSets), sdkmetric.WithExemplarFilter(t.exemplary),
	}
	if protocol, on := exports("METRICS", getenv); on {
		var exporter sdkmetric.Exporter
		if protocol == "grpc" {
			exporter, err = otlpmetricgrpc.New(ctx)
		} else {
			exporter, err = otlpmetrichttp.New(ctx)
		}
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.closers = append(t.closers, provider.Shutdown)
	if err = runtime.Start(runtime.WithMeterProvider(provider)); err != nil {
		return err
	}
	t.Metrics, err = newMetrics(ctx, provider.Meter("tidings"))
	return err
}

// exemplary tells whether the span in ctx may be an example of a measurement: one
// that is exported, or, where none are, one that is kept in memory.
func (t *Telemetry) exemplary(ctx context.Context) bool {
	span := trace.SpanFromContext(ctx)
	return span.SpanContext().IsSampled() || !t.exported && span.IsRecording()
}

// Handler serves the metrics to Prometheus. To who asks for OpenMetrics it gives
// traces as examples of latencies.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Shutdown exports what has not been, as far as ctx allows.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, closeOne := range t.closers {
		errs = append(errs, closeOne(ctx))
	}
	return errors.Join(errs...)
}
