package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Figure is a number that is read when somebody looks.
type Figure struct {
	Name, Unit, Description string
	// Attributes tell figures of one name from each other. Their values are
	// written in the program.
	Attributes []attribute.KeyValue
	// Counts says that the number only grows.
	Counts bool
	Read   func() float64
}

// Watch registers figures. Those of one name are given together, with the same
// unit and description.
func (m *Metrics) Watch(figures ...Figure) error {
	var names []string
	byName := make(map[string][]Figure)
	for _, f := range figures {
		if byName[f.Name] == nil {
			names = append(names, f.Name)
		}
		byName[f.Name] = append(byName[f.Name], f)
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, m.watch(byName[name]))
	}
	return errors.Join(errs...)
}

// watch registers the figures of one name.
func (m *Metrics) watch(figures []Figure) (err error) {
	read := metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
		for _, f := range figures {
			o.Observe(f.Read(), metric.WithAttributes(f.Attributes...))
		}
		return nil
	})
	f := figures[0]
	if f.Counts {
		_, err = m.meter.Float64ObservableCounter(f.Name, metric.WithUnit(f.Unit), metric.WithDescription(f.Description), read)
	} else {
		_, err = m.meter.Float64ObservableGauge(f.Name, metric.WithUnit(f.Unit), metric.WithDescription(f.Description), read)
	}
	return err
}
