package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
	"tidings/roles"
)

// gate is a method that runs until the gate is opened.
type gate struct{ opened atomic.Pointer[chan struct{}] }

// shut makes the calls of a test wait, at most until its end.
func (g *gate) shut(t *testing.T) (open func()) {
	t.Helper()
	opened := make(chan struct{})
	g.opened.Store(&opened)
	open = sync.OnceFunc(func() { close(opened) })
	t.Cleanup(open)
	return open
}

// Wait is the method.
func (g *gate) Wait(_ *hub.Context, name string) string {
	<-*g.opened.Load()
	return name
}

// signalr.md §9, "Order and parallelism": per connection, plain invocations
// run one at a time in order of arrival; another connection is not concerned.
func TestDispatchRunsOneAtATimeInOrder(t *testing.T) {
	var running, most atomic.Int32
	var mu sync.Mutex
	var order []int
	methods := hub.Methods{"Step": func(c *hub.Context, n int) int {
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		defer running.Add(-1)
		time.Sleep(time.Duration(20-n) * time.Millisecond) // bubble time: the later, the shorter
		mu.Lock()
		defer mu.Unlock()
		if c.UserID() == "ann" {
			order = append(order, n)
		}
		return n
	}}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{Methods: methods})
		ann, bob := s.Connect("ann", ""), s.Connect("bob", "")
		var calls, answers []string
		for n := range 20 {
			calls = append(calls, call(fmt.Sprint(n), "Step", n))
			answers = append(answers, result(fmt.Sprint(n), fmt.Sprint(n)))
		}
		ann.Send(calls[:10]...)
		ann.Send(calls[10:]...)
		time.Sleep(time.Second)
		want(t, "answers", settle(ann), answers...)
		if most.Load() != 1 || fmt.Sprint(order) != "[0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19]" {
			t.Errorf("order: got %v, at most %d at once, want 0 to 19, one at a time", order, most.Load())
		}
		ann.Send(call("a", "Step", 0))
		bob.Send(call("b", "Step", 0))
		time.Sleep(20 * time.Millisecond)
		want(t, "bob beside ann", settle(bob), result("b", "0"))
		want(t, "ann beside bob", settle(ann), result("a", "0"))
		if most.Load() != 2 {
			t.Errorf("two connections: %d ran at once, want 2", most.Load())
		}
	})
}

// signalr.md §9: a connection whose method runs longer than the client timeout
// is not dropped, whether its client goes on pinging or waits for the answer.
func TestDispatchSlowMethodIsNotSilence(t *testing.T) {
	for _, test := range []struct {
		name  string
		calls int  // the first one runs, the others wait
		pings bool // while it runs
	}{
		{"client pings", 1, true},
		{"client waits", 1, false},
		{"client pings behind a full queue", 200, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g gate
			synctest.Test(t, func(t *testing.T) {
				s := served(t, hub.Options{Methods: hub.Methods{"Wait": g.Wait}})
				open := g.shut(t)
				ann := s.Connect("ann", "")
				ann.Send(`{"type":6}`)
				var sending sync.WaitGroup
				sending.Go(func() {
					for n := range test.calls {
						ann.Send(call(fmt.Sprint(n), "Wait", "x"))
					}
					for range 12 {
						time.Sleep(10 * time.Second)
						if test.pings {
							ann.Send(`{"type":6}`)
						}
					}
				})
				time.Sleep(2 * time.Minute)
				if code := ann.Code(); code != hubtest.CodeOpen {
					t.Fatalf("the connection ended with %d while its method ran", code)
				}
				ann.Heard() // pings
				open()
				sending.Wait()
				got := settle(ann)
				answers := 0
				for _, r := range got {
					if strings.HasPrefix(r, `{"type":3,`) {
						answers++
					}
				}
				if answers != test.calls {
					t.Errorf("answers: got %d of %d: %v", answers, test.calls, got)
				}
				time.Sleep(32 * time.Second)
				synctest.Wait()
				if ann.Code() == hubtest.CodeOpen {
					t.Error("when the method has returned, silence does not count any more")
				}
			})
		})
	}
}

// signalr.md §9 and architecture.md law 7: when too many calls wait the reader
// stops reading, and nothing is lost.
func TestDispatchFullQueueStopsReading(t *testing.T) {
	var g gate
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{Methods: hub.Methods{"Wait": g.Wait}})
		open := g.shut(t)
		const calls = 300
		ann := s.Connect("ann", "")
		var sent atomic.Int32
		go func() {
			for n := range calls {
				ann.Send(call(fmt.Sprint(n), "Wait", fmt.Sprint(n)))
				sent.Add(1)
			}
		}()
		synctest.Wait()
		if got := sent.Load(); got < 64 || got > 80 {
			t.Errorf("with one call running the server took %d, want about 65", got)
		}
		open()
		var answers []string
		for n := range calls {
			answers = append(answers, result(fmt.Sprint(n), fmt.Sprintf("%q", fmt.Sprint(n))))
		}
		want(t, "answers", settle(ann), answers...)
	})
}

// panics is a value that cannot be read or written.
type panics struct{}

func (*panics) UnmarshalJSON([]byte) error  { panic("in UnmarshalJSON") }
func (panics) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

// style.md 2.4: a panic of the application costs the call and not the
// connection, nor the process.
func TestDispatchPanicCostsTheCall(t *testing.T) {
	var logs journal
	o := hub.Options{
		Logger: logs.logger(),
		Methods: hub.Methods{
			"Panic":  func(*hub.Context) error { panic("secret 7") },
			"Range":  func(*hub.Context) int { return []int{}[len(logs.String())] },
			"Bind":   func(*hub.Context, panics) {},
			"Return": func(*hub.Context) panics { return panics{} },
			"Fine":   func(*hub.Context) int { return 7 },
		},
		OnDisconnected: func(*hub.Context, error) { panic("in OnDisconnected") },
	}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, o)
		ann := s.Connect("ann", "")
		for _, method := range []string{"Panic", "Range", "Bind", "Return"} {
			arguments := []any{}
			if method == "Bind" {
				arguments = append(arguments, 1)
			}
			ann.Send(call("1", method, arguments...))
			want(t, method, settle(ann), failure("1", "An unexpected error occurred invoking '"+method+"' on the server."))
			ann.Send(tell(method, arguments...), call("2", "Fine"))
			want(t, "after "+method, settle(ann), result("2", "7"))
		}
		ann.Close()
		if got := ann.End(); got != 1000 {
			t.Errorf("end: got %d, want 1000", got)
		}
	})
	for _, part := range []string{"secret 7", "in UnmarshalJSON", "in MarshalJSON", "in OnDisconnected", "dispatch_test.go"} {
		if !strings.Contains(logs.String(), part) {
			t.Errorf("the log does not tell of %q", part)
		}
	}
}

// signalr.md §9, "Results and errors", and §13.16: word for word.
func TestDispatchErrorTexts(t *testing.T) {
	methods := hub.Methods{
		"Told":    func(*hub.Context) error { return hub.Error{Text: "the cat is out"} },
		"Wrapped": func(*hub.Context) error { return fmt.Errorf("secret: %w", hub.Error{Text: "the cat is out"}) },
		"Secret":  func(*hub.Context) error { return errors.New("password 123") },
		"Both":    func(*hub.Context) (int, error) { return 5, errors.New("password 123") },
		"Empty":   func(*hub.Context) error { return hub.Error{} },
		"Invalid": func(*hub.Context) error { return &notifications.InvalidError{Field: "title", Reason: "is dull"} },
		"Away":    func(*hub.Context) error { return fmt.Errorf("x: %w", notifications.ErrUnavailable) },
		"Not":     func(*hub.Context) error { return fmt.Errorf("x: %w", notifications.ErrForbidden) },
		"Channel": func(*hub.Context) any { return make(chan int) },
		"Bind":    func(*hub.Context, int, string) {},
	}
	const unexpected = "An unexpected error occurred invoking "
	for _, test := range []struct {
		target    string
		arguments []any
		text      string
		detail    string // what DetailedErrors adds
	}{
		{"told", nil, unexpected + "'told' on the server. HubException: the cat is out", ""},
		{"Wrapped", nil, unexpected + "'Wrapped' on the server. HubException: the cat is out", ""},
		{"Secret", nil, unexpected + "'Secret' on the server.", " password 123"},
		{"Both", nil, unexpected + "'Both' on the server.", " password 123"},
		{"Empty", nil, unexpected + "'Empty' on the server.", " "},
		{"Invalid", nil, unexpected + "'Invalid' on the server. HubException: invalid event: title: is dull", ""},
		{"Away", nil, unexpected + "'Away' on the server. HubException: The log is not available. Try again.", ""},
		{"Not", nil, "Failed to invoke 'Not' because user is unauthorized", ""},
		{"Channel", nil, unexpected + "'Channel' on the server.", " json: unsupported type: chan int"},
		{"None", nil, "Failed to invoke 'None' due to an error on the server. HubException: Method does not exist.", ""},
		{"OnConnected", nil, "Failed to invoke 'OnConnected' due to an error on the server. HubException: Method does not exist.", ""},
		{"BIND", []any{1}, "Failed to invoke 'BIND' due to an error on the server.", " InvalidDataException: Invocation provides 1 argument(s) but target expects 2."},
		{"Bind", []any{1, "a", 2}, "Failed to invoke 'Bind' due to an error on the server.", " InvalidDataException: Invocation provides 3 argument(s) but target expects 2."},
		{"Bind", []any{"1", "the source text"}, "Failed to invoke 'Bind' due to an error on the server.", " InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."},
		{"Bind", []any{1.5, "a"}, "Failed to invoke 'Bind' due to an error on the server.", " InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."},
		{"Bind", []any{nil, "a"}, "Failed to invoke 'Bind' due to an error on the server.", " InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."},
	} {
		for _, detailed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s%v/detailed=%v", test.target, test.arguments, detailed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := served(t, hub.Options{Methods: methods, DetailedErrors: detailed})
					ann := s.Connect("ann", "")
					ann.Send(call("1", test.target, test.arguments...))
					text := test.text
					if detailed {
						text += test.detail
					}
					want(t, "answer", settle(ann), failure("1", text))
				})
			})
		}
	}
}

// signalr.md §8 and §13.11: a result is always there, null, zero and false
// included; what is no JSON number is not made one.
func TestDispatchResults(t *testing.T) {
	type point struct {
		X    int  `json:"x"`
		Last *int `json:"last"`
	}
	methods := hub.Methods{
		"Void":   func(*hub.Context) {},
		"NoErr":  func(*hub.Context) error { return nil },
		"Zero":   func(*hub.Context) int { return 0 },
		"Empty":  func(*hub.Context) string { return "" },
		"False":  func(*hub.Context) (bool, error) { return false, nil },
		"Nil":    func(*hub.Context) *point { return nil },
		"None":   func(*hub.Context) any { return nil },
		"Struct": func(*hub.Context) point { return point{X: 1} },
		"Text":   func(*hub.Context) string { return `<a href="x">&é` + "\u2028" },
		"Bytes":  func(*hub.Context) []byte { return []byte("hi") },
		"Map":    func(*hub.Context) map[string]int { return map[string]int{"b": 2, "A": 1} },
	}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{Methods: methods})
		ann := s.Connect("ann", "")
		for _, test := range []struct{ target, want string }{
			{"Void", "null"},
			{"NoErr", "null"},
			{"Zero", "0"},
			{"Empty", `""`},
			{"False", "false"},
			{"Nil", "null"},
			{"None", "null"},
			{"Struct", `{"x":1,"last":null}`},
			{"Text", `"<a href=\"x\">&é\u2028"`},
			{"Bytes", `"aGk="`},
			{"Map", `{"A":1,"b":2}`},
		} {
			ann.Send(call("1", test.target))
			want(t, test.target, settle(ann), result("1", test.want))
		}
	})
}

// A result is what it was when the method returned: the next call of the
// connection may change what it was made of.
func TestDispatchResultIsTakenAtOnce(t *testing.T) {
	type state struct {
		N int `json:"n"`
	}
	methods := hub.Methods{"Next": func(c *hub.Context) any {
		kept, _ := c.Items().LoadOrStore("state", &state{})
		if s, ok := kept.(*state); ok {
			s.N++
		}
		return kept
	}}
	synctest.Test(t, func(t *testing.T) {
		ann := served(t, hub.Options{Methods: methods}).Connect("ann", "")
		var calls, answers []string
		for n := range 50 {
			calls = append(calls, call(fmt.Sprint(n), "Next"))
			answers = append(answers, result(fmt.Sprint(n), fmt.Sprintf(`{"n":%d}`, n+1)))
		}
		ann.Send(calls...)
		want(t, "answers", settle(ann), answers...)
	})
}

// A call sees who is calling, and what is kept with the connection.
func TestDispatchContext(t *testing.T) {
	methods := hub.Methods{
		"Who": func(c *hub.Context) []any {
			return []any{
				c.UserID(), c.Principal().UserID, c.Principal().Roles, c.ConnectionID(), c.Transport(), c.Query().Encode(),
				strings.Count(c.BearerToken(), "."), c.Context().Err() == nil,
			}
		},
		"Count": func(c *hub.Context) int {
			n, _ := c.Items().LoadOrStore("count", new(int))
			count, ok := n.(*int)
			if !ok {
				return -1
			}
			*count++
			return *count
		},
	}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{Methods: methods})
		ann := s.Connect("ann", "Tenant=a%20b&x=1", "ops", "admin")
		bob := s.Connect("bob", "")
		ann.Send(call("1", "Who"), call("2", "Count"), call("3", "Count"))
		bob.Send(call("1", "Count"))
		want(t, "ann", settle(ann),
			result("1", `["ann","ann",["admin","ops"],"`+ann.ID+`","WebSockets","Tenant=a+b&x=1",2,true]`), result("2", "1"), result("3", "2"))
		want(t, "bob", settle(bob), result("1", "1"))
	})
}

// The first filter is the outermost; each may look, answer, and refuse.
func TestFilters(t *testing.T) {
	var mu sync.Mutex
	var trail []string
	note := func(format string, arguments ...any) {
		mu.Lock()
		defer mu.Unlock()
		trail = append(trail, fmt.Sprintf(format, arguments...))
	}
	taken := func() string {
		mu.Lock()
		defer mu.Unlock()
		all := strings.Join(trail, " ")
		trail = nil
		return all
	}
	outer := hub.Filter{
		Invoke: func(c *hub.Call, next func() (any, error)) (any, error) {
			note("a(%s %v", c.Method, c.Arguments)
			result, err := next()
			note("a)")
			if text, ok := result.(string); ok {
				result = text + "!"
			}
			return result, err
		},
		Connected:    func(_ *hub.Context, next func() error) error { note("a+"); return next() },
		Disconnected: func(_ *hub.Context, err error, next func(error)) { note("a-"); next(err) },
	}
	inner := hub.Filter{
		Invoke: func(c *hub.Call, next func() (any, error)) (any, error) {
			note("b")
			switch c.Context.UserID() {
			case "eve":
				return nil, hub.Error{Text: "not you"}
			case "joe":
				return "joe's own", nil
			case "pan":
				panic("in a filter")
			}
			return next()
		},
		Connected: func(c *hub.Context, next func() error) error {
			note("b+")
			if c.UserID() == "mallory" {
				return hub.Error{Text: "go away"}
			}
			return next()
		},
		Disconnected: func(_ *hub.Context, _ error, next func(error)) { note("b-"); next(hub.Error{Text: "changed"}) },
	}
	o := hub.Options{
		Filters:        []hub.Filter{outer, {}, inner},
		Methods:        hub.Methods{"Hello": func(_ *hub.Context, who string, _ int) string { note("method"); return "hello " + who }},
		OnConnected:    func(*hub.Context) error { note("connected"); return nil },
		OnDisconnected: func(_ *hub.Context, err error) { note("disconnected:%v", err) },
	}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, o)
		for _, test := range []struct{ user, answer, trail string }{
			{"ann", result("1", `"hello you!"`), "a(Hello [you 7] b method a)"},
			{"joe", result("1", `"joe's own!"`), "a(Hello [you 7] b a)"},
			{"eve", failure("1", "An unexpected error occurred invoking 'hello' on the server. HubException: not you"), "a(Hello [you 7] b a)"},
			{"pan", failure("1", "An unexpected error occurred invoking 'hello' on the server."), "a(Hello [you 7] b"},
		} {
			b := s.Connect(test.user, "")
			synctest.Wait()
			if got := taken(); got != "a+ b+ connected" {
				t.Errorf("%s comes: got %q", test.user, got)
			}
			b.Send(call("1", "hello", "you", 7))
			want(t, test.user, settle(b), test.answer)
			if got := taken(); got != test.trail {
				t.Errorf("%s calls: got %q, want %q", test.user, got, test.trail)
			}
			b.Close()
			synctest.Wait()
			if got := taken(); got != "a- b- disconnected:changed" {
				t.Errorf("%s goes: got %q", test.user, got)
			}
		}
		s.Connect("ann", "").Send(call("1", "hello", "you"), call("2", "none"))
		synctest.Wait()
		if got := taken(); got != "a+ b+ connected" {
			t.Errorf("calls that cannot be bound reach filters: got %q", got)
		}
		mallory := s.Connect("mallory", "")
		want(t, "mallory", settle(mallory), `{"type":7,"error":"Connection closed with an error. HubException: go away"}`)
		if got := taken(); got != "a+ b+" {
			t.Errorf("mallory comes: got %q", got)
		}
	})
}

// The policy decides before the arguments are looked at.
func TestPolicy(t *testing.T) {
	policy, err := roles.ParsePolicy([]byte("hubs: {chat: {Shout: [admin], \"*\": [member, admin]}}"))
	if err != nil {
		t.Fatal(err)
	}
	methods := hub.Methods{"Shout": func(*hub.Context, int) int { return 1 }, "Whisper": func(*hub.Context) int { return 2 }}
	unauthorized := func(target string) string {
		return failure("1", "Failed to invoke '"+target+"' because user is unauthorized")
	}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{Methods: methods, Policy: policy})
		for _, test := range []struct {
			name   string
			roles  []string
			record string
			want   string
		}{
			{"admin", []string{"admin"}, call("1", "shout", 1), result("1", "1")},
			{"member may not shout", []string{"member"}, call("1", "sHOUT", 1), unauthorized("sHOUT")},
			{"member may not know how", []string{"member"}, call("1", "Shout", "x"), unauthorized("Shout")},
			{"member whispers", []string{"member"}, call("1", "Whisper"), result("1", "2")},
			{"nobody whispers", nil, call("1", "Whisper"), unauthorized("Whisper")},
			{"unknown", nil, call("1", "None"), failure("1", "Failed to invoke 'None' due to an error on the server. HubException: Method does not exist.")},
		} {
			b := s.Connect("ann", "", test.roles...)
			b.Send(test.record)
			want(t, test.name, settle(b), test.want)
			b.Close()
		}
	})
}

// What was called before the client said goodbye is done (signalr.md §9: a
// close behind a call waits for it), but not for ever.
func TestDispatchBeforeTheGoodbye(t *testing.T) {
	for _, test := range []struct {
		name    string
		goodbye func(b *hubtest.Browser)
	}{
		{"Close record", func(b *hubtest.Browser) { b.Send(`{"type":7}`) }},
		{"close frame", func(b *hubtest.Browser) {
			b.SendFrame(hubtest.Frame{Opcode: hubtest.Close, Final: true, Payload: []byte{3, 233}})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var done []string
			var ended time.Duration
			methods := hub.Methods{
				"Work": func(c *hub.Context, name string) error {
					time.Sleep(time.Second)
					if err := c.Context().Err(); err != nil {
						return err
					}
					done = append(done, name)
					return nil
				},
				"Stay": func(c *hub.Context) error {
					began := time.Now()
					<-c.Context().Done()
					ended = time.Since(began)
					return c.Context().Err()
				},
			}
			var reasons []error
			o := hub.Options{Methods: methods, OnDisconnected: func(_ *hub.Context, err error) { reasons = append(reasons, err) }}
			synctest.Test(t, func(t *testing.T) {
				s := served(t, o)
				ann := s.Connect("ann", "")
				ann.Send(tell("Work", "a"), tell("Work", "b"), tell("Work", "c"))
				test.goodbye(ann)
				if code := ann.End(); code != 1000 {
					t.Errorf("end: got %d, want 1000", code)
				}
				if got := strings.Join(done, ""); got != "abc" {
					t.Errorf("of three calls before the goodbye %q were done, want all", got)
				}
				bob := s.Connect("bob", "")
				bob.Send(tell("Stay"), tell("Work", "d"))
				synctest.Wait()
				test.goodbye(bob)
				bob.End()
				synctest.Wait()
				if ended > 6*time.Second {
					t.Errorf("a method that stays was ended after %v, want a few seconds", ended)
				}
				if got := strings.Join(done, ""); got != "abc" {
					t.Errorf("what waited behind a method that stays was run: %q", got)
				}
				if len(reasons) != 2 || errors.Join(reasons...) != nil {
					t.Errorf("the disconnect handler was told %v, want twice nothing", reasons)
				}
			})
		})
	}
}

// A connection that has been cut or sent away makes no more calls, even those
// that were waiting, and the running one is told.
func TestDispatchAfterTheEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(b *hubtest.Browser)
		err  error // of the context, at the latest when the client has gone
	}{
		{"cut", func(b *hubtest.Browser) { b.Cut() }, context.Canceled},
		{"abort", func(*hubtest.Browser) {}, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			var later atomic.Int32
			var told error
			methods := hub.Methods{
				"End": func(c *hub.Context) error {
					if test.name == "abort" {
						if err := c.Abort(); err != nil {
							return err
						}
					}
					<-c.Context().Done()
					told = c.Context().Err()
					return nil
				},
				"Later": func(*hub.Context) { later.Add(1) },
			}
			synctest.Test(t, func(t *testing.T) {
				s := served(t, hub.Options{Methods: methods})
				ann := s.Connect("ann", "")
				ann.Send(tell("End"), tell("Later"), tell("Later"))
				synctest.Wait()
				test.end(ann)
				ann.Send(tell("Later"))
				synctest.Wait()
				if code := ann.End(); (test.name == "abort") != (code == 1000) {
					t.Errorf("end: got %d", code)
				}
				if test.name == "abort" {
					want(t, "aborted", ann.Heard(), `{"type":7}`)
				}
				synctest.Wait()
				if !errors.Is(told, test.err) {
					t.Errorf("the running method was told %v, want %v", told, test.err)
				}
				if n := later.Load(); n != 0 {
					t.Errorf("%d calls ran after the end, want none", n)
				}
			})
		})
	}
}
