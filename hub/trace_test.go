package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/roles"
)

// The trace context of a client.
const (
	clientTrace  = "0af7651916cd43dd8448eb211c80319c"
	clientSpan   = "00f067aa0ba902b7"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
)

// counted is an observer of connections and invocations.
type counted struct {
	mu     sync.Mutex // guards all below
	lines  []string
	traces []string // of the spans of the lines
	joined []string
}

// Joined implements hub.Observer.
func (c *counted) Joined(transport string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined = append(c.joined, fmt.Sprint(transport, " ", took))
}

// Invoked implements hub.Observer.
func (c *counted) Invoked(ctx context.Context, name, method, errorType string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, strings.TrimSpace(name+" "+method+" "+errorType))
	c.traces = append(c.traces, trace.SpanContextFromContext(ctx).TraceID().String())
}

// Acknowledged implements hub.Observer.
func (*counted) Acknowledged(time.Duration) {}

// Due implements hub.Observer.
func (*counted) Due(int, int) {}

// watched is a hub that is served in a bubble, and what is seen of it.
type watched struct {
	*hubtest.Server

	spans *tracetest.InMemoryExporter
	seen  *counted
}

func watch(t *testing.T) watched {
	t.Helper()
	return watchWith(t, hub.Options{})
}

// watchWith is watch with other options for traces.
func watchWith(t *testing.T, o hub.Options) watched {
	t.Helper()
	policy, err := roles.ParsePolicy([]byte("hubs: {chat: {Secret: [admin]}}"))
	if err != nil {
		t.Fatal(err)
	}
	w := watched{spans: tracetest.NewInMemoryExporter(), seen: &counted{}}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans), sdktrace.WithSampler(sdktrace.AlwaysSample()))
	h := newHub(t, hub.Options{
		Service: "ChatHub", Policy: policy, TracerProvider: provider, Observer: w.seen, ClientContext: o.ClientContext, NewNamesOnly: o.NewNamesOnly,
		Methods: hub.Methods{
			"Echo":   func(_ *hub.Context, s string) string { return s },
			"Told":   func(*hub.Context) error { return hub.Error{Text: "told"} },
			"Broken": func(*hub.Context) error { return errors.New("broken") },
			"Panic":  func(*hub.Context) { panic("panic") },
			"Bad":    func(*hub.Context) any { return make(chan int) },
			"Secret": func(*hub.Context) {},
			"Trace": func(c *hub.Context) string {
				return trace.SpanContextFromContext(c.Context()).TraceID().String()
			},
		},
	})
	w.Server = hubtest.ServePipes(t, h, connections.Options{TracerProvider: provider})
	return w
}

// attributes are those of a span, as text.
func attributes(s tracetest.SpanStub) string {
	var all []string
	for _, a := range s.Attributes {
		all = append(all, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// One server span per invocation, a trace of its own, linked to the connect
// span and to what the client says it was doing; clients cannot make up names.
func TestInvocationSpans(t *testing.T) {
	for _, test := range []struct {
		name, record string
		method       string // in the name of the span
		problem      string // error.type
	}{
		{"result", call("1", "eCHO", "x"), "Echo", ""},
		{"no id", tell("Echo", "x"), "Echo", ""},
		{"unknown", call("1", "made/up"), "_OTHER", "not_found"},
		{"unauthorised", call("1", "Secret"), "Secret", "unauthorized"},
		{"cannot be bound", call("1", "Echo"), "Echo", "invalid_argument"},
		{"told", call("1", "Told"), "Told", "hub_error"},
		{"broken", tell("Broken"), "Broken", "internal"},
		{"panic", call("1", "Panic"), "Panic", "internal"},
		{"cannot be encoded", call("1", "Bad"), "Bad", "internal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := watch(t)
				ann := s.Connect("ann", "")
				synctest.Wait()
				connect := s.spans.GetSpans()[0]
				if connect.Name != "GET /hub" {
					t.Fatalf("the first span is %q, want the connect span", connect.Name)
				}
				s.spans.Reset()
				ann.Send(test.record)
				synctest.Wait()
				got := s.spans.GetSpans()
				if len(got) != 1 {
					t.Fatalf("got %d spans, want 1", len(got))
				}
				span := got[0]
				if span.Name != "ChatHub/"+test.method || span.SpanKind != trace.SpanKindServer || span.Parent.IsValid() {
					t.Errorf("got %q, %v, parent %v, want ChatHub/%s, server, a root", span.Name, span.SpanKind, span.Parent.SpanID(), test.method)
				}
				want := "notify.connection.id=" + ann.ID + " notify.hub=chat rpc.method=ChatHub/" + test.method
				if test.method == "_OTHER" {
					want += " rpc.method_original=made/up"
				}
				want += " rpc.service=ChatHub rpc.system.name=signalr rpc.system=signalr"
				if test.problem != "" {
					want = "error.type=" + test.problem + " " + want
				}
				if got := attributes(span); got != want {
					t.Errorf("attributes:\n got %s\nwant %s", got, want)
				}
				if failed := span.Status.Code == codes.Error; failed != (test.problem != "") || span.Status.Description != test.problem {
					t.Errorf("status: got %+v, want %q", span.Status, test.problem)
				}
				if len(span.Links) != 1 || !span.Links[0].SpanContext.Equal(connect.SpanContext) {
					t.Errorf("links: got %v, want the connect span", span.Links)
				}
				if got, want := fmt.Sprint(s.seen.lines), strings.TrimSpace("chat "+test.method+" "+test.problem); got != "["+want+"]" {
					t.Errorf("observed: got %s, want %s", got, want)
				}
				if got := span.SpanContext.TraceID().String(); s.seen.traces[0] != got {
					t.Errorf("observed with trace %s, want that of the span, %s", s.seen.traces[0], got)
				}
			})
		})
	}
}

// signalr.md §8, "Headers": a traceparent of the client is linked to and is
// never the parent; one that is none is passed over.
func TestInvocationSpanOfAClientsTrace(t *testing.T) {
	for _, test := range []struct {
		name, parent string
		linked       bool
	}{
		{"good", clientParent, true},
		{"nonsense", "00-nonsense", false},
		{"zero", "00-00000000000000000000000000000000-0000000000000000-00", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := watch(t)
				ann := s.Connect("ann", "")
				synctest.Wait()
				s.spans.Reset()
				ann.Send(record(map[string]any{
					"type": 1, "invocationId": "1", "target": "Trace", "arguments": []any{},
					"headers": map[string]string{"traceparent": test.parent, "tracestate": "a=b", "other": "x"},
				}))
				heard := settle(ann)
				span := s.spans.GetSpans()[0]
				var linked []string
				for _, l := range span.Links[1:] {
					if l.SpanContext.IsValid() {
						linked = append(linked, l.SpanContext.TraceID().String()+"-"+l.SpanContext.SpanID().String())
					}
				}
				if want := map[bool]string{true: "[" + clientTrace + "-" + clientSpan + "]", false: "[]"}[test.linked]; fmt.Sprint(linked) != want {
					t.Errorf("links to the client: got %v, want %s", linked, want)
				}
				id := span.SpanContext.TraceID().String()
				if span.Parent.IsValid() || id == clientTrace {
					t.Errorf("the trace of the client is the parent: %v", span.Parent)
				}
				want(t, "the method is inside of the span", heard, result("1", `"`+id+`"`))
			})
		})
	}
}

// What the traceparent of a client is to the span of its call: by default a link,
// and a parent only where the hub says so, for callers who may emit to others or
// manage. Whether it says that it is sampled, and its tracestate, count nowhere.
func TestClientContext(t *testing.T) {
	for _, test := range []struct {
		name    string
		context hub.ClientContext
		roles   []string
		want    string
	}{
		{"by default", "", []string{"admin"}, "link"},
		{"link", hub.LinkContext, []string{"admin"}, "link"},
		{"parent, and the caller may manage", hub.ParentContext, []string{"admin"}, "parent"},
		{"parent, and the caller may emit to others", hub.ParentContext, []string{"emitter"}, "parent"},
		{"parent, and the caller is anybody", hub.ParentContext, []string{"clerk"}, "link"},
		{"ignore", hub.IgnoreContext, []string{"admin"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := watchWith(t, hub.Options{ClientContext: test.context})
				ann := s.Connect("ann", "", test.roles...)
				synctest.Wait()
				s.spans.Reset()
				ann.Send(record(map[string]any{
					"type": 1, "invocationId": "1", "target": "Trace", "arguments": []any{},
					"headers": map[string]string{"traceparent": clientParent, "tracestate": "a=b"},
				}))
				settle(ann)
				span, got := s.spans.GetSpans()[0], ""
				clients := []trace.SpanContext{span.Parent}
				for _, l := range span.Links {
					clients = append(clients, l.SpanContext)
				}
				for i, c := range clients {
					if c.TraceID().String() != clientTrace || c.SpanID().String() != clientSpan {
						continue
					}
					got += map[bool]string{true: "parent", false: "link"}[i == 0]
					if c.IsSampled() || c.TraceState().Len() > 0 {
						t.Errorf("the client is believed: %+v", c)
					}
				}
				if got != test.want || (got == "parent") != (span.SpanContext.TraceID().String() == clientTrace) {
					t.Errorf("the client is %q in trace %v, want %q", got, span.SpanContext.TraceID(), test.want)
				}
				if marked := strings.Contains(attributes(span), "notify.client.parent=true"); marked != (test.want == "parent") {
					t.Errorf("attributes: got %s", attributes(span))
				}
			})
		})
	}
}

// A hub without a policy lets everybody do everything, also be a parent.
func TestClientContextWithoutAPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		h := newHub(t, hub.Options{
			ClientContext: hub.ParentContext, TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithSampler(sdktrace.AlwaysSample())),
			Methods: hub.Methods{"Nothing": func(*hub.Context) {}},
		})
		ann := hubtest.ServePipes(t, h, connections.Options{}).Connect("ann", "")
		synctest.Wait()
		spans.Reset()
		ann.Send(record(map[string]any{"type": 1, "target": "Nothing", "arguments": []any{}, "headers": map[string]string{"traceparent": clientParent}}))
		synctest.Wait()
		if got := spans.GetSpans()[0].Parent.TraceID().String(); got != clientTrace {
			t.Errorf("parent: got %s, want %s", got, clientTrace)
		}
	})
}

// The names that the conventions no longer have can be left out.
func TestNewNamesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchWith(t, hub.Options{NewNamesOnly: true})
		ann := s.Connect("ann", "")
		synctest.Wait()
		s.spans.Reset()
		ann.Send(call("1", "Echo", "x"))
		settle(ann)
		want := "notify.connection.id=" + ann.ID + " notify.hub=chat rpc.method=ChatHub/Echo rpc.system.name=signalr"
		if got := attributes(s.spans.GetSpans()[0]); got != want {
			t.Errorf("attributes:\n got %s\nwant %s", got, want)
		}
	})
}

// A connection is counted when it is in, with the time it took; one that is refused
// is not.
func TestJoinsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		late := s.MustOpen(hubtest.Token(t, "ann"), "")
		time.Sleep(2 * time.Second)
		late.ShakeHands()
		refused := s.MustOpen(hubtest.Token(t, "bob"), "")
		refused.Send(`{"protocol":"xml","version":1}`)
		synctest.Wait()
		s.seen.mu.Lock()
		defer s.seen.mu.Unlock()
		if got := fmt.Sprint(s.seen.joined); got != "[WebSockets 2s]" {
			t.Errorf("got %s, want one after 2s", got)
		}
	})
}

// What comes and goes is traced as well; a stream that is refused is no
// invocation.
func TestLifetimeSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(t)
		ann := s.Connect("ann", "")
		ann.Send(`{"type":6}`, `{"type":99}`, `{"type":5,"invocationId":"1"}`)
		synctest.Wait()
		ann.Close()
		synctest.Wait()
		got := s.spans.GetSpans()
		var names []string
		for _, span := range got {
			names = append(names, span.Name)
			if span.Name != "GET /hub" && (len(span.Links) != 1 || !span.Links[0].SpanContext.Equal(got[0].SpanContext) || span.Parent.IsValid()) {
				t.Errorf("%s: links %v, parent %v, want the connect span and none", span.Name, span.Links, span.Parent)
			}
		}
		if want := "[GET /hub ChatHub/OnConnected ChatHub/OnDisconnected]"; fmt.Sprint(names) != want {
			t.Errorf("got %v, want %s", names, want)
		}
	})
}

// An event that was made with a trace takes it to the browser.
func TestEventCarriesItsTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, hub.Options{})
		ann := hubtest.ServePipes(t, h, connections.Options{}).Connect("ann", "")
		settle(ann)
		ann.Send(tell("SendToSelf", json.RawMessage(`{"title":"t","traceparent":"`+clientParent+`","tracestate":"a=b"}`)))
		got := strings.Join(settle(ann), "")
		if !strings.HasPrefix(got, `{"type":1,"headers":{"traceparent":"`+clientParent+`","tracestate":"a=b"},"target":"ReceiveNotification",`) {
			t.Errorf("got %s, want the trace in the headers", got)
		}
	})
}
