package notifications

import (
	"context"
	"errors"
	"time"
)

// ErrStale says that a state has changed since it was loaded.
var ErrStale = errors.New("the state has changed meanwhile")

// States keeps what users have done and set, as changes in a stream of their
// own. It is implemented by persistence.States and safe for concurrent use.
// Errors wrap [ErrUnavailable] when the stream cannot be reached.
type States interface {
	// Load is the state of a user as all acknowledged changes have left it; the
	// zero State when there are none.
	Load(ctx context.Context, hub, user string) (State, error)
	// Append stores a change that was decided on from that state and returns the
	// state after it. The error is [ErrStale] when another change came first.
	Append(ctx context.Context, hub, user string, from State, c Change) (State, error)
	// History returns what is still kept of a user's changes, oldest first, and
	// the state before the first of them.
	History(ctx context.Context, hub, user string) (State, []Changed, error)
	// Erase deletes everything that is kept of a user, for good.
	Erase(ctx context.Context, hub, user string) error
}

// Schedules keeps events until their time has come. It is implemented by
// persistence.Schedules.
type Schedules interface {
	// Schedule keeps e until e.NotBefore and then appends it to the log. A second
	// event of the same hub and id is not kept: the receipt says so.
	Schedule(ctx context.Context, hub string, e Event) (Receipt, error)
	// Scheduled returns false when no event of that id waits.
	Scheduled(ctx context.Context, hub, id string) (Event, bool, error)
	// Cancel forgets an event that waits; false = none did. Once it has returned
	// true the event is never appended.
	Cancel(ctx context.Context, hub, id string) (bool, error)
}

// AuditRecord is who did what to whom: an emitted event, a refusal, or an act of
// an administrator. It holds no payload.
type AuditRecord struct {
	At time.Time `json:"at"`
	// Action is the verb: see the Audit constants.
	Action string `json:"action"`
	// By is the user who acted, Issuer the issuer of the token, Via the door:
	// "http", "hub", "cli", "ops", "console".
	By     string `json:"by,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	Via    string `json:"via,omitempty"`
	Hub    string `json:"hub"`
	// Recipient and User say whom it was about.
	Recipient string   `json:"recipient,omitempty"`
	User      string   `json:"user,omitempty"`
	ID        string   `json:"id,omitempty"`
	Type      string   `json:"type,omitempty"`
	Position  Position `json:"position,omitempty"`
	// Reason says why it was refused; Note is anything else worth keeping.
	Reason string `json:"reason,omitempty"`
	Note   string `json:"note,omitempty"`
}

// The actions of an audit.
const (
	AuditEmitted   = "emitted"
	AuditScheduled = "scheduled"
	AuditRefused   = "refused"
	AuditCanceled  = "canceled"
	AuditRecalled  = "recalled"
	AuditMember    = "member"
	AuditRevoked   = "revoked"
	AuditErased    = "erased"
	AuditExported  = "exported"
	AuditReplayed  = "replayed"
	AuditLooked    = "looked" // into the inbox, or the history, of another user
	AuditClosed    = "closed" // a connection
	AuditTraced    = "traced" // what a user is sent, one by one, for a while
)

// Audit keeps records. It is implemented by persistence.Audit.
type Audit interface {
	// Record never waits: it keeps the record soon. Records that find the queue
	// full are counted and lost; the log itself still says who emitted what.
	Record(r AuditRecord)
}

// Visit is one connection of a user, from its beginning to its end. A visit is
// kept when it begins and again when it ends.
type Visit struct {
	Hub        string `json:"hub"`
	User       string `json:"user"`
	Connection string `json:"connection"`
	// Device is empty for a connection without one. Node names the process.
	Device    string    `json:"device,omitempty"`
	Node      string    `json:"node,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Roles     []string  `json:"roles,omitempty"`
	Began     time.Time `json:"began"`
	// Ended is zero while it lasts, and for ever if its node died.
	Ended  time.Time `json:"ended,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Epoch is that of the log. After is where it began to hear the log, Head the
	// end of the log at that moment, Sent the position up to which everything was
	// handed to its socket, Acknowledged the position up to which its client has
	// acknowledged everything.
	Epoch        uint64   `json:"epoch,omitempty"`
	After        Position `json:"after,omitempty"`
	Head         Position `json:"head,omitempty"`
	Sent         Position `json:"sent,omitempty"`
	Acknowledged Position `json:"acknowledged,omitempty"`
}

// Visits keeps the visits of users, for a bounded time. It is implemented by
// persistence.Visits.
type Visits interface {
	// Note never waits: it keeps the visit soon. What finds the queue full is
	// counted and lost.
	Note(v Visit)
	// Of returns the visits of a user, oldest first, the newest state of each.
	Of(ctx context.Context, hub, user string) ([]Visit, error)
	// Erase deletes the visits of a user.
	Erase(ctx context.Context, hub, user string) error
}
