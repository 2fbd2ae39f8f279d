package notifications

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"tidings/roles"
)

// InboxesOptions is what Inboxes needs. Log and States are required.
type InboxesOptions struct {
	Log    Library
	States States
	// Policy decides who may act for others. Default roles.DefaultPolicy.
	Policy *roles.Policy
	Audit  Audit
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Inboxes is the only maker of changes: what a user does with notifications,
// what a user prefers, and what an administrator sets for a user. All doors use
// it. Its methods are safe for concurrent use.
type Inboxes struct{ o InboxesOptions }

// NewInboxes makes the inboxes of a node.
func NewInboxes(o InboxesOptions) *Inboxes {
	if o.Policy == nil {
		o.Policy = roles.DefaultPolicy()
	}
	if o.Audit == nil {
		o.Audit = noAudit{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Inboxes{o}
}

// Catalogue is what the inboxes are counted with.
func (b *Inboxes) Catalogue() Catalogue { return b.o.Log } //nolint:ireturn // the log, seen from here

type noAudit struct{}

func (noAudit) Record(AuditRecord) {}

// Asker is who acts on an inbox, and whose it is.
type Asker struct {
	Principal roles.Principal
	Hub       string
	// User owns the inbox; empty = the principal's own.
	User string
	// Device is the device it is done on, if it has a name.
	Device string
	// Via is the door, see [AuditRecord].
	Via string
}

func (a Asker) own() bool { return a.User == "" || a.User == a.Principal.UserID }

func (a Asker) user() string {
	if a.User == "" {
		return a.Principal.UserID
	}
	return a.User
}

// permit refuses whoever is nobody, and whoever acts for somebody else without
// being allowed to.
func (b *Inboxes) permit(a Asker) error {
	switch {
	case a.Principal.Anonymous():
		return fmt.Errorf("%w: an inbox needs a user", ErrForbidden)
	case !a.own() && !b.o.Policy.MayManage(a.Principal):
		return fmt.Errorf("%w: the inbox of another user", ErrForbidden)
	}
	if err := ToUser(a.user()).Validate(); err != nil {
		return unfit("user", err.Error())
	}
	return nil
}

// Enter loads the state of a user who comes with a token, and remembers roles
// that the user has come with for the first time: events that were emitted
// before were emitted to others. What a client says of itself, such as a cursor,
// proves nothing about that.
func (b *Inboxes) Enter(ctx context.Context, a Asker) (State, error) {
	return b.change(ctx, a, func(s *State) (Change, error) {
		var fresh []string
		for _, role := range s.Effective(a.Principal.Roles, a.Principal.IssuedAt) {
			if _, known := s.Roles[role]; !known {
				fresh = append(fresh, role)
			}
		}
		if len(fresh) == 0 {
			return Change{}, errNoChange
		}
		if err := b.o.Log.Await(ctx); err != nil {
			return Change{}, err
		}
		return Change{Kind: ChangeRoles, Roles: fresh, Since: b.o.Log.State().Last}, nil
	})
}

// errNoChange says that a decision has found nothing to do.
var errNoChange = errors.New("nothing to change")

// maxAttempts bounds how often a change is decided anew because another one
// came first; maxPause how long it waits before that.
const (
	maxAttempts = 32
	minPause    = time.Millisecond
	maxPause    = 50 * time.Millisecond
)

// standBack waits for a random while, longer with every attempt: who has just
// lost would lose again to whoever has the state at hand.
func standBack(ctx context.Context, attempt int) error {
	longest := min(minPause<<min(attempt, 10), maxPause)
	t := time.NewTimer(rand.N(longest)) //nolint:gosec // no secret
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change decides on a change from the newest state and stores it, again if
// another one came first.
func (b *Inboxes) change(ctx context.Context, a Asker, decide func(s *State) (Change, error)) (State, error) {
	for attempt := range maxAttempts {
		s, err := b.load(ctx, a)
		if err != nil {
			return State{}, err
		}
		c, err := decide(&s)
		switch {
		case errors.Is(err, errNoChange):
			return s, nil
		case err != nil:
			return State{}, err
		}
		c.Epoch, c.Device, c.At = s.Epoch, a.Device, b.o.Now().UTC().Truncate(time.Millisecond)
		if !a.own() {
			c.By = a.Principal.UserID
		}
		next, err := b.o.States.Append(ctx, a.Hub, a.user(), s, c)
		if !errors.Is(err, ErrStale) {
			return next, err
		}
		if err = standBack(ctx, attempt); err != nil {
			return State{}, err
		}
	}
	return State{}, fmt.Errorf("%w: the state of this user keeps changing", ErrUnavailable)
}

// load is the state as it is meant in the log of today.
func (b *Inboxes) load(ctx context.Context, a Asker) (State, error) {
	s, err := b.o.States.Load(ctx, a.Hub, a.user())
	if err != nil {
		return State{}, err
	}
	return s.In(b.o.Log.State().Epoch), nil
}

// roles are those that count for what the asker may see: of one's own inbox the
// roles of the token, of another user's those the user is known to have had.
func (b *Inboxes) roles(a Asker, s *State) []string {
	if a.own() {
		return s.Effective(a.Principal.Roles, a.Principal.IssuedAt)
	}
	return known(s)
}

// known are the roles a user is known to have, as of the state.
func known(s *State) []string {
	all := make([]string, 0, len(s.Roles))
	for role := range s.Roles {
		all = append(all, role)
	}
	slices.Sort(all)
	return all
}

func (b *Inboxes) memberships(a Asker, s *State) []Membership {
	return s.Memberships(a.user(), b.roles(a, s), b.o.Now())
}

// Page returns a page of an inbox.
func (b *Inboxes) Page(ctx context.Context, a Asker, q InboxQuery) (InboxPage, error) {
	s, err := b.see(ctx, a)
	if err != nil {
		return InboxPage{}, err
	}
	return page(ctx, b.o.Log, a.Hub, view{state: &s, memberships: b.memberships(a, &s), now: b.o.Now()}, q)
}

// Counts returns the counters of an inbox.
func (b *Inboxes) Counts(ctx context.Context, a Asker) (Inbox, error) {
	s, err := b.see(ctx, a)
	if err != nil {
		return Inbox{}, err
	}
	return Recount(b.o.Log, a.Hub, b.memberships(a, &s), &s, b.o.Now()), nil
}

// see is the state behind a look into an inbox. That into another user's is put
// on record.
func (b *Inboxes) see(ctx context.Context, a Asker) (State, error) {
	if err := b.permit(a); err != nil {
		return State{}, err
	}
	if a.own() {
		return b.Enter(ctx, a)
	}
	b.record(a, AuditRecord{Action: AuditLooked})
	return b.load(ctx, a)
}

func (b *Inboxes) record(a Asker, r AuditRecord) {
	r.At, r.By, r.Issuer, r.Via, r.Hub, r.User = b.o.Now().UTC(), a.Principal.UserID, a.Principal.Issuer, a.Via, a.Hub, a.user()
	b.o.Audit.Record(r)
}

// maxRefs bounds how many notifications one call marks.
const maxRefs = 1000

// Mark changes the status of some notifications of an inbox: kind is one of
// [ChangeSeen], [ChangeRead], [ChangeUnread], [ChangeArchived] and
// [ChangeUnarchived]. It is all or nothing: a reference to what is not in the
// inbox is an [*InvalidError] that names it.
func (b *Inboxes) Mark(ctx context.Context, a Asker, kind ChangeKind, refs []Ref) (State, error) {
	if err := b.permit(a); err != nil {
		return State{}, err
	}
	if len(refs) == 0 || len(refs) > maxRefs {
		return State{}, tooManyRefs(len(refs))
	}
	if a.own() { // what was emitted before the user came with a role is not in the inbox
		if _, err := b.Enter(ctx, a); err != nil {
			return State{}, err
		}
	}
	return b.change(ctx, a, func(s *State) (Change, error) {
		all, err := b.resolveAll(ctx, a, s, refs)
		if err != nil {
			return Change{}, err
		}
		c := Change{Kind: kind, Positions: s.without(kind, NewPositions(all...))}
		if len(c.Positions) == 0 {
			return Change{}, errNoChange
		}
		return c, nil
	})
}

// resolveAll finds what references mean; each must mean something.
func (b *Inboxes) resolveAll(ctx context.Context, a Asker, s *State, refs []Ref) ([]Position, error) {
	memberships := b.memberships(a, s)
	var all []Position
	for i, ref := range refs {
		positions, err := b.resolve(ctx, a.Hub, ref, memberships)
		if err != nil {
			return nil, err
		}
		if len(positions) == 0 {
			// It may have come from another node a moment ago.
			if err = b.o.Log.Await(ctx); err == nil {
				positions, err = b.resolve(ctx, a.Hub, ref, memberships)
			}
		}
		if err != nil {
			return nil, err
		}
		if len(positions) == 0 {
			return nil, unfit("ids["+strconv.Itoa(i)+"]", "is no notification of this inbox: "+ref.String())
		}
		all = append(all, positions...)
	}
	return all, nil
}

// without is what of a set a change would make a difference for.
func (s *State) without(kind ChangeKind, set Positions) Positions {
	return slices.DeleteFunc(set, func(p Position) bool {
		status := s.Status(p)
		switch kind {
		case ChangeSeen:
			return status != Unseen
		case ChangeRead:
			return status == WasRead || status == Archived && s.readBeneath(p)
		case ChangeUnread:
			return status == Unseen || status == Seen
		case ChangeArchived:
			return status == Archived
		default:
			return status != Archived
		}
	})
}

// readBeneath tells whether an archived one is read.
func (s *State) readBeneath(p Position) bool {
	return s.Read.has(p) || p <= s.ReadUpTo && !s.Unread.has(p)
}

// resolve finds what a reference means to a member; nothing if it means nothing.
func (b *Inboxes) resolve(ctx context.Context, hub string, ref Ref, memberships []Membership) (Positions, error) {
	var positions []Position
	if ref.Position > 0 {
		positions = []Position{ref.Position}
	} else {
		entries, err := b.o.Log.Find(ctx, hub, ref.ID)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			positions = append(positions, e.Position)
		}
	}
	return slices.DeleteFunc(positions, func(p Position) bool {
		e, held := b.o.Log.Brief(p)
		return !held || e.Recall || e.Hub != hub || !covered(memberships, e)
	}), nil
}

// MarkAll marks everything up to a place as seen or read: kind is
// [ChangeAllSeen] or [ChangeAllRead]. It is one change, whatever the number.
func (b *Inboxes) MarkAll(ctx context.Context, a Asker, kind ChangeKind, upTo UpTo) (State, error) {
	if err := b.permit(a); err != nil {
		return State{}, err
	}
	p, err := upTo.position(b.o.Log.State())
	if err != nil { // it may be a place that another node has read already
		if err = b.o.Log.Await(ctx); err == nil {
			p, err = upTo.position(b.o.Log.State())
		}
	}
	if err != nil {
		return State{}, err
	}
	return b.change(ctx, a, func(s *State) (Change, error) {
		switch {
		case kind == ChangeAllSeen && p <= s.SeenUpTo,
			kind == ChangeAllRead && p <= s.ReadUpTo && p <= s.SeenUpTo && len(s.Unread.upTo(p)) == 0:
			return Change{}, errNoChange
		}
		return Change{Kind: kind, UpTo: p}, nil
	})
}
