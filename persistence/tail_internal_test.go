package persistence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/notifications"
)

// The tail is a map that forgets its oldest events, whole chunks of them, when
// they take more than its budget.
func TestTailIsAMapOfTheNewest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 1000, 5000, 100_000}).Draw(t, "limit")
		tl := newTail(limit)
		model := make(map[notifications.Position]*notifications.Entry)
		var last notifications.Position
		hubs, keys := []string{"h", "hu"}, []string{"ann", "a", "nn", strings.Repeat("k", 256)}
		add := func(t *rapid.T) {
			last += notifications.Position(rapid.SampledFrom([]int{1, 1, 1, 2, 7}).Draw(t, "step"))
			e := &notifications.Entry{
				Position: last, Hub: rapid.SampledFrom(hubs).Draw(t, "hub"), Stored: time.UnixMilli(rapid.Int64Range(0, 1<<41).Draw(t, "stored")).UTC(),
				Event: notifications.Event{
					ID: rapid.String().Draw(t, "id"), Recipient: notifications.ToUser(rapid.SampledFrom(keys).Draw(t, "key")),
					Type: "t", Target: "T", Title: rapid.String().Draw(t, "title"), Body: strings.Repeat("b", rapid.IntRange(0, 2000).Draw(t, "body")),
					Severity: notifications.Warning, MembersAt: notifications.Emit, CreatedAt: time.UnixMilli(1).UTC(), Emitter: rapid.String().Draw(t, "emitter"),
				},
			}
			if rapid.Bool().Draw(t, "more") {
				e.Event.Data, e.Event.Link, e.Event.CollapseKey, e.Event.Recalls = json.RawMessage(` {"a":[1,"}"]}`), "/l", "k", "r"
				e.Event.Source, e.Event.ReplayOf, e.Event.TraceParent, e.Event.TraceState = "s", "h/1", "p", "q"
				e.Event.ExpiresAt, e.Event.NotBefore = time.UnixMilli(2).UTC(), time.UnixMilli(0).UTC()
				e.Event.Actions = []notifications.Action{{Label: "a", Link: "/"}, {Label: rapid.String().Draw(t, "label"), Method: "m"}}
			}
			tl.add(e)
			model[last] = e
		}
		forget := func(t *rapid.T) {
			a := address{rapid.SampledFrom(hubs).Draw(t, "hub"), notifications.ToUser(rapid.SampledFrom(keys).Draw(t, "key"))}
			upTo := notifications.Position(rapid.Uint64Range(0, uint64(last)+1).Draw(t, "upTo"))
			tl.forget(a, upTo)
			for p, e := range model {
				if p <= upTo && e.Hub == a.hub && e.Event.Recipient == a.recipient {
					delete(model, p)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": add, "add more": add, "forget": forget,
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "reset") == 0 {
					tl.reset()
					clear(model)
				}
			},
			"": func(t *rapid.T) {
				held := 0
				for p := notifications.Position(0); p <= last+1; p++ {
					got, ok := tl.get(p)
					want, is := model[p]
					switch {
					case !is && ok:
						t.Fatalf("%d was forgotten, got %+v", p, got)
					case ok:
						held++
						if diff := cmp.Diff(want, got); diff != "" {
							t.Fatalf("%d (-want +got):\n%s", p, diff)
						}
					case is && held > 0:
						t.Fatalf("%d is missing behind one that is held", p)
					}
				}
				if _, is := model[last]; is && held == 0 {
					t.Fatal("the newest event is not held")
				}
				if size := tl.size(); size > int64(limit) && len(tl.chunks) > 1 {
					t.Fatalf("takes %d bytes in %d chunks, at most %d are allowed", size, len(tl.chunks), limit)
				}
			},
		})
	})
}

// What was erased is not in the tail any more.
func TestTailOverwritesWhatIsForgotten(t *testing.T) {
	t.Parallel()
	tl := newTail(1 << 20)
	for p, key := range []string{"ann", "bob", "ann"} {
		tl.add(&notifications.Entry{Position: notifications.Position(p + 1), Hub: "h", Event: notifications.Event{ID: "e", Recipient: notifications.ToUser(key), Title: "secret of " + key}})
	}
	tl.forget(address{"h", notifications.ToUser("ann")}, 9)
	for _, chunk := range tl.chunks {
		if bytes.Contains(chunk, []byte("secret of ann")) {
			t.Error("is still in memory")
		}
		if !bytes.Contains(chunk, []byte("secret of bob")) {
			t.Error("another user's event was overwritten")
		}
	}
}

// Readers do not wait for each other, nor for the follower, nor for an erasure.
func TestTailIsReadWhileItChanges(t *testing.T) {
	t.Parallel()
	tl := newTail(20_000)
	e := notifications.Entry{Hub: "h", Event: notifications.Event{ID: "e", Recipient: notifications.ToUser("ann"), Title: strings.Repeat("x", 100)}}
	var wg sync.WaitGroup
	var last atomic.Uint64
	for range 4 {
		wg.Go(func() {
			for p := last.Load(); p < 2000; p = last.Load() {
				if got, ok := tl.get(notifications.Position(p)); ok && (got.Event.Title != e.Event.Title || got.Position != notifications.Position(p)) {
					t.Errorf("%d: got %+v", p, got)
				}
			}
		})
	}
	for p := range notifications.Position(2000) {
		one := e
		one.Position = p + 1
		if p%2 == 0 {
			one.Event.Recipient = notifications.ToUser("bob")
		}
		tl.add(&one)
		last.Store(uint64(p + 1))
		if p%50 == 0 {
			tl.forget(address{"h", notifications.ToUser("bob")}, p+1)
		}
	}
	wg.Wait()
}

// Every field is kept, also one that is added to events one day.
func TestTailKeepsEveryField(t *testing.T) {
	t.Parallel()
	var want notifications.Entry
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		n++
		switch v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(time.UnixMilli(int64(n)).UTC()))
			return
		case json.RawMessage:
			v.SetBytes([]byte(`{"n":1}`))
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for _, field := range v.Fields() {
				fill(field)
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
		case reflect.Uint64:
			v.SetUint(uint64(n))
		case reflect.String:
			v.SetString(fmt.Sprint("text ", n))
		default:
			t.Fatalf("a field of a new kind: %s", v.Type())
		}
	}
	fill(reflect.ValueOf(&want).Elem())
	tl := newTail(1 << 20)
	tl.add(&want)
	got, _ := tl.get(want.Position)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func tailOf(events int) *tail {
	tl := newTail(1 << 30)
	for p := range events {
		tl.add(&notifications.Entry{Position: notifications.Position(p + 1), Hub: "h", Stored: time.UnixMilli(int64(p)).UTC(), Event: notifications.Event{
			ID: notifications.NewID(), Recipient: notifications.ToUser(fmt.Sprint(p)), Type: "order.shipped", Target: "ReceiveNotification",
			Title: "Your order has been shipped", Body: "It is on its way.", Data: json.RawMessage(`{"order":4711,"items":[1,2,3]}`),
			Severity: notifications.Info, MembersAt: notifications.Emit, CreatedAt: time.UnixMilli(int64(p)).UTC(),
		}})
	}
	return tl
}

func BenchmarkTailGet(b *testing.B) {
	tl := tailOf(100_000)
	p := notifications.Position(0)
	b.ReportAllocs()
	for b.Loop() {
		if p++; p > 100_000 {
			p = 1
		}
		if _, ok := tl.get(p); !ok {
			b.Fatal(p)
		}
	}
}

// What the collector has to do for a tail.
func BenchmarkTailCollect(b *testing.B) {
	const events = 200_000
	tl := tailOf(events)
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric(float64(tl.size())/events, "B/event")
}
