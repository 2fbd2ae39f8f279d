package notifications_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/notifications"
)

func TestPositionsAreASet(t *testing.T) {
	type set = notifications.Positions
	for _, test := range []struct {
		name string
		of   []notifications.Position
		want set
	}{
		{"nothing", nil, nil},
		{"one", []notifications.Position{7}, set{7}},
		{"in order", []notifications.Position{1, 2, 3}, set{1, 2, 3}},
		{"in any order", []notifications.Position{3, 1, 2}, set{1, 2, 3}},
		{"twice", []notifications.Position{2, 1, 2, 1, 2}, set{1, 2}},
		{"the largest", []notifications.Position{1<<64 - 1, 0}, set{0, 1<<64 - 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := slices.Clone(test.of)
			got := notifications.NewPositions(of...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("positions %v (-want +got):\n%s", test.of, diff)
			}
			if diff := cmp.Diff(test.of, of); diff != "" {
				t.Errorf("the positions given were changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPositionsAreThoseGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.SliceOf(rapid.Uint64Range(0, 30)).Draw(t, "positions")
		given, in := make([]notifications.Position, len(of)), map[notifications.Position]bool{}
		for i, p := range of {
			given[i] = notifications.Position(p)
			in[given[i]] = true
		}
		got := notifications.NewPositions(given...)
		if !isSet(got) || len(got) != len(in) {
			t.Fatalf("%v: got %v, want the %d of them ascending", of, got, len(in))
		}
		for _, p := range got {
			if !in[p] {
				t.Fatalf("%v: got %v, in which %d was not given", of, got, p)
			}
		}
	})
}

// isSet tells whether positions ascend without repetition.
func isSet(s notifications.Positions) bool {
	for i := range len(s) - 1 {
		if s[i] >= s[i+1] {
			return false
		}
	}
	return true
}

// A set is put together from two: every way in which one may lie in the other.
func TestSetsAreUnited(t *testing.T) {
	type set = notifications.Positions
	for _, test := range []struct {
		name            string
		one, other, all set
	}{
		{"nothing and nothing", nil, nil, nil},
		{"nothing and some", nil, set{1, 2}, set{1, 2}},
		{"some and nothing", set{1, 2}, nil, set{1, 2}},
		{"later ones", set{1, 2}, set{3, 4}, set{1, 2, 3, 4}},
		{"earlier ones", set{3, 4}, set{1, 2}, set{1, 2, 3, 4}},
		{"in between", set{1, 3, 5}, set{2, 4}, set{1, 2, 3, 4, 5}},
		{"around", set{3}, set{1, 5}, set{1, 3, 5}},
		{"the same", set{1, 2}, set{1, 2}, set{1, 2}},
		{"a part", set{1, 2, 3}, set{2}, set{1, 2, 3}},
		{"more", set{2}, set{1, 2, 3}, set{1, 2, 3}},
		{"overlapping", set{1, 2, 4}, set{2, 3, 4, 5}, set{1, 2, 3, 4, 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := notifications.State{Archived: slices.Clone(test.one)}
			after := before.Apply(changed(1, notifications.Change{Kind: notifications.ChangeArchived, Positions: test.other}))
			if diff := cmp.Diff(test.all, after.Archived); diff != "" {
				t.Errorf("%v and %v (-want +got):\n%s", test.one, test.other, diff)
			}
			if diff := cmp.Diff(test.one, before.Archived); diff != "" {
				t.Errorf("%v and %v: the first was changed (-want +got):\n%s", test.one, test.other, diff)
			}
		})
	}
}
