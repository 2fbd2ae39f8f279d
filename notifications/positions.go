package notifications

import (
	"slices"
	"sort"
)

// Positions is a set of positions, ascending and without repetition. Sets are
// never changed in place.
type Positions []Position

// NewPositions makes a set of positions in any order.
func NewPositions(positions ...Position) Positions {
	set := slices.Clone(positions)
	slices.Sort(set)
	return slices.Compact(set)
}

func (s Positions) has(p Position) bool {
	_, found := slices.BinarySearch(s, p)
	return found
}

// after is the part beyond p, upTo the part up to it. Both share memory with s
// and cannot be appended to.
func (s Positions) after(p Position) Positions { return slices.Clip(s[s.first(p):]) }
func (s Positions) upTo(p Position) Positions  { return slices.Clip(s[:s.first(p)]) }

// first is the index of the first position beyond p.
func (s Positions) first(p Position) int {
	return sort.Search(len(s), func(i int) bool { return s[i] > p })
}

func (s Positions) union(other Positions) Positions {
	if len(other) == 0 {
		return s
	}
	n := make(Positions, 0, len(s)+len(other))
	for _, p := range other {
		before, found := slices.BinarySearch(s, p)
		n, s = append(n, s[:before]...), s[before:]
		if !found {
			n = append(n, p)
		}
	}
	return append(n, s...)
}

func (s Positions) less(other Positions) Positions {
	if !slices.ContainsFunc(other, s.has) {
		return s
	}
	return slices.DeleteFunc(slices.Clone(s), other.has)
}
