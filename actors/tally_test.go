package actors_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tidings/actors"
	"tidings/actors/actorstest"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// deliveries emits one batch and returns what became of its events, by position.
func (n *node) deliveries(seen observer, to ...notifications.Recipient) map[notifications.Position]actors.Delivery {
	n.t.Helper()
	n.emit(to...)
	synctest.Wait()
	found := make(map[notifications.Position]actors.Delivery)
	for range to {
		select {
		case d := <-seen:
			found[d.Entry.Position] = d
		default:
			n.t.Fatalf("%d of %d deliveries were observed", len(found), len(to))
		}
	}
	return found
}

// told are the details of one outcome, as connection:user.
func told(d actors.Delivery, outcome string) []string {
	var all []string
	for _, detail := range d.Details {
		if detail.Outcome == outcome {
			all = append(all, detail.Connection+":"+detail.User)
		}
	}
	return all
}

// A socket that breaks while it is written is counted at the events that were in
// that write, and at no others.
func TestBrokenSocketsAreCounted(t *testing.T) {
	everyone, ops := notifications.ToEveryone(), notifications.ToRole("ops")
	ann, bob := notifications.ToUser("ann"), notifications.ToUser("bob")
	for _, test := range []struct {
		name string
		to   []notifications.Recipient
		want []int // at each event
	}{
		{"everyone", []notifications.Recipient{everyone}, []int{1}},
		{"role", []notifications.Recipient{ops}, []int{1}},
		{"group", []notifications.Recipient{notifications.ToGroup("g")}, []int{1}},
		{"of a batch", []notifications.Recipient{ann, bob, bob, notifications.ToRole("sales")}, []int{0, 1, 1, 0}},
		{"with everyone", []notifications.Recipient{everyone, ann, bob}, []int{1, 0, 1}},
		{"muted", []notifications.Recipient{bob, notifications.ToGroup("muted")}, []int{1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(observer, 16)
				n := newNode(t, actors.Options{Shards: 1, Observer: seen})
				n.connect(actors.Member{ID: "a", User: "ann", Roles: []string{"ops", "sales"}, Groups: map[string]notifications.Position{"g": 0}})
				broken := n.connect(actors.Member{
					ID: "b", User: "bob", Roles: []string{"ops"}, Groups: map[string]notifications.Position{"g": 0, "muted": 0},
					State: &notifications.State{Version: 1, Preferences: notifications.Preferences{Mutes: []notifications.Mute{{Group: "muted"}}}},
				})
				n.emit(bob) // and this one it has
				synctest.Wait()
				<-seen
				broken.sink.Cut()
				found := n.deliveries(seen, test.to...)
				for i, want := range test.want {
					d := found[notifications.Position(2+i)]
					if got := told(d, "failed"); d.Failed != want || len(got) != want || want == 1 && got[0] != "b:" {
						t.Errorf("event %d for %v: %d failed with details %q, want %d", i, test.to[i], d.Failed, got, want)
					}
				}
			})
		})
	}
}

// A socket that breaks is counted if its client may come back, too.
func TestBrokenSocketOfOneThatComesBackIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(observer, 16)
		n := newNode(t, actors.Options{Shards: 1, Observer: seen})
		ann := n.connect(actors.Member{ID: "a", User: "ann", Resumable: true})
		if err := ann.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ann.sink.Cut()
		if d := n.deliveries(seen, notifications.ToUser("ann"))[1]; d.Failed != 1 || d.Connections != 1 {
			t.Errorf("%d of %d failed, want 1 of 1", d.Failed, d.Connections)
		}
	})
}

// One whose socket is blocked is slow from the event on for which there was no
// room; one that has come and is not up to date is merely behind.
func TestSlowSocketsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(observer, 64)
		n := newNode(t, actors.Options{Shards: 1, Observer: seen, OutboxFrames: 2})
		slow := n.connect(actors.Member{ID: "s", User: "ann"})
		n.connect(actors.Member{ID: "f", User: "ann"})
		n.join(actors.Member{ID: "j", User: "ann"}) // and is not resumed
		synctest.Wait()
		slow.sink.Stall(0)
		var was []string
		for p := range notifications.Position(5) {
			time.Sleep(time.Millisecond) // bubble time
			d := n.deliveries(seen, notifications.ToUser("ann"))[p+1]
			was = append(was, fmt.Sprint(d.Connections, d.Deferred, d.Slow, told(d, "slow")))
		}
		want := "[2 1 0 [] 2 1 0 [] 2 1 0 [] 1 2 1 [s:] 1 2 1 [s:]]"
		if got := fmt.Sprint(was); got != want {
			t.Errorf("connections, deferred, slow: got %s, want %s", got, want)
		}
		slow.sink.Go()
		synctest.Wait()
		if d := n.deliveries(seen, notifications.ToUser("ann"))[6]; d.Slow != 0 || d.Connections != 2 {
			t.Errorf("after it has caught up: %d slow, %d connections, want 0, 2", d.Slow, d.Connections)
		}
	})
}

// Of a user who is traced every connection is told of, of others none.
func TestTracedUsersAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(observer, 64)
		n := newNode(t, actors.Options{Shards: 2, Observer: seen})
		if err := n.system.Trace("ann", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		muted := &notifications.State{Version: 1, Preferences: notifications.Preferences{Mutes: []notifications.Mute{{Group: "g"}}}}
		for _, id := range []string{"a1", "a2"} {
			n.connect(actors.Member{ID: id, User: "ann", State: muted, Groups: map[string]notifications.Position{"g": 0}})
		}
		n.connect(actors.Member{ID: "b", User: "bob", Groups: map[string]notifications.Position{"g": 0}})
		synctest.Wait()
		found := n.deliveries(seen, notifications.ToEveryone(), notifications.ToUser("ann"), notifications.ToUser("bob"), notifications.ToGroup("g"))
		for p, want := range map[notifications.Position]string{1: "[a1:ann a2:ann] []", 2: "[a1:ann a2:ann] []", 3: "[] []", 4: "[] [a1:ann a2:ann]"} {
			if got := fmt.Sprint(told(found[p], "sent"), told(found[p], "muted")); got != want {
				t.Errorf("position %d: sent and muted %s, want %s", p, got, want)
			}
		}
		n.system.Untrace("ann")
		synctest.Wait()
		if d := n.deliveries(seen, notifications.ToEveryone())[5]; len(d.Details) != 0 {
			t.Errorf("of nobody who is traced: %+v", d.Details)
		}
	})
}

// However much goes wrong, a delivery tells of a bounded number of connections.
func TestDetailsAreBounded(t *testing.T) {
	for _, shards := range []int{1, 12} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 200
				seen := make(observer, 16)
				n := newNode(t, actors.Options{Shards: shards, Observer: seen, OutboxFrames: 1})
				var cut []browser
				for i := range each {
					cut = append(cut, n.connect(actors.Member{ID: fmt.Sprint("f", i), User: fmt.Sprint("f", i)}))
					n.connect(actors.Member{ID: fmt.Sprint("s", i), User: fmt.Sprint("s", i)}).sink.Stall(0)
				}
				synctest.Wait()
				for range 2 { // one is being written, one fills the outbox
					n.deliveries(seen, notifications.ToEveryone())
				}
				for _, b := range cut {
					b.sink.Cut()
				}
				d := n.deliveries(seen, notifications.ToEveryone())[3]
				if d.Failed != each || d.Slow != each || d.Connections != each {
					t.Errorf("%d failed, %d slow, %d connections, want %d of each", d.Failed, d.Slow, d.Connections, each)
				}
				if got, want := len(d.Details), min(64, shards*16); got != want {
					t.Errorf("%d details, want %d", got, want)
				}
			})
		})
	}
}

// slowly is a socket whose every write takes a millisecond, of bubble time.
type slowly struct{ *actorstest.Sink }

func (s slowly) TryWrite(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return s.Sink.TryWrite(p)
}

// How long connections have waited is known of every kind of delivery.
func TestLatencies(t *testing.T) {
	for _, to := range []notifications.Recipient{notifications.ToEveryone(), notifications.ToRole("ops"), notifications.ToUser("ann")} {
		t.Run(to.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(observer, 16)
				n := newNode(t, actors.Options{Shards: 1, Observer: seen})
				for i := range 64 {
					m := actors.Member{ID: fmt.Sprint("c", i), User: "ann", Roles: []string{"ops"}, Codec: protocol.JSON(), Sink: slowly{actorstest.NewSink()}}
					c, err := n.system.Join(t.Context(), m)
					if err != nil {
						t.Fatal(err)
					}
					if err := c.Resume(t.Context(), 0); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				n.emit(to)
				d := <-seen
				if d.Max != 64*time.Millisecond {
					t.Errorf("the longest is %v, want 64 ms", d.Max)
				}
				// 16 writes share a reading: all of them count as the last.
				if d.P50 < 32*time.Millisecond*7/8 || d.P50 > 48*time.Millisecond*9/8 || d.P99 < 64*time.Millisecond*7/8 || d.P99 > d.Max {
					t.Errorf("median %v and 99 %% %v, want about 32 to 48 and 64 ms", d.P50, d.P99)
				}
				if d = n.deliveries(seen, notifications.ToUser("zoe"))[2]; d.Max != 0 || d.P50 != 0 {
					t.Errorf("for nobody: median %v, longest %v, want 0", d.P50, d.Max)
				}
			})
		})
	}
}

// What is queued before a blocked socket counts as written when its shard was
// done with it.
func TestLatencyOfWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64 // at the clock, which goes on with each
		seen := make(observer, 16)
		n := newNode(t, actors.Options{Shards: 1, Observer: seen, Now: func() time.Time { return time.UnixMilli(looks.Add(1)) }})
		ann := n.connect(actors.Member{ID: "a", User: "ann"})
		synctest.Wait()
		ann.sink.Stall(0)
		n.deliveries(seen, notifications.ToUser("ann"))
		d := n.deliveries(seen, notifications.ToUser("ann"))[2]
		if took := d.Ended.Sub(d.Started); d.Connections != 1 || took == 0 || d.Max != took || d.P50 > took || d.P50 == 0 {
			t.Errorf("%d connections in %v, median %v, want 1 in %v", d.Connections, d.Max, d.P50, took)
		}
	})
}
