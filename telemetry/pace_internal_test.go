package telemetry

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A quiet node keeps all, a busy one about as many as are good, and of a trace
// all or nothing.
func TestPaceOfSpans(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	id := func() (id trace.TraceID) {
		binary.BigEndian.PutUint64(id[8:], random.Uint64())
		return id
	}
	for _, test := range []struct {
		name            string
		perSecond       int
		atLeast, atMost int // of the last second
	}{
		{"quiet", 100, 100, 100},
		{"at the bound", spansASecond, spansASecond * 99 / 100, spansASecond},
		{"twice the bound", 2 * spansASecond, spansASecond * 9 / 10, spansASecond * 11 / 10},
		{"a storm", 20 * spansASecond, spansASecond * 9 / 10, spansASecond * 11 / 10},
	} {
		var p pace
		now := time.Unix(1000, 0)
		kept := 0
		for range 5 {
			kept = 0
			for range test.perSecond / 2 {
				one := id()
				first, second := p.keeps(one, now), p.keeps(one, now)
				if first {
					kept += 2
				}
				if first != second {
					t.Fatalf("%s: half a trace was kept", test.name)
				}
				now = now.Add(2 * time.Second / time.Duration(test.perSecond))
			}
		}
		if kept < test.atLeast || kept > test.atMost {
			t.Errorf("%s: got %d spans in the last second, want %d to %d", test.name, kept, test.atLeast, test.atMost)
		}
	}
	var p pace
	now := time.Unix(1000, 0)
	for range 10 * spansASecond {
		p.keeps(id(), now)
		now = now.Add(time.Second / (10 * spansASecond))
	}
	now = now.Add(5 * time.Second)
	p.keeps(id(), now)
	if !p.keeps(trace.TraceID{8: 0, 15: 1}, now.Add(time.Second)) {
		t.Error("a node that has become quiet does not keep all again")
	}
}
