package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestMain is the program itself when a test has started it again.
func TestMain(m *testing.M) {
	if os.Getenv("PEERS_TEST_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start runs a peer as a process, and ends it with SIGINT.
func start(t *testing.T, args ...string) (address, version string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), "PEERS_TEST_RUN=1")
	command.Stderr = os.Stderr
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command.Wait(); command.ProcessState.ExitCode() != 0 {
			t.Errorf("SIGINT ended it with %v", err)
		}
	})
	var name string
	if _, err := fmt.Sscanf(line, "ready name=%s version=%s http=%s\n", &name, &version, &address); err != nil || name != args[0] {
		t.Fatalf("first line %q: %v", line, err)
	}
	return address, version
}

type browser struct {
	t    *testing.T
	conn *websocket.Conn
	rest []string // of a message that carried several lines
}

func connect(t *testing.T, url string) *browser {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, conn: conn}
}

func (b *browser) say(text string) {
	b.t.Helper()
	if err := b.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

// hear returns the next line that the server says.
func (b *browser) hear() string {
	b.t.Helper()
	if len(b.rest) == 0 {
		kind, text, err := b.conn.ReadMessage()
		if err != nil || kind != websocket.TextMessage {
			b.t.Fatalf("message of kind %d: %v", kind, err)
		}
		b.rest = strings.Split(string(text), "\n")
	}
	line := b.rest[0]
	b.rest = b.rest[1:]
	return line
}

// wants hears exactly those marks, in that order.
func (b *browser) wants(data func(line string) string, marks ...string) {
	b.t.Helper()
	for _, mark := range marks {
		want := fmt.Sprintf(`{"m":%q}`, mark)
		if line := b.hear(); data(line) != want {
			b.t.Fatalf("heard %.200s, want %.200s", line, want)
		}
	}
}

// post returns status and text of the answer.
func post(t *testing.T, address, body string) (int, string) {
	t.Helper()
	response, err := http.Post("http://"+address+"/publish", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// push is a publication of Centrifuge.
type push struct {
	Push struct {
		Channel string
		Pub     struct {
			Data   json.RawMessage
			Offset uint64
		}
	}
}

func centrifugeData(line string) string {
	var p push
	_ = json.Unmarshal([]byte(line), &p) // a wrong line is shown by who compares
	return string(p.Push.Pub.Data)
}

func raw(line string) string { return line }

var peers = []struct {
	name, path, hello string
	data              func(line string) string
}{
	{"loop", "/ws", "", raw},
	{"gorilla", "/ws", "", raw},
	{"centrifuge", "/connection/websocket", `{"id":1,"connect":{}}`, centrifugeData},
}

func TestEventsReachWhoHearsThem(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			address, version := start(t, p.name, "-listen", "127.0.0.1:0")
			var who struct{ Name, Version string }
			response, err := http.Get("http://" + address + "/who")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if err := json.NewDecoder(response.Body).Decode(&who); err != nil || who.Name != p.name || who.Version != version || version == "unknown" {
				t.Fatalf("it is %+v, and was ready as %s %s: %v", who, p.name, version, err)
			}

			one := connect(t, address+p.path+"?user=1&channels=role/x,role/y,role/x")
			two := connect(t, address+p.path+"?user=2&channels=role/y")
			gone := connect(t, address+p.path+"?user=3&channels=role/x")
			if p.hello != "" {
				for _, b := range []*browser{one, two, gone} {
					b.say(p.hello)
					b.hear()
				}
			}
			if err := gone.conn.Close(); err != nil {
				t.Fatal(err)
			}
			long, huge := strings.Repeat("f", 1000), strings.Repeat("f", 70_000)
			status, text := post(t, address, `[
				{"to":"everyone","data":{"m":"all"}}, {"to":"user/1","data":{"m":"to 1"}}, {"to":"role/x","data":{"m":"to x"}},
				{"to":"user/2","data":{"m":"to 2"}}, {"to":"user/3","data":{"m":"to 3"}}, {"to":"role/y","data":{"m":"`+long+`"}},
				{"to":"nobody","data":{"m":"lost"}}, {"to":"everyone","data":{"m":"`+huge+`"}}]`)
			if status != http.StatusOK || strings.TrimSpace(text) != `{"accepted":8}` {
				t.Fatalf("publish: %d %s", status, text)
			}
			one.wants(p.data, "all", "to 1", "to x", long, huge)
			two.wants(p.data, "all", "to 2", long, huge)
		})
	}
}

// A client that does not read for a while fills every buffer on the way, and
// hears everything all the same, in order.
func TestNothingIsLostToASlowClient(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			address, _ := start(t, p.name)
			b := connect(t, address+p.path+"?user=1")
			if p.hello != "" {
				b.say(p.hello)
				b.hear()
			}
			tcp, ok := b.conn.NetConn().(*net.TCPConn)
			if !ok || tcp.SetReadBuffer(16<<10) != nil {
				t.Fatal("no small buffer")
			}
			var entries, marks []string
			for i := range 500 {
				marks = append(marks, fmt.Sprintf("%d %s", i, strings.Repeat("f", 30_000)))
				entries = append(entries, fmt.Sprintf(`{"to":"user/1","data":{"m":%q}}`, marks[i]))
			}
			published := make(chan int, 1)
			go func() {
				status, _ := post(t, address, "["+strings.Join(entries, ",")+"]")
				published <- status
			}()
			select {
			case status := <-published:
				if p.name != "centrifuge" { // its queue takes it all
					t.Fatalf("published with %d, before the client read: it was no slow one", status)
				}
				published <- status
			case <-time.After(500 * time.Millisecond):
			}
			b.wants(p.data, marks...)
			if status := <-published; status != http.StatusOK {
				t.Errorf("publish: %d", status)
			}
		})
	}
}

func TestBadPublishIsRefusedWhole(t *testing.T) {
	address, _ := start(t, "loop")
	b := connect(t, address+"/ws?user=1")
	for _, body := range []string{
		``, `null`, `{}`, `[{"to":"everyone","data":{"m":"1"}}`, `[{"to":"everyone","data":{"m":"1"}}] x`,
		`[{"to":"everyone","data":{"m":"1"}},{"to":"everyone"}]`, `[{"to":"everyone","data":{"m":"1"}},{"data":{}}]`,
		`[{"to":"everyone","data":"1"}]`, `[{"to":1,"data":{}}]`,
	} {
		if status, text := post(t, address, body); status != http.StatusBadRequest || text == "" {
			t.Errorf("%s: %d %q", body, status, text)
		}
	}
	post(t, address, `[{"to":"everyone","data":{"m":"good"}}]`)
	b.wants(raw, "good")
}

func TestWhoIsNoClientIsRefused(t *testing.T) {
	for _, p := range peers {
		address, _ := start(t, p.name)
		for _, url := range []string{p.path, p.path + "?user=1"} { // no user; no upgrade
			response, err := http.Get("http://" + address + url)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusUpgradeRequired {
				t.Errorf("%s %s: %s", p.name, url, response.Status)
			}
		}
	}
}

func TestCentrifugeRecovers(t *testing.T) {
	address, _ := start(t, "centrifuge", "-history", "100")
	url := address + "/connection/websocket?user=1&channels=role/x"
	type answer struct {
		Connect struct {
			Subs map[string]struct {
				Epoch        string
				Offset       uint64
				Recovered    bool
				Publications []struct{ Data json.RawMessage }
			}
		}
	}
	var first, second answer
	b := connect(t, url)
	b.say(`{"id":1,"connect":{}}`)
	if err := json.Unmarshal([]byte(b.hear()), &first); err != nil || len(first.Connect.Subs) != 3 {
		t.Fatalf("connect: %+v, %v", first, err)
	}
	post(t, address, `[{"to":"role/x","data":{"m":"heard"}}]`)
	var p push
	if err := json.Unmarshal([]byte(b.hear()), &p); err != nil || p.Push.Channel != "role/x" || p.Push.Pub.Offset != 1 {
		t.Fatalf("push: %+v, %v", p, err)
	}
	_ = b.conn.Close()
	post(t, address, `[{"to":"role/x","data":{"m":"1"}},{"to":"everyone","data":{"m":"2"}},{"to":"role/x","data":{"m":"3"}}]`)

	b = connect(t, url)
	b.say(fmt.Sprintf(`{"id":1,"connect":{"subs":{"role/x":{"recover":true,"epoch":%q,"offset":1},"everyone":{"recover":true,"epoch":%q}}}}`,
		first.Connect.Subs["role/x"].Epoch, first.Connect.Subs["everyone"].Epoch))
	if err := json.Unmarshal([]byte(b.hear()), &second); err != nil {
		t.Fatal(err)
	}
	for channel, want := range map[string]string{"role/x": `{"m":"1"}{"m":"3"}`, "everyone": `{"m":"2"}`} {
		got := ""
		for _, publication := range second.Connect.Subs[channel].Publications {
			got += string(publication.Data)
		}
		if got != want || !second.Connect.Subs[channel].Recovered {
			t.Errorf("%s: recovered %s, want %s", channel, got, want)
		}
	}
	post(t, address, `[{"to":"everyone","data":{"m":"live"}}]`)
	b.wants(centrifugeData, "live")
}
