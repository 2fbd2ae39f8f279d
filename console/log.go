package console

import (
	"context"
	"slices"
	"strings"
	"time"

	"tidings/hub"
	"tidings/notifications"
)

// LogQuestion asks for events of the log. Of what is set all must be true; Type
// may be the beginning of types ("order.*"), Text a part of the title, of the
// type or of the source, or the id.
type LogQuestion struct {
	Hub, Recipient, User, Type, Text, Emitter, Severity string
	// Before is the position to begin before; 0 = from the end.
	Before notifications.Position
	Limit  int
}

// LogList are events, the newest first.
type LogList struct {
	Items []LogLine `json:"items"`
	// Next is where to go on; 0 = there is nothing more.
	Next notifications.Position `json:"next,omitempty"`
	// First and Last are the ends of the log, SearchedTo is how far back this
	// search has looked.
	First      notifications.Position `json:"first"`
	Last       notifications.Position `json:"last"`
	SearchedTo notifications.Position `json:"searchedTo"`
}

// LogLine is an event in a list.
type LogLine struct {
	Position  notifications.Position `json:"position"`
	Hub       string                 `json:"hub"`
	ID        string                 `json:"id"`
	Stored    time.Time              `json:"stored"`
	Recipient string                 `json:"recipient"`
	Type      string                 `json:"type"`
	Title     string                 `json:"title"`
	Severity  notifications.Severity `json:"severity"`
	Emitter   string                 `json:"emitter,omitempty"`
	Source    string                 `json:"source,omitempty"`
	TraceID   string                 `json:"traceId,omitempty"`
	Expired   bool                   `json:"expired"`
	Recalls   string                 `json:"recalls,omitempty"`
	ReplayOf  string                 `json:"replayOf,omitempty"`
}

func (c *Console) line(e *notifications.Entry) LogLine {
	return LogLine{
		Position: e.Position, Hub: e.Hub, ID: e.Event.ID, Stored: e.Stored, Recipient: e.Event.Recipient.String(), Type: e.Event.Type,
		Title: e.Event.Title, Severity: e.Event.Severity, Emitter: e.Event.Emitter, Source: e.Event.Source,
		TraceID: traceID(e.Event.TraceParent), Expired: e.Event.Expired(c.o.Now()), Recalls: e.Event.Recalls, ReplayOf: e.Event.ReplayOf,
	}
}

// traceID is that of a traceparent (W3C Trace Context §3.2.2), or empty.
func traceID(parent string) string {
	parts := strings.Split(parent, "-")
	if len(parts) < 4 || len(parts[1]) != 32 {
		return ""
	}
	return parts[1]
}

// filter is what is wanted of the log, ready to be asked.
type filter struct {
	hub, typ, text, emitter string
	severity                notifications.Severity
	to                      *notifications.Recipient
}

func (q LogQuestion) filter() (filter, error) {
	f := filter{hub: q.Hub, typ: q.Type, text: strings.ToLower(q.Text), emitter: q.Emitter, severity: notifications.Severity(q.Severity)}
	switch {
	case q.Recipient != "":
		to, err := notifications.ParseRecipient(q.Recipient)
		if err != nil {
			return f, hub.Error{Text: "Recipient: " + err.Error()}
		}
		f.to = &to
	case q.User != "":
		to := notifications.ToUser(q.User)
		f.to = &to
	}
	return f, nil
}

// brief decides on what is known without reading the event.
func (f *filter) brief(b notifications.Brief) bool {
	prefix, several := strings.CutSuffix(f.typ, "*")
	return (f.hub == "" || b.Hub == f.hub) && (f.to == nil || *f.to == b.Recipient) && (f.severity == "" || b.Severity == f.severity) &&
		(f.typ == "" || b.Type == f.typ || several && strings.HasPrefix(b.Type, prefix))
}

func (f *filter) entry(e *notifications.Entry) bool {
	if f.emitter != "" && e.Event.Emitter != f.emitter {
		return false
	}
	holds := func(text string) bool { return strings.Contains(strings.ToLower(text), f.text) }
	return f.text == "" || strings.ToLower(e.Event.ID) == f.text || holds(e.Event.Title) || holds(e.Event.Type) || holds(e.Event.Source)
}

func (f *filter) wants(e *notifications.Entry) bool {
	return f.brief(notifications.Brief{Hub: e.Hub, Recipient: e.Event.Recipient, Severity: e.Event.Severity, Type: e.Event.Type}) && f.entry(e)
}

// The bounds of one search: positions that are looked at, events that are read,
// and how many of them at once.
const (
	searchPositions = 500_000
	searchReads     = 5000
	searchChunk     = 250
)

func (c *Console) log(h *hub.Context, q LogQuestion) (LogList, error) {
	f, err := q.filter()
	if err != nil {
		return LogList{}, err
	}
	state := c.o.Log.State()
	first := max(state.First, 1)
	s := search{
		console: c, filter: f, most: limit(q.Limit), at: state.Last + 1,
		list: LogList{Items: []LogLine{}, First: state.First, Last: state.Last},
	}
	if q.Before > 0 {
		s.at = min(s.at, q.Before)
	}
	s.until = max(s.at-min(s.at, searchPositions), first)
	for s.at > s.until && s.reads < searchReads && len(s.list.Items) < s.most {
		if err := s.step(h.Context()); err != nil {
			return s.list, err
		}
	}
	s.list.SearchedTo = s.at
	if s.at > first {
		s.list.Next = s.at
	}
	return s.list, nil
}

// search is a search of the log that is under way.
type search struct {
	console *Console
	filter  filter
	most    int // lines that are wanted
	list    LogList
	// at is the last position that was looked at, until the one where it ends;
	// reads are the events that were read.
	at, until notifications.Position
	reads     int
}

// step looks at the next positions.
func (s *search) step(ctx context.Context) error {
	entries, err := s.console.read(ctx, s.candidates())
	for _, e := range entries {
		if s.filter.entry(e) {
			s.list.Items = append(s.list.Items, s.console.line(e))
		}
		if len(s.list.Items) == s.most {
			s.at = e.Position
			return nil
		}
	}
	return err
}

// candidates are positions whose events may be wanted, newest first.
func (s *search) candidates() []notifications.Position {
	var found []notifications.Position
	for s.at > s.until && len(found) < searchChunk {
		s.at--
		if b, held := s.console.o.Log.Brief(s.at); held && s.filter.brief(b) {
			found = append(found, s.at)
		}
	}
	s.reads += len(found)
	return found
}

// read returns what the log holds at positions, newest first, which they are,
// too.
func (c *Console) read(ctx context.Context, found []notifications.Position) ([]*notifications.Entry, error) {
	oldestFirst := slices.Clone(found)
	slices.Reverse(oldestFirst)
	var entries []*notifications.Entry
	for len(oldestFirst) > 0 {
		page, err := c.o.Log.Read(ctx, notifications.Query{Exact: oldestFirst})
		if err != nil {
			return nil, err
		}
		entries = append(entries, page.Entries...)
		read, _ := slices.BinarySearch(oldestFirst, page.UpTo+1)
		oldestFirst = oldestFirst[max(read, 1):]
	}
	slices.Reverse(entries)
	return entries, nil
}
