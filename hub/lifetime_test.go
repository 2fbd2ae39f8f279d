package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/roles"
)

// diary notes when the handlers of a hub run.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) note(format string, arguments ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, arguments...))
}

// take returns what has been noted since the last call.
func (d *diary) take() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := strings.Join(d.lines, ", ")
	d.lines = nil
	return all
}

// hub is a hub that keeps the diary.
func (d *diary) options() hub.Options {
	return hub.Options{
		Methods: hub.Methods{
			"Hello": func(*hub.Context) { d.note("hello") },
			"Abort": (*hub.Context).Abort,
			"Group": (*hub.Context).JoinGroup,
		},
		OnConnected: func(c *hub.Context) error {
			d.note("connected")
			switch c.UserID() {
			case "refused":
				return hub.Error{Text: "we are closed"}
			case "broken":
				return errors.New("password 123")
			case "panics":
				panic("password 123")
			}
			return c.Clients().Caller().Send(c.Context(), "Welcome")
		},
		OnDisconnected: func(_ *hub.Context, err error) { d.note("disconnected: %v", err) },
	}
}

// signalr.md §9, "Lifetime", and §13.25: OnConnected once before any message,
// OnDisconnected once after the last, however the connection ends; the error
// is nil after a clean end.
func TestLifetime(t *testing.T) {
	const timeout = closedWithError
	for _, test := range []struct {
		name  string
		end   func(t *testing.T, s *hubtest.Server, b *hubtest.Browser)
		heard []string
		code  int
		want  string
	}{
		{"close frame", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Close() }, nil, 1000, "disconnected: <nil>"},
		{"close frame of a page that goes away", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) {
			b.SendFrame(hubtest.Frame{Opcode: hubtest.Close, Final: true, Payload: []byte{3, 233}})
		}, nil, 1000, "disconnected: <nil>"},
		{"close frame without a code", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) {
			b.SendFrame(hubtest.Frame{Opcode: hubtest.Close, Final: true})
		}, nil, 1000, "disconnected: <nil>"},
		{"close frame of trouble", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) {
			b.SendFrame(hubtest.Frame{Opcode: hubtest.Close, Final: true, Payload: []byte{3, 243, 'x'}})
		}, nil, 1000, "disconnected: websocket: close 1011 (internal server error): x"},
		{"Close record", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Send(`{"type":7}`) }, nil, 1000, "disconnected: <nil>"},
		{"Close record with an error", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Send(`{"type":7,"error":"x"}`) }, nil, 1000, "disconnected: closed by the client: x"},
		{"Close record and a call behind it", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Send(`{"type":7}`, tell("Hello")) }, nil, 1000, "disconnected: <nil>"},
		{"cut", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Cut() }, nil, 1006, "disconnected: websocket: close 1006 (abnormal closure): unexpected EOF"},
		{"cut inside of a frame", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) {
			b.SendFrame(hubtest.Frame{Opcode: hubtest.Text, Payload: []byte(`{"type":1,"tar`)})
			b.Cut()
		}, nil, 1006, "disconnected: websocket: close 1006 (abnormal closure): unexpected EOF"},
		{"protocol error", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Send("x") }, []string{closedWithError}, 1000, "disconnected: malformed message: not JSON, or nested more than 64 deep"},
		{"abort", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) { b.Send(tell("Abort")) }, []string{`{"type":7}`}, 1000, "disconnected: <nil>"},
		{"client timeout", func(_ *testing.T, _ *hubtest.Server, b *hubtest.Browser) {
			b.Send(`{"type":6}`)
			time.Sleep(32 * time.Second)
		}, []string{`{"type":6}`, `{"type":6}`, timeout}, 1000, "disconnected: closed by the server: timeout"},
		{"server sends all away", func(t *testing.T, s *hubtest.Server, _ *hubtest.Browser) {
			t.Helper()
			if err := s.Hub().CloseAll(t.Context(), 0); err != nil {
				t.Error(err)
			}
		}, []string{`{"type":7,"allowReconnect":true}`}, 1000, "disconnected: <nil>"},
		{"hub stops", func(_ *testing.T, s *hubtest.Server, _ *hubtest.Browser) { s.Stop() }, nil, 1000, "disconnected: <nil>"},
		{"server is shut down", func(t *testing.T, s *hubtest.Server, _ *hubtest.Browser) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: got %v, want DeadlineExceeded", err)
			}
		}, nil, 1006, "disconnected: io: read/write on closed pipe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d diary
			synctest.Test(t, func(t *testing.T) {
				s := served(t, d.options())
				b := s.Connect("ann", "")
				b.Send(tell("Group", "g"), tell("Hello"))
				want(t, "welcome", settle(b), said("Welcome"))
				if got := d.take(); got != "connected, hello" {
					t.Errorf("before the end: got %q, want the connect handler, then the call", got)
				}
				test.end(t, s, b)
				want(t, "last words", settle(b), test.heard...)
				if got := b.End(); got != test.code {
					t.Errorf("code: got %d, want %d", got, test.code)
				}
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if got := d.take(); got != test.want {
					t.Errorf("at the end:\n got %q\nwant %q", got, test.want)
				}
			})
		})
	}
}

// A connection that was refused has not been let in, and does not leave
// (signalr.md §13.25).
func TestLifetimeRefused(t *testing.T) {
	for _, test := range []struct{ user, heard string }{
		{"refused", `{"type":7,"error":"Connection closed with an error. HubException: we are closed"}`},
		{"broken", `{"type":7,"error":"Connection closed with an error."}`},
		{"panics", `{"type":7,"error":"Connection closed with an error."}`},
	} {
		t.Run(test.user, func(t *testing.T) {
			var d diary
			synctest.Test(t, func(t *testing.T) {
				s := served(t, d.options())
				b := s.Connect(test.user, "")
				b.Send(tell("Hello"))
				want(t, "last words", settle(b), test.heard)
				if got := b.End(); got != 1000 && got != 1011 {
					t.Errorf("code: got %d", got)
				}
				synctest.Wait()
				if got := d.take(); got != "connected" {
					t.Errorf("handlers: got %q, want the connect handler alone", got)
				}
			})
		})
	}
}

// Whoever was let in leaves, even when the connection ends before its first
// message can be read.
func TestLifetimeEndsWhileItBegins(t *testing.T) {
	var d diary
	o := d.options()
	var h *hub.Hub
	o.OnConnected = func(c *hub.Context) error {
		d.note("connected")
		if err := c.Abort(); err != nil {
			return err
		}
		for h.Stats().Connections > 0 { // until the end has come
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		h = newHub(t, o)
		b := hubtest.ServePipes(t, h, connections.Options{}).Connect("ann", "")
		want(t, "heard", settle(b), `{"type":7}`)
		b.End()
		time.Sleep(time.Second) // the handler looks every millisecond
		if got := d.take(); !strings.HasPrefix(got, "connected, disconnected: ") {
			t.Errorf("handlers: got %q, want both", got)
		}
	})
}

// signalr.md §9, "Lifetime": whoever leaves can still say goodbye to its
// groups, with a context that is alive; its memberships end after it.
func TestLifetimeOfGroups(t *testing.T) {
	o := hub.Options{
		Methods:     hub.Methods{"Join": func(c *hub.Context, name string) error { return c.Groups().Add(c.Context(), c.ConnectionID(), name) }},
		OnConnected: func(c *hub.Context) error { return c.JoinGroup("all") },
		OnDisconnected: func(c *hub.Context, _ error) {
			for _, group := range []string{"all", "g"} {
				if err := c.Clients().Group(group).Send(c.Context(), "Left", group, c.UserID()); err != nil {
					t.Error(err)
				}
			}
		},
	}
	synctest.Test(t, func(t *testing.T) {
		s := served(t, o)
		ann, bob := s.Connect("ann", ""), s.Connect("bob", "")
		ann.Send(call("1", "Join", "g"))
		want(t, "join", settle(ann), result("1", "null"))
		bob.Send(`{"type":7}`)
		want(t, "ann of bob", settle(ann), said("Left", "all", "bob"), said("Left", "g", "bob"))
		want(t, "bob of himself", settle(bob))
		ann.Cut()
		synctest.Wait()
		h, ok := s.Hub().(*hub.Hub)
		if stats := h.Stats(); !ok || stats.Connections != 0 || stats.Groups != 0 || stats.Users != 0 {
			t.Errorf("left behind: %+v", stats)
		}
	})
}

// signalr.md §7: failure before success: neither handler runs.
func TestLifetimeWithoutHandshake(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(b *hubtest.Browser)
	}{
		{"cut", (*hubtest.Browser).Cut},
		{"closed", (*hubtest.Browser).Close},
		{"late", func(*hubtest.Browser) { time.Sleep(time.Minute) }},
		{"wrong", func(b *hubtest.Browser) { b.Send("{}") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d diary
			synctest.Test(t, func(t *testing.T) {
				s := served(t, d.options())
				b := s.MustOpen(hubtest.Token(t, "ann"), "")
				test.do(b)
				b.End()
				synctest.Wait()
				if got := d.take(); got != "" {
					t.Errorf("handlers: got %q, want none", got)
				}
			})
		})
	}
}

// signalr.md §12: at the expiry of the token Close with allowReconnect and no
// error, if that is wanted.
func TestLifetimeOfAToken(t *testing.T) {
	for _, test := range []struct {
		name  string
		close bool
		heard string // after 11 s
	}{
		{"wanted", true, `{"type":7,"allowReconnect":true}`},
		{"not wanted", false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := served(t, hub.Options{CloseOnAuthExpiration: test.close})
				token := hubtest.Mint(t, roles.Grant{UserID: "ann", TTL: 10 * time.Second, Now: time.Now()})
				b := s.MustOpen(token, "")
				b.ShakeHands()
				time.Sleep(9 * time.Second)
				want(t, "before the expiry", settle(b))
				time.Sleep(2 * time.Second)
				got := strings.Join(settle(b), "")
				if got != test.heard || (b.Code() == 1000) != test.close {
					t.Errorf("after the expiry: got %q and code %d, want %q", got, b.Code(), test.heard)
				}
			})
		})
	}
}

// A server that goes down lets nobody in, sends those away who are there, so
// that they come back elsewhere, and cuts whoever stays (signalr.md §13.18).
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{})
		token := hubtest.Token(t, "ann")
		_, waiting := s.Negotiate(token, "")
		b := s.Connect("ann", "")
		s.Refuse()
		for _, suffix := range []string{"", "id=" + waiting} {
			if late, answer := s.Open(token, suffix); late != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
				t.Errorf("open %q: got %v %v, want 503 with Retry-After", suffix, answer.Status, answer.Header)
			}
		}
		if answer := s.Do(http.MethodPost, "/negotiate?negotiateVersion=1", token); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("negotiate: got %s, want 503", answer.Status)
		}
		synctest.Wait()
		if b.Code() != hubtest.CodeOpen {
			t.Fatal("Refuse has ended a connection that was there")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(ctx) }()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if b.Code() != hubtest.CodeOpen {
			t.Error("Shutdown has cut a connection too soon")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if code := b.Code(); code != hubtest.CodeAbnormal {
			t.Errorf("after the deadline: code %d, want cut", code)
		}
		if err := <-over; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: got %v, want DeadlineExceeded", err)
		}
	})
}

// A hub of many sends them away at the pace it is told.
func TestCloseAllIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		s := hubtest.ServePipes(t, h, connections.Options{})
		var all []*hubtest.Browser
		for n := range 30 {
			all = append(all, s.Connect(fmt.Sprint("u", n), ""))
		}
		began := time.Now()
		if err := h.CloseAll(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("30 connections at 100 a second: got %v, want 200 ms", took)
		}
		for _, b := range all {
			want(t, b.ID, settle(b), `{"type":7,"allowReconnect":true}`)
			if code := b.End(); code != 1000 {
				t.Errorf("code: got %d, want 1000", code)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if got := h.Stats().Connections; got != 0 {
			t.Errorf("connections: got %d, want none", got)
		}
	})
}
