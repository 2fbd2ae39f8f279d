package hub_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
)

// ends tells of the end of connections.
type ends chan string

func (ends) Opened(string)                              {}
func (e ends) Closed(_, reason string, _ time.Duration) { e <- reason }
func (ends) Refused(int)                                {}

// next is the reason of the next end.
func (e ends) next(t *testing.T) string {
	t.Helper()
	select {
	case reason := <-e:
		return reason
	case <-time.After(hubtest.Patience):
		t.Fatalf("no connection has ended after %v", hubtest.Patience)
		return ""
	}
}

// deaf is a browser of eve that shakes hands and then reads no more, with room for
// little.
func deaf(t *testing.T, s *hubtest.Server) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		}}
		return d.DialContext(ctx, network, address)
	}}
	ws, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"?access_token="+hubtest.Token(t, "eve"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // it is empty
	t.Cleanup(func() { _ = ws.Close() })
	if err := ws.WriteMessage(websocket.TextMessage, []byte("{\"protocol\":\"json\",\"version\":1}\x1e")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := ws.ReadMessage(); err != nil || !strings.HasPrefix(string(message), "{}\x1e") {
		t.Fatalf("handshake: got %q, %v", message, err)
	}
	return ws
}

// fill makes a connection of the room lag: it writes until live messages are
// dropped, and tells whether the others have heard them.
func fill(t *testing.T, h *hub.Hub, others ...*hubtest.Browser) {
	t.Helper()
	page := strings.Repeat("x", 32<<10)
	for n := 0; h.Stats().Dropped == 0; n++ {
		if n > 5000 {
			t.Fatal("160 MB were taken by a socket that nobody reads")
		}
		if err := h.Clients().All().Send(t.Context(), "Page", n, page); err != nil {
			t.Fatal(err)
		}
		for _, b := range others {
			if got, want := b.Receive(), said("Page", n, page); got != want {
				t.Fatalf("page %d: heard %.40s", n, got)
			}
		}
	}
}

// signalr.md §4 and §13 of the slow: a peer that never reads is given up after
// the send timeout, and nobody else notices.
func TestPeerThatNeverReads(t *testing.T) {
	ended := make(ends, 2)
	h := newHub(t, hub.Options{Shards: 1, OnDisconnected: func(*hub.Context, error) {}})
	s := hubtest.Serve(t, h, connections.Options{SendTimeout: 200 * time.Millisecond, Observer: ended})
	deaf(t, s)
	ann := s.Connect("ann", "")
	fill(t, h, ann)
	if got := ended.next(t); got != "slow" {
		t.Errorf("ended: got %q, want slow", got)
	}
	if err := h.Clients().All().Send(t.Context(), "Last"); err != nil {
		t.Fatal(err)
	}
	if got := ann.Receive(); got != said("Last") {
		t.Errorf("the other one heard %.80s, want Last", got)
	}
}

// A peer that does not read and says goodbye, or breaks the protocol, holds up
// nobody: its shard looks after others (architecture.md law 4).
func TestPeerThatSaysGoodbyeAndDoesNotRead(t *testing.T) {
	for name, last := range map[string][]byte{
		"close frame": websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""),
		"trouble":     websocket.FormatCloseMessage(websocket.CloseInternalServerErr, ""),
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(ends, 2)
			h := newHub(t, hub.Options{Shards: 1})
			s := hubtest.Serve(t, h, connections.Options{SendTimeout: 15 * time.Second, Observer: ended})
			eve := deaf(t, s)
			ann := s.Connect("ann", "")
			fill(t, h, ann)
			began := time.Now()
			if err := eve.WriteMessage(websocket.CloseMessage, last); err != nil {
				t.Fatal(err)
			}
			ended.next(t)
			if err := h.Clients().All().Send(t.Context(), "Last"); err != nil {
				t.Fatal(err)
			}
			if got := ann.Receive(); got != said("Last") {
				t.Errorf("the other one heard %.80s, want Last", got)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the goodbye of one held the other up for %v", took)
			}
		})
	}
}

// A hub that stops while a peer is not reading does not wait for it.
func TestStopWithAPeerThatDoesNotRead(t *testing.T) {
	h := newHub(t, hub.Options{Shards: 1})
	s := hubtest.Serve(t, h, connections.Options{SendTimeout: 15 * time.Second})
	deaf(t, s)
	fill(t, h)
	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the hub took %v to stop", took)
	}
}

// A browser that was away in its tab comes back to everything: what a slow
// connection did not hear it reads from the log (architecture.md law 8).
func TestSlowPeerMissesNothing(t *testing.T) {
	h := newHouse(t, hub.Options{Shards: 1})
	s := hubtest.Serve(t, h, connections.Options{})
	eve := deaf(t, s)
	const events = 600
	body := strings.Repeat("x", 8<<10)
	for n := range events {
		h.emit(t, notifications.ToUser("eve"), fmt.Sprint(n, " ", body))
	}
	if err := eve.SetReadDeadline(time.Now().Add(hubtest.Patience)); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < events; {
		_, message, err := eve.ReadMessage()
		if err != nil {
			t.Fatalf("after %d events: %v", n, err)
		}
		for r := range strings.SplitSeq(strings.TrimSuffix(string(message), "\x1e"), "\x1e") {
			if !strings.Contains(r, `"ReceiveNotification"`) {
				continue
			}
			if !strings.Contains(r, fmt.Sprintf(`"position":%d,`, n+1)) {
				t.Fatalf("event %d is %.120s", n+1, r)
			}
			n++
		}
	}
}

// architecture.md law 5: the answers to pings of the transport stand between
// frames and never inside of one. The browser of the kit wants every message
// to hold whole records.
func TestPongsStandBetweenFrames(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 12<<10)
	h := newHub(t, hub.Options{Methods: hub.Methods{"Long": func(_ *hub.Context, n int) string { return fmt.Sprint(n, long) }}})
	b := hubtest.Serve(t, h, connections.Options{}).Connect("ann", "")
	const rounds, pings = 40, 25
	for n := range rounds {
		b.Send(call(fmt.Sprint(n), "Long", n))
		for i := range pings {
			b.SendFrame(hubtest.Frame{Opcode: hubtest.Ping, Final: true, Payload: fmt.Append(nil, n*pings+i)})
		}
		if got, want := b.Receive(), result(fmt.Sprint(n), `"`+fmt.Sprint(n)+long+`"`); got != want {
			t.Fatalf("answer %d: got %d bytes, want %d", n, len(got), len(want))
		}
	}
	for n := range rounds * pings {
		if got := b.Pong(); got != fmt.Sprint(n) {
			t.Fatalf("pong: got %q, want %d", got, n)
		}
	}
}

// Records of all lengths whose frames are of another form come whole, both
// ways.
func TestLongRecords(t *testing.T) {
	h := newHub(t, hub.Options{MaxMessage: 2 << 20, Methods: hub.Methods{"Echo": func(_ *hub.Context, s string) string { return s }}})
	b := hubtest.Serve(t, h, connections.Options{}).Connect("ann", "")
	overhead := len(result("1", `""`)) + 1
	for _, n := range []int{overhead, 125, 126, 127, 4096, 65535, 65536, 65537, 1 << 20} { // of the answer's frame
		text := strings.Repeat("x", n-overhead)
		b.Send(call("1", "Echo", text))
		if got, want := b.Receive(), result("1", `"`+text+`"`); got != want {
			t.Errorf("frame of %d bytes: got %d bytes, want %d", n, len(got)+1, len(want)+1)
		}
	}
}
