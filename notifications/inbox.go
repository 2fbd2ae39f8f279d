package notifications

import (
	"slices"
	"time"
)

// Tally counts the notifications of an inbox that want attention.
type Tally struct {
	// Unseen is how many the user has not seen, Unread how many the user has not
	// read. What is archived counts as neither.
	Unseen int `json:"unseen"`
	Unread int `json:"unread"`
}

func (t *Tally) add(s Status, by int) {
	if s == Unseen {
		t.Unseen += by
	}
	if s == Unseen || s == Seen {
		t.Unread += by
	}
}

// Counts are the counters of an inbox. The JSON names are public API.
type Counts struct {
	Tally

	Severities BySeverity `json:"severities"`
}

// BySeverity is one tally for each severity.
type BySeverity struct {
	Info     Tally `json:"info"`
	Success  Tally `json:"success"`
	Warning  Tally `json:"warning"`
	Critical Tally `json:"critical"`
}

func (c *Counts) add(severity Severity, s Status) {
	c.Tally.add(s, 1)
	c.Severities.of(severity).add(s, 1)
}

func (b *BySeverity) of(s Severity) *Tally {
	switch s {
	case Success:
		return &b.Success
	case Warning:
		return &b.Warning
	case Critical:
		return &b.Critical
	default:
		return &b.Info
	}
}

// InboxVersion says what an inbox, or its counters, are made of. Of two answers
// to one client the newer one is that in which either number is larger; numbers
// never go back, but when the log is made anew.
type InboxVersion struct {
	// Position is the end of the log, State the user's newest change.
	Position Position `json:"position"`
	State    Version  `json:"state"`
}

// Inbox is the fold behind the counters of one user, as one token sees them: the
// log's entries for the user, seen through the user's state. [Recount] makes
// one; it is kept up to date by [Inbox.Arrive], until something happens that
// only counting anew can answer. It is not safe for concurrent use.
type Inbox struct {
	Counts  Counts
	Version InboxVersion
	// Expires is when the first of the counted entries expires; zero = none does.
	Expires time.Time
}

// Recount counts what is in the inbox of whoever has the state and belongs to
// the memberships.
func Recount(c Catalogue, hub string, memberships []Membership, s *State, now time.Time) Inbox {
	b := Inbox{Version: InboxVersion{State: s.Version}}
	// Below both marks only what was marked unread again counts, above them
	// nearly everything.
	low := min(s.SeenUpTo, s.ReadUpTo)
	b.Version.Position = c.Walk(hub, memberships, 0, func(e Brief) bool {
		if e.Position <= low {
			return false
		}
		b.count(e, s, now)
		return true
	})
	for _, p := range s.Unread.upTo(low) {
		if e, held := c.Brief(p); held && covered(memberships, e) {
			b.count(e, s, now)
		}
	}
	return b
}

func (b *Inbox) count(e Brief, s *State, now time.Time) {
	if !e.Shown(s, now) {
		return
	}
	status := s.Status(e.Position)
	b.Counts.add(e.Severity, status)
	if (status == Unseen || status == Seen) && !e.ExpiresAt.IsZero() && (b.Expires.IsZero() || e.ExpiresAt.Before(b.Expires)) {
		b.Expires = e.ExpiresAt
	}
}

// Arrive folds in the next entry for the user; entries come in growing position.
// It returns false when the inbox has to be counted anew: the entry changes what
// was counted before.
func (b *Inbox) Arrive(e *Entry, s *State, now time.Time) bool {
	if e.Position <= b.Version.Position {
		return true
	}
	if e.Event.Recalls != "" || e.Event.CollapseKey != "" {
		return false
	}
	b.Version.Position = e.Position
	b.count(Brief{
		Position: e.Position, Recipient: e.Event.Recipient, Severity: e.Event.Severity, ExpiresAt: e.Event.ExpiresAt,
	}, s, now)
	return true
}

// Shown tells whether an entry is in an inbox: one that has neither expired nor
// been taken back nor been replaced. A later entry with the same collapse key
// replaces an earlier one that is neither read nor archived. One that is read
// stays beside the later one, until everything up to the later one is marked
// read as well; one that is archived stays.
func (b Brief) Shown(s *State, now time.Time) bool {
	switch {
	case b.Recall, b.RecalledBy != 0, !b.ExpiresAt.IsZero() && !now.Before(b.ExpiresAt):
		return false
	case b.CollapsedBy == 0:
		return true
	}
	status := s.Status(b.Position)
	return status == Archived || status == WasRead && s.ReadUpTo < b.CollapsedBy
}

// The bounds of a page of an inbox.
const (
	DefaultInboxPage = 50
	MaxInboxPage     = 200
	maxFilters       = 20
)

// InboxQuery asks for a page of an inbox, newest first.
type InboxQuery struct {
	// Before is the Next of the page before; empty = from the newest.
	Before string
	// Limit is 1 to MaxInboxPage; 0 = DefaultInboxPage.
	Limit int
	// Types are types or beginnings of them ("order.*"), Severities and Statuses
	// what is wanted. Empty = all; of statuses all but archived.
	Types      []string
	Severities []Severity
	Statuses   []Status
}

// validate says which field is wrong.
func (q *InboxQuery) validate() error {
	switch {
	case q.Limit < 0 || q.Limit > MaxInboxPage:
		return unfit("limit", "want 1 to 200")
	case len(q.Types) > maxFilters:
		return unfit("types", "at most 20 are allowed")
	}
	for _, t := range q.Types {
		if t == "" || len(t) > maxType || hasControl(t) {
			return unfit("types", `want a type, or the beginning of types such as "order.*"`)
		}
	}
	for _, s := range q.Severities {
		if !slices.Contains([]Severity{Info, Success, Warning, Critical}, s) {
			return unfit("severities", `want info, success, warning or critical, got "`+clip(string(s))+`"`)
		}
	}
	for _, s := range q.Statuses {
		if !slices.Contains([]Status{Unseen, Seen, WasRead, Archived}, s) {
			return unfit("states", `want unseen, seen, read or archived, got "`+clip(string(s))+`"`)
		}
	}
	return nil
}

// wants tells whether an entry passes the filters.
func (q *InboxQuery) wants(e Brief, status Status) bool {
	switch {
	case len(q.Statuses) == 0 && status == Archived, len(q.Statuses) > 0 && !slices.Contains(q.Statuses, status):
		return false
	case len(q.Severities) > 0 && !slices.Contains(q.Severities, e.Severity):
		return false
	case len(q.Types) > 0 && !slices.ContainsFunc(q.Types, func(t string) bool { return matches(t, e.Type) }):
		return false
	}
	return true
}

// InboxItem is a notification in an inbox. The JSON names are public API.
type InboxItem struct {
	Notification

	State Status `json:"state"`
	// Muted says that the user's preferences keep it from raising an alert.
	Muted bool `json:"muted,omitempty"`
}

// InboxPage is an answer to an [InboxQuery].
type InboxPage struct {
	Items []InboxItem `json:"items"`
	// Next asks for the page behind this one; empty = this is the last.
	Next    string       `json:"next,omitempty"`
	Counts  Counts       `json:"counts"`
	Version InboxVersion `json:"version"`
}
