package notifications_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
	"tidings/roles"
)

// racing is a store in which another one is always first, n times; it implements
// notifications.States.
type racing struct {
	*notificationstest.States

	n     atomic.Int64
	tries atomic.Int64
}

func (r *racing) Append(ctx context.Context, name, user string, from notifications.State, c notifications.Change) (notifications.State, error) {
	r.tries.Add(1)
	if r.n.Add(-1) >= 0 {
		return notifications.State{}, notifications.ErrStale
	}
	return r.States.Append(ctx, name, user, from, c)
}

// Devices of one user act at once, on two nodes: all of what they do is in the
// state in the end, each change once.
func TestDevicesActAtOnce(t *testing.T) {
	const devices, rounds = 4, 25
	w := newWorld()
	w.fill(t, devices*rounds)
	nodes := []*notifications.Inboxes{w.inboxes, w.anotherNode()}
	var told []notifications.Changed // one after the other
	w.states.Deliver = func(c notifications.Changed) { told = append(told, c) }
	var wg sync.WaitGroup
	for d := range devices {
		wg.Go(func() {
			a, b := w.as("ann"), nodes[d%2]
			a.Device = "d" + strconv.Itoa(d)
			for i := range rounds {
				p := notifications.Position(d*rounds + i + 1)
				name := fmt.Sprintf("%d-%d", d, i)
				_, errMark := b.Mark(t.Context(), a, notifications.ChangeArchived, refsTo(p))
				_, errMute := b.Mute(t.Context(), a, notifications.Mute{Type: name})
				_, errMember := b.AddMember(t.Context(), rootFor("ann"), name, 0)
				_, errAll := b.MarkAll(t.Context(), a, notifications.ChangeAllRead, notifications.UpTo{Position: p})
				if err := errors.Join(errMark, errMute, errMember, errAll); err != nil {
					t.Errorf("device %d, round %d: %v", d, i, err)
				}
			}
		})
	}
	wg.Wait()
	s := w.state(t)
	if len(s.Archived) != devices*rounds || s.ReadUpTo != devices*rounds || len(s.Groups) != devices*rounds || len(s.Preferences.Mutes) != devices*rounds {
		t.Errorf("got %d archived, read up to %d, %d groups and %d mutes, want %d each",
			len(s.Archived), s.ReadUpTo, len(s.Groups), len(s.Preferences.Mutes), devices*rounds)
	}
	var folded notifications.State
	for _, c := range told {
		folded = folded.Apply(c)
	}
	if diff := cmp.Diff(s, folded, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what was told makes another state (-stored +told):\n%s", diff)
	}
}

// Devices that do the same at once make one change.
func TestTheSameAtOnceIsOneChange(t *testing.T) {
	w := newWorld()
	last := w.fill(t, 20)
	nodes := []*notifications.Inboxes{w.inboxes, w.anotherNode()}
	for name, act := range map[string]func(b *notifications.Inboxes) (notifications.State, error){
		"mark": func(b *notifications.Inboxes) (notifications.State, error) {
			return b.Mark(t.Context(), w.as("ann"), notifications.ChangeRead, refsTo(1, 2, last))
		},
		"mark all": func(b *notifications.Inboxes) (notifications.State, error) {
			return b.MarkAll(t.Context(), w.as("ann"), notifications.ChangeAllSeen, notifications.UpTo{})
		},
		"mute": func(b *notifications.Inboxes) (notifications.State, error) {
			return b.Mute(t.Context(), w.as("ann"), notifications.Mute{Group: "g"})
		},
		"join": func(b *notifications.Inboxes) (notifications.State, error) {
			return b.AddMember(t.Context(), rootFor("ann"), "g", time.Hour)
		},
		"enter": func(b *notifications.Inboxes) (notifications.State, error) {
			return b.Enter(t.Context(), w.as("ann", "ops"))
		},
	} {
		before := len(w.changes(t, "ann"))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, err := act(nodes[i%2]); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		if got := len(w.changes(t, "ann")) - before; got != 1 {
			t.Errorf("%s by eight at once: got %d changes, want 1", name, got)
		}
	}
}

func TestChangeIsDecidedAnewWhenAnotherCameFirst(t *testing.T) {
	for _, test := range []struct {
		stale int64
		tries int64
		want  error
	}{
		{0, 1, nil},
		{1, 2, nil},
		{31, 32, nil},
		{32, 32, notifications.ErrUnavailable},
	} {
		w := newWorld()
		w.fill(t, 1)
		states := &racing{States: w.states}
		states.n.Store(test.stale)
		b := notifications.NewInboxes(notifications.InboxesOptions{Log: w.log, States: states, Now: w.now})
		_, err := b.MarkAll(t.Context(), w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{})
		if !errors.Is(err, test.want) || states.tries.Load() != test.tries || errors.Is(err, notifications.ErrStale) {
			t.Errorf("%d others first: got error %v after %d tries, want %v after %d", test.stale, err, states.tries.Load(), test.want, test.tries)
		}
	}
}

// hurried is a store that another one keeps changing until a time; it implements
// notifications.States.
type hurried struct {
	*notificationstest.States

	until time.Time
}

func (b *hurried) Append(ctx context.Context, name, user string, from notifications.State, c notifications.Change) (notifications.State, error) {
	if time.Now().Before(b.until) {
		return notifications.State{}, notifications.ErrStale
	}
	return b.States.Append(ctx, name, user, from, c)
}

// A device in a hurry keeps another one waiting, not from acting; who has gone
// meanwhile waits no longer.
func TestChangesStandBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fill(t, 3)
		states := &hurried{States: w.states, until: time.Now().Add(200 * time.Millisecond)}
		b := notifications.NewInboxes(notifications.InboxesOptions{Log: w.log, States: states, Now: w.now})
		gone, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer leave()
		if _, err := b.MarkAll(gone, w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v of who has gone", err)
		}
		if _, err := b.MarkAll(t.Context(), w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{}); err != nil {
			t.Errorf("got error %v after a busy while", err)
		}
	})
}

// calls are all that Inboxes can do for an asker.
func calls(b *notifications.Inboxes, a notifications.Asker) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Page":        func(ctx context.Context) error { _, err := b.Page(ctx, a, notifications.InboxQuery{}); return err },
		"Counts":      func(ctx context.Context) error { _, err := b.Counts(ctx, a); return err },
		"Groups":      func(ctx context.Context) error { _, err := b.Groups(ctx, a); return err },
		"Preferences": func(ctx context.Context) error { _, _, err := b.Preferences(ctx, a); return err },
		"Mark": func(ctx context.Context) error {
			_, err := b.Mark(ctx, a, notifications.ChangeRead, refsTo(1))
			return err
		},
		"MarkAll": func(ctx context.Context) error {
			_, err := b.MarkAll(ctx, a, notifications.ChangeAllRead, notifications.UpTo{})
			return err
		},
		"SetPreferences": func(ctx context.Context) error {
			_, err := b.SetPreferences(ctx, a, notifications.Preferences{Mutes: []notifications.Mute{{Type: "*"}}}, 0)
			return err
		},
		"Mute": func(ctx context.Context) error {
			_, err := b.Mute(ctx, a, notifications.Mute{Type: "a"})
			return err
		},
		"Unmute": func(ctx context.Context) error {
			_, err := b.Unmute(ctx, a, notifications.Mute{Type: "*"})
			return err
		},
	}
}

// managing are those of the calls that want an administrator.
func managing(b *notifications.Inboxes, a notifications.Asker) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"AddMember":    func(ctx context.Context) error { _, err := b.AddMember(ctx, a, "g", 0); return err },
		"RemoveMember": func(ctx context.Context) error { _, err := b.RemoveMember(ctx, a, "g"); return err },
		"Revoke":       func(ctx context.Context) error { _, err := b.Revoke(ctx, a, "ops"); return err },
	}
}

func TestTheStoreBeingAwayReachesTheCaller(t *testing.T) {
	w := newWorld()
	w.fill(t, 1)
	w.states.Break(fmt.Errorf("load: %w", notifications.ErrUnavailable))
	a := w.as("ann", "admin")
	for _, all := range []map[string]func(context.Context) error{calls(w.inboxes, a), managing(w.inboxes, a)} {
		for name, call := range all {
			if err := call(t.Context()); !errors.Is(err, notifications.ErrUnavailable) {
				t.Errorf("%s: got error %v, want ErrUnavailable", name, err)
			}
		}
	}
	if records := w.audit.take(); len(records) != 0 {
		t.Errorf("on record is what was not done: %+v", records)
	}
	w.states.Break(nil)
	w.log.Break(notifications.ErrUnavailable)
	if _, err := w.inboxes.Mark(t.Context(), a, notifications.ChangeRead, []notifications.Ref{{ID: "n0"}}); !errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("mark by id while the log is away: got error %v, want ErrUnavailable", err)
	}
}

func TestInboxesAskWhoIsAsking(t *testing.T) {
	policy, err := roles.ParsePolicy([]byte("manage: [boss]"))
	if err != nil {
		t.Fatal(err)
	}
	boss := roles.Principal{UserID: "bo", Roles: []string{"boss"}}
	asker := func(p roles.Principal, user string) notifications.Asker {
		return notifications.Asker{Principal: p, Hub: hub, User: user}
	}
	for _, test := range []struct {
		name        string
		policy      *roles.Policy
		asker       notifications.Asker
		own, manage bool
	}{
		{"a user", nil, asker(ann, ""), true, false},
		{"a user by name", nil, asker(ann, "ann"), true, false},
		{"a user for another", nil, asker(ann, "bob"), false, false},
		{"a user for one of another case", nil, asker(ann, "Ann"), false, false},
		{"an emitter for another", nil, asker(emitter, "ann"), false, false},
		{"an administrator", nil, asker(admin, ""), true, true},
		{"an administrator for another", nil, asker(admin, "ann"), true, true},
		{"an administrator under another policy", policy, asker(admin, "ann"), false, false},
		{"a boss under another policy", policy, asker(boss, "ann"), true, true},
		{"nobody", nil, asker(roles.Principal{}, ""), false, false},
		{"nobody for somebody", nil, asker(roles.Principal{}, "ann"), false, false},
		{"nobody with roles", nil, asker(roles.Principal{Roles: []string{"admin"}}, "ann"), false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			w.put(t, notifications.Event{Recipient: notifications.ToEveryone()})
			b := notifications.NewInboxes(notifications.InboxesOptions{Log: w.log, States: w.states, Policy: test.policy, Now: w.now})
			for may, all := range map[*bool]map[string]func(context.Context) error{&test.own: calls(b, test.asker), &test.manage: managing(b, test.asker)} {
				for name, call := range all {
					if err := call(t.Context()); (err == nil) != *may || err != nil && !errors.Is(err, notifications.ErrForbidden) {
						t.Errorf("%s: got error %v, allowed is %v", name, err, *may)
					}
				}
			}
			changed := false
			for _, user := range []string{"ann", "bob", "Ann", "root", "bo", ""} {
				changed = changed || len(w.changes(t, user)) > 0
			}
			if changed != (test.own || test.manage) {
				t.Errorf("something was changed: %v", changed)
			}
		})
	}
}

func TestInboxOfNoUserThereCanBe(t *testing.T) {
	w := newWorld()
	for _, user := range []string{strings.Repeat("a", 257), "\xff"} {
		a := rootFor(user)
		for _, all := range []map[string]func(context.Context) error{calls(w.inboxes, a), managing(w.inboxes, a)} {
			for name, call := range all {
				if got := unfit(t, call(t.Context())); !strings.HasPrefix(got, "user: recipient user/…: name ") {
					t.Errorf("%s for %q: got %q", name, user, got)
				}
			}
		}
	}
}

// A look into the inbox of another user is on record; one into the own is not.
func TestLooksIntoAnotherInboxAreOnRecord(t *testing.T) {
	w := newWorld()
	w.put(t, notifications.Event{Recipient: notifications.ToEveryone()})
	for name, call := range calls(w.inboxes, w.as("ann")) {
		if err := call(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if got := w.audit.take(); len(got) != 0 {
		t.Errorf("by the user: got %+v, want none", got)
	}
	a := rootFor("ann")
	a.Principal.Issuer = "idp"
	want := []notifications.AuditRecord{{At: now, Action: notifications.AuditLooked, By: "root", Issuer: "idp", Via: "http", Hub: hub, User: "ann"}}
	for _, name := range []string{"Page", "Counts", "Groups", "Preferences"} {
		if err := calls(w.inboxes, a)[name](t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, w.audit.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What somebody else changes says so, and on which device it was changed.
func TestChangesSayWhoMadeThem(t *testing.T) {
	w := newWorld()
	w.put(t, notifications.Event{Recipient: notifications.ToEveryone()})
	own := w.as("ann")
	own.Device = "phone"
	for _, test := range []struct {
		name   string
		asker  notifications.Asker
		device string
		by     string
	}{
		{"the user", own, "phone", ""},
		{"an administrator", rootFor("ann"), "", "root"},
	} {
		if _, err := w.inboxes.Mark(t.Context(), test.asker, notifications.ChangeArchived, refsTo(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.inboxes.Mark(t.Context(), test.asker, notifications.ChangeUnarchived, refsTo(1)); err != nil {
			t.Fatal(err)
		}
		all := w.changes(t, "ann")
		got := all[len(all)-1].Change
		want := notifications.Change{
			Kind: notifications.ChangeUnarchived, Epoch: 7, Positions: notifications.Positions{1}, By: test.by, Device: test.device, At: now.Truncate(time.Millisecond),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// strangers is a world with one event for ann (1, "mine"), and others that are
// not in her inbox.
func strangers(t testingT) *world {
	t.Helper()
	w := newWorld()
	w.put(t, notifications.Event{ID: "mine", Recipient: notifications.ToUser("ann")})                        // 1
	w.put(t, notifications.Event{ID: "bobs", Recipient: notifications.ToUser("bob")})                        // 2
	w.put(t, notifications.Event{ID: "ops", Recipient: notifications.ToRole("ops")})                         // 3
	w.put(t, notifications.Event{ID: "group", Recipient: notifications.ToGroup("g")})                        // 4
	w.putInto(t, "other", notifications.Event{ID: "mine elsewhere", Recipient: notifications.ToUser("ann")}) // 5
	w.put(t, notifications.Event{ID: "recall", Recipient: notifications.ToUser("ann"), Recalls: "gone"})     // 6
	w.put(t, notifications.Event{ID: "all", Recipient: notifications.ToEveryone()})                          // 7
	return w
}

func TestMarkRefusesWhatIsNotInTheInbox(t *testing.T) {
	id := func(ids ...string) (refs []notifications.Ref) {
		for _, one := range ids {
			refs = append(refs, notifications.Ref{ID: one})
		}
		return refs
	}
	not := func(i int, what string) string {
		return fmt.Sprintf("ids[%d]: is no notification of this inbox: %s", i, what)
	}
	for _, test := range []struct {
		name string
		refs []notifications.Ref
		want string
	}{
		{"none", nil, "ids: want 1 to 1000 ids or positions, got 0"},
		{"too many", refsTo(make([]notifications.Position, 1001)...), "ids: want 1 to 1000 ids or positions, got 1001"},
		{"an unknown id", id("nothing"), not(0, `"nothing"`)},
		{"a long id", id(strings.Repeat("x", 70)), not(0, `"`+strings.Repeat("x", 64)+`…"`)},
		{"no id", id(""), not(0, `""`)},
		{"that of another user", id("bobs"), not(0, `"bobs"`)},
		{"that of another hub", id("mine elsewhere"), not(0, `"mine elsewhere"`)},
		{"that of a role", id("ops"), not(0, `"ops"`)},
		{"that of a group", id("group"), not(0, `"group"`)},
		{"a recall", id("recall"), not(0, `"recall"`)},
		{"a position of another user", refsTo(2), not(0, "2")},
		{"a position of another hub", refsTo(5), not(0, "5")},
		{"a position of a recall", refsTo(6), not(0, "6")},
		{"a position beyond the end", refsTo(8), not(0, "8")},
		{"the largest position", refsTo(1<<64 - 1), not(0, "18446744073709551615")},
		{"one of many", append(refsTo(1, 7, 1), id("mine", "all", "bobs")...), not(5, `"bobs"`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := strangers(t)
			for _, kind := range []notifications.ChangeKind{notifications.ChangeSeen, notifications.ChangeUnread, notifications.ChangeArchived} {
				_, err := w.inboxes.Mark(t.Context(), w.as("ann"), kind, test.refs)
				if got := unfit(t, err); got != test.want {
					t.Errorf("%s: got %q, want %q", kind, got, test.want)
				}
			}
			if got := w.changes(t, "ann"); len(got) != 0 {
				t.Errorf("something was changed: %+v", got)
			}
		})
	}
}

// A user who may no longer read something cannot mark it either.
func TestMarkAsksWhatTheUserMayRead(t *testing.T) {
	w := newWorld()
	ops := w.as("ann", "ops")
	p := w.put(t, notifications.Event{Recipient: notifications.ToRole("ops")})
	if _, err := w.inboxes.Mark(t.Context(), ops, notifications.ChangeRead, refsTo(p)); err == nil {
		t.Error("what was emitted before the user came with the role was marked")
	}
	p = w.put(t, notifications.Event{Recipient: notifications.ToRole("ops")})
	for _, test := range []struct {
		name  string
		asker notifications.Asker
		want  bool
	}{
		{"with the role", ops, true},
		{"with another one", w.as("ann", "dev"), false},
		{"an administrator", rootFor("ann"), true},
		{"an administrator for another user", rootFor("bob"), false},
	} {
		if _, err := w.inboxes.Mark(t.Context(), test.asker, notifications.ChangeArchived, refsTo(p)); (err == nil) != test.want {
			t.Errorf("%s: got error %v", test.name, err)
		}
	}
}

// A thousand are marked with one change, and each kind of mark is idempotent.
func TestMarkingAgainChangesNothing(t *testing.T) {
	w := newWorld()
	w.fill(t, 1000)
	refs := make([]notifications.Ref, 1000)
	for i := range refs {
		refs[i] = notifications.Ref{Position: notifications.Position(i + 1)}
		if i%2 == 0 {
			refs[i] = notifications.Ref{ID: "n" + strconv.Itoa(i)}
		}
	}
	for i, kind := range []notifications.ChangeKind{
		notifications.ChangeSeen, notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived,
	} {
		for range 2 {
			s, err := w.inboxes.Mark(t.Context(), w.as("ann"), kind, refs)
			if got := len(w.changes(t, "ann")); err != nil || got != i+1 || s.Version != notifications.Version(i+1) {
				t.Fatalf("%s: got %d changes, version %d, error %v, want %d", kind, got, s.Version, err, i+1)
			}
		}
		// The rest of a set that was marked before.
		if _, err := w.inboxes.Mark(t.Context(), w.as("ann"), kind, append(refsTo(5), refs[0], refs[0])); err != nil || len(w.changes(t, "ann")) != i+1 {
			t.Fatalf("%s again: error %v, %d changes", kind, err, len(w.changes(t, "ann")))
		}
	}
	if got := w.changes(t, "ann")[0].Change.Positions; len(got) != 1000 {
		t.Errorf("got %d positions in one change, want 1000", len(got))
	}
}

// What is archived is read or unread beneath.
func TestMarkingWhatIsArchived(t *testing.T) {
	const read, unread, archived, unarchived = notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived
	w := newWorld()
	w.fill(t, 1)
	for i, test := range []struct {
		kind    notifications.ChangeKind
		changes int
		want    notifications.Status
	}{
		{archived, 1, notifications.Archived},
		{notifications.ChangeSeen, 1, notifications.Archived},
		{read, 2, notifications.Archived},
		{read, 2, notifications.Archived},
		{unarchived, 3, notifications.WasRead},
		{archived, 4, notifications.Archived},
		{read, 4, notifications.Archived},
		{unread, 5, notifications.Seen},
		{unread, 5, notifications.Seen},
	} {
		s, err := w.inboxes.Mark(t.Context(), w.as("ann"), test.kind, refsTo(1))
		if got := len(w.changes(t, "ann")); err != nil || got != test.changes || s.Status(1) != test.want {
			t.Errorf("%d. %s: got %d changes and %s, error %v, want %d and %s", i, test.kind, got, s.Status(1), err, test.changes, test.want)
		}
	}
}

// An id that was stored again means all that the user has of it.
func TestMarkByAnIDThatWasStoredAgain(t *testing.T) {
	w := newWorld()
	for _, user := range []string{"ann", "bob", "ann"} {
		w.put(t, notifications.Event{ID: "again", Recipient: notifications.ToUser(user)})
		w.pass(notificationstest.Window)
	}
	s, err := w.inboxes.Mark(t.Context(), w.as("ann"), notifications.ChangeRead, []notifications.Ref{{ID: "again"}})
	if err != nil || !slices.Equal(s.Read, notifications.Positions{1, 3}) {
		t.Errorf("got %v, error %v, want 1 and 3", s.Read, err)
	}
}

func TestMarkAllIsOneChange(t *testing.T) {
	w := newWorld()
	last := w.fill(t, 500)
	ann := w.as("ann")
	all := func(kind notifications.ChangeKind, upTo notifications.UpTo) notifications.State {
		t.Helper()
		s, err := w.inboxes.MarkAll(t.Context(), ann, kind, upTo)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cursor := w.log.Entry(400).At(notificationstest.Epoch)
	for i, test := range []struct {
		name    string
		kind    notifications.ChangeKind
		upTo    notifications.UpTo
		changes int
		seen    notifications.Position
		read    notifications.Position
	}{
		{"nothing", notifications.ChangeAllSeen, notifications.UpTo{Cursor: notifications.Cursor{Epoch: 7}}, 0, 0, 0},
		{"seen up to a position", notifications.ChangeAllSeen, notifications.UpTo{Position: 100}, 1, 100, 0},
		{"again", notifications.ChangeAllSeen, notifications.UpTo{Position: 100}, 1, 100, 0},
		{"less", notifications.ChangeAllSeen, notifications.UpTo{Position: 50}, 1, 100, 0},
		{"read up to a cursor", notifications.ChangeAllRead, notifications.UpTo{Cursor: cursor}, 2, 400, 400},
		{"again", notifications.ChangeAllRead, notifications.UpTo{Cursor: cursor}, 2, 400, 400},
		{"seen up to what is read", notifications.ChangeAllSeen, notifications.UpTo{Cursor: cursor}, 2, 400, 400},
		{"read up to the end", notifications.ChangeAllRead, notifications.UpTo{}, 3, last, last},
		{"again", notifications.ChangeAllRead, notifications.UpTo{}, 3, last, last},
		{"up to the end by its position", notifications.ChangeAllRead, notifications.UpTo{Position: last}, 3, last, last},
	} {
		s := all(test.kind, test.upTo)
		if got := len(w.changes(t, "ann")); got != test.changes || s.SeenUpTo != test.seen || s.ReadUpTo != test.read {
			t.Errorf("%d. %s: got %d changes, seen up to %d, read up to %d, want %+v", i, test.name, got, s.SeenUpTo, s.ReadUpTo, test)
		}
	}
	if _, err := w.inboxes.Mark(t.Context(), ann, notifications.ChangeUnread, refsTo(3)); err != nil {
		t.Fatal(err)
	}
	if s := all(notifications.ChangeAllRead, notifications.UpTo{Position: 2}); s.Status(3) != notifications.Seen || len(w.changes(t, "ann")) != 4 {
		t.Errorf("up to what was marked unread: got %s", s.Status(3))
	}
	if s := all(notifications.ChangeAllRead, notifications.UpTo{Position: 3}); s.Status(3) != notifications.WasRead || len(w.changes(t, "ann")) != 5 {
		t.Errorf("what was marked unread again: got %s", s.Status(3))
	}
}

func TestMarkAllRefusesPlacesThatAreNone(t *testing.T) {
	w := newWorld()
	w.fill(t, 3)
	for _, test := range []struct {
		upTo notifications.UpTo
		want string
	}{
		{notifications.UpTo{Position: 4}, "upTo: is 4, beyond the end of the log at 3"},
		{notifications.UpTo{Cursor: notifications.Cursor{Epoch: 7, Position: 4}}, "upTo: is 4, beyond the end of the log at 3"},
		{notifications.UpTo{Cursor: notifications.Cursor{Epoch: 8, Position: 1}}, "upTo: is a place in a log that is no more; load the inbox again"},
		{notifications.UpTo{Cursor: notifications.Cursor{Position: 1}}, "upTo: is a place in a log that is no more; load the inbox again"},
	} {
		_, err := w.inboxes.MarkAll(t.Context(), w.as("ann"), notifications.ChangeAllRead, test.upTo)
		if got := unfit(t, err); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.upTo, got, test.want)
		}
	}
	if got := w.changes(t, "ann"); len(got) != 0 {
		t.Errorf("something was changed: %+v", got)
	}
}

func TestReferencesAreReadStrictly(t *testing.T) {
	got, err := notifications.DecodeRefs([]byte(`["e1",5,"5","\u00fc"]`))
	want := []notifications.Ref{{ID: "e1"}, {Position: 5}, {ID: "5"}, {ID: "ü"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		``:                                      "ids: want an array of ids or positions, got ",
		`"e1"`:                                  `ids: want an array of ids or positions, got "e1"`,
		`{}`:                                    `ids: want an array of ids or positions, got {}`,
		`["e1",0]`:                              "ids[1]: want the id of a notification, or its position, got 0",
		`[-1]`:                                  "ids[0]: want the id of a notification, or its position, got -1",
		`[1.5]`:                                 "ids[0]: want the id of a notification, or its position, got 1.5",
		`[1e3]`:                                 "ids[0]: want the id of a notification, or its position, got 1e3",
		`[null]`:                                "ids[0]: want the id of a notification, or its position, got null",
		`[""]`:                                  `ids[0]: want the id of a notification, or its position, got ""`,
		`["a\n"]`:                               `ids[0]: want the id of a notification, or its position, got "a\n"`,
		`[["e1"]]`:                              `ids[0]: want the id of a notification, or its position, got ["e1"]`,
		`[18446744073709551616]`:                "ids[0]: want the id of a notification, or its position, got 18446744073709551616",
		`["` + strings.Repeat("i", 129) + `"]`:  `ids[0]: want the id of a notification, or its position, got "` + strings.Repeat("i", 63) + "…",
		"[" + strings.Repeat(`1,`, 1000) + "1]": "ids: want 1 to 1000 ids or positions, got 1001",
		"\"\xff\"":                              "ids: want an array of ids or positions, got \"\uFFFD\"",
	} {
		_, err := notifications.DecodeRefs([]byte(text))
		if got := unfit(t, err); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	for _, none := range []string{"null", "[]"} {
		if refs, err := notifications.DecodeRefs([]byte(none)); err != nil || len(refs) != 0 {
			t.Errorf("%s: got %+v, error %v, want none, which Mark refuses", none, refs, err)
		}
	}
}

func TestPlacesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]notifications.UpTo{
		`null`:                        {},
		`5`:                           {Position: 5},
		`"` + place(5).String() + `"`: {Cursor: place(5)},
	} {
		got := notifications.UpTo{Position: 9, Cursor: place(9)}
		if err := json.Unmarshal([]byte(text), &got); text != "null" && (err != nil || got != want) {
			t.Errorf("%s: got %+v, error %v, want %+v", text, got, err, want)
		}
		if err := got.UnmarshalJSON([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %+v, error %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{``, `0`, `-1`, `1.5`, `true`, `{}`, `[5]`, `""`, `"5"`, `"garbage"`, `"` + (notifications.Cursor{}).String() + `"`, "\"\xff\""} {
		var got notifications.UpTo
		err := got.UnmarshalJSON([]byte(text))
		if told := unfit(t, err); !strings.HasPrefix(told, "upTo: want a position, the cursor of a notification, or null, got ") {
			t.Errorf("%s: got %q", text, told)
		}
	}
}

// A state that was made in another log has no marks in this one.
func TestInboxesInALogThatWasMadeAnew(t *testing.T) {
	w := newWorld()
	w.fill(t, 3)
	enter(t, w, w.as("ann", "ops"))
	if _, err := w.inboxes.MarkAll(t.Context(), w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{}); err != nil {
		t.Fatal(err)
	}
	w.log = &notificationstest.Log{Now: w.now, Epoch: 8}
	w.inboxes = w.anotherNode()
	w.put(t, notifications.Event{Recipient: notifications.ToUser("ann")})
	w.put(t, notifications.Event{Recipient: notifications.ToRole("ops")})
	got, err := w.inboxes.Counts(t.Context(), w.as("ann", "ops"))
	if err != nil || got.Counts.Unseen != 2 {
		t.Errorf("got %+v, error %v, want 2 unseen", got.Counts, err)
	}
	if _, err := w.inboxes.Mark(t.Context(), w.as("ann"), notifications.ChangeRead, refsTo(1)); err != nil {
		t.Fatal(err)
	}
	all := w.changes(t, "ann")
	if c := all[len(all)-1].Change; c.Epoch != 8 {
		t.Errorf("the change is of epoch %d, want 8", c.Epoch)
	}
	if s := w.state(t); s.Status(1) != notifications.WasRead || s.Status(2) != notifications.Unseen {
		t.Errorf("got %s and %s", s.Status(1), s.Status(2))
	}
}

func TestEnterRemembersRolesOnce(t *testing.T) {
	type roleMap = map[string]notifications.Position
	for _, test := range []struct {
		name    string
		steps   []step
		want    roleMap
		changes int
	}{
		{"without roles", steps(in()), nil, 0},
		{"in an empty log", steps(in("ops")), roleMap{"ops": 0}, 1},
		{"at the head", steps(head(5), in("ops", "dev")), roleMap{"ops": 5, "dev": 5}, 1},
		{"again", steps(head(5), in("ops"), head(3), in("ops"), in("ops")), roleMap{"ops": 5}, 1},
		{"with one more", steps(head(5), in("ops"), head(3), in("dev", "ops")), roleMap{"ops": 5, "dev": 8}, 2},
		{"with one less and again", steps(head(5), in("ops", "dev"), head(3), in("ops"), head(1), in("dev")), roleMap{"ops": 5, "dev": 5}, 1},
		{"later ones from the head", steps(head(5), in("ops"), in("dev")), roleMap{"ops": 5, "dev": 5}, 2},
		{"one that is given again", steps(in("ops"), head(2), revoke(), head(3), pass, in("ops"), in("ops")), roleMap{"ops": 5}, 3},
		{"one that was taken back before", steps(head(5), revoke(), in("ops", "dev"), head(1), pass, in("ops")), roleMap{"dev": 5, "ops": 6}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for _, step := range test.steps {
				step(t, w)
			}
			s := w.state(t)
			if diff := cmp.Diff(test.want, s.Roles, cmpopts.EquateEmpty()); diff != "" || len(w.changes(t, "ann")) != test.changes {
				t.Errorf("%d changes, roles (-want +got):\n%s", len(w.changes(t, "ann")), diff)
			}
		})
	}
}

// in is ann who comes with roles, from where her client was.
func in(held ...string) step {
	return func(t testingT, w *world) {
		if _, err := w.inboxes.Enter(t.Context(), w.as("ann", held...)); err != nil {
			t.Fatal(err)
		}
	}
}

func head(n int) step {
	return func(t testingT, w *world) {
		for range n {
			w.put(t, notifications.Event{Recipient: notifications.ToUser("nobody")})
		}
	}
}

func revoke() step {
	return func(t testingT, w *world) {
		if _, err := w.inboxes.Revoke(t.Context(), rootFor("ann"), "ops"); err != nil {
			t.Fatal(err)
		}
	}
}

func pass(_ testingT, w *world) { w.pass(time.Minute) }

// What a role reads, by when its holder came and by the token that is shown.
func TestInboxOfARole(t *testing.T) {
	to := func(at notifications.MembersAt) step {
		return func(t testingT, w *world) {
			w.put(t, notifications.Event{Recipient: notifications.ToRole("ops"), MembersAt: at})
		}
	}
	emit, read := to(notifications.Emit), to(notifications.Read)
	type positions = []notifications.Position
	for _, test := range []struct {
		name  string
		steps []step
		held  []string
		want  positions
	}{
		{"before the holder came", steps(emit, read), []string{"ops"}, positions{2}},
		{"after the holder came", steps(in("ops"), emit, read), []string{"ops"}, positions{2, 1}},
		{"without the role now", steps(in("ops"), emit, read), nil, positions{}},
		{"with another role", steps(in("ops"), emit, read), []string{"dev"}, positions{}},
		{"taken back", steps(in("ops"), emit, read, revoke()), []string{"ops"}, positions{}},
		{"taken back, and a newer token", steps(in("ops"), emit, revoke(), emit, read, pass), []string{"ops"}, positions{3}},
		{"taken back, and after a newer token came", steps(in("ops"), emit, revoke(), emit, pass, in("ops"), emit), []string{"ops"}, positions{3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for _, step := range test.steps {
				step(t, w)
			}
			if got := listed(t, w, w.as("ann", test.held...)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
