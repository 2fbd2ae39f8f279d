package main

import (
	"context"
	"iter"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/hub"
)

// streams are methods that return more than one value: an iter.Seq, or an
// iter.Seq2 whose error ends it. The loop ends when the client cancels or is
// gone; the context of the call ends then, too.
func streams() hub.Methods {
	return hub.Methods{
		"Count": func(c *hub.Context, n, delay int32) iter.Seq[int32] {
			return count(c.Context(), n, milliseconds(delay))
		},
		"CountThenFail": func(c *hub.Context, n int32, text string) iter.Seq2[int32, error] {
			return func(yield func(int32, error) bool) {
				for i := range count(c.Context(), n, 0) {
					if !yield(i, nil) {
						return
					}
				}
				yield(0, hub.Error{Text: text})
			}
		},
		"FailBeforeStream": func(_ *hub.Context, text string) (iter.Seq[int32], error) {
			return nil, hub.Error{Text: text}
		},
		"EndlessTicks": func(c *hub.Context, delay int32) iter.Seq[int32] {
			return func(yield func(int32) bool) {
				defer guestOf(c).cancelled.Add(1) // there is no other end
				for i := int32(0); pause(c.Context(), milliseconds(delay)) && yield(i); i++ {
				}
			}
		},
		"CancelledStreams": func(c *hub.Context) int32 { return guestOf(c).cancelled.Load() },
	}
}

// count is 0 … n-1, with a pause before each.
func count(ctx context.Context, n int32, delay time.Duration) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i := range n {
			if !pause(ctx, delay) || !yield(i) {
				return
			}
		}
	}
}

// pause waits; false = ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// uploads are methods that take streams. A *hub.Stream is no argument for the
// client: it is sent beside them. When it fails, its error is the last pair.
func uploads() hub.Methods {
	return hub.Methods{
		"Sum": func(_ *hub.Context, items *hub.Stream[int32]) (int32, error) {
			var sum int32
			for item, err := range items.All() {
				if err != nil {
					return 0, err
				}
				sum += item
			}
			return sum, nil
		},
		"JoinStreams": func(_ *hub.Context, a *hub.Stream[string], between string, b *hub.Stream[string]) (string, error) {
			var first, second string
			var both errgroup.Group // a stream that is not read holds its client up
			both.Go(func() (err error) { first, err = join(a); return err })
			both.Go(func() (err error) { second, err = join(b); return err })
			err := both.Wait()
			return first + between + second, err
		},
		"DoubleAll": func(_ *hub.Context, items *hub.Stream[int32]) iter.Seq2[int32, error] {
			return func(yield func(int32, error) bool) {
				for item, err := range items.All() {
					if !yield(2*item, err) || err != nil {
						return
					}
				}
			}
		},
	}
}

func join(s *hub.Stream[string]) (string, error) {
	var all strings.Builder
	for item, err := range s.All() {
		if err != nil {
			return "", err
		}
		all.WriteString(item)
	}
	return all.String(), nil
}
