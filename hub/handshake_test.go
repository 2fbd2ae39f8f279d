package hub_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/actors/actorstest"
	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
)

// signalr.md §7: the texts of a handshake that fails, with details if they are
// wanted; testdata/handshake.txt has the rest.
func TestHandshakeWithDetails(t *testing.T) {
	const broken = "An unexpected error occurred during connection handshake. InvalidDataException: malformed message: "
	for _, test := range []struct{ record, want string }{
		{`{"protocol":"json"}`, broken + "handshake without version"},
		{`{"version":1}`, broken + "handshake without protocol"},
		{`{"protocol":7,"version":1}`, broken + "protocol is no string"},
		{`{"protocol":"json","version":1.5}`, broken + "version is no integer"},
		{`nonsense`, broken + "not JSON, or nested more than 64 deep"},
		{`{"protocol":"<&\"é","version":1}`, `The protocol '<&\"é' is not supported.`},
		{`{"protocol":"JSON","version":1}`, "The protocol 'JSON' is not supported."},
		{`{"protocol":"json","version":3}`, "The server does not support version 3 of the 'json' protocol."},
	} {
		t.Run(test.record, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := served(t, hub.Options{DetailedErrors: true})
				b := s.MustOpen(hubtest.Token(t, "ann"), "")
				b.Send(test.record)
				want(t, "answer", settle(b), `{"error":"`+test.want+`"}`)
				if code := b.End(); code != 1000 {
					t.Errorf("code: got %d, want 1000", code)
				}
			})
		})
	}
}

// signalr.md §7 and §13.7: nothing is written before the answer to the
// handshake, not even what the transport or the keep-alive would write.
func TestHandshakeAnswerComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{KeepAlive: time.Second})
		b := s.MustOpen(hubtest.Token(t, "ann"), "")
		b.SendFrame(hubtest.Frame{Opcode: hubtest.Ping, Final: true, Payload: []byte("early")})
		h, ok := s.Hub().(*hub.Hub)
		if !ok {
			t.Fatal("not a hub")
		}
		for range 10 {
			time.Sleep(time.Second)
			if err := h.Clients().All().Send(t.Context(), "Early"); err != nil {
				t.Fatal(err)
			}
		}
		want(t, "before the handshake", settle(b))
		b.ShakeHands()
		b.SendFrame(hubtest.Frame{Opcode: hubtest.Ping, Final: true, Payload: []byte("late")})
		if got := b.Pong(); got != "late" {
			t.Errorf("pong: got %q, want the one after the handshake", got)
		}
	})
}

// signalr.md §11: the handshake has its time, and its size.
func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, hub.Options{HandshakeTimeout: 3 * time.Second, MaxMessage: 100})
		token := hubtest.Token(t, "ann")
		silent, long, slow := s.MustOpen(token, ""), s.MustOpen(token, ""), s.MustOpen(token, "")
		long.SendFrame(hubtest.Frame{Opcode: hubtest.Text, Final: true, Payload: []byte(strings.Repeat("x", 101))})
		want(t, "long", settle(long), `{"error":"Handshake was canceled."}`)
		slow.SendFrame(hubtest.Frame{Opcode: hubtest.Text, Final: true, Payload: []byte(`{"protocol":"json",`)})
		time.Sleep(2999 * time.Millisecond)
		want(t, "silent, in time", settle(silent))
		slow.Send(`"version":1}`)
		want(t, "slow", settle(slow), "{}")
		time.Sleep(time.Millisecond)
		want(t, "silent, late", settle(silent), `{"error":"Handshake was canceled."}`)
		if code := silent.End(); code != 1000 {
			t.Errorf("code: got %d, want 1000", code)
		}
		// The time of the handshake does not bound what comes after it.
		time.Sleep(time.Hour)
		synctest.Wait()
		if code := slow.Code(); code != hubtest.CodeOpen {
			t.Errorf("after an hour: code %d, want open", code)
		}
	})
}

// A refusal is heard on a socket as well, before it ends.
func TestHandshakeIsRefusedOnASocket(t *testing.T) {
	s := hubtest.Serve(t, newHub(t, hub.Options{HandshakeTimeout: 50 * time.Millisecond}), connections.Options{})
	token := hubtest.Token(t, "ann")
	for text, record := range map[string]string{
		"Handshake was canceled.":                  "",
		"The protocol 'carrier' is not supported.": `{"protocol":"carrier","version":1}`,
	} {
		b := s.MustOpen(token, "")
		if record != "" {
			b.Send(record)
		}
		if got := b.Receive(); got != `{"error":"`+text+`"}` {
			t.Errorf("%q: got %s, want %s", record, got, text)
		}
		if code := b.End(); code != 1000 {
			t.Errorf("%q: code %d, want 1000", record, code)
		}
	}
}

// A device whose state cannot be loaded is not guessed at.
func TestHandshakeWithoutDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, hub.Options{})
		h.devices.breakDown(errors.New("bucket 7 is on fire"))
		s := hubtest.ServePipes(t, h, connections.Options{})
		b := s.MustOpen(hubtest.Token(t, "ann"), "device=phone")
		b.Send(`{"protocol":"json","version":1}`)
		want(t, "answer", settle(b), `{"error":"The state of this device cannot be loaded at the moment. Try again."}`)
		h.devices.breakDown(nil)
		s.Connect("ann", "device=phone")
	})
}

// A client that has been further on another node is waited for by this one's
// log, for a moment.
func TestHandshakeWaitsForTheLog(t *testing.T) {
	for _, test := range []struct {
		name      string
		after     time.Duration
		truncated bool
	}{
		{"in time", 500 * time.Millisecond, false},
		{"late", 2 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, hub.Options{})
				s := hubtest.ServePipes(t, h, connections.Options{})
				h.emit(t, notifications.ToUser("ann"), "one")
				ahead := notifications.Cursor{Epoch: actorstest.Epoch, Position: 2, Stored: time.UnixMilli(2).UTC()}
				b := s.MustOpen(hubtest.Token(t, "ann"), "cursor="+ahead.String())
				b.Send(`{"protocol":"json","version":1}`)
				time.Sleep(test.after)
				h.emit(t, notifications.ToUser("ann"), "two")
				time.Sleep(time.Second)
				got := strings.Join(settle(b), " ")
				if strings.Contains(got, `"truncated":true`) != test.truncated || strings.Contains(got, `"position":1,`) != test.truncated {
					t.Errorf("got %s, want truncated %v", got, test.truncated)
				}
			})
		})
	}
}

// However many clients the log has to catch up with, others connect meanwhile:
// who waits does not take the place of who could go on.
func TestHandshakesThatWaitHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, hub.Options{})
		s := hubtest.ServePipes(t, h, connections.Options{})
		h.emit(t, notifications.ToUser("ann"), "one")
		ahead := notifications.Cursor{Epoch: actorstest.Epoch, Position: 2, Stored: time.UnixMilli(2).UTC()}
		for range 8 * runtime.GOMAXPROCS(0) {
			s.MustOpen(hubtest.Token(t, "ann"), "cursor="+ahead.String()).Send(`{"protocol":"json","version":1}`)
		}
		synctest.Wait()
		began := time.Now()
		s.Connect("bob", "")
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("bob connected after %v", took)
		}
		time.Sleep(2 * time.Second) // of the bubble: until those who wait have given up
	})
}

// Who has negotiated before the bound of stateful reconnect was reached, and
// comes after it, is told to connect again.
func TestHandshakeBeyondTheBoundOfStatefulReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubtest.ServePipes(t, newHub(t, hub.Options{}), connections.Options{StatefulReconnect: true, MaxResumable: 1})
		token := hubtest.Token(t, "ann")
		_, first := s.Negotiate(token, "useStatefulReconnect=true")
		_, second := s.Negotiate(token, "useStatefulReconnect=true")
		for i, key := range []string{first, second} {
			b := s.MustOpen(token, "id="+key)
			b.Send(`{"protocol":"json","version":2}`)
			want := []string{"{}", `{"error":"Too many clients with stateful reconnect are connected. Connect again."}`}[i]
			if got := b.Receive(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Who has not shaken hands does not hold up a node that stops.
func TestCloseAllCutsHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, hub.Options{})
		s := hubtest.ServePipes(t, h, connections.Options{})
		silent := s.MustOpen(hubtest.Token(t, "ann"), "")
		synctest.Wait()
		began := time.Now()
		if err := h.CloseAll(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if code := silent.End(); code != hubtest.CodeAbnormal || time.Since(began) > 0 {
			t.Errorf("got the end %d after %v, want it to be cut at once", code, time.Since(began))
		}
	})
}
