package notifications_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"tidings/notifications"
	"tidings/roles"
)

// cabinet is what is kept of ann beside the log and the states. It implements
// notifications.Devices, Visits, Records and Eraser.
type cabinet struct {
	devices    map[string]notifications.Device
	visits     []notifications.Visit
	audit      *auditor
	rejections map[string][]notifications.Rejection // by id
	erased     []string
	broken     map[string]error // by what it is called for
}

func (c *cabinet) Load(_ context.Context, _, _, device string) (notifications.Device, bool, error) {
	d, known := c.devices[device]
	return d, known, nil
}

// Save keeps the newest state, in which neither the cursor nor Sent goes back.
func (c *cabinet) Save(_, _, device string, d notifications.Device) {
	old := c.devices[device]
	if d.Cursor.Position < old.Cursor.Position {
		d.Cursor = old.Cursor
	}
	d.Name, d.Sent, d.Groups = device, max(d.Sent, old.Sent), maps.Clone(d.Groups)
	c.devices[device] = d
}

func (c *cabinet) Flush(context.Context, string, string, string) error { return nil }

// Of implements notifications.Devices.
func (c *cabinet) Of(_ context.Context, name, user string) ([]notifications.Device, error) {
	var all []notifications.Device
	for _, device := range slices.Sorted(maps.Keys(c.devices)) {
		if name == hub && user == "ann" {
			all = append(all, c.devices[device])
		}
	}
	return all, c.broken["devices"]
}

func (c *cabinet) erase(what, name, user string) (int, error) {
	if err := c.broken[what]; err != nil {
		return 0, err
	}
	c.erased = append(c.erased, what+" of "+name+"/"+user)
	return 3, nil
}

func (c *cabinet) Erase(_ context.Context, name, user string) error {
	_, err := c.erase("devices", name, user)
	return err
}

func (c *cabinet) About(_ context.Context, name, id string) ([]notifications.AuditRecord, error) {
	var all []notifications.AuditRecord
	for _, r := range c.audit.records {
		if r.Hub == name && r.ID == id && r.Action != notifications.AuditLooked {
			all = append(all, r)
		}
	}
	return all, c.broken["audit"]
}

func (c *cabinet) Rejections(_ context.Context, _, id string) ([]notifications.Rejection, error) {
	return c.rejections[id], c.broken["rejections"]
}

// visitors is the cabinet as notifications.Visits, eraser as notifications.Eraser.
type (
	visitors struct{ *cabinet }
	eraser   struct{ *cabinet }
)

// Note keeps the newest state of each visit.
func (v visitors) Note(visit notifications.Visit) {
	for i, old := range v.visits {
		if old.Connection == visit.Connection {
			v.visits[i] = visit
			return
		}
	}
	v.visits = append(v.visits, visit)
}

func (v visitors) Of(_ context.Context, name, user string) ([]notifications.Visit, error) {
	if name != hub || user != "ann" {
		return nil, nil
	}
	return slices.Clone(v.visits), v.broken["visits"]
}

func (v visitors) Erase(_ context.Context, name, user string) error {
	_, err := v.erase("visits", name, user)
	return err
}

func (e eraser) Erase(_ context.Context, name, user string) (int, error) {
	return e.erase("events", name, user)
}

// archived is an office with archives of ann.
type archived struct {
	*office

	cabinet  *cabinet
	archives *notifications.Archives
	open     map[string]notifications.Position // how far the connections of this node are
}

func newArchived() *archived {
	a := &archived{office: newOffice(), open: make(map[string]notifications.Position)}
	a.cabinet = &cabinet{
		devices: make(map[string]notifications.Device), audit: a.audit,
		rejections: make(map[string][]notifications.Rejection), broken: make(map[string]error),
	}
	a.archives = notifications.NewArchives(notifications.ArchivesOptions{
		Inboxes: a.inboxes, Devices: a.cabinet, Visits: visitors{a.cabinet}, Schedules: a.calendar, Records: a.cabinet, Eraser: eraser{a.cabinet},
		Open: func(id string) (notifications.Position, bool) {
			p, is := a.open[id]
			return p, is
		},
	})
	return a
}

// sim plays ann, her devices and the node they are connected to, as hub and
// actors do it, and keeps what has really happened.
type sim struct {
	*archived
	*model

	token     roles.Principal
	clients   map[string]notifications.Cursor // what the browser on each device keeps; "" is one without
	conns     []*conn
	facts     []*fact         // by position-1
	regranted map[string]bool // roles that were given again after they had been taken back
	shots     []shot
}

// fact is what has really happened to an event.
type fact struct {
	entry     *notifications.Entry
	addressed bool
	muted     string
	acts      []notifications.Act
	acked     map[string]time.Time // when each device said first that it has it
}

// conn is a connection as it really is.
type conn struct {
	visit  notifications.Visit
	token  roles.Principal
	groups map[string]notifications.Position // those it has joined itself, or its device
	ever   map[string]bool                   // those it was in at any time
	left   map[string]bool                   // those it has left
	// away is one of another node, dead one whose node has died.
	away, dead       bool
	blocked, lagging bool
	last, acked      notifications.Position
	done             map[notifications.Position]string
	// loose are events that have met a blocked socket, or something else of which
	// not all is kept.
	loose map[notifications.Position]bool
}

func (c *conn) over() bool { return c.dead || !c.visit.Ended.IsZero() }

func newSim() *sim {
	a := newArchived()
	s := &sim{
		archived: a, model: &model{w: a.world, marks: newNaive()}, token: roles.Principal{UserID: "ann", IssuedAt: a.clock},
		clients: make(map[string]notifications.Cursor), regranted: make(map[string]bool),
	}
	a.states.Deliver = s.changed
	return s
}

// changed notes what a change of ann's does to every event.
func (s *sim) changed(c notifications.Changed) {
	if c.Change.Kind == notifications.ChangeRoles {
		for _, role := range c.Change.Roles {
			_, revoked := s.marks.revoked[role]
			s.regranted[role] = s.regranted[role] || revoked
		}
	}
	before := s.marks.at
	s.apply(c)
	for _, f := range s.facts {
		p := f.entry.Position
		if was, is := before[p].status(), s.marks.at[p].status(); was != is {
			f.acts = append(f.acts, notifications.Act{Status: is, At: c.Change.At, Kind: string(c.Change.Kind), Device: c.Change.Device, By: c.Change.By})
		}
		f.addressed = f.addressed || s.belongs(f.entry, slices.Collect(maps.Keys(s.marks.roles)))
	}
}

// effective are the roles of a token that are in force.
func (s *sim) effective(token roles.Principal) []string {
	return slices.DeleteFunc(slices.Clone(token.Roles), func(role string) bool {
		at, revoked := s.marks.revoked[role]
		return revoked && !token.IssuedAt.After(at)
	})
}

// hears tells whether a connection is told of an event.
func (s *sim) hears(c *conn, e *notifications.Entry) bool {
	since, joined := c.groups[e.Event.Recipient.Key]
	own := e.Event.Recipient.Kind == notifications.Group && joined && (e.Position > since || e.Event.MembersAt == notifications.Read)
	return own || s.belongs(e, s.effective(c.token))
}

// page are the positions a connection is given when it reads the log.
func (s *sim) page(t *rapid.T, c *conn, after notifications.Position) []notifications.Position {
	t.Helper()
	page, err := s.log.Read(t.Context(), notifications.Query{Hub: hub, After: after, Memberships: s.memberships(t, c)})
	if err != nil || page.UpTo != s.log.State().Last {
		t.Fatalf("read after %d: up to %d, error %v", after, page.UpTo, err)
	}
	var all []notifications.Position
	for _, e := range page.Entries {
		all = append(all, e.Position)
	}
	return all
}

func (s *sim) memberships(t *rapid.T, c *conn) []notifications.Membership {
	t.Helper()
	state := s.state(t)
	all := state.Memberships("ann", state.Effective(c.token.Roles, c.token.IssuedAt), s.clock)
	for name, since := range c.groups {
		all = append(all, notifications.Membership{Recipient: notifications.ToGroup(name), Since: since})
	}
	return all
}

func (s *sim) silenced(e *notifications.Entry) bool {
	return s.marks.preferences.Silences(&e.Event, e.Stored) != ""
}

// give hands an event to the socket, unless it is muted.
func (s *sim) give(c *conn, e *notifications.Entry) {
	if s.silenced(e) {
		c.done[e.Position] = notifications.PartMuted
		return
	}
	c.done[e.Position] = notifications.PartSent
	if e.Position > s.clients[c.visit.Device].Position {
		s.clients[c.visit.Device] = e.At(s.log.State().Epoch)
	}
}

// store stores any event, or a recall of one, and tells all connections.
func (s *sim) store(t *rapid.T) {
	if len(s.facts) == universe {
		t.Skip("no room")
	}
	e := drawEvent(t, s.clock)
	if len(s.facts) > 0 && rapid.IntRange(0, 5).Draw(t, "recall") == 0 {
		earlier := rapid.SampledFrom(s.entries).Draw(t, "earlier").Event
		e.Recalls, e.Recipient = earlier.ID, earlier.Recipient
	}
	if rapid.IntRange(0, 9).Draw(t, "expired") == 0 {
		e.ExpiresAt = s.clock
	}
	e.ID = "e" + strconv.Itoa(len(s.facts)+1)
	entry := s.log.Entry(s.put(t, e))
	f := &fact{entry: entry, acked: make(map[string]time.Time), muted: s.marks.preferences.Silences(&entry.Event, entry.Stored)}
	f.addressed = s.belongs(entry, slices.Collect(maps.Keys(s.marks.roles)))
	s.facts, s.entries = append(s.facts, f), append(s.entries, entry)
	for _, c := range s.conns {
		if !c.over() {
			s.deliver(c, entry)
		}
	}
}

// deliver is what a connection does with an event that comes.
func (s *sim) deliver(c *conn, e *notifications.Entry) {
	p := e.Position
	c.loose[p] = c.lagging
	switch {
	case !s.hears(c, e):
		c.done[p] = notifications.PartNoMember
	case e.Event.Expired(s.clock):
		c.done[p] = notifications.PartExpired
		if s.silenced(e) {
			c.done[p] = notifications.PartMuted
		}
	case c.blocked:
		if !c.lagging {
			c.lagging, c.last = true, p-1
		}
		c.done[p] = notifications.PartPending
		c.loose[p] = s.silenced(e)
	default:
		s.give(c, e)
		c.last = p
	}
	s.report(c)
}

// report tells how far a connection is, if this node has it.
func (s *sim) report(c *conn) {
	if delete(s.open, c.visit.Connection); !c.away && !c.over() {
		s.open[c.visit.Connection] = c.last
	}
}

// unblock lets a connection read on from the log.
func (s *sim) unblock(t *rapid.T, c *conn) {
	c.blocked = false
	if !c.lagging {
		return
	}
	c.lagging = false
	given := s.page(t, c, c.last)
	for p := c.last + 1; p <= s.log.State().Last; p++ {
		c.loose[p] = true
		if slices.Contains(given, p) {
			s.give(c, s.log.Entry(p))
		}
	}
	c.last = s.log.State().Last
	s.report(c)
}

// connect is what hub does when a connection begins.
func (s *sim) connect(t *rapid.T) {
	device := rapid.SampledFrom([]string{"phone", "laptop", ""}).Draw(t, "device")
	for _, c := range s.conns {
		if !c.over() && c.visit.Device == device {
			s.end(c)
			s.pass(time.Millisecond)
		}
	}
	c := &conn{
		token: s.token, away: rapid.IntRange(0, 4).Draw(t, "away") == 0,
		done: make(map[notifications.Position]string), loose: make(map[notifications.Position]bool),
		visit: notifications.Visit{
			Hub: hub, User: "ann", Connection: fmt.Sprint("c", len(s.conns)+1), Device: device, Roles: s.token.Roles,
			Began: s.clock, Head: s.log.State().Last, Epoch: s.log.State().Epoch,
		},
	}
	s.pass(3 * time.Millisecond)
	s.resume(t, c)
	s.pass(2 * time.Millisecond)
	c.visit.Sent = c.visit.After
	visitors{s.cabinet}.Note(c.visit)
	s.replay(t, c)
	s.conns = append(s.conns, c)
	s.report(c)
}

// resume finds where a connection begins.
func (s *sim) resume(t *rapid.T, c *conn) {
	name := c.visit.Device
	r := notifications.ResumeRequest{Device: name, All: rapid.IntRange(0, 3).Draw(t, "all") == 0}
	if kept, has := s.clients[name]; has && rapid.Bool().Draw(t, "cursor") {
		r.Cursor = kept.String()
	}
	var known *notifications.Device
	if d, is := s.cabinet.devices[name]; is {
		known = &d
		c.groups = maps.Clone(d.Groups)
	}
	c.ever, c.left = make(map[string]bool), make(map[string]bool)
	for name := range c.groups {
		c.ever[name] = true
	}
	asker := notifications.Asker{Principal: c.token, Hub: hub, Device: name}
	if _, err := s.inboxes.Enter(t.Context(), asker); err != nil {
		t.Fatalf("enter: %v", err)
	}
	c.visit.After = r.Resolve(s.log, hub, s.memberships(t, c), known).After
	if name == "" {
		return
	}
	d := s.cabinet.devices[name]
	d.Cursor = notifications.CursorAt(s.log, c.visit.After)
	s.cabinet.Save(hub, "ann", name, d)
	if r.Cursor != "" {
		s.acknowledged(name, c.visit.After, c.visit.Began)
	}
}

func (s *sim) acknowledged(device string, upTo notifications.Position, at time.Time) {
	for _, f := range s.facts[:upTo] {
		if _, said := f.acked[device]; !said {
			f.acked[device] = at
		}
	}
}

// replay gives a connection what it has missed, and notes why not the rest.
func (s *sim) replay(t *rapid.T, c *conn) {
	given := s.page(t, c, c.visit.After)
	for _, e := range s.entries {
		p := e.Position
		at := e.Event.ExpiresAt
		c.loose[p] = at.After(c.visit.Began) && !at.After(s.clock)
		switch {
		case p <= c.visit.After:
			c.done[p] = notifications.PartBehind
		case slices.Contains(given, p):
			s.give(c, e)
		case !s.hears(c, e):
			c.done[p] = notifications.PartNoMember
		case s.silenced(e):
			c.done[p] = notifications.PartMuted
		default:
			c.done[p] = s.leftOut(e)
		}
	}
	c.last = s.log.State().Last
}

// leftOut is why a replay leaves an event out.
func (s *sim) leftOut(e *notifications.Entry) string {
	recalled, replaced := s.fate(e)
	switch {
	case e.Event.Expired(s.clock):
		return notifications.PartExpired
	case recalled != 0:
		return notifications.PartRecalled
	case replaced != 0:
		return notifications.PartCollapsed
	}
	return "left out for no reason"
}

// fate finds the positions of the recall and of the replacement of an event.
func (s *sim) fate(e *notifications.Entry) (recalled, replaced notifications.Position) {
	for _, later := range s.entries[e.Position:] {
		same := later.Event.Recipient == e.Event.Recipient && e.Event.Recalls == ""
		if same && later.Event.Recalls == e.Event.ID && recalled == 0 {
			recalled = later.Position
		}
		if same && later.Event.Recalls == "" && e.Event.CollapseKey != "" && later.Event.CollapseKey == e.Event.CollapseKey && replaced == 0 {
			replaced = later.Position
		}
	}
	return recalled, replaced
}

// change alters what is kept of the device of a connection.
func (s *sim) change(c *conn, alter func(d *notifications.Device)) {
	if c.visit.Device == "" {
		return
	}
	d := s.cabinet.devices[c.visit.Device]
	d.Groups = maps.Clone(d.Groups)
	alter(&d)
	d.Sent = max(d.Sent, c.last)
	s.cabinet.Save(hub, "ann", c.visit.Device, d)
}

// ack acknowledges one of the events that were sent.
func (s *sim) ack(t *rapid.T, c *conn) {
	var sent []notifications.Position
	for p, what := range c.done {
		if what == notifications.PartSent {
			sent = append(sent, p)
		}
	}
	if len(sent) == 0 {
		t.Skip("nothing was sent")
	}
	slices.Sort(sent)
	p := rapid.SampledFrom(sent).Draw(t, "acked")
	c.acked = max(c.acked, p)
	s.change(c, func(d *notifications.Device) {
		if p > d.Cursor.Position {
			d.Cursor, d.AckedAt = s.log.Entry(p).At(s.log.State().Epoch), s.clock
		}
	})
	s.acknowledged(c.visit.Device, p, s.clock)
}

// end ends a connection.
func (s *sim) end(c *conn) {
	c.visit.Ended, c.visit.Sent, c.visit.Acknowledged = s.clock, c.last, c.acked
	for p, what := range c.done {
		if what == notifications.PartPending {
			c.done[p] = notifications.PartNotSent
		}
	}
	s.change(c, func(*notifications.Device) {})
	visitors{s.cabinet}.Note(c.visit)
	s.report(c)
}

// act is what a connection, or its client, does.
func (s *sim) act(t *rapid.T) {
	var open []*conn
	for _, c := range s.conns {
		if !c.over() {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		t.Skip("nobody is connected")
	}
	c := rapid.SampledFrom(open).Draw(t, "connection")
	group := rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group")
	switch rapid.IntRange(0, 11).Draw(t, "what") {
	case 0, 1, 2:
		c.blocked = true
	case 3, 4:
		s.unblock(t, c)
	case 5, 6, 7:
		s.ack(t, c)
	case 8:
		if _, in := c.groups[group]; !in {
			since := s.log.State().Last
			c.groups = maps.Clone(c.groups)
			if c.groups == nil {
				c.groups = make(map[string]notifications.Position)
			}
			c.groups[group], c.ever[group] = since, true
			s.change(c, func(d *notifications.Device) { d.Groups = maps.Clone(c.groups) })
		}
	case 9:
		c.groups = maps.Clone(c.groups)
		delete(c.groups, group)
		c.left[group] = true
		s.change(c, func(d *notifications.Device) { d.Groups = maps.Clone(c.groups) })
	case 10:
		s.end(c)
	default:
		c.dead = true
		s.report(c)
	}
}

// shot is what an administrator saw of the inbox at a moment.
type shot struct {
	at    time.Time
	query notifications.InboxQuery
	pages []notifications.InboxPage
}

// look keeps what is seen of the inbox.
func (s *sim) look(t *rapid.T) {
	q, _ := drawQuery(t)
	one := shot{at: s.clock, query: q}
	walk(t, func(q notifications.InboxQuery) (notifications.InboxPage, error) {
		p, err := s.inboxes.Page(t.Context(), rootFor("ann"), q)
		one.pages = append(one.pages, p)
		return p, err
	}, q)
	s.shots = append(s.shots, one)
}

// touch marks something, or changes what ann prefers and belongs to.
func (s *sim) touch(t *rapid.T) {
	asker := notifications.Asker{Principal: s.token, Hub: hub, Device: rapid.SampledFrom([]string{"phone", "laptop", ""}).Draw(t, "device")}
	if rapid.IntRange(0, 5).Draw(t, "root") == 0 {
		asker = rootFor("ann")
	}
	group := rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group")
	ttl := time.Duration(rapid.IntRange(0, 3).Draw(t, "ttl")) * time.Minute
	mute := rapid.SampledFrom([]notifications.Mute{{Type: "order.*"}, {Type: "alert"}, {Group: "g"}}).Draw(t, "mute")
	p := notifications.Position(rapid.IntRange(1, max(1, len(s.facts))).Draw(t, "position"))
	b, root := s.inboxes, rootFor("ann")
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0, 1, 2:
		kind := rapid.SampledFrom([]notifications.ChangeKind{
			notifications.ChangeSeen, notifications.ChangeRead, notifications.ChangeUnread, notifications.ChangeArchived, notifications.ChangeUnarchived,
		}).Draw(t, "kind")
		_, _ = b.Mark(t.Context(), asker, kind, refsTo(p)) // which may be somebody else's
	case 3:
		kind := rapid.SampledFrom([]notifications.ChangeKind{notifications.ChangeAllSeen, notifications.ChangeAllRead}).Draw(t, "kind")
		_, _ = b.MarkAll(t.Context(), asker, kind, notifications.UpTo{Position: p}) // of an empty log
	case 4:
		_, _ = b.Mute(t.Context(), asker, mute)
	case 5:
		_, _ = b.Unmute(t.Context(), asker, mute)
	case 6:
		_, _ = b.AddMember(t.Context(), root, group, ttl)
	case 7:
		_, _ = b.RemoveMember(t.Context(), root, group)
	case 8:
		_, _ = b.Revoke(t.Context(), root, rapid.SampledFrom([]string{"ops", "dev"}).Draw(t, "role"))
	default:
		s.token = roles.Principal{UserID: "ann", IssuedAt: s.clock, Roles: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ops", "dev"}), 0, 2, rapid.ID).Draw(t, "roles")}
	}
}

// actions are all that may happen; between two of them some time passes.
func (s *sim) actions() map[string]func(*rapid.T) {
	later := func(action func(*rapid.T)) func(*rapid.T) {
		return func(t *rapid.T) {
			s.pass(time.Duration(rapid.SampledFrom([]int{1, 7, 900, 15_000, 61_000}).Draw(t, "ms")) * time.Millisecond)
			action(t)
		}
	}
	return map[string]func(*rapid.T){
		"store": later(s.store), "store2": later(s.store), "store3": later(s.store), "connect": later(s.connect),
		"act": later(s.act), "act2": later(s.act), "touch": later(s.touch), "touch2": later(s.touch), "look": later(s.look),
	}
}
