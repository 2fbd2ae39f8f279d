package notifications

import (
	"encoding/json"
	"time"
)

// Severity says how loud an event is; critical ones ignore mutes.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Success  Severity = "success"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// MembersAt says whose membership counts for a role or a group.
type MembersAt string

// The moments of membership.
const (
	// Emit tells who was a member when the event was emitted (alerts).
	Emit MembersAt = "emit"
	// Read tells whoever is a member when reading (announcements).
	Read MembersAt = "read"
)

// The defaults of an event's fields.
const (
	DefaultType   = "notification"
	DefaultTarget = "ReceiveNotification"
	// RecalledType and RecalledTarget are those of an event that takes another
	// one back.
	RecalledType   = "notification.recalled"
	RecalledTarget = "NotificationRecalled"
)

// Action is something a person can do about an event.
type Action struct {
	Label string `json:"label"`
	// Link is http(s): or relative; Method is a hub method. One of the two.
	Link   string `json:"link,omitempty"`
	Method string `json:"method,omitempty"`
}

// Event is one notification: a fact for a recipient. The JSON names are public
// API (docs/guides/events.md); an Event read by [ReadEvent] or completed by
// [Event.Complete] has all its defaults set.
type Event struct {
	// ID is unique per event and at most 128 bytes. Appending an id twice
	// inside the de-duplication window (2 min) stores it once.
	ID        string    `json:"id,omitempty"`
	Recipient Recipient `json:"recipient,omitzero"`
	// Type is a dotted category of at most 200 bytes, for example
	// "order.shipped".
	Type string `json:"type,omitempty"`
	// Source is the emitter's name or URI.
	Source string `json:"source,omitempty"`
	// Target is the client method that is invoked.
	Target string `json:"target,omitempty"`
	// Title and Body are plain text for people.
	Title string `json:"title,omitempty"`
	Body  string `json:"body,omitempty"`
	// Data is for programs and delivered untouched.
	Data     json.RawMessage `json:"data,omitempty"`
	Severity Severity        `json:"severity,omitempty"`
	// Link is http(s): or relative.
	Link    string   `json:"link,omitempty"`
	Actions []Action `json:"actions,omitempty"`
	// CollapseKey: a later event of the same key replaces an unread earlier
	// one. At most 128 bytes.
	CollapseKey string `json:"collapseKey,omitempty"`
	// Recalls is the id of an event for the same recipient that this one takes
	// back. Such an event is no notification itself; its collapse key means
	// nothing. At most 128 bytes.
	Recalls string `json:"recalls,omitempty"`
	// ReplayOf is the place, "<hub>/<position>", of the event that this one
	// repeats. At most 400 bytes.
	ReplayOf string `json:"replayOf,omitempty"`
	// ExpiresAt: not delivered or replayed from then on. Zero = never.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// NotBefore schedules the delivery. Zero = at once.
	NotBefore time.Time `json:"notBefore,omitzero"`
	MembersAt MembersAt `json:"membersAt,omitempty"`
	// CreatedAt has millisecond resolution.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// TraceParent and TraceState are the W3C creation context: written once by
	// the emitter, never changed.
	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
	// Emitter is the user who emitted the event, as the door knows it; the event
	// itself cannot say. Empty = it came into the log by another door.
	Emitter string `json:"-"`
}

// Expired tells whether e must no longer be delivered at that time.
func (e *Event) Expired(at time.Time) bool {
	return !e.ExpiresAt.IsZero() && !at.Before(e.ExpiresAt)
}
