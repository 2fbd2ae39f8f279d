package notifications_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidings/notifications"
)

const tenYears = 10 * 365 * 24 * time.Hour

func join(group string, ttl time.Duration) step {
	return func(t testingT, w *world) {
		if _, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), group, ttl); err != nil {
			t.Fatal(err)
		}
	}
}

func part() step {
	return func(t testingT, w *world) {
		if _, err := w.inboxes.RemoveMember(t.Context(), rootFor("ann"), "g"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDurableMemberships(t *testing.T) {
	type terms = map[string]notifications.Term
	minute := now.Add(time.Minute).Truncate(time.Millisecond)
	for _, test := range []struct {
		name    string
		steps   []step
		want    terms
		changes int
	}{
		{"none", nil, terms{}, 0},
		{"until removed", steps(head(3), join("g", 0)), terms{"g": {Since: 3}}, 1},
		{"for a time", steps(head(3), join("g", time.Minute)), terms{"g": {Since: 3, Until: minute}}, 1},
		{"for the longest time", steps(join("g", tenYears)), terms{"g": {Until: now.Add(tenYears)}}, 1},
		{"for the shortest time", steps(join("g", time.Second)), terms{"g": {Until: now.Add(time.Second)}}, 1},
		{"again", steps(join("g", 0), head(3), join("g", 0)), terms{"g": {}}, 1},
		{"again with another end", steps(head(1), join("g", 0), head(3), join("g", time.Minute)), terms{"g": {Since: 1, Until: minute}}, 2},
		{"again without an end", steps(head(1), join("g", time.Minute), head(3), join("g", 0)), terms{"g": {Since: 1}}, 2},
		{"again after it had ended", steps(head(1), join("g", time.Minute), pass, head(3), join("g", 0)), terms{"g": {Since: 4}}, 2},
		{"ended", steps(join("g", time.Minute), pass), terms{}, 1},
		{"removed", steps(join("g", 0), part()), terms{}, 2},
		{"removed twice", steps(join("g", 0), part(), part()), terms{}, 2},
		{"removed without having been", steps(part()), terms{}, 0},
		{"removed and again", steps(join("g", 0), part(), head(2), join("g", 0)), terms{"g": {Since: 2}}, 3},
		{"two", steps(join("g", 0), head(1), join("g/1 x", 0)), terms{"g": {}, "g/1 x": {Since: 1}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for _, step := range test.steps {
				step(t, w)
			}
			got, err := w.inboxes.Groups(t.Context(), w.as("ann"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || len(w.changes(t, "ann")) != test.changes {
				t.Errorf("%d changes, want %d; groups (-want +got):\n%s", len(w.changes(t, "ann")), test.changes, diff)
			}
		})
	}
}

// What a group reads, by when its member joined.
func TestInboxOfADurableMember(t *testing.T) {
	to := func(at notifications.MembersAt) step {
		return func(t testingT, w *world) {
			w.put(t, notifications.Event{Recipient: notifications.ToGroup("g"), MembersAt: at})
		}
	}
	emit, read := to(notifications.Emit), to(notifications.Read)
	type positions = []notifications.Position
	for _, test := range []struct {
		name  string
		steps []step
		want  positions
	}{
		{"no member", steps(emit, read), positions{}},
		{"before", steps(emit, read, join("g", 0)), positions{2}},
		{"after", steps(join("g", 0), emit, read), positions{2, 1}},
		{"removed", steps(join("g", 0), emit, read, part()), positions{}},
		{"ended", steps(join("g", time.Minute), emit, read, pass), positions{}},
		{"prolonged", steps(join("g", time.Minute), emit, join("g", time.Hour), pass), positions{1}},
		{"between two terms", steps(join("g", time.Minute), emit, pass, emit, join("g", 0), emit), positions{3}},
		{"in another group", steps(join("h", 0), emit, read), positions{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for _, step := range test.steps {
				step(t, w)
			}
			if got := listed(t, w, w.as("ann")); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestMembershipsAreRefused(t *testing.T) {
	w := newWorld()
	for _, test := range []struct {
		group string
		ttl   time.Duration
		want  string
	}{
		{"", 0, `group: recipient "group/" has no name after the slash`},
		{strings.Repeat("g", 257), 0, "group: recipient group/…: name of 257 bytes, at most 256 are allowed"},
		{"\xff", 0, "group: recipient group/…: name is not UTF-8"},
		{"g", -time.Second, "ttl: want 1 to 315360000 seconds, which are ten years"},
		{"g", time.Second - 1, "ttl: want 1 to 315360000 seconds, which are ten years"},
		{"g", tenYears + 1, "ttl: want 1 to 315360000 seconds, which are ten years"},
	} {
		_, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), test.group, test.ttl)
		if got := unfit(t, err); got != test.want {
			t.Errorf("%.10q for %v: got %q, want %q", test.group, test.ttl, got, test.want)
		}
		if test.ttl != 0 {
			continue
		}
		_, err = w.inboxes.RemoveMember(t.Context(), rootFor("ann"), test.group)
		if got := unfit(t, err); got != test.want {
			t.Errorf("removal from %.10q: got %q, want %q", test.group, got, test.want)
		}
		_, err = w.inboxes.Revoke(t.Context(), rootFor("ann"), test.group)
		if got, want := unfit(t, err), strings.ReplaceAll(test.want, "group", "role"); got != want {
			t.Errorf("revocation of %.10q: got %q, want %q", test.group, got, want)
		}
	}
	if len(w.changes(t, "ann")) != 0 || len(w.audit.take()) != 0 {
		t.Error("something was changed, or is on record")
	}
}

func TestSecondsAreBounded(t *testing.T) {
	for n, want := range map[float64]time.Duration{1: time.Second, 1.5: 1500 * time.Millisecond, 315360000: tenYears} {
		if got, err := notifications.Seconds(n); got != want || err != nil {
			t.Errorf("%v: got %v, error %v, want %v", n, got, err, want)
		}
	}
	for _, n := range []float64{0, 0.999, -1, 315360000.001, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64} {
		got, err := notifications.Seconds(n)
		if told := unfit(t, err); got != 0 || told != "ttl: want 1 to 315360000 seconds, which are ten years" {
			t.Errorf("%v: got %v, %q", n, got, told)
		}
	}
}

// crowd is ann as a member of 1,000 groups, of which that many end in a minute.
func crowd(t *testing.T, ending int) *world {
	t.Helper()
	w := newWorld()
	var s notifications.State
	for i := range 1000 {
		c := notifications.Change{Kind: notifications.ChangeJoined, Epoch: 7, Group: strconv.Itoa(i), At: now}
		if i < ending {
			c.Until = now.Add(time.Minute)
		}
		s = s.Apply(changed(notifications.Version(i+1), c))
	}
	w.inboxes = notifications.NewInboxes(notifications.InboxesOptions{Log: w.log, States: &latest{state: s}, Audit: w.audit, Now: w.now})
	return w
}

func TestAThousandGroupsAreAsManyAsMayBe(t *testing.T) {
	w := crowd(t, 0)
	_, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), "one more", 0)
	if got, want := unfit(t, err), "group: the user is in 1000 groups, which is as many as may be"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if s, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), "7", time.Hour); err != nil || len(s.Groups) != 1000 {
		t.Errorf("another end: got %d groups, error %v", len(s.Groups), err)
	}
	if got := actions(w.audit.take()); len(got) != 1 {
		t.Errorf("on record are %v, want one act", got)
	}
	if _, err := w.inboxes.RemoveMember(t.Context(), rootFor("ann"), "7"); err != nil {
		t.Fatal(err)
	}
	if s, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), "one more", 0); err != nil || len(s.Groups) != 1000 {
		t.Errorf("in the place of another: got %d groups, error %v", len(s.Groups), err)
	}
}

// Memberships that have ended do not count.
func TestEndedMembershipsMakeRoom(t *testing.T) {
	w := crowd(t, 2)
	w.pass(time.Minute)
	for i, group := range []string{"1", "one more", "and another"} {
		s, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), group, 0)
		if i == 2 {
			unfit(t, err)
			continue
		}
		if _, member := s.Groups[group]; err != nil || !member || len(s.Groups) > 1000 {
			t.Errorf("%s: got %d groups, error %v", group, len(s.Groups), err)
		}
	}
	if got := actions(w.audit.take()); !slices.Equal(got, []string{notifications.AuditMember, notifications.AuditMember}) {
		t.Errorf("on record are %v, want two acts", got)
	}
}

func TestActsOfAdministratorsAreOnRecord(t *testing.T) {
	w := newWorld()
	a := rootFor("ann")
	a.Principal.Issuer = "idp"
	record := func(action, recipient, note string) notifications.AuditRecord {
		return notifications.AuditRecord{At: now, Action: action, By: "root", Issuer: "idp", Via: "http", Hub: hub, User: "ann", Recipient: recipient, Note: note}
	}
	_, err := w.inboxes.AddMember(t.Context(), a, "g", 0)
	_, err2 := w.inboxes.RemoveMember(t.Context(), a, "g")
	_, err3 := w.inboxes.Revoke(t.Context(), a, "ops")
	if err = errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	want := []notifications.AuditRecord{
		record(notifications.AuditMember, "group/g", "added"), record(notifications.AuditMember, "group/g", "removed"), record(notifications.AuditRevoked, "role/ops", ""),
	}
	if diff := cmp.Diff(want, w.audit.take()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestPreferencesAreSetFromTheVersionTheyWereReadAt(t *testing.T) {
	w := newWorld()
	ann := w.as("ann")
	doc := func(kind string) notifications.Preferences {
		return notifications.Preferences{Mutes: []notifications.Mute{{Type: kind}}}
	}
	for i, test := range []struct {
		kind    string
		version notifications.Version
		want    error
		now     notifications.Version // of the preferences afterwards
	}{
		{"a", 1, notifications.ErrStale, 0},
		{"b", notifications.PreferencesUnset, nil, 1},
		{"c", notifications.PreferencesUnset, notifications.ErrStale, 1},
		{"d", 1, nil, 2},
		{"e", 1, notifications.ErrStale, 2},
		{"f", 3, notifications.ErrStale, 2},
		{"g", 0, nil, 3},
	} {
		before, _, err := w.inboxes.Preferences(t.Context(), ann)
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.inboxes.SetPreferences(t.Context(), ann, doc(test.kind), test.version)
		if !errors.Is(err, test.want) || err == nil && s.PreferencesVersion != test.now {
			t.Errorf("%d. of version %d: got version %d, error %v, want %v", i, test.version, s.PreferencesVersion, err, test.want)
		}
		want := doc(test.kind)
		if test.want != nil {
			want = before
		}
		got, version, err := w.inboxes.Preferences(t.Context(), ann)
		if diff := cmp.Diff(want, got); diff != "" || version != test.now || err != nil {
			t.Errorf("%d. afterwards version %d, want %d, error %v (-want +got):\n%s", i, version, test.now, err, diff)
		}
	}
}

func TestPreferencesOfAnotherChangeAreNotStale(t *testing.T) {
	w := newWorld()
	w.fill(t, 1)
	ann := w.as("ann")
	s, err := w.inboxes.SetPreferences(t.Context(), ann, notifications.Preferences{}, notifications.PreferencesUnset)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.inboxes.MarkAll(t.Context(), ann, notifications.ChangeAllRead, notifications.UpTo{}); err != nil {
		t.Fatal(err)
	}
	if _, err = w.inboxes.SetPreferences(t.Context(), ann, notifications.Preferences{}, s.PreferencesVersion); err != nil {
		t.Errorf("got error %v", err)
	}
}

func TestMutesAreAddedAndTakenBack(t *testing.T) {
	type mutes = []notifications.Mute
	hour := now.Add(time.Hour)
	a, b, g := notifications.Mute{Type: "a"}, notifications.Mute{Type: "b"}, notifications.Mute{Group: "a"}
	aHour := notifications.Mute{Type: "a", Until: hour}
	mute := func(m notifications.Mute) step {
		return func(t testingT, w *world) {
			if _, err := w.inboxes.Mute(t.Context(), w.as("ann"), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	unmute := func(m notifications.Mute) step {
		return func(t testingT, w *world) {
			if _, err := w.inboxes.Unmute(t.Context(), w.as("ann"), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	set := func(all ...notifications.Mute) step {
		return func(t testingT, w *world) {
			p := notifications.Preferences{Mutes: all, QuietHours: night("UTC")}
			if _, err := w.inboxes.SetPreferences(t.Context(), w.as("ann"), p, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name    string
		steps   []step
		want    mutes
		changes int
	}{
		{"one", steps(mute(a)), mutes{a}, 1},
		{"a type and a group of that name", steps(mute(a), mute(g)), mutes{a, g}, 2},
		{"again", steps(mute(a), mute(a)), mutes{a}, 1},
		{"again after another one", steps(mute(a), mute(b), mute(a)), mutes{a, b}, 2},
		{"another end", steps(mute(a), mute(b), mute(aHour)), mutes{aHour, b}, 3},
		{"another end of two of the same", steps(set(b, a, g, a), mute(aHour)), mutes{b, aHour, g}, 2},
		{"taken back", steps(mute(a), mute(b), unmute(aHour)), mutes{b}, 3},
		{"taken back twice", steps(mute(a), unmute(a), unmute(a)), nil, 2},
		{"taken back without having been", steps(unmute(a)), nil, 0},
		{"two of the same taken back", steps(set(a, b, a), unmute(a)), mutes{b}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for _, step := range test.steps {
				step(t, w)
			}
			got, version, err := w.inboxes.Preferences(t.Context(), w.as("ann"))
			if diff := cmp.Diff(test.want, got.Mutes, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("error %v, mutes (-want +got):\n%s", err, diff)
			}
			if all := w.changes(t, "ann"); len(all) != test.changes || version != notifications.Version(test.changes) {
				t.Errorf("got %d changes and version %d, want %d", len(all), version, test.changes)
			}
		})
	}
}

func TestPreferencesAreRefusedAsAWhole(t *testing.T) {
	w := newWorld()
	ann := w.as("ann")
	var many []notifications.Mute
	for i := range 200 {
		many = append(many, notifications.Mute{Type: strconv.Itoa(i)})
	}
	if _, err := w.inboxes.SetPreferences(t.Context(), ann, notifications.Preferences{Mutes: many}, 0); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		call func() (notifications.State, error)
		want string
	}{
		{"one mute too many", func() (notifications.State, error) {
			return w.inboxes.Mute(t.Context(), ann, notifications.Mute{Group: "g"})
		}, "mutes: has 201, at most 200 are allowed"},
		{"a mute of nothing", func() (notifications.State, error) {
			return w.inboxes.Mute(t.Context(), ann, notifications.Mute{})
		}, ": wants either a type or a group"},
		{"a mute of both", func() (notifications.State, error) {
			return w.inboxes.Mute(t.Context(), ann, notifications.Mute{Type: "a", Group: "g"})
		}, ": wants either a type or a group"},
		{"a mute for too long", func() (notifications.State, error) {
			return w.inboxes.Mute(t.Context(), ann, notifications.Mute{Type: "a", Until: now.AddDate(10, 0, 1)})
		}, "until: is more than ten years away; leave it out for ever"},
		{"the second mute", func() (notifications.State, error) {
			return w.inboxes.SetPreferences(t.Context(), ann, notifications.Preferences{Mutes: []notifications.Mute{{Type: "a"}, {Type: "a*"}}}, 0)
		}, `mutes[1].type: wants a type, the beginning of types such as "order.*", or "*"`},
		{"quiet hours nowhere", func() (notifications.State, error) {
			return w.inboxes.SetPreferences(t.Context(), ann, notifications.Preferences{QuietHours: night("Nowhere/City")}, 0)
		}, `quietHours.zone: want a time zone such as "Europe/Berlin", got "Nowhere/City"`},
	} {
		_, err := test.call()
		wrong, is := errors.AsType[*notifications.InvalidError](err)
		if !is || wrong.Field+": "+wrong.Reason != test.want {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := w.inboxes.Mute(t.Context(), ann, notifications.Mute{Type: "7", Until: now.Add(time.Hour)}); err != nil {
		t.Errorf("another end for one of 200: %v", err)
	}
	if got := len(w.changes(t, "ann")); got != 2 {
		t.Errorf("got %d changes, want 2", got)
	}
}

// The document that earlier states share is left alone.
func TestMutingLeavesEarlierStatesAlone(t *testing.T) {
	w := newWorld()
	ann := w.as("ann")
	var made []notifications.State
	var texts []string
	for i := range 8 {
		m := notifications.Mute{Type: strconv.Itoa(i % 5), Until: now.Add(time.Duration(i+1) * time.Hour)}
		s, err := w.inboxes.Mute(t.Context(), ann, m)
		if err == nil && i%3 == 2 {
			s, err = w.inboxes.Unmute(t.Context(), ann, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		made, texts = append(made, s), append(texts, fmt.Sprintf("%+v", s))
	}
	for i, s := range made {
		if got := fmt.Sprintf("%+v", s); got != texts[i] {
			t.Errorf("the state after %d was changed: got %s, want %s", i, got, texts[i])
		}
	}
}
