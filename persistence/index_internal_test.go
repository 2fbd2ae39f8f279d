package persistence

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/notifications"
)

// naive is a log of which everything is found by walking over all of it.
type naive struct {
	first, head notifications.Position
	entries     []*notifications.Entry // those that are held
	erased      map[address]notifications.Position
	now         time.Time
}

func (n *naive) add(e *notifications.Entry) {
	if n.head = e.Position; e.Position > n.erased[address{e.Hub, e.Event.Recipient}] {
		n.entries = append(n.entries, e)
	}
}

func (n *naive) forget(a address, upTo notifications.Position) {
	n.erased[a] = max(upTo, n.erased[a])
	n.entries = slices.DeleteFunc(n.entries, func(e *notifications.Entry) bool {
		return e.Position <= upTo && a == address{e.Hub, e.Event.Recipient}
	})
}

func (n *naive) trim(first notifications.Position) {
	n.first = first
	n.entries = slices.DeleteFunc(n.entries, func(e *notifications.Entry) bool { return e.Position < first })
}

// next is the position of the first event behind e, for the same recipient, that
// is meant.
func (n *naive) next(e *notifications.Entry, meant func(*notifications.Event) bool) notifications.Position {
	for _, later := range n.entries {
		if later.Position > e.Position && later.Hub == e.Hub && later.Event.Recipient == e.Event.Recipient && meant(&later.Event) {
			return later.Position
		}
	}
	return 0
}

func (n *naive) brief(e *notifications.Entry) notifications.Brief {
	b := notifications.Brief{
		Position: e.Position, Hub: e.Hub, Stored: e.Stored, Recipient: e.Event.Recipient, Type: e.Event.Type, Severity: e.Event.Severity,
		MembersAt: e.Event.MembersAt, ExpiresAt: e.Event.ExpiresAt, Recall: e.Event.Recalls != "",
	}
	if b.Recall {
		return b
	}
	b.RecalledBy = n.next(e, func(later *notifications.Event) bool { return later.Recalls == e.Event.ID })
	if key := e.Event.CollapseKey; key != "" {
		b.CollapsedBy = n.next(e, func(later *notifications.Event) bool { return later.Recalls == "" && later.CollapseKey == key })
	}
	return b
}

// briefs describes what the memberships may read, oldest first.
func (n *naive) briefs(hub string, memberships []notifications.Membership) []notifications.Brief {
	var all []notifications.Brief
	for _, e := range n.entries {
		b := n.brief(e)
		if e.Hub == hub && slices.ContainsFunc(memberships, func(m notifications.Membership) bool {
			return m.Recipient == b.Recipient && (b.Position > m.Since || b.MembersAt == notifications.Read)
		}) {
			all = append(all, b)
		}
	}
	return all
}

func (n *naive) told(hub string, memberships []notifications.Membership) []notifications.Position {
	var all []notifications.Position
	for _, b := range n.briefs(hub, memberships) {
		if b.RecalledBy == 0 && b.CollapsedBy == 0 && (b.ExpiresAt.IsZero() || n.now.Before(b.ExpiresAt)) {
			all = append(all, b.Position)
		}
	}
	return all
}

// The index answers as a walk over all events would, whatever was trimmed or
// erased and whichever positions are holes.
func TestIndexIsAWalkOverTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndexOf(uint(rapid.IntRange(1, 4).Draw(t, "shift")))
		n := &naive{first: 1, erased: make(map[address]notifications.Position), now: time.UnixMilli(5000)}
		for range rapid.IntRange(20, 120).Draw(t, "steps") {
			step(t, x, n)
			if rapid.IntRange(0, 3).Draw(t, "compare") == 0 {
				compareWithNaive(t, x, n)
			}
		}
		compareWithNaive(t, x, n)
	})
}

func recipients() []notifications.Recipient {
	return []notifications.Recipient{notifications.ToUser("a"), notifications.ToUser("b"), notifications.ToGroup("g"), notifications.ToEveryone()}
}

func step(t *rapid.T, x *index, n *naive) {
	switch rapid.IntRange(0, 15).Draw(t, "step") {
	case 0:
		n.trim(min(n.first+notifications.Position(rapid.IntRange(0, 20).Draw(t, "trim")), n.head+1))
		if got := x.trim(n.first); got != n.first && (got != 1 || len(n.entries) > 0 && n.entries[0].Position < n.first) {
			t.Fatalf("trim(%d) = %d", n.first, got)
		}
	case 1:
		n.head += notifications.Position(rapid.IntRange(1, 3).Draw(t, "hole"))
	case 2:
		n.head++
		x.add(n.head, time.UnixMilli(int64(n.head)*10), nil)
	case 3:
		a := address{"h", rapid.SampledFrom(recipients()).Draw(t, "erased")}
		upTo := notifications.Position(rapid.IntRange(0, int(n.head)+4).Draw(t, "up to"))
		x.forget(a, upTo)
		n.forget(a, upTo)
	default:
		e := randomEntry(t, n.head+1)
		want := e.Position > n.erased[address{e.Hub, e.Event.Recipient}]
		if got := x.add(e.Position, e.Stored, e); got != want {
			t.Fatalf("add of %d: kept %v, want %v", e.Position, got, want)
		}
		n.add(e)
	}
}

func randomEntry(t *rapid.T, p notifications.Position) *notifications.Entry {
	return &notifications.Entry{
		Position: p, Hub: rapid.SampledFrom([]string{"h", "h", "h", "i"}).Draw(t, "hub"), Stored: time.UnixMilli(int64(p) * 10).UTC(),
		Event: notifications.Event{
			ID:          rapid.SampledFrom([]string{"1", "2", "3", "4", "5"}).Draw(t, "id"),
			Type:        rapid.SampledFrom([]string{"t", "u"}).Draw(t, "type"),
			Recipient:   rapid.SampledFrom(recipients()).Draw(t, "to"),
			Severity:    rapid.SampledFrom([]notifications.Severity{notifications.Info, notifications.Success, notifications.Warning, notifications.Critical}).Draw(t, "severity"),
			MembersAt:   rapid.SampledFrom([]notifications.MembersAt{notifications.Emit, notifications.Read}).Draw(t, "members"),
			CollapseKey: rapid.SampledFrom([]string{"", "", "k", "l"}).Draw(t, "key"),
			Recalls:     rapid.SampledFrom([]string{"", "", "", "1", "2", "none"}).Draw(t, "recalls"),
			ExpiresAt:   rapid.SampledFrom([]time.Time{{}, {}, time.UnixMilli(4000).UTC(), time.UnixMilli(5000).UTC(), time.UnixMilli(6000).UTC()}).Draw(t, "expires"),
		},
	}
}

func compareWithNaive(t *rapid.T, x *index, n *naive) {
	if n.head > x.head() { // a hole is known from what is behind it
		n.head++
		e := &notifications.Entry{Position: n.head, Hub: "h", Stored: time.UnixMilli(int64(n.head) * 10).UTC(), Event: notifications.Event{
			ID: "0", Type: "t", Recipient: notifications.ToUser("c"), Severity: notifications.Info, MembersAt: notifications.Emit,
		}}
		x.add(n.head, e.Stored, e)
		n.add(e)
	}
	compareQueries(t, x, n)
	comparePlaces(t, x, n)
	for _, id := range []string{"1", "2", "3", "none"} {
		var want []notifications.Position
		for _, e := range n.entries {
			if e.Hub == "h" && e.Event.ID == id {
				want = append(want, e.Position)
			}
		}
		if got := x.find("h", id); !slices.Equal(got, want) {
			t.Fatalf("find %s: got %v, want %v", id, got, want)
		}
	}
	compareSizes(t, x, n)
}

func compareQueries(t *rapid.T, x *index, n *naive) {
	var memberships []notifications.Membership
	for range rapid.IntRange(0, 6).Draw(t, "memberships") {
		memberships = append(memberships, notifications.Membership{
			Recipient: rapid.SampledFrom(recipients()).Draw(t, "member"), Since: notifications.Position(rapid.IntRange(0, 60).Draw(t, "since")),
		})
	}
	hub := rapid.SampledFrom([]string{"h", "i", "other"}).Draw(t, "hub")
	told := n.told(hub, memberships)

	q := notifications.Query{Hub: hub, Memberships: memberships, After: notifications.Position(rapid.IntRange(0, 100).Draw(t, "after"))}
	limit := rapid.IntRange(1, 30).Draw(t, "limit")
	want, wantUpTo := slices.DeleteFunc(slices.Clone(told), func(p notifications.Position) bool { return p <= q.After }), n.head
	if len(want) > limit {
		want, wantUpTo = want[:limit], want[limit-1]
	}
	if got, upTo := x.page(q, limit, n.now); !slices.Equal(got, want) || upTo != wantUpTo {
		t.Fatalf("after %d, limit %d: got %v up to %d, want %v up to %d", q.After, limit, got, upTo, want, wantUpTo)
	}

	found, after := min(limit, len(told)), n.head
	if found > 0 {
		after = told[len(told)-found] - 1
	}
	if gotAfter, gotFound := x.recent(hub, memberships, limit, n.now); gotAfter != after || gotFound != found {
		t.Fatalf("recent %d: got %d after %d, want %d after %d", limit, gotFound, gotAfter, found, after)
	}

	before := notifications.Position(rapid.IntRange(0, 100).Draw(t, "before"))
	var walked, wantWalked []notifications.Brief
	for _, b := range slices.Backward(n.briefs(hub, memberships)) {
		if (before == 0 || b.Position < before) && len(wantWalked) < limit {
			wantWalked = append(wantWalked, b)
		}
	}
	head := x.walk(hub, memberships, before, func(b notifications.Brief) bool {
		walked = append(walked, b)
		return len(walked) < limit
	})
	if diff := cmp.Diff(wantWalked, walked); diff != "" || head != n.head {
		t.Fatalf("walk before %d, %d of them: head %d, want %d (-want +got):\n%s", before, limit, head, n.head, diff)
	}
}

// comparePlaces compares what is known of each position.
func comparePlaces(t *rapid.T, x *index, n *naive) {
	held := make(map[notifications.Position]*notifications.Entry)
	for _, e := range n.entries {
		held[e.Position] = e
		if at, is := x.storedAt(e.Position); !is || !at.Equal(e.Stored) || x.isHole(e.Position) {
			t.Fatalf("storedAt %d: got %v, %v, want %v", e.Position, at, is, e.Stored)
		}
		if before := x.before(e.Stored); before >= e.Position || before+1 < x.first {
			t.Fatalf("before the time of %d: got %d", e.Position, before)
		}
	}
	for p := range n.head + 3 {
		want, is := notifications.Brief{}, held[p] != nil
		if is {
			want = n.brief(held[p])
		}
		if got, known := x.brief(p); known != is || got != want {
			t.Fatalf("brief %d: got %+v, %v, want %+v, %v", p, got, known, want, is)
		}
	}
}

// compareSizes tells whether the index holds anything of what it has forgotten.
func compareSizes(t *rapid.T, x *index, n *naive) {
	types, addresses := map[string]bool{}, map[address]bool{}
	var expiring, collapsed, newest, recalled, holes int
	for _, e := range n.entries {
		types[e.Event.Type], addresses[address{e.Hub, e.Event.Recipient}] = true, true
		b := n.brief(e)
		switch {
		case b.CollapsedBy != 0:
			collapsed++
		case e.Event.CollapseKey != "" && !b.Recall:
			newest++
		}
		if b.RecalledBy != 0 {
			recalled++
		}
		if !b.ExpiresAt.IsZero() {
			expiring++
		}
	}
	got := []int{
		len(x.types.numbers), len(x.types.all) - len(x.types.free), len(x.recipients.numbers), len(x.recipients.all) - len(x.recipients.free),
		len(x.expiresAt), len(x.collapsedBy), len(x.newest), len(x.keys), len(x.recalledBy),
	}
	if want := []int{len(types), len(types), len(addresses), len(addresses), expiring, collapsed, newest, newest, recalled}; !slices.Equal(got, want) {
		t.Fatalf("types, recipients, expiring, collapsed, newest, keys, recalled: got %v, want %v", got, want)
	}
	for _, l := range x.lists {
		holes += l.cut
	}
	if most := len(n.entries) + len(x.lists); holes > most {
		t.Fatalf("%d postings were taken off and are held, want at most %d", holes, most)
	}
	if blocks := int(x.next-x.first)>>x.shift + 2; len(x.blocks) > blocks {
		t.Fatalf("%d blocks, want at most %d", len(x.blocks), blocks)
	}
}

// An erasure of what this node has not read yet is obeyed when it comes, and
// then forgotten.
func TestErasureOfWhatWasNotRead(t *testing.T) {
	x := newIndex()
	ann := address{"h", notifications.ToUser("ann")}
	add := func(p notifications.Position, to notifications.Recipient) bool {
		return x.add(p, time.UnixMilli(int64(p)), &notifications.Entry{Position: p, Hub: "h", Event: notifications.Event{Recipient: to}})
	}
	add(1, ann.recipient)
	x.forget(ann, 3)
	x.forget(ann, 2)
	if add(2, notifications.ToUser("bob")); add(3, ann.recipient) {
		t.Error("what was erased is kept")
	}
	if !x.isHole(1) || x.isHole(2) || !x.isHole(3) || x.head() != 3 {
		t.Errorf("1 and 3 are to be holes: %v", x.blocks[0].times[:3])
	}
	if !add(4, ann.recipient) || len(x.erased) != 0 {
		t.Errorf("what came after is not kept, or the erasure is remembered: %v", x.erased)
	}
	if x.forget(ann, 5); add(5, ann.recipient) {
		t.Error("what was erased just before it came is kept")
	}
}

// The holes at the very beginning of a log are nobody's loss; what retention has
// dropped is.
func TestWhereTheLogBegins(t *testing.T) {
	for _, test := range []struct {
		name         string
		erase, first notifications.Position
		want         notifications.Position
	}{
		{"nothing is gone", 0, 1, 1},
		{"dropped", 0, 3, 3},
		{"erased", 2, 3, 1},
		{"all erased", 4, 5, 1},
		{"erased and dropped", 2, 4, 4},
		{"dropped beyond the end", 4, 7, 7},
	} {
		x := newIndex()
		for p := range notifications.Position(4) {
			x.add(p+1, time.UnixMilli(int64(p)+1), &notifications.Entry{Position: p + 1, Hub: "h", Event: notifications.Event{Recipient: notifications.ToEveryone()}})
		}
		x.forget(address{"h", notifications.ToEveryone()}, test.erase)
		if got := x.trim(test.first); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// A reader that is told little gets there in pages that are short to make.
func TestAPageLooksAtSoManyEventsOnly(t *testing.T) {
	x := newIndex()
	const n = 5*pageLook/2 + 1
	entries(n, 1, func(e *notifications.Entry) {
		if e.Event.Recipient = notifications.ToEveryone(); e.Position < n {
			e.Event.CollapseKey = "progress"
		} else {
			e.Event.CollapseKey = ""
		}
		x.add(e.Position, e.Stored, e)
	})
	q := notifications.Query{Hub: "h", Memberships: []notifications.Membership{{Recipient: notifications.ToEveryone()}}}
	var told, upTo []notifications.Position
	for q.After < n {
		var found []notifications.Position
		found, q.After = x.page(q, 2, time.Now())
		told, upTo = append(told, found...), append(upTo, q.After)
	}
	if got := fmt.Sprint(told, upTo); got != fmt.Sprint([]int{n - 1, n}, []int{pageLook, 2 * pageLook, n}) {
		t.Errorf("got %s", got)
	}
}

// entries gives n plain events for that many users to take, one after the other,
// all in the same memory.
func entries(n, users int, take func(*notifications.Entry)) {
	to := make([]notifications.Recipient, users)
	for i := range to {
		to[i] = notifications.ToUser(fmt.Sprintf("user-%d@example.com", i))
	}
	e := &notifications.Entry{Hub: "h", Event: notifications.Event{Type: "order.shipped", Severity: notifications.Info, MembersAt: notifications.Emit}}
	for p := range n {
		e.Position, e.Stored = notifications.Position(p+1), time.UnixMilli(int64(p+1))
		e.Event.ID, e.Event.Recipient = fmt.Sprintf("id-%d", p), to[p%users]
		take(e)
	}
}

// allocated is how much memory is in use.
func allocated() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bytesPerEvent fills an index with events for a thousand users and tells what
// it costs.
func bytesPerEvent(events int) float64 {
	x := newIndex()
	before := allocated()
	entries(events, 1_000, func(e *notifications.Entry) { x.add(e.Position, e.Stored, e) })
	after := allocated()
	runtime.KeepAlive(x)
	return float64(after-before) / float64(events)
}

func TestTheIndexIsSmall(t *testing.T) {
	got := bytesPerEvent(300_000)
	t.Logf("%.1f bytes per event", got)
	if got > 56 {
		t.Errorf("got %.1f bytes per event, want at most 56", got)
	}
}

// What the index does with every event allocates nothing, but for lists and
// blocks that grow.
func TestAddingAllocatesNothing(t *testing.T) {
	x := newIndex()
	e := &notifications.Entry{Hub: "h", Event: notifications.Event{ID: "e", Recipient: notifications.ToUser("ann"), Type: "t"}}
	got := testing.AllocsPerRun(20_000, func() {
		e.Position++
		x.add(e.Position, time.UnixMilli(1), e)
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

// Walking allocates the state of the merge only, however far it goes.
func TestWalkingAllocatesOnce(t *testing.T) {
	x, m := inbox(10_000)
	got := testing.AllocsPerRun(10, func() { x.walk("h", m, 0, func(notifications.Brief) bool { return true }) })
	if got > 2 {
		t.Errorf("got %v allocations, want at most 2", got)
	}
}

// inbox is an index in which somebody has n events of three recipients, between
// those of others.
func inbox(n int) (*index, []notifications.Membership) {
	x := newIndex()
	mine := []notifications.Recipient{notifications.ToUser("me"), notifications.ToRole("ops"), notifications.ToEveryone()}
	entries(10*n, 1_000, func(e *notifications.Entry) {
		if e.Position%10 == 0 {
			e.Event.Recipient = mine[e.Position/10%3]
		}
		x.add(e.Position, e.Stored, e)
	})
	return x, []notifications.Membership{{Recipient: mine[0]}, {Recipient: mine[1], Since: 100}, {Recipient: mine[2]}}
}

func BenchmarkIndexAdd(b *testing.B) {
	x := newIndex()
	e := &notifications.Entry{Hub: "h", Event: notifications.Event{Type: "order.shipped"}}
	to := make([]notifications.Recipient, 1_000)
	for i := range to {
		to[i] = notifications.ToUser(fmt.Sprint(i))
	}
	at := time.UnixMilli(1)
	b.ReportAllocs()
	for b.Loop() {
		e.Position++
		e.Event.ID, e.Event.Recipient = to[e.Position/1_000%1_000].Key, to[e.Position%1_000]
		x.add(e.Position, at, e)
	}
}

func BenchmarkIndexBytes(b *testing.B) {
	var got float64
	for b.Loop() {
		got = bytesPerEvent(1_000_000)
	}
	b.ReportMetric(got, "B/event")
}

func BenchmarkIndexWalk(b *testing.B) {
	x, m := inbox(10_000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		x.walk("h", m, 0, func(notifications.Brief) bool { n++; return true })
		if n != 10_000-4 { // the role had told four before
			b.Fatalf("walked over %d", n)
		}
	}
}

func BenchmarkIndexPage(b *testing.B) {
	x := newIndex()
	entries(1_000_000, 100_000, func(e *notifications.Entry) { x.add(e.Position, e.Stored, e) })
	q := notifications.Query{Hub: "h", After: 500_000, Memberships: []notifications.Membership{
		{Recipient: notifications.ToUser("user-77@example.com")}, {Recipient: notifications.ToRole("ops")}, {Recipient: notifications.ToEveryone()},
	}}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		x.page(q, 128, now)
	}
}

func BenchmarkIndexFind(b *testing.B) {
	x := newIndex()
	entries(1_000_000, 1_000, func(e *notifications.Entry) { x.add(e.Position, e.Stored, e) })
	b.ReportAllocs()
	for b.Loop() {
		if got := x.find("h", "id-77777"); len(got) != 1 {
			b.Fatalf("found %v", got)
		}
	}
}

// What retention drops at once is forgotten at once.
func BenchmarkIndexTrim(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		x := newIndex()
		entries(100_000, 1_000, func(e *notifications.Entry) { x.add(e.Position, e.Stored, e) })
		b.StartTimer()
		x.trim(100_001)
	}
	b.ReportMetric(100_000, "positions/op")
}
