package actors

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrPlace says that the text of a place in a list is none that a page has given.
var ErrPlace = errors.New("there is no such place in the list")

// How many a page holds: when nobody says, and at most.
const (
	defaultPage = 50
	maxPage     = 200
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

// foremost keeps the first few of many, without sorting the others: a heap with
// the last of those it keeps at its root.
type foremost[T any] struct {
	limit   int // at least 1
	compare func(a, b T) int
	heap    []T
	offered int
}

func (f *foremost[T]) offer(v T) {
	f.offered++
	switch {
	case len(f.heap) < f.limit:
		f.heap = append(f.heap, v)
		f.rise(len(f.heap) - 1)
	case f.compare(v, f.heap[0]) < 0:
		f.heap[0] = v
		f.sink(0)
	}
}

func (f *foremost[T]) rise(at int) {
	for above := (at - 1) / 2; at > 0 && f.compare(f.heap[at], f.heap[above]) > 0; above = (at - 1) / 2 {
		f.heap[at], f.heap[above] = f.heap[above], f.heap[at]
		at = above
	}
}

func (f *foremost[T]) sink(at int) {
	for {
		last := at
		for below := 2*at + 1; below <= 2*at+2 && below < len(f.heap); below++ {
			if f.compare(f.heap[below], f.heap[last]) > 0 {
				last = below
			}
		}
		if last == at {
			return
		}
		f.heap[at], f.heap[last] = f.heap[last], f.heap[at]
		at = last
	}
}

// page is what was kept, in order; more says that there was more.
func (f *foremost[T]) page() (kept []T, more bool) {
	slices.SortFunc(f.heap, f.compare)
	return f.heap, f.offered > len(f.heap)
}

// place is a connection's place in the list of connections: the newest comes
// first, and of several that began in the same nanosecond the lowest id.
type place struct {
	began int64 // Unix nanoseconds
	id    string
}

func (c *Connection) place() place { return place{c.began, c.id} }

func (p place) compare(q place) int {
	if p.began != q.began {
		if p.began > q.began {
			return -1
		}
		return 1
	}
	return strings.Compare(p.id, q.id)
}

func (p place) String() string { return strconv.FormatInt(p.began, 36) + "." + p.id }

func parsePlace(text string) (place, error) {
	began, id, _ := strings.Cut(text, ".")
	at, err := strconv.ParseInt(began, 36, 64)
	if err != nil || id == "" {
		return place{}, ErrPlace
	}
	return place{at, id}, nil
}
