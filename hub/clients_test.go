package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
)

// loop is a Backplane that brings everything back to one hub.
type loop struct {
	t *testing.T

	mu     sync.Mutex // guards all below; held while delivering, for the order
	hub    *hub.Hub
	passed []notifications.Live
	broken error
}

// PublishLive implements hub.Backplane.
func (l *loop) PublishLive(m notifications.Live) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	l.passed = append(l.passed, m)
	return l.hub.DeliverLive(context.WithoutCancel(l.t.Context()), m)
}

func (l *loop) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
}

// room is a hub whose method Do makes a call that a test gives it.
type room struct {
	*hub.Hub

	do func(c *hub.Context) error
}

func newRoom(t *testing.T, backplane hub.Backplane) *room {
	t.Helper()
	r := &room{}
	r.Hub = newHub(t, hub.Options{
		Name: "room", Shards: 3, Backplane: backplane,
		Methods: hub.Methods{
			"Do":   func(c *hub.Context) error { return r.do(c) },
			"Join": (*hub.Context).JoinGroup, "Leave": (*hub.Context).LeaveGroup,
		},
	})
	return r
}

// people are connected to a room: two tabs of ann, bob and cyd.
type people struct {
	t          *testing.T
	room       *room
	a1, a2     *hubtest.Browser
	bob, cyd   *hubtest.Browser
	ids, names []string
}

func gather(t *testing.T, r *room, s *hubtest.Server) *people {
	t.Helper()
	p := &people{
		t: t, room: r,
		a1: s.Connect("ann", "", "ops"), a2: s.Connect("ann", "", "ops"),
		bob: s.Connect("bob", ""), cyd: s.Connect("cyd", "", "ops", "boss"),
		names: []string{"a1", "a2", "bob", "cyd"},
	}
	for _, b := range p.all() {
		p.ids = append(p.ids, b.ID)
	}
	for b, groups := range map[*hubtest.Browser][]string{p.a1: {"g"}, p.a2: {"g", "h"}, p.bob: {"h"}} {
		for _, g := range groups {
			b.Send(call("j", "Join", g))
			if got := b.Receive(); got != result("j", "null") {
				t.Fatalf("join: %s", got)
			}
		}
	}
	return p
}

func (p *people) all() []*hubtest.Browser { return []*hubtest.Browser{p.a1, p.a2, p.bob, p.cyd} }

// mark is the last thing that is sent in a round.
const mark = `{"type":1,"target":"Mark","arguments":[]}`

// heard tells who has heard a message, in this round; twice is twice.
func (p *people) heard() string {
	p.t.Helper()
	if err := p.room.Clients().All().Send(p.t.Context(), "Mark"); err != nil {
		p.t.Fatal(err)
	}
	var who []string
	for i, b := range p.all() {
		for {
			r := b.Receive()
			if r == mark {
				break
			}
			if r == said("Said", "hi", 7, nil) {
				who = append(who, p.names[i])
			} else {
				p.t.Errorf("%s heard %s", p.names[i], r)
			}
		}
	}
	return strings.Join(who, " ")
}

// selectors are all ways to say whom a message is for. me is a1.
func selectors(p *people) []struct {
	name string
	to   func(c hub.CallerClients) hub.Recipients
	want string
} {
	return []struct {
		name string
		to   func(c hub.CallerClients) hub.Recipients
		want string
	}{
		{"All", func(c hub.CallerClients) hub.Recipients { return c.All() }, "a1 a2 bob cyd"},
		{"AllExcept", func(c hub.CallerClients) hub.Recipients { return c.AllExcept(p.a2.ID, p.bob.ID, "nobody") }, "a1 cyd"},
		{"AllExcept nobody", func(c hub.CallerClients) hub.Recipients { return c.AllExcept() }, "a1 a2 bob cyd"},
		{"Caller", func(c hub.CallerClients) hub.Recipients { return c.Caller() }, "a1"},
		{"Others", func(c hub.CallerClients) hub.Recipients { return c.Others() }, "a2 bob cyd"},
		{"Client", func(c hub.CallerClients) hub.Recipients { return c.Client(p.bob.ID) }, "bob"},
		{"Client unknown", func(c hub.CallerClients) hub.Recipients { return c.Client("nobody") }, ""},
		{"Client without a name", func(c hub.CallerClients) hub.Recipients { return c.Client("") }, ""},
		{"Clients", func(c hub.CallerClients) hub.Recipients { return c.Clients(p.bob.ID, p.a1.ID, "nobody") }, "a1 bob"},
		{"Clients of none", func(c hub.CallerClients) hub.Recipients { return c.Clients() }, ""},
		{"Group", func(c hub.CallerClients) hub.Recipients { return c.Group("g") }, "a1 a2"},
		{"Group in another case", func(c hub.CallerClients) hub.Recipients { return c.Group("G") }, ""},
		{"Group without a name", func(c hub.CallerClients) hub.Recipients { return c.Group("") }, ""},
		{"Groups", func(c hub.CallerClients) hub.Recipients { return c.Groups("g", "h", "none") }, "a1 a2 a2 bob"},
		{"GroupExcept", func(c hub.CallerClients) hub.Recipients { return c.GroupExcept("h", p.bob.ID) }, "a2"},
		{"OthersInGroup", func(c hub.CallerClients) hub.Recipients { return c.OthersInGroup("g") }, "a2"},
		{"OthersInGroup of others", func(c hub.CallerClients) hub.Recipients { return c.OthersInGroup("h") }, "a2 bob"},
		{"User", func(c hub.CallerClients) hub.Recipients { return c.User("ann") }, "a1 a2"},
		{"User in another case", func(c hub.CallerClients) hub.Recipients { return c.User("Ann") }, ""},
		{"Users", func(c hub.CallerClients) hub.Recipients { return c.Users("cyd", "ann", "nobody") }, "a1 a2 cyd"},
		{"Role", func(c hub.CallerClients) hub.Recipients { return c.Role("ops") }, "a1 a2 cyd"},
		{"Roles", func(c hub.CallerClients) hub.Recipients { return c.Roles("boss", "none") }, "cyd"},
		{"Role of one", func(c hub.CallerClients) hub.Recipients { return c.Role("boss") }, "cyd"},
		{"Role that nobody has", func(c hub.CallerClients) hub.Recipients { return c.Role("none") }, ""},
	}
}

// try makes every selector in turn reach those it names, and nobody else.
func (p *people) try() {
	p.t.Helper()
	for _, test := range selectors(p) {
		sent := make(chan error, 1)
		p.room.do = func(c *hub.Context) error {
			sent <- test.to(c.Clients()).Send(c.Context(), "Said", "hi", 7, nil)
			return nil
		}
		p.a1.Send(tell("Do"))
		if err := <-sent; err != nil {
			p.t.Errorf("%s: %v", test.name, err)
		}
		if who := p.heard(); who != test.want {
			p.t.Errorf("%s: heard by %q, want %q", test.name, who, test.want)
		}
	}
}

// signalr.md §9, "Clients": on one node.
func TestClientsOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, nil)
		gather(t, r, hubtest.ServePipes(t, r, connections.Options{})).try()
	})
}

// The same through a backplane, which all but a connection of this node goes
// through.
func TestClientsThroughABackplane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &loop{t: t}
		r := newRoom(t, l)
		l.hub = r.Hub
		p := gather(t, r, hubtest.ServePipes(t, r, connections.Options{}))
		p.try()
		l.passed = nil
		for _, to := range []hub.Recipients{r.Clients().Client(p.bob.ID), r.Clients().Clients(p.bob.ID, "elsewhere"), r.Clients().Groups("g", "h"), r.Clients().AllExcept("x")} {
			if err := to.Send(t.Context(), "Said", "<&>", map[string]int{"a": 1}); err != nil {
				t.Error(err)
			}
		}
		var got []string
		for _, m := range l.passed {
			if m.Hub != "room" || m.Target != "Said" || fmt.Sprintf("%s", m.Arguments) != `["<&>" {"a":1}]` {
				t.Errorf("passed on: %+v with %s", m, m.Arguments)
			}
			got = append(got, m.To.String()+fmt.Sprint(m.Except))
		}
		if want := "[connection/elsewhere[] group/g[] group/h[] everyone[x]]"; fmt.Sprint(got) != want {
			t.Errorf("passed on: got %v, want %s", got, want)
		}
		l.fail(notifications.ErrUnavailable)
		if err := r.Clients().All().Send(t.Context(), "Said"); !errors.Is(err, notifications.ErrUnavailable) {
			t.Errorf("with a broken backplane: got %v, want ErrUnavailable", err)
		}
		if err := r.Clients().Client(p.bob.ID).Send(t.Context(), "Said"); err != nil {
			t.Errorf("a connection of this node does not need it: %v", err)
		}
	})
}

// The same through NATS.
func TestClientsThroughTheLog(t *testing.T) {
	log := persistencetest.Run(t, persistence.Options{}, nil)
	r := newRoom(t, log.Log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() {
		over <- log.FollowLive(ctx, func(ctx context.Context, m notifications.Live) {
			if err := r.DeliverLive(ctx, m); err != nil && ctx.Err() == nil {
				t.Errorf("DeliverLive: %v", err)
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("FollowLive: %v", err)
		}
	})
	gather(t, r, hubtest.Serve(t, r, connections.Options{})).try()
}

// Groups can be changed outside of a call; names are exact, adding twice is
// once, an unknown connection is no error, and a name has its limits.
func TestGroupsOutsideOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, nil)
		p := gather(t, r, hubtest.ServePipes(t, r, connections.Options{}))
		ctx := t.Context()
		for _, err := range []error{
			r.Groups().Add(ctx, p.cyd.ID, "new"), r.Groups().Add(ctx, p.cyd.ID, "new"), r.Groups().Add(ctx, p.bob.ID, "new"),
			r.Groups().Add(ctx, "nobody", "new"), r.Groups().Remove(ctx, "nobody", "new"),
			r.Groups().Remove(ctx, p.a1.ID, "new"), r.Groups().Remove(ctx, p.a2.ID, "h"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		for group, want := range map[string]string{"new": "bob cyd", "New": "", "g": "a1 a2", "h": "bob"} {
			if err := r.Clients().Group(group).Send(ctx, "Said", "hi", 7, nil); err != nil {
				t.Error(err)
			}
			if got := p.heard(); got != want {
				t.Errorf("group %s: heard by %q, want %q", group, got, want)
			}
		}
		for _, name := range []string{"", strings.Repeat("x", 257), "\xff"} {
			var told hub.Error
			if err := r.Groups().Add(ctx, p.cyd.ID, name); !errors.As(err, &told) {
				t.Errorf("group %q: got %v, want an error that the client may read", name, err)
			}
		}
	})
}

// A connection may be in 1,024 groups, and says so when it wants more.
func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, nil)
		b := hubtest.ServePipes(t, r, connections.Options{}).Connect("ann", "")
		for n := range 1024 {
			if err := r.Groups().Add(t.Context(), b.ID, fmt.Sprint(n)); err != nil {
				t.Fatalf("group %d: %v", n, err)
			}
		}
		if err := r.Groups().Add(t.Context(), b.ID, "one more"); err == nil {
			t.Error("one more: no error")
		}
		if err := r.Groups().Add(t.Context(), b.ID, "7"); err != nil {
			t.Errorf("one that it is in: %v", err)
		}
	})
}

// What is sent is what it was when it was sent, and what cannot be sent is an
// error of the sender; nobody's connection suffers.
func TestSendTakesWhatItIsGiven(t *testing.T) {
	for _, test := range []struct {
		name      string
		backplane *loop
	}{{"on one node", nil}, {"through a backplane", &loop{}}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var plane hub.Backplane
				if test.backplane != nil {
					test.backplane.t, plane = t, test.backplane
				}
				r := newRoom(t, plane)
				if test.backplane != nil {
					test.backplane.hub = r.Hub
				}
				b := hubtest.ServePipes(t, r, connections.Options{}).Connect("ann", "")
				state := map[string]int{"n": 1}
				if err := r.Clients().All().Send(t.Context(), "State", state, json.RawMessage(`{"raw":[]}`)); err != nil {
					t.Error(err)
				}
				state["n"] = 2 // the sender goes on
				want(t, "state", settle(b), `{"type":1,"target":"State","arguments":[{"n":1},{"raw":[]}]}`)
				if err := r.Clients().All().Send(t.Context(), "Bad", 1, make(chan int)); err == nil || !strings.Contains(err.Error(), "argument 2 of Bad") {
					t.Errorf("a channel: got %v, want an error that names the argument", err)
				}
				r.do = func(c *hub.Context) error { return c.Clients().All().Send(c.Context(), "Bad", panics{}) }
				b.Send(call("1", "Do"))
				want(t, "panic", settle(b), failure("1", "An unexpected error occurred invoking 'Do' on the server."))
				if code := b.Code(); code != hubtest.CodeOpen {
					t.Errorf("the connection has ended with %d", code)
				}
			})
		})
	}
}

// Messages of one sender to one connection keep their order, also to different
// kinds of recipients (signalr.md §9 and §13.2).
func TestSendKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, nil)
		p := gather(t, r, hubtest.ServePipes(t, r, connections.Options{}))
		c := r.Clients()
		var sent, got []string
		for n := range 200 {
			to := []hub.Recipients{c.All(), c.User("ann"), c.Group("g"), c.Client(p.a1.ID), c.Role("ops")}[n%5]
			if err := to.Send(t.Context(), "N", n); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, said("N", n))
			if n%20 == 19 { // a slow one would miss some
				got = append(got, settle(p.a1)...)
			}
		}
		if !slices.Equal(got, sent) {
			t.Errorf("got %d messages in another order than %d were sent", len(got), len(sent))
		}
	})
}
