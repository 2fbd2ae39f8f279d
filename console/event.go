package console

import (
	"encoding/json"
	"strings"
	"time"

	"tidings/hub"
	"tidings/notifications"
	"tidings/telemetry"
)

// EventQuestion names an event: by its position, or by its hub and id, then the
// newest one.
type EventQuestion struct {
	Position notifications.Position
	ID, Hub  string
}

// Event is all that is known of one.
type Event struct {
	Line LogLine `json:"line"`
	// Payload is the event as indented JSON.
	Payload     string                      `json:"payload"`
	RecalledBy  notifications.Position      `json:"recalledBy,omitempty"`
	CollapsedBy notifications.Position      `json:"collapsedBy,omitempty"`
	TraceID     string                      `json:"traceId,omitempty"`
	Deliveries  []Delivery                  `json:"deliveries"`
	Audit       []notifications.AuditRecord `json:"audit"`
}

// Delivery is what a span says of the delivery of an event on a node.
type Delivery struct {
	At          time.Time `json:"at"`
	Node        string    `json:"node"`
	Connections int64     `json:"connections"`
	Deferred    int64     `json:"deferred"`
	Muted       int64     `json:"muted"`
	Failed      int64     `json:"failed"`
	Offline     bool      `json:"offline"`
	Expired     bool      `json:"expired"`
	Bytes       int64     `json:"bytes"`
	P50         float64   `json:"p50Ms"`
	P99         float64   `json:"p99Ms"`
	Max         float64   `json:"maxMs"`
	TraceID     string    `json:"traceId"`
	SpanID      string    `json:"spanId"`
}

func (c *Console) event(h *hub.Context, q EventQuestion) (Event, error) {
	e, err := c.entry(h, q)
	if err != nil {
		return Event{}, err
	}
	payload, err := indented(&e.Event)
	if err != nil {
		return Event{}, err
	}
	x := Event{Line: c.line(e), Payload: payload, TraceID: traceID(e.Event.TraceParent), Deliveries: c.deliveries(e)}
	if b, held := c.o.Log.Brief(e.Position); held {
		x.RecalledBy, x.CollapsedBy = b.RecalledBy, b.CollapsedBy
	}
	if x.TraceID == "" && len(x.Deliveries) > 0 {
		x.TraceID = x.Deliveries[0].TraceID // it has begun with its delivery
	}
	audit, err := c.o.Audit.Newest(h.Context(), maxPage, func(r notifications.AuditRecord) bool {
		return r.ID == e.Event.ID && r.Hub == e.Hub
	})
	x.Audit = append([]notifications.AuditRecord{}, audit...) // never null
	return x, err
}

// indented is an event as people read it.
func indented(e *notifications.Event) (string, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it is shown as text
	encoder.SetIndent("", "  ")
	err := encoder.Encode(e)
	return strings.TrimSuffix(text.String(), "\n"), err
}

func (c *Console) entry(h *hub.Context, q EventQuestion) (*notifications.Entry, error) {
	gone := hub.Error{Text: "The log does not hold this event: it has expired, was erased, has left the retention, or never was."}
	if q.Position > 0 {
		entries, err := c.read(h.Context(), []notifications.Position{q.Position})
		if err == nil && len(entries) == 0 {
			err = gone
		}
		if err != nil {
			return nil, err
		}
		return entries[0], nil
	}
	of, err := c.find(q.Hub)
	if err != nil {
		return nil, err
	}
	entries, err := c.o.Log.Find(h.Context(), of.Name(), q.ID)
	if err == nil && len(entries) == 0 {
		err = gone
	}
	if err != nil {
		return nil, err
	}
	return entries[len(entries)-1], nil
}

// deliveries are those that are kept of an entry.
func (c *Console) deliveries(e *notifications.Entry) []Delivery {
	list := []Delivery{}
	if c.o.Spans == nil {
		return list
	}
	for _, s := range c.o.Spans.Find(telemetry.TraceQuery{Attributes: map[string][]string{
		"messaging.operation.name": {"deliver"}, "messaging.message.id": {e.Event.ID},
	}}) {
		list = append(list, c.delivery(s))
	}
	return list
}

func (c *Console) delivery(s telemetry.Found) Delivery {
	count := func(name string) int64 { n, _ := s.Attributes["notify.delivery."+name].(int64); return n }
	ms := func(name string) float64 { n, _ := s.Attributes["notify.delivery."+name].(float64); return n }
	is := func(name string) bool { b, _ := s.Attributes["notify.delivery."+name].(bool); return b }
	return Delivery{
		At: s.Start, Node: c.o.Node, Connections: count("connections"), Deferred: count("deferred"), Muted: count("muted"), Failed: count("failed"),
		Offline: is("offline"), Expired: is("expired"), Bytes: count("bytes"), P50: ms("p50_ms"), P99: ms("p99_ms"), Max: ms("max_ms"),
		TraceID: s.TraceID, SpanID: s.ID,
	}
}
