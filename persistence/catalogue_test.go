package persistence_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/actors/actorstest"
	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
)

// publish stores an event as an emitter on NATS does: nobody looks at its id.
func publish(t *testing.T, js jetstream.JetStream, name string, e notifications.Event) notifications.Position {
	t.Helper()
	to := e.Recipient
	e.Recipient = notifications.Recipient{}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(t.Context(), persistence.Subject(name, to), data)
	if err != nil {
		t.Fatal(err)
	}
	return notifications.Position(ack.Sequence)
}

func one[V any](of ...V) V { return of[rand.IntN(len(of))] } //nolint:ireturn // V is no interface

// random is an event out of few: ids are used again, and so are keys.
func random(now time.Time) notifications.Event {
	e := notifications.Event{
		ID:          fmt.Sprint("id", rand.IntN(20)),
		Recipient:   one(notifications.ToUser("ann"), notifications.ToUser("bob"), notifications.ToRole("ops"), notifications.ToEveryone()),
		Type:        one("a.b", "a.c", "notification"),
		Severity:    one(notifications.Info, notifications.Success, notifications.Warning, notifications.Critical),
		MembersAt:   one(notifications.Emit, notifications.Read),
		CollapseKey: one("", "", "k1", "k2"),
		ExpiresAt:   one(time.Time{}, time.Time{}, now.Add(-time.Hour), now.Add(time.Hour)),
		CreatedAt:   now,
		Title:       "t",
	}
	if rand.IntN(5) == 0 {
		e.Recalls = fmt.Sprint("id", rand.IntN(20))
	}
	return e
}

// The log in memory, which the tests of other packages use, is a model of the
// log: both answer the same, whatever was stored.
func TestTheLogInMemoryAnswersLikeTheLog(t *testing.T) {
	l, js := listening(t, persistence.Options{TailBytes: 20_000})
	f := make(follower, 1024)
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	model := &actorstest.Log{}
	now := time.Now().UTC().Truncate(time.Millisecond)
	var last notifications.Position
	for range 400 {
		e, name := random(now), one(hub, hub, hub, "other")
		last = publish(t, js, name, e)
		model.Append(name, e)
	}
	f.until(t, last)
	for range 40 {
		var memberships []notifications.Membership
		for _, r := range []notifications.Recipient{notifications.ToUser("ann"), notifications.ToRole("ops"), notifications.ToEveryone(), notifications.ToUser("nobody")} {
			if rand.IntN(3) > 0 {
				memberships = append(memberships, notifications.Membership{Recipient: r, Since: notifications.Position(rand.IntN(2) * rand.IntN(400))})
			}
		}
		compareLibraries(t, l, model, one(hub, "other", "none"), memberships)
	}
	for p := range last + 2 {
		want, wantKnown := model.Brief(p)
		got, known := l.Brief(p)
		want.Stored, got.Stored = time.Time{}, time.Time{}
		if known != wantKnown || got != want {
			t.Errorf("brief %d: got %+v, %v, want %+v, %v", p, got, known, want, wantKnown)
		}
	}
	for i := range 22 {
		got, want := found(t, l, fmt.Sprint("id", i)), found(t, model, fmt.Sprint("id", i))
		if !slices.Equal(got, want) {
			t.Errorf("find id%d: got %v, want %v", i, got, want)
		}
	}
}

func found(t *testing.T, l notifications.Library, id string) []notifications.Position {
	t.Helper()
	entries, err := l.Find(t.Context(), hub, id)
	if err != nil {
		t.Fatal(err)
	}
	var positions []notifications.Position
	for _, e := range entries {
		if e.Hub != hub || e.Event.ID != id {
			t.Errorf("find %s: got %s of hub %s", id, e.Event.ID, e.Hub)
		}
		positions = append(positions, e.Position)
	}
	return positions
}

// answers is what a library says to one question.
type answers struct {
	Pages  [][]notifications.Position
	UpTo   []notifications.Position
	After  notifications.Position
	Found  int
	Walked []notifications.Brief
	Head   notifications.Position
}

func compareLibraries(t *testing.T, l, model notifications.Library, name string, memberships []notifications.Membership) {
	t.Helper()
	limit, before := 1+rand.IntN(60), notifications.Position(rand.IntN(2)*rand.IntN(450))
	ask := func(of notifications.Library) (a answers) {
		q := notifications.Query{Hub: name, Memberships: memberships, Limit: limit}
		for q.After < of.State().Last {
			page, err := of.Read(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var positions []notifications.Position
			for _, e := range page.Entries {
				positions = append(positions, e.Position)
			}
			a.Pages, a.UpTo = append(a.Pages, positions), append(a.UpTo, page.UpTo)
			q.After = page.UpTo
		}
		a.After, a.Found = of.Recent(name, memberships, limit)
		a.Head = of.Walk(name, memberships, before, func(b notifications.Brief) bool {
			b.Stored = time.Time{}
			a.Walked = append(a.Walked, b)
			return len(a.Walked) < 3*limit
		})
		return a
	}
	if diff := cmp.Diff(ask(model), ask(l)); diff != "" {
		t.Errorf("%s for %v, limit %d, before %d (-model +log):\n%s", name, memberships, limit, before, diff)
	}
}

// Who was away sees the last of what replaces each other, and nothing that was
// taken back or has expired; but what was handed on is found again, all of it.
func TestReplayLeavesOutWhatIsOutdated(t *testing.T) {
	f := make(follower, 64)
	l := persistencetest.Run(t, persistence.Options{}, f.deliver)
	ann := notifications.ToUser("ann")
	send := func(change func(*notifications.Event)) notifications.Position {
		e := notifications.Event{Recipient: ann, Title: "x"}
		change(&e)
		e.Complete(time.Now(), notifications.NewID)
		return appendTo(t, l, e)
	}
	plain := func(*notifications.Event) {}
	send(func(e *notifications.Event) { e.ID = "mistake" })                                                     // 1
	send(plain)                                                                                                 // 2
	send(func(e *notifications.Event) { e.CollapseKey = "progress" })                                           // 3
	send(func(e *notifications.Event) { e.ExpiresAt = time.Now().Add(-time.Hour) })                             // 4
	send(func(e *notifications.Event) { e.CollapseKey = "progress" })                                           // 5
	send(plain)                                                                                                 // 6
	send(func(e *notifications.Event) { e.Recalls = "mistake" })                                                // 7
	send(func(e *notifications.Event) { e.Recalls = "unknown" })                                                // 8
	send(func(e *notifications.Event) { e.Recipient, e.CollapseKey = notifications.ToUser("bob"), "progress" }) // 9
	last := send(plain)                                                                                         // 10
	entries := f.until(t, last)
	if e := entries[6].Event; len(entries) != 10 || e.Type != notifications.RecalledType || e.Target != notifications.RecalledTarget {
		t.Fatalf("followed %d entries, the recall is %+v", len(entries), e)
	}
	for limit := range 7 {
		if got := fmt.Sprint(everything(t, l, 0, limit, ann)); got != "[2 5 6 7 8 10]" {
			t.Errorf("pages of %d: got %s, want [2 5 6 7 8 10]", limit, got)
		}
	}
	page, err := l.Read(t.Context(), notifications.Query{Hub: hub, Exact: []notifications.Position{1, 3, 7}})
	if err != nil || len(page.Entries) != 3 || page.UpTo != 7 {
		t.Errorf("exactly 1, 3, 7: got %d entries up to %d, %v", len(page.Entries), page.UpTo, err)
	}
	memberships := []notifications.Membership{{Recipient: ann}}
	if after, n := l.Recent(hub, memberships, 5); after != 4 || n != 5 {
		t.Errorf("the last five: got %d after %d, want 5 after 4", n, after)
	}
	if b, held := l.Brief(1); !held || b.RecalledBy != 7 || b.CollapsedBy != 0 || b.Recall {
		t.Errorf("the one that was taken back: %+v, %v", b, held)
	}
	if b, held := l.Brief(3); !held || b.CollapsedBy != 5 || b.RecalledBy != 0 {
		t.Errorf("the one that was replaced: %+v, %v", b, held)
	}
}

// An id that was stored twice is found twice, in its hub only, also when the
// server has to be asked; a position whose event is gone is passed over.
func TestFind(t *testing.T) {
	l, js := listening(t, persistence.Options{TailBytes: 1})
	f := make(follower, 64)
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	e := notifications.Event{ID: "e1", Recipient: notifications.ToUser("ann"), Title: "x"}
	publish(t, js, hub, e)
	publish(t, js, "other", e)
	e.Recipient = notifications.ToUser("bob")
	publish(t, js, hub, e)
	e.ID = "e2"
	last := publish(t, js, hub, e)
	f.until(t, last)
	if got := fmt.Sprint(found(t, l, "e1"), found(t, l, "e2"), found(t, l, "e3")); got != "[1 3] [4] []" {
		t.Errorf("got %s, want [1 3] [4] []", got)
	}
	stream, err := js.Stream(t.Context(), "TIDINGS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	publish(t, js, hub, e) // 3 is no longer in the tail, if it was
	f.until(t, last+1)
	if got := fmt.Sprint(found(t, l, "e1")); got != "[1]" {
		t.Errorf("after one was deleted: got %s, want [1]", got)
	}
}
