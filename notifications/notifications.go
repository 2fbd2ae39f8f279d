// Package notifications holds the facts of Tidings, the rules that make new
// ones and the folds that read them.
//
// An [Event] is a fact somebody wants somebody else to know. Once the log has
// stored it, it is an [Entry]: an event with a [Position]. A [Recipient] says
// who is told, a [Cursor] how far one of them has come. [Commands] is the only
// way to make a new fact. The package imports no infrastructure: it knows
// neither sockets nor NATS nor actors.
package notifications

import (
	"context"
	"encoding/json"
	"time"
)

// DefaultHub is the hub an event belongs to when nobody names another.
const DefaultHub = "notifications"

// Position is the place of an event in the log. Positions start at 1, grow by
// at least one per event and are never reused; 0 means "before the first
// event". A hole in the positions is legitimate: an event that expired or was erased.
type Position uint64

// Entry is an event with its place in the log. Entries are shared between
// goroutines and never changed after they were made.
type Entry struct {
	Position Position
	Hub      string
	Event    Event
	// Stored is the time at which the log took the event, in milliseconds; it
	// identifies the entry together with the position (see [Cursor]).
	Stored time.Time
}

// Receipt is the log's answer to an append.
type Receipt struct {
	ID       string   `json:"id"`
	Position Position `json:"position"`
	// Duplicate says that an event of that id was already in the log, inside
	// the de-duplication window; Position is then that of the first one.
	Duplicate bool `json:"duplicate"`
	// ScheduledFor is when an event that waits will be appended, that of the
	// first one of its id. Position is then 0.
	ScheduledFor time.Time `json:"scheduledFor,omitzero"`
}

// Appender stores events. It is implemented by persistence.Log.
type Appender interface {
	// Append returns once the log has stored e durably. It waits at most as
	// long as ctx allows and returns an error that wraps [ErrUnavailable] when
	// the log cannot be reached: the caller may repeat the call with the same
	// id and will not store the event twice.
	Append(ctx context.Context, hub string, e Event) (Receipt, error)
}

// BatchAppender is an Appender that stores many events for less than one after
// the other. It is implemented by persistence.Log.
type BatchAppender interface {
	Appender
	// AppendAll stores events in their order and says what became of each, as
	// Append does. They are no transaction; one that was not answered at once may
	// end behind those that came after it.
	AppendAll(ctx context.Context, hub string, events []Event) []Outcome
}

// Outcome is what became of an event.
type Outcome struct {
	Receipt Receipt
	Err     error
}

// Membership is one recipient a reader belongs to, and since when.
type Membership struct {
	Recipient Recipient
	// Since bounds the history of a joined recipient: entries at or before it
	// are only read when their MembersAt is [Read]. 0 = from the beginning.
	Since Position
}

// Query asks for a page of the log, oldest first.
type Query struct {
	Hub         string
	After       Position
	Memberships []Membership
	// Limit bounds the entries of the page; 0 = 256.
	Limit int
	// Bytes bounds the sum of the payloads of the page, which holds at least
	// one entry if there is one; 0 = 256 KiB.
	Bytes int
	// Exact asks for the entries at these positions, in growing order, instead:
	// those that the log still holds, whoever they are for and expired or not.
	// It is for what a reader has been given before.
	Exact []Position
}

// Page is an answer to a [Query].
type Page struct {
	// Entries are those of the memberships with After < position <= UpTo, in
	// growing position; expired, replaced and recalled ones are left out.
	Entries []*Entry
	// UpTo is the position the page is complete to. A page without entries
	// whose UpTo is the end of the log says: you have everything.
	UpTo Position
	// First is the first position the log still holds. After+1 < First says
	// that entries may have been missed for good.
	First Position
}

// LogState tells where the log begins and ends.
type LogState struct {
	// Epoch identifies the log itself: another epoch means that the log was
	// made anew and its positions start over.
	Epoch uint64
	// First is the first position still held (Last+1 when the log is empty),
	// Last the newest position this node has read.
	First, Last Position
	// End is the newest position the log is known to have had, at least Last.
	// It is beyond Last while the node reads on, and when the newest events
	// have expired.
	End Position
}

// Reader reads the log back. It is implemented by persistence.Log and safe for
// concurrent use; no method opens a consumer at the log's server.
type Reader interface {
	// Read returns the next page of a query.
	Read(ctx context.Context, q Query) (Page, error)
	// State never waits.
	State() LogState
	// Before returns the newest position that was stored before t; it never
	// waits. 0 = none.
	Before(t time.Time) Position
	// Recent finds the newest n retained entries of the memberships: there are
	// found <= n of them, and they are those after that position. It never
	// waits.
	Recent(hub string, memberships []Membership, n int) (after Position, found int)
	// StoredAt returns the time at which the entry at p was stored, and false
	// when the log does not hold that position. It never waits.
	StoredAt(p Position) (time.Time, bool)
}

// Device is what the server keeps of one device of one user, so that a client
// that remembers nothing is still resumed without loss.
type Device struct {
	// Cursor is the highest one the device acknowledged.
	Cursor Cursor `json:"cursor"`
	// Groups are the groups the device joined and the position it joined at.
	Groups map[string]Position `json:"groups,omitempty"`
	// Name is the id the client gave its device.
	Name string `json:"name,omitempty"`
	// Sent is the highest position that was handed to a socket of the device, as
	// it was when it was last saved, AckedAt when it acknowledged last.
	Sent    Position  `json:"sent,omitempty"`
	AckedAt time.Time `json:"ackedAt,omitzero"`
}

// Devices keeps the state of devices. It is implemented by
// persistence.Cursors.
type Devices interface {
	// Load returns false when nothing is known of the device.
	Load(ctx context.Context, hub, user, device string) (Device, bool, error)
	// Save never waits: it keeps the newest state and writes it soon. Neither a
	// cursor nor Sent goes back within one epoch. It fills in the name.
	Save(hub, user, device string, d Device)
	// Flush writes what Save has kept of this device and waits for it.
	Flush(ctx context.Context, hub, user, device string) error
	// Of returns the devices of a user, by name.
	Of(ctx context.Context, hub, user string) ([]Device, error)
	// Erase deletes what is kept of the devices of a user. What is saved later is
	// kept again.
	Erase(ctx context.Context, hub, user string) error
}

// Batch is the next stretch of the log, as the follower of a node hands it on.
type Batch struct {
	// Entries are in growing position, of all hubs.
	Entries []*Entry
	// UpTo is the position the batch is complete to; at least that of its last
	// entry.
	UpTo Position
	// Lost says that entries before the batch were dropped by the retention of
	// the log before this node had read them: whoever is connected has to be
	// told.
	Lost bool
}

// Live is an unstored message: it has no position, is heard at most once and
// by those only who are connected.
type Live struct {
	Hub string
	To  Recipient
	// Except lists ids of connections that do not hear it.
	Except []string
	// Target is the client method that is invoked with Arguments.
	Target    string
	Arguments []json.RawMessage
	// TraceParent is the W3C context of its emitter, or empty.
	TraceParent string
}
