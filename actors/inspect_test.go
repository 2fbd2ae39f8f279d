package actors_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tidings/actors"
	"tidings/actors/actorstest"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// pages reads all pages of the list.
func (n *node) pages(q actors.ConnectionQuery) []actors.ConnectionInfo {
	n.t.Helper()
	var all []actors.ConnectionInfo
	for {
		page, err := n.system.Connections(n.t.Context(), q)
		if err != nil {
			n.t.Fatalf("Connections %+v: %v", q, err)
		}
		all = append(all, page.Items...)
		if q.Before = page.Next; q.Before == "" {
			return all
		}
	}
}

// Who stays while pages are read is on exactly one of them, whoever else joins
// and leaves.
func TestPagesWhileOthersComeAndGo(t *testing.T) {
	const stay, rounds = 1000, 5
	n := newNode(t, actors.Options{Shards: 3})
	join := func(id, user string) *actors.Connection {
		c, err := n.system.Join(t.Context(), actors.Member{ID: id, User: user, Codec: protocol.JSON(), Sink: actorstest.NewSink()})
		if err != nil {
			t.Errorf("join %s: %v", id, err)
		}
		return c
	}
	var coming sync.WaitGroup
	for worker := range 8 {
		coming.Go(func() {
			for i := worker; i < stay; i += 8 {
				join(fmt.Sprint("stay", i), fmt.Sprint("u", i%100))
			}
		})
	}
	coming.Wait()
	ctx, stop := context.WithCancel(t.Context())
	for worker := range 4 {
		coming.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				join(fmt.Sprint("go", worker, ".", i), "u7").Leave(actors.ReasonNormal)
			}
		})
	}
	for round := range rounds {
		seen := make(map[string]int)
		all := n.pages(actors.ConnectionQuery{Limit: 20 + 37*round})
		for _, c := range all {
			seen[c.ID]++
		}
		for i := range stay {
			if got := seen[fmt.Sprint("stay", i)]; got != 1 {
				t.Fatalf("round %d: stay%d was shown %d times", round, i, got)
			}
		}
		if !slices.IsSortedFunc(all, func(a, b actors.ConnectionInfo) int {
			return cmp.Or(b.Began.Compare(a.Began), strings.Compare(a.ID, b.ID))
		}) {
			t.Errorf("round %d: the newest are not first", round)
		}
	}
	stop()
	coming.Wait()
}

// sideways is a socket of another transport.
type sideways struct{ *actorstest.Sink }

func (sideways) Transport() string { return "Sideways" }

// populated is a node with members of all sorts.
func populated(t *testing.T) (*node, []actors.Member) {
	t.Helper()
	n := newNode(t, actors.Options{Shards: 3})
	var members []actors.Member
	for i := range 120 {
		m := actors.Member{
			ID: fmt.Sprintf("Conn-%d", i*7919%1000), User: []string{"Ann", "bob", "", "eve", "anna"}[i%5],
			Groups: make(map[string]notifications.Position), Codec: protocol.JSON(), Sink: actorstest.NewSink(), Resumable: i%4 == 0,
		}
		for r := range 3 {
			if i%(r+2) == 0 {
				m.Roles = append(m.Roles, fmt.Sprint("r", r))
			}
			if i%(r+3) == 0 {
				m.Groups[fmt.Sprint("G", r)] = 0
			}
		}
		if i%6 == 0 {
			m.Sink = sideways{actorstest.NewSink()}
		}
		if m.User == "bob" {
			m.State = &notifications.State{Version: 1, Groups: map[string]notifications.Term{"durable": {}}}
		}
		if _, err := n.system.Join(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	return n, members
}

func inGroup(m actors.Member, name string) bool {
	_, in := m.Groups[name]
	return in || name == "durable" && m.User == "bob"
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// A filter shows those whom looking at each would find.
func TestFilters(t *testing.T) {
	n, members := populated(t)
	draw := func(t *rapid.T, what string, of ...string) string {
		return rapid.SampledFrom(append(of, "", "", "")).Draw(t, what)
	}
	rapid.Check(t, func(t *rapid.T) {
		q := actors.ConnectionQuery{
			Text: draw(t, "text", "AN", "conn-1", "-77", "nobody"), User: draw(t, "user", "Ann", "bob", "ann"),
			Role: draw(t, "role", "r0", "r1", "r9"), Group: draw(t, "group", "G0", "G2", "durable"),
			Transport: draw(t, "transport", "Sideways", "Memory"), Limit: rapid.IntRange(0, 200).Draw(t, "limit"),
		}
		var want, got []string
		for _, m := range members {
			if (contains(m.ID, q.Text) || contains(m.User, q.Text)) && (q.User == "" || m.User == q.User) &&
				(q.Role == "" || slices.Contains(m.Roles, q.Role)) && (q.Group == "" || inGroup(m, q.Group)) &&
				(q.Transport == "" || m.Sink.Transport() == q.Transport) {
				want = append(want, m.ID)
			}
		}
		page, err := n.system.Connections(n.t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if page.Total != len(members) || page.Matched != len(want) || len(page.Items) > cmp.Or(q.Limit, 50) {
			t.Errorf("%+v: %d of %d matched and %d shown, want %d of %d", q, page.Matched, page.Total, len(page.Items), len(want), len(members))
		}
		for _, c := range n.pages(q) {
			got = append(got, c.ID)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", q, got, want)
		}
	})
}

// A place that no page has given is refused.
func TestPlacesOfPages(t *testing.T) {
	n := newNode(t, actors.Options{})
	for _, before := range []string{"x", ".", "1.", "!.a"} {
		if _, err := n.system.Connections(t.Context(), actors.ConnectionQuery{Before: before}); !errors.Is(err, actors.ErrPlace) {
			t.Errorf("before %q: got %v, want ErrPlace", before, err)
		}
	}
	if _, err := n.system.Groups(t.Context(), actors.GroupQuery{After: "x"}); !errors.Is(err, actors.ErrPlace) {
		t.Errorf("groups after x: got %v, want ErrPlace", err)
	}
	if _, err := n.system.Members(t.Context(), notifications.ToUser("ann"), "", 0); err == nil {
		t.Error("members of a user: got no error")
	}
}

// What is told of a connection is what it is.
func TestConnectionInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1, OutboxFrames: 2})
		began := time.Now()
		groups := map[string]notifications.Position{"z": 0}
		for i := range 30 {
			groups[fmt.Sprintf("g%02d", i)] = 0
		}
		live := n.connect(actors.Member{
			ID: "live", User: "ann", Roles: []string{"sales", "ops"}, Groups: groups, Resumable: true,
			State: &notifications.State{Version: 1, Groups: map[string]notifications.Term{"durable": {}, "z": {}}},
		})
		if err := live.Release(t.Context()); err != nil { // until then it is given nothing
			t.Fatal(err)
		}
		lagging := n.connect(actors.Member{ID: "lagging", User: "bob"})
		closing := n.connect(actors.Member{ID: "closing", User: "bob"})
		n.join(actors.Member{ID: "joined"})
		synctest.Wait()
		lagging.sink.Stall(0)
		closing.sink.Stall(0)
		for range 5 {
			n.emit(notifications.ToUser("bob"))
			synctest.Wait()
		}
		if err := closing.Close(t.Context(), actors.ReasonNormal, nil); err != nil {
			t.Fatal(err)
		}
		n.log.Break(errors.New("log is away"))
		n.connect(actors.Member{ID: "catching up", User: "ann"})
		time.Sleep(100 * time.Millisecond) // bubble time
		lagging.Heard()
		synctest.Wait()

		phases := map[string]string{}
		for _, c := range n.pages(actors.ConnectionQuery{}) {
			phases[c.ID] = c.Phase
			if !c.Began.Equal(began) || c.Transport != "Memory" || c.Codec != "json" {
				t.Errorf("%s: began %v over %s in %s", c.ID, c.Began, c.Transport, c.Codec)
			}
		}
		for id, phase := range phases {
			if id != phase {
				t.Errorf("%s is %s", id, phase)
			}
		}
		if len(phases) != 5 {
			t.Errorf("%d connections, want 5", len(phases))
		}
		ann, _, err := n.system.Connection(t.Context(), "live")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(ann.Roles) != "[ops sales]" || ann.User != "ann" || !ann.Resumable || ann.GroupCount != 32 || len(ann.Groups) != 32 || ann.Groups[0] != "durable" || ann.Groups[31] != "z" {
			t.Errorf("ann: %+v", ann)
		}
		page, err := n.system.Connections(t.Context(), actors.ConnectionQuery{Text: "LIVE"})
		if err != nil {
			t.Fatal(err)
		}
		if c := page.Items[0]; c.GroupCount != 32 || len(c.Groups) != 20 || c.Groups[0] != "durable" || c.Groups[1] != "g00" {
			t.Errorf("in a page ann has %d groups and shows %v", c.GroupCount, c.Groups)
		}
		bob, _, err := n.system.Connection(t.Context(), "lagging")
		if err != nil {
			t.Fatal(err)
		}
		if bob.QueuedFrames != 2 || bob.QueuedBytes == 0 || bob.Position != 3 || bob.Resumable || !bob.Heard.Equal(began.Add(100*time.Millisecond)) {
			t.Errorf("bob: %+v", bob)
		}
		if _, known, err := n.system.Connection(t.Context(), "zoe"); known || err != nil {
			t.Errorf("nobody: known %v, %v", known, err)
		}
		n.log.Break(nil)
	})
}

// Roles and groups are listed by name, with all who are in them on any shard;
// and so are their members.
func TestGroupsAndMembers(t *testing.T) {
	n, members := populated(t)
	want := make(map[notifications.Recipient][]string)
	for _, m := range members {
		for _, role := range m.Roles {
			want[notifications.ToRole(role)] = append(want[notifications.ToRole(role)], m.ID)
		}
		for _, name := range []string{"G0", "G1", "G2", "durable"} {
			if inGroup(m, name) {
				want[notifications.ToGroup(name)] = append(want[notifications.ToGroup(name)], m.ID)
			}
		}
	}
	for _, test := range []struct {
		q    actors.GroupQuery
		want string
	}{
		{actors.GroupQuery{Limit: 2}, "[group/G0 group/G1 group/G2 group/durable role/r0 role/r1 role/r2]"},
		{actors.GroupQuery{Limit: 3, Kind: notifications.Role}, "[role/r0 role/r1 role/r2]"},
		{actors.GroupQuery{Text: "g1"}, "[group/G1]"},
		{actors.GroupQuery{Kind: notifications.Group, Text: "r"}, "[group/durable]"},
	} {
		var got []string
		for q := test.q; ; {
			page, err := n.system.Groups(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range page.Items {
				got = append(got, g.Recipient.String())
				if g.Connections != len(want[g.Recipient]) {
					t.Errorf("%s has %d connections, want %d", g.Recipient, g.Connections, len(want[g.Recipient]))
				}
			}
			if q.After = page.Next; q.After == "" {
				if page.Matched != len(got) {
					t.Errorf("%+v: %d matched, %d shown", test.q, page.Matched, len(got))
				}
				break
			}
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%+v: got %v, want %s", test.q, got, test.want)
		}
	}
	for of, ids := range want {
		slices.Sort(ids)
		var got []string
		for after := ""; ; {
			page, err := n.system.Members(t.Context(), of, after, 7)
			if err != nil || page.Total != len(ids) || len(page.Items) > 7 {
				t.Fatalf("members of %s: %d of %d, want %d: %v", of, len(page.Items), page.Total, len(ids), err)
			}
			for _, m := range page.Items {
				got = append(got, m.ID)
				if i := slices.IndexFunc(members, func(of actors.Member) bool { return of.ID == m.ID }); members[i].User != m.User || members[i].Sink.Transport() != m.Transport {
					t.Errorf("%s: %+v", m.ID, m)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if !slices.Equal(got, ids) {
			t.Errorf("members of %s: got %v, want %v", of, got, ids)
		}
	}
	if page, err := n.system.Members(t.Context(), notifications.ToRole("nobody"), "", 0); err != nil || page.Total != 0 {
		t.Errorf("members of a role that nobody has: %+v, %v", page, err)
	}
}

// An operator ends a connection, and its client is told to come back.
func TestOperatorCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{})
		ann := n.connect(actors.Member{ID: "a", User: "ann"})
		bob := n.connect(actors.Member{ID: "b", User: "bob"})
		if err := n.system.Close(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		<-ann.Done()
		if got := ann.sink.Text(); got != `{"type":7,"allowReconnect":true}`+"\x1e" || ann.sink.Finished() != actors.ReasonOperator || ann.Ended() != actors.ReasonOperator {
			t.Errorf("ann heard %q and ended for %q", got, ann.sink.Finished())
		}
		if got := bob.sink.Finished(); got != "" {
			t.Errorf("bob has ended for %q", got)
		}
		ann.Leave(actors.ReasonNormal)
		for _, id := range []string{"a", "zoe"} {
			if err := n.system.Close(t.Context(), id); !errors.Is(err, actors.ErrGone) {
				t.Errorf("closing %s: got %v, want ErrGone", id, err)
			}
		}
	})
}

// Questions to a system that has ended are answered, and so is one whose asker
// waits no longer.
func TestInspectionEnds(t *testing.T) {
	system, err := actors.New(actors.Options{Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := system.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := system.Groups(t.Context(), actors.GroupQuery{}); !errors.Is(err, actors.ErrGone) {
		t.Errorf("Groups of a system that has ended: got %v, want ErrGone", err)
	}
	if page, err := system.Connections(t.Context(), actors.ConnectionQuery{}); err != nil || page.Total != 0 {
		t.Errorf("Connections of a system that has ended: got %+v, %v", page, err)
	}
}

// BenchmarkConnections is a page of 50 of 100,000.
func BenchmarkConnections(b *testing.B) {
	system, _, _ := crowd(b, 100_000)
	for name, q := range map[string]actors.ConnectionQuery{"all": {}, "text": {Text: "U777"}, "role": {Role: "ops"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := system.Connections(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
