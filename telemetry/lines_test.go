package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"tidings/telemetry"
)

// hidden is a secret that says nothing of itself.
type hidden struct{ secret string }

func (hidden) LogValue() slog.Value { return slog.StringValue("[hidden]") }

// closed is a value with a secret and nothing that speaks for it.
type closed struct {
	secret string
	Shown  int
}

// nobody panics when it is asked.
type nobody struct{ name string }

func (n *nobody) String() string { return n.name }

// both are a logger and its lines.
func both(limit int, level slog.Level) (*slog.Logger, *telemetry.Lines, *strings.Builder) {
	var out strings.Builder
	lines := telemetry.NewLines(limit)
	return telemetry.NewLogger(&out, "json", level, lines), lines, &out
}

func messages(found []telemetry.Line) string {
	var all []string
	for _, l := range found {
		all = append(all, l.Message)
	}
	return strings.Join(all, " ")
}

// Lines of level Info and above are kept, whatever is written; what is written does
// not depend on what is kept.
func TestLinesAreKept(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelError} {
		logger, lines, out := both(0, level)
		logger.Debug("one")
		logger.Info("two")
		logger.Warn("three")
		logger.Error("four")
		if got := messages(lines.Find(telemetry.LineQuery{Level: slog.LevelDebug})); got != "four three two" {
			t.Errorf("kept: got %q, want four three two", got)
		}
		if want := map[slog.Level]int{slog.LevelDebug: 4, slog.LevelError: 1}[level]; strings.Count(out.String(), "\n") != want {
			t.Errorf("written: got\n%swant %d lines", out, want)
		}
	}
}

func TestLinesAreFound(t *testing.T) {
	logger, lines, _ := both(0, slog.LevelInfo)
	ctx, span := sdktrace.NewTracerProvider().Tracer("t").Start(t.Context(), "s")
	defer span.End()
	id := span.SpanContext().TraceID().String()
	logger.InfoContext(ctx, "connection opened", slog.String("user", "ann"))
	logger.With(slog.String("connection_id", "c1")).WarnContext(ctx, "protocol error", slog.Any("error", errors.New("bad record")))
	logger.Error("method failed", slog.Int("attempt", 17))
	for _, test := range []struct {
		name  string
		query telemetry.LineQuery
		want  string
	}{
		{"all", telemetry.LineQuery{}, "method failed protocol error connection opened"},
		{"a level", telemetry.LineQuery{Level: slog.LevelWarn}, "method failed protocol error"},
		{"a text of the message", telemetry.LineQuery{Text: "FAILED"}, "method failed"},
		{"a text of an attribute", telemetry.LineQuery{Text: "bad rec"}, "protocol error"},
		{"an attribute of the logger", telemetry.LineQuery{Text: "c1"}, "protocol error"},
		{"a number", telemetry.LineQuery{Text: "17"}, "method failed"},
		{"a trace", telemetry.LineQuery{TraceID: strings.ToUpper(id)}, "protocol error connection opened"},
		{"all of it", telemetry.LineQuery{TraceID: id, Level: slog.LevelWarn, Text: "error"}, "protocol error"},
		{"nothing", telemetry.LineQuery{Text: "bob"}, ""},
		{"one", telemetry.LineQuery{Limit: 1}, "method failed"},
	} {
		if got := messages(lines.Find(test.query)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	found := lines.Find(telemetry.LineQuery{Text: "opened"})[0]
	if found.TraceID != id || found.SpanID != span.SpanContext().SpanID().String() {
		t.Errorf("got span %s %s, want %s", found.TraceID, found.SpanID, id)
	}
	if none := lines.Find(telemetry.LineQuery{Text: "method"})[0]; none.TraceID != "" || none.SpanID != "" {
		t.Errorf("got span %s %s of a line that has none", none.TraceID, none.SpanID)
	}
}

// What a line has is written as JSON has it; secrets, and what is long, are not.
func TestLineIsJSON(t *testing.T) {
	logger, lines, _ := both(0, slog.LevelInfo)
	at := time.Date(2026, 11, 24, 22, 0, 0, 0, time.FixedZone("", 3600))
	logger.With(slog.Any("token", hidden{"secret"})).WithGroup("g").With(slog.Int("n", 1)).WithGroup("").Info(
		"hello", slog.Bool("b", true), slog.Float64("f", 1.5), slog.Float64("nan", math.NaN()), slog.Uint64("u", 7), slog.Duration("d", time.Second),
		slog.Time("t", at), slog.Any("error", errors.New("why")), slog.Any("nil", nil), slog.Any("closed", closed{"secret", 2}), slog.Any("nobody", (*nobody)(nil)),
		slog.Any("addr", netip.MustParseAddr("127.0.0.1")), slog.Any("fn", func() {}), slog.Attr{},
		slog.Group("inner", slog.Any("token", hidden{"secret"}), slog.String("long", strings.Repeat("x", 5000))),
	)
	text, err := json.Marshal(lines.Find(telemetry.LineQuery{})[0])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "secret") {
		t.Errorf("a secret is kept: %s", text)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if when, err := time.Parse(time.RFC3339, fmt.Sprint(got["at"])); err != nil || time.Since(when) > time.Minute {
		t.Errorf("at: got %v, %v", got["at"], err)
	}
	delete(got, "at")
	want := map[string]any{
		"level": "INFO", "message": "hello",
		"attributes": map[string]any{
			"token": "[hidden]", "g.n": 1.0, "g.b": true, "g.f": 1.5, "g.nan": "NaN", "g.u": 7.0, "g.d": "1s", "g.t": "2026-11-24T21:00:00Z",
			"g.error": "why", "g.nil": "null", "g.closed": `{"Shown":2}`, "g.nobody": "!*telemetry_test.nobody", "g.addr": "127.0.0.1", "g.fn": "func()",
			"g.inner.token": "[hidden]", "g.inner.long": strings.Repeat("x", 1024),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Loggers that stem from one do not change each other's attributes.
func TestLoggersAreIndependent(t *testing.T) {
	logger, lines, _ := both(0, slog.LevelInfo)
	base := logger.With(slog.Int("a", 1), slog.Int("b", 2))
	one, two := base.With(slog.Int("c", 3)), base.With(slog.Int("c", 4))
	one.Info("one", slog.Int("d", 5))
	two.Info("two", slog.Int("d", 6))
	for _, l := range lines.Find(telemetry.LineQuery{}) {
		want := map[string]any{"a": int64(1), "b": int64(2), "c": int64(3), "d": int64(5)}
		if l.Message == "two" {
			want["c"], want["d"] = int64(4), int64(6)
		}
		if diff := cmp.Diff(want, l.Attributes); diff != "" {
			t.Errorf("%s: -want +got:\n%s", l.Message, diff)
		}
	}
}

// However much is logged, by however many, the newest lines are kept in the memory
// that is given to them, and readers see whole ones.
func TestLinesAreBounded(t *testing.T) {
	const limit = 100_000
	logger, lines, _ := both(limit, slog.LevelError)
	var loggers sync.WaitGroup
	for who := range 4 {
		loggers.Go(func() {
			for i := range 2_000 {
				logger.LogAttrs(context.Background(), slog.LevelInfo, "line", slog.Int("who", who), slog.Int("i", i), slog.String("text", strings.Repeat("y", i%100)))
			}
		})
	}
	readers := make(chan struct{})
	go func() {
		defer close(readers)
		for range 200 {
			for _, l := range lines.Find(telemetry.LineQuery{Text: "line"}) {
				if len(l.Attributes) != 3 {
					t.Errorf("got %v", l.Attributes)
				}
			}
		}
	}()
	loggers.Wait()
	<-readers
	logger.Info("last")
	if got := lines.Bytes(); got > limit || got < limit*9/10 {
		t.Errorf("%d bytes are kept, want no more than %d and nearly as many", got, limit)
	}
	if got := lines.Find(telemetry.LineQuery{Limit: 100_000}); len(got) < 100 || len(got) > 1000 || got[0].Message != "last" {
		t.Errorf("got %d lines, the newest %v", len(got), got[0])
	}
	many := make([]any, 0, 500)
	for i := range 500 {
		many = append(many, slog.Int(fmt.Sprint("a", i), i))
	}
	logger.Info("many", many...)
	if got := lines.Find(telemetry.LineQuery{Limit: 1})[0]; len(got.Attributes) != 64 {
		t.Errorf("%d attributes are kept, want 64", len(got.Attributes))
	}
}
