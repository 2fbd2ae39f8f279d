package notifications

import (
	"maps"
	"slices"
	"time"
)

// Version is the place of a change in the stream of states: it grows with every
// change of any user. 0 = nothing was ever changed.
type Version uint64

// State is what one user has done and set: the fold of the user's own changes.
// The zero value is that of a user of whom nothing is known. States are shared
// between goroutines and never changed in place: [State.Apply] makes a new one.
type State struct {
	// Version is that of the newest change folded in.
	Version Version `json:"version,omitempty"`
	// Epoch is that of the log the positions are of. See [State.In].
	Epoch uint64 `json:"epoch,omitempty"`
	// Everything up to SeenUpTo was seen, up to ReadUpTo read, but for Unread.
	SeenUpTo Position `json:"seenUpTo,omitempty"`
	ReadUpTo Position `json:"readUpTo,omitempty"`
	// Seen, Read and Unread are what was marked one by one, Archived what was
	// put away.
	Seen     Positions `json:"seen,omitempty"`
	Read     Positions `json:"read,omitempty"`
	Unread   Positions `json:"unread,omitempty"`
	Archived Positions `json:"archived,omitempty"`
	// Groups are those the user is a durable member of.
	Groups map[string]Term `json:"groups,omitempty"`
	// Roles holds the end of the log when the user first came with a role: what
	// was emitted before was emitted to others (see [Emit]).
	Roles map[string]Position `json:"roles,omitempty"`
	// Revoked holds when a role was taken back: tokens issued until then no
	// longer give it.
	Revoked     map[string]time.Time `json:"revoked,omitempty"`
	Preferences Preferences          `json:"preferences,omitzero"`
	// PreferencesVersion is that of the change that set them.
	PreferencesVersion Version `json:"preferencesVersion,omitempty"`
}

// Term is a durable membership.
type Term struct {
	// Since is the end of the log when it began.
	Since Position `json:"since"`
	// Until ends it; zero = never.
	Until time.Time `json:"until,omitzero"`
}

// Over tells whether the membership has ended by itself.
func (t Term) Over(at time.Time) bool { return !t.Until.IsZero() && !at.Before(t.Until) }

// ChangeKind says what a [Change] does.
type ChangeKind string

// The kinds of changes. They are stored, so they never change their meaning.
const (
	ChangeSeen        ChangeKind = "seen"        // Positions
	ChangeRead        ChangeKind = "read"        // Positions; what is read was seen
	ChangeUnread      ChangeKind = "unread"      // Positions; they stay seen, and leave the archive
	ChangeArchived    ChangeKind = "archived"    // Positions
	ChangeUnarchived  ChangeKind = "unarchived"  // Positions
	ChangeAllSeen     ChangeKind = "allSeen"     // everything up to UpTo
	ChangeAllRead     ChangeKind = "allRead"     // everything up to UpTo
	ChangePreferences ChangeKind = "preferences" // Preferences as a whole
	ChangeJoined      ChangeKind = "joined"      // Group, Since, Until
	ChangeLeft        ChangeKind = "left"        // Group
	ChangeRoles       ChangeKind = "roles"       // Roles that the user came with for the first time, Since
	ChangeRevoked     ChangeKind = "revoked"     // Roles, for tokens issued until At
)

// Change is a fact about one user: what the user did, or what was set for the
// user. Its JSON is stored and read for as long as the state is kept.
type Change struct {
	Kind ChangeKind `json:"kind"`
	// Epoch is that of the log all positions are of.
	Epoch       uint64       `json:"epoch,omitempty"`
	Positions   Positions    `json:"positions,omitempty"`
	UpTo        Position     `json:"upTo,omitempty"`
	Group       string       `json:"group,omitempty"`
	Since       Position     `json:"since,omitempty"`
	Until       time.Time    `json:"until,omitzero"`
	Roles       []string     `json:"roles,omitempty"`
	Preferences *Preferences `json:"preferences,omitempty"`
	// By is the user who made the change, when that is another one; Device is
	// the device it was made on, if it has a name.
	By     string `json:"by,omitempty"`
	Device string `json:"device,omitempty"`
	// At is when it was made, in milliseconds.
	At time.Time `json:"at"`
}

// Changed is a change in its place.
type Changed struct {
	Hub, User string
	Version   Version
	Change    Change
}

// Apply is the state after a change. A change that is folded in already leaves
// everything as it is; one of a kind this version does not know everything but
// the version and the epoch.
func (s *State) Apply(c Changed) State {
	n := *s
	if c.Version <= s.Version {
		return n
	}
	n.Version = c.Version
	if c.Change.Epoch != 0 {
		n = n.In(c.Change.Epoch)
	}
	switch c.Change.Kind {
	case ChangeSeen, ChangeRead, ChangeUnread, ChangeArchived, ChangeUnarchived, ChangeAllSeen, ChangeAllRead:
		n.mark(c.Change)
	case ChangePreferences:
		n.Preferences, n.PreferencesVersion = Preferences{}, c.Version
		if c.Change.Preferences != nil {
			n.Preferences = *c.Change.Preferences
		}
	case ChangeJoined:
		n.Groups = with(n.Groups, c.Change.Group, Term{Since: c.Change.Since, Until: c.Change.Until})
	case ChangeLeft:
		n.Groups = maps.Clone(n.Groups)
		delete(n.Groups, c.Change.Group)
	case ChangeRoles:
		for _, role := range c.Change.Roles {
			n.Roles = with(n.Roles, role, c.Change.Since)
		}
	case ChangeRevoked:
		// Whoever gets a role back has it from then on.
		n.Roles = maps.Clone(n.Roles)
		for _, role := range c.Change.Roles {
			delete(n.Roles, role)
			n.Revoked = with(n.Revoked, role, later(n.Revoked[role], c.Change.At))
		}
	}
	return n
}

// mark applies what a user did to notifications.
func (s *State) mark(c Change) {
	switch c.Kind {
	case ChangeSeen:
		s.Seen = s.Seen.union(c.Positions.after(s.SeenUpTo))
	case ChangeRead:
		s.Unread = s.Unread.less(c.Positions)
		s.Read = s.Read.union(c.Positions.after(s.ReadUpTo))
		s.Seen = s.Seen.union(c.Positions.after(s.SeenUpTo))
	case ChangeUnread:
		s.Read = s.Read.less(c.Positions)
		s.Archived = s.Archived.less(c.Positions)
		s.Unread = s.Unread.union(c.Positions.upTo(s.ReadUpTo))
		s.Seen = s.Seen.union(c.Positions.after(s.SeenUpTo))
	case ChangeArchived:
		s.Archived = s.Archived.union(c.Positions)
	case ChangeUnarchived:
		s.Archived = s.Archived.less(c.Positions)
	case ChangeAllRead:
		s.ReadUpTo = max(s.ReadUpTo, c.UpTo)
		s.Read = s.Read.after(s.ReadUpTo)
		s.Unread = s.Unread.after(c.UpTo)
		s.seenUpTo(c.UpTo)
	default: // ChangeAllSeen
		s.seenUpTo(c.UpTo)
	}
}

func (s *State) seenUpTo(p Position) {
	s.SeenUpTo = max(s.SeenUpTo, p)
	s.Seen = s.Seen.after(s.SeenUpTo)
}

// In is the state for the log of that epoch: positions of another log mean
// nothing in it, and whoever belongs to something has done so from its
// beginning.
func (s *State) In(epoch uint64) State {
	n := *s
	if s.Epoch == epoch {
		return n
	}
	n.Epoch = epoch
	n.SeenUpTo, n.ReadUpTo, n.Seen, n.Read, n.Unread, n.Archived = 0, 0, nil, nil, nil, nil
	if s.Epoch == 0 {
		return n
	}
	n.Groups = maps.Clone(s.Groups)
	for name, term := range n.Groups {
		n.Groups[name] = Term{Until: term.Until}
	}
	n.Roles = maps.Clone(s.Roles)
	for name := range n.Roles {
		n.Roles[name] = 0
	}
	return n
}

// Trim is the state without marks of what lies before first, which the log no
// longer holds.
func (s *State) Trim(first Position) State {
	n := *s
	if first == 0 {
		return n
	}
	n.Seen, n.Read = s.Seen.after(first-1), s.Read.after(first-1)
	n.Unread, n.Archived = s.Unread.after(first-1), s.Archived.after(first-1)
	return n
}

// Status says how far a user has come with one notification.
type Status string

// The statuses, in the order in which most notifications go through them.
const (
	Unseen   Status = "unseen"
	Seen     Status = "seen"
	WasRead  Status = "read"
	Archived Status = "archived"
)

// Status is that of the notification at p.
func (s *State) Status(p Position) Status {
	switch {
	case s.Archived.has(p):
		return Archived
	case s.Read.has(p), p <= s.ReadUpTo && !s.Unread.has(p):
		return WasRead
	case p <= s.SeenUpTo, s.Seen.has(p), s.Unread.has(p):
		return Seen
	}
	return Unseen
}

// Memberships are the recipients whose events a user may read, as far as the
// user is concerned: everyone, the user, the roles of a token and the groups of
// the state. Groups that one connection has joined are not among them.
func (s *State) Memberships(user string, roles []string, at time.Time) []Membership {
	all := make([]Membership, 0, 2+len(roles)+len(s.Groups))
	all = append(all, Membership{Recipient: ToEveryone()})
	if user != "" {
		all = append(all, Membership{Recipient: ToUser(user)})
	}
	for _, role := range roles {
		all = append(all, Membership{Recipient: ToRole(role), Since: s.Roles[role]})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Groups)) {
		if term := s.Groups[name]; !term.Over(at) {
			all = append(all, Membership{Recipient: ToGroup(name), Since: term.Since})
		}
	}
	return all
}

// Effective are the roles of a token that was issued then, without those that
// were taken back since.
func (s *State) Effective(roles []string, issued time.Time) []string {
	if len(s.Revoked) == 0 {
		return roles
	}
	return slices.DeleteFunc(slices.Clone(roles), func(role string) bool {
		at, revoked := s.Revoked[role]
		return revoked && !issued.After(at)
	})
}

// later keeps what was taken back so when the clocks of two nodes differ.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// with is a map with one more entry; the map it is made of is left alone.
func with[V any](m map[string]V, key string, value V) map[string]V {
	n := make(map[string]V, len(m)+1)
	maps.Copy(n, m)
	n[key] = value
	return n
}
