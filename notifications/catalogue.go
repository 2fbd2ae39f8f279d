package notifications

import (
	"context"
	"slices"
	"time"
)

// Brief is what a node knows of an entry without reading it.
type Brief struct {
	Position  Position
	Hub       string
	Stored    time.Time
	Recipient Recipient
	Type      string
	Severity  Severity
	MembersAt MembersAt
	// ExpiresAt is zero for an entry that does not expire.
	ExpiresAt time.Time
	// CollapsedBy is the position of the next entry for the same recipient with
	// the same collapse key; 0 = there is none.
	CollapsedBy Position
	// RecalledBy is the position of the entry that took this one back; 0 = none.
	RecalledBy Position
	// Recall says that the entry takes another one back: it is told and is no
	// notification itself.
	Recall bool
}

// Catalogue answers what an inbox asks of the whole log, from memory. It is
// implemented by persistence.Log and safe for concurrent use.
type Catalogue interface {
	// Brief returns false when the log does not hold an event at p. It never
	// waits for the log's server.
	Brief(p Position) (Brief, bool)
	// Walk gives yield the entries of the memberships that are before a
	// position, newest first, until it returns false; before 0 = from the end.
	// All are of one moment, in which the log ended at head. Expired, collapsed
	// and recalled entries are among them. yield must not wait. Walk never waits
	// for the log's server.
	Walk(hub string, memberships []Membership, before Position, yield func(Brief) bool) (head Position)
	// Await returns when this node has read what the log holds by now, so that
	// what it does not know does not exist. The error wraps [ErrUnavailable].
	Await(ctx context.Context) error
	// Find returns the entries of a hub that have that id and are still held,
	// oldest first. An id may have been stored twice, outside of the
	// de-duplication window.
	Find(ctx context.Context, hub, id string) ([]*Entry, error)
}

// Library is a log that can be read back and asked. persistence.Log is one.
type Library interface {
	Reader
	Catalogue
}

// Covers tells whether a member may read an entry for the recipient: one that
// was emitted after it became a member, or that is for whoever is a member when
// reading.
func (m Membership) Covers(b Brief) bool {
	return m.Recipient == b.Recipient && (b.Position > m.Since || b.MembersAt == Read)
}

// covered tells whether one of the memberships covers an entry.
func covered(memberships []Membership, b Brief) bool {
	return slices.ContainsFunc(memberships, func(m Membership) bool { return m.Covers(b) })
}
