package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
)

// dashboard serves an analytics hub in a bubble, with one browser.
func dashboard(t *testing.T, l *loop, interval time.Duration) (*hub.Analytics, *hubtest.Browser) {
	t.Helper()
	var o hub.Options
	if l != nil {
		o.Backplane = l
	}
	a, err := hub.NewAnalytics(o, interval)
	if err != nil {
		t.Fatal(err)
	}
	if l != nil {
		l.t, l.hub = t, a.Hub
	}
	b := hubtest.ServePipes(t, a, connections.Options{}).Connect("ann", "")
	want(t, "welcome", settle(b), said("Connected", b.ID))
	return a, b
}

// metrics are the values that were heard, with the time of hearing since began.
func metrics(t *testing.T, records []string) string {
	t.Helper()
	var all []string
	for _, r := range records {
		var m struct {
			Target    string
			Arguments []hub.Metric
		}
		if err := json.Unmarshal([]byte(r), &m); err != nil || m.Target != "ReceiveMetric" || len(m.Arguments) != 1 {
			t.Errorf("heard %s, %v, want a metric", r, err)
			continue
		}
		all = append(all, fmt.Sprintf("%s=%v", m.Arguments[0].Name, m.Arguments[0].Value))
	}
	return strings.Join(all, " ")
}

// Of many values of one metric the first is heard at once, then the latest one
// per interval; another metric has an interval of its own.
func TestMetricsAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := dashboard(t, nil, 0)
		publish := func(name string, value float64) {
			if err := a.Publish(t.Context(), name, value); err != nil {
				t.Errorf("%s=%v: %v", name, value, err)
			}
		}
		publish("cpu", 1)
		publish("ram", 10)
		publish("cpu", 2)
		publish("cpu", 3)
		if got := metrics(t, settle(b)); got != "cpu=1 ram=10" {
			t.Errorf("at once: got %q, want the first of each", got)
		}
		time.Sleep(hub.DefaultMetricInterval / 2)
		publish("cpu", 4)
		if got := metrics(t, settle(b)); got != "" {
			t.Errorf("inside of the interval: got %q, want nothing", got)
		}
		time.Sleep(hub.DefaultMetricInterval)
		if got := metrics(t, settle(b)); got != "cpu=4" {
			t.Errorf("after it: got %q, want the latest", got)
		}
		time.Sleep(time.Second)
		if got := metrics(t, settle(b)); got != "" {
			t.Errorf("later: got %q, want nothing", got)
		}
		publish("cpu", 5)
		if got := metrics(t, settle(b)); got != "cpu=5" {
			t.Errorf("after a pause: got %q, want it at once", got)
		}
		time.Sleep(time.Second)
		b.Heard()

		// A burst of ten seconds: at most one per interval, the last one last.
		const interval = hub.DefaultMetricInterval
		for n := range 1000 {
			publish("cpu", float64(n))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(interval)
		values := strings.Fields(metrics(t, settle(b)))
		if most := int(10*time.Second/interval) + 2; len(values) > most || len(values) < most/2 {
			t.Errorf("a burst of 1000 values in 10 s: heard %d, want at most %d", len(values), most)
		}
		if last := values[len(values)-1]; last != "cpu=999" {
			t.Errorf("the last one heard is %s, want cpu=999", last)
		}
	})
}

// The distance of two values of one name is never less than the interval.
func TestMetricsKeepTheirDistance(t *testing.T) {
	const interval = time.Second
	synctest.Test(t, func(t *testing.T) {
		a, b := dashboard(t, nil, interval)
		var last time.Time
		for n := range 2000 {
			if err := a.Publish(t.Context(), "cpu", float64(n)); err != nil {
				t.Fatal(err)
			}
			if len(settle(b)) > 0 {
				if now := time.Now(); now.Sub(last) < interval {
					t.Fatalf("two values within %v, want %v", now.Sub(last), interval)
				}
				last = time.Now()
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// What a dashboard hears, how a client sends and joins, and what is wrong with
// a name.
func TestAnalytics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := dashboard(t, nil, 0)
		b.Send(call("1", "SendMetric", "cpu", 0.5))
		got := settle(b)
		slices.Sort(got) // the answer and the echo have no order
		want(t, "the sender hears it, too", got, `{"type":1,"target":"ReceiveMetric","arguments":[{"name":"cpu","value":0.5,"timestamp":"2000-01-01T00:00:00Z"}]}`, result("1", "null"))
		b.Send(call("2", "JoinDashboard", "ops"))
		got = settle(b)
		slices.Sort(got)
		want(t, "join", got, said("UserJoined", b.ID), result("2", "null"))
		for _, name := range []string{"", strings.Repeat("x", 201)} {
			b.Send(call("3", "SendMetric", name, 1))
			want(t, "name", settle(b), failure("3", "An unexpected error occurred invoking 'SendMetric' on the server. HubException: the name of a metric has 1 to 200 bytes"))
		}
		b.Send(call("3", "JoinDashboard", ""))
		want(t, "no dashboard", settle(b), failure("3", `An unexpected error occurred invoking 'JoinDashboard' on the server. HubException: recipient "group/" has no name after the slash`))
		b.Send(call("4", "SendMetric", "cpu", "1"))
		want(t, "kind", settle(b), failure("4", "Failed to invoke 'SendMetric' due to an error on the server."))
	})
}

// Clients cannot make up names without end; names that nobody uses are
// forgotten.
func TestMetricsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := dashboard(t, nil, 0)
		for n := range 1000 {
			if err := a.Publish(t.Context(), fmt.Sprint("m", n), 1); err != nil {
				t.Fatalf("metric %d: %v", n, err)
			}
		}
		var told hub.Error
		if err := a.Publish(t.Context(), "one more", 1); !errors.As(err, &told) || told.Text != "there are 1000 metrics already" {
			t.Errorf("one more: got %v", err)
		}
		if err := a.Publish(t.Context(), "m7", 2); err != nil {
			t.Errorf("a known one: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := a.Publish(t.Context(), "one more", 1); err != nil {
			t.Errorf("when the others are forgotten: %v", err)
		}
	})
}

// A backplane that is away for a while costs the values of that while and not
// those after.
func TestMetricsOutliveABrokenBackplane(t *testing.T) {
	l := &loop{}
	synctest.Test(t, func(t *testing.T) {
		a, b := dashboard(t, l, 0)
		publish := func(values ...float64) {
			for _, value := range values {
				if err := a.Publish(t.Context(), "cpu", value); err != nil && !errors.Is(err, notifications.ErrUnavailable) {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
		}
		publish(1, 2)
		if got := metrics(t, settle(b)); got != "cpu=1 cpu=2" {
			t.Errorf("before: got %q", got)
		}
		if err := a.Publish(t.Context(), "cpu", 3); err != nil {
			t.Error(err)
		}
		l.fail(notifications.ErrUnavailable)
		publish(4) // would be sent when its time has come
		l.fail(nil)
		b.Heard()
		publish(5, 6)
		if got := metrics(t, settle(b)); got != "cpu=5 cpu=6" {
			t.Errorf("after: got %q, want cpu=5 cpu=6", got)
		}
	})
}
