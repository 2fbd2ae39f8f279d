package notifications_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
	"tidings/roles"
)

// world is a log, what users have done, and the inboxes over both, with a clock
// that the test moves.
type world struct {
	clock   time.Time
	log     *notificationstest.Log
	states  *notificationstest.States
	audit   *auditor
	inboxes *notifications.Inboxes
}

// newWorld is an empty one at the moment of the tests.
func newWorld() *world {
	w := &world{clock: now, states: &notificationstest.States{}, audit: &auditor{}}
	w.log = &notificationstest.Log{Now: w.now}
	w.inboxes = w.anotherNode()
	return w
}

// anotherNode are the inboxes of another node with the same log and states.
func (w *world) anotherNode() *notifications.Inboxes {
	return notifications.NewInboxes(notifications.InboxesOptions{Log: w.log, States: w.states, Audit: w.audit, Now: w.now})
}

func (w *world) now() time.Time { return w.clock }

func (w *world) pass(d time.Duration) { w.clock = w.clock.Add(d) }

// put stores an event in the hub of the tests and returns its position.
func (w *world) put(t testingT, e notifications.Event) notifications.Position {
	t.Helper()
	return w.putInto(t, hub, e)
}

func (w *world) putInto(t testingT, name string, e notifications.Event) notifications.Position {
	t.Helper()
	receipt, err := w.log.Append(t.Context(), name, e)
	if err != nil || receipt.Duplicate {
		t.Fatalf("append %+v: got %+v, error %v", e, receipt, err)
	}
	return receipt.Position
}

// testingT is what a *testing.T and a *rapid.T have in common.
type testingT interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// step is one thing that happens in a world.
type step func(t testingT, w *world)

func steps(all ...step) []step { return all }

// state is what the states hold of ann.
func (w *world) state(t testingT) notifications.State {
	t.Helper()
	s, err := w.states.Load(t.Context(), hub, "ann")
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return s
}

// changes are those of a user, oldest first.
func (w *world) changes(t testingT, user string) []notifications.Changed {
	t.Helper()
	_, all, err := w.states.History(t.Context(), hub, user)
	if err != nil {
		t.Fatalf("history of %s: %v", user, err)
	}
	return all
}

// as is somebody who acts on the own inbox, with a token of that moment.
func (w *world) as(user string, held ...string) notifications.Asker {
	return notifications.Asker{Principal: roles.Principal{UserID: user, Roles: held, IssuedAt: w.clock}, Hub: hub}
}

// rootFor is an administrator who acts for somebody.
func rootFor(user string) notifications.Asker {
	return notifications.Asker{Principal: admin, Hub: hub, User: user, Via: "http"}
}

// auditor keeps what is put on record; it implements notifications.Audit.
type auditor struct {
	mu      sync.Mutex
	records []notifications.AuditRecord
}

func (a *auditor) Record(r notifications.AuditRecord) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, r)
}

// take returns the records since it was called last.
func (a *auditor) take() []notifications.AuditRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.records
	a.records = nil
	return all
}

// actions are the verbs of records.
func actions(records []notifications.AuditRecord) []string {
	all := []string{}
	for _, r := range records {
		all = append(all, r.Action)
	}
	return all
}

// unfit is what a caller is told of a request: "field: reason".
func unfit(t testingT, err error) string {
	t.Helper()
	wrong, is := errors.AsType[*notifications.InvalidError](err)
	if !is || wrong.Of != "request" || wrong.Error() != "invalid request: "+wrong.Field+": "+wrong.Reason {
		t.Fatalf("got error %v, want an *InvalidError of a request", err)
	}
	return wrong.Field + ": " + wrong.Reason
}

// refsTo are references to positions.
func refsTo(positions ...notifications.Position) []notifications.Ref {
	refs := make([]notifications.Ref, len(positions))
	for i, p := range positions {
		refs[i] = notifications.Ref{Position: p}
	}
	return refs
}

// fill stores n events for the user ann, of all severities, and returns the
// position of the last.
func (w *world) fill(t testingT, n int) notifications.Position {
	t.Helper()
	severities := []notifications.Severity{notifications.Info, notifications.Success, notifications.Warning, notifications.Critical}
	for i := range n {
		w.put(t, notifications.Event{ID: "n" + strconv.Itoa(i), Recipient: notifications.ToUser("ann"), Severity: severities[i%4]})
	}
	return w.log.State().Last
}
