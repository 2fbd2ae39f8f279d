package hub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
)

// open is an invocation that wants a stream.
func open(id, target string, arguments ...any) string {
	return record(map[string]any{"type": 4, "invocationId": id, "target": target, "arguments": list(arguments)})
}

// with gives an invocation streams of the client.
func with(call string, streamIDs ...string) string {
	return strings.TrimSuffix(call, "}") + `,"streamIds":["` + strings.Join(streamIDs, `","`) + `"]}`
}

func item(id string, value any) string {
	return record(struct {
		Type         int    `json:"type"`
		InvocationID string `json:"invocationId"`
		Item         any    `json:"item"`
	}{2, id, value})
}

func end(id string) string    { return `{"type":3,"invocationId":"` + id + `"}` }
func cancel(id string) string { return `{"type":5,"invocationId":"` + id + `"}` }

const streaming = "An error occurred on the server while streaming results."

// count is a stream of the three forms.
func count(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

// signalr.md §9, "Streams to the client": items in order, then a completion
// without a result; texts word for word.
func TestStreamsToTheClient(t *testing.T) {
	methods := hub.Methods{
		"Seq2": func(_ *hub.Context, n int) iter.Seq2[int, error] { return count(n, nil) },
		"Seq": func(_ *hub.Context, n int) iter.Seq[*int] {
			return func(yield func(*int) bool) {
				for range n {
					if !yield(nil) {
						return
					}
				}
			}
		},
		"Channel": func(c *hub.Context, n int) (<-chan int, error) {
			items := make(chan int)
			go func() {
				defer close(items)
				for i := range n {
					select {
					case items <- i:
					case <-c.Context().Done():
						return
					}
				}
			}()
			return items, nil
		},
		"Told":   func(*hub.Context) iter.Seq2[int, error] { return count(1, hub.Error{Text: "the cat is out"}) },
		"Secret": func(*hub.Context) iter.Seq2[int, error] { return count(1, errors.New("password 123")) },
		"Before": func(*hub.Context) (iter.Seq2[int, error], error) { return nil, hub.Error{Text: "no"} },
		"None":   func(*hub.Context) iter.Seq2[int, error] { return nil },
		"Panics": func(*hub.Context) iter.Seq[int] { return func(func(int) bool) { panic("secret 7") } },
		"Odd": func(*hub.Context) iter.Seq[any] {
			return func(yield func(any) bool) { _ = yield(1) && yield(make(chan int)) && yield(2) }
		},
		"Plain": func(*hub.Context) int { return 7 },
	}
	for _, test := range []struct {
		said  string
		heard []string
	}{
		{open("1", "Seq2", 2), []string{item("1", 0), item("1", 1), end("1")}},
		{open("1", "seq", 2), []string{item("1", nil), item("1", nil), end("1")}},
		{open("1", "Channel", 2), []string{item("1", 0), item("1", 1), end("1")}},
		{open("1", "Seq2", 0), []string{end("1")}},
		{open("1", "Told"), []string{item("1", 0), failure("1", streaming+" HubException: the cat is out")}},
		{open("1", "Secret"), []string{item("1", 0), failure("1", streaming)}},
		{open("1", "before"), []string{failure("1", "An unexpected error occurred invoking 'before' on the server. HubException: no")}},
		{open("1", "None"), []string{`{"type":3,"invocationId":"1","error":"The value returned by the streaming method 'None' is not a ChannelReader<> or IAsyncEnumerable<>."}`}},
		{open("1", "Panics"), []string{failure("1", streaming)}},
		{open("1", "Odd"), []string{item("1", 1), failure("1", streaming)}},
		{open("1", "Seq2", "x"), []string{failure("1", "Failed to invoke 'Seq2' due to an error on the server.")}},
		{open("1", "Nothing"), []string{failure("1", "Failed to invoke 'Nothing' due to an error on the server. HubException: Method does not exist.")}},
		{open("1", "plain"), []string{failure("1", "The client attempted to invoke the non-streaming 'plain' method with a streaming invocation.")}},
		{call("1", "seq2", 2), []string{failure("1", "The client attempted to invoke the streaming 'seq2' method with a non-streaming invocation.")}},
		{tell("seq2", 2), nil},
	} {
		for _, codec := range codecs() {
			t.Run(test.said+"/"+codec.Name(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ann := served(t, hub.Options{Methods: methods}).ConnectWith(codec, "ann", "")
					ann.Send(test.said)
					want(t, "heard", settle(ann), test.heard...)
					ann.Send(call("9", "Plain"))
					want(t, "afterwards", settle(ann), result("9", "7"))
				})
			})
		}
	}
}

// ticks are endless; ended counts the calls whose context has ended.
func ticks(ended *atomic.Int32) func(c *hub.Context) iter.Seq[int] {
	return func(c *hub.Context) iter.Seq[int] {
		context.AfterFunc(c.Context(), func() { ended.Add(1) })
		return func(yield func(int) bool) {
			for i := 0; ; i++ {
				select {
				case <-c.Context().Done():
					return
				case <-time.After(time.Second):
				}
				if !yield(i) {
					return
				}
			}
		}
	}
}

// signalr.md §9: streams hold nobody up; a cancelled one is completed without
// an error; an id in use is refused; the end of the connection ends them.
func TestStreamsAreCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		s := served(t, hub.Options{Methods: hub.Methods{"Ticks": ticks(&ended), "Fine": func(*hub.Context) int { return 7 }}, MaxStreams: 2})
		ann := s.Connect("ann", "")
		ann.Send(open("1", "Ticks"), open("1", "Ticks"), call("2", "Fine"), cancel("77"))
		want(t, "at once", settle(ann), failure("1", "Invocation ID '1' is already in use."), result("2", "7"))
		time.Sleep(2500 * time.Millisecond)
		want(t, "in time", settle(ann), item("1", 0), item("1", 1))
		ann.Send(open("3", "Ticks"), open("4", "Ticks"))
		want(t, "too many", settle(ann), failure("4", "An unexpected error occurred invoking 'Ticks' on the server. HubException: A connection may have 2 calls with streams at once."))
		ann.Send(cancel("1"), cancel("1"))
		want(t, "cancelled", settle(ann), end("1"))
		if ended.Load() != 1 {
			t.Errorf("%d contexts have ended, want that of the cancelled one", ended.Load())
		}
		ann.Send(open("1", "Ticks"))
		synctest.Wait()
		ann.Close()
		synctest.Wait()
		if ended.Load() != 3 {
			t.Errorf("after the end: %d contexts have ended, want 3", ended.Load())
		}
	})
}

// A client that reads slowly slows the producer down, and nobody else.
func TestStreamsWaitForTheirClient(t *testing.T) {
	var produced atomic.Int64
	methods := hub.Methods{
		"Flood": func(*hub.Context) iter.Seq[string] {
			return func(yield func(string) bool) {
				for yield(strings.Repeat("x", 1000)) {
					produced.Add(1)
				}
			}
		},
		"Fine": func(*hub.Context) int { return 7 },
	}
	s := hubtest.Serve(t, newHub(t, hub.Options{Methods: methods}), connections.Options{})
	if err := deaf(t, s).WriteMessage(websocket.TextMessage, []byte(open("1", "Flood")+"\x1e")); err != nil {
		t.Fatal(err)
	}
	bob := s.Connect("bob", "")
	for last := int64(-1); last != produced.Load(); { // until the producer stands still
		last = produced.Load()
		for range 200 {
			bob.Send(call("1", "Fine"))
			if got := bob.Receive(); got != result("1", "7") {
				t.Fatalf("bob: got %s", got)
			}
		}
	}
	if produced.Load() == 0 {
		t.Error("nothing was produced")
	}
}

// signalr.md §9, "Streams from the client".
func TestStreamsFromTheClient(t *testing.T) {
	methods := hub.Methods{
		"Sum": func(_ *hub.Context, items *hub.Stream[int32]) (int32, error) {
			var sum int32
			for n, err := range items.All() {
				if err != nil {
					return 0, err
				}
				sum += n
			}
			return sum, nil
		},
		"Join": func(_ *hub.Context, a *hub.Stream[string], between string, b *hub.Stream[string]) (string, error) {
			var text strings.Builder
			for s, err := range a.All() {
				if err != nil {
					return "", err
				}
				text.WriteString(s)
			}
			text.WriteString(between)
			for s, err := range b.All() {
				if err != nil {
					return "", err
				}
				text.WriteString(s)
			}
			return text.String(), nil
		},
		"Double": func(_ *hub.Context, items *hub.Stream[int]) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n, err := range items.All() {
					if !yield(2*n, err) || err != nil {
						return
					}
				}
			}
		},
		"First": func(_ *hub.Context, items *hub.Stream[int]) (int, error) {
			for n, err := range items.All() {
				return n, err
			}
			return 0, nil
		},
		"Fine": func(*hub.Context) int { return 7 },
	}
	const unexpected = "An unexpected error occurred invoking "
	many := func(id string, n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = item(id, "b")
		}
		return all
	}
	for _, test := range []struct {
		name  string
		said  []string
		heard []string
	}{
		{"sum", []string{with(call("1", "Sum"), "s"), item("s", 1), item("s", 2), end("s")}, []string{result("1", "3")}},
		{"nothing", []string{with(call("1", "Sum"), "s"), end("s")}, []string{result("1", "0")}},
		{"the client fails it", []string{with(call("1", "Sum"), "s"), item("s", 1), failure("s", "oops")}, []string{failure("1", unexpected+"'Sum' on the server. HubException: oops")}},
		{"item of another kind", []string{with(call("1", "Sum"), "s"), item("s", "x"), item("s", 1), end("s")}, []string{failure("1", unexpected+"'Sum' on the server.")}},
		{"no stream", []string{call("1", "Sum")}, []string{failure("1", unexpected+"'Sum' on the server. HubException: Client sent 0 stream(s), Hub method expects 1.")}},
		{"two streams", []string{with(call("1", "Sum"), "s", "r")}, []string{failure("1", unexpected+"'Sum' on the server. HubException: Client sent 2 stream(s), Hub method expects 1.")}},
		{"a stream too many", []string{with(call("1", "Fine"), "s")}, []string{failure("1", unexpected+"'Fine' on the server. HubException: Client sent 1 stream(s), Hub method expects 0.")}},
		{"same id twice", []string{with(call("1", "Join", "-"), "s", "s")}, []string{failure("1", unexpected+"'Join' on the server. HubException: A stream id is already in use.")}},
		{"unknown method", []string{with(call("1", "None"), "s"), item("s", 1), end("s")}, []string{failure("1", "Failed to invoke 'None' due to an error on the server. HubException: Method does not exist.")}},
		{"nobody waits for it", []string{item("s", 1), end("s"), failure("t", "x"), cancel("u"), call("1", "Fine")}, []string{result("1", "7")}},
		{"two at once", []string{with(call("1", "Join", "-"), "a", "b"), item("b", "2"), item("a", "1"), end("b"), item("a", "1"), end("a")}, []string{result("1", `"11-2"`)}},
		{"both ways", []string{with(open("1", "Double"), "s"), item("s", 1), item("s", 4), end("s")}, []string{item("1", 2), item("1", 8), end("1")}},
		{"both ways, failed", []string{with(open("1", "Double"), "s"), failure("s", "oops")}, []string{failure("1", streaming+" HubException: oops")}},
		{"late items", []string{with(call("1", "First"), "s"), item("s", 5), item("s", 6), item("s", 7), end("s"), call("2", "Fine")}, []string{result("1", "5"), result("2", "7")}},
		{"the later one first", append(append([]string{with(call("1", "Join", "-"), "a", "b")}, many("b", 100)...), end("b"), call("2", "Fine"), end("a")), []string{result("2", "7"), result("1", `"-`+strings.Repeat("b", 100)+`"`)}},
	} {
		for _, codec := range codecs() {
			t.Run(test.name+"/"+codec.Name(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ann := served(t, hub.Options{Methods: methods}).ConnectWith(codec, "ann", "")
					var got []string
					for _, said := range test.said {
						ann.Send(said)
						got = append(got, settle(ann)...)
					}
					want(t, "heard", got, test.heard...)
					ann.Send(with(call("9", "Sum"), "s"), item("s", 9), end("s"))
					want(t, "afterwards", settle(ann), result("9", "9"))
				})
			})
		}
	}
}

// A stream that nobody reads stops the reader at a bound, and not for ever.
func TestStreamThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		s := served(t, hub.Options{Methods: hub.Methods{
			"Late": func(c *hub.Context, items *hub.Stream[string]) (int, error) {
				g.Wait(c, "")
				n := 0
				for _, err := range items.All() {
					if err != nil {
						return 0, err
					}
					n++
				}
				return n, nil
			},
		}})
		opened := g.shut(t)
		ann := s.Connect("ann", "")
		ann.Send(`{"type":6}`, with(call("1", "Late"), "s"))
		var sent atomic.Int32
		var sending sync.WaitGroup
		sending.Go(func() {
			for range 100 {
				ann.Send(item("s", strings.Repeat("x", 20_000)))
				sent.Add(1)
			}
			ann.Send(end("s"))
		})
		time.Sleep(time.Minute) // the silence is ours, not the client's
		if n := sent.Load(); n < 10 || n > 20 {
			t.Errorf("%d items of 20,000 bytes were taken, want about 13", n)
		}
		if code := ann.Code(); code != hubtest.CodeOpen {
			t.Fatalf("the connection ended with %d while its method did not read", code)
		}
		opened()
		sending.Wait()
		synctest.Wait()
		got := ann.Heard()
		if last := got[len(got)-1]; last != result("1", "100") {
			t.Errorf("got %s, want all 100 items", last)
		}
	})
}

// The end of a connection ends the streams it was sending.
func TestStreamOfAClientThatIsGone(t *testing.T) {
	for _, leave := range []func(b *hubtest.Browser){(*hubtest.Browser).Cut, (*hubtest.Browser).Close, func(b *hubtest.Browser) { b.Send(`{"type":7}`) }} {
		synctest.Test(t, func(t *testing.T) {
			heard := make(chan error, 1)
			s := served(t, hub.Options{Methods: hub.Methods{
				"Take": func(_ *hub.Context, items *hub.Stream[string]) {
					for _, err := range items.All() {
						if err != nil {
							heard <- err
						}
					}
				},
			}})
			ann := s.Connect("ann", "")
			ann.Send(with(tell("Take"), "s"), item("s", "x"))
			synctest.Wait()
			leave(ann)
			if err := <-heard; err == nil {
				t.Error("the method did not hear of it")
			}
		})
	}
}

// A call with streams begins behind the plain calls before it; those behind it
// do not wait. One that is cancelled before it has begun does not run.
func TestStreamsBeginInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended, began atomic.Int32
		endless := ticks(&ended)
		s := served(t, hub.Options{Methods: hub.Methods{
			"Work":  func(*hub.Context) { time.Sleep(time.Minute) },
			"Ticks": func(c *hub.Context) iter.Seq[int] { began.Add(1); return endless(c) },
			"Fine":  func(*hub.Context) int { return 7 },
		}})
		ann := s.Connect("ann", "")
		ann.Send(call("1", "Work"), open("2", "Ticks"), open("3", "Ticks"), call("4", "Fine"), cancel("3"))
		synctest.Wait()
		if began.Load() != 0 {
			t.Error("a stream has begun before the call in front of it has ended")
		}
		time.Sleep(time.Minute)
		got := slices.DeleteFunc(settle(ann), func(r string) bool { return r == `{"type":6}` })
		slices.Sort(got[1:]) // the two behind the call run side by side
		want(t, "in order", got, result("1", "null"), end("3"), result("4", "7"))
		if began.Load() != 1 {
			t.Errorf("%d streams have begun, want the one that was not cancelled", began.Load())
		}
		time.Sleep(time.Second)
		want(t, "and goes on", settle(ann), item("2", 0))
	})
}

// With more than one call at a time, that many overlap and no more.
func TestParallelInvocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		s := served(t, hub.Options{ParallelInvocations: 3, Methods: hub.Methods{"Work": func(*hub.Context) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
		}}})
		ann := s.Connect("ann", "")
		for n := range 9 {
			ann.Send(call(fmt.Sprint(n), "Work"))
		}
		time.Sleep(3100 * time.Millisecond)
		if got := settle(ann); len(got) != 9 || most.Load() != 3 {
			t.Errorf("got %d answers after three seconds and %d at once, want 9 and 3", len(got), most.Load())
		}
	})
}
