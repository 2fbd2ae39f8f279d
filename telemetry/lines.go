package telemetry

import (
	"cmp"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// DefaultLineBytes is the memory of [Lines] whose limit is 0.
const DefaultLineBytes = 1 << 20

// Lines are the newest log lines of this process, in memory: those of level Info
// and above, whatever is written elsewhere. It implements slog.Handler and is safe
// for concurrent use; who looks at them does not hold up who logs.
type Lines struct {
	logged

	limit int

	mu    sync.Mutex // guards all below
	kept  []*line    // the oldest first
	bytes int
}

// NewLines keeps about that many bytes; 0 = [DefaultLineBytes].
func NewLines(limit int) *Lines {
	l := &Lines{limit: cmp.Or(limit, DefaultLineBytes)}
	l.to = l
	return l
}

// line is a log line as it is kept. It is never changed.
type line struct {
	at         time.Time
	level      slog.Level
	message    string
	attributes []field
	span       trace.SpanContext
	size       int
}

// field is an attribute of a line; the names of its groups are in front of its
// own, with dots between.
type field struct {
	name  string
	value any // bool, int64, uint64, float64, or a text
}

// lineOverhead is what a line takes beside its texts, fieldOverhead each of its
// attributes.
const (
	lineOverhead  = 200
	fieldOverhead = 56
)

func (l *Lines) keep(of *line) {
	of.size = lineOverhead + len(of.message)
	for _, f := range of.attributes {
		of.size += fieldOverhead + len(f.name)
		if text, is := f.value.(string); is {
			of.size += len(text)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, of)
	l.bytes += of.size
	drop := 0
	for l.bytes > l.limit && drop < len(l.kept) {
		l.bytes -= l.kept[drop].size
		l.kept[drop] = nil
		drop++
	}
	l.kept = l.kept[drop:] // appending to the rest makes a new array now and then
}

// Bytes is about what the lines take.
func (l *Lines) Bytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// all are the lines that are kept, the oldest first. They are looked at without
// the lock.
func (l *Lines) all() []*line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}

// LineQuery says which lines are wanted: those for which all that is set is true.
type LineQuery struct {
	// Level is the least; what is below Info is not kept.
	Level slog.Level
	// Text is a part of the message or of the value of an attribute, whatever its
	// case.
	Text string
	// TraceID is that of the span a line belongs to, 32 hexadecimal digits.
	TraceID string
	// Limit bounds the lines, which are the newest ones. Default 200, most 1,000.
	Limit int
}

const (
	defaultFound = 200
	maxFound     = 1000
)

func (q LineQuery) wants(of *line, text string) bool {
	if of.level < q.Level || q.TraceID != "" && !strings.EqualFold(q.TraceID, of.span.TraceID().String()) {
		return false
	}
	return text == "" || of.mentions(text)
}

// mentions looks for a text, which is in lower case.
func (l *line) mentions(text string) bool {
	if strings.Contains(strings.ToLower(l.message), text) {
		return true
	}
	return slices.ContainsFunc(l.attributes, func(f field) bool {
		return strings.Contains(strings.ToLower(fmt.Sprint(f.value)), text)
	})
}

// Line is a log line.
type Line struct {
	At time.Time `json:"at"`
	// Level is written INFO, WARN or ERROR.
	Level   slog.Level `json:"level"`
	Message string     `json:"message"`
	// Attributes in groups have the names of these in front, as in "request.path".
	// A value is a text of at most 1 KiB, a number or a bool.
	Attributes map[string]any `json:"attributes,omitempty"`
	// TraceID and SpanID are of the span that it belongs to, or empty.
	TraceID string `json:"traceId,omitempty"`
	SpanID  string `json:"spanId,omitempty"`
}

// Find lists lines, the newest first.
func (l *Lines) Find(q LineQuery) []Line {
	limit, text := min(cmp.Or(max(q.Limit, 0), defaultFound), maxFound), strings.ToLower(q.Text)
	found := []Line{}
	for _, of := range slices.Backward(l.all()) {
		if len(found) == limit {
			break
		}
		if q.wants(of, text) {
			found = append(found, of.shown())
		}
	}
	return found
}

func (l *line) shown() Line {
	shown := Line{At: l.at.UTC(), Level: l.level, Message: l.message}
	if len(l.attributes) > 0 {
		shown.Attributes = make(map[string]any, len(l.attributes))
	}
	for _, f := range l.attributes {
		shown.Attributes[f.name] = f.value
	}
	if l.span.IsValid() {
		shown.TraceID, shown.SpanID = l.span.TraceID().String(), l.span.SpanID().String()
	}
	return shown
}

// logged is a logger's way to the lines, with what With and WithGroup have added.
type logged struct {
	to     *Lines
	with   []field
	groups string // the names of the open groups, each with a dot behind
}

// Enabled implements slog.Handler.
func (logged) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h logged) Handle(ctx context.Context, r slog.Record) error {
	of := &line{
		at: r.Time, level: r.Level, message: clip(r.Message), span: trace.SpanContextFromContext(ctx),
		attributes: slices.Clone(h.with),
	}
	r.Attrs(func(a slog.Attr) bool {
		of.attributes = appendFields(of.attributes, h.groups, a)
		return true
	})
	h.to.keep(of)
	return nil
}

// WithAttrs implements slog.Handler.
func (h logged) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.with = slices.Clone(h.with)
	for _, a := range attrs {
		h.with = appendFields(h.with, h.groups, a)
	}
	return h
}

// WithGroup implements slog.Handler.
func (h logged) WithGroup(name string) slog.Handler {
	if name != "" {
		h.groups += name + "."
	}
	return h
}

// appendFields makes fields of an attribute, as many as are good. What a value
// says of itself for the log (slog.LogValuer) is what is kept of it.
func appendFields(fields []field, groups string, a slog.Attr) []field {
	value := a.Value.Resolve()
	if len(fields) >= takenAttributes || a.Key == "" && value.Kind() != slog.KindGroup {
		return fields
	}
	if value.Kind() != slog.KindGroup {
		return append(fields, field{clip(groups + a.Key), plain(value)})
	}
	if a.Key != "" {
		groups += a.Key + "."
	}
	for _, inner := range value.Group() {
		fields = appendFields(fields, groups, inner)
	}
	return fields
}

// plain is a value in memory of its own.
func plain(v slog.Value) any {
	switch v.Kind() {
	case slog.KindBool:
		return v.Bool()
	case slog.KindInt64:
		return v.Int64()
	case slog.KindUint64:
		return v.Uint64()
	case slog.KindFloat64:
		return finite(v.Float64())
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case slog.KindAny:
		return clip(textOf(v.Any()))
	default: // a text or a duration
		return clip(v.String())
	}
}

// finite is a number that JSON can say, or its text.
func finite(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return f
}

// textOf is what a value says of itself. One that says nothing is written as JSON,
// so that what is not exported stays inside.
func textOf(value any) (text string) {
	defer func() {
		if recover() != nil { // a nil pointer, as it mostly is
			text = fmt.Sprintf("!%T", value)
		}
	}()
	switch v := value.(type) {
	case nil:
		return "null"
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case encoding.TextMarshaler:
		if encoded, err := v.MarshalText(); err == nil {
			return string(encoded)
		}
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%T", value)
	}
	return string(encoded)
}
