package notifications_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"tidings/notifications"
)

// check compares what is explained with what has really happened.
func (s *sim) check(t *rapid.T) {
	for _, f := range s.facts {
		x, err := s.archives.Explain(t.Context(), rootFor("ann"), f.entry.Event.ID)
		if err != nil || x.Outcome != "stored" || len(x.Events) != 1 || x.Events[0].Position != f.entry.Position {
			t.Fatalf("%s: got %+v, error %v", f.entry.Event.ID, x, err)
		}
		s.checkEvent(t, f, &x.Events[0])
	}
}

func (s *sim) checkEvent(t *rapid.T, f *fact, x *notifications.StoredOutcome) {
	e := f.entry
	recalled, replaced := s.fate(e)
	status := s.marks.at[e.Position].status()
	if x.Status != status || x.RecalledBy != recalled || x.CollapsedInto != replaced || x.Expired != e.Event.Expired(s.clock) {
		t.Fatalf("%+v: got %+v, want %s, recalled by %d, replaced by %d", e, x, status, recalled, replaced)
	}
	addressed := f.addressed || s.byDevice(e)
	if x.Addressed != addressed || (x.Why == "") != addressed || addressed && !strings.HasPrefix(x.By, e.Event.Recipient.String()) {
		t.Fatalf("%+v: got addressed %v by %q, why %q, want %v", e, x.Addressed, x.By, x.Why, addressed)
	}
	if !addressed {
		if x.Visits != nil || x.Devices != nil || x.Pending != nil {
			t.Fatalf("%+v: got %+v of an event that was for others", e, x)
		}
		return
	}
	if x.Muted != f.muted {
		t.Fatalf("%+v: got muted by %q, want %q", e, x.Muted, f.muted)
	}
	if diff := cmp.Diff(f.acts, x.Acts, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%+v: acts (-want +got):\n%s", e, diff)
	}
	s.checkConnections(t, f, x)
	for i, d := range x.Devices {
		s.checkDevice(t, f, x, &x.Devices[i])
		if i > 0 && x.Devices[i-1].Device >= d.Device {
			t.Fatalf("%+v: devices %+v", e, x.Devices)
		}
	}
	s.checkPending(t, f, x)
}

// byDevice tells whether a device is in the group an event is for.
func (s *sim) byDevice(e *notifications.Entry) bool {
	for _, d := range s.cabinet.devices {
		since, joined := d.Groups[e.Event.Recipient.Key]
		if e.Event.Recipient.Kind == notifications.Group && joined && (since < e.Position || e.Event.MembersAt == notifications.Read) {
			return true
		}
	}
	return false
}

// kept tells whether what a connection belongs to is kept: not whether it was in
// a group that it, or its device, has left since, nor what a role that was given
// again is for a token that is older.
func (s *sim) kept(c *conn, e *notifications.Entry) bool {
	to := e.Event.Recipient
	switch to.Kind {
	case notifications.Group:
		now, still := s.cabinet.devices[c.visit.Device].Groups[to.Key]
		if !c.ever[to.Key] && !still {
			return true
		}
		since, joined := c.groups[to.Key]
		return e.Event.MembersAt == notifications.Emit && still && (!c.ever[to.Key] || joined && since == now && !c.left[to.Key])
	case notifications.Role:
		return !s.regranted[to.Key] || slices.Contains(s.effective(c.token), to.Key)
	default:
		return true
	}
}

// answers are those that are right of a connection and an event; none = any is.
func (s *sim) answers(c *conn, e *notifications.Entry) []string {
	told := []string{notifications.PartSent, notifications.PartPending, notifications.PartNotSent}
	truth, happened := c.done[e.Position]
	right := []string{truth}
	switch {
	case !s.kept(c, e):
		return nil
	case !happened: // its node had died
		right = []string{notifications.PartSent, notifications.PartMuted, notifications.PartNoMember, notifications.PartExpired}
	case c.loose[e.Position]:
		right = append(right, notifications.PartSent, notifications.PartMuted, notifications.PartNoMember, notifications.PartExpired)
	}
	if silent := c.visit.Ended.IsZero() && (c.away || c.dead); silent {
		for i, one := range right {
			if slices.Contains(told, one) {
				right[i] = notifications.PartUnknown
			}
		}
	}
	return right
}

func (s *sim) checkConnections(t *rapid.T, f *fact, x *notifications.StoredOutcome) {
	e, at := f.entry, 0
	for _, c := range s.conns {
		if !c.visit.Ended.IsZero() && c.visit.Ended.Before(e.Stored) {
			continue
		}
		if at == len(x.Visits) || x.Visits[at].Connection != c.visit.Connection {
			t.Fatalf("%+v: got connections %+v, without %s", e, x.Visits, c.visit.Connection)
		}
		part := x.Visits[at]
		at++
		right := s.answers(c, e)
		if right != nil && !slices.Contains(right, part.Outcome) {
			t.Fatalf("%+v: got %+v, want one of %q, of %+v", e, part, right, c)
		}
		acked := part.Outcome == notifications.PartSent && c.acked >= e.Position && !c.visit.Ended.IsZero()
		if part.Acknowledged != acked || part.Connected != !c.visit.Began.After(e.Stored) || part.Device != c.visit.Device {
			t.Fatalf("%+v: got %+v of %+v", e, part, c)
		}
	}
	if at != len(x.Visits) {
		t.Fatalf("%+v: got %d connections, want %d", e, len(x.Visits), at)
	}
}

// checkDevice compares what is said of a device, unless one of its connections
// has met what is not kept.
func (s *sim) checkDevice(t *rapid.T, f *fact, x *notifications.StoredOutcome, d *notifications.DeviceOutcome) {
	e := f.entry
	sent, silent := false, false
	for _, c := range s.conns {
		if c.visit.Device != d.Device {
			continue
		}
		if c.loose[e.Position] || !s.kept(c, e) {
			return
		}
		sent = sent || c.done[e.Position] == notifications.PartSent
		silent = silent || c.visit.Ended.IsZero() && (c.away || c.dead)
	}
	known := s.cabinet.devices[d.Device]
	if d.Sent != sent && (!silent || sent && known.Sent >= e.Position) {
		t.Fatalf("%+v: got %+v, want sent %v, in %+v", e, d, sent, x)
	}
	said, acked := f.acked[d.Device]
	if acked = acked && d.Sent; d.Acknowledged != acked {
		t.Fatalf("%+v: got %+v, want acknowledged %v, in %+v", e, d, acked, x)
	}
	if acked && (d.AcknowledgedBy.Before(said) || d.AcknowledgedBy.After(s.clock)) || !acked && !d.AcknowledgedBy.IsZero() {
		t.Fatalf("%+v: got %+v, want acknowledged at %v, in %+v", e, d, said, x)
	}
}

// checkPending lets every connection read on and every device come back, to see
// who hears of an event.
func (s *sim) checkPending(t *rapid.T, f *fact, x *notifications.StoredOutcome) {
	e := f.entry
	var want []string
	open := make(map[string]bool)
	for _, part := range x.Visits {
		c := s.conns[slices.IndexFunc(s.conns, func(c *conn) bool { return c.visit.Connection == part.Connection })]
		if !s.kept(c, e) {
			return
		}
		if part.Outcome == notifications.PartPending && !s.silenced(e) && slices.Contains(s.page(t, c, c.last), e.Position) {
			open[c.visit.Device] = true
			want = append(want, "connection "+part.Connection+" is being sent it")
		}
	}
	for _, d := range x.Devices {
		last := s.conns[0]
		for _, c := range s.conns {
			if c.visit.Device == d.Device {
				last = c
			}
		}
		if role := e.Event.Recipient.Key; e.Event.Recipient.Kind == notifications.Role && s.regranted[role] && !slices.Contains(s.effective(last.token), role) {
			return // it depends on the token it will come back with
		}
		known := s.cabinet.devices[d.Device]
		back := &conn{token: last.token, groups: known.Groups}
		after := notifications.ResumeRequest{Device: d.Device}.Resolve(s.log, hub, s.memberships(t, back), &known).After
		if !d.Sent && !open[d.Device] && !s.silenced(e) && slices.Contains(s.page(t, back, after), e.Position) {
			want = append(want, "device "+d.Device+" hears of it when it comes back")
		}
	}
	if diff := cmp.Diff(want, x.Pending, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%+v: pending (-want +got):\n%s\nin %+v", e, diff, x)
	}
}

// Whatever happens to a user, an explanation says what has happened.
func TestExplanationsAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim()
		all := s.actions()
		all[""] = s.check
		t.Repeat(all)
	})
}

// about are facts about the events e1 of a log for ann, with the briefs that go
// with them.
func about(events ...notifications.Event) *notifications.Facts {
	f := &notifications.Facts{
		Hub: hub, User: "ann", ID: "e1", Now: now.Add(time.Hour), Log: notifications.LogState{Epoch: 7, First: 1, Last: 20, End: 20},
	}
	for i, e := range events {
		e.ID = "e1"
		e.Complete(now, newID)
		p := notifications.Position(10 * (i + 1))
		f.Entries = append(f.Entries, &notifications.Entry{Position: p, Hub: hub, Event: e, Stored: at(0)})
		f.Briefs = append(f.Briefs, notifications.Brief{
			Position: p, Hub: hub, Stored: at(0), Recipient: e.Recipient, Type: e.Type, Severity: e.Severity, MembersAt: e.MembersAt, ExpiresAt: e.ExpiresAt,
		})
	}
	return f
}

// at is some minutes from when the events of about were stored.
func at(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }

// did is a history of ann's in one log; the versions are 1, 2, 3 and so on.
func did(changes ...notifications.Change) []notifications.Changed {
	all := make([]notifications.Changed, len(changes))
	for i, c := range changes {
		if c.Epoch == 0 {
			c.Epoch = 7
		}
		all[i] = changed(notifications.Version(i+1), c)
	}
	return all
}

func TestExplainWhetherItWasTaken(t *testing.T) {
	record := func(action string, minutes int, reason string) notifications.AuditRecord {
		return notifications.AuditRecord{Action: action, At: at(minutes), Reason: reason, ID: "e1"}
	}
	emitted, scheduled := record(notifications.AuditEmitted, 0, ""), record(notifications.AuditScheduled, 1, "")
	refusal, rate := record(notifications.AuditRefused, 2, "not allowed"), record(notifications.AuditRefused, 3, "too many")
	canceled := record(notifications.AuditCanceled, 4, "")
	waits := &notifications.Event{NotBefore: at(90)}
	const gone = "it was stored at 2026-01-02T15:04:05Z, and the log does not hold it any more, or not yet"
	const nothing = "nothing is kept of this id: it was never accepted here, or it has left the retention"
	for _, test := range []struct {
		name       string
		stored     bool
		scheduled  *notifications.Event
		rejections []notifications.Rejection
		audit      []notifications.AuditRecord
		outcome    string
		reason     string
	}{
		{name: "nothing", outcome: "unknown", reason: nothing},
		{name: "stored", stored: true, audit: []notifications.AuditRecord{emitted, refusal}, outcome: "stored"},
		{name: "stored once and scheduled again", stored: true, scheduled: waits, outcome: "stored"},
		{name: "scheduled", scheduled: waits, audit: []notifications.AuditRecord{refusal, scheduled}, outcome: "scheduled"},
		{name: "canceled", audit: []notifications.AuditRecord{scheduled, canceled}, outcome: "canceled"},
		{name: "refused", audit: []notifications.AuditRecord{refusal, rate}, outcome: "refused", reason: "too many"},
		{name: "refused, then taken, and gone", audit: []notifications.AuditRecord{refusal, emitted}, outcome: "unknown", reason: gone},
		{name: "looked at", audit: []notifications.AuditRecord{record(notifications.AuditLooked, 5, "")}, outcome: "unknown", reason: nothing},
		{
			name: "rejected", rejections: []notifications.Rejection{{Position: 3, Reason: "not UTF-8"}, {Position: 4, Reason: "too large"}},
			outcome: "rejected", reason: "too large",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := about()
			if test.stored {
				f = about(notifications.Event{Recipient: notifications.ToUser("ann")})
			}
			f.Scheduled, f.Rejections, f.Audit = test.scheduled, test.rejections, test.audit
			x := notifications.Explain(f)
			if x.Outcome != test.outcome || x.Reason != test.reason || x.Hub != hub || x.User != "ann" || x.ID != "e1" {
				t.Errorf("got %+v, want %s because %q", x, test.outcome, test.reason)
			}
			if (test.scheduled != nil) != x.ScheduledFor.Equal(at(90)) || len(x.Events) != len(f.Entries) {
				t.Errorf("got %+v", x)
			}
			if diff := cmp.Diff(test.audit, x.Audit) + cmp.Diff(test.rejections, x.Rejections); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplainForWhomItWas(t *testing.T) {
	const came, revoked, joined, left = notifications.ChangeRoles, notifications.ChangeRevoked, notifications.ChangeJoined, notifications.ChangeLeft
	ops := []string{"ops"}
	group, read := notifications.ToGroup("g"), notifications.Read
	device := func(since notifications.Position) []notifications.Device {
		return []notifications.Device{{Name: "phone", Groups: map[string]notifications.Position{"g": since}}}
	}
	for _, test := range []struct {
		name    string
		to      notifications.Recipient
		members notifications.MembersAt
		history []notifications.Changed
		devices []notifications.Device
		by, why string
	}{
		{name: "everyone", to: notifications.ToEveryone(), by: "everyone"},
		{name: "the user", to: notifications.ToUser("ann"), by: "user/ann"},
		{name: "another user", to: notifications.ToUser("bob"), why: "it is for another user"},
		{name: "a role never held", to: notifications.ToRole("ops"), why: "the user had never come with the role ops"},
		{name: "a role", to: notifications.ToRole("ops"), history: did(notifications.Change{Kind: came, Roles: ops, Since: 9, At: at(-1)}), by: "role/ops"},
		{name: "a role that came afterwards", to: notifications.ToRole("ops"), history: did(notifications.Change{Kind: came, Roles: ops, Since: 10, At: at(1)}), why: "the user had never come with the role ops"},
		{name: "a role that came with an older client", to: notifications.ToRole("ops"), history: did(notifications.Change{Kind: came, Roles: ops, Since: 3, At: at(1)}), by: "role/ops"},
		{
			name: "a role that came at the same moment", to: notifications.ToRole("ops"), history: did(notifications.Change{Kind: came, Roles: ops, Since: 10, At: at(0)}),
			why: "the user came with the role ops for the first time after it was emitted",
		},
		{name: "an announcement to a role that came afterwards", to: notifications.ToRole("ops"), members: read, history: did(notifications.Change{Kind: came, Roles: ops, Since: 15, At: at(1)}), by: "role/ops"},
		{
			name: "a role taken back before", to: notifications.ToRole("ops"),
			history: did(notifications.Change{Kind: came, Roles: ops, Since: 1, At: at(-2)}, notifications.Change{Kind: revoked, Roles: ops, At: at(-1)}),
			why:     "the role ops had been taken back",
		},
		{
			name: "a role taken back at the same moment", to: notifications.ToRole("ops"),
			history: did(notifications.Change{Kind: came, Roles: ops, Since: 1, At: at(-2)}, notifications.Change{Kind: revoked, Roles: ops, At: at(0)}),
			why:     "the role ops had been taken back",
		},
		{
			name: "a role taken back afterwards", to: notifications.ToRole("ops"),
			history: did(notifications.Change{Kind: came, Roles: ops, Since: 1, At: at(-2)}, notifications.Change{Kind: revoked, Roles: ops, At: at(1)}),
			by:      "role/ops",
		},
		{
			name: "a role given again before", to: notifications.ToRole("ops"),
			history: did(notifications.Change{Kind: came, Roles: ops, At: at(-3)}, notifications.Change{Kind: revoked, Roles: ops, At: at(-2)}, notifications.Change{Kind: came, Roles: ops, Since: 4, At: at(-1)}),
			by:      "role/ops",
		},
		{
			name: "a role given again afterwards", to: notifications.ToRole("ops"),
			history: did(notifications.Change{Kind: came, Roles: ops, At: at(-3)}, notifications.Change{Kind: revoked, Roles: ops, At: at(-2)}, notifications.Change{Kind: came, Roles: ops, Since: 12, At: at(1)}),
			why:     "the role ops had been taken back",
		},
		{name: "no member", to: group, why: "the user was no member of g, as far as is kept: groups that a connection has joined are, while its device is in them"},
		{name: "a member", to: group, history: did(notifications.Change{Kind: joined, Group: "g", Since: 9, At: at(-1)}), by: "group/g"},
		{name: "a member until later", to: group, history: did(notifications.Change{Kind: joined, Group: "g", Since: 9, Until: at(1), At: at(-1)}), by: "group/g"},
		{name: "a member until then", to: group, history: did(notifications.Change{Kind: joined, Group: "g", Since: 9, Until: at(0), At: at(-1)}), why: "the membership of g had ended"},
		{
			name: "a member since then", to: group, history: did(notifications.Change{Kind: joined, Group: "g", Since: 10, At: at(0)}),
			why: "the user became a member of g after it was emitted",
		},
		{
			name: "a member who left afterwards", to: group,
			history: did(notifications.Change{Kind: joined, Group: "g", At: at(-1)}, notifications.Change{Kind: left, Group: "g", At: at(1)}), by: "group/g",
		},
		{
			name: "an announcement to a member of a while", to: group, members: read,
			history: did(notifications.Change{Kind: joined, Group: "g", Since: 12, At: at(1)}, notifications.Change{Kind: left, Group: "g", At: at(2)}), by: "group/g",
		},
		{name: "joined by a device", to: group, devices: device(9), by: "group/g (joined by device phone)"},
		{name: "joined by a device afterwards", to: group, devices: device(10), why: "the user was no member of g, as far as is kept: groups that a connection has joined are, while its device is in them"},
		{name: "an announcement, joined by a device afterwards", to: group, members: read, devices: device(10), by: "group/g (joined by device phone)"},
		{
			name: "in another log", to: group, history: did(notifications.Change{Kind: joined, Group: "g", Since: 99, At: at(-1), Epoch: 6}), by: "group/g",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := about(notifications.Event{Recipient: test.to, MembersAt: test.members})
			f.History, f.Devices = test.history, test.devices
			x := notifications.Explain(f).Events[0]
			if x.By != test.by || x.Why != test.why || x.Addressed != (test.why == "") {
				t.Errorf("got %v, by %q, why not %q, want by %q, why not %q", x.Addressed, x.By, x.Why, test.by, test.why)
			}
		})
	}
}

// What was folded away before the history begins counts as well.
func TestExplainFromWhatIsLeftOfTheHistory(t *testing.T) {
	f := about(notifications.Event{Recipient: notifications.ToGroup("g"), Type: "alert"})
	f.Base = notifications.State{
		Version: 5, Epoch: 7, ReadUpTo: 12, SeenUpTo: 12, Groups: map[string]notifications.Term{"g": {Since: 2}},
		Preferences: notifications.Preferences{Mutes: []notifications.Mute{{Type: "alert"}}},
	}
	f.History = []notifications.Changed{changed(6, notifications.Change{Kind: notifications.ChangeUnread, Epoch: 7, Positions: notifications.Positions{10}, At: at(5), By: "root"})}
	x := notifications.Explain(f).Events[0]
	acts := []notifications.Act{{Status: notifications.Seen, At: at(5), Kind: "unread", By: "root"}}
	if diff := cmp.Diff(acts, x.Acts); diff != "" || x.By != "group/g" || x.Muted != "type alert" || x.Status != notifications.Seen {
		t.Errorf("got %+v, acts (-want +got):\n%s", x, diff)
	}
}

// Marks of another log are of other events.
func TestExplainPassesOverActsInAnotherLog(t *testing.T) {
	f := about(notifications.Event{Recipient: notifications.ToUser("ann")})
	ten := notifications.Positions{10}
	f.History = did(
		notifications.Change{Kind: notifications.ChangeRead, Epoch: 6, Positions: ten, At: at(-9)},
		notifications.Change{Kind: notifications.ChangePreferences, Epoch: 7, At: at(-8)},
		notifications.Change{Kind: notifications.ChangeSeen, Epoch: 7, Positions: ten, At: at(1), Device: "phone"},
		notifications.Change{Kind: notifications.ChangeSeen, Epoch: 7, Positions: ten, At: at(2)},
		notifications.Change{Kind: notifications.ChangeAllRead, Epoch: 7, UpTo: 12, At: at(3)},
	)
	want := []notifications.Act{{Status: notifications.Seen, At: at(1), Kind: "seen", Device: "phone"}, {Status: notifications.WasRead, At: at(3), Kind: "allRead"}}
	if diff := cmp.Diff(want, notifications.Explain(f).Events[0].Acts); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
	f.Log.Epoch = 8
	if got := notifications.Explain(f).Events[0]; got.Acts != nil || got.Status != notifications.Unseen {
		t.Errorf("in a newer log: got %+v", got)
	}
}

func TestExplainConnections(t *testing.T) {
	type visit = notifications.Visit
	ops := did(notifications.Change{Kind: notifications.ChangeRoles, Roles: []string{"ops"}, At: at(-9)})
	muted := did(notifications.Change{Kind: notifications.ChangePreferences, Preferences: &notifications.Preferences{Mutes: []notifications.Mute{{Type: "alert"}}}, At: at(-9)})
	unmuted := append(slices.Clone(muted), changed(2, notifications.Change{Kind: notifications.ChangePreferences, Epoch: 7, At: at(5)}))
	member := did(
		notifications.Change{Kind: notifications.ChangeJoined, Group: "g", At: at(-9)}, notifications.Change{Kind: notifications.ChangeLeft, Group: "g", At: at(5)},
	)
	ann, role, group := notifications.ToUser("ann"), notifications.ToRole("ops"), notifications.ToGroup("g")
	for _, test := range []struct {
		name                string
		to                  notifications.Recipient
		history             []notifications.Changed
		visit               visit
		open                notifications.Position
		recalled, collapsed notifications.Position
		expires             time.Time
		want                string // "" = it has nothing to do with it
		connected           bool
	}{
		{name: "ended before", to: ann, visit: visit{Began: at(-9), Ended: at(-1), Sent: 99}},
		{name: "in another log", to: ann, visit: visit{Epoch: 6, Began: at(-9), Sent: 99}},
		{name: "sent", to: ann, visit: visit{Began: at(-1), Ended: at(1), Sent: 10}, want: "sent", connected: true},
		{name: "ended and began in that moment", to: ann, visit: visit{Began: at(0), Ended: at(0), Sent: 10}, want: "sent", connected: true},
		{name: "replayed", to: ann, visit: visit{Began: at(1), Ended: at(2), After: 3, Head: 12, Sent: 12}, want: "sent"},
		{name: "ended first", to: ann, visit: visit{Began: at(-1), Ended: at(1), Sent: 9}, want: "not sent", connected: true},
		{name: "open, sent", to: ann, visit: visit{Began: at(-1)}, open: 10, want: "sent", connected: true},
		{name: "open, not yet sent", to: ann, visit: visit{Began: at(-1)}, open: 9, want: "pending", connected: true},
		{name: "of another node", to: ann, visit: visit{Began: at(-1), Sent: 9}, want: "unknown", connected: true},
		{name: "of another node, sent at its beginning", to: ann, visit: visit{Began: at(-1), Sent: 10}, want: "sent", connected: true},
		{name: "began behind it", to: ann, visit: visit{Began: at(1), Ended: at(2), After: 10, Head: 12, Sent: 12}, want: "began behind it"},
		{name: "without the role", to: role, history: ops, visit: visit{Began: at(-1), Ended: at(1), Sent: 12, Roles: []string{"dev"}}, want: "not a member", connected: true},
		{name: "with the role", to: role, history: ops, visit: visit{Began: at(-1), Ended: at(1), Sent: 12, Roles: []string{"dev", "ops"}}, want: "sent", connected: true},
		{name: "after the group was left", to: group, history: member, visit: visit{Began: at(6), Ended: at(7), Head: 12, Sent: 12}, want: "not a member"},
		{name: "before the group was left", to: group, history: member, visit: visit{Began: at(4), Ended: at(7), Head: 12, Sent: 12}, want: "sent"},
		{name: "muted", to: ann, history: muted, visit: visit{Began: at(-1), Ended: at(1), Sent: 12}, want: "muted", connected: true},
		{name: "muted still when it came", to: ann, history: unmuted, visit: visit{Began: at(4), Ended: at(7), Sent: 12}, want: "muted"},
		{name: "no longer muted when it came", to: ann, history: unmuted, visit: visit{Began: at(5), Ended: at(7), Sent: 12}, want: "sent"},
		{name: "expired when it came", to: ann, visit: visit{Began: at(3), Ended: at(7), Sent: 12}, expires: at(3), want: "expired"},
		{name: "expires after it came", to: ann, visit: visit{Began: at(2), Ended: at(7), Sent: 12}, expires: at(3), want: "sent"},
		{name: "recalled when it came", to: ann, visit: visit{Began: at(3), Ended: at(7), Head: 11, Sent: 12}, recalled: 11, want: "recalled"},
		{name: "recalled after it came", to: ann, visit: visit{Began: at(3), Ended: at(7), Head: 10, Sent: 12}, recalled: 11, want: "sent"},
		{name: "replaced when it came", to: ann, visit: visit{Began: at(3), Ended: at(7), Head: 11, Sent: 12}, collapsed: 11, want: "collapsed"},
		{name: "replaced after it came", to: ann, visit: visit{Began: at(3), Ended: at(7), Head: 10, Sent: 12}, collapsed: 11, want: "sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := about(notifications.Event{Recipient: test.to, Type: "alert", ExpiresAt: test.expires})
			test.visit.Connection = "c1"
			if test.visit.Epoch == 0 {
				test.visit.Epoch = 7
			}
			f.Visits, f.History = []visit{test.visit}, test.history
			f.Briefs[0].RecalledBy, f.Briefs[0].CollapsedBy = test.recalled, test.collapsed
			if test.open != 0 {
				f.Open = map[string]notifications.Position{"c1": test.open}
			}
			x := notifications.Explain(f).Events[0]
			if test.want == "" {
				if len(x.Visits) != 0 {
					t.Errorf("got %+v, want none", x.Visits)
				}
				return
			}
			want := []notifications.ConnectionPart{{Connection: "c1", Began: test.visit.Began, Ended: test.visit.Ended, Connected: test.connected, Outcome: test.want}}
			if diff := cmp.Diff(want, x.Visits); diff != "" {
				t.Errorf("connections (-want +got):\n%s", diff)
			}
		})
	}
}

// What a device has joined is told to its own connections, from then on, and of
// announcements also what came before when it connects.
func TestExplainGroupsOfDevices(t *testing.T) {
	for _, test := range []struct {
		name    string
		members notifications.MembersAt
		since   notifications.Position
		device  string
		began   int
		head    notifications.Position
		want    string
	}{
		{"connected and in it", notifications.Emit, 9, "phone", -1, 5, "sent"},
		{"connected on another device", notifications.Emit, 9, "laptop", -1, 5, "not a member"},
		{"connected without a device", notifications.Emit, 9, "", -1, 5, "not a member"},
		{"comes later", notifications.Emit, 9, "phone", 1, 12, "sent"},
		{"an announcement, connected and in it", notifications.Read, 9, "phone", -1, 5, "sent"},
		{"an announcement, joined afterwards", notifications.Read, 11, "phone", -1, 5, "not a member"},
		{"an announcement, joined afterwards, and comes later", notifications.Read, 11, "phone", 1, 12, "sent"},
		{"an announcement, comes later and joins then", notifications.Read, 14, "phone", 1, 12, "not a member"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := about(notifications.Event{Recipient: notifications.ToGroup("g"), MembersAt: test.members})
			f.Devices = []notifications.Device{{Name: "phone", Groups: map[string]notifications.Position{"g": test.since}}}
			f.Visits = []notifications.Visit{{Connection: "c1", Device: test.device, Epoch: 7, Began: at(test.began), Ended: at(9), Head: test.head, Sent: 20}}
			x := notifications.Explain(f).Events[0]
			if len(x.Visits) != 1 || x.Visits[0].Outcome != test.want {
				t.Errorf("got %+v, want %s", x.Visits, test.want)
			}
		})
	}
}

func TestExplainDevices(t *testing.T) {
	type visit = notifications.Visit
	cursor := func(p notifications.Position) notifications.Cursor {
		return notifications.Cursor{Epoch: 7, Position: p}
	}
	sent := visit{Began: at(-1), Ended: at(5), Sent: 12}
	acked := sent
	acked.Acknowledged = 10
	tail := []string{"device phone hears of it when it comes back"}
	for _, test := range []struct {
		name    string
		device  notifications.Device
		visits  []visit
		want    notifications.DeviceOutcome
		pending []string
	}{
		{"never here", notifications.Device{Cursor: cursor(4)}, nil, notifications.DeviceOutcome{}, tail},
		{"of another log", notifications.Device{Cursor: notifications.Cursor{Epoch: 6, Position: 99}, Sent: 99}, nil, notifications.DeviceOutcome{}, tail},
		{"begins behind it", notifications.Device{Cursor: cursor(10)}, nil, notifications.DeviceOutcome{}, nil},
		{"sent", notifications.Device{Cursor: cursor(4)}, []visit{sent}, notifications.DeviceOutcome{Sent: true}, nil},
		{"sent and acknowledged", notifications.Device{Cursor: cursor(10), AckedAt: at(4)}, []visit{sent}, notifications.DeviceOutcome{Sent: true, Acknowledged: true, AcknowledgedBy: at(4)}, nil},
		{"acknowledged before the end of the connection", notifications.Device{Cursor: cursor(99), AckedAt: at(50)}, []visit{acked}, notifications.DeviceOutcome{Sent: true, Acknowledged: true, AcknowledgedBy: at(5)}, nil},
		{
			"came again and said that it has it",
			notifications.Device{Cursor: cursor(11), AckedAt: at(-2)},
			[]visit{sent, {Began: at(7), Ended: at(9), After: 11, Head: 12, Sent: 12}},
			notifications.DeviceOutcome{Sent: true, Acknowledged: true, AcknowledgedBy: at(7)},
			nil,
		},
		{"ended first", notifications.Device{Cursor: cursor(4)}, []visit{{Began: at(-1), Ended: at(5), Sent: 9}}, notifications.DeviceOutcome{}, tail},
		{"of another node", notifications.Device{Cursor: cursor(4), Sent: 9}, []visit{{Began: at(-1)}}, notifications.DeviceOutcome{}, tail},
		{"of another node, and sent", notifications.Device{Cursor: cursor(4), Sent: 10}, []visit{{Began: at(-1)}}, notifications.DeviceOutcome{Sent: true}, nil},
		{"the cursor moved before it was sent", notifications.Device{Cursor: cursor(12), AckedAt: at(6)}, []visit{{Began: at(1), Ended: at(5), After: 12, Sent: 12}}, notifications.DeviceOutcome{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := about(notifications.Event{Recipient: notifications.ToUser("ann")})
			test.device.Name, test.want.Device = "phone", "phone"
			f.Devices = []notifications.Device{test.device}
			for _, v := range test.visits {
				v.Connection, v.Device, v.Epoch = "c"+v.Began.String(), "phone", 7
				f.Visits = append(f.Visits, v)
			}
			x := notifications.Explain(f).Events[0]
			if diff := cmp.Diff([]notifications.DeviceOutcome{test.want}, x.Devices) + cmp.Diff(test.pending, x.Pending); diff != "" {
				t.Errorf("device, pending (-want +got):\n%s", diff)
			}
		})
	}
}

// Of an event that is told no more nothing is pending, whoever has not got it.
func TestExplainWhatIsPending(t *testing.T) {
	mute := notifications.Change{Kind: notifications.ChangePreferences, Preferences: &notifications.Preferences{Mutes: []notifications.Mute{{Type: "*"}}}}
	both := []string{"connection c1 is being sent it", "device phone hears of it when it comes back"}
	muteAt := func(minutes int) notifications.Change {
		m := mute
		m.At = at(minutes)
		return m
	}
	for _, test := range []struct {
		name    string
		brief   func(b *notifications.Brief)
		expires time.Time
		history []notifications.Changed
		want    []string
	}{
		{name: "told", want: both},
		{name: "recalled", brief: func(b *notifications.Brief) { b.RecalledBy = 11 }},
		{name: "replaced", brief: func(b *notifications.Brief) { b.CollapsedBy = 11 }},
		{name: "expired", expires: at(60)},
		{name: "expires", expires: at(61), want: both},
		{name: "muted since", history: did(muteAt(5))},
		{name: "muted then and no more", history: did(muteAt(-5), notifications.Change{Kind: notifications.ChangePreferences, At: at(5)}), want: both[1:]},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := about(notifications.Event{Recipient: notifications.ToUser("ann"), ExpiresAt: test.expires})
			f.Devices = []notifications.Device{{Name: "phone"}}
			f.Visits = []notifications.Visit{{Connection: "c1", Epoch: 7, Began: at(-1)}}
			f.Open = map[string]notifications.Position{"c1": 9}
			f.History = test.history
			if test.brief != nil {
				test.brief(&f.Briefs[0])
			}
			if diff := cmp.Diff(test.want, notifications.Explain(f).Events[0].Pending); diff != "" {
				t.Errorf("pending (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplainAnIDThatWasStoredTwice(t *testing.T) {
	f := about(notifications.Event{Recipient: notifications.ToUser("bob")}, notifications.Event{Recipient: notifications.ToUser("ann"), Emitter: "shop", Source: "/shop"})
	x := notifications.Explain(f)
	want := []notifications.StoredOutcome{
		{Position: 10, Stored: now, Recipient: "user/bob", Type: "notification", Severity: notifications.Info, Why: "it is for another user", Status: notifications.Unseen},
		{
			Position: 20, Stored: now, Recipient: "user/ann", Type: "notification", Severity: notifications.Info, Emitter: "shop", Source: "/shop",
			Addressed: true, By: "user/ann", Status: notifications.Unseen,
		},
	}
	if diff := cmp.Diff(want, x.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// An explanation of a user with many connections and a long history does not
// fold the whole history for each of them.
func BenchmarkExplain(b *testing.B) {
	f := about(notifications.Event{Recipient: notifications.ToUser("ann")})
	for i := range 20_000 {
		f.History = append(f.History, changed(notifications.Version(i+1), notifications.Change{
			Kind: notifications.ChangeRead, Epoch: 7, Positions: notifications.Positions{notifications.Position(2*i + 1)}, At: at(-1),
		}))
	}
	for i := range 1000 {
		f.Visits = append(f.Visits, notifications.Visit{Connection: strconv.Itoa(i), Epoch: 7, Began: at(i), Ended: at(i + 1), Sent: 20})
	}
	b.ReportAllocs()
	for b.Loop() {
		if x := notifications.Explain(f); len(x.Events[0].Visits) != 1000 {
			b.Fatal(x)
		}
	}
}
