package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
	"tidings/notifications/notificationstest"
	"tidings/roles"
)

// budget is an observer of acknowledgements.
type budget struct {
	counted

	mu        sync.Mutex // guards all below
	took      []time.Duration
	due, late int
}

// Acknowledged implements hub.Observer.
func (b *budget) Acknowledged(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took = append(b.took, took)
}

// Due implements hub.Observer.
func (b *budget) Due(due, late int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due, b.late = b.due+due, b.late+late
}

func (b *budget) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("%d due, %d late, took %v", b.due, b.late, b.took)
}

// clocked is the notification hub over a log that has the time of the bubble.
type clocked struct {
	*hubtest.Server

	t    *testing.T
	hub  *hub.Notifications
	log  *notificationstest.Log
	seen *budget
}

func serveClocked(t *testing.T) *clocked {
	t.Helper()
	c := &clocked{t: t, log: &notificationstest.Log{}, seen: &budget{}}
	states := &notificationstest.States{}
	inboxes := notifications.NewInboxes(notifications.InboxesOptions{Log: c.log, States: states, Policy: roles.DefaultPolicy()})
	states.Deliver = func(changed notifications.Changed) { _ = c.hub.Change(context.Background(), changed) }
	var err error
	c.hub, err = hub.NewNotifications(hub.Options{
		Observer: c.seen, Durable: &hub.Durable{Reader: c.log, Devices: &devices{}, Inboxes: inboxes},
	}, notifications.NewCommands(notifications.CommandsOptions{Log: c.log}))
	if err != nil {
		t.Fatal(err)
	}
	c.Server = hubtest.ServePipes(t, c.hub, connections.Options{StatefulReconnect: true})
	return c
}

// emit stores an event and hands it on.
func (c *clocked) emit(e notifications.Event) notifications.Position {
	c.t.Helper()
	receipt, err := c.log.Append(c.t.Context(), notifications.DefaultHub, e)
	if err == nil {
		err = c.hub.Deliver(c.t.Context(), notifications.Batch{Entries: []*notifications.Entry{c.log.Entry(receipt.Position)}, UpTo: receipt.Position})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
	return receipt.Position
}

func (c *clocked) emitTo(user string) notifications.Position {
	c.t.Helper()
	return c.emit(notifications.Event{Recipient: notifications.ToUser(user), Title: "t"})
}

func (c *clocked) ack(b *hubtest.Browser, p notifications.Position) {
	c.t.Helper()
	b.Send(call("a", "Ack", notifications.CursorAt(c.log, p).String()))
	if heard := settle(b); !slices.Contains(heard, result("a", "null")) {
		c.t.Errorf("Ack: got %v", heard)
	}
}

func (c *clocked) want(when, want string) {
	c.t.Helper()
	synctest.Wait()
	if got := c.seen.String(); got != want {
		c.t.Errorf("%s: got %s, want %s", when, got, want)
	}
}

// An acknowledgement counts from when the log has stored the newest event of it;
// what took longer than the budget is late.
func TestAcknowledgementsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		ann := c.Connect("ann", "")
		settle(ann)
		c.emitTo("ann")
		two := c.emitTo("ann")
		c.want("nothing was acknowledged", "0 due, 0 late, took []")
		time.Sleep(3 * time.Second)
		c.ack(ann, two)
		c.ack(ann, two)   // which says no more
		c.ack(ann, two-1) // and less
		c.want("once", "1 due, 0 late, took [3s]")
		three := c.emitTo("ann")
		time.Sleep(40 * time.Second)
		c.ack(ann, three)
		c.want("late", "2 due, 1 late, took [3s 40s]")
	})
}

// What was emitted while nobody was there counts from when somebody is.
func TestAbsenceIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		one := c.emitTo("ann")
		time.Sleep(time.Hour)
		ann := c.Connect("ann", "replay=all")
		settle(ann)
		time.Sleep(2 * time.Second)
		c.ack(ann, one)
		c.want("a replayed event", "1 due, 0 late, took [2s]")
	})
}

// A client that has acknowledged and no longer does is late within two looks, and
// counted once until it acknowledges again.
func TestClientsThatStopAcknowledgingAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		ann, bob := c.Connect("ann", ""), c.Connect("bob", "")
		settle(ann)
		settle(bob)
		c.ack(ann, c.emitTo("ann"))
		c.emitTo("bob") // who never acknowledges
		c.want("in time", "1 due, 0 late, took [0s]")
		owed := c.emitTo("ann")
		time.Sleep(hub.AckBudget + time.Second)
		c.want("not yet for a whole interval", "1 due, 0 late, took [0s]")
		time.Sleep(hub.AckBudget)
		c.want("late", "2 due, 1 late, took [0s]")
		time.Sleep(5 * hub.AckBudget)
		c.want("once", "2 due, 1 late, took [0s]")
		c.ack(ann, owed)
		c.want("it has been counted", "2 due, 1 late, took [0s 3m31s]")
		c.ack(ann, c.emitTo("ann"))
		c.want("in time again", "3 due, 1 late, took [0s 3m31s 0s]")
		c.emitTo("ann")
		time.Sleep(2*hub.AckBudget + time.Second)
		c.want("late again", "4 due, 2 late, took [0s 3m31s 0s]")
	})
}

// A connection is past much that its client is not to be shown, and owes nothing
// for it.
func TestNothingIsOwedForWhatIsNotShown(t *testing.T) {
	for _, test := range []struct {
		name string
		then func(c *clocked, ann *hubtest.Browser)
		late string
	}{
		{"an event", func(c *clocked, _ *hubtest.Browser) { c.emitTo("ann") }, "2 due, 1 late, took [0s]"},
		{"an event that has expired", func(c *clocked, _ *hubtest.Browser) {
			c.emit(notifications.Event{Recipient: notifications.ToUser("ann"), Title: "t", ExpiresAt: time.Now().Add(10 * time.Second)})
		}, "1 due, 0 late, took [0s]"},
		{"a muted event", func(c *clocked, ann *hubtest.Browser) {
			ann.Send(call("m", "Mute", map[string]any{"type": "build.*"}))
			settle(ann)
			c.emit(notifications.Event{Recipient: notifications.ToUser("ann"), Title: "t", Type: "build.done"})
		}, "1 due, 0 late, took [0s]"},
		{"the log cannot be read", func(c *clocked, _ *hubtest.Browser) {
			c.emitTo("ann")
			c.log.Break(errors.New("gone"))
		}, "1 due, 0 late, took [0s]"},
		{"the connection has ended", func(c *clocked, ann *hubtest.Browser) {
			c.emitTo("ann")
			ann.Close()
		}, "1 due, 0 late, took [0s]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serveClocked(t)
				ann := c.Connect("ann", "")
				settle(ann)
				c.ack(ann, c.emitTo("ann"))
				test.then(c, ann)
				time.Sleep(5 * hub.AckBudget)
				c.want(test.name, test.late)
				c.log.Break(nil)
			})
		})
	}
}

// Who has caught up is where the log ends, whosever event that is.
func TestNothingIsOwedForEventsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		one := c.emitTo("ann")
		for range 5 {
			c.emitTo("bob")
		}
		ann := c.Connect("ann", "replay=all")
		settle(ann)
		c.ack(ann, one)
		time.Sleep(5 * hub.AckBudget)
		c.want("all is acknowledged", "1 due, 0 late, took [0s]")
		c.emitTo("ann")
		time.Sleep(2*hub.AckBudget + time.Second)
		c.want("but for that", "2 due, 1 late, took [0s]")
	})
}

// The acknowledgements of stateful reconnect count as well.
func TestAcknowledgedMessagesAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		token := hubtest.Token(t, "ann")
		_, key := c.Negotiate(token, "useStatefulReconnect=true")
		ann := c.MustOpen(token, "id="+key)
		ann.Send(`{"protocol":"json","version":2}`, `{"type":6}`)
		settle(ann)
		for range 3 {
			c.emitTo("ann")
		}
		time.Sleep(time.Second)
		ann.Send(`{"type":8,"sequenceId":5}`) // Connected, Resumed and three events
		c.want("all", "1 due, 0 late, took [1s]")
	})
}
