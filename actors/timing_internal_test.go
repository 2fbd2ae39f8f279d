package actors

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A histogram tells every share of what it was given to an eighth, also of what was
// moved to another beginning.
func TestHistogram(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 200).Draw(t, "durations")
		late := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "late"))
		var own, moved histogram
		own.clear()
		moved.clear()
		for _, d := range durations {
			own.add(time.Duration(d), 1)
		}
		moved.addLater(&own, late)
		slices.Sort(durations)
		share := rapid.Float64Range(0, .999).Draw(t, "share")
		want := time.Duration(durations[int(share*float64(len(durations)))])
		within := func(what string, got, want, off time.Duration) {
			if diff := (got - want).Abs(); diff > off+time.Microsecond {
				t.Errorf("%s: share %g is %v, want %v", what, share, got, want)
			}
		}
		within("own", own.quantile(share), want, want/8)
		within("moved", moved.quantile(share), want+late, want/8+(want+want/8+late)/8)
	})
}

// What is outside of what a histogram tells apart counts as the nearest.
func TestHistogramIsBounded(t *testing.T) {
	t.Parallel()
	var s histogram
	s.clear()
	if got := s.quantile(.5); got != 0 {
		t.Errorf("median of nothing: got %v, want 0", got)
	}
	s.add(-time.Second, 1)
	s.add(time.Hour, 1)
	if got := s.quantile(0); got != 0 {
		t.Errorf("a second before the beginning: got %v, want 0", got)
	}
	if got := s.quantile(.99); got < 4*time.Minute || got > 5*time.Minute {
		t.Errorf("an hour: got %v, want somewhat more than four minutes", got)
	}
	s.clear()
	if !s.empty() || s.quantile(.5) != 0 {
		t.Error("what was cleared is not empty")
	}
}

// The first few of many are those that sorting all would find.
func TestForemost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(rapid.IntRange(0, 50)).Draw(t, "all")
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		f := foremost[int]{limit: limit, compare: cmp.Compare[int]}
		for _, v := range all {
			f.offer(v)
		}
		kept, more := f.page()
		slices.Sort(all)
		if want := all[:min(limit, len(all))]; !slices.Equal(kept, want) || more != (len(all) > limit) {
			t.Errorf("the first %d of %v: got %v, more %v", limit, all, kept, more)
		}
	})
}
