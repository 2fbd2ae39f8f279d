package notifications

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Records finds what is kept about an id beside the log. It is implemented by
// persistence.Audit and persistence.Log together; see cmd.
type Records interface {
	// About returns what is on record about an id, oldest first.
	About(ctx context.Context, hub, id string) ([]AuditRecord, error)
	// Rejections returns the messages of that id that the log could not read.
	Rejections(ctx context.Context, hub, id string) ([]Rejection, error)
}

// ArchivesOptions is what Archives needs. Inboxes and Devices are required, and
// an Eraser by those who erase.
type ArchivesOptions struct {
	Inboxes   *Inboxes
	Devices   Devices
	Visits    Visits
	Schedules Schedules
	Records   Records
	// Open tells how far a connection of this node was sent; false = there is no
	// such connection.
	Open func(connectionID string) (Position, bool)
	// Eraser deletes what the log holds for a user.
	Eraser Eraser
}

// Eraser deletes the personal events of a user from the log, for good. It is
// implemented by persistence.Log.
type Eraser interface {
	Erase(ctx context.Context, hub, user string) (int, error)
}

// Archives answer what has happened, and forget it when they must. Its methods
// are safe for concurrent use.
type Archives struct{ o ArchivesOptions }

// NewArchives makes the archives of a node.
func NewArchives(o ArchivesOptions) *Archives { return &Archives{o} }

// Explain says what became of the event of that id for the asker's user.
func (r *Archives) Explain(ctx context.Context, a Asker, id string) (Explanation, error) {
	b := r.o.Inboxes
	if err := b.permit(a); err != nil {
		return Explanation{}, err
	}
	if id == "" || len(id) > maxID || hasControl(id) {
		return Explanation{}, unfit("id", "want the id of an event, 1 to 128 bytes of text")
	}
	f := &Facts{Hub: a.Hub, User: a.user(), ID: id, Now: b.o.Now(), Log: b.o.Log.State(), Open: make(map[string]Position)}
	for _, gather := range []func(context.Context, *Facts) error{r.entries, r.records, r.person} {
		if err := gather(ctx, f); err != nil {
			return Explanation{}, err
		}
	}
	if !a.own() {
		b.record(a, AuditRecord{Action: AuditLooked, ID: id, Note: "explain"})
	}
	if b.o.Policy.MayManage(a.Principal) {
		return Explain(f), nil
	}
	r.hide(a, f)
	x := Explain(f)
	x.Audit = nil // who was refused what is not everybody's business
	return x, nil
}

// hide takes out of the facts what is no business of an asker who may not act
// for others: events that were neither for them nor to a recipient they may emit
// to. For them it is as if there were none.
func (r *Archives) hide(a Asker, f *Facts) {
	may := func(to Recipient) bool {
		return r.o.Inboxes.o.Policy.MayEmit(a.Principal, string(to.Kind), to.Key)
	}
	f.Rejections = nil // they do not say whom they were for
	f.Audit = slices.DeleteFunc(f.Audit, func(done AuditRecord) bool {
		return done.By != a.Principal.UserID || done.Issuer != a.Principal.Issuer
	})
	if f.Scheduled != nil && !may(f.Scheduled.Recipient) {
		f.Scheduled = nil
	}
	var entries []*Entry
	var briefs []Brief
	for i, e := range f.Entries {
		if _, why := f.addressed(f.Briefs[i]); why == "" || may(e.Event.Recipient) {
			entries, briefs = append(entries, e), append(briefs, f.Briefs[i])
		}
	}
	f.Entries, f.Briefs = entries, briefs
}

func (r *Archives) entries(ctx context.Context, f *Facts) (err error) {
	log := r.o.Inboxes.o.Log
	if err = log.Await(ctx); err != nil {
		return err
	}
	entries, err := log.Find(ctx, f.Hub, f.ID)
	for _, e := range entries {
		if brief, held := log.Brief(e.Position); held {
			f.Entries, f.Briefs = append(f.Entries, e), append(f.Briefs, brief)
		}
	}
	return err
}

func (r *Archives) records(ctx context.Context, f *Facts) (err error) {
	if r.o.Schedules != nil {
		e, waits, scheduledErr := r.o.Schedules.Scheduled(ctx, f.Hub, f.ID)
		if scheduledErr != nil {
			return scheduledErr
		}
		if waits {
			f.Scheduled = &e
		}
	}
	if r.o.Records == nil {
		return nil
	}
	if f.Audit, err = r.o.Records.About(ctx, f.Hub, f.ID); err != nil {
		return err
	}
	f.Rejections, err = r.o.Records.Rejections(ctx, f.Hub, f.ID)
	return err
}

func (r *Archives) person(ctx context.Context, f *Facts) (err error) {
	if f.Base, f.History, err = r.o.Inboxes.o.States.History(ctx, f.Hub, f.User); err != nil {
		return err
	}
	if f.Devices, err = r.o.Devices.Of(ctx, f.Hub, f.User); err != nil {
		return err
	}
	if r.o.Visits == nil {
		return nil
	}
	if f.Visits, err = r.o.Visits.Of(ctx, f.Hub, f.User); err != nil {
		return err
	}
	for _, v := range f.Visits {
		if v.Ended.IsZero() && r.o.Open != nil {
			if sent, here := r.o.Open(v.Connection); here {
				f.Open[v.Connection] = sent
			}
		}
	}
	return nil
}

// At is the inbox of a user as it was at a moment, of what the log still holds.
// The memberships are those of then; users see of their own only what they may
// read today.
func (r *Archives) At(ctx context.Context, a Asker, at time.Time, q InboxQuery) (InboxPage, error) {
	b := r.o.Inboxes
	if err := b.permit(a); err != nil {
		return InboxPage{}, err
	}
	if at.After(b.o.Now()) {
		return InboxPage{}, unfit("at", "is in the future")
	}
	if err := q.validate(); err != nil {
		return InboxPage{}, err
	}
	if !a.own() {
		b.record(a, AuditRecord{Action: AuditLooked, Note: "inbox at " + at.UTC().Format(time.RFC3339)})
	}
	base, history, err := b.o.States.History(ctx, a.Hub, a.user())
	if err != nil {
		return InboxPage{}, err
	}
	f := Facts{Log: b.o.Log.State(), Base: base, History: history}
	s := f.then(at)
	until := b.o.Log.Before(at.Add(time.Millisecond)) // what was stored in that millisecond was there
	if until == 0 || until < f.Log.First {
		return InboxPage{Items: []InboxItem{}}, nil
	}
	memberships := s.Memberships(a.user(), known(&s), at)
	if a.own() {
		today := f.then(b.o.Now())
		may := b.memberships(a, &today)
		memberships = slices.DeleteFunc(memberships, func(m Membership) bool {
			return !slices.ContainsFunc(may, func(o Membership) bool { return o.Recipient == m.Recipient })
		})
	}
	return page(ctx, b.o.Log, a.Hub, view{state: &s, memberships: memberships, now: at, until: until}, q)
}

// Erased is what was deleted of a user.
type Erased struct {
	User   string `json:"user"`
	Events int    `json:"events"`
}

// Erase deletes everything that is kept of a user in a hub, for good: personal
// events, what the user did and set, cursors and visits. What was emitted to a
// role, a group or everyone stays; so does the audit, which says that it was
// done. It may be repeated when it has failed half-way.
func (r *Archives) Erase(ctx context.Context, a Asker) (Erased, error) {
	b := r.o.Inboxes
	if err := b.manage(a); err != nil {
		return Erased{}, err
	}
	b.record(a, AuditRecord{Action: AuditErased, Note: "begun"})
	n, err := r.o.Eraser.Erase(ctx, a.Hub, a.user())
	errs := []error{err, b.o.States.Erase(ctx, a.Hub, a.user()), r.o.Devices.Erase(ctx, a.Hub, a.user())}
	if r.o.Visits != nil {
		errs = append(errs, r.o.Visits.Erase(ctx, a.Hub, a.user()))
	}
	if err := errors.Join(errs...); err != nil {
		return Erased{}, fmt.Errorf("erase: %w", err)
	}
	b.record(a, AuditRecord{Action: AuditErased, Note: fmt.Sprintf("%d events", n)})
	return Erased{User: a.user(), Events: n}, nil
}

// Export is all that is kept of a user in a hub, but for the audit. Its JSON
// names are public API.
type Export struct {
	Hub     string         `json:"hub"`
	User    string         `json:"user"`
	At      time.Time      `json:"at"`
	State   State          `json:"state"`
	Changes []ExportChange `json:"changes"`
	Devices []Device       `json:"devices"`
	Visits  []Visit        `json:"connections"`
	Events  []ExportItem   `json:"events"`
}

// ExportChange is one change of the user's, in its place.
type ExportChange struct {
	Version Version `json:"version"`

	Change
}

// ExportItem is an event that was stored for the user personally.
type ExportItem struct {
	Position Position  `json:"position"`
	Stored   time.Time `json:"stored"`
	Status   Status    `json:"status"`
	Event    Event     `json:"event"`
}

// exportPage is how many events an export reads at once.
const exportPage = 256

// Export returns all that is kept of a user in a hub, but for the audit.
func (r *Archives) Export(ctx context.Context, a Asker) (Export, error) {
	b := r.o.Inboxes
	if err := b.permit(a); err != nil {
		return Export{}, err
	}
	f := &Facts{Hub: a.Hub, User: a.user(), Now: b.o.Now(), Log: b.o.Log.State(), Open: make(map[string]Position)}
	if err := r.person(ctx, f); err != nil {
		return Export{}, err
	}
	state := f.then(f.Now)
	x := Export{
		Hub: a.Hub, User: a.user(), At: f.Now.UTC(), State: state, Changes: []ExportChange{}, Events: []ExportItem{},
		Devices: append([]Device{}, f.Devices...), Visits: append([]Visit{}, f.Visits...), // never null
	}
	for _, c := range f.History {
		x.Changes = append(x.Changes, ExportChange{c.Version, c.Change})
	}
	err := r.personal(ctx, a, func(e *Entry) {
		x.Events = append(x.Events, ExportItem{e.Position, e.Stored, state.Status(e.Position), e.Event})
	})
	if err != nil {
		return Export{}, err
	}
	b.record(a, AuditRecord{Action: AuditExported})
	return x, nil
}

// personal reads all that the log holds for the asker's user, also what was
// replaced or taken back, oldest first.
func (r *Archives) personal(ctx context.Context, a Asker, yield func(*Entry)) error {
	log := r.o.Inboxes.o.Log
	var positions []Position
	log.Walk(a.Hub, []Membership{{Recipient: ToUser(a.user())}}, 0, func(e Brief) bool {
		positions = append(positions, e.Position)
		return true
	})
	slices.Reverse(positions)
	for len(positions) > 0 {
		some := positions[:min(len(positions), exportPage)]
		page, err := log.Read(ctx, Query{Hub: a.Hub, Exact: some})
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			yield(e)
		}
		read := len(Positions(some).upTo(page.UpTo)) // the page is bounded by its bytes, too
		positions = positions[max(read, 1):]
	}
	return nil
}
