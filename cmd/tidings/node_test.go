package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"tidings/notifications"
	"tidings/roles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// running is a node in this process, started by its command line.
type running struct {
	http, ops, nats, data string
	position              string
	ended                 chan error
	stop                  context.CancelFunc
}

// start runs `tidings serve` and waits until it is ready. It is stopped, and
// must then have ended well, when the test ends.
func start(t *testing.T) *running {
	t.Helper()
	r := begin(t, t.TempDir())
	t.Cleanup(func() { r.end(t) })
	return r
}

// begin is start on a data directory, for tests that end the node themselves.
func begin(t *testing.T, data string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{data: data, stop: cancel, ended: make(chan error, 1)}
	out, in := io.Pipe()
	base := []string{"serve", "--dev", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--data", data}
	go func() {
		err := run(ctx, append(base, args...), environment{Stdout: in, Stderr: logWriter{t}, Environ: os.Environ()})
		_ = in.CloseWithError(io.EOF)
		r.ended <- err
	}()
	late := time.AfterFunc(patience, func() { _ = out.CloseWithError(errors.New("it took too long")) })
	defer late.Stop()
	stdout := bufio.NewReader(out)
	line, err := stdout.ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("node is not ready: %v, %v", err, <-r.ended)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }() // ends with the node
	fields := map[string]string{}
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	r.http, r.ops, r.nats, r.position = fields["http"], fields["ops"], fields["nats"], fields["position"]
	if !strings.HasPrefix(line, "tidings ready ") || r.http == "" || r.ops == "" || r.nats == "" || r.position == "" {
		t.Fatalf("ready line: got %q", line)
	}
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("node ended with %v", err)
		}
	case <-time.After(patience):
		t.Errorf("node has not ended after %v", patience)
	}
	http.DefaultClient.CloseIdleConnections()
}

// logWriter shows what the node logs if the test fails.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// token mints one as `tidings token` does.
func (r *running) token(t *testing.T, user string, held ...string) string {
	t.Helper()
	secret, err := readSecret(filepath.Join(r.data, "dev-secret"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := roles.Mint(secret, roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// command runs another command of the program and returns what it prints.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := run(t.Context(), args, environment{Stdout: &out, Stderr: io.Discard})
	return out.String(), err
}

// get fetches a page of a listener.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// browser is a client of a hub that sees records, not messages.
type browser struct {
	t       *testing.T
	socket  *websocket.Conn
	pending []string
	skipped []message // read while something else was waited for
}

// connect opens a connection without negotiation and shakes hands.
func (r *running) connect(t *testing.T, path, token string) *browser {
	t.Helper()
	socket, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+r.http+path, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	_ = response.Body.Close() // it has none: the socket is open
	b := &browser{t: t, socket: socket}
	t.Cleanup(func() { _ = socket.Close() })
	b.send(`{"protocol":"json","version":1}`)
	if got := b.next(); got != "{}" {
		t.Fatalf("handshake: got %q", got)
	}
	return b
}

func (b *browser) send(record string) {
	b.t.Helper()
	if err := b.socket.WriteMessage(websocket.TextMessage, []byte(record+"\x1e")); err != nil {
		b.t.Fatal(err)
	}
}

// next is the next record that is no ping.
func (b *browser) next() string {
	b.t.Helper()
	if err := b.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	for {
		for len(b.pending) > 0 {
			record := b.pending[0]
			b.pending = b.pending[1:]
			if record != "" && record != `{"type":6}` {
				return record
			}
		}
		_, data, err := b.socket.ReadMessage()
		if err != nil {
			b.t.Fatalf("no record: %v", err)
		}
		b.pending = strings.Split(string(data), "\x1e")
	}
}

// message is a record as far as these tests look at it.
type message struct {
	Type         int
	InvocationID string
	Target       string
	Arguments    []json.RawMessage
	Result       json.RawMessage
	Error        string
	Headers      map[string]string
}

// until returns the first record that is wanted. Those before it are kept: a
// completion and the event it tells of come in any order.
func (b *browser) until(what string, wanted func(message) bool) message {
	b.t.Helper()
	if at := slices.IndexFunc(b.skipped, wanted); at >= 0 {
		m := b.skipped[at]
		b.skipped = slices.Delete(b.skipped, at, at+1)
		return m
	}
	for {
		var m message
		record := b.next()
		if err := json.Unmarshal([]byte(record), &m); err != nil {
			b.t.Fatalf("record %q: %v", record, err)
		}
		if wanted(m) {
			return m
		}
		if m.Type == 7 {
			b.t.Fatalf("closed before %s: %s", what, record)
		}
		b.skipped = append(b.skipped, m)
	}
}

// alert is the next notification.
func (b *browser) alert() (notifications.Notification, message) {
	b.t.Helper()
	m := b.until("a notification", func(m message) bool { return m.Target == "ReceiveNotification" })
	var n notifications.Notification
	if err := json.Unmarshal(m.Arguments[0], &n); err != nil {
		b.t.Fatal(err)
	}
	return n, m
}

// invoke calls a method and waits for its completion.
func (b *browser) invoke(method string, arguments ...any) message {
	b.t.Helper()
	if arguments == nil {
		arguments = []any{}
	}
	encoded, err := json.Marshal(arguments)
	if err != nil {
		b.t.Fatal(err)
	}
	b.send(fmt.Sprintf(`{"type":1,"invocationId":"i","target":%q,"arguments":%s}`, method, encoded))
	return b.until("the completion of "+method, func(m message) bool { return m.Type == 3 })
}

// live waits until the first connection has caught up: what comes now is
// delivered, and not read from the log.
func (r *running) live(t *testing.T) {
	t.Helper()
	waitFor(t, "live", func() bool {
		_, body := get(t, "http://"+r.ops+"/metrics")
		return strings.Contains(body, `notify_replay_duration_seconds_count{trigger="reconnect"} 1`)
	})
}

// resumed waits until the connection is in its place.
func (b *browser) resumed() notifications.Resumed {
	b.t.Helper()
	m := b.until("Resumed", func(m message) bool { return m.Target == "Resumed" })
	var r notifications.Resumed
	if err := json.Unmarshal(m.Arguments[0], &r); err != nil {
		b.t.Fatal(err)
	}
	return r
}
