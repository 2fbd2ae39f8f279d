package telemetry_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidings/telemetry"
)

// A quantile is that of the durations, but for the error that is promised.
func TestQuantileIsNearTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h telemetry.Histogram
		micros := rapid.SliceOfN(rapid.IntRange(50, 100_000_000), 1, 50).Draw(t, "durations")
		for _, us := range micros {
			h.Observe(time.Duration(us) * time.Microsecond)
		}
		slices.Sort(micros)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		rank := max(int(math.Ceil(q*float64(len(micros)))), 1)
		want := time.Duration(micros[rank-1]) * time.Microsecond
		got, some := telemetry.Quantile(nil, h.Counts(), q)
		if off := float64(got) / float64(want); !some || off > 1.12 || off < 1/1.12 {
			t.Errorf("quantile %g of %v: got %v, %v, want %v", q, micros, got, some, want)
		}
	})
}

// Two looks tell of what was counted between them.
func TestQuantileOfAWindow(t *testing.T) {
	var h telemetry.Histogram
	for range 100 {
		h.Observe(time.Second)
	}
	before := h.Counts()
	if _, some := telemetry.Quantile(before, h.Counts(), 0.5); some {
		t.Error("something was counted in between")
	}
	for range 99 {
		h.Observe(time.Millisecond)
	}
	h.Observe(10 * time.Second)
	after := h.Counts()
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: time.Millisecond, 0.99: time.Millisecond, 1: 10 * time.Second} {
		got, some := telemetry.Quantile(before, after, q)
		if off := float64(got) / float64(want); !some || off > 1.12 || off < 1/1.12 {
			t.Errorf("%g: got %v, %v, want %v", q, got, some, want)
		}
	}
	if h.Counts()[0] = 1; h.Counts()[0] != 0 {
		t.Error("who looks can change what is counted")
	}
}

// What is too short or too long to be told apart is told as the bound.
func TestQuantileBeyondTheBounds(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		-time.Second: 50 * time.Microsecond, 0: 50 * time.Microsecond, 50 * time.Microsecond: 50 * time.Microsecond,
		time.Hour: 100 * time.Second, math.MaxInt64: 100 * time.Second,
	} {
		var h telemetry.Histogram
		h.Observe(d)
		if got, some := telemetry.Quantile(nil, h.Counts(), 0.5); !some || got != want {
			t.Errorf("%v: got %v, %v, want %v", d, got, some, want)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	var h telemetry.Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(3 * time.Millisecond)
	}
}
