package telemetry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Spans are the spans of this node, and of whoever sends it theirs, in memory:
// what operators see with nothing else installed. Three regions keep them, so
// that a flood of one kind does not push out what is rare: the newest, those that
// have failed, and the slowest of each name. It implements
// sdktrace.SpanProcessor and is safe for concurrent use.
type Spans struct {
	mu     sync.Mutex
	newest queue
	failed queue
	slow   map[string][]*span // by name, the slowest first
}

// The shares of the regions. The slowest are few: their number bounds them.
const (
	failedShare = 8 // an eighth of the whole
	slowNames   = 128
	slowEach    = 4
)

// NewSpans keeps about that many bytes.
func NewSpans(limit int) *Spans {
	return &Spans{
		newest: queue{limit: limit - limit/failedShare}, failed: queue{limit: limit / failedShare},
		slow: make(map[string][]*span),
	}
}

// span is a span as it is kept: what it is made of is not copied.
type span struct {
	trace      trace.TraceID
	id, parent trace.SpanID
	kind       trace.SpanKind
	failed     bool
	name       string
	service    string
	status     string
	start, end time.Time
	attributes []attribute.KeyValue
	links      []sdktrace.Link
	size       int
}

func (s *span) duration() time.Duration { return s.end.Sub(s.start) }

// spanOverhead is what a span takes beside its texts, attribute and link each.
const (
	spanOverhead      = 320
	attributeOverhead = 64
	linkOverhead      = 96
)

func (s *span) measure() {
	s.size = spanOverhead + len(s.name) + len(s.status) + len(s.links)*linkOverhead
	for _, a := range s.attributes {
		s.size += attributeOverhead + len(a.Key)
		if a.Value.Type() == attribute.STRING {
			s.size += len(a.Value.AsString())
		}
	}
}

// OnStart implements sdktrace.SpanProcessor.
func (*Spans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (s *Spans) OnEnd(ended sdktrace.ReadOnlySpan) {
	of := &span{
		trace: ended.SpanContext().TraceID(), id: ended.SpanContext().SpanID(), parent: ended.Parent().SpanID(),
		kind: ended.SpanKind(), failed: ended.Status().Code == codes.Error, name: ended.Name(), status: ended.Status().Description,
		start: ended.StartTime(), end: ended.EndTime(), attributes: ended.Attributes(), links: ended.Links(),
	}
	if name, is := ended.Resource().Set().Value("service.name"); is {
		of.service = name.AsString()
	}
	of.measure()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(of)
	s.addIfSlow(of)
}

// Shutdown implements sdktrace.SpanProcessor.
func (*Spans) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*Spans) ForceFlush(context.Context) error { return nil }

// keep is for spans from elsewhere.
func (s *Spans) keep(of *span) {
	of.measure()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(of)
}

func (s *Spans) add(of *span) { // mu is held
	s.newest.push(of)
	if of.failed {
		s.failed.push(of)
	}
}

// addIfSlow is for spans of this node, whose texts are short; mu is held. A new
// name takes the place of the one whose slowest span is the oldest: emitters
// choose the types of events, which are in names.
func (s *Spans) addIfSlow(of *span) {
	slowest, known := s.slow[of.name]
	if !known && len(s.slow) == slowNames {
		delete(s.slow, s.stalest())
	}
	if len(slowest) == slowEach && of.duration() <= slowest[slowEach-1].duration() {
		return
	}
	at, _ := slices.BinarySearchFunc(slowest, of, func(a, b *span) int { return cmp.Compare(b.duration(), a.duration()) })
	slowest = slices.Insert(slowest, at, of)
	s.slow[of.name] = slowest[:min(len(slowest), slowEach)]
}

func (s *Spans) stalest() (name string) {
	var ended time.Time
	for candidate, slowest := range s.slow {
		if name == "" || slowest[0].end.Before(ended) {
			name, ended = candidate, slowest[0].end
		}
	}
	return name
}

// all are the spans that are kept, the newest first, some of them twice. They
// are looked at without the lock: who has ended a span, as a delivery, must not
// wait for an operator.
func (s *Spans) all() []*span {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*span, 0, len(s.newest.spans)+len(s.failed.spans)+slowNames*slowEach)
	all = append(append(all, s.newest.spans...), s.failed.spans...)
	slices.Reverse(all[:len(s.newest.spans)])
	for _, slowest := range s.slow {
		all = append(all, slowest...)
	}
	return all
}

// Bytes is about what the newest and the failed spans take.
func (s *Spans) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest.bytes + s.failed.bytes
}

// queue keeps the newest spans, as many as fit.
type queue struct {
	limit, bytes int
	spans        []*span
}

func (q *queue) push(s *span) {
	q.spans = append(q.spans, s)
	q.bytes += s.size
	drop := 0
	for q.bytes > q.limit && drop < len(q.spans) {
		q.bytes -= q.spans[drop].size
		q.spans[drop] = nil
		drop++
	}
	// Appending to the rest makes a new array now and then.
	q.spans = q.spans[drop:]
}

// TraceQuery says which traces are wanted: those that have a span for which all
// that is set is true.
type TraceQuery struct {
	// Text is a part of the name of a span, whatever its case, or the value of
	// one of its attributes.
	Text string
	// Attributes are those that the span has, with one of these values each.
	Attributes map[string][]string
	// Service made the span.
	Service string
	// Failed spans only, and Least is how long they took at least.
	Failed bool
	Least  time.Duration
	// Limit bounds the traces, which are the newest ones. Default and most 200.
	Limit int
}

const maxTraces = 200

func (q TraceQuery) wants(s *span) bool {
	return (!q.Failed || s.failed) && s.duration() >= q.Least && (q.Service == "" || s.service == q.Service) && q.mentions(s) && s.has(q.Attributes)
}

// has tells whether a span has all attributes, with one of the values of each.
func (s *span) has(attributes map[string][]string) bool {
	for key, values := range attributes {
		if !slices.ContainsFunc(s.attributes, func(a attribute.KeyValue) bool {
			return string(a.Key) == key && slices.Contains(values, a.Value.String())
		}) {
			return false
		}
	}
	return true
}

func (q TraceQuery) mentions(s *span) bool {
	if q.Text == "" || strings.Contains(strings.ToLower(s.name), strings.ToLower(q.Text)) {
		return true
	}
	return slices.ContainsFunc(s.attributes, func(a attribute.KeyValue) bool { return a.Value.String() == q.Text })
}

// TraceSummary is one line of a list of traces.
type TraceSummary struct {
	TraceID string `json:"traceId"`
	// Name and Service are those of its first span.
	Name     string    `json:"name"`
	Service  string    `json:"service"`
	Start    time.Time `json:"start"`
	Duration float64   `json:"durationMs"`
	Spans    int       `json:"spans"`
	Failed   int       `json:"failed"`
	// Services are all that took part.
	Services []string `json:"services"`
}

// Traces lists traces, the newest first.
func (s *Spans) Traces(q TraceQuery) []TraceSummary {
	limit := min(cmp.Or(q.Limit, maxTraces), maxTraces)
	all := s.all()
	wanted := make(map[trace.TraceID]map[trace.SpanID]*span)
	for _, of := range all {
		if wanted[of.trace] == nil && len(wanted) < limit && q.wants(of) {
			wanted[of.trace] = make(map[trace.SpanID]*span)
		}
	}
	for _, of := range all {
		if spans := wanted[of.trace]; spans != nil {
			spans[of.id] = of
		}
	}
	list := make([]TraceSummary, 0, len(wanted))
	for id, spans := range wanted {
		list = append(list, summary(id, spans))
	}
	slices.SortFunc(list, func(a, b TraceSummary) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.TraceID, b.TraceID))
	})
	return list
}

func summary(id trace.TraceID, spans map[trace.SpanID]*span) TraceSummary {
	t := TraceSummary{TraceID: id.String(), Spans: len(spans), Services: []string{}}
	var first *span
	var end time.Time
	for _, s := range spans {
		if first == nil || s.start.Before(first.start) || s.start.Equal(first.start) && bytes.Compare(s.id[:], first.id[:]) < 0 {
			first = s
		}
		if s.end.After(end) {
			end = s.end
		}
		if s.failed {
			t.Failed++
		}
		if !slices.Contains(t.Services, s.service) {
			t.Services = append(t.Services, s.service)
		}
	}
	slices.Sort(t.Services)
	t.Name, t.Service, t.Start, t.Duration = first.name, first.service, first.start, milliseconds(end.Sub(first.start))
	return t
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / float64(time.Millisecond)
}

// Span is one span of a trace.
type Span struct {
	ID         string         `json:"spanId"`
	Parent     string         `json:"parentSpanId,omitempty"`
	Name       string         `json:"name"`
	Service    string         `json:"service"`
	Kind       string         `json:"kind"`
	Start      time.Time      `json:"start"`
	Duration   float64        `json:"durationMs"`
	Failed     bool           `json:"failed,omitempty"`
	Status     string         `json:"status,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Links      []Link         `json:"links,omitempty"`
}

// Link names another span that a span has to do with.
type Link struct {
	TraceID string `json:"traceId"`
	ID      string `json:"spanId"`
}

// Found is a span with the trace it is of.
type Found struct {
	TraceID string `json:"traceId"`

	Span
}

// Find returns spans for which all that is set in the query is true, the newest
// first, each once.
func (s *Spans) Find(q TraceQuery) []Found {
	limit := min(cmp.Or(q.Limit, maxTraces), maxTraces)
	seen := make(map[trace.SpanID]bool)
	found := []Found{}
	for _, of := range s.all() {
		if len(found) == limit {
			break
		}
		if !seen[of.id] && q.wants(of) {
			seen[of.id] = true
			found = append(found, Found{of.trace.String(), of.shown()})
		}
	}
	return found
}

// ErrTraceID says that something is no trace id.
var ErrTraceID = errors.New("want a trace id of 32 hexadecimal digits")

// Trace returns the spans of a trace that are still kept, the earliest first.
func (s *Spans) Trace(id string) ([]Span, error) {
	want, err := trace.TraceIDFromHex(id)
	if err != nil {
		return nil, ErrTraceID
	}
	found := make(map[trace.SpanID]*span)
	for _, of := range s.all() {
		if of.trace == want {
			found[of.id] = of
		}
	}
	spans := make([]Span, 0, len(found))
	for _, of := range found {
		spans = append(spans, of.shown())
	}
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
	return spans, nil
}

func (s *span) shown() Span {
	shown := Span{
		ID: s.id.String(), Name: s.name, Service: s.service, Kind: s.kind.String(), Start: s.start.UTC(), Duration: milliseconds(s.duration()),
		Failed: s.failed, Status: s.status,
	}
	if s.parent.IsValid() {
		shown.Parent = s.parent.String()
	}
	if len(s.attributes) > 0 {
		shown.Attributes = make(map[string]any, len(s.attributes))
	}
	for _, a := range s.attributes {
		shown.Attributes[string(a.Key)] = a.Value.AsInterface()
	}
	for _, l := range s.links {
		shown.Links = append(shown.Links, Link{l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String()})
	}
	return shown
}
