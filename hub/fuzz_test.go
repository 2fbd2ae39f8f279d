package hub_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
)

// FuzzSession feeds a connection with any bytes after the handshake, cut into
// frames anywhere. Nothing panics, what the server says is whole records, and
// when the client has gone nothing is left: a bubble does not end before its
// goroutines have.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"{\"type\":6}\x1e",
		"{\"type\":1,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[\"x\"]}\x1e{\"type\":1,\"target\":\"Join\",\"arguments\":[\"g\"]}\x1e",
		"{\"type\":1,\"invocationId\":\"1\",\"target\":\"Any\",\"arguments\":[{\"a\":[1,null,\"\\u0041\"]}],\"headers\":{\"traceparent\":\"00-x\"}}\x1e",
		"{\"type\":4,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[],\"streamIds\":[\"2\"]}\x1e{\"type\":2,\"invocationId\":\"2\",\"item\":1}\x1e",
		"{\"type\":3,\"invocationId\":\"1\",\"error\":\"e\"}\x1e{\"type\":5,\"invocationId\":\"1\"}\x1e{\"type\":8,\"sequenceId\":1}\x1e{\"type\":9,\"sequenceId\":-1}\x1e",
		"{\"type\":7,\"error\":\"x\"}\x1e{\"type\":1,\"target\":\"Echo\",\"arguments\":[\"late\"]}\x1e",
		"{\"type\":1,\"target\":\"Abort\",\"arguments\":[]}\x1e{\"type\":1,\"target\":\"Panic\",\"arguments\":[]}\x1e",
		"\x1e", "\x00", "{\"type\":6", strings.Repeat("x", 600),
	} {
		f.Add([]byte(seed), uint8(7), false)
		f.Add([]byte(seed), uint8(200), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8, polite bool) {
		synctest.Test(t, func(t *testing.T) {
			b := hubtest.ServePipes(t, newHub(t, hub.Options{
				Shards: 1, MaxMessage: 512, DetailedErrors: true,
				Methods: hub.Methods{
					"Echo": func(_ *hub.Context, s string) string { return s }, "Any": func(_ *hub.Context, a any) any { return a },
					"Join": (*hub.Context).JoinGroup, "Leave": (*hub.Context).LeaveGroup, "Ack": (*hub.Context).Ack, "Abort": (*hub.Context).Abort,
					"Panic": func(*hub.Context) { panic("x") }, "Wait": func(*hub.Context) { time.Sleep(time.Second) },
				},
			}), connections.Options{}).MustOpen(hubtest.Token(t, "ann"), "")
			b.ShakeHands()
			for len(data) > 0 {
				n := min(int(cut)+1, len(data))
				b.SendFrame(hubtest.Frame{Opcode: hubtest.Text, Final: true, Payload: data[:n]})
				data = data[n:]
			}
			for _, r := range settle(b) {
				if !strings.HasPrefix(r, `{"type":`) || !strings.HasSuffix(r, "}") {
					t.Errorf("heard %q, want a record", r)
				}
			}
			if polite && b.Code() == hubtest.CodeOpen {
				b.Close()
			} else {
				b.Cut()
			}
		})
	})
}
