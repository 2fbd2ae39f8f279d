package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
)

// However its bytes are cut into messages and fragments, and whatever pings
// come between, a client gets the same answers (signalr.md §4 and §13.8).
func TestAnyCuttingIsTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringMatching(`[a-zé"\\]{0,20}`), 1, 8).Draw(r, "texts")
		var stream []byte
		var answers []string
		for i, text := range texts {
			stream = append(stream, call(fmt.Sprint(i), "Echo", text)+"\x1e"...)
			answers = append(answers, result(fmt.Sprint(i), record(text)))
		}
		var frames []hubtest.Frame
		whole := true // the last message
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(r, "bytes")
			f := hubtest.Frame{Opcode: hubtest.Text, Final: rapid.Bool().Draw(r, "final") || n == len(stream), Payload: stream[:n]}
			if !whole {
				f.Opcode = hubtest.Continuation
			}
			whole = f.Final
			stream, frames = stream[n:], append(frames, f)
			if rapid.IntRange(0, 3).Draw(r, "ping") == 0 {
				frames = append(frames, hubtest.Frame{Opcode: hubtest.Ping, Final: true})
			}
		}
		var got []string
		synctest.Test(t, func(t *testing.T) {
			b := served(t, hub.Options{Methods: hub.Methods{"Echo": func(_ *hub.Context, s string) string { return s }}}).Connect("ann", "")
			for _, f := range frames {
				b.SendFrame(f)
			}
			got = settle(b)
		})
		if fmt.Sprint(got) != fmt.Sprint(answers) {
			r.Fatalf("frames %v: got %v, want %v", frames, got, answers)
		}
	})
}

// Wherever a client is cut and comes back with its cursor, or as its device
// with what it acknowledged, it hears every event of its recipients once and
// in order, what was missed plus what is live (events.md §3).
func TestReplayAndLiveAreTheLog(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		device := rapid.Bool().Draw(r, "device")
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"ann", "ann", "bob", "everyone", "role", "cut", "come"}), 5, 40).Draw(r, "steps")
		var heard, log []notifications.Position
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, hub.Options{})
			v := &visitor{t: t, s: hubtest.ServePipes(t, h, connections.Options{}), device: device}
			v.come()
			log = walk(t, h, v, steps)
			v.come()
			heard = v.heard
		})
		if fmt.Sprint(heard) != fmt.Sprint(log) {
			r.Fatalf("steps %v: heard %v, want %v", steps, heard, log)
		}
	})
}

// walk emits, cuts and lets come back, and returns what ann should have heard.
func walk(t *testing.T, h *house, v *visitor, steps []string) (log []notifications.Position) {
	t.Helper()
	to := map[string]notifications.Recipient{
		"ann": notifications.ToUser("ann"), "bob": notifications.ToUser("bob"),
		"everyone": notifications.ToEveryone(), "role": notifications.ToRole("ops"),
	}
	for _, step := range steps {
		switch step {
		case "cut":
			v.leave()
		case "come":
			v.come()
		default:
			h.emit(t, to[step], step)
			if step != "bob" {
				log = append(log, h.log.State().Last)
			}
		}
	}
	return log
}

// visitor is ann, who comes and goes.
type visitor struct {
	t      *testing.T
	s      *hubtest.Server
	device bool

	b      *hubtest.Browser // nil while she is away
	cursor string
	heard  []notifications.Position
}

// come connects her, if she is away, and lets her hear.
func (v *visitor) come() {
	v.t.Helper()
	if v.b == nil {
		query := "cursor=" + v.cursor
		if v.device || v.cursor == "" {
			query = "device=phone"
		}
		v.b = v.s.Connect("ann", query, "ops")
	}
	v.listen()
}

// leave cuts her when she has heard what there is.
func (v *visitor) leave() {
	v.t.Helper()
	if v.b == nil {
		return
	}
	v.listen()
	if v.cursor != "" {
		v.b.Send(call("a", "Ack", v.cursor))
		want(v.t, "Ack", settle(v.b), result("a", "null"))
	}
	v.b.Cut()
	v.b = nil
}

func (v *visitor) listen() {
	v.t.Helper()
	for _, r := range settle(v.b) {
		var m struct {
			Target    string
			Arguments []json.RawMessage
		}
		if err := json.Unmarshal([]byte(r), &m); err != nil || strings.Contains(r, `"error"`) {
			v.t.Errorf("heard %s, %v", r, err)
		}
		if m.Target != notifications.DefaultTarget {
			continue
		}
		var e struct {
			Position notifications.Position
			Cursor   string
		}
		if err := json.Unmarshal(m.Arguments[0], &e); err != nil {
			v.t.Errorf("heard %s, %v", r, err)
		}
		v.heard, v.cursor = append(v.heard, e.Position), e.Cursor
	}
}
