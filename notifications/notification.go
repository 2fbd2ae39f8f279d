package notifications

import (
	"encoding/json"
	"time"
)

// Notification is an entry as a browser hears it. Its JSON names are public
// API.
type Notification struct {
	ID          string          `json:"id"`
	Position    Position        `json:"position"`
	Cursor      string          `json:"cursor"`
	Recipient   string          `json:"recipient"`
	Replayed    bool            `json:"replayed,omitempty"`
	Type        string          `json:"type"`
	Source      string          `json:"source,omitempty"`
	Title       string          `json:"title,omitempty"`
	Body        string          `json:"body,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
	Severity    Severity        `json:"severity"`
	Link        string          `json:"link,omitempty"`
	Actions     []Action        `json:"actions,omitempty"`
	CollapseKey string          `json:"collapseKey,omitempty"`
	Recalls     string          `json:"recalls,omitempty"`
	ReplayOf    string          `json:"replayOf,omitempty"`
	ExpiresAt   time.Time       `json:"expiresAt,omitzero"`
	CreatedAt   time.Time       `json:"createdAt"`
	TraceParent string          `json:"traceparent,omitempty"`
}

// Notification is the entry for a browser, in the log of the given epoch.
func (e *Entry) Notification(epoch uint64) Notification {
	return Notification{
		ID:          e.Event.ID,
		Position:    e.Position,
		Cursor:      e.At(epoch).String(),
		Recipient:   e.Event.Recipient.String(),
		Type:        e.Event.Type,
		Source:      e.Event.Source,
		Title:       e.Event.Title,
		Body:        e.Event.Body,
		Data:        e.Event.Data,
		Severity:    e.Event.Severity,
		Link:        e.Event.Link,
		Actions:     e.Event.Actions,
		CollapseKey: e.Event.CollapseKey,
		Recalls:     e.Event.Recalls,
		ReplayOf:    e.Event.ReplayOf,
		ExpiresAt:   e.Event.ExpiresAt,
		CreatedAt:   e.Event.CreatedAt,
		TraceParent: e.Event.TraceParent,
	}
}
