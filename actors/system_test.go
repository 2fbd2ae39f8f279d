package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tidings/actors"
	"tidings/actors/actorstest"
	"tidings/hub/protocol"
	"tidings/notifications"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a system with its log and a follower that hands on what is appended.
type node struct {
	t      *testing.T
	system *actors.System
	log    *actorstest.Log
	mu     sync.Mutex // one follower
}

func newNode(t *testing.T, o actors.Options) *node {
	t.Helper()
	n := &node{t: t, log: &actorstest.Log{}}
	o.Reader = n.log
	system, err := actors.New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.system = system
	n.run()
	return n
}

func (n *node) run() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- n.system.Run(ctx) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("Run: %v", err)
		}
		if s := n.system.Stats(); s.Overflow != 0 {
			n.t.Errorf("%d messages found a full mailbox", s.Overflow)
		}
	})
}

// emit appends events for these recipients and follows them as one batch.
func (n *node) emit(to ...notifications.Recipient) []notifications.Position {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	var b notifications.Batch
	var positions []notifications.Position
	for _, r := range to {
		e := n.log.Append(notifications.DefaultHub, notifications.Event{Recipient: r, Title: "t"})
		b.Entries = append(b.Entries, e)
		b.UpTo = e.Position
		positions = append(positions, e.Position)
	}
	if err := n.system.Deliver(n.t.Context(), b); err != nil {
		n.t.Errorf("Deliver: %v", err)
	}
	return positions
}

// browser is one connection under test.
type browser struct {
	*actors.Connection

	sink *actorstest.Sink
}

func (n *node) join(m actors.Member) browser {
	n.t.Helper()
	b := browser{sink: actorstest.NewSink()}
	m.Codec, m.Sink = protocol.JSON(), b.sink
	c, err := n.system.Join(n.t.Context(), m)
	if err != nil {
		n.t.Fatalf("Join %s: %v", m.ID, err)
	}
	b.Connection = c
	return b
}

func (n *node) connect(m actors.Member) browser {
	n.t.Helper()
	b := n.join(m)
	if err := b.Resume(n.t.Context(), m.After); err != nil {
		n.t.Fatalf("Resume %s: %v", m.ID, err)
	}
	return b
}

func positions(b browser) []notifications.Position {
	var heard []notifications.Position
	for _, e := range b.sink.Heard() {
		heard = append(heard, e.Position)
	}
	return heard
}

func wantPositions(t *testing.T, b browser, want ...notifications.Position) {
	t.Helper()
	if got := fmt.Sprint(positions(b)); got != fmt.Sprint(want) {
		t.Errorf("%s heard %s, want %v", b.ID(), got, want)
	}
}

// Every kind of recipient reaches those it names, and only them.
func TestRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 3})
		ann1 := n.connect(actors.Member{ID: "a1", User: "ann", Roles: []string{"sales", "sales"}})
		ann2 := n.connect(actors.Member{ID: "a2", User: "ann", Groups: map[string]notifications.Position{"g": 0}})
		bob := n.connect(actors.Member{ID: "b1", User: "bob", Roles: []string{"sales"}})
		nobody := n.connect(actors.Member{ID: "n1"})
		synctest.Wait()
		if err := bob.JoinGroup(t.Context(), "g", 0); err != nil {
			t.Fatal(err)
		}
		n.emit(notifications.ToUser("ann"), notifications.ToRole("sales"), notifications.ToEveryone(), notifications.ToGroup("g"), notifications.ToUser("bob"))
		synctest.Wait()
		if err := bob.LeaveGroup(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		n.emit(notifications.ToGroup("g"), notifications.ToUser("zoe"), notifications.ToRole("g"))
		synctest.Wait()
		wantPositions(t, ann1, 1, 2, 3)
		wantPositions(t, ann2, 1, 3, 4, 6)
		wantPositions(t, bob, 2, 3, 4, 5)
		wantPositions(t, nobody, 3)
		if s := n.system.Stats(); s.Connections != 4 || s.Users != 3 || s.Head != 8 {
			t.Errorf("stats: %+v, want 4 connections of 3 users at 8", s)
		}
	})
}

// A batch leaves in one write.
func TestABatchIsOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1})
		ann := n.connect(actors.Member{ID: "a1", User: "ann"})
		synctest.Wait()
		before := ann.sink.Writes()
		n.emit(notifications.ToUser("ann"), notifications.ToUser("ann"), notifications.ToUser("ann"))
		synctest.Wait()
		wantPositions(t, ann, 1, 2, 3)
		if got := ann.sink.Writes() - before; got != 1 {
			t.Errorf("three events of a batch took %d writes, want 1", got)
		}
	})
}

// What was missed is replayed, marked as such, then life goes on, no seam.
func TestResumeReplaysThenGoesLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{PageEvents: 2})
		for range 7 {
			n.emit(notifications.ToUser("ann"), notifications.ToUser("bob"))
		}
		ann := n.join(actors.Member{ID: "a1", User: "ann", First: []byte("{}\x1e")})
		n.emit(notifications.ToUser("ann"))
		synctest.Wait()
		if got := ann.sink.Text(); got != "{}\x1e" {
			t.Fatalf("before Resume: got %q, want the handshake answer alone", got)
		}
		if err := ann.Resume(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		n.emit(notifications.ToUser("ann"))
		synctest.Wait()
		wantPositions(t, ann, 7, 9, 11, 13, 15, 16)
		for _, e := range ann.sink.Heard() {
			if want := e.Position <= 14; e.Replayed != want {
				t.Errorf("position %d: replayed %v, want %v", e.Position, e.Replayed, want)
			}
		}
		if ann.Position() != 16 {
			t.Errorf("Position: got %d, want 16", ann.Position())
		}
	})
}

// A log that cannot be read for a while delays a replay and loses nothing.
func TestReplayWaitsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		n.emit(notifications.ToUser("ann"))
		n.log.Break(errors.New("log is away"))
		ann := n.connect(actors.Member{ID: "a1", User: "ann"})
		synctest.Wait()
		n.emit(notifications.ToUser("ann"))
		synctest.Wait()
		wantPositions(t, ann)
		n.log.Break(nil)
		time.Sleep(2 * time.Second) // bubble time: the wheel turns
		synctest.Wait()
		wantPositions(t, ann, 1, 2)
	})
}

// A place that has left the log before it could be read is not passed over in
// silence: the client is sent away to come back and be told. Who begins where
// the log does has missed nothing.
func TestTruncationEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		for range 5 {
			n.emit(notifications.ToUser("ann"))
		}
		n.log.Drop(3)
		late := n.join(actors.Member{ID: "late", User: "ann"})
		if err := late.Resume(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		exact := n.connect(actors.Member{ID: "exact", User: "ann", After: 3})
		oldest := n.join(actors.Member{ID: "oldest", User: "ann"})
		if err := oldest.ResumeOldest(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantPositions(t, exact, 4, 5)
		wantPositions(t, oldest, 4, 5)
		if got := late.sink.Text(); got != `{"type":7,"allowReconnect":true}`+"\x1e" || late.sink.Finished() != actors.ReasonTruncated {
			t.Errorf("late heard %q and ended for %q", got, late.sink.Finished())
		}
		<-late.Done()
	})
}

// A connection that was live has missed nothing of what the log dropped while
// there was nothing in it for that connection.
func TestQuietConnectionIsNotTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1, OutboxFrames: 4})
		ann := n.connect(actors.Member{ID: "a", User: "ann"})
		synctest.Wait()
		want := n.emit(notifications.ToUser("ann"))
		for range 20 {
			n.emit(notifications.ToUser("bob"))
		}
		synctest.Wait()
		n.log.Drop(15)
		ann.sink.Stall(0)
		for range 5 { // answers fill the outbox before an event comes
			if err := ann.Send(t.Context(), &protocol.Completion{InvocationID: "1"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 3 {
			want = append(want, n.emit(notifications.ToUser("ann"))...)
			synctest.Wait()
		}
		if s := n.system.Stats(); s.Lagging != 1 {
			t.Errorf("lagging: got %d, want 1: the test proves nothing", s.Lagging)
		}
		ann.sink.Go()
		synctest.Wait()
		wantPositions(t, ann, want...)
		if got := ann.sink.Finished(); got != "" {
			t.Errorf("ended for %q", got)
		}
	})
}

// A node that the log has overtaken ends its connections before it goes on.
func TestLostEventsEndAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		ann := n.connect(actors.Member{ID: "a", User: "ann"})
		n.emit(notifications.ToUser("ann"))
		synctest.Wait()
		e := n.log.Append(notifications.DefaultHub, notifications.Event{Recipient: notifications.ToUser("ann")})
		if err := n.system.Deliver(t.Context(), notifications.Batch{Entries: []*notifications.Entry{e}, UpTo: 2, Lost: true}); err != nil {
			t.Fatal(err)
		}
		<-ann.Done()
		wantPositions(t, ann, 1)
		if want := `{"type":7,"allowReconnect":true}`; !strings.Contains(ann.sink.Text(), want) {
			t.Errorf("ann heard %q, want %s", ann.sink.Text(), want)
		}
	})
}

// A stalled reader hurts only itself and is complete when it drains.
func TestStalledReaderCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1, OutboxFrames: 4, PageEvents: 8})
		slow := n.connect(actors.Member{ID: "s", User: "ann"})
		fast := n.connect(actors.Member{ID: "f", User: "ann"})
		synctest.Wait()
		slow.sink.Stall(10)
		var want []notifications.Position
		for range 100 {
			want = append(want, n.emit(notifications.ToUser("ann"))...)
			synctest.Wait()
		}
		wantPositions(t, fast, want...)
		if s := n.system.Stats(); s.Lagging != 1 {
			t.Errorf("lagging: got %d, want 1", s.Lagging)
		}
		slow.sink.Go()
		synctest.Wait()
		wantPositions(t, slow, want...)
		if s := n.system.Stats(); s.Lagging != 0 {
			t.Errorf("lagging after the drain: got %d, want 0", s.Lagging)
		}
	})
}

// Live messages keep their order, spare whom they shall, and are dropped for
// a connection that is too slow; answers are not.
func TestLiveMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1, OutboxFrames: 2})
		ann := n.connect(actors.Member{ID: "a1", User: "ann"})
		bob := n.connect(actors.Member{ID: "b1", User: "bob"})
		send := func(text string, except []string, to ...notifications.Recipient) {
			err := n.system.Send(t.Context(), actors.Live{To: to, Except: except, Message: protocol.Share(&protocol.Invocation{Target: text})})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send("one", nil, notifications.ToEveryone())
		send("two", []string{"a1"}, notifications.ToEveryone())
		send("three", nil, notifications.Recipient{Kind: notifications.Connection, Key: "a1"}, notifications.ToUser("bob"))
		send("none", nil, notifications.Recipient{Kind: notifications.Connection, Key: "zz"})
		bob.sink.Stall(0)
		for range 5 {
			send("late", nil, notifications.ToUser("bob"))
		}
		if err := bob.Send(t.Context(), &protocol.Completion{InvocationID: "9", HasResult: true}); err != nil {
			t.Fatal(err)
		}
		bob.sink.Go()
		synctest.Wait()
		if got := targets(ann.sink.Text()); got != "one three" {
			t.Errorf("ann heard %q, want \"one three\"", got)
		}
		if got := targets(bob.sink.Text()); got != "one two three late late late" {
			t.Errorf("bob heard %q, want what fits the outbox", got)
		}
		if !strings.Contains(bob.sink.Text(), `"invocationId":"9"`) {
			t.Error("bob's answer was dropped")
		}
		if s := n.system.Stats(); s.Dropped != 2 {
			t.Errorf("dropped: got %d, want 2", s.Dropped)
		}
	})
}

// A peer that pings and does not read is given no more pongs than fit its
// outbox.
func TestPongsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1, OutboxFrames: 8})
		deaf := n.connect(actors.Member{ID: "d", User: "ann"})
		synctest.Wait()
		deaf.sink.Stall(0)
		for range 1000 {
			deaf.Control([]byte("pong "))
			synctest.Wait()
		}
		deaf.sink.Go()
		synctest.Wait()
		if got := strings.Count(deaf.sink.Text(), "pong"); got < 1 || got > 10 {
			t.Errorf("1000 pings of a peer that does not read were answered %d times, want about 8", got)
		}
	})
}

func targets(text string) string {
	var all []string
	for record := range strings.SplitSeq(text, "\x1e") {
		if _, after, ok := strings.Cut(record, `"target":"`); ok {
			target, _, _ := strings.Cut(after, `"`)
			all = append(all, target)
		}
	}
	return strings.Join(all, " ")
}

// Silence is broken by pings; a client that has pinged once and is then silent
// is closed, one that never pinged is not; an expired token closes.
func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{KeepAlive: 15 * time.Second, ClientTimeout: 30 * time.Second})
		quiet := n.connect(actors.Member{ID: "q", User: "ann"})
		pinged := n.connect(actors.Member{ID: "p", User: "bob"})
		brief := n.connect(actors.Member{ID: "e", User: "eve", Expires: time.Now().Add(20 * time.Second)})
		pinged.Pinged()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if got := strings.Count(quiet.sink.Text(), `{"type":6}`); got != 2 {
			t.Errorf("pings in 40 s of silence: got %d, want 2", got)
		}
		if quiet.sink.Finished() != "" {
			t.Errorf("a client that never pinged was closed: %s", quiet.sink.Finished())
		}
		if got := pinged.sink.Finished(); got != actors.ReasonTimeout {
			t.Errorf("silent client: ended for %q, want timeout", got)
		}
		if got := brief.sink.Finished(); got != actors.ReasonAuthExpired {
			t.Errorf("expired client: ended for %q, want auth_expired", got)
		}
		if want := `{"type":7,"allowReconnect":true}`; !strings.Contains(brief.sink.Text(), want) {
			t.Errorf("expired client heard %q, want %s", brief.sink.Text(), want)
		}
		<-pinged.Done()
	})
}

// A cut socket ends its connection; sending to it is an error.
func TestCutSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		ann := n.connect(actors.Member{ID: "a1", User: "ann"})
		ann.sink.Cut()
		n.emit(notifications.ToUser("ann"))
		<-ann.Done()
		if err := ann.Send(t.Context(), &protocol.Ping{}); !errors.Is(err, actors.ErrGone) {
			t.Errorf("Send: got %v, want ErrGone", err)
		}
		if err := ann.JoinGroup(t.Context(), "g", 0); !errors.Is(err, actors.ErrGone) {
			t.Errorf("JoinGroup: got %v, want ErrGone", err)
		}
		synctest.Wait()
		if s := n.system.Stats(); s.Connections != 0 || s.Users != 0 {
			t.Errorf("stats: %+v, want nobody", s)
		}
		again := n.connect(actors.Member{ID: "a2", User: "ann"})
		synctest.Wait()
		wantPositions(t, again, 1)
	})
}

// panicky is a socket whose frames cannot be made: a bug in one connection.
type panicky struct{ *actorstest.Sink }

func (panicky) Frame([]byte, []byte) []byte { panic("a bug") }
func (panicky) Transport() string           { return "Panicky" }

// jumpy is one that cannot be written to.
type jumpy struct{ *actorstest.Sink }

func (jumpy) TryWrite([]byte) (int, error) { panic("a bug") }

// A connection actor that panics is stopped; its neighbours hear on.
func TestPanicStopsOneConnection(t *testing.T) {
	t.Run("while it takes an event", func(t *testing.T) { panicStopsOne(t, panicky{actorstest.NewSink()}) })
	t.Run("while it writes", func(t *testing.T) { panicStopsOne(t, jumpy{actorstest.NewSink()}) })
}

func panicStopsOne(t *testing.T, sink actors.Sink) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1})
		good := n.connect(actors.Member{ID: "g", User: "ann"})
		bad, err := n.system.Join(t.Context(), actors.Member{ID: "x", User: "ann", Codec: protocol.JSON(), Sink: sink})
		if err != nil {
			t.Fatal(err)
		}
		if err := bad.Resume(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		n.emit(notifications.ToUser("ann"), notifications.ToEveryone())
		<-bad.Done()
		n.emit(notifications.ToUser("ann"))
		synctest.Wait()
		wantPositions(t, good, 1, 2, 3)
	})
}

// CloseAll says goodbye with allowReconnect, paced, and waits for the end.
func TestCloseAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		var all []browser
		for i := range 50 {
			all = append(all, n.connect(actors.Member{ID: fmt.Sprint("c", i), User: fmt.Sprint("u", i%7)}))
		}
		began := time.Now()
		if err := n.system.CloseAll(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 400*time.Millisecond {
			t.Errorf("50 connections at 100 a second took %v", took)
		}
		for _, b := range all {
			if got := b.sink.Text(); got != `{"type":7,"allowReconnect":true}`+"\x1e" || b.sink.Finished() != actors.ReasonShutdown {
				t.Fatalf("%s heard %q and ended for %q", b.ID(), got, b.sink.Finished())
			}
		}
	})
}

// The observer hears of every event once, with what became of it.
func TestDeliveriesAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(observer, 16)
		n := newNode(t, actors.Options{Shards: 2, Observer: seen})
		for i := range 5 {
			n.connect(actors.Member{ID: fmt.Sprint("c", i), User: fmt.Sprint("u", i), Roles: []string{"ops"}})
		}
		synctest.Wait()
		n.emit(notifications.ToUser("u1"), notifications.ToRole("ops"), notifications.ToEveryone(), notifications.ToUser("zoe"))
		synctest.Wait()
		got := map[notifications.Position]int{}
		for range 4 {
			d := <-seen
			if _, twice := got[d.Entry.Position]; twice {
				t.Errorf("position %d was reported twice", d.Entry.Position)
			}
			got[d.Entry.Position] = d.Connections
		}
		if want := map[notifications.Position]int{1: 1, 2: 5, 3: 5, 4: 0}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("connections by position: got %v, want %v", got, want)
		}
	})
}

type observer chan actors.Delivery

func (o observer) Delivered(d actors.Delivery) { o <- d }
func (observer) Replayed(actors.Replay)        {}

// Whatever stalls, joins, leaves and comes back: every connection hears every
// event of its recipients exactly once and in order (law 3 and law 8).
func TestExactlyOnceInOrder(t *testing.T) {
	const users, events = 24, 4000
	n := newNode(t, actors.Options{Shards: 2, OutboxFrames: 8, OutboxBytes: 2000, PageEvents: 16})
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for u := range users {
		wg.Go(func() { restless(ctx, t, n, u) })
	}
	emitAtRandom(n, users, events)
	stop()
	wg.Wait()
}

func emitAtRandom(n *node, users, events int) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < events; {
		var to []notifications.Recipient
		for range 1 + r.IntN(20) {
			switch r.IntN(4) {
			case 0:
				to = append(to, notifications.ToEveryone())
			case 1:
				to = append(to, notifications.ToRole(fmt.Sprint("r", r.IntN(3))))
			default:
				to = append(to, notifications.ToUser(fmt.Sprint("u", r.IntN(users))))
			}
		}
		n.emit(to...)
		i += len(to)
	}
}

// restless is a user whose connection stalls, drains and comes back at random,
// until ctx ends; then it catches up for good and compares with the log.
func restless(ctx context.Context, t *testing.T, n *node, u int) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(u), 3))
	m := actors.Member{User: fmt.Sprint("u", u), Roles: []string{fmt.Sprint("r", u%3)}}
	var heard []notifications.Position
	for round := 0; ; round++ {
		over := ctx.Err() != nil
		m.ID = fmt.Sprintf("u%d.%d", u, round)
		sink := actorstest.NewSink()
		m.Codec, m.Sink = protocol.JSON(), sink
		c, err := n.system.Join(t.Context(), m)
		if err != nil {
			t.Errorf("join: %v", err)
			return
		}
		if err := c.Resume(t.Context(), m.After); err != nil {
			t.Errorf("resume: %v", err)
		}
		for range r.IntN(6) {
			sink.Stall(r.IntN(3000))
			if err := c.Send(t.Context(), &protocol.Ping{}); err != nil {
				t.Errorf("send: %v", err)
			}
			sink.Go()
		}
		if over {
			final(t, n, m, sink)
		}
		c.Leave(actors.ReasonNormal)
		<-c.Done()
		for _, e := range sink.Heard() {
			heard = append(heard, e.Position)
			m.After = e.Position
		}
		if over {
			break
		}
	}
	compare(t, n, m, heard)
}

// final waits until the connection has everything the log has for its member.
func final(t *testing.T, n *node, m actors.Member, sink *actorstest.Sink) {
	t.Helper()
	all := mine(t, n, m)
	if len(all) == 0 || all[len(all)-1].Position <= m.After {
		return
	}
	last := fmt.Sprintf(`"position":%d,`, all[len(all)-1].Position)
	sink.Wait(func(text string) bool { return strings.Contains(text, last) })
}

// mine is what the log has for a member.
func mine(t *testing.T, n *node, m actors.Member) []*notifications.Entry {
	t.Helper()
	page, err := n.log.Read(t.Context(), notifications.Query{Limit: 1 << 20, Hub: notifications.DefaultHub, Memberships: []notifications.Membership{
		{Recipient: notifications.ToUser(m.User)}, {Recipient: notifications.ToRole(m.Roles[0])}, {Recipient: notifications.ToEveryone()},
	}})
	if err != nil {
		t.Error(err)
	}
	return page.Entries
}

func compare(t *testing.T, n *node, m actors.Member, heard []notifications.Position) {
	t.Helper()
	want := mine(t, n, m)
	if len(heard) != len(want) {
		t.Errorf("%s heard %d events, the log has %d for it", m.User, len(heard), len(want))
	}
	for i := range min(len(heard), len(want)) {
		if heard[i] != want[i].Position {
			t.Errorf("%s: event %d is %d, want %d", m.User, i, heard[i], want[i].Position)
			return
		}
	}
}
