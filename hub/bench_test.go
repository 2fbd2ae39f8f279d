package hub_test

import (
	"fmt"
	"testing"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
)

// BenchmarkInvoke is one call and its answer, over a socket of this machine;
// the browser of the kit has its part of the allocations.
func BenchmarkInvoke(b *testing.B) {
	h := newHub(b, hub.Options{Methods: hub.Methods{"Echo": func(_ *hub.Context, s string) string { return s }}})
	ann := hubtest.Serve(b, h, connections.Options{}).Connect("ann", "")
	record, answer := call("1", "Echo", "hello"), result("1", `"hello"`)
	b.ReportAllocs()
	for b.Loop() {
		ann.Send(record)
		if got := ann.Receive(); got != answer {
			b.Fatalf("got %s, want %s", got, answer)
		}
	}
}

// BenchmarkBroadcast is one message to a thousand connections that are pipes,
// from the call to the last of them.
func BenchmarkBroadcast(b *testing.B) {
	const connected = 1000
	h := newHub(b, hub.Options{})
	s := hubtest.ServePipes(b, h, connections.Options{})
	all := make([]*hubtest.Browser, connected)
	for i := range all {
		all[i] = s.Connect(fmt.Sprint("u", i), "")
	}
	want := said("News", "hello")
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Clients().All().Send(b.Context(), "News", "hello"); err != nil {
			b.Fatal(err)
		}
		for _, browser := range all {
			if got := browser.Receive(); got != want {
				b.Fatalf("got %s, want %s", got, want)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*connected), "ns/delivery")
}
