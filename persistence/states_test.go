package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
	"tidings/persistence"
)

// states is one node's view of the states; it is not followed.
func (s *station) states(tb testing.TB, o persistence.Options) *persistence.States {
	tb.Helper()
	states, err := persistence.OpenStates(tb.Context(), s.connect(tb), o, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return states
}

// followed is a node's view of the states that memory answers.
func followed(tb testing.TB, s *persistence.States) <-chan notifications.Changed {
	tb.Helper()
	heard := make(chan notifications.Changed, 1<<16)
	background(tb, func(ctx context.Context) error {
		return s.Follow(ctx, func(_ context.Context, c notifications.Changed) { heard <- c })
	})
	const nobody = "nobody in particular"
	eventually(tb, "memory answers", func() bool {
		before := s.Stats().Cached
		if _, err := s.Load(tb.Context(), hub, nobody); err != nil {
			tb.Fatal(err)
		}
		return s.Stats().Cached > before
	})
	return heard
}

func read(positions ...notifications.Position) notifications.Change {
	return notifications.Change{
		Kind: notifications.ChangeRead, Epoch: 1, Positions: notifications.NewPositions(positions...), At: time.UnixMilli(1000).UTC(),
	}
}

// change appends a change to a user's state, whatever others do meanwhile.
func change(tb testing.TB, s *persistence.States, user string, c notifications.Change) notifications.State {
	tb.Helper()
	for {
		from, err := s.Load(tb.Context(), hub, user)
		if err != nil {
			tb.Fatal(err)
		}
		after, err := s.Append(tb.Context(), hub, user, from, c)
		if errors.Is(err, notifications.ErrStale) {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		return after
	}
}

func load(tb testing.TB, s *persistence.States, user string) notifications.State {
	tb.Helper()
	state, err := s.Load(tb.Context(), hub, user)
	if err != nil {
		tb.Fatal(err)
	}
	return state
}

func TestStatesAreTheFoldOfTheirChanges(t *testing.T) {
	s := newStation(t)
	states := s.states(t, persistence.Options{})
	if got := load(t, states, "ann"); text(t, got) != "{}" {
		t.Fatalf("a new user: got %s", text(t, got))
	}
	var want notifications.State
	for i := range notifications.Position(200) {
		after := change(t, states, "ann", read(i+1))
		want = want.Apply(notifications.Changed{Version: after.Version, Change: read(i + 1)})
		if text(t, after) != text(t, want) {
			t.Fatalf("after change %d:\n got %s\nwant %s", i+1, text(t, after), text(t, want))
		}
		if i%7 == 0 {
			change(t, states, "bob <b@example.com>", read(i+1))
		}
	}
	if got := load(t, s.states(t, persistence.Options{}), "ann"); text(t, got) != text(t, want) {
		t.Errorf("another node:\n got %s\nwant %s", text(t, got), text(t, want))
	}
	if got := states.Stats(); got.Snapshots < 10 || got.Snapshots > 100 || got.Appended != 229 || got.Stale != 0 {
		t.Errorf("stats: got %+v, want some snapshots and 229 changes", got)
	}
	before, changes, err := states.History(t.Context(), hub, "ann")
	if err != nil || text(t, before) != "{}" || len(changes) != 200 {
		t.Fatalf("history: got %d changes after %s, %v", len(changes), text(t, before), err)
	}
	for _, c := range changes {
		before = before.Apply(c)
	}
	if text(t, before) != text(t, want) {
		t.Errorf("the fold of the history:\n got %s\nwant %s", text(t, before), text(t, want))
	}
}

func TestNobodyHasNoState(t *testing.T) {
	states := newStation(t).states(t, persistence.Options{})
	if got := load(t, states, ""); text(t, got) != "{}" {
		t.Errorf("load: got %s", text(t, got))
	}
	if _, changes, err := states.History(t.Context(), hub, ""); err != nil || len(changes) != 0 {
		t.Errorf("history: got %d, %v", len(changes), err)
	}
	if _, err := states.Append(t.Context(), hub, "", notifications.State{}, read(1)); err == nil {
		t.Error("append: want an error")
	}
	if err := states.Erase(t.Context(), hub, ""); err == nil {
		t.Error("erase: want an error")
	}
}

// Whoever decides on an old state is told, whether memory answers or not.
func TestAStaleChangeIsRefused(t *testing.T) {
	s := newStation(t)
	ours, theirs := s.states(t, persistence.Options{}), s.states(t, persistence.Options{})
	for _, memory := range []string{"without memory", "with memory"} {
		if memory == "with memory" {
			followed(t, ours)
		}
		old := change(t, ours, "ann", read(1))
		change(t, theirs, "ann", read(2))
		if _, err := ours.Append(t.Context(), hub, "ann", old, read(3)); !errors.Is(err, notifications.ErrStale) {
			t.Errorf("%s: got %v, want ErrStale", memory, err)
		}
		if _, err := ours.Append(t.Context(), hub, "ann", notifications.State{}, read(3)); !errors.Is(err, notifications.ErrStale) {
			t.Errorf("%s: from nothing: got %v, want ErrStale", memory, err)
		}
	}
}

func TestStatesAreToldInOrderAndKnownBefore(t *testing.T) {
	s := newStation(t)
	ours, theirs := s.states(t, persistence.Options{}), s.states(t, persistence.Options{})
	type seen struct {
		changed notifications.Changed
		state   notifications.State
	}
	heard := make(chan seen, 1024)
	change(t, theirs, "ann", read(1)) // before anybody follows
	background(t, func(ctx context.Context) error {
		return ours.Follow(ctx, func(ctx context.Context, c notifications.Changed) {
			state, err := ours.Load(ctx, c.Hub, c.User)
			if err != nil {
				t.Error(err)
			}
			heard <- seen{c, state}
		})
	})
	eventually(t, "followed", func() bool {
		load(t, ours, "ann")
		return ours.Stats().Cached > 0
	})
	const n = 150
	for i := range notifications.Position(n) {
		change(t, theirs, "ann", read(i+2))
	}
	var last notifications.Version
	for i := range notifications.Position(n) {
		select {
		case got := <-heard:
			if got.changed.Hub != hub || got.changed.User != "ann" || got.changed.Version <= last || text(t, got.changed.Change) != text(t, read(i+2)) {
				t.Fatalf("change %d: got %+v", i, got.changed)
			}
			last = got.changed.Version
			if got.state.Version < last {
				t.Fatalf("told of version %d when Load knew %d", last, got.state.Version)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("change %d was not told", i)
		}
	}
	eventually(t, "both are equal", func() bool { return text(t, load(t, ours, "ann")) == text(t, load(t, theirs, "ann")) })
}

// Several nodes change the states of the same users at the same time. In the
// end all know the same, which is the fold of what was acknowledged, and memory
// has answered. One node has room for a few users only.
func TestConcurrentNodesEndEqual(t *testing.T) {
	s := newStation(t)
	const users, writers, each = 5, 4, 60
	nodes := []*persistence.States{
		s.states(t, persistence.Options{}), s.states(t, persistence.Options{StateUsers: 2}), s.states(t, persistence.Options{}),
	}
	told := []<-chan notifications.Changed{followed(t, nodes[0]), followed(t, nodes[1])} // the third has no memory
	var all sync.WaitGroup
	for i, node := range nodes {
		for w := range writers {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), uint64(w)))
				for k := range each {
					c := read(notifications.Position(r.IntN(50)) + 1)
					c.Kind = []notifications.ChangeKind{notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived}[r.IntN(3)]
					c.Device = fmt.Sprint(i, w, k)
					change(t, node, fmt.Sprint("u", r.IntN(users)), c)
				}
			})
		}
	}
	all.Wait()
	fresh := s.states(t, persistence.Options{})
	stored := make(map[string]int)
	for u := range users {
		user := fmt.Sprint("u", u)
		want := text(t, load(t, fresh, user))
		for i, node := range nodes {
			eventually(t, fmt.Sprintf("node %d knows %s as it is", i, user), func() bool { return text(t, load(t, node, user)) == want })
		}
		_, history, err := fresh.History(t.Context(), hub, user)
		if err != nil {
			t.Fatal(err)
		}
		var fold notifications.State
		for _, c := range history {
			fold = fold.Apply(c)
			stored[c.Change.Device]++
		}
		if text(t, fold) != want {
			t.Errorf("%s:\n fold %s\nstate %s", user, text(t, fold), want)
		}
	}
	const total = 3 * writers * each
	if len(stored) != total {
		t.Errorf("%d changes are kept, %d were acknowledged", len(stored), total)
	}
	for c, n := range stored {
		if n != 1 {
			t.Errorf("change %s is kept %d times", c, n)
		}
	}
	for i, heard := range told {
		eventually(t, fmt.Sprintf("node %d was told everything", i), func() bool { return len(heard) == total })
	}
	stats := nodes[0].Stats()
	if stats.Cached == 0 || stats.Stale == 0 {
		t.Errorf("the test proves nothing: %+v", stats)
	}
	t.Logf("%d changes; node 0: %+v", total, stats)
}

// Memory is not trusted while nobody follows: what others change meanwhile is
// seen, before, between and after.
func TestMemoryIsNotTrustedWithoutAFollower(t *testing.T) {
	s := newStation(t)
	ours, theirs := s.states(t, persistence.Options{}), s.states(t, persistence.Options{})
	check := func(when string) {
		t.Helper()
		for range 3 {
			want := change(t, theirs, "ann", read(notifications.Position(rand.IntN(1000)+1)))
			if got := load(t, ours, "ann"); got.Version != want.Version {
				t.Errorf("%s: got version %d, want %d", when, got.Version, want.Version)
			}
		}
	}
	check("before")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ours.Follow(ctx, func(context.Context, notifications.Changed) {}) }()
	eventually(t, "followed", func() bool {
		load(t, ours, "ann")
		return ours.Stats().Cached > 0
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := ours.Stats().Users; n != 0 {
		t.Errorf("%d users are in memory, want none", n)
	}
	check("after")
	followed(t, ours)
	want := change(t, theirs, "ann", read(7))
	eventually(t, "followed again", func() bool { return load(t, ours, "ann").Version == want.Version })
}

// The server goes away and comes back: Load and Append say so meanwhile, nothing
// is lost, every change is told once, and memory is right afterwards.
func TestStatesSurviveTheServer(t *testing.T) {
	s := newStation(t)
	ours, theirs := s.states(t, persistence.Options{}), s.states(t, persistence.Options{})
	heard := followed(t, ours)
	before := change(t, ours, "ann", read(1))
	change(t, ours, "bob", read(1))
	s.stop(t)
	brief, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	eventually(t, "the connection is known to be lost", func() bool {
		_, err := ours.Load(brief, hub, "ann")
		return errors.Is(err, notifications.ErrUnavailable)
	})
	if _, err := ours.Append(brief, hub, "ann", before, read(2)); !errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("append: got %v, want ErrUnavailable", err)
	}
	s.start(t)
	eventually(t, "the server is back", func() bool {
		_, err := theirs.Load(t.Context(), hub, "ann")
		return err == nil
	})
	want := change(t, theirs, "ann", read(3))
	eventually(t, "this node is back", func() bool {
		state, err := ours.Load(t.Context(), hub, "ann")
		return err == nil && state.Version == want.Version
	})
	var told []string
	for len(told) < 3 {
		select {
		case c := <-heard:
			told = append(told, fmt.Sprint(c.User, c.Change.Positions))
		case <-time.After(20 * time.Second):
			t.Fatalf("told %v", told)
		}
	}
	if fmt.Sprint(told) != "[ann[1] bob[1] ann[3]]" {
		t.Errorf("told %v", told)
	}
	eventually(t, "memory answers again", func() bool {
		cached := ours.Stats().Cached
		return load(t, ours, "ann").Version == want.Version && ours.Stats().Cached > cached
	})
}

// A stream that was made anew: nothing of the old one is believed.
func TestStatesMadeAnew(t *testing.T) {
	s := newStation(t)
	ours := s.states(t, persistence.Options{})
	heard := followed(t, ours)
	for range 5 {
		change(t, ours, "ann", read(1))
		<-heard
	}
	js := s.past(t)
	if err := js.DeleteStream(t.Context(), "TIDINGS_STATE"); err != nil {
		t.Fatal(err)
	}
	theirs := s.states(t, persistence.Options{})
	change(t, theirs, "ann", read(9))
	eventually(t, "the new stream is believed", func() bool {
		state, err := ours.Load(t.Context(), hub, "ann")
		return err == nil && fmt.Sprint(state.Read) == "[9]"
	})
	eventually(t, "memory answers", func() bool {
		cached := ours.Stats().Cached
		return fmt.Sprint(load(t, ours, "ann").Read) == "[9]" && ours.Stats().Cached > cached
	})
	want := change(t, theirs, "ann", read(10))
	eventually(t, "the new stream is followed", func() bool { return load(t, ours, "ann").Version == want.Version })
}

// A change whose acknowledgement is lost is stored once, and whoever made it is
// not told that somebody else was faster.
func TestAnAppendThatWasNotAnsweredIsRecognised(t *testing.T) {
	s := newStation(t)
	theirs := s.states(t, persistence.Options{})
	first := change(t, theirs, "ann", read(1))
	way, lost := lossy(t, s.addr, "tidings.state.notifications.user.ann")
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: way})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	ours, err := persistence.OpenStates(t.Context(), conn, persistence.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	appended := make(chan notifications.State, 1)
	go func() {
		after, err := ours.Append(t.Context(), hub, "ann", first, read(2))
		if err != nil {
			t.Error(err)
		}
		appended <- after
	}()
	<-lost
	change(t, theirs, "ann", read(3)) // the last message is not ours any more
	if after := <-appended; fmt.Sprint(after.Read) != "[1 2]" {
		t.Errorf("got %s, want [1 2]", text(t, after))
	}
	_, changes, err := theirs.History(t.Context(), hub, "ann")
	if err != nil || len(changes) != 3 {
		t.Errorf("%d changes are kept, %v; want 3", len(changes), err)
	}
}

// What the server looks at first: see States.write.
func TestTheServerLooksAtTheExpectedSequenceFirst(t *testing.T) {
	s := newStation(t)
	js := s.past(t)
	s.states(t, persistence.Options{})
	msg := nats.NewMsg("tidings.state.notifications.user.ann")
	options := []jetstream.PublishOpt{jetstream.WithMsgID("x"), jetstream.WithExpectLastSequencePerSubject(0)}
	if _, err := js.PublishMsg(t.Context(), msg, options...); err != nil {
		t.Fatal(err)
	}
	again, err := js.PublishMsg(t.Context(), msg, options...)
	var refused *jetstream.APIError
	if !errors.As(err, &refused) || refused.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		t.Errorf("the server has changed its mind: got %+v, %v", again, err)
	}
}

func TestEraseState(t *testing.T) {
	s := newStation(t)
	ours, theirs := s.states(t, persistence.Options{}), s.states(t, persistence.Options{})
	followed(t, ours)
	followed(t, theirs)
	for range 70 {
		change(t, ours, "ann", read(1))
	}
	old := change(t, ours, "ann", read(2))
	bob := change(t, ours, "bob", read(2))
	eventually(t, "the other node has it in memory", func() bool {
		cached := theirs.Stats().Cached
		return load(t, theirs, "ann").Version == old.Version && theirs.Stats().Cached > cached
	})
	if err := ours.Erase(t.Context(), hub, "ann"); err != nil {
		t.Fatal(err)
	}
	if got := load(t, ours, "ann"); text(t, got) != "{}" {
		t.Errorf("got %s, want nothing", text(t, got))
	}
	eventually(t, "the other node has forgotten", func() bool { return text(t, load(t, theirs, "ann")) == "{}" })
	if _, changes, err := theirs.History(t.Context(), hub, "ann"); err != nil || len(changes) != 0 {
		t.Errorf("history: got %d changes, %v", len(changes), err)
	}
	if _, err := theirs.Append(t.Context(), hub, "ann", old, read(3)); !errors.Is(err, notifications.ErrStale) {
		t.Errorf("a change of what was erased: got %v, want ErrStale", err)
	}
	if got := load(t, theirs, "bob"); text(t, got) != text(t, bob) {
		t.Errorf("bob: got %s, want %s", text(t, got), text(t, bob))
	}
	change(t, ours, "ann", read(4))
	if err := ours.Erase(t.Context(), hub, "nobody"); err != nil {
		t.Errorf("of a user without a state: %v", err)
	}
	if got := load(t, s.states(t, persistence.Options{}), "ann"); fmt.Sprint(got.Read) != "[4]" {
		t.Errorf("a new beginning: got %s", text(t, got))
	}
}

// held is a log that holds positions from there on.
type held struct {
	epoch uint64
	first notifications.Position
}

func (h held) State() notifications.LogState {
	return notifications.LogState{Epoch: h.epoch, First: h.first, Last: 1000, End: 1000}
}

// A snapshot forgets marks of what the log no longer holds, on all nodes. Of
// changes from before the log holds anything, one milestone is kept at most.
func TestSnapshotsForget(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	open := func(o persistence.Options) *persistence.States {
		states, err := persistence.OpenStates(t.Context(), conn, o, held{1, 50})
		if err != nil {
			t.Fatal(err)
		}
		return states
	}
	ours, other := open(persistence.Options{}), open(persistence.Options{})
	followed(t, other)
	load(t, other, "ann")
	for i := range notifications.Position(64) {
		change(t, ours, "ann", read(i+1))
	}
	state := load(t, ours, "ann")
	if got := fmt.Sprint(state.Read); got != fmt.Sprint(read(seq(50, 64)...).Positions) {
		t.Errorf("marks: got %s, want 50 to 64", got)
	}
	eventually(t, "the other node forgets them too", func() bool { return text(t, load(t, other, "ann")) == text(t, state) })
	before, changes, err := ours.History(t.Context(), hub, "ann")
	if err != nil || len(changes) != 64 || text(t, before) != "{}" {
		t.Errorf("history: got %d changes after %s, %v; want all", len(changes), text(t, before), err)
	}

	// A log that keeps nothing for more than a moment.
	brief := open(persistence.Options{MaxAge: time.Nanosecond})
	for i := range notifications.Position(100) {
		change(t, brief, "ann", read(i+100))
	}
	state = load(t, brief, "ann")
	before, changes, err = brief.History(t.Context(), hub, "ann")
	if err != nil || len(changes) > 20 || text(t, before) == "{}" {
		t.Errorf("history: got %d changes after %s, %v; want few after a state", len(changes), text(t, before), err)
	}
	for _, c := range changes {
		before = before.Apply(c)
	}
	if text(t, before) != text(t, state) {
		t.Errorf("the fold of what is left:\n got %s\nwant %s", text(t, before), text(t, state))
	}
	if n := s.info(t, "TIDINGS_STATE", "none").State.Msgs; n > 20 {
		t.Errorf("%d messages are left", n)
	}
	if got := load(t, open(persistence.Options{}), "ann"); text(t, got) != text(t, state) {
		t.Errorf("a new node: got %s", text(t, got))
	}
}

// A state that is too large for a message together with its change is stored
// without a snapshot: whoever reads it has more to read.
func TestAStateThatIsTooLargeForASnapshot(t *testing.T) {
	small := outside(t, &server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 4096})
	s := &station{addr: strings.TrimPrefix(small, "nats://")}
	states := s.states(t, persistence.Options{})
	var all []notifications.Position
	for i := range notifications.Position(10) {
		base := 1_000_000 * (i + 1)
		all = append(all, seq(base, base+150)...) // 1,200 bytes each
		if after := change(t, states, "ann", read(seq(base, base+150)...)); len(after.Read) != len(all) {
			t.Fatalf("change %d: %d are read, want %d", i, len(after.Read), len(all))
		}
	}
	if got := load(t, s.states(t, persistence.Options{}), "ann"); len(got.Read) != len(all) {
		t.Errorf("%d are read, want %d", len(got.Read), len(all))
	}
	if _, err := states.Append(t.Context(), hub, "bob", notifications.State{}, read(seq(1, 5000)...)); err == nil || errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("a change that is too large: got %v, want an error that says so", err)
	}
}

// seq is the positions from one to another.
func seq(from, to notifications.Position) (all []notifications.Position) {
	for p := from; p <= to; p++ {
		all = append(all, p)
	}
	return all
}

// What cannot be read is said, and does not end the follower.
func TestAnUnreadableState(t *testing.T) {
	s := newStation(t)
	js := s.past(t)
	states := s.states(t, persistence.Options{})
	heard := followed(t, states)
	for i, payload := range []string{`{broken`, `{}`, `{"change":{}}`} {
		if _, err := js.Publish(t.Context(), fmt.Sprint("tidings.state.notifications.user.bad", i), []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), "tidings.state.x", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	change(t, states, "ann", read(1))
	select {
	case c := <-heard:
		if c.User != "ann" {
			t.Errorf("told %+v", c)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the follower has stopped")
	}
	for i := range 3 {
		if _, err := states.Load(t.Context(), hub, fmt.Sprint("bad", i)); err == nil || errors.Is(err, notifications.ErrUnavailable) {
			t.Errorf("bad%d: got %v, want an error that says what is wrong", i, err)
		}
	}
}
