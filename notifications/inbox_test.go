package notifications_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tidings/notifications"
	"tidings/roles"
)

// model is the inbox of ann in a world, as the comments of State and of
// Brief.Shown say it: everything one by one, and nothing kept that can be found
// out.
type model struct {
	w     *world
	marks *naive
	// upTo is up to where everything was marked read.
	upTo    notifications.Position
	entries []*notifications.Entry
}

func (m *model) apply(c notifications.Changed) {
	m.marks.apply(c)
	if c.Change.Kind == notifications.ChangeAllRead {
		m.upTo = max(m.upTo, c.Change.UpTo)
	}
}

// item is a notification in the inbox of the model.
type item struct {
	position notifications.Position
	status   notifications.Status
	event    *notifications.Event
}

// inbox is what ann has with those roles, newest first.
func (m *model) inbox(held []string) []item {
	var all []item
	for _, e := range slices.Backward(m.entries) {
		if m.belongs(e, held) && m.shown(e) {
			all = append(all, item{e.Position, m.marks.at[e.Position].status(), &e.Event})
		}
	}
	return all
}

// belongs tells whether an entry is one for ann.
func (m *model) belongs(e *notifications.Entry, held []string) bool {
	var since notifications.Position
	switch to := e.Event.Recipient; to.Kind {
	case notifications.User:
		return e.Hub == hub && to.Key == "ann"
	case notifications.Role:
		if !slices.Contains(held, to.Key) {
			return false
		}
		since = m.marks.roles[to.Key]
	case notifications.Group:
		term, member := m.marks.groups[to.Key]
		if !member || !term.Until.IsZero() && !m.w.clock.Before(term.Until) {
			return false
		}
		since = term.Since
	default:
	}
	return e.Hub == hub && (e.Position > since || e.Event.MembersAt == notifications.Read)
}

func (m *model) shown(e *notifications.Entry) bool {
	if e.Event.Recalls != "" || !e.Event.ExpiresAt.IsZero() && !m.w.clock.Before(e.Event.ExpiresAt) {
		return false
	}
	var replaced notifications.Position
	for _, later := range m.entries[e.Position:] {
		same := later.Hub == e.Hub && later.Event.Recipient == e.Event.Recipient
		switch {
		case same && later.Event.Recalls == e.Event.ID:
			return false
		case same && later.Event.Recalls == "" && later.Event.CollapseKey == e.Event.CollapseKey && e.Event.CollapseKey != "" && replaced == 0:
			replaced = later.Position
		}
	}
	flags := m.marks.at[e.Position]
	return replaced == 0 || flags.archived || flags.read && m.upTo < replaced
}

// counts of what is in an inbox.
func counts(all []item) notifications.Counts {
	var c notifications.Counts
	for _, i := range all {
		one := map[notifications.Severity]*notifications.Tally{
			notifications.Info: &c.Severities.Info, notifications.Success: &c.Severities.Success,
			notifications.Warning: &c.Severities.Warning, notifications.Critical: &c.Severities.Critical,
		}[i.event.Severity]
		switch i.status {
		case notifications.Unseen:
			c.Unseen, one.Unseen = c.Unseen+1, one.Unseen+1
			fallthrough
		case notifications.Seen:
			c.Unread, one.Unread = c.Unread+1, one.Unread+1
		default: // counts as neither
		}
	}
	return c
}

// watched is an inbox that is kept up to date as actors do it.
type watched struct {
	*model

	token  roles.Principal
	inbox  notifications.Inbox
	groups int // durable memberships in force when it was counted
}

func (w *watched) asker() notifications.Asker {
	return notifications.Asker{Principal: w.token, Hub: hub, Device: "phone"}
}

// held are the roles of the token that are in force.
func (w *watched) held() []string {
	return slices.DeleteFunc(slices.Clone(w.token.Roles), func(role string) bool {
		at, revoked := w.marks.revoked[role]
		return revoked && !w.token.IssuedAt.After(at)
	})
}

func (w *watched) recount(t *rapid.T) {
	s := w.w.state(t)
	memberships := s.Memberships("ann", s.Effective(w.token.Roles, w.token.IssuedAt), w.w.clock)
	w.inbox = notifications.Recount(w.w.log, hub, memberships, &s, w.w.clock)
	w.groups = len(memberships)
}

// arrive hands on an entry that is for ann, twice.
func (w *watched) arrive(t *rapid.T, e *notifications.Entry) {
	if !w.belongs(e, w.held()) {
		return
	}
	s := w.w.state(t)
	for range 2 {
		if !w.inbox.Arrive(e, &s, w.w.clock) {
			w.recount(t)
		}
	}
}

// remind is called when time has passed.
func (w *watched) remind(t *rapid.T) {
	s := w.w.state(t)
	if len(s.Memberships("ann", s.Effective(w.token.Roles, w.token.IssuedAt), w.w.clock)) != w.groups {
		w.recount(t) // a membership has ended
	}
	if at := w.inbox.Expires; !at.IsZero() && !w.w.clock.Before(at) {
		w.recount(t)
	}
}

func newWatched(t *rapid.T) *watched {
	w := newWorld()
	all := &watched{model: &model{w: w, marks: newNaive()}, token: roles.Principal{UserID: "ann", IssuedAt: w.clock}}
	w.states.Deliver = func(c notifications.Changed) {
		if c.User == "ann" && c.Hub == hub {
			all.apply(c)
		}
	}
	all.recount(t)
	return all
}

func drawRecipient(t *rapid.T) notifications.Recipient {
	return rapid.SampledFrom([]notifications.Recipient{
		notifications.ToUser("ann"), notifications.ToUser("ann"), notifications.ToUser("bob"), notifications.ToEveryone(),
		notifications.ToRole("ops"), notifications.ToRole("dev"), notifications.ToGroup("g"), notifications.ToGroup("h"),
	}).Draw(t, "recipient")
}

func drawEvent(t *rapid.T, at time.Time) notifications.Event {
	e := notifications.Event{
		Recipient:   drawRecipient(t),
		Type:        rapid.SampledFrom([]string{"order.shipped", "order.late", "alert"}).Draw(t, "type"),
		Severity:    rapid.SampledFrom([]notifications.Severity{notifications.Info, notifications.Success, notifications.Warning, notifications.Critical}).Draw(t, "severity"),
		CollapseKey: rapid.SampledFrom([]string{"", "", "k", "l"}).Draw(t, "key"),
		MembersAt:   rapid.SampledFrom([]notifications.MembersAt{notifications.Emit, notifications.Emit, notifications.Read}).Draw(t, "membersAt"),
	}
	if minutes := rapid.IntRange(-4, 4).Draw(t, "ttl"); minutes > 0 {
		e.ExpiresAt = at.Add(time.Duration(minutes) * time.Minute)
	}
	return e
}

// emit stores any event, or a recall of one.
func (w *watched) emit(t *rapid.T) {
	if len(w.entries) == universe {
		t.Skip("no room")
	}
	e := drawEvent(t, w.w.clock)
	if len(w.entries) > 0 && rapid.IntRange(0, 4).Draw(t, "recall") == 0 {
		earlier := rapid.SampledFrom(w.entries).Draw(t, "earlier").Event
		e.Recalls = earlier.ID
		if rapid.IntRange(0, 5).Draw(t, "right") > 0 {
			e.Recipient = earlier.Recipient
		}
	}
	w.store(t, rapid.SampledFrom([]string{hub, hub, hub, hub, "other"}).Draw(t, "hub"), e)
}

func (w *watched) store(t *rapid.T, name string, e notifications.Event) {
	e.ID = "e" + strconv.Itoa(len(w.entries)+1)
	entry := w.w.log.Entry(w.w.putInto(t, name, e))
	w.entries = append(w.entries, entry)
	w.arrive(t, entry)
}

// mark marks some, by what belongs to ann or not, and checks that nothing is
// refused but for a reason.
func (w *watched) mark(t *rapid.T) {
	kind := rapid.SampledFrom([]notifications.ChangeKind{
		notifications.ChangeSeen, notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived,
	}).Draw(t, "kind")
	positions := rapid.SliceOfN(rapid.IntRange(1, universe+1), 1, 3).Draw(t, "positions")
	var refs []notifications.Ref
	for _, p := range positions {
		if rapid.Bool().Draw(t, "by id") {
			refs = append(refs, notifications.Ref{ID: "e" + strconv.Itoa(p)})
		} else {
			refs = append(refs, notifications.Ref{Position: notifications.Position(p)})
		}
	}
	_, err := w.w.inboxes.Mark(t.Context(), w.asker(), kind, refs)
	foreign := slices.IndexFunc(positions, func(p int) bool {
		return p > len(w.entries) || !w.belongs(w.entries[p-1], w.held()) || w.entries[p-1].Event.Recalls != ""
	})
	if foreign < 0 && err != nil {
		t.Fatalf("%s of %v: got error %v", kind, positions, err)
	}
	if want := fmt.Sprintf("ids[%d]: is no notification of this inbox", foreign); foreign >= 0 && !strings.HasPrefix(unfit(t, err), want) {
		t.Fatalf("%s of %v: got error %v, want %s", kind, positions, err, want)
	}
}

func (w *watched) markAll(t *rapid.T) {
	kind := rapid.SampledFrom([]notifications.ChangeKind{notifications.ChangeAllSeen, notifications.ChangeAllRead}).Draw(t, "kind")
	var upTo notifications.UpTo
	if p := rapid.IntRange(0, len(w.entries)).Draw(t, "up to"); p > 0 {
		upTo.Position = notifications.Position(p)
	}
	if _, err := w.w.inboxes.MarkAll(t.Context(), w.asker(), kind, upTo); err != nil {
		t.Fatalf("%s up to %+v: %v", kind, upTo, err)
	}
}

// manage changes what ann prefers and belongs to.
func (w *watched) manage(t *rapid.T) {
	group := rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group")
	role := rapid.SampledFrom([]string{"ops", "dev"}).Draw(t, "role")
	ttl := time.Duration(rapid.IntRange(0, 3).Draw(t, "ttl")) * time.Minute
	b, root := w.w.inboxes, rootFor("ann")
	var err error
	switch what := rapid.IntRange(0, 5).Draw(t, "what"); what {
	case 0, 1:
		_, err = b.AddMember(t.Context(), root, group, ttl)
	case 2:
		_, err = b.RemoveMember(t.Context(), root, group)
	case 3:
		_, err = b.Revoke(t.Context(), root, role)
	case 4:
		_, err = b.Mute(t.Context(), w.asker(), notifications.Mute{Type: "order.*", Until: w.w.clock.Add(ttl)})
	default:
		_, err = b.Unmute(t.Context(), w.asker(), notifications.Mute{Type: "order.*"})
	}
	if err != nil {
		t.Fatalf("changing what ann belongs to: %v", err)
	}
}

// login brings a new token.
func (w *watched) login(t *rapid.T) {
	w.token = roles.Principal{UserID: "ann", IssuedAt: w.w.clock, Roles: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ops", "dev"}), 0, 2, rapid.ID).Draw(t, "roles")}
}

// changed runs something that may change the state, and has the inbox counted
// anew if it did, as actors do when they are told of a change.
func (w *watched) changed(action func(t *rapid.T)) func(t *rapid.T) {
	return func(t *rapid.T) {
		before := w.marks.version
		action(t)
		if _, err := w.w.inboxes.Enter(t.Context(), w.asker()); err != nil {
			t.Fatalf("enter: %v", err)
		}
		if w.marks.version != before {
			w.recount(t)
		}
	}
}

// check compares the folded inbox, a recount, what Inboxes answers, the model and
// the pages.
func (w *watched) check(t *rapid.T) {
	all := w.mine(t)
	want := counts(all)
	if diff := cmp.Diff(want, w.inbox.Counts); diff != "" {
		t.Fatalf("folded (-want +got):\n%s", diff)
	}
	folded := w.inbox
	w.recount(t)
	if w.inbox.Counts != folded.Counts || !w.inbox.Expires.Equal(folded.Expires) {
		t.Fatalf("counted anew: got %+v, folded %+v", w.inbox, folded)
	}
	w.inbox = folded
	got, err := w.w.inboxes.Counts(t.Context(), w.asker())
	if err != nil || got.Counts != want {
		t.Fatalf("Counts: got %+v, error %v, want %+v", got, err, want)
	}
	if v := got.Version; v.Position != w.w.log.State().Last || v.State != w.marks.version || folded.Version.Position > v.Position || folded.Version.State != v.State {
		t.Fatalf("Counts: got version %+v, want that of the log and of change %d; folded %+v", v, w.marks.version, folded.Version)
	}
	sums(t, got.Counts)
	w.expires(t, all)
	w.pages(t, all, want)
}

// mine is the inbox of the model with the token.
func (w *watched) mine(t *rapid.T) []item {
	t.Helper()
	return w.model.inbox(w.held())
}

// sums checks that counters of severities sum up.
func sums(t *rapid.T, c notifications.Counts) {
	t.Helper()
	s := c.Severities
	sum := notifications.Tally{
		Unseen: s.Info.Unseen + s.Success.Unseen + s.Warning.Unseen + s.Critical.Unseen,
		Unread: s.Info.Unread + s.Success.Unread + s.Warning.Unread + s.Critical.Unread,
	}
	if sum != c.Tally || c.Unseen > c.Unread || c.Unseen < 0 {
		t.Fatalf("severities sum up to %+v, in all it is %+v", sum, c.Tally)
	}
}

// expires checks when the counters change by themselves.
func (w *watched) expires(t *rapid.T, all []item) {
	t.Helper()
	var first time.Time
	for _, i := range all {
		at := i.event.ExpiresAt
		if (i.status == notifications.Unseen || i.status == notifications.Seen) && !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if !w.inbox.Expires.Equal(first) {
		t.Fatalf("expires at %v, want %v", w.inbox.Expires, first)
	}
}

// drawQuery asks for some or all of an inbox; wants tells what of it.
func drawQuery(t *rapid.T) (q notifications.InboxQuery, wants func(item) bool) {
	q = notifications.InboxQuery{
		Limit: rapid.SampledFrom([]int{0, 1, 2, 3, 7, 200}).Draw(t, "limit"),
		Types: rapid.SampledFrom([][]string{nil, nil, {"order.*"}, {"alert", "order.late"}, {"*"}, {"order"}}).Draw(t, "types"),
		Severities: rapid.SampledFrom([][]notifications.Severity{
			nil, nil, {notifications.Critical}, {notifications.Warning, notifications.Info},
		}).Draw(t, "severities"),
		Statuses: rapid.SampledFrom([][]notifications.Status{
			nil, {notifications.Unseen}, {notifications.Seen}, {notifications.WasRead}, {notifications.Archived}, {notifications.Archived, notifications.Unseen},
		}).Draw(t, "statuses"),
	}
	return q, func(i item) bool {
		ofType := len(q.Types) == 0
		for _, pattern := range q.Types {
			prefix, open := strings.CutSuffix(pattern, "*")
			ofType = ofType || i.event.Type == pattern || open && strings.HasPrefix(i.event.Type, prefix)
		}
		ofStatus := slices.Contains(q.Statuses, i.status) || len(q.Statuses) == 0 && i.status != notifications.Archived
		return ofType && ofStatus && (len(q.Severities) == 0 || slices.Contains(q.Severities, i.event.Severity))
	}
}

// walk goes through all pages of a query.
func walk(t testingT, page func(notifications.InboxQuery) (notifications.InboxPage, error), q notifications.InboxQuery) []notifications.InboxItem {
	t.Helper()
	var all []notifications.InboxItem
	for range 1000 {
		p, err := page(q)
		if err != nil {
			t.Fatalf("page %+v: %v", q, err)
		}
		limit := q.Limit
		if limit == 0 {
			limit = notifications.DefaultInboxPage
		}
		if len(p.Items) > limit || p.Next != "" && len(p.Items) < limit {
			t.Fatalf("page %+v: got %d items and next %q", q, len(p.Items), p.Next)
		}
		all = append(all, p.Items...)
		if p.Next == "" {
			return all
		}
		q.Before = p.Next
	}
	t.Fatalf("the pages of %+v have no end", q)
	return nil
}

// pages checks what is listed with each filter.
func (w *watched) pages(t *rapid.T, all []item, want notifications.Counts) {
	page := func(q notifications.InboxQuery) (notifications.InboxPage, error) {
		p, err := w.w.inboxes.Page(t.Context(), w.asker(), q)
		if err == nil && (p.Counts != want || p.Version.Position != w.w.log.State().Last || p.Version.State != w.marks.version) {
			t.Fatalf("page %+v: got counts %+v of %+v, want %+v", q, p.Counts, p.Version, want)
		}
		return p, err
	}
	q, wants := drawQuery(t)
	w.compare(t, q, walk(t, page, q), slices.DeleteFunc(slices.Clone(all), func(i item) bool { return !wants(i) }))
	for status, n := range map[notifications.Status]int{notifications.Unseen: want.Unseen, notifications.Seen: want.Unread - want.Unseen} {
		if got := walk(t, page, notifications.InboxQuery{Limit: 5, Statuses: []notifications.Status{status}}); len(got) != n {
			t.Fatalf("%d are listed as %s, counted are %d", len(got), status, n)
		}
	}
}

func (w *watched) compare(t *rapid.T, q notifications.InboxQuery, got []notifications.InboxItem, want []item) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%+v: got %d items, want %d", q, len(got), len(want))
	}
	for i, g := range got {
		e := want[i].event
		muted := w.marks.preferences.Silences(e, w.w.log.Entry(want[i].position).Stored) != ""
		if g.Position != want[i].position || g.State != want[i].status || g.ID != e.ID || g.Severity != e.Severity || g.Muted != muted {
			t.Fatalf("%+v: item %d: got %+v, want %d, %s, %+v, muted %v", q, i, g, want[i].position, want[i].status, e, muted)
		}
	}
}

// The counters that are folded on are those that are counted anew, those of a
// model that keeps everything one by one, and those of what is listed, whatever
// happens.
func TestInboxIsWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatched(t)
		t.Repeat(map[string]func(*rapid.T){
			"emit":    w.emit,
			"emit2":   w.emit,
			"mark":    w.changed(w.mark),
			"markAll": w.changed(w.markAll),
			"manage":  w.changed(w.manage),
			"login": func(t *rapid.T) {
				w.changed(w.login)(t)
				w.recount(t) // another connection
			},
			"pass": func(t *rapid.T) {
				w.w.pass(time.Duration(rapid.SampledFrom([]int{1, 500, 60_000, 200_000}).Draw(t, "ms")) * time.Millisecond)
				w.remind(t)
			},
			"": w.check,
		})
	})
}

// An administrator sees the inbox of another user with the roles that the user
// is known to have.
func TestInboxOfAnotherUserHasTheKnownRoles(t *testing.T) {
	w := newWorld()
	enter(t, w, w.as("ann", "ops", "dev"))
	a, b := w.put(t, notifications.Event{Recipient: notifications.ToRole("ops")}), w.put(t, notifications.Event{Recipient: notifications.ToRole("dev")})
	w.put(t, notifications.Event{Recipient: notifications.ToRole("other")})
	for _, test := range []struct {
		name   string
		before func(context.Context) error
		want   []notifications.Position
	}{
		{"all roles", func(context.Context) error { return nil }, []notifications.Position{b, a}},
		{"one was taken back", func(ctx context.Context) error {
			_, err := w.inboxes.Revoke(ctx, rootFor("ann"), "dev")
			return err
		}, []notifications.Position{a}},
	} {
		if err := test.before(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := listed(t, w, rootFor("ann")); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// enter lets a user come with a token.
func enter(t testingT, w *world, a notifications.Asker) notifications.State {
	t.Helper()
	s, err := w.inboxes.Enter(context.Background(), a)
	if err != nil {
		t.Fatalf("enter: %v", err)
	}
	return s
}

// listed are the positions of an inbox, newest first, also the archived ones.
func listed(t testingT, w *world, a notifications.Asker) []notifications.Position {
	t.Helper()
	positions := []notifications.Position{}
	q := notifications.InboxQuery{Statuses: []notifications.Status{notifications.Unseen, notifications.Seen, notifications.WasRead, notifications.Archived}}
	for _, i := range walk(t, func(q notifications.InboxQuery) (notifications.InboxPage, error) {
		return w.inboxes.Page(context.Background(), a, q)
	}, q) {
		positions = append(positions, i.Position)
	}
	return positions
}

func TestReplacedNotificationsAreShownWhileTheyAreWanted(t *testing.T) {
	mark := func(kind notifications.ChangeKind, p notifications.Position) step {
		return func(t testingT, w *world) {
			if _, err := w.inboxes.Mark(t.Context(), w.as("ann"), kind, refsTo(p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := func(p notifications.Position) step {
		return func(t testingT, w *world) {
			if _, err := w.inboxes.MarkAll(t.Context(), w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{Position: p}); err != nil {
				t.Fatal(err)
			}
		}
	}
	keyed := func(t testingT, w *world) {
		w.put(t, notifications.Event{Recipient: notifications.ToUser("ann"), CollapseKey: "k"})
	}
	plain := func(t testingT, w *world) { w.put(t, notifications.Event{Recipient: notifications.ToUser("ann")}) }
	other := func(t testingT, w *world) {
		w.put(t, notifications.Event{Recipient: notifications.ToEveryone(), CollapseKey: "k"})
	}
	const read, unread, archived, unarchived = notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived
	type positions = []notifications.Position
	for _, test := range []struct {
		name  string
		steps []step
		want  positions
	}{
		{"not replaced", []step{keyed, plain}, positions{2, 1}},
		{"unread", []step{keyed, keyed}, positions{2}},
		{"the same key for another recipient", []step{keyed, other}, positions{2, 1}},
		{"only the last of three", []step{keyed, keyed, keyed}, positions{3}},
		{"read before", []step{keyed, mark(read, 1), keyed}, positions{2, 1}},
		{"all read before", []step{keyed, all(1), keyed}, positions{2, 1}},
		{"read before and all read afterwards", []step{keyed, mark(read, 1), keyed, all(2)}, positions{2}},
		{"all read up to a place between", []step{keyed, plain, keyed, all(2)}, positions{3, 2, 1}},
		{"read afterwards", []step{keyed, keyed, mark(read, 1)}, positions{2, 1}},
		{"read before and unread again", []step{keyed, mark(read, 1), keyed, mark(unread, 1)}, positions{2}},
		{"archived before", []step{keyed, mark(archived, 1), keyed}, positions{2, 1}},
		{"read and archived before, and all read afterwards", []step{keyed, mark(read, 1), mark(archived, 1), keyed, all(2)}, positions{2, 1}},
		{"archived before and back", []step{keyed, mark(archived, 1), keyed, mark(unarchived, 1)}, positions{2}},
		{"read, archived and back", []step{keyed, mark(read, 1), mark(archived, 1), keyed, mark(unarchived, 1)}, positions{2, 1}},
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

// A notification that was marked unread again far below everything that is read
// is counted while its reader may read it.
func TestUnreadAgainBelowTheMarksIsCounted(t *testing.T) {
	w := newWorld()
	if _, err := w.inboxes.AddMember(t.Context(), rootFor("ann"), "g", time.Minute); err != nil {
		t.Fatal(err)
	}
	first := w.put(t, notifications.Event{Recipient: notifications.ToGroup("g"), Severity: notifications.Warning, ExpiresAt: now.Add(30 * time.Second)})
	second := w.put(t, notifications.Event{Recipient: notifications.ToGroup("g"), Severity: notifications.Critical})
	last := w.fill(t, 10)
	ann := w.as("ann")
	if _, err := w.inboxes.MarkAll(t.Context(), ann, notifications.ChangeAllRead, notifications.UpTo{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.inboxes.Mark(t.Context(), ann, notifications.ChangeUnread, refsTo(first, second, last)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		after   time.Duration
		want    int
		expires time.Time
	}{
		{"all", 0, 3, now.Add(30 * time.Second)},
		{"one has expired", 30 * time.Second, 2, time.Time{}},
		{"the membership has ended", time.Minute, 1, time.Time{}},
	} {
		w.clock = now.Add(test.after)
		got, err := w.inboxes.Counts(t.Context(), ann)
		if err != nil || got.Counts.Unread != test.want || got.Counts.Unseen != 0 || !got.Expires.Equal(test.expires) {
			t.Errorf("%s: got %+v, error %v, want %d unread until %v", test.name, got, err, test.want, test.expires)
		}
	}
}

func TestPageNamesTheWrongField(t *testing.T) {
	w := newWorld()
	w.fill(t, 3)
	many := make([]string, 21)
	for i := range many {
		many[i] = "a"
	}
	type query = notifications.InboxQuery
	for _, test := range []struct {
		query query
		want  string
	}{
		{query{Limit: -1}, "limit: want 1 to 200"},
		{query{Limit: 201}, "limit: want 1 to 200"},
		{query{Types: many}, "types: at most 20 are allowed"},
		{query{Types: []string{"a", ""}}, `types: want a type, or the beginning of types such as "order.*"`},
		{query{Types: []string{"a\n"}}, `types: want a type, or the beginning of types such as "order.*"`},
		{query{Types: []string{strings.Repeat("a", 201)}}, `types: want a type, or the beginning of types such as "order.*"`},
		{query{Severities: []notifications.Severity{"loud"}}, `severities: want info, success, warning or critical, got "loud"`},
		{query{Statuses: []notifications.Status{"new"}}, `states: want unseen, seen, read or archived, got "new"`},
		{query{Before: "garbage"}, "before: is not the next of a page of an inbox"},
		{query{Before: place(2).String()[1:]}, "before: is not the next of a page of an inbox"},
		{query{Before: notifications.Cursor{Epoch: 8, Position: 2}.String()}, "before: is of a log that is no more; load the first page again"},
	} {
		_, err := w.inboxes.Page(t.Context(), w.as("ann"), test.query)
		if got := unfit(t, err); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.query, got, test.want)
		}
	}
}

func TestPageBeginsWhereItIsAskedTo(t *testing.T) {
	w := newWorld()
	w.fill(t, 3)
	for _, test := range []struct {
		before notifications.Cursor
		want   int
	}{
		{notifications.Cursor{Epoch: 7}, 0},
		{notifications.Cursor{Epoch: 7, Position: 1}, 0},
		{notifications.Cursor{Epoch: 7, Position: 3, Stored: now}, 2},
		{notifications.Cursor{Epoch: 7, Position: 1 << 63}, 3},
	} {
		page, err := w.inboxes.Page(t.Context(), w.as("ann"), notifications.InboxQuery{Before: test.before.String()})
		if err != nil || len(page.Items) != test.want || page.Next != "" || page.Counts.Unseen != 3 {
			t.Errorf("before %+v: got %+v, error %v, want %d items", test.before, page, err, test.want)
		}
	}
	w.log.Drop(2)
	page, err := w.inboxes.Page(t.Context(), w.as("ann"), notifications.InboxQuery{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Position != 3 || page.Counts.Unseen != 1 {
		t.Errorf("with two dropped: got %+v, error %v", page, err)
	}
	empty, err := w.inboxes.Page(t.Context(), w.as("bob"), notifications.InboxQuery{})
	if err != nil || empty.Items == nil || len(empty.Items) != 0 {
		t.Errorf("an empty inbox: got %+v, error %v, want an empty list", empty, err)
	}
}

func TestPageTellsThatTheLogIsAway(t *testing.T) {
	w := newWorld()
	w.fill(t, 1)
	w.log.Break(notifications.ErrUnavailable)
	if page, err := w.inboxes.Page(t.Context(), w.as("ann"), notifications.InboxQuery{}); !errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("got %+v, error %v, want ErrUnavailable", page, err)
	}
}

// retained is a world in which ann has n notifications, of which she has read the
// older half, and the memberships of her inbox.
func retained(b *testing.B, n int) (*world, []notifications.Membership, notifications.State) {
	b.Helper()
	w := newWorld()
	w.fill(b, n)
	if _, err := w.inboxes.MarkAll(b.Context(), w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{Position: notifications.Position(n / 2)}); err != nil {
		b.Fatal(err)
	}
	s := w.state(b)
	return w, s.Memberships("ann", nil, now), s
}

func BenchmarkRecount(b *testing.B) {
	w, memberships, s := retained(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if got := notifications.Recount(w.log, hub, memberships, &s, now); got.Counts.Unread != 5000 {
			b.Fatal(got)
		}
	}
}

func BenchmarkFirstPage(b *testing.B) {
	w, _, _ := retained(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if page, err := w.inboxes.Page(b.Context(), w.as("ann"), notifications.InboxQuery{}); err != nil || len(page.Items) != 50 {
			b.Fatal(page, err)
		}
	}
}

// latest keeps the newest state of one user only; it implements
// notifications.States for benchmarks.
type latest struct {
	notifications.States

	state notifications.State
}

func (l *latest) Load(context.Context, string, string) (notifications.State, error) {
	return l.state, nil
}

func (l *latest) Append(_ context.Context, _, _ string, from notifications.State, c notifications.Change) (notifications.State, error) {
	l.state = from.Apply(changed(from.Version+1, c))
	return l.state, nil
}

func BenchmarkMarkAllRead(b *testing.B) {
	w := newWorld()
	w.fill(b, 10_000)
	before := crowded(1000) // marks that were made one by one
	states := &latest{}
	inboxes := notifications.NewInboxes(notifications.InboxesOptions{Log: w.log, States: states, Now: w.now})
	b.ReportAllocs()
	for b.Loop() {
		states.state = before
		if s, err := inboxes.MarkAll(b.Context(), w.as("ann"), notifications.ChangeAllRead, notifications.UpTo{}); err != nil || s.ReadUpTo != 10_000 {
			b.Fatal(s, err)
		}
	}
}

// What is done for every event of every connection costs no memory.
func TestArrivalDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := crowded(1000)
	var inbox notifications.Inbox
	e := &notifications.Entry{Event: notifications.Event{Recipient: notifications.ToUser("ann"), ExpiresAt: now.Add(time.Hour)}, Hub: hub}
	got := testing.AllocsPerRun(1000, func() {
		e.Position++
		if !inbox.Arrive(e, &s, now) {
			t.Error("it has to be counted anew")
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

// Counting costs the same memory, however much is counted.
func TestRecountDoesNotAllocatePerEntry(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newWorld()
	s := notifications.State{Epoch: 7}
	memberships := s.Memberships("ann", nil, now)
	count := func() float64 {
		return testing.AllocsPerRun(100, func() { notifications.Recount(w.log, hub, memberships, &s, now) })
	}
	none := count()
	w.fill(t, 1000)
	if got := count(); got != none || got > 4 {
		t.Errorf("got %v allocations for 1000 entries, and %v for none", got, none)
	}
}
