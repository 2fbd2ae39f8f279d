package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Analytics is the live hub of dashboards: metrics are not stored, and of many
// values of one metric only the latest matters.
type Analytics struct {
	*Hub

	interval time.Duration

	mu      sync.Mutex // guards metrics
	metrics map[string]*metric
}

// metric is the throttle of one name.
type metric struct {
	sent    time.Time
	waiting *Metric // the latest value that has not been sent
}

// Metric is one value, as a dashboard hears it.
type Metric struct {
	Name      string    `json:"name"`
	Value     float64   `json:"value"`
	Timestamp time.Time `json:"timestamp"`
}

// The bounds of the analytics hub.
const (
	// DefaultMetricInterval is the least time between two values of a metric.
	DefaultMetricInterval = 100 * time.Millisecond
	maxMetrics            = 1000
	maxMetricName         = 200
)

// NewAnalytics adds the methods of the analytics hub to the options. interval
// is the least time between two values of one name; 0 = DefaultMetricInterval.
func NewAnalytics(o Options, interval time.Duration) (*Analytics, error) {
	if interval <= 0 {
		interval = DefaultMetricInterval
	}
	a := &Analytics{interval: interval, metrics: make(map[string]*metric)}
	o.Name = "analytics"
	o.Service = "AnalyticsHub"
	o.Methods = Methods{
		"SendMetric": func(c *Context, name string, value float64) error {
			return a.Publish(c.Context(), name, value)
		},
		"JoinDashboard": joinDashboard,
	}
	o.OnConnected = func(c *Context) error {
		return c.Clients().Caller().Send(c.Context(), "Connected", c.ConnectionID())
	}
	var err error
	a.Hub, err = New(o)
	return a, err
}

func joinDashboard(c *Context, id string) error {
	if err := c.JoinGroup(id); err != nil {
		return err
	}
	return c.Clients().Group(id).Send(c.Context(), "UserJoined", c.ConnectionID())
}

// Publish sends a value to all dashboards: at once, or, when one of that name
// has just been sent, as the latest one when its time has come.
func (a *Analytics) Publish(ctx context.Context, name string, value float64) error {
	if name == "" || len(name) > maxMetricName {
		return Error{Text: fmt.Sprintf("the name of a metric has 1 to %d bytes", maxMetricName)}
	}
	now := time.Now()
	latest := Metric{Name: name, Value: value, Timestamp: now.UTC().Truncate(time.Millisecond)}
	a.mu.Lock()
	m := a.metrics[name]
	if m == nil && len(a.metrics) >= maxMetrics {
		a.mu.Unlock()
		return Error{Text: fmt.Sprintf("there are %d metrics already", maxMetrics)}
	}
	if m == nil {
		m = &metric{}
		a.metrics[name] = m
	}
	if now.Sub(m.sent) < a.interval {
		m.waiting = &latest
		a.mu.Unlock()
		return nil
	}
	m.sent, m.waiting = now, nil
	a.mu.Unlock()
	return a.Clients().All().Send(ctx, "ReceiveMetric", latest)
}

// due takes the values whose time has come, and forgets names that have been
// silent for long.
func (a *Analytics) due(now time.Time) []Metric {
	a.mu.Lock()
	defer a.mu.Unlock()
	var due []Metric
	for name, m := range a.metrics {
		switch age := now.Sub(m.sent); {
		case m.waiting != nil && age >= a.interval:
			due = append(due, *m.waiting)
			m.sent, m.waiting = now, nil
		case m.waiting == nil && age > time.Minute:
			delete(a.metrics, name)
		}
	}
	return due
}

// flush sends what is due. A value that cannot be sent is lost; the next one
// may be luckier.
func (a *Analytics) flush(ctx context.Context, now time.Time) {
	for _, m := range a.due(now) {
		if err := a.Clients().All().Send(ctx, "ReceiveMetric", m); err != nil && ctx.Err() == nil {
			a.o.Logger.WarnContext(ctx, "metric cannot be sent", slog.String("metric", m.Name), slog.Any("error", err))
		}
	}
}

// Run keeps the hub going and sends the values that wait.
func (a *Analytics) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Hub.Run(ctx) })
	group.Go(func() error {
		ticker := time.NewTicker(a.interval / 2)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-ticker.C:
				a.flush(ctx, now)
			}
		}
	})
	return group.Wait()
}
