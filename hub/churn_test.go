package hub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
)

// cycles is how often TestChurn connects; the race detector makes each of them
// ten times slower.
func cycles() int {
	if raceEnabled {
		return 3_000
	}
	return 100_000
}

// Nothing is left of connections that have come and gone, however they went and
// whatever transport they came over.
func TestChurn(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute")
	}
	h := newHub(t, hub.Options{
		Methods: hub.Methods{"Join": (*hub.Context).JoinGroup},
		OnConnected: func(c *hub.Context) error {
			return c.Clients().Caller().Send(c.Context(), "Welcome", c.ConnectionID())
		},
	})
	s := hubtest.Serve(t, h, connections.Options{StatefulReconnect: true})
	c := churn{t: t, address: strings.TrimSuffix(strings.TrimPrefix(s.URL, "http://"), "/hub"), server: s, token: hubtest.Token(t, "ann")}
	c.run(cycles() / 2) // pools and maps have their size afterwards: the registry of the actor library alone takes 9 MB
	heap, goroutines := c.settled(h)
	c.run(cycles() / 2)
	heapAfter, goroutinesAfter := c.settled(h)
	t.Logf("%d connections: heap %d KiB before, %d KiB after; goroutines %d and %d", cycles(), heap>>10, heapAfter>>10, goroutines, goroutinesAfter)
	if grown := int64(heapAfter) - int64(heap); grown > 2<<20 && !raceEnabled {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	if goroutinesAfter > goroutines+4 {
		t.Errorf("%d goroutines were running before and %d afterwards", goroutines, goroutinesAfter)
	}
}

// churn makes connections that end soon.
type churn struct {
	t              *testing.T
	server         *hubtest.Server
	address, token string
}

func (c *churn) run(n int) {
	var wg sync.WaitGroup
	each := n / 8
	for worker := range 8 {
		wg.Go(func() {
			for i := range each {
				if err := c.once(i); err != nil {
					c.t.Errorf("connection %d of worker %d: %v", i, worker, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// once is one connection: mostly a WebSocket, now and then long polling or an
// event stream.
func (c *churn) once(i int) error {
	switch i % 40 {
	case 38:
		return c.poll()
	case 39:
		return c.events()
	}
	return c.socket(i % 3)
}

// settled is the heap and the number of goroutines when all have gone.
func (c *churn) settled(h *hub.Hub) (heap uint64, goroutines int) {
	for late := time.Now().Add(hubtest.Patience); h.Stats().Connections > 0; runtime.Gosched() {
		if time.Now().After(late) {
			c.t.Fatalf("%d connections are left", h.Stats().Connections)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	var m runtime.MemStats
	for range 5 { // goroutines that have been told to end do so meanwhile
		runtime.GC()
		runtime.ReadMemStats(&m)
		goroutines = runtime.NumGoroutine()
	}
	return m.HeapAlloc, goroutines
}

// socket comes with a WebSocket, calls, and goes: with a close frame, with a
// Close message, or without a word.
func (c *churn) socket(how int) error {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	defer func() {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // or the machine runs out of ports
		}
		_ = conn.Close()
	}()
	_ = conn.SetDeadline(time.Now().Add(hubtest.Patience))
	if _, err := fmt.Fprintf(conn, "GET /hub HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", c.token); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
	}
	said := "{\"protocol\":\"json\",\"version\":1}\x1e" + call("1", "Join", "g") + "\x1e"
	if _, err := conn.Write(masked(hubtest.Text, said)); err != nil {
		return err
	}
	if err := readTo(r, `"invocationId":"1"`); err != nil {
		return err
	}
	switch how {
	case 0:
		_, err = conn.Write(masked(hubtest.Close, "\x03\xe8"))
	case 1:
		_, err = conn.Write(masked(hubtest.Text, "{\"type\":7}\x1e"))
	default:
		return nil
	}
	if err == nil {
		err = readTo(r, "\x88") // the server's close frame
	}
	return err
}

// masked is a frame of a client, with a mask that changes nothing.
func masked(opcode byte, payload string) []byte {
	frame := []byte{0x80 | opcode, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	if len(payload) < 126 {
		frame = []byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	}
	return append(frame, payload...)
}

// readTo reads until it has seen a text.
func readTo(r io.ByteReader, text string) error {
	seen := ""
	for !strings.HasSuffix(seen, text) {
		b, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("waiting for %q after %q: %w", text, seen, err)
		}
		seen += string(b)
	}
	return nil
}

func (c *churn) poll() error {
	_, key := c.server.Negotiate(c.token, "")
	c.server.Do(http.MethodGet, "?id="+key, c.token)
	if a := c.server.Do(http.MethodDelete, "?id="+key, c.token); a.StatusCode != http.StatusAccepted {
		return fmt.Errorf("delete: %s", a.Status)
	}
	return nil
}

func (c *churn) events() error {
	_, key := c.server.Negotiate(c.token, "")
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.server.URL+"?id="+key, http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
