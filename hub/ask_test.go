package hub_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/hub"
)

// asking is a hub whose clients ask each other, and themselves.
func asking(o hub.Options) hub.Options {
	o.Methods = hub.Methods{
		"Ask": func(c *hub.Context, id *string, question string, ms int) string {
			to := c.Clients().Caller()
			if id != nil {
				to = c.Clients().Client(*id)
			}
			ctx, stop := context.WithTimeout(c.Context(), time.Duration(ms)*time.Millisecond)
			defer stop()
			answer, err := hub.Invoke[string](ctx, to, "Ask", question)
			if err != nil {
				return "error: " + err.Error()
			}
			return "ok: " + answer
		},
		"Fine": func(*hub.Context) int { return 7 },
		"Two": func(c *hub.Context) (string, error) {
			_, err := hub.Invoke[int](c.Context(), c.Clients().All(), "Ask")
			return fmt.Sprint(err), nil
		},
	}
	return o
}

func asked(id, question string) string {
	return `{"type":1,"invocationId":"` + id + `","target":"Ask","arguments":["` + question + `"]}`
}

// signalr.md §9, "Client results".
func TestInvokeAClient(t *testing.T) {
	for _, test := range []struct {
		name, answer, heard string
	}{
		{"answer", result("s1", `"yes"`), `"ok: yes"`},
		{"null", result("s1", `null`), `"ok: "`},
		{"nothing", end("s1"), `"error: Client didn't provide a result."`},
		{"error", failure("s1", "I am tired"), `"error: I am tired"`},
		{"another type", result("s1", `5`), `"error: Error trying to deserialize result to string."`},
		{"not that one", result("s2", `"x"`) + "\x1e" + result("s1", `"yes"`) + "\x1e" + result("s1", `"twice"`), `"ok: yes"`},
		{"nobody", "", `"error: Invocation canceled by the server."`},
	} {
		for _, codec := range codecs() {
			t.Run(test.name+"/"+codec.Name(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ann := served(t, asking(hub.Options{})).ConnectWith(codec, "ann", "")
					ann.Send(call("1", "Ask", nil, "why?", 10_000), call("2", "Fine"))
					want(t, "asked, and the next call goes on", settle(ann), asked("s1", "why?"), result("2", "7"))
					if test.answer != "" {
						ann.Send(strings.Split(test.answer, "\x1e")...)
					}
					time.Sleep(11 * time.Second)
					want(t, "heard", settle(ann), result("1", test.heard))
					ann.Send(call("3", "Fine"))
					want(t, "afterwards", settle(ann), result("3", "7"))
				})
			})
		}
	}
}

func TestInvokeAnotherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, asking(hub.Options{AnswerTimeout: 20 * time.Second}))
		ann, bob, eve := s.Connect("ann", ""), s.Connect("bob", ""), s.Connect("eve", "")
		ann.Send(call("1", "Ask", "zz", "", 1000), call("2", "Two"))
		want(t, "nobody", settle(ann), result("1", `"error: Connection 'zz' does not exist."`), result("2", `"invoke: want one connection, got [everyone]"`))

		ann.Send(call("3", "Ask", bob.ID, "you?", 10_000))
		want(t, "bob is asked", settle(bob), asked("s1", "you?"))
		eve.Send(result("s1", `"me"`)) // not hers to answer
		synctest.Wait()
		bob.Send(result("s1", `"me"`))
		synctest.Wait()
		want(t, "bob answers", settle(ann), result("3", `"ok: me"`))

		ann.Send(call("4", "Ask", bob.ID, "you?", 10_000))
		synctest.Wait()
		bob.Cut()
		want(t, "bob goes", settle(ann), result("4", `"error: Connection '`+bob.ID+`' disconnected."`))

		ann.Send(call("5", "Ask", eve.ID, "you?", 60_000))
		time.Sleep(25 * time.Second)
		got := settle(ann)
		want(t, "eve is silent", got[len(got)-1:], result("5", `"error: The client did not answer in time."`))
	})
}

// A call that waits for its client gives its turn back and has it again before
// it goes on: there is never more than one that runs.
func TestInvokeGivesTheTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		s := served(t, hub.Options{Methods: hub.Methods{
			"Ask": func(c *hub.Context, name string) error {
				steps = append(steps, name+" asks") // no lock: the race detector tells when two run
				_, err := hub.Invoke[string](c.Context(), c.Clients().Caller(), "Ask", name)
				steps = append(steps, name+" goes on")
				time.Sleep(time.Second)
				steps = append(steps, name+" ends")
				return err
			},
			"Work": func(*hub.Context) {
				steps = append(steps, "work")
				time.Sleep(2 * time.Second)
				steps = append(steps, "worked")
			},
		}})
		ann := s.Connect("ann", "")
		ann.Send(tell("Ask", "a"), tell("Ask", "b"), tell("Work"), tell("Work"))
		time.Sleep(time.Second)
		ann.Send(result("s2", `"x"`))
		synctest.Wait()
		ann.Send(result("s1", `"x"`))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := strings.Join(steps, ", ")
		if got != "a asks, b asks, work, worked, b goes on, b ends, a goes on, a ends, work, worked" {
			t.Errorf("got %s", got)
		}
	})
}

// However many questions a client leaves open, its other calls are handled, and
// what waits is bounded.
func TestInvokeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, asking(hub.Options{}))
		ann := s.Connect("ann", "")
		for n := range 300 {
			ann.Send(call(fmt.Sprint(n), "Ask", nil, "x", 30_000))
		}
		ann.Send(call("end", "Fine"))
		synctest.Wait()
		questions, refused := 0, 0
		got := ann.Heard()
		for _, r := range got {
			switch {
			case strings.HasPrefix(r, `{"type":1,`):
				questions++
			case strings.Contains(r, "questions at once"):
				refused++
			}
		}
		if questions != 256 || refused != 44 || got[len(got)-1] != result("end", "7") {
			t.Errorf("got %d questions and %d refusals, want 256 and 44; last %s", questions, refused, got[len(got)-1])
		}
		ann.Cut()
	})
}

// signalr.md §9: not allowed inside of OnConnected, whose loop does not run.
func TestInvokeInsideOfOnConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan error, 1)
		s := served(t, hub.Options{OnConnected: func(c *hub.Context) error {
			_, err := hub.Invoke[string](c.Context(), c.Clients().Caller(), "Ask")
			heard <- err
			return nil
		}})
		s.Connect("ann", "")
		if err := <-heard; err == nil || err.Error() != "Client results inside OnConnectedAsync Hub methods are not allowed." {
			t.Errorf("got %v", err)
		}
	})
}

// Close says what it is told to say.
func TestCloseWithFields(t *testing.T) {
	for want, m := range map[string]hub.Close{
		`{"type":7}`:             {},
		`{"type":7,"error":"e"}`: {Error: "e"},
		`{"type":7,"error":"e","allowReconnect":true}`: {Error: "e", AllowReconnect: true},
		`{"type":7,"allowReconnect":true}`:             {AllowReconnect: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := served(t, hub.Options{Methods: hub.Methods{"Close": func(c *hub.Context) error { return c.Close(m) }}})
			ann := s.Connect("ann", "")
			ann.Send(tell("Close"))
			got := settle(ann)
			if len(got) != 1 || got[0] != want || ann.End() != 1000 {
				t.Errorf("got %v and the end %d, want %s", got, ann.Code(), want)
			}
		})
	}
}
