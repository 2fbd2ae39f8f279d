package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/hub/protocol"
)

// What cannot be called by a client is refused when the hub is made, with a
// text that says which method it is, and why.
func TestMethodsThatAreOfNoUse(t *testing.T) {
	type record struct{ A int }
	for _, test := range []struct {
		name     string
		function any
		want     string
	}{
		{"nil", nil, "want a function, got <nil>"},
		{"no function", 7, "want a function, got int"},
		{"a nil function", (func(*hub.Context))(nil), "want a function, got func(*hub.Context)"},
		{"a pointer to one", new(func(*hub.Context)), "want a function, got *func(*hub.Context)"},
		{"no parameter", func() {}, "the first parameter must be *hub.Context: func()"},
		{"another first parameter", func(string, *hub.Context) {}, "the first parameter must be *hub.Context: func(string, *hub.Context)"},
		{"the Context itself", func(hub.Context) {}, "the first parameter must be *hub.Context: func(hub.Context)"},
		{"a context.Context", func(context.Context) {}, "the first parameter must be *hub.Context: func(context.Context)"},
		{"variadic", func(*hub.Context, ...string) {}, "a variadic function has no number of arguments: func(*hub.Context, ...string)"},
		{"channel", func(*hub.Context, int, chan int) {}, "parameter 3: a chan int cannot be sent by a client"},
		{"function", func(*hub.Context, func()) {}, "parameter 2: a func() cannot be sent by a client"},
		{"complex number", func(*hub.Context, complex128) {}, "parameter 2: a complex128 cannot be sent by a client"},
		{"unsafe pointer", func(*hub.Context, unsafe.Pointer) {}, "parameter 2: a unsafe.Pointer cannot be sent by a client"},
		{"interface", func(*hub.Context, io.Reader) {}, "parameter 2: nobody knows which type a client would mean by io.Reader"},
		{"three results", func(*hub.Context) (int, int, error) { return 0, 0, nil }, "a method returns nothing, an error, a result, or a result and an error: func(*hub.Context) (int, int, error)"},
		{"two results", func(*hub.Context) (int, int) { return 0, 0 }, "a method returns nothing, an error, a result, or a result and an error: func(*hub.Context) (int, int)"},
		{"error first", func(*hub.Context) (error, int) { return nil, 0 }, "a method returns nothing, an error, a result, or a result and an error: func(*hub.Context) (error, int)"}, //nolint:staticcheck // it is refused
		{"two errors", func(*hub.Context) (error, error) { return nil, nil }, "a method returns nothing, an error, a result, or a result and an error: func(*hub.Context) (error, error)"},
		{"channel that only takes as result", func(*hub.Context) chan<- int { return nil }, "result: a chan<- int cannot be sent by a client"},
		{"stream of channels as result", func(*hub.Context) <-chan chan int { return nil }, "result: a chan int cannot be sent by a client"},
		{"what is encoded as parameter", func(*hub.Context, protocol.Encoded) {}, "parameter 2: a protocol.Encoded is for sending; take a protocol.Value"},
		{"stream of functions as parameter", func(*hub.Context, *hub.Stream[func()]) {}, "parameter 2: a func() cannot be sent by a client"},
		{"function as result", func(*hub.Context) (func(), error) { return nil, nil }, "result: a func() cannot be sent by a client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := hub.New(hub.Options{Name: "chat", Methods: hub.Methods{"Say": test.function}})
			if want := "hub chat: method Say: " + test.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	for name, function := range map[string]any{
		"nothing": func(*hub.Context) {},
		"many": func(*hub.Context, int, string, []byte, map[string]any, *record, record, any, json.RawMessage, time.Time) {
		},
		"result":    func(*hub.Context) (*record, error) { return nil, nil },
		"interface": func(*hub.Context) io.Reader { return nil },
		"method":    (*hub.Context).JoinGroup,
	} {
		if _, err := hub.New(hub.Options{Name: "chat", Methods: hub.Methods{"Say": function}}); err != nil {
			t.Errorf("%s: got %v, want that it is good", name, err)
		}
	}
}

// Names are there, and unique without regard to case (signalr.md §9: two equal
// names are a start-up error).
func TestNamesOfMethods(t *testing.T) {
	say := func(*hub.Context) {}
	for _, test := range []struct {
		name    string
		options hub.Options
		want    string // in the error
	}{
		{"no name of the hub", hub.Options{Methods: hub.Methods{"Say": say}}, "hub: no name"},
		{"no name of a method", hub.Options{Name: "chat", Methods: hub.Methods{"": say}}, "a method needs a name"},
		{"two that differ in case", hub.Options{Name: "chat", Methods: hub.Methods{"Say": say, "sAY": say}}, "differ in case only"},
		{"two that differ in case beyond ASCII", hub.Options{Name: "chat", Methods: hub.Methods{"Ärger": say, "äRGER": say}}, "differ in case only"},
		{"two", hub.Options{Name: "chat", Methods: hub.Methods{"Say": say, "Say2": say}}, ""},
		{"none", hub.Options{Name: "chat"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := hub.New(test.options)
			if got := fmt.Sprint(err); (test.want == "") != (err == nil) || (test.want != "" && !strings.Contains(got, test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A connection that asks for history is one of a hub that has a log; others
// take no notice.
func TestHubWithoutALog(t *testing.T) {
	o := hub.Options{Methods: hub.Methods{"Ack": (*hub.Context).Ack, "Join": (*hub.Context).JoinGroup}}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, o)
		ann := s.Connect("ann", "cursor=x&device=y&replay=nonsense")
		ann.Send(call("1", "Ack", "x"), call("2", "Join", "g"))
		want(t, "answers", settle(ann), failure("1", "An unexpected error occurred invoking 'Ack' on the server. HubException: this hub has no log"), result("2", "null"))
	})
}

// Ready-made filters of nobody, and a name for spans, are defaults.
func TestNameOfAHub(t *testing.T) {
	h := newHub(t, hub.Options{Name: "chat"})
	if got := h.Name(); got != "chat" {
		t.Errorf("got %q, want chat", got)
	}
	hubtest.Serve(t, h, connections.Options{})
}
