package notifications

import (
	"cmp"
	"slices"
	"time"
)

// DeviceOutcome is what is known of an event on a device.
type DeviceOutcome struct {
	Device string `json:"device"`
	Sent   bool   `json:"sent"`
	// Acknowledged: at AcknowledgedBy at the latest.
	Acknowledged   bool      `json:"acknowledged"`
	AcknowledgedBy time.Time `json:"acknowledgedBy,omitzero"`
}

// ConnectionPart is what one connection of the user had to do with an event.
type ConnectionPart struct {
	Connection string    `json:"connection"`
	Device     string    `json:"device,omitempty"`
	Node       string    `json:"node,omitempty"`
	Transport  string    `json:"transport,omitempty"`
	Began      time.Time `json:"began"`
	Ended      time.Time `json:"ended,omitzero"`
	// Connected says that it was connected when the event was stored, as far as is
	// known: the end of one whose node has died is not.
	Connected bool `json:"connected"`
	// Outcome is one of the outcomes of a connection.
	Outcome      string `json:"outcome"`
	Acknowledged bool   `json:"acknowledged,omitempty"`
	// Reason is why the connection has ended, such as "slow"; empty while it lasts.
	Reason string `json:"reason,omitempty"`
}

// The outcomes of a connection. They are found out from how far it has come, and
// from how things were when the event was stored or, for an event that is older
// than the connection, when the connection began.
const (
	// PartSent: it was handed to the socket. A connection whose socket was blocked
	// meanwhile has passed over what was muted, recalled, replaced or expired by
	// the time it read on, and that is not kept.
	PartSent = "sent"
	// PartBehind: the connection began to hear the log behind it, because its
	// client said that it had it, or asked for nothing older.
	PartBehind = "began behind it"
	// PartNoMember: it was not one of those who were told. A connection that has a
	// role counts as one of them from when its user has it, although its own token
	// may be one from which the role was taken back before.
	PartNoMember  = "not a member"
	PartMuted     = "muted"
	PartExpired   = "expired"
	PartRecalled  = "recalled"
	PartCollapsed = "collapsed"
	// PartNotSent: the connection ended first.
	PartNotSent = "not sent"
	PartPending = "pending"
	// PartUnknown: the connection is, or was, one of another node, which has not
	// said how far it has come.
	PartUnknown = "unknown"
)

// part is what a connection had to do with an event; false = nothing.
func (f *Facts) part(v Visit, e *Entry, b Brief) (ConnectionPart, bool) {
	if v.Epoch != f.Log.Epoch || !v.Ended.IsZero() && v.Ended.Before(e.Stored) {
		return ConnectionPart{}, false
	}
	part := ConnectionPart{
		Connection: v.Connection, Device: v.Device, Node: v.Node, Transport: v.Transport, Began: v.Began, Ended: v.Ended,
		Connected: !v.Began.After(e.Stored), Reason: v.Reason,
	}
	at := e.Stored
	if !part.Connected {
		at = v.Began
	}
	s := f.given(at)
	switch {
	case e.Position <= v.After:
		part.Outcome = PartBehind
	case !f.reaches(v, &s, b, at):
		part.Outcome = PartNoMember
	case s.Preferences.Silences(&e.Event, e.Stored) != "":
		part.Outcome = PartMuted
	case e.Event.Expired(at):
		part.Outcome = PartExpired
	case b.RecalledBy != 0 && b.RecalledBy <= v.Head:
		part.Outcome = PartRecalled
	case b.CollapsedBy != 0 && b.CollapsedBy <= v.Head:
		part.Outcome = PartCollapsed
	default:
		part.Outcome = f.sending(v, e.Position)
	}
	part.Acknowledged = part.Outcome == PartSent && v.Acknowledged >= e.Position
	return part, true
}

// sending says how far a connection has come with an event that it is sent.
func (f *Facts) sending(v Visit, p Position) string {
	open, here := f.Open[v.Connection]
	switch {
	case p <= max(v.Sent, open):
		return PartSent
	case !v.Ended.IsZero():
		return PartNotSent
	case here:
		return PartPending
	}
	return PartUnknown
}

// reaches tells whether a connection may read an event while its user is in that
// state.
func (f *Facts) reaches(v Visit, s *State, b Brief, at time.Time) bool {
	switch to := b.Recipient; to.Kind {
	case Role:
		since, known := f.inForce(v, s, to.Key, at)
		return known && slices.Contains(v.Roles, to.Key) && (Membership{to, since}).Covers(b)
	case Group:
		if term, member := s.Groups[to.Key]; member && !term.Over(at) && (Membership{to, term.Since}).Covers(b) {
			return true
		}
		return slices.ContainsFunc(f.Devices, func(d Device) bool {
			since, joined := d.Groups[to.Key]
			// What it has joined later it was not told from then on, but when it comes.
			later := b.MembersAt == Read && max(since, b.Position) <= v.Head
			return joined && d.Name == v.Device && (since < b.Position || later)
		})
	default:
		return true
	}
}

// entering is how long after its beginning a connection's roles are noted at the
// latest.
const entering = 10 * time.Second

// inForce tells since when a user in that state has a role that a connection came
// with. What the connection has come with for the first time is noted only after
// it has begun.
func (f *Facts) inForce(v Visit, s *State, role string, at time.Time) (since Position, known bool) {
	if since, known = s.Roles[role]; known {
		return since, true
	}
	for noted, later := range f.since(v.Began) {
		if since, known = later.Roles[role]; known {
			return since, !noted.Before(at) && noted.Sub(v.Began) <= entering
		}
	}
	return 0, false
}

// onDevices puts together what the connections of each device say, and what its
// cursor does.
func (f *Facts) onDevices(e *Entry, parts []ConnectionPart) []DeviceOutcome {
	var all []DeviceOutcome
	for _, d := range f.Devices {
		all = append(all, f.onDevice(&d, e.Position, parts))
	}
	slices.SortFunc(all, func(a, b DeviceOutcome) int { return cmp.Compare(a.Device, b.Device) })
	return all
}

func (f *Facts) onDevice(d *Device, p Position, parts []ConnectionPart) DeviceOutcome {
	o := DeviceOutcome{Device: d.Name}
	here := d.Cursor.Epoch == f.Log.Epoch
	var acknowledged time.Time
	for _, part := range parts {
		if part.Device != d.Name {
			continue
		}
		o.Sent = o.Sent || part.Outcome == PartSent || part.Outcome == PartUnknown && here && d.Sent >= p
		switch {
		case part.Acknowledged && !part.Ended.IsZero():
			acknowledged = earliest(acknowledged, part.Ended)
		case part.Outcome == PartBehind && !part.Connected: // it came with a cursor
			acknowledged = earliest(acknowledged, part.Began)
		}
	}
	if acknowledged.IsZero() && here && d.Cursor.Position >= p {
		acknowledged = d.AckedAt
	}
	if o.Sent && !acknowledged.IsZero() {
		o.Acknowledged, o.AcknowledgedBy = true, acknowledged
	}
	return o
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// pending says what is still to come of an event that is still told.
func (f *Facts) pending(today *State, b Brief, o StoredOutcome) []string {
	var all []string
	reads := func(v Visit) bool {
		v.Head = f.Log.Last
		return f.reaches(v, today, b, f.Now)
	}
	open := make(map[string]bool) // devices that are being sent it
	for _, part := range o.Visits {
		at := slices.IndexFunc(f.Visits, func(v Visit) bool { return v.Connection == part.Connection })
		if part.Outcome == PartPending && reads(f.Visits[at]) {
			open[part.Device] = true
			all = append(all, "connection "+part.Connection+" is being sent it")
		}
	}
	for _, d := range f.Devices {
		at := slices.IndexFunc(o.Devices, func(known DeviceOutcome) bool { return known.Device == d.Name })
		has := o.Devices[at].Sent || open[d.Name] || d.Cursor.Epoch == f.Log.Epoch && d.Cursor.Position >= b.Position
		if !has && reads(f.lastVisit(d.Name, today)) {
			all = append(all, "device "+d.Name+" hears of it when it comes back")
		}
	}
	return all
}

// lastVisit is the newest one of a device, for what it will come back with; of
// one that has none the user's roles.
func (f *Facts) lastVisit(device string, today *State) Visit {
	for _, v := range slices.Backward(f.Visits) {
		if v.Device == device {
			return v
		}
	}
	return Visit{Device: device, Roles: known(today)}
}
