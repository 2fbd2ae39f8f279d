package persistence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"tidings/notifications"
)

// at is a state of that version.
func at(version uint64) folded {
	return folded{state: notifications.State{Version: notifications.Version(version)}}
}

func marked(sequence, after uint64) stateMessage {
	return stateMessage{
		stateForm: stateForm{Change: &notifications.Change{Kind: notifications.ChangeSeen}}, sequence: sequence, after: after,
	}
}

// What a reader brings is not kept when something newer was heard since it
// began, whatever came between.
func TestASlowReaderDoesNotSpoilMemory(t *testing.T) {
	for _, test := range []struct {
		name  string
		since func(c *stateCache)
		want  bool // it is kept
	}{
		{"nothing", func(*stateCache) {}, true},
		{"a change of another user", func(c *stateCache) { c.hear("bob", "h", "bob", marked(12, 0)) }, true},
		{"its own change", func(c *stateCache) { c.hear("ann", "h", "ann", marked(10, 9)) }, true},
		{"a newer change", func(c *stateCache) { c.hear("ann", "h", "ann", marked(11, 10)) }, false},
		{"it was erased", func(c *stateCache) { c.drop("ann") }, false},
		{"a message that cannot be read", func(c *stateCache) { c.skip("ann", 11) }, false},
		{"the follower began", func(c *stateCache) { c.attach(11, 11) }, false},
		{"the follower ended", func(c *stateCache) { c.detach() }, false},
		{"the follower ended and began", func(c *stateCache) { c.detach(); c.attach(11, 11) }, false},
	} {
		c := newStateCache(2)
		c.attach(9, 9)
		slow := c.begin("ann")
		test.since(c)
		c.put(slow, at(10))
		c.end(slow)
		if _, kept := c.get("ann"); kept != test.want {
			t.Errorf("%s: kept is %v, want %v", test.name, kept, test.want)
		}
		if len(c.reading) != 0 {
			t.Errorf("%s: somebody still reads", test.name)
		}
	}
}

func TestMemoryOfStates(t *testing.T) {
	c := newStateCache(2)
	put := func(user string, version uint64) {
		ticket := c.begin(user)
		defer c.end(ticket)
		c.put(ticket, at(version))
	}
	knows := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, user := range []string{"ann", "bob", "cid"} {
			if f, ok := c.get(user); ok {
				got = append(got, fmt.Sprint(user, f.version()))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", when, got, want)
		}
	}
	put("ann", 1)
	knows("without a follower")
	c.attach(5, 5)
	put("ann", 1)
	put("bob", 2)
	put("bob", 1) // comes late
	knows("with one", "ann1", "bob2")
	c.hear("ann", "h", "ann", marked(6, 1))
	c.hear("bob", "h", "bob", marked(7, 3)) // one is missing
	knows("a change, and one behind a gap", "ann6")
	put("bob", 7)
	c.reach(8)
	knows("the stream is further than the follower")
	c.hear("cid", "h", "cid", marked(8, 0))
	knows("and the follower is there", "ann6", "bob7")
	put("cid", 8)
	knows("too many users", "bob7", "cid8")
	c.detach()
	knows("the follower has gone")
}

func TestChainOfMilestones(t *testing.T) {
	day := 24 * time.Hour
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var chain []link
	var horizon uint64
	// A milestone a day, for a hundred days; events are kept for thirty.
	for i := range 100 {
		now := began.Add(time.Duration(i+1) * day)
		chain, horizon = extend(chain, link{uint64(i + 1), now.Add(-day)}, now, 30*day)
		if horizon != 0 && (chain[0].Sequence != horizon || now.Sub(chain[0].At) < 30*day || len(chain) > 1 && now.Sub(chain[1].At) >= 31*day) {
			t.Fatalf("milestone %d: horizon %d, chain %v", i, horizon, chain)
		}
		if (i < 30) != (horizon == 0) {
			t.Fatalf("milestone %d: horizon %d", i, horizon)
		}
	}
	if len(chain) != 31 {
		t.Errorf("got %d links, want one a day", len(chain))
	}
}

// A chain stays short and its horizon is old enough, however milestones come.
func TestChainsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		age := time.Duration(rapid.Int64Range(1, int64(2000*24*time.Hour)).Draw(t, "age"))
		now := time.Unix(1_800_000_000, 0)
		var chain []link
		for i := range rapid.IntRange(1, 200).Draw(t, "milestones") {
			next := link{uint64(i + 1), now}
			now = now.Add(spacing(age) + time.Duration(rapid.Int64Range(0, int64(60*24*time.Hour)).Draw(t, "pause")))
			var horizon uint64
			full := len(chain) == chainLinks
			chain, horizon = extend(chain, next, now, age)
			if len(chain) > chainLinks || full && horizon == 0 {
				t.Fatalf("%d links, horizon %d", len(chain), horizon)
			}
			if horizon != 0 && (horizon != chain[0].Sequence || now.Sub(chain[0].At) < age) {
				t.Fatalf("horizon %d of %v is not old", horizon, chain)
			}
		}
	})
}

// Snapshots take about as much room as changes, and few changes are without one.
func TestSnapshotsAreWorthTheirRoom(t *testing.T) {
	for _, positions := range []notifications.Position{1, 50, 2000} {
		var f folded
		changes, snapshots, most := 0, 0, 0
		for i := range notifications.Position(1000) {
			m := stateMessage{sequence: uint64(i + 1), after: uint64(i), stateForm: stateForm{Change: &notifications.Change{
				Kind: notifications.ChangeRead, Positions: notifications.NewPositions(i*7%positions + 1_000_000),
			}}}
			data, err := encode(m.stateForm)
			if err != nil {
				t.Fatal(err)
			}
			if changes += len(data); f.due() {
				state := f.with("h", "ann", m).state
				m.Snapshot = &state
			}
			if data, err = encode(m.stateForm); err != nil {
				t.Fatal(err)
			}
			snapshots += len(data)
			m.size = len(data)
			f = f.with("h", "ann", m)
			most = max(most, f.count)
		}
		if snapshots > 3*changes && most < snapshotMost-1 || most >= snapshotMost {
			t.Errorf("%d positions: %d bytes with snapshots, %d without, at most %d changes without one", positions, snapshots, changes, most)
		}
		t.Logf("%d positions: %d bytes with snapshots, %d without, at most %d changes without one", positions, snapshots, changes, most)
	}
}

// The messages of a subject are read alike from a stream that answers directly
// and from one whose leader alone may be asked.
func TestReadingASubject(t *testing.T) {
	server, err := StartServer(ServerOptions{Dir: t.TempDir(), Sync: SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	conn, err := Connect(ConnectOptions{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, config := range []jetstream.StreamConfig{
		{Name: "DIRECT", Subjects: []string{"direct.>"}, AllowDirect: true}, {Name: "LEADER", Subjects: []string{"leader.>"}},
	} {
		stream, err := conn.js.CreateStream(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		r, prefix := reader{conn, stream}, config.Subjects[0][:7]
		const n = 1300 // more than two batches
		for i := range n + 20 {
			name := []string{"a", "b"}[i%2]
			if i >= n {
				name = "c"
			}
			if _, err = conn.js.PublishAsync(prefix+name, nil); err != nil {
				t.Fatal(err)
			}
		}
		<-conn.js.PublishAsyncComplete()
		count := func(subject string, from uint64, limit int) (sequences []uint64) {
			err := r.each(t.Context(), subject, from, limit, func(raw *jetstream.RawStreamMsg) error {
				if raw.Time.IsZero() || raw.Subject == "" {
					t.Errorf("%s: %+v", config.Name, raw)
				}
				sequences = append(sequences, raw.Sequence)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return sequences
		}
		for _, test := range []struct {
			subject     string
			from        uint64
			limit       int
			want        int
			first, last uint64
		}{
			{"a", 0, 0, 650, 1, 1299},
			{"b", 3, 0, 649, 4, 1300},
			{"*", 1, 0, 1320, 1, 1320},
			{"*", 1, 600, 600, 1, 600},
			{"a", 1300, 0, 0, 0, 0},
			{"none", 1, 0, 0, 0, 0},
			{"a", 7, 1, 1, 7, 7},
			{"b", 2000, 0, 0, 0, 0},
		} {
			got := count(prefix+test.subject, test.from, test.limit)
			if len(got) != test.want || test.want > 0 && (got[0] != test.first || got[len(got)-1] != test.last) || !slices.IsSorted(got) {
				t.Errorf("%s: %+v: got %d messages", config.Name, test, len(got))
			}
		}
		if _, err = r.last(t.Context(), prefix+"none"); !errors.Is(err, errNoMessage) {
			t.Errorf("%s: last of nothing: %v", config.Name, err)
		}
		if raw, err := r.last(t.Context(), prefix+"a"); err != nil || raw.Sequence != 1299 {
			t.Errorf("%s: last: got %+v, %v", config.Name, raw, err)
		}
		for range 2 { // one that has gone is no error
			if err = errors.Join(r.erase(t.Context(), n+1), r.remove(t.Context(), n+2)); err != nil {
				t.Errorf("%s: %v", config.Name, err)
			}
		}
		if _, err = r.get(t.Context(), n+1); !errors.Is(err, errNoMessage) {
			t.Errorf("%s: an erased message: %v", config.Name, err)
		}
		if raw, err := r.get(t.Context(), n+3); err != nil || raw.Sequence != n+3 {
			t.Errorf("%s: get: got %+v, %v", config.Name, raw, err)
		}
		last := make(map[string]uint64)
		err = r.lasts(t.Context(), prefix+"*", func(raw *jetstream.RawStreamMsg) error {
			last[raw.Subject] = raw.Sequence
			return nil
		})
		if want := map[string]uint64{prefix + "a": n - 1, prefix + "b": n, prefix + "c": n + 20}; err != nil || !maps.Equal(last, want) {
			t.Errorf("%s: lasts: got %v, %v, want %v", config.Name, last, err, want)
		}
		broken := errors.New("broken")
		if err = r.each(t.Context(), prefix+"b", 1, 0, func(*jetstream.RawStreamMsg) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want the error of yield", config.Name, err)
		}
	}
	gone := reader{conn, nil}
	if gone.stream, err = conn.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "GONE", Subjects: []string{"gone"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	if err = conn.js.DeleteStream(t.Context(), "GONE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	began := time.Now()
	if _, err = gone.batch(ctx, "gone", 1, 1); !errors.Is(err, notifications.ErrUnavailable) || time.Since(began) > attemptTime/2 {
		t.Errorf("a stream that has gone: %v after %v, want ErrUnavailable at once", err, time.Since(began))
	}
}
