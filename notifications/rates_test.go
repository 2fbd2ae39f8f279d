package notifications_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidings/notifications"
	"tidings/roles"
)

// meter is a door with rates and a clock.
type meter struct {
	clock    time.Time
	commands *notifications.Commands
	audit    *auditor
}

func newMeter(r *notifications.Rates) *meter {
	m := &meter{clock: now, audit: &auditor{}}
	m.commands = notifications.NewCommands(notifications.CommandsOptions{
		Log: &recorder{}, Rates: r, Audit: m.audit, Now: func() time.Time { return m.clock }, NewID: notifications.NewID,
	})
	return m
}

func (m *meter) admit(user string, n int) error {
	return m.commands.Admit(notifications.Emitter{Principal: roles.Principal{UserID: user, Issuer: "idp"}, Hub: hub, Via: "http"}, n)
}

// after is how long a caller is told to wait, or 0.
func after(t testingT, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	rate, is := errors.AsType[*notifications.RateError](err)
	if !is || rate.Reason == "" || rate.Error() != rate.Reason || rate.After <= 0 {
		t.Fatalf("got error %v, want a *RateError with a time to wait", err)
	}
	return rate.After
}

func TestNothingIsBoundedWithoutRates(t *testing.T) {
	for name, r := range map[string]*notifications.Rates{"none": nil, "zero": {}, "only a burst": {Burst: 1}} {
		m := newMeter(r)
		for range 100 {
			if err := m.admit("shop", 1000); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestRatesBoundAnEmitter(t *testing.T) {
	type call struct {
		pass time.Duration
		user string
		n    int
		want time.Duration // to wait
	}
	midnight := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC).Sub(now)
	const second = time.Second
	for _, test := range []struct {
		name  string
		rates *notifications.Rates
		calls []call
	}{
		{"a burst", &notifications.Rates{PerSecond: 10, Burst: 3}, []call{
			{0, "a", 3, 0},
			{0, "a", 1, second / 10},
			{0, "b", 3, 0},
			{second / 20, "a", 1, second / 20},
			{second / 20, "a", 1, 0},
			{0, "a", 1, second / 10},
			{10 * second, "a", 3, 0},
			{0, "a", 1, second / 10},
		}},
		{"all or none", &notifications.Rates{PerSecond: 10, Burst: 3}, []call{{0, "a", 2, 0}, {0, "a", 2, second / 10}, {0, "a", 1, 0}}},
		{"the burst of a second", &notifications.Rates{PerSecond: 2}, []call{{0, "a", 2, 0}, {0, "a", 1, second / 2}}},
		{"less than one a second", &notifications.Rates{PerSecond: 0.5}, []call{{0, "a", 1, 0}, {0, "a", 1, 2 * second}, {2 * second, "a", 1, 0}}},
		{"a quota", &notifications.Rates{Quota: 5}, []call{
			{0, "a", 3, 0},
			{0, "a", 3, midnight},
			{0, "a", 2, 0},
			{0, "a", 1, midnight},
			{0, "b", 5, 0},
			{midnight - time.Nanosecond, "a", 1, time.Nanosecond},
			{time.Nanosecond, "a", 5, 0},
			{0, "a", 1, 24 * time.Hour},
		}},
		{"both", &notifications.Rates{PerSecond: 1, Burst: 2, Quota: 3}, []call{
			{0, "a", 2, 0}, {0, "a", 1, second}, {second, "a", 1, 0}, {2 * second, "a", 1, midnight - 3*second},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeter(test.rates)
			for i, c := range test.calls {
				m.clock = m.clock.Add(c.pass)
				if got := after(t, m.admit(c.user, c.n)); got != c.want {
					t.Errorf("%d. %+v: told to wait %v", i, c, got)
				}
			}
		})
	}
}

// More than may ever come at once is not a matter of waiting.
func TestTooManyAtOnceAreInvalid(t *testing.T) {
	for _, test := range []struct {
		rates *notifications.Rates
		n     int
		want  string
	}{
		{&notifications.Rates{PerSecond: 100, Burst: 3}, 4, "4 events at once, an emitter may emit 3"},
		{&notifications.Rates{PerSecond: 2.5}, 3, "3 events at once, an emitter may emit 2"},
		{&notifications.Rates{Quota: 5}, 6, "6 events at once, an emitter may emit 5 a day"},
		{&notifications.Rates{PerSecond: 1, Burst: 10, Quota: 5}, 6, "6 events at once, an emitter may emit 5 a day"},
	} {
		m := newMeter(test.rates)
		if got := refused(t, m.admit("a", test.n)); got != test.want {
			t.Errorf("%d: got %q, want %q", test.n, got, test.want)
		}
		if err := m.admit("a", test.n-1); err != nil {
			t.Errorf("%d after that: %v", test.n-1, err)
		}
	}
}

// Whoever waits as long as was told is admitted, and what was refused took
// nothing: in any time no more is admitted than the rates allow.
func TestWhoeverWaitsIsAdmitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &notifications.Rates{
			PerSecond: rapid.SampledFrom([]float64{0, 0.3, 1, 7, 1000}).Draw(t, "rate"),
			Burst:     rapid.IntRange(1, 20).Draw(t, "burst"),
			Quota:     rapid.SampledFrom([]int{0, 1, 20, 50}).Draw(t, "quota"),
		}
		m := newMeter(r)
		total, today, day := 0, 0, m.clock.Unix()/86400
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			m.clock = m.clock.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 40, 1500, 40_000_000}).Draw(t, "ms")) * time.Millisecond)
			n := rapid.IntRange(1, 5).Draw(t, "events")
			if n > r.Burst || r.Quota > 0 && n > r.Quota {
				continue
			}
			tries := 2
			if r.Quota > 0 {
				tries = 3 // at the second time the quota of the day may be used up
			}
			for range tries {
				wait := after(t, m.admit("a", n))
				if wait == 0 {
					if now := m.clock.Unix() / 86400; now != day {
						today, day = 0, now
					}
					total, today = total+n, today+n
					n = 0
					break
				}
				m.clock = m.clock.Add(wait)
			}
			if n != 0 {
				t.Fatalf("%d refused after having waited, at a rate of %v, a burst of %d and a quota of %d", n, r.PerSecond, r.Burst, r.Quota)
			}
			if r.Quota > 0 && today > r.Quota {
				t.Fatalf("%d on a day, the quota is %d", today, r.Quota)
			}
			if most := float64(r.Burst) + m.clock.Sub(now).Seconds()*r.PerSecond + 1e-3; r.PerSecond > 0 && float64(total) > most {
				t.Fatalf("%d in %v, with a rate of %v and a burst of %d", total, m.clock.Sub(now), r.PerSecond, r.Burst)
			}
		}
	})
}

// However many emitters come, a node keeps count of a bounded number, and an
// emitter that is active is not forgotten for those that are idle.
func TestManyEmittersAreForgotten(t *testing.T) {
	for name, r := range map[string]*notifications.Rates{"a rate": {PerSecond: 1, Burst: 1}, "a quota": {Quota: 1}, "both": {PerSecond: 1, Burst: 1, Quota: 1}} {
		m := newMeter(r)
		for i := range 25_000 {
			if err := m.admit(fmt.Sprint("emitter ", i), 1); err != nil {
				t.Fatalf("%s: emitter %d: %v", name, i, err)
			}
		}
		if err := m.admit("emitter 0", 1); err != nil { // which is in favor of the emitters
			t.Errorf("%s: the first one was not forgotten: %v", name, err)
		}
		m.clock = m.clock.Add(time.Hour)
		for i := range 10_000 {
			if r.Quota == 0 {
				m.clock = m.clock.Add(time.Millisecond)
			}
			if err := m.admit(fmt.Sprint("later ", i), 1); err != nil {
				t.Fatalf("%s: later %d: %v", name, i, err)
			}
		}
		if r.Quota > 0 {
			continue
		}
		if err := m.admit("later 9999", 1); err == nil {
			t.Errorf("%s: the last one was forgotten", name)
		}
	}
}

// Emitters of two issuers are two, whatever they are called.
func TestEmittersAreOfAnIssuer(t *testing.T) {
	m := newMeter(&notifications.Rates{Quota: 1})
	for _, p := range []roles.Principal{{UserID: "a", Issuer: "x"}, {UserID: "a", Issuer: "y"}, {UserID: "xa"}, {UserID: "a"}} {
		from := notifications.Emitter{Principal: p, Hub: hub}
		if err := m.commands.Admit(from, 1); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
		if err := m.commands.Admit(from, 1); err == nil {
			t.Errorf("%+v was admitted twice", p)
		}
	}
}

func TestRatesHoldForCallsAtOnce(t *testing.T) {
	m := newMeter(&notifications.Rates{Quota: 50, PerSecond: 1, Burst: 70})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if m.admit("a", 1) == nil {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 50 {
		t.Errorf("got %d admitted, want 50", got)
	}
}

// Send counts what is refused for another reason, too, and stores nothing beyond
// the rates; Emit is its own authority.
func TestSendIsBoundedAndEmitIsNot(t *testing.T) {
	log := &recorder{}
	audit := &auditor{}
	c := notifications.NewCommands(notifications.CommandsOptions{
		Log: log, Rates: &notifications.Rates{Quota: 2}, Audit: audit, Now: func() time.Time { return now }, NewID: newID,
	})
	from := notifications.Emitter{Principal: emitter, Hub: hub, Via: "hub"}
	toAnn := notifications.Event{Recipient: notifications.ToUser("ann"), Title: "secret"}
	for i, want := range []error{nil, notifications.ErrForbidden} {
		e := toAnn
		if i == 1 {
			e.Recipient = notifications.ToEveryone()
		}
		if _, err := c.Send(t.Context(), from, e); !errors.Is(err, want) {
			t.Errorf("%d: got error %v, want %v", i, err, want)
		}
	}
	_, err := c.Send(t.Context(), from, toAnn)
	if got, want := after(t, err), time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC).Sub(now); got != want || len(log.events) != 1 {
		t.Errorf("beyond the quota: told to wait %v, want %v, %d stored", got, want, len(log.events))
	}
	if _, err = c.Recall(t.Context(), from, "made"); after(t, err) == 0 {
		t.Error("a recall was admitted beyond the quota")
	}
	for range 3 {
		if _, err := c.Emit(t.Context(), hub, toAnn); err != nil {
			t.Errorf("emit: %v", err)
		}
	}
	refusals := 0
	for _, r := range audit.take() {
		if r.Action == notifications.AuditRefused {
			refusals++
		}
	}
	if refusals != 3 {
		t.Errorf("%d refusals are on record, want 3", refusals)
	}
}
