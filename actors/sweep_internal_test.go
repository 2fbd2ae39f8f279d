package actors

import (
	"testing"

	"pgregory.net/rapid"
)

// Users who leave amid a sweep, or at its end, leave the others where they are
// found, and nobody is passed over or swept twice.
func TestUnseat(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &shard{}
		n := rapid.IntRange(1, 12).Draw(t, "users")
		for i := range n {
			s.order = append(s.order, &userSeat{index: i})
		}
		s.pass = rapid.IntRange(0, n).Draw(t, "swept")
		swept := make(map[*userSeat]bool)
		for i, seat := range s.order {
			swept[seat] = i < s.pass
		}
		for range rapid.IntRange(1, n).Draw(t, "leaving") {
			seat := s.order[rapid.IntRange(0, len(s.order)-1).Draw(t, "who")]
			s.unseat(seat)
			delete(swept, seat)
			if len(s.order) != len(swept) {
				t.Fatalf("%d seats for %d users", len(s.order), len(swept))
			}
			for i, seat := range s.order {
				before, known := swept[seat]
				if !known || seat.index != i || before != (i < s.pass) {
					t.Fatalf("at %d is a seat with index %d, swept %v, of %d swept", i, seat.index, before, s.pass)
				}
			}
		}
	})
}
