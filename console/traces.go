package console

import (
	"errors"
	"log/slog"
	"time"

	"tidings/actors"
	"tidings/hub"
	"tidings/telemetry"
)

// TracesQuestion asks for traces with a span of which all that is set is true.
type TracesQuestion struct {
	// Text is a part of a name, or the value of an attribute; Method a hub method
	// such as NotificationHub/Ack, User one whose connections are known, Event an
	// id.
	Text, Service, Method, User, Event string
	Failed                             bool
	LeastMs                            float64
	Limit                              int
}

// TraceList are traces, the newest first.
type TraceList struct {
	Items []telemetry.TraceSummary `json:"items"`
	// Kept is false when this node keeps no spans.
	Kept bool `json:"kept"`
}

func (c *Console) traces(h *hub.Context, q TracesQuestion) (TraceList, error) {
	if c.o.Spans == nil {
		return TraceList{Items: []telemetry.TraceSummary{}}, nil
	}
	attributes := make(map[string][]string)
	if q.Method != "" {
		attributes["rpc.method"] = []string{q.Method}
	}
	if q.Event != "" {
		attributes["messaging.message.id"] = []string{q.Event}
	}
	if q.User != "" {
		ids, err := c.connectionsOf(h, q.User)
		if err != nil {
			return TraceList{}, err
		}
		attributes["notify.connection.id"] = ids
	}
	return TraceList{Items: c.o.Spans.Traces(telemetry.TraceQuery{
		Text: q.Text, Service: q.Service, Attributes: attributes, Failed: q.Failed, Limit: limit(q.Limit),
		Least: time.Duration(q.LeastMs * float64(time.Millisecond)),
	}), Kept: true}, nil
}

// connectionsOf are the ids of the connections that a user has or had: spans do
// not name users.
func (c *Console) connectionsOf(h *hub.Context, user string) ([]string, error) {
	var ids []string
	for _, of := range c.o.Hubs {
		page, err := of.Connections(h.Context(), actors.ConnectionQuery{User: user, Limit: maxPage})
		if err != nil {
			return nil, busy(err)
		}
		for _, i := range page.Items {
			ids = append(ids, i.ID)
		}
	}
	visits, err := c.o.Visits.Of(h.Context(), c.o.Hubs[0].Name(), user)
	for _, v := range visits {
		ids = append(ids, v.Connection)
	}
	return ids, err
}

// TraceOneQuestion names a trace.
type TraceOneQuestion struct{ ID string }

// Trace is what is kept of one: its spans, the earliest first, and its log lines.
type Trace struct {
	Spans []telemetry.Span `json:"spans"`
	Logs  []telemetry.Line `json:"logs"`
}

func (c *Console) trace(_ *hub.Context, q TraceOneQuestion) (Trace, error) {
	t := Trace{Spans: []telemetry.Span{}, Logs: c.lines(telemetry.LineQuery{Level: slog.LevelDebug, TraceID: q.ID})}
	if c.o.Spans == nil {
		return t, nil
	}
	spans, err := c.o.Spans.Trace(q.ID)
	if errors.Is(err, telemetry.ErrTraceID) {
		return t, hub.Error{Text: "Trace: " + err.Error() + "."}
	}
	t.Spans = append(t.Spans, spans...)
	return t, err
}

// LogsQuestion asks for log lines of a level ("debug", "info", "warn", "error")
// and above.
type LogsQuestion struct {
	Level, Text string
	Limit       int
}

// LogsList are log lines of the node, the newest first.
type LogsList struct {
	Items []telemetry.Line `json:"items"`
	Kept  bool             `json:"kept"`
}

func (c *Console) logs(_ *hub.Context, q LogsQuestion) (LogsList, error) {
	level := slog.LevelDebug
	if q.Level != "" && level.UnmarshalText([]byte(q.Level)) != nil {
		return LogsList{}, hub.Error{Text: "Level: want debug, info, warn or error."}
	}
	return LogsList{c.lines(telemetry.LineQuery{Level: level, Text: q.Text, Limit: limit(q.Limit)}), c.o.Lines != nil}, nil
}

func (c *Console) lines(q telemetry.LineQuery) []telemetry.Line {
	if c.o.Lines == nil {
		return []telemetry.Line{}
	}
	return append([]telemetry.Line{}, c.o.Lines.Find(q)...) // never null
}
