package notifications_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tidings/notifications"
)

// changed is a change of ann in its place.
func changed(v notifications.Version, c notifications.Change) notifications.Changed {
	return notifications.Changed{Hub: hub, User: "ann", Version: v, Change: c}
}

// fold is the state after changes, which get the versions 1, 2, 3 and so on.
func fold(changes ...notifications.Change) notifications.State {
	var s notifications.State
	for i, c := range changes {
		s = s.Apply(changed(notifications.Version(i+1), c))
	}
	return s
}

// universe is the last position of the histories of the tests.
const universe = 40

// flags are what was done to one notification, one by one.
type flags struct{ seen, read, archived bool }

func (f flags) status() notifications.Status {
	switch {
	case f.archived:
		return notifications.Archived
	case f.read:
		return notifications.WasRead
	case f.seen:
		return notifications.Seen
	}
	return notifications.Unseen
}

// naive is a state that keeps a flag for everything, by what the comments of the
// kinds of changes say.
type naive struct {
	version     notifications.Version
	epoch       uint64
	at          [universe + 1]flags
	groups      map[string]notifications.Term
	roles       map[string]notifications.Position
	revoked     map[string]time.Time
	preferences notifications.Preferences
	preferred   notifications.Version
}

func newNaive() *naive {
	return &naive{groups: map[string]notifications.Term{}, roles: map[string]notifications.Position{}, revoked: map[string]time.Time{}}
}

func (n *naive) apply(c notifications.Changed) {
	if c.Version <= n.version {
		return
	}
	n.version = c.Version
	if c.Change.Epoch != 0 && c.Change.Epoch != n.epoch {
		n.enter(c.Change.Epoch)
	}
	for p := range n.at {
		n.at[p].apply(notifications.Position(p), c.Change)
	}
	n.applyRest(c)
}

// enter begins anew with another log.
func (n *naive) enter(epoch uint64) {
	n.at = [universe + 1]flags{}
	if n.epoch != 0 {
		for name, term := range n.groups {
			term.Since = 0
			n.groups[name] = term
		}
		for name := range n.roles {
			n.roles[name] = 0
		}
	}
	n.epoch = epoch
}

// apply does to the notification at p what a change does to it.
func (f *flags) apply(p notifications.Position, c notifications.Change) {
	marked := slices.Contains(c.Positions, p)
	switch {
	case c.Kind == notifications.ChangeSeen && marked, c.Kind == notifications.ChangeAllSeen && p <= c.UpTo:
		f.seen = true
	case c.Kind == notifications.ChangeRead && marked, c.Kind == notifications.ChangeAllRead && p <= c.UpTo:
		f.read, f.seen = true, true
	case c.Kind == notifications.ChangeUnread && marked:
		f.read, f.seen, f.archived = false, true, false
	case c.Kind == notifications.ChangeArchived && marked:
		f.archived = true
	case c.Kind == notifications.ChangeUnarchived && marked:
		f.archived = false
	}
}

// applyRest does what is not about single notifications.
func (n *naive) applyRest(c notifications.Changed) {
	switch c.Change.Kind {
	case notifications.ChangePreferences:
		n.preferences, n.preferred = notifications.Preferences{}, c.Version
		if c.Change.Preferences != nil {
			n.preferences = *c.Change.Preferences
		}
	case notifications.ChangeJoined:
		n.groups[c.Change.Group] = notifications.Term{Since: c.Change.Since, Until: c.Change.Until}
	case notifications.ChangeLeft:
		delete(n.groups, c.Change.Group)
	case notifications.ChangeRoles:
		for _, role := range c.Change.Roles {
			n.roles[role] = c.Change.Since
		}
	case notifications.ChangeRevoked:
		for _, role := range c.Change.Roles {
			delete(n.roles, role)
			if n.revoked[role].Before(c.Change.At) {
				n.revoked[role] = c.Change.At
			}
		}
	default: // about single notifications, or not known
	}
}

// compare fails the test unless a state says what the model does.
func (n *naive) compare(t *rapid.T, s *notifications.State) {
	t.Helper()
	for p := notifications.Position(1); p <= universe; p++ {
		if got, want := s.Status(p), n.at[p].status(); got != want {
			t.Fatalf("status of %d: got %s, want %s, in %s", p, got, want, text(t, s))
		}
	}
	for name, set := range map[string]notifications.Positions{"seen": s.Seen, "read": s.Read, "unread": s.Unread, "archived": s.Archived} {
		if !isSet(set) {
			t.Fatalf("%s: %v do not ascend", name, set)
		}
	}
	compact(t, s)
	want := notifications.State{
		Version: n.version, Epoch: n.epoch, Groups: n.groups, Roles: n.roles, Revoked: n.revoked,
		Preferences: n.preferences, PreferencesVersion: n.preferred,
	}
	marks := cmpopts.IgnoreFields(notifications.State{}, "SeenUpTo", "ReadUpTo", "Seen", "Read", "Unread", "Archived")
	if diff := cmp.Diff(want, *s, marks, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("state (-want +got):\n%s", diff)
	}
}

// compact fails the test if a state keeps more than it needs: what one of its
// bounds says is not among its marks.
func compact(t *rapid.T, s *notifications.State) {
	t.Helper()
	if s.ReadUpTo > s.SeenUpTo {
		t.Fatalf("read up to %d and seen up to %d", s.ReadUpTo, s.SeenUpTo)
	}
	if len(s.Seen) > 0 && s.Seen[0] <= s.SeenUpTo || len(s.Read) > 0 && s.Read[0] <= s.ReadUpTo {
		t.Fatalf("marks before what all is seen or read up to: %s", text(t, s))
	}
	if n := len(s.Unread); n > 0 && s.Unread[n-1] > s.ReadUpTo {
		t.Fatalf("marks of what was not read: %s", text(t, s))
	}
}

// text is the JSON of a state or a change, which always has one.
func text(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, v any,
) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	return string(b)
}

// drawChange is any change; position 0 and those beyond the universe are in it.
func drawChange(t *rapid.T) notifications.Change {
	position := rapid.Custom(func(t *rapid.T) notifications.Position {
		return notifications.Position(rapid.IntRange(0, universe+2).Draw(t, "position"))
	})
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "minute")) * time.Minute)
	})
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	return notifications.Change{
		Kind: rapid.SampledFrom([]notifications.ChangeKind{
			notifications.ChangeSeen, notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived,
			notifications.ChangeAllSeen, notifications.ChangeAllRead, notifications.ChangePreferences, notifications.ChangeJoined, notifications.ChangeLeft,
			notifications.ChangeRoles, notifications.ChangeRevoked, "invented later",
		}).Draw(t, "kind"),
		Epoch:       rapid.SampledFrom([]uint64{0, 7, 7, 7, 7, 7, 7, 7, 7, 8}).Draw(t, "epoch"),
		Positions:   notifications.NewPositions(rapid.SliceOfN(position, 0, 6).Draw(t, "positions")...),
		UpTo:        position.Draw(t, "up to"),
		Group:       name.Draw(t, "group"),
		Since:       position.Draw(t, "since"),
		Until:       rapid.OneOf(rapid.Just(time.Time{}), moment).Draw(t, "until"),
		Roles:       rapid.SliceOfN(name, 0, 3).Draw(t, "roles"),
		Preferences: rapid.SampledFrom([]*notifications.Preferences{nil, {Mutes: []notifications.Mute{{Type: "order.*"}}}, {QuietHours: night("UTC")}}).Draw(t, "preferences"),
		At:          moment.Draw(t, "at"),
	}
}

// reread puts into a value what JSON makes of it.
func reread[V any](t *rapid.T, v *V) {
	t.Helper()
	var got V
	if err := json.Unmarshal([]byte(text(t, *v)), &got); err != nil {
		t.Fatalf("%s: %v", text(t, *v), err)
	}
	*v = got
}

// A state says what a model does that keeps everything one by one, whatever
// happened before, and also when it and the changes were stored in between. No
// state that was ever made changes afterwards.
func TestStateIsWhatWasDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type made struct {
			state notifications.State
			text  string
		}
		var s, stored notifications.State
		history, model := []made{{s, text(t, s)}}, newNaive()
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			c := changed(s.Version+notifications.Version(rapid.IntRange(-2, 3).Draw(t, "version")), drawChange(t))
			if s.Version < 2 {
				c.Version = s.Version + 1
			}
			before, old := text(t, c.Change), s.Version
			model.apply(c)
			s = s.Apply(c)
			model.compare(t, &s)

			storedChange := c
			reread(t, &storedChange.Change)
			reread(t, &stored)
			stored = stored.Apply(storedChange)
			model.compare(t, &stored)

			if got := text(t, c.Change); got != before {
				t.Fatalf("the change was changed: got %s, want %s", got, before)
			}
			if last := history[len(history)-1].text; c.Version <= old && text(t, s) != last {
				t.Fatalf("version %d after %d: got %s, want %s", c.Version, old, text(t, s), last)
			}
			history = append(history, made{s, text(t, s)})
		}
		for i, m := range history {
			if got := text(t, m.state); got != m.text {
				t.Fatalf("the state after %d changes was changed: got %s, want %s", i, got, m.text)
			}
		}
	})
}

// What the log no longer holds leaves the state smaller and nothing else as it
// was not.
func TestTrimmedStateSaysTheSameOfWhatIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole notifications.State
		trimmed, first := whole, notifications.Position(0)
		for v := range notifications.Version(rapid.IntRange(1, 40).Draw(t, "changes")) {
			c := changed(v+1, drawChange(t))
			c.Change.Epoch = 7
			whole, trimmed = whole.Apply(c), trimmed.Apply(c)
			before := text(t, trimmed)
			first = max(first, notifications.Position(rapid.IntRange(0, universe).Draw(t, "first")))
			smaller := trimmed.Trim(first)
			if got := text(t, trimmed); got != before {
				t.Fatalf("trimming to %d changed the state: got %s, want %s", first, got, before)
			}
			trimmed = smaller
			for p := max(first, 1); p <= universe; p++ {
				if got, want := trimmed.Status(p), whole.Status(p); got != want {
					t.Fatalf("status of %d, trimmed to %d: got %s, want %s", p, first, got, want)
				}
			}
			for _, set := range []notifications.Positions{trimmed.Seen, trimmed.Read, trimmed.Unread, trimmed.Archived} {
				if !isSet(set) || len(set) > 0 && set[0] < first {
					t.Fatalf("trimmed to %d: %v", first, set)
				}
			}
		}
	})
}

func TestStatusOfANotification(t *testing.T) {
	type set = notifications.Positions
	const (
		seen, read, unread      = notifications.ChangeSeen, notifications.ChangeRead, notifications.ChangeUnread
		archived, unarchived    = notifications.ChangeArchived, notifications.ChangeUnarchived
		allSeen, allRead, later = notifications.ChangeAllSeen, notifications.ChangeAllRead, notifications.ChangeKind("invented later")
	)
	five := set{5}
	for _, test := range []struct {
		name    string
		changes []notifications.Change
		want    notifications.Status // of 5
	}{
		{"nothing", nil, notifications.Unseen},
		{"seen", []notifications.Change{{Kind: seen, Positions: five}}, notifications.Seen},
		{"another one seen", []notifications.Change{{Kind: seen, Positions: set{4, 6}}}, notifications.Unseen},
		{"read", []notifications.Change{{Kind: read, Positions: five}}, notifications.WasRead},
		{"read and seen", []notifications.Change{{Kind: read, Positions: five}, {Kind: seen, Positions: five}}, notifications.WasRead},
		{"unread without having been read", []notifications.Change{{Kind: unread, Positions: five}}, notifications.Seen},
		{"read and unread", []notifications.Change{{Kind: read, Positions: five}, {Kind: unread, Positions: five}}, notifications.Seen},
		{"archived", []notifications.Change{{Kind: archived, Positions: five}}, notifications.Archived},
		{"archived and back", []notifications.Change{{Kind: archived, Positions: five}, {Kind: unarchived, Positions: five}}, notifications.Unseen},
		{"read, archived and back", []notifications.Change{{Kind: read, Positions: five}, {Kind: archived, Positions: five}, {Kind: unarchived, Positions: five}}, notifications.WasRead},
		{"archived and read", []notifications.Change{{Kind: archived, Positions: five}, {Kind: read, Positions: five}}, notifications.Archived},
		{"archived and unread", []notifications.Change{{Kind: archived, Positions: five}, {Kind: unread, Positions: five}}, notifications.Seen},
		{"archived and all read", []notifications.Change{{Kind: archived, Positions: five}, {Kind: allRead, UpTo: 9}}, notifications.Archived},
		{"all seen", []notifications.Change{{Kind: allSeen, UpTo: 5}}, notifications.Seen},
		{"all before seen", []notifications.Change{{Kind: allSeen, UpTo: 4}}, notifications.Unseen},
		{"all read", []notifications.Change{{Kind: allRead, UpTo: 5}}, notifications.WasRead},
		{"all before read", []notifications.Change{{Kind: allRead, UpTo: 4}}, notifications.Unseen},
		{"all read, less later", []notifications.Change{{Kind: allRead, UpTo: 9}, {Kind: allRead, UpTo: 3}}, notifications.WasRead},
		{"all read, unread", []notifications.Change{{Kind: allRead, UpTo: 9}, {Kind: unread, Positions: five}}, notifications.Seen},
		{"all read, unread, less read later", []notifications.Change{{Kind: allRead, UpTo: 9}, {Kind: unread, Positions: five}, {Kind: allRead, UpTo: 4}}, notifications.Seen},
		{"all read, unread, all read again", []notifications.Change{{Kind: allRead, UpTo: 9}, {Kind: unread, Positions: five}, {Kind: allRead, UpTo: 5}}, notifications.WasRead},
		{"all read, unread, read", []notifications.Change{{Kind: allRead, UpTo: 9}, {Kind: unread, Positions: five}, {Kind: read, Positions: five}}, notifications.WasRead},
		{"unread, all read later", []notifications.Change{{Kind: unread, Positions: five}, {Kind: allRead, UpTo: 9}}, notifications.WasRead},
		{"read in another log", []notifications.Change{{Kind: read, Positions: five, Epoch: 1}, {Kind: seen, Positions: set{6}, Epoch: 2}}, notifications.Unseen},
		{"read in this log", []notifications.Change{{Kind: read, Positions: five, Epoch: 1}, {Kind: seen, Positions: set{6}, Epoch: 1}}, notifications.WasRead},
		{"read before epochs were known", []notifications.Change{{Kind: read, Positions: five}, {Kind: seen, Positions: set{6}, Epoch: 1}}, notifications.Unseen},
		{"a kind that is not known", []notifications.Change{{Kind: read, Positions: five}, {Kind: later, Positions: five, UpTo: 9}}, notifications.WasRead},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fold(test.changes...)
			if got := s.Status(5); got != test.want {
				t.Errorf("status of 5 in %s: got %s, want %s", text(t, s), got, test.want)
			}
		})
	}
}

func TestMembershipsAreKept(t *testing.T) {
	const joined, left, came, revoked = notifications.ChangeJoined, notifications.ChangeLeft, notifications.ChangeRoles, notifications.ChangeRevoked
	hour := now.Add(time.Hour)
	for _, test := range []struct {
		name    string
		changes []notifications.Change
		want    notifications.State
	}{
		{"joined", []notifications.Change{{Kind: joined, Group: "ops", Since: 5}}, notifications.State{
			Version: 1, Groups: map[string]notifications.Term{"ops": {Since: 5}},
		}},
		{"joined two", []notifications.Change{{Kind: joined, Group: "ops", Since: 5}, {Kind: joined, Group: "dev", Until: hour}}, notifications.State{
			Version: 2, Groups: map[string]notifications.Term{"ops": {Since: 5}, "dev": {Until: hour}},
		}},
		{"joined anew", []notifications.Change{{Kind: joined, Group: "ops", Since: 5, Until: hour}, {Kind: joined, Group: "ops", Since: 6}}, notifications.State{
			Version: 2, Groups: map[string]notifications.Term{"ops": {Since: 6}},
		}},
		{"left", []notifications.Change{{Kind: joined, Group: "ops"}, {Kind: joined, Group: "dev"}, {Kind: left, Group: "ops"}}, notifications.State{
			Version: 3, Groups: map[string]notifications.Term{"dev": {}},
		}},
		{"left without having joined", []notifications.Change{{Kind: left, Group: "ops"}}, notifications.State{Version: 1}},
		{"came with roles", []notifications.Change{{Kind: came, Roles: []string{"admin", "ops"}, Since: 5}, {Kind: came, Roles: []string{"dev"}, Since: 6}}, notifications.State{
			Version: 2, Roles: map[string]notifications.Position{"admin": 5, "ops": 5, "dev": 6},
		}},
		{"revoked", []notifications.Change{{Kind: revoked, Roles: []string{"admin", "ops"}, At: now}, {Kind: revoked, Roles: []string{"ops"}, At: hour}}, notifications.State{
			Version: 2, Revoked: map[string]time.Time{"admin": now, "ops": hour},
		}},
		{"revoked again by a clock that is late", []notifications.Change{{Kind: revoked, Roles: []string{"ops"}, At: hour}, {Kind: revoked, Roles: []string{"ops"}, At: now}}, notifications.State{
			Version: 2, Revoked: map[string]time.Time{"ops": hour},
		}},
		{
			"another log",
			[]notifications.Change{
				{Kind: joined, Group: "ops", Since: 5, Until: hour, Epoch: 1},
				{Kind: came, Roles: []string{"admin"}, Since: 6, Epoch: 1},
				{Kind: revoked, Roles: []string{"admin"}, At: now, Epoch: 1},
				{Kind: notifications.ChangePreferences, Preferences: &notifications.Preferences{QuietHours: night("UTC")}, Epoch: 1},
				{Kind: came, Roles: []string{"dev"}, Since: 3, Epoch: 2},
			},
			notifications.State{
				Version: 5, Epoch: 2, PreferencesVersion: 4, Preferences: notifications.Preferences{QuietHours: night("UTC")},
				Groups:  map[string]notifications.Term{"ops": {Until: hour}},
				Roles:   map[string]notifications.Position{"dev": 3},
				Revoked: map[string]time.Time{"admin": now},
			},
		},
		{"preferences taken back", []notifications.Change{
			{Kind: notifications.ChangePreferences, Preferences: &notifications.Preferences{QuietHours: night("UTC")}}, {Kind: notifications.ChangePreferences},
		}, notifications.State{Version: 2, PreferencesVersion: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, fold(test.changes...), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRevokedRolesAreTakenFromOlderTokens(t *testing.T) {
	s := notifications.State{Revoked: map[string]time.Time{"admin": now, "ops": now.Add(time.Hour)}}
	for _, test := range []struct {
		name   string
		state  notifications.State
		issued time.Time
		want   []string
	}{
		{"nothing revoked", notifications.State{}, now.Add(-time.Hour), []string{"ops", "admin", "dev"}},
		{"before both", s, now.Add(-time.Second), []string{"dev"}},
		{"at the moment of one", s, now, []string{"dev"}},
		{"after one", s, now.Add(time.Millisecond), []string{"admin", "dev"}},
		{"at the moment of the other", s, now.Add(time.Hour), []string{"admin", "dev"}},
		{"after both", s, now.Add(time.Hour + time.Second), []string{"ops", "admin", "dev"}},
		{"at no known time", s, time.Time{}, []string{"dev"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := []string{"ops", "admin", "dev"}
			if diff := cmp.Diff(test.want, test.state.Effective(token, test.issued)); diff != "" {
				t.Errorf("roles of a token issued at %v (-want +got):\n%s", test.issued, diff)
			}
			if diff := cmp.Diff([]string{"ops", "admin", "dev"}, token); diff != "" {
				t.Errorf("the roles of the token were changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMembershipsSayWhatAUserMayRead(t *testing.T) {
	s := notifications.State{
		Groups: map[string]notifications.Term{"ops": {Since: 5}, "dev": {Since: 7, Until: now}, "g/1 x": {Until: now.Add(time.Millisecond)}},
		Roles:  map[string]notifications.Position{"admin": 9, "gone": 3},
	}
	type all = []notifications.Membership
	everyone := notifications.Membership{Recipient: notifications.ToEveryone()}
	for _, test := range []struct {
		name  string
		state notifications.State
		user  string
		roles []string
		at    time.Time
		want  all
	}{
		{"nobody", notifications.State{}, "", nil, now, all{everyone}},
		{"a user", notifications.State{}, "ann", nil, now, all{everyone, {Recipient: notifications.ToUser("ann")}}},
		{"roles, known and new", s, "", []string{"new", "admin"}, now.Add(time.Hour), all{
			everyone, {Recipient: notifications.ToRole("new")}, {Recipient: notifications.ToRole("admin"), Since: 9}, {Recipient: notifications.ToGroup("ops"), Since: 5},
		}},
		{"groups before they end", s, "ann", nil, now.Add(-time.Millisecond), all{
			everyone,
			{Recipient: notifications.ToUser("ann")},
			{Recipient: notifications.ToGroup("dev"), Since: 7},
			{Recipient: notifications.ToGroup("g/1 x")},
			{Recipient: notifications.ToGroup("ops"), Since: 5},
		}},
		{"a group at its end", s, "", nil, now, all{everyone, {Recipient: notifications.ToGroup("g/1 x")}, {Recipient: notifications.ToGroup("ops"), Since: 5}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.state.Memberships(test.user, test.roles, test.at)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(notifications.Membership{})); diff != "" {
				t.Errorf("memberships of %q with %v at %v (-want +got):\n%s", test.user, test.roles, test.at, diff)
			}
		})
	}
}

func TestTermEnds(t *testing.T) {
	for _, test := range []struct {
		name  string
		until time.Time
		want  bool
	}{
		{"never", time.Time{}, false},
		{"later", now.Add(time.Millisecond), false},
		{"now", now, true},
		{"before", now.Add(-time.Millisecond), true},
	} {
		if got := (notifications.Term{Until: test.until}).Over(now); got != test.want {
			t.Errorf("%s: a term until %v is over at %v: got %v, want %v", test.name, test.until, now, got, test.want)
		}
	}
}

func TestStateIsTrimmedToWhatTheLogHolds(t *testing.T) {
	type set = notifications.Positions
	whole := notifications.State{
		Version: 9, Epoch: 7, SeenUpTo: 4, ReadUpTo: 4, Seen: set{5, 7}, Read: set{5}, Unread: set{2, 4}, Archived: set{1, 6},
		Groups: map[string]notifications.Term{"ops": {Since: 2}}, Roles: map[string]notifications.Position{"admin": 3},
	}
	for _, test := range []struct {
		first                        notifications.Position
		seen, read, unread, archived set
	}{
		{0, set{5, 7}, set{5}, set{2, 4}, set{1, 6}},
		{1, set{5, 7}, set{5}, set{2, 4}, set{1, 6}},
		{2, set{5, 7}, set{5}, set{2, 4}, set{6}},
		{5, set{5, 7}, set{5}, nil, set{6}},
		{7, set{7}, nil, nil, nil},
		{8, nil, nil, nil, nil},
		{1<<64 - 1, nil, nil, nil, nil},
	} {
		t.Run(fmt.Sprint(test.first), func(t *testing.T) {
			want := whole
			want.Seen, want.Read, want.Unread, want.Archived = test.seen, test.read, test.unread, test.archived
			if diff := cmp.Diff(want, whole.Trim(test.first), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("trimmed to %d (-want +got):\n%s", test.first, diff)
			}
		})
	}
}

func TestStateInAnotherLog(t *testing.T) {
	type set = notifications.Positions
	state := func(epoch uint64) notifications.State {
		return notifications.State{
			Version: 9, Epoch: epoch, SeenUpTo: 4, ReadUpTo: 3, Seen: set{5}, Read: set{5}, Unread: set{2}, Archived: set{1},
			Groups:      map[string]notifications.Term{"ops": {Since: 2}, "dev": {Since: 3, Until: now}},
			Roles:       map[string]notifications.Position{"admin": 3},
			Revoked:     map[string]time.Time{"dev": now},
			Preferences: notifications.Preferences{QuietHours: night("UTC")}, PreferencesVersion: 8,
		}
	}
	unmarked := func(epoch uint64) notifications.State {
		s := state(epoch)
		s.SeenUpTo, s.ReadUpTo, s.Seen, s.Read, s.Unread, s.Archived = 0, 0, nil, nil, nil, nil
		return s
	}
	anew := unmarked(8)
	anew.Groups = map[string]notifications.Term{"ops": {}, "dev": {Until: now}}
	anew.Roles = map[string]notifications.Position{"admin": 0}
	for _, test := range []struct {
		name     string
		from, to uint64
		want     notifications.State
	}{
		{"the same", 7, 7, state(7)},
		{"another", 7, 8, anew},
		{"the first that is known", 0, 8, unmarked(8)},
		{"none to none", 0, 0, state(0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := state(test.from)
			after := before.In(test.to)
			if diff := cmp.Diff(test.want, after); diff != "" {
				t.Errorf("from %d to %d (-want +got):\n%s", test.from, test.to, diff)
			}
			if diff := cmp.Diff(state(test.from), before); diff != "" {
				t.Errorf("from %d to %d changed the state (-want +got):\n%s", test.from, test.to, diff)
			}
		})
	}
}

// The names are stored: they never change.
func TestStoredFormOfAState(t *testing.T) {
	var zero notifications.State
	if got := text(t, zero); got != `{}` {
		t.Errorf("zero state: got %s, want {}", got)
	}
	s := notifications.State{
		Version: 9, Epoch: 7, SeenUpTo: 4, ReadUpTo: 3, Seen: notifications.Positions{5, 1<<64 - 1}, Read: notifications.Positions{5},
		Unread: notifications.Positions{2}, Archived: notifications.Positions{1}, Groups: map[string]notifications.Term{"g/1 x": {Since: 2, Until: now}},
		Roles: map[string]notifications.Position{"admin": 3}, Revoked: map[string]time.Time{"dev": now},
		Preferences: notifications.Preferences{
			Mutes: []notifications.Mute{{Type: "order.*", Until: now}, {Group: "ops"}}, QuietHours: night("Europe/Berlin", "mon"),
		},
		PreferencesVersion: 8,
	}
	want := `{"version":9,"epoch":7,"seenUpTo":4,"readUpTo":3,"seen":[5,18446744073709551615],"read":[5],"unread":[2],"archived":[1],` +
		`"groups":{"g/1 x":{"since":2,"until":"2026-01-02T15:04:05.678Z"}},"roles":{"admin":3},"revoked":{"dev":"2026-01-02T15:04:05.678Z"},` +
		`"preferences":{"mutes":[{"type":"order.*","until":"2026-01-02T15:04:05.678Z"},{"group":"ops"}],` +
		`"quietHours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin","days":["mon"]}},"preferencesVersion":8}`
	if diff := cmp.Diff(want, text(t, s)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	var got notifications.State
	if err := json.Unmarshal([]byte(want), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Errorf("state, read (-want +got):\n%s", diff)
	}
}

func TestStoredFormOfAChange(t *testing.T) {
	for want, c := range map[string]notifications.Change{
		`{"kind":"read","epoch":7,"positions":[2,5],"device":"phone","at":"2026-01-02T15:04:05.678Z"}`: {
			Kind: notifications.ChangeRead, Epoch: 7, Positions: notifications.Positions{2, 5}, Device: "phone", At: now,
		},
		`{"kind":"allSeen","epoch":7,"upTo":5,"at":"2026-01-02T15:04:05.678Z"}`: {Kind: notifications.ChangeAllSeen, Epoch: 7, UpTo: 5, At: now},
		`{"kind":"joined","epoch":7,"group":"ops","since":5,"until":"2026-01-02T16:04:05.678Z","by":"root","at":"2026-01-02T15:04:05.678Z"}`: {
			Kind: notifications.ChangeJoined, Epoch: 7, Group: "ops", Since: 5, Until: now.Add(time.Hour), By: "root", At: now,
		},
		`{"kind":"revoked","roles":["admin"],"at":"2026-01-02T15:04:05.678Z"}`: {Kind: notifications.ChangeRevoked, Roles: []string{"admin"}, At: now},
		`{"kind":"preferences","preferences":{"mutes":[{"type":"*"}]},"at":"2026-01-02T15:04:05.678Z"}`: {
			Kind: notifications.ChangePreferences, Preferences: &notifications.Preferences{Mutes: []notifications.Mute{{Type: "*"}}}, At: now,
		},
	} {
		if diff := cmp.Diff(want, text(t, c)); diff != "" {
			t.Errorf("change (-want +got):\n%s", diff)
		}
		var got notifications.Change
		if err := json.Unmarshal([]byte(want), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Errorf("change, read (-want +got):\n%s", diff)
		}
	}
}

func TestKindsOfChangesAreThoseStored(t *testing.T) {
	got := []notifications.ChangeKind{
		notifications.ChangeSeen, notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived,
		notifications.ChangeAllSeen, notifications.ChangeAllRead, notifications.ChangePreferences, notifications.ChangeJoined, notifications.ChangeLeft,
		notifications.ChangeRoles, notifications.ChangeRevoked,
	}
	want := []notifications.ChangeKind{"seen", "read", "unread", "archived", "unarchived", "allSeen", "allRead", "preferences", "joined", "left", "roles", "revoked"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// States are shared: the maps of one are not those of the next.
func TestNextStateHasMapsOfItsOwn(t *testing.T) {
	before := fold(
		notifications.Change{Kind: notifications.ChangeJoined, Group: "ops", Since: 1},
		notifications.Change{Kind: notifications.ChangeRoles, Roles: []string{"admin"}, Since: 1},
		notifications.Change{Kind: notifications.ChangeRevoked, Roles: []string{"admin"}, At: now},
	)
	groups, known, revoked := maps.Clone(before.Groups), maps.Clone(before.Roles), maps.Clone(before.Revoked)
	for i, c := range []notifications.Change{
		{Kind: notifications.ChangeJoined, Group: "dev"},
		{Kind: notifications.ChangeLeft, Group: "ops"},
		{Kind: notifications.ChangeRoles, Roles: []string{"admin", "dev"}, Since: 9},
		{Kind: notifications.ChangeRevoked, Roles: []string{"admin", "dev"}, At: now.Add(time.Hour)},
		{Kind: notifications.ChangeSeen, Epoch: 8},
	} {
		before.Apply(changed(notifications.Version(4+i), c))
		if !maps.Equal(before.Groups, groups) || !maps.Equal(before.Roles, known) || !maps.Equal(before.Revoked, revoked) {
			t.Fatalf("%s changed the state before it: %s", c.Kind, text(t, before))
		}
	}
}

// crowded is a state with n marks of each kind: every other position.
func crowded(n int) notifications.State {
	marks := make(notifications.Positions, n)
	for i := range marks {
		marks[i] = notifications.Position(2 * (i + 1))
	}
	return notifications.State{Version: 1, Epoch: 7, Seen: marks, Read: marks, Archived: marks}
}

func BenchmarkApplyRead(b *testing.B) {
	const marks = 10_000
	for name, p := range map[string]notifications.Position{"last": 2*marks + 1, "middle": marks + 1, "first": 1} {
		b.Run(name, func(b *testing.B) {
			before := crowded(marks)
			c := changed(2, notifications.Change{Kind: notifications.ChangeRead, Epoch: 7, Positions: notifications.Positions{p}})
			b.ReportAllocs()
			for b.Loop() {
				if after := before.Apply(c); len(after.Read) != marks+1 {
					b.Fatal(len(after.Read))
				}
			}
		})
	}
}
