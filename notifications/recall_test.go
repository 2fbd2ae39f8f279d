package notifications_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
	"tidings/roles"
)

// calendar keeps events until their time has come; it implements
// notifications.Schedules.
type calendar struct {
	waiting map[string]notifications.Event // by hub and id
	gone    bool                           // what is canceled has just been appended
	err     error
}

func (c *calendar) Schedule(_ context.Context, name string, e notifications.Event) (notifications.Receipt, error) {
	if c.err != nil {
		return notifications.Receipt{}, c.err
	}
	if first, is := c.waiting[name+"/"+e.ID]; is {
		return notifications.Receipt{ID: e.ID, Duplicate: true, ScheduledFor: first.NotBefore}, nil
	}
	if c.waiting == nil {
		c.waiting = make(map[string]notifications.Event)
	}
	c.waiting[name+"/"+e.ID] = e
	return notifications.Receipt{ID: e.ID, ScheduledFor: e.NotBefore}, nil
}

func (c *calendar) Scheduled(_ context.Context, name, id string) (notifications.Event, bool, error) {
	e, is := c.waiting[name+"/"+id]
	return e, is, c.err
}

func (c *calendar) Cancel(_ context.Context, name, id string) (bool, error) {
	_, is := c.waiting[name+"/"+id]
	delete(c.waiting, name+"/"+id)
	return is && !c.gone, c.err
}

// office is a world with a door for emitters.
type office struct {
	*world

	calendar *calendar
	commands *notifications.Commands
}

func newOffice() *office {
	o := &office{world: newWorld(), calendar: &calendar{}}
	o.commands = notifications.NewCommands(notifications.CommandsOptions{
		Log: o.log, Catalogue: o.log, Schedules: o.calendar, Audit: o.audit, Now: o.now, NewID: newID,
	})
	return o
}

// webshop emits, through a door.
var webshop = notifications.Emitter{Principal: roles.Principal{UserID: "shop", Issuer: "idp", Roles: []string{"emitter"}}, Hub: hub, Via: "http"}

// emit sends an event of the shop.
func (o *office) emit(t *testing.T, e notifications.Event) notifications.Receipt {
	t.Helper()
	r, err := o.commands.Send(t.Context(), webshop, e)
	if err != nil {
		t.Fatalf("send %+v: %v", e, err)
	}
	return r
}

func TestNotBefore(t *testing.T) {
	const year = 366 * 24 * time.Hour
	const none = "no schedules"
	for _, test := range []struct {
		name      string
		at        time.Duration // from now
		expires   time.Duration // from now; 0 = never
		schedules bool
		scheduled bool
		want      string
	}{
		{name: "long ago", at: -time.Hour, schedules: true, want: "notBefore: has passed already; leave it out to emit at once"},
		{name: "a minute and a bit ago", at: -time.Minute - 1, schedules: true, want: "notBefore: has passed already; leave it out to emit at once"},
		{name: "a minute ago", at: -time.Minute, schedules: true},
		{name: "a moment ago", at: -1, schedules: true},
		{name: "now", schedules: true},
		{name: "now, " + none},
		{name: "in a moment", at: 1, schedules: true, scheduled: true},
		{name: "in a moment, " + none, at: 1, want: "notBefore: this door cannot schedule; use the HTTP API or a hub"},
		{name: "in a year", at: year, schedules: true, scheduled: true},
		{name: "in more than a year", at: year + 1, schedules: true, want: "notBefore: is more than a year ahead"},
		{name: "before it expires", at: time.Hour, expires: time.Hour + 1, schedules: true, scheduled: true},
		{name: "when it expires", at: time.Hour, expires: time.Hour, schedules: true, want: "notBefore: is not before the event expires"},
		{name: "after it expires", at: time.Hour, expires: time.Minute, schedules: true, want: "notBefore: is not before the event expires"},
		{name: "a moment ago and expired", at: -1, expires: -1, schedules: true, want: "expiresAt: has passed already"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOffice()
			if !test.schedules {
				o.commands = notifications.NewCommands(notifications.CommandsOptions{Log: o.log, Audit: o.audit, Now: o.now})
			}
			e := notifications.Event{ID: "e1", Recipient: notifications.ToUser("ann"), NotBefore: now.Add(test.at)}
			if test.expires != 0 {
				e.ExpiresAt = now.Add(test.expires)
			}
			got, err := o.commands.Send(t.Context(), webshop, e)
			var want notifications.Receipt
			switch {
			case test.want != "":
				if told := refused(t, err); told != test.want {
					t.Errorf("got %q, want %q", told, test.want)
				}
			case test.scheduled:
				want = notifications.Receipt{ID: "e1", ScheduledFor: e.NotBefore}
			default:
				want = notifications.Receipt{ID: "e1", Position: 1}
			}
			if got != want || (err == nil) != (test.want == "") || (len(o.calendar.waiting) == 1) != test.scheduled {
				t.Errorf("got %+v, error %v, want %+v; %d wait", got, err, want, len(o.calendar.waiting))
			}
			if want.Position == 1 && !o.log.Entry(1).Event.NotBefore.IsZero() {
				t.Errorf("stored with notBefore %v", o.log.Entry(1).Event.NotBefore)
			}
		})
	}
}

func TestRecallOfAStoredEvent(t *testing.T) {
	o := newOffice()
	expires := now.Add(time.Hour).Truncate(time.Millisecond)
	o.emit(t, notifications.Event{ID: "e1", Recipient: notifications.ToRole("ops"), Title: "secret", MembersAt: notifications.Read, ExpiresAt: expires})
	o.audit.take()
	got, err := o.commands.Recall(t.Context(), webshop, "e1")
	if want := (notifications.Recalled{ID: "e1", Position: 2}); got != want || err != nil {
		t.Fatalf("got %+v, error %v, want %+v", got, err, want)
	}
	want := notifications.Event{
		ID: "recall-e1", Recipient: notifications.ToRole("ops"), Recalls: "e1", MembersAt: notifications.Read, ExpiresAt: expires, Emitter: "shop",
		Type: notifications.RecalledType, Target: notifications.RecalledTarget, Severity: notifications.Info, CreatedAt: now,
	}
	if diff := cmp.Diff(want, o.log.Entry(2).Event); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	records := []notifications.AuditRecord{{
		At: now, Action: notifications.AuditRecalled, By: "shop", Issuer: "idp", Via: "http", Hub: hub, Recipient: "role/ops", ID: "e1",
		Type: notifications.DefaultType, Position: 2,
	}}
	if diff := cmp.Diff(records, o.audit.take()); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
}

// Whenever it is repeated, there is one recall, and it is on record once.
func TestRecallingTwiceIsOnce(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Minute, notificationstest.Window, 24 * time.Hour} {
		o := newOffice()
		o.emit(t, notifications.Event{ID: "e1", Recipient: notifications.ToRole("ops")})
		o.audit.take()
		for range 3 {
			got, err := o.commands.Recall(t.Context(), webshop, "e1")
			if want := (notifications.Recalled{ID: "e1", Position: 2}); got != want || err != nil {
				t.Errorf("every %v: got %+v, error %v, want %+v", pause, got, err, want)
			}
			o.pass(pause)
		}
		if last, records := o.log.State().Last, actions(o.audit.take()); last != 2 || len(records) != 1 {
			t.Errorf("every %v: the log ends at %d, on record are %v", pause, last, records)
		}
	}
}

// blind is a catalogue that has not read what was stored a moment ago.
type blind struct {
	*notificationstest.Log

	upTo notifications.Position
}

func (b *blind) Brief(p notifications.Position) (notifications.Brief, bool) {
	brief, held := b.Log.Brief(p)
	if brief.RecalledBy > b.upTo {
		brief.RecalledBy = 0
	}
	return brief, held && p <= b.upTo
}

func TestRecallingTwiceIsOnceOnANodeThatIsBehind(t *testing.T) {
	o := newOffice()
	o.commands = notifications.NewCommands(notifications.CommandsOptions{Log: o.log, Catalogue: &blind{o.log, 1}, Audit: o.audit, Now: o.now})
	o.emit(t, notifications.Event{ID: "e1", Recipient: notifications.ToRole("ops")})
	for range 2 {
		if got, err := o.commands.Recall(t.Context(), webshop, "e1"); got.Position != 2 || err != nil {
			t.Errorf("got %+v, error %v, want position 2", got, err)
		}
	}
	if got := actions(o.audit.take()); !slices.Equal(got, []string{notifications.AuditEmitted, notifications.AuditRecalled}) {
		t.Errorf("on record are %v", got)
	}
}

// An event that was stored again after it had been recalled is recalled again,
// however soon.
func TestRecallOfAnEventThatWasStoredAgain(t *testing.T) {
	o := newOffice()
	e := notifications.Event{ID: "e1", Recipient: notifications.ToUser("ann")}
	o.emit(t, e)
	o.pass(notificationstest.Window - time.Second)
	for i, want := range []notifications.Position{2, 4} {
		got, err := o.commands.Recall(t.Context(), webshop, "e1")
		if err != nil || got.Position != want {
			t.Errorf("%d. got %+v, error %v, want position %d", i, got, err, want)
		}
		o.pass(time.Second)
		if i == 0 {
			o.emit(t, e)
		}
	}
	if got := listed(t, o.world, o.as("ann")); len(got) != 0 {
		t.Errorf("in the inbox are %v still", got)
	}
	if got, err := o.commands.Lookup(t.Context(), webshop, "e1"); err != nil || got.RecalledBy != 4 || len(got.Positions) != 2 {
		t.Errorf("looked up: got %+v, error %v", got, err)
	}
}

func TestRecallOfALongID(t *testing.T) {
	for _, n := range []int{1, 121, 122, 128} {
		o := newOffice()
		id := strings.Repeat("i", n)
		o.emit(t, notifications.Event{ID: id, Recipient: notifications.ToUser("ann")})
		if got, err := o.commands.Recall(t.Context(), webshop, id); err != nil || got != (notifications.Recalled{ID: id, Position: 2}) {
			t.Errorf("%d bytes: got %+v, error %v", n, got, err)
		}
	}
}

func TestRecallOfAScheduledEvent(t *testing.T) {
	o := newOffice()
	o.emit(t, notifications.Event{ID: "e1", Recipient: notifications.ToUser("ann"), Type: "a", NotBefore: now.Add(time.Hour)})
	o.audit.take()
	got, err := o.commands.Recall(t.Context(), webshop, "e1")
	if want := (notifications.Recalled{ID: "e1", Canceled: true}); got != want || err != nil {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	want := []notifications.AuditRecord{{At: now, Action: notifications.AuditCanceled, By: "shop", Issuer: "idp", Via: "http", Hub: hub, Recipient: "user/ann", ID: "e1", Type: "a"}}
	if diff := cmp.Diff(want, o.audit.take()); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	if _, err = o.commands.Recall(t.Context(), webshop, "e1"); !errors.Is(err, notifications.ErrNotFound) || o.log.State().Last != 0 {
		t.Errorf("again: got error %v, the log ends at %d", err, o.log.State().Last)
	}
}

// One that comes due while it is canceled is recalled.
func TestRecallOfAnEventThatHasJustComeDue(t *testing.T) {
	o := newOffice()
	o.calendar.gone = true
	e := notifications.Event{ID: "e1", Recipient: notifications.ToUser("ann"), NotBefore: now.Add(time.Hour)}
	o.emit(t, e)
	e.NotBefore = time.Time{}
	o.put(t, e)
	if got, err := o.commands.Recall(t.Context(), webshop, "e1"); err != nil || got != (notifications.Recalled{ID: "e1", Position: 2}) {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestRecallIsRefused(t *testing.T) {
	o := newOffice()
	o.put(t, notifications.Event{ID: "all", Recipient: notifications.ToEveryone()})
	o.put(t, notifications.Event{ID: "anns", Recipient: notifications.ToUser("ann")})
	o.put(t, notifications.Event{ID: "recall-x", Recipient: notifications.ToUser("ann"), Recalls: "x"})
	o.put(t, notifications.Event{ID: "short", Recipient: notifications.ToUser("ann"), ExpiresAt: now.Add(time.Second)})
	o.putInto(t, "other", notifications.Event{ID: "elsewhere", Recipient: notifications.ToUser("ann")})
	admins := notifications.Emitter{Principal: admin, Hub: hub}
	if _, err := o.commands.Send(t.Context(), admins, notifications.Event{ID: "later", Recipient: notifications.ToEveryone(), NotBefore: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	o.pass(time.Second)
	last := o.log.State().Last
	for _, test := range []struct {
		name string
		from notifications.Emitter
		id   string
		want error
	}{
		{"unknown", webshop, "nothing", notifications.ErrNotFound},
		{"of another hub", webshop, "elsewhere", notifications.ErrNotFound},
		{"a recall", webshop, "recall-x", notifications.ErrNotFound},
		{"expired", webshop, "short", notifications.ErrNotFound},
		{"for a recipient that is not allowed", webshop, "all", notifications.ErrForbidden},
		{"scheduled for a recipient that is not allowed", webshop, "later", notifications.ErrForbidden},
		{"by a user", notifications.Emitter{Principal: roles.Principal{UserID: "bob"}, Hub: hub}, "anns", notifications.ErrForbidden},
		{"by nobody", notifications.Emitter{Hub: hub}, "anns", notifications.ErrForbidden},
	} {
		o.audit.take()
		got, err := o.commands.Recall(t.Context(), test.from, test.id)
		if !errors.Is(err, test.want) || got != (notifications.Recalled{}) {
			t.Errorf("%s: got %+v, error %v, want %v", test.name, got, err, test.want)
		}
		refused := slices.Equal(actions(o.audit.take()), []string{notifications.AuditRefused})
		if refused != errors.Is(test.want, notifications.ErrForbidden) {
			t.Errorf("%s: on record is a refusal: %v", test.name, refused)
		}
	}
	for _, id := range []string{"", strings.Repeat("i", 129), "a\n", "\xff"} {
		_, err := o.commands.Recall(t.Context(), webshop, id)
		if got := unfit(t, err); got != "id: want the id of an event, 1 to 128 bytes of text" {
			t.Errorf("%.10q: got %q", id, got)
		}
		_, err = o.commands.Lookup(t.Context(), webshop, id)
		if got := unfit(t, err); got != "id: want the id of an event, 1 to 128 bytes of text" {
			t.Errorf("lookup of %.10q: got %q", id, got)
		}
	}
	if o.log.State().Last != last || len(o.calendar.waiting) != 1 {
		t.Errorf("something was stored or canceled")
	}
	// A user may take back what was emitted to oneself.
	if _, err := o.commands.Recall(t.Context(), notifications.Emitter{Principal: ann, Hub: hub}, "anns"); err != nil {
		t.Errorf("by its recipient: %v", err)
	}
}

func TestRecallWhileSomethingIsAway(t *testing.T) {
	for name, away := range map[string]func(o *office){
		"the log":       func(o *office) { o.log.Break(notifications.ErrUnavailable) },
		"the schedules": func(o *office) { o.calendar.err = notifications.ErrUnavailable },
	} {
		o := newOffice()
		o.emit(t, notifications.Event{ID: "e1", Recipient: notifications.ToUser("ann")})
		o.audit.take()
		away(o)
		_, err := o.commands.Recall(t.Context(), webshop, "e1")
		_, err2 := o.commands.Lookup(t.Context(), webshop, "e1")
		if !errors.Is(err, notifications.ErrUnavailable) || !errors.Is(err2, notifications.ErrUnavailable) || len(o.audit.take()) != 0 {
			t.Errorf("%s: got errors %v and %v, want ErrUnavailable and nothing on record", name, err, err2)
		}
	}
	bare := notifications.NewCommands(notifications.CommandsOptions{Log: &recorder{}})
	if _, err := bare.Recall(t.Context(), webshop, "e1"); !errors.Is(err, notifications.ErrNotFound) {
		t.Errorf("without a catalogue: got error %v, want ErrNotFound", err)
	}
	if _, err := bare.Lookup(t.Context(), webshop, "e1"); !errors.Is(err, notifications.ErrNotFound) {
		t.Errorf("lookup without a catalogue: got error %v, want ErrNotFound", err)
	}
}

func TestLookup(t *testing.T) {
	o := newOffice()
	o.emit(t, notifications.Event{ID: "one", Recipient: notifications.ToUser("ann")})                                  // 1
	o.emit(t, notifications.Event{ID: "twice", Recipient: notifications.ToUser("ann")})                                // 2
	o.emit(t, notifications.Event{ID: "later", Recipient: notifications.ToRole("ops"), NotBefore: now.Add(time.Hour)}) // waits
	o.pass(notificationstest.Window)
	o.put(t, notifications.Event{ID: "twice", Recipient: notifications.ToEveryone()}) // 3
	if _, err := o.commands.Recall(t.Context(), webshop, "one"); err != nil {         // 4
		t.Fatal(err)
	}
	o.emit(t, notifications.Event{ID: "one", Recipient: notifications.ToUser("ann")}) // 5
	type positions = []notifications.Position
	admins := notifications.Emitter{Principal: admin, Hub: hub}
	for _, test := range []struct {
		name string
		from notifications.Emitter
		id   string
		want notifications.Lookup
		err  error
	}{
		{"recalled", webshop, "one", notifications.Lookup{ID: "one", Positions: positions{1, 5}, RecalledBy: 4}, nil},
		{"the recall", webshop, "recall-one", notifications.Lookup{ID: "recall-one", Positions: positions{4}}, nil},
		{"twice", admins, "twice", notifications.Lookup{ID: "twice", Positions: positions{2, 3}}, nil},
		{"twice, one of them not allowed", webshop, "twice", notifications.Lookup{}, notifications.ErrForbidden},
		{"waiting", webshop, "later", notifications.Lookup{ID: "later", Positions: positions{}, ScheduledFor: now.Add(time.Hour)}, nil},
		{"waiting, by a user", notifications.Emitter{Principal: ann, Hub: hub}, "later", notifications.Lookup{}, notifications.ErrForbidden},
		{"by its recipient", notifications.Emitter{Principal: ann, Hub: hub}, "one", notifications.Lookup{ID: "one", Positions: positions{1, 5}, RecalledBy: 4}, nil},
		{"by nobody", notifications.Emitter{Hub: hub}, "one", notifications.Lookup{}, notifications.ErrForbidden},
		{"unknown", admins, "nothing", notifications.Lookup{}, notifications.ErrNotFound},
		{"in another hub", notifications.Emitter{Principal: admin, Hub: "other"}, "one", notifications.Lookup{}, notifications.ErrNotFound},
	} {
		got, err := o.commands.Lookup(t.Context(), test.from, test.id)
		if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: error %v, want %v (-want +got):\n%s", test.name, err, test.err, diff)
		}
	}
}

// The audit says who did what, and nothing of what was said.
func TestAuditOfEmitters(t *testing.T) {
	o := newOffice()
	e := notifications.Event{
		ID: "e1", Recipient: notifications.ToGroup("g/1 x"), Type: "order.shipped", Title: "secret", Body: "secret", Data: json.RawMessage(`{"a":"secret"}`),
		Link: "/secret", Source: "secret", CollapseKey: "secret", Actions: []notifications.Action{{Label: "secret", Link: "/"}},
	}
	record := func(action string, r notifications.AuditRecord) notifications.AuditRecord {
		r.At, r.Action, r.By, r.Issuer, r.Via, r.Hub = now, action, "shop", "idp", "http", hub
		r.Recipient, r.ID, r.Type = "group/g/1 x", "e1", "order.shipped"
		return r
	}
	later := e
	later.NotBefore = now.Add(time.Hour)
	toAll := e
	toAll.Recipient = notifications.ToEveryone()
	refusal := record(notifications.AuditRefused, notifications.AuditRecord{Reason: "not allowed to emit to this recipient: everyone"})
	refusal.Recipient = "everyone"
	for _, test := range []struct {
		name  string
		event notifications.Event
		want  []notifications.AuditRecord
	}{
		{"scheduled", later, []notifications.AuditRecord{record(notifications.AuditScheduled, notifications.AuditRecord{})}},
		{"scheduled again", later, nil},
		{"stored", e, []notifications.AuditRecord{record(notifications.AuditEmitted, notifications.AuditRecord{Position: 1})}},
		{"stored again", e, nil},
		{"not allowed", toAll, []notifications.AuditRecord{refusal}},
		{"invalid", notifications.Event{Recipient: notifications.ToUser("ann"), Severity: "loud"}, nil},
		{"for nobody", notifications.Event{}, nil},
	} {
		_, err := o.commands.Send(t.Context(), webshop, test.event)
		got := o.audit.take()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: error %v, on record (-want +got):\n%s", test.name, err, diff)
		}
		if text := fmt.Sprintf("%+v", got); strings.Contains(text, "secret") {
			t.Errorf("%s: on record is what was said: %s", test.name, text)
		}
	}
	if _, err := o.commands.Emit(t.Context(), hub, notifications.Event{ID: "e2", Recipient: notifications.ToUser("ann")}); err != nil {
		t.Fatal(err)
	}
	want := []notifications.AuditRecord{{At: now, Action: notifications.AuditEmitted, Hub: hub, Recipient: "user/ann", ID: "e2", Type: notifications.DefaultType, Position: 2}}
	if diff := cmp.Diff(want, o.audit.take()); diff != "" {
		t.Errorf("of a program (-want +got):\n%s", diff)
	}
	o.log.Break(notifications.ErrUnavailable)
	if _, err := o.commands.Send(t.Context(), webshop, notifications.Event{ID: "e3", Recipient: notifications.ToUser("ann")}); err == nil || len(o.audit.take()) != 0 {
		t.Errorf("while the log is away: error %v, and something is on record", err)
	}
}
