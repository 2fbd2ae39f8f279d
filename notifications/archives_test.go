package notifications_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
)

// The inbox of a moment in the past is what was seen then, page by page,
// whatever has happened since.
func TestInboxOfThePastIsWhatWasSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim()
		t.Repeat(s.actions())
		s.look(t)
		for _, shot := range s.shots {
			i := 0
			walk(t, func(q notifications.InboxQuery) (notifications.InboxPage, error) {
				got, err := s.archives.At(t.Context(), rootFor("ann"), shot.at, q)
				if i == len(shot.pages) {
					t.Fatalf("at %v: more pages than the %d that were seen", shot.at, i)
				}
				want := shot.pages[i]
				if s.log.Before(shot.at.Add(time.Millisecond)) == 0 {
					want.Version = notifications.InboxVersion{} // nothing had been stored
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("at %v: %+v (-seen +got):\n%s", shot.at, q, diff)
				}
				i++
				return got, err
			}, shot.query)
			if i != len(shot.pages) {
				t.Fatalf("at %v: %d pages, %d were seen", shot.at, i, len(shot.pages))
			}
		}
	})
}

func TestInboxOfThePastHasBounds(t *testing.T) {
	a := newArchived()
	a.fill(t, 3)
	a.pass(time.Hour)
	a.put(t, notifications.Event{ID: "later", Recipient: notifications.ToUser("ann")})
	page := func(at time.Time) (notifications.InboxPage, error) {
		return a.archives.At(t.Context(), a.as("ann"), at, notifications.InboxQuery{})
	}
	stored := now.Truncate(time.Millisecond)
	for _, test := range []struct {
		name string
		at   time.Time
		want int
	}{
		{"before everything", stored.Add(-time.Millisecond), 0},
		{"in that millisecond", stored, 3},
		{"later in that millisecond", stored.Add(time.Millisecond - 1), 3},
		{"afterwards", stored.Add(time.Minute), 3},
		{"now", a.clock, 4},
	} {
		got, err := page(test.at)
		if err != nil || len(got.Items) != test.want || got.Items == nil || got.Counts.Unseen != test.want {
			t.Errorf("%s: got %d items, counts %+v, error %v, want %d", test.name, len(got.Items), got.Counts, err, test.want)
		}
	}
	_, err := page(a.clock.Add(1))
	if got := unfit(t, err); got != "at: is in the future" {
		t.Errorf("got %q", got)
	}
	_, err = a.archives.At(t.Context(), a.as("ann"), now, notifications.InboxQuery{Limit: 201})
	if got := unfit(t, err); got != "limit: want 1 to 200" {
		t.Errorf("got %q", got)
	}
	_, err = a.archives.At(t.Context(), a.as("ann"), now.Add(-time.Hour), notifications.InboxQuery{Statuses: []notifications.Status{"new"}})
	unfit(t, err)
	for before, want := range map[notifications.Position]int{2: 1, 4: 3, 99: 3} {
		q := notifications.InboxQuery{Before: notifications.Cursor{Epoch: 7, Position: before}.String()}
		if got, err := a.archives.At(t.Context(), a.as("ann"), stored, q); err != nil || len(got.Items) != want || got.Counts.Unseen != 3 {
			t.Errorf("before %d: got %+v, error %v, want %d", before, got, err, want)
		}
	}
	a.log.Drop(3)
	if got, err := page(stored); err != nil || len(got.Items) != 0 {
		t.Errorf("of what the log has dropped: got %+v, error %v", got, err)
	}
	if got, err := page(a.clock); err != nil || len(got.Items) != 1 {
		t.Errorf("of what the log holds: got %+v, error %v", got, err)
	}
}

// Users see of their past what they may read today; administrators all of it.
func TestInboxOfThePastAsksWhatMayBeReadToday(t *testing.T) {
	a := newArchived()
	enter(t, a.world, a.as("ann", "ops"))
	if _, err := a.inboxes.AddMember(t.Context(), rootFor("ann"), "g", 0); err != nil {
		t.Fatal(err)
	}
	for _, to := range []notifications.Recipient{notifications.ToUser("ann"), notifications.ToRole("ops"), notifications.ToGroup("g")} {
		a.put(t, notifications.Event{Recipient: to})
	}
	then := a.clock
	type positions = []notifications.Position
	for _, test := range []struct {
		name  string
		step  func(ctx context.Context) error
		asker func() notifications.Asker
		want  positions
	}{
		{"with everything", nil, func() notifications.Asker { return a.as("ann", "ops") }, positions{3, 2, 1}},
		{"without the role", nil, func() notifications.Asker { return a.as("ann") }, positions{3, 1}},
		{"out of the group", func(ctx context.Context) error {
			_, err := a.inboxes.RemoveMember(ctx, rootFor("ann"), "g")
			return err
		}, func() notifications.Asker { return a.as("ann", "ops") }, positions{2, 1}},
		{"by an administrator", nil, func() notifications.Asker { return rootFor("ann") }, positions{3, 2, 1}},
	} {
		a.pass(time.Minute)
		if test.step != nil {
			if err := test.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		page, err := a.archives.At(t.Context(), test.asker(), then, notifications.InboxQuery{})
		got := positions{}
		for _, i := range page.Items {
			got = append(got, i.Position)
		}
		if err != nil || !slices.Equal(got, test.want) || page.Counts.Unseen != len(test.want) {
			t.Errorf("%s: got %v, error %v, counts %+v, want %v", test.name, got, err, page.Counts, test.want)
		}
	}
}

// asks are all calls of archives.
func (a *archived) asks(asker notifications.Asker) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Explain": func(ctx context.Context) error { _, err := a.archives.Explain(ctx, asker, "n0"); return err },
		"At": func(ctx context.Context) error {
			_, err := a.archives.At(ctx, asker, a.clock, notifications.InboxQuery{})
			return err
		},
		"Export": func(ctx context.Context) error { _, err := a.archives.Export(ctx, asker); return err },
		"Erase":  func(ctx context.Context) error { _, err := a.archives.Erase(ctx, asker); return err },
	}
}

func TestArchivesAskWhoIsAsking(t *testing.T) {
	none := []string{}
	all := []string{"At", "Erase", "Explain", "Export"}
	for _, test := range []struct {
		name  string
		asker notifications.Asker
		want  []string
	}{
		{"a user", notifications.Asker{Principal: ann, Hub: hub}, []string{"At", "Explain", "Export"}},
		{"a user for another", notifications.Asker{Principal: ann, Hub: hub, User: "bob"}, none},
		{"an emitter for a user", notifications.Asker{Principal: emitter, Hub: hub, User: "ann"}, none},
		{"an administrator for a user", rootFor("ann"), all},
		{"an administrator", notifications.Asker{Principal: admin, Hub: hub}, all},
		{"nobody", notifications.Asker{Hub: hub}, none},
	} {
		a := newArchived()
		a.fill(t, 1)
		got := none
		for name, call := range a.asks(test.asker) {
			switch err := call(t.Context()); {
			case err == nil:
				got = append(got, name)
			case !errors.Is(err, notifications.ErrForbidden):
				t.Errorf("%s: %s: got error %v", test.name, name, err)
			}
		}
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("%s may %v, want %v", test.name, got, test.want)
		}
		if erased := slices.Contains(test.want, "Erase"); erased != (len(a.cabinet.erased) > 0) {
			t.Errorf("%s has erased %v", test.name, a.cabinet.erased)
		}
	}
}

func TestLooksIntoArchivesAreOnRecord(t *testing.T) {
	a := newArchived()
	a.fill(t, 1)
	record := func(action, note, id string) notifications.AuditRecord {
		return notifications.AuditRecord{At: a.clock, Action: action, By: "root", Via: "http", Hub: hub, User: "ann", Note: note, ID: id}
	}
	for name, want := range map[string][]notifications.AuditRecord{
		"Explain": {record(notifications.AuditLooked, "explain", "n0")},
		"At":      {record(notifications.AuditLooked, "inbox at 2026-01-02T15:04:05Z", "")},
		"Export":  {record(notifications.AuditExported, "", "")},
		"Erase":   {record(notifications.AuditErased, "begun", ""), record(notifications.AuditErased, "3 events", "")},
	} {
		if err := a.asks(rootFor("ann"))[name](t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, a.audit.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"Explain", "At"} {
		if err := a.asks(a.as("ann"))[name](t.Context()); err != nil || len(a.audit.take()) != 0 {
			t.Errorf("%s by the user: error %v, or it is on record", name, err)
		}
	}
}

func TestArchivesTellThatSomethingIsAway(t *testing.T) {
	away := errors.New("away")
	type names = []string
	for what, want := range map[string]names{
		"the log":    {"At", "Explain", "Export"},
		"the states": {"At", "Erase", "Explain", "Export"},
		"devices":    {"Erase", "Explain", "Export"},
		"visits":     {"Erase", "Explain", "Export"},
		"audit":      {"Explain"},
		"rejections": {"Explain"},
		"events":     {"Erase"},
		"calendar":   {"Explain"},
	} {
		a := newArchived()
		a.fill(t, 1)
		switch what {
		case "the log":
			a.log.Break(away)
		case "the states":
			a.states.Break(away)
		case "calendar":
			a.calendar.err = away
		default:
			a.cabinet.broken[what] = away
		}
		got := names{}
		for name, call := range a.asks(rootFor("ann")) {
			if err := call(t.Context()); errors.Is(err, away) {
				got = append(got, name)
			} else if err != nil {
				t.Errorf("without %s: %s: got error %v", what, name, err)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("without %s %v fail, want %v", what, got, want)
		}
	}
}

// Erasing calls everything, also when one fails, and may be repeated.
func TestEraseMayBeRepeated(t *testing.T) {
	away := errors.New("away")
	all := []string{"events of notifications/ann", "devices of notifications/ann", "visits of notifications/ann"}
	for _, what := range []string{"events", "devices", "visits", "the states"} {
		a := newArchived()
		a.fill(t, 1)
		if _, err := a.inboxes.MarkAll(t.Context(), a.as("ann"), notifications.ChangeAllRead, notifications.UpTo{}); err != nil {
			t.Fatal(err)
		}
		a.audit.take()
		a.cabinet.broken[what] = away
		if what == "the states" {
			a.states.Break(away)
		}
		got, err := a.archives.Erase(t.Context(), rootFor("ann"))
		if !errors.Is(err, away) || got != (notifications.Erased{}) {
			t.Errorf("without %s: got %+v, error %v", what, got, err)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(one string) bool { return strings.HasPrefix(one, what+" ") })
		if !slices.Equal(a.cabinet.erased, want) {
			t.Errorf("without %s: erased were %v, want %v", what, a.cabinet.erased, want)
		}
		a.cabinet.broken, a.cabinet.erased = map[string]error{}, nil
		a.states.Break(nil)
		for range 2 {
			if got, err = a.archives.Erase(t.Context(), rootFor("ann")); err != nil || got != (notifications.Erased{User: "ann", Events: 3}) {
				t.Errorf("again without a failure of %s: got %+v, error %v", what, got, err)
			}
		}
		if diff := cmp.Diff(append(slices.Clone(all), all...), a.cabinet.erased); diff != "" || len(a.changes(t, "ann")) != 0 {
			t.Errorf("erased were (-want +got):\n%s", diff)
		}
		if got := actions(a.audit.take()); len(got) != 5 {
			t.Errorf("on record are %v, want three beginnings and two ends", got)
		}
	}
}

func TestExportHoldsEverything(t *testing.T) {
	a := newArchived()
	put := func(e notifications.Event) {
		if e.Recipient.Kind == "" {
			e.Recipient = notifications.ToUser("ann")
		}
		a.put(t, e)
	}
	put(notifications.Event{ID: "read", Title: "x", Data: json.RawMessage(`{"a":1}`)})     // 1
	put(notifications.Event{ID: "replaced", CollapseKey: "k"})                             // 2
	put(notifications.Event{ID: "replacement", CollapseKey: "k"})                          // 3
	put(notifications.Event{ID: "expired", ExpiresAt: now.Add(time.Second)})               // 4
	put(notifications.Event{ID: "recalled"})                                               // 5
	put(notifications.Event{ID: "recall", Recalls: "recalled"})                            // 6
	put(notifications.Event{ID: "other", Recipient: notifications.ToUser("bob")})          // 7
	put(notifications.Event{ID: "role", Recipient: notifications.ToRole("ops")})           // 8
	a.putInto(t, "elsewhere", notifications.Event{Recipient: notifications.ToUser("ann")}) // 9
	own := a.as("ann", "ops")
	if _, err := a.inboxes.Mark(t.Context(), own, notifications.ChangeRead, refsTo(1)); err != nil {
		t.Fatal(err)
	}
	a.cabinet.Save(hub, "ann", "phone", notifications.Device{Cursor: place(1)})
	visitors{a.cabinet}.Note(notifications.Visit{Connection: "c1", Hub: hub, User: "ann", Began: now})
	a.pass(time.Minute)
	got, err := a.archives.Export(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range got.Events {
		ids = append(ids, e.Event.ID+" "+strconv.Itoa(int(e.Position))+" "+string(e.Status))
	}
	want := []string{"read 1 read", "replaced 2 unseen", "replacement 3 unseen", "expired 4 unseen", "recalled 5 unseen", "recall 6 unseen"}
	if diff := cmp.Diff(want, ids); diff != "" || got.Hub != hub || got.User != "ann" || !got.At.Equal(a.clock) {
		t.Errorf("of %s in %s at %v, events (-want +got):\n%s", got.User, got.Hub, got.At, diff)
	}
	if e := got.Events[0]; string(e.Event.Data) != `{"a":1}` || !e.Stored.Equal(now.Truncate(time.Millisecond)) {
		t.Errorf("got %+v", e)
	}
	state := a.state(t)
	if diff := cmp.Diff(state, got.State); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	var kinds []notifications.ChangeKind
	for _, c := range got.Changes {
		kinds = append(kinds, c.Kind)
	}
	if !slices.Equal(kinds, []notifications.ChangeKind{notifications.ChangeRoles, notifications.ChangeRead}) || got.Changes[1].Version != state.Version {
		t.Errorf("changes: got %+v", got.Changes)
	}
	if diff := cmp.Diff(a.cabinet.visits, got.Visits); diff != "" || len(got.Devices) != 1 || got.Devices[0].Name != "phone" {
		t.Errorf("devices %+v, visits (-want +got):\n%s", got.Devices, diff)
	}
}

func TestExportOfNothing(t *testing.T) {
	a := newArchived()
	got, err := a.archives.Export(t.Context(), a.as("ann"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := json.NewEncoder(&text).Encode(got); err != nil {
		t.Fatal(err)
	}
	want := `{"hub":"notifications","user":"ann","at":"2026-01-02T15:04:05.678Z","state":{"epoch":7},"changes":[],"devices":[],"connections":[],"events":[]}` + "\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("export (-want +got):\n%s", diff)
	}
}

// stingy is a log whose pages hold n entries at most, as if they were large, and
// that has lost some by the time they are read.
type stingy struct {
	*notificationstest.Log

	n    int
	lost notifications.Position
}

func (s *stingy) Read(ctx context.Context, q notifications.Query) (notifications.Page, error) {
	page, err := s.Log.Read(ctx, q)
	page.Entries = slices.DeleteFunc(page.Entries, func(e *notifications.Entry) bool { return e.Position == s.lost })
	if n := len(q.Exact); n > 0 {
		page.UpTo = q.Exact[n-1]
	}
	if len(page.Entries) > s.n {
		page.Entries = page.Entries[:s.n]
		page.UpTo = page.Entries[s.n-1].Position
	}
	return page, err
}

func TestExportOfMany(t *testing.T) {
	a := newArchived()
	a.fill(t, 600)
	for _, test := range []struct {
		n    int
		lost notifications.Position
		want int
	}{{1000, 0, 600}, {256, 0, 600}, {7, 0, 600}, {1, 0, 600}, {1, 1, 599}, {7, 600, 599}, {256, 256, 599}} {
		b := notifications.NewInboxes(notifications.InboxesOptions{Log: &stingy{a.log, test.n, test.lost}, States: a.states, Now: a.now})
		archives := notifications.NewArchives(notifications.ArchivesOptions{Inboxes: b, Devices: a.cabinet})
		got, err := archives.Export(t.Context(), a.as("ann"))
		if err != nil || len(got.Events) != test.want {
			t.Fatalf("pages of %d: got %d events, error %v, want %d", test.n, len(got.Events), err, test.want)
		}
		if !slices.IsSortedFunc(got.Events, func(x, y notifications.ExportItem) int { return int(x.Position) - int(y.Position) }) {
			t.Errorf("pages of %d: the events are not in order", test.n)
		}
	}
}

// Users learn nothing of events that were neither for them nor theirs to emit.
func TestExplainHidesWhatWasForOthers(t *testing.T) {
	o := newArchived()
	enter(t, o.world, o.as("ann", "ops"))
	o.put(t, notifications.Event{ID: "hers", Recipient: notifications.ToUser("ann")})
	o.put(t, notifications.Event{ID: "ops", Recipient: notifications.ToRole("ops")})
	o.put(t, notifications.Event{ID: "bobs", Recipient: notifications.ToUser("bob")})
	for _, to := range []string{"ann", "bob"} {
		e := notifications.Event{ID: "later " + to, Recipient: notifications.ToUser(to), NotBefore: now.Add(time.Hour)}
		if _, err := o.commands.Send(t.Context(), webshop, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.commands.Send(t.Context(), webshop, notifications.Event{ID: "refused", Recipient: notifications.ToEveryone()}); err == nil {
		t.Fatal("it was not refused")
	}
	mine := notifications.Emitter{Principal: o.as("ann").Principal, Hub: hub}
	if _, err := o.commands.Send(t.Context(), mine, notifications.Event{ID: "mine refused", Recipient: notifications.ToEveryone()}); err == nil {
		t.Fatal("it was not refused")
	}
	o.cabinet.rejections["rejected"] = []notifications.Rejection{{Position: 3, Reason: "secret"}}
	const stored, scheduled, refused, rejected, unknown = "stored", "scheduled", "refused", "rejected", "unknown"
	webAsker := notifications.Asker{Principal: webshop.Principal, Hub: hub}
	for _, test := range []struct {
		id      string
		asker   notifications.Asker
		outcome string
		events  int
		records int
	}{
		{"hers", o.as("ann"), stored, 1, 0},
		{"ops", o.as("ann"), stored, 1, 0}, // it was emitted to her
		{"bobs", o.as("ann"), unknown, 0, 0},
		{"bobs", webAsker, stored, 1, 0}, // who may emit to bob
		{"later ann", o.as("ann"), scheduled, 0, 0},
		{"later bob", o.as("ann"), unknown, 0, 0},
		{"refused", o.as("ann"), unknown, 0, 0},
		{"refused", webAsker, refused, 0, 0},
		{"mine refused", o.as("ann"), refused, 0, 0},
		{"rejected", o.as("ann"), unknown, 0, 0},
		{"nothing", o.as("ann"), unknown, 0, 0},
		{"bobs", rootFor("ann"), stored, 1, 0},
		{"later bob", rootFor("ann"), scheduled, 0, 1},
		{"refused", rootFor("ann"), refused, 0, 1},
		{"rejected", rootFor("ann"), rejected, 0, 0},
	} {
		x, err := o.archives.Explain(t.Context(), test.asker, test.id)
		if err != nil || x.Outcome != test.outcome || len(x.Events) != test.events || len(x.Audit) != test.records || (x.Rejections != nil) != (test.outcome == rejected) {
			t.Errorf("%s for %s: got %+v, error %v, want %s", test.id, test.asker.Principal.UserID, x, err, test.outcome)
		}
		if !x.ScheduledFor.IsZero() != (test.outcome == scheduled) {
			t.Errorf("%s for %s: got %+v", test.id, test.asker.Principal.UserID, x)
		}
	}
	for _, id := range []string{"", strings.Repeat("i", 129), "a\n"} {
		_, err := o.archives.Explain(t.Context(), o.as("ann"), id)
		if got := unfit(t, err); got != "id: want the id of an event, 1 to 128 bytes of text" {
			t.Errorf("%.10q: got %q", id, got)
		}
	}
}

// A node without visits, schedules and records explains what it can.
func TestExplainWithLittle(t *testing.T) {
	a := newArchived()
	a.fill(t, 1)
	archives := notifications.NewArchives(notifications.ArchivesOptions{Inboxes: a.inboxes, Devices: a.cabinet})
	x, err := archives.Explain(t.Context(), a.as("ann"), "n0")
	want := []notifications.StoredOutcome{{
		Position: 1, Stored: now, Recipient: "user/ann", Type: notifications.DefaultType, Severity: notifications.Info, Addressed: true, By: "user/ann", Status: notifications.Unseen,
	}}
	if diff := cmp.Diff(want, x.Events, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("error %v, events (-want +got):\n%s", err, diff)
	}
}
