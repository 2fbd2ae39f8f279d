package notifications

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// Facts are all that is kept about one event and one user: what [Explain] makes
// an explanation of.
type Facts struct {
	Hub, User, ID string
	Now           time.Time
	Log           LogState
	// Entries are those of the id that the log holds, oldest first, Briefs what
	// the catalogue knows of them, in the same order.
	Entries []*Entry
	Briefs  []Brief
	// Scheduled is the event while it waits for its time, or nil. Audit is what is
	// on record about the id, Rejections what the log could not read.
	Scheduled  *Event
	Audit      []AuditRecord
	Rejections []Rejection
	// Base and History are the user's changes, see [States].
	Base    State
	History []Changed
	Devices []Device
	Visits  []Visit
	// Open holds, for connections of this node that last, the position up to which
	// everything was handed to the socket.
	Open map[string]Position

	settings []Changed // see given
}

// Rejection is a message of the log that could not be read.
type Rejection struct {
	Position Position  `json:"position"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
}

// Explanation says what became of an event for a user. Its JSON names are public
// API; texts in it are for people and may change.
type Explanation struct {
	Hub  string `json:"hub"`
	User string `json:"user"`
	ID   string `json:"id"`
	// Outcome is "stored", "scheduled", "canceled", "rejected", "refused" or
	// "unknown": nothing is kept of the id, not any more or not yet.
	Outcome string `json:"outcome"`
	// Reason says why it was rejected or refused, or is not known.
	Reason string `json:"reason,omitempty"`
	// ScheduledFor is when a scheduled event is due.
	ScheduledFor time.Time       `json:"scheduledFor,omitzero"`
	Rejections   []Rejection     `json:"rejections,omitempty"`
	Audit        []AuditRecord   `json:"audit,omitempty"`
	Events       []StoredOutcome `json:"events,omitempty"`
}

// StoredOutcome is what became of one stored event.
type StoredOutcome struct {
	Position  Position  `json:"position"`
	Stored    time.Time `json:"stored"`
	Recipient string    `json:"recipient"`
	Type      string    `json:"type"`
	Severity  Severity  `json:"severity"`
	Emitter   string    `json:"emitter,omitempty"`
	Source    string    `json:"source,omitempty"`
	// Addressed says that the user was a recipient when it was stored, or has
	// become one since if it is for whoever is a member when reading. By says by
	// which membership, Why what spoke against it when it was stored. Groups that
	// a connection has joined count if it has a device that is still in them.
	Addressed bool   `json:"addressed"`
	By        string `json:"by,omitempty"`
	Why       string `json:"why,omitempty"`
	// Muted is what kept it from raising an alert, by the preferences of when it
	// was stored.
	Muted string `json:"muted,omitempty"`
	// CollapsedInto is the position of the event that replaced it, RecalledBy that
	// of its recall; 0 = none.
	CollapsedInto Position  `json:"collapsedInto,omitempty"`
	RecalledBy    Position  `json:"recalledBy,omitempty"`
	ExpiresAt     time.Time `json:"expiresAt,omitzero"`
	Expired       bool      `json:"expired,omitempty"`
	// Status is how far the user has come with it, Acts how.
	Status  Status           `json:"status"`
	Acts    []Act            `json:"acts,omitempty"`
	Devices []DeviceOutcome  `json:"devices,omitempty"`
	Visits  []ConnectionPart `json:"connections,omitempty"`
	// Pending names what is still to come, as things are now and as far as this
	// node knows, for example devices that hear of it when they come back.
	Pending []string `json:"pending,omitempty"`
}

// Act is one change of a user's that has concerned an event.
type Act struct {
	Status Status    `json:"status"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Device string    `json:"device,omitempty"`
	By     string    `json:"by,omitempty"`
}

// Explain says what became of an event for a user. It is a function of the facts
// and of nothing else.
func Explain(f *Facts) Explanation {
	x := Explanation{Hub: f.Hub, User: f.User, ID: f.ID, Rejections: f.Rejections, Audit: f.Audit}
	for i := range f.Entries {
		x.Events = append(x.Events, f.outcome(f.Entries[i], f.Briefs[i]))
	}
	x.Outcome, x.Reason = f.accepted()
	if f.Scheduled != nil {
		x.ScheduledFor = f.Scheduled.NotBefore
	}
	return x
}

// accepted says whether the event was taken at all.
func (f *Facts) accepted() (outcome, reason string) {
	last := func(action string) *AuditRecord {
		for _, r := range slices.Backward(f.Audit) {
			if r.Action == action {
				return &r
			}
		}
		return nil
	}
	switch refused, canceled, emitted := last(AuditRefused), last(AuditCanceled), last(AuditEmitted); {
	case len(f.Entries) > 0:
		return "stored", ""
	case f.Scheduled != nil:
		return "scheduled", ""
	case len(f.Rejections) > 0:
		return "rejected", f.Rejections[len(f.Rejections)-1].Reason
	case canceled != nil:
		return "canceled", ""
	case emitted != nil:
		return "unknown", "it was stored at " + emitted.At.UTC().Format(time.RFC3339) + ", and the log does not hold it any more, or not yet"
	case refused != nil:
		return "refused", refused.Reason
	}
	return "unknown", "nothing is kept of this id: it was never accepted here, or it has left the retention"
}

// then is the user's state at a moment.
func (f *Facts) then(at time.Time) State { return f.fold(f.History, at) }

func (f *Facts) fold(history []Changed, at time.Time) State {
	s := f.Base
	for _, c := range history {
		if !c.Change.At.After(at) {
			s = s.Apply(c)
		}
	}
	return s.In(f.Log.Epoch)
}

// given is the user's state at a moment but for the marks, of which there are so
// many.
func (f *Facts) given(at time.Time) State { return f.fold(f.unmarked(), at) }

func (f *Facts) unmarked() []Changed {
	if f.settings == nil {
		f.settings = []Changed{}
		for _, c := range f.History {
			switch c.Change.Kind {
			case ChangeSeen, ChangeRead, ChangeUnread, ChangeArchived, ChangeUnarchived, ChangeAllSeen, ChangeAllRead:
			default:
				f.settings = append(f.settings, c)
			}
		}
	}
	return f.settings
}

// since are the user's states from a moment up to now, but for the marks, each
// with when it began.
func (f *Facts) since(at time.Time) iter.Seq2[time.Time, State] {
	return func(yield func(time.Time, State) bool) {
		if !yield(at, f.given(at)) {
			return
		}
		s := f.Base
		for _, c := range f.unmarked() {
			s = s.Apply(c)
			if c.Change.At.After(at) && !c.Change.At.After(f.Now) && !yield(c.Change.At, s.In(f.Log.Epoch)) {
				return
			}
		}
	}
}

func (f *Facts) outcome(e *Entry, b Brief) StoredOutcome {
	then, today := f.given(e.Stored), f.given(f.Now)
	o := StoredOutcome{
		Position: e.Position, Stored: e.Stored, Recipient: e.Event.Recipient.String(), Type: e.Event.Type, Severity: e.Event.Severity,
		Emitter: e.Event.Emitter, Source: e.Event.Source, ExpiresAt: e.Event.ExpiresAt, Expired: e.Event.Expired(f.Now),
		CollapsedInto: b.CollapsedBy, RecalledBy: b.RecalledBy,
	}
	o.Acts, o.Status = f.acts(e.Position)
	o.By, o.Why = f.addressed(b)
	o.Addressed = o.Why == ""
	if !o.Addressed {
		o.Acts = nil
		return o
	}
	o.Muted = then.Preferences.Silences(&e.Event, e.Stored)
	for _, v := range f.Visits {
		if part, concerns := f.part(v, e, b); concerns {
			o.Visits = append(o.Visits, part)
		}
	}
	o.Devices = f.onDevices(e, o.Visits)
	if !o.Expired && b.RecalledBy == 0 && b.CollapsedBy == 0 && today.Preferences.Silences(&e.Event, e.Stored) == "" {
		o.Pending = f.pending(&today, b, o)
	}
	return o
}

// addressed tells by which membership a user was, or has become, a recipient, or
// why not. A membership begins at a position: one that was given in the moment
// in which the event was stored may be an instant younger than it and count.
func (f *Facts) addressed(b Brief) (by, why string) {
	for at, s := range f.since(b.Stored) {
		is, not := f.recipient(&s, b, at)
		if not == "" {
			return is, ""
		}
		why = cmp.Or(why, not)
	}
	return "", why
}

// recipient tells by which membership a user in that state was a recipient, or
// why not.
func (f *Facts) recipient(s *State, b Brief, at time.Time) (by, why string) {
	switch to := b.Recipient; to.Kind {
	case Everyone:
		return to.String(), ""
	case User:
		if to.Key == f.User {
			return to.String(), ""
		}
		return "", "it is for another user"
	case Role:
		since, known := s.Roles[to.Key]
		revoked, was := s.Revoked[to.Key]
		switch {
		case !known && was && !at.Before(revoked):
			return "", "the role " + to.Key + " had been taken back"
		case !known:
			return "", "the user had never come with the role " + to.Key
		case !(Membership{to, since}).Covers(b):
			return "", "the user came with the role " + to.Key + " for the first time after it was emitted"
		}
		return to.String(), ""
	default:
		return f.inGroup(s, b, at)
	}
}

func (f *Facts) inGroup(s *State, b Brief, at time.Time) (by, why string) {
	group := b.Recipient.Key
	term, member := s.Groups[group]
	if member && !term.Over(at) && (Membership{b.Recipient, term.Since}).Covers(b) {
		return b.Recipient.String(), ""
	}
	for _, d := range f.Devices {
		if since, joined := d.Groups[group]; joined && (Membership{b.Recipient, since}).Covers(b) {
			return b.Recipient.String() + " (joined by device " + d.Name + ")", ""
		}
	}
	switch {
	case member && term.Over(at):
		return "", "the membership of " + group + " had ended"
	case member:
		return "", "the user became a member of " + group + " after it was emitted"
	}
	return "", "the user was no member of " + group + ", as far as is kept: groups that a connection has joined are, while its device is in them"
}

// acts are the changes that have moved the status of an event, and how far the
// user has come with it.
func (f *Facts) acts(p Position) ([]Act, Status) {
	s := f.Base
	here := s.In(f.Log.Epoch)
	var acts []Act
	for _, c := range f.History {
		before := here.Status(p)
		if c.Change.Positions.has(p) {
			c.Change.Positions = Positions{p} // to fold in the others takes time and changes nothing
		} else {
			c.Change.Positions = nil
		}
		s = s.Apply(c)
		here = s.In(f.Log.Epoch) // marks of another log are of other events
		if after := here.Status(p); after != before {
			acts = append(acts, Act{Status: after, At: c.Change.At, Kind: string(c.Change.Kind), Device: c.Change.Device, By: c.Change.By})
		}
	}
	return acts, here.Status(p)
}
