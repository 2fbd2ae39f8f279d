//go:build unix

package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// waitFor asks until it is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.After(patience)
	for tick := time.NewTicker(10 * time.Millisecond); !so(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after %v not yet: %s", patience, what)
		}
	}
}

// programs are the server and the relay, built once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "outbox-programs-")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { _ = os.RemoveAll(dir) })
	for name, source := range map[string]string{"tidings": "../../../cmd/tidings", "outbox": "."} {
		command := exec.CommandContext(context.Background(), "go", "build", "-o", filepath.Join(dir, name), ".")
		command.Dir = source
		if out, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// node is a Tidings server in a process of its own.
type node struct {
	*exec.Cmd

	url, data string
}

func startTidings(t *testing.T, data string) *node {
	t.Helper()
	n := &node{data: data, Cmd: exec.CommandContext(t.Context(), program(t, "tidings"), "serve", "--dev", "--data", data,
		"--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "off")}
	n.Cancel = func() error { return n.Process.Signal(os.Interrupt) } // when the test ends
	n.WaitDelay = patience
	n.Stderr = logWriter{t}
	out, err := n.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("tidings is not ready: %v, %v", err, n.Wait())
	}
	t.Cleanup(func() { _ = n.Wait() }) // it was told to stop
	for field := range strings.FieldsSeq(line) {
		if address, is := strings.CutPrefix(field, "http="); is {
			n.url = "http://" + address
		}
	}
	if n.url == "" {
		t.Fatalf("ready line: got %q", line)
	}
	return n
}

// logWriter shows what a program logs if the test fails.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// tokenFile holds a token that `tidings token` has made.
func (n *node) tokenFile(t *testing.T, user string, roles ...string) string {
	t.Helper()
	args := []string{"token", "--data", n.data, "--user", user}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	token, err := exec.CommandContext(t.Context(), program(t, "tidings"), args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, token, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (n *node) tidings(t *testing.T, address string) Tidings {
	t.Helper()
	return Tidings{URL: address, Token: fileToken(n.tokenFile(t, "shop", "emitter")), Client: http.DefaultClient}
}

// stored is how many events the log holds: the next one has the position after
// them.
func (n *node) stored(t *testing.T) int {
	t.Helper()
	tidings := n.tidings(t, n.url)
	position, err := tidings.Publish(t.Context(), []byte(`{"recipient":"user/nobody"}`))
	if err != nil {
		t.Fatal(err)
	}
	return int(position) - 1
}

// hear is what a browser of that user is told of the whole log: the links of so
// many events.
func (n *node) hear(t *testing.T, user string, count int) []string {
	t.Helper()
	token, err := os.ReadFile(n.tokenFile(t, user))
	if err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(n.url, "http", "ws", 1) + "/hubs/notifications?replay=all"
	socket, response, err := websocket.DefaultDialer.DialContext(t.Context(), address,
		http.Header{"Authorization": {"Bearer " + strings.TrimSpace(string(token))}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // it has none: the socket is open
	defer func() { _ = socket.Close() }()
	if err := socket.WriteMessage(websocket.TextMessage, []byte(`{"protocol":"json","version":1}`+"\x1e")); err != nil {
		t.Fatal(err)
	}
	_ = socket.SetReadDeadline(time.Now().Add(patience)) // a read says so if it cannot be
	var links []string
	for len(links) < count {
		_, data, err := socket.ReadMessage()
		if err != nil {
			t.Fatalf("%s has heard %v: %v", user, links, err)
		}
		for record := range strings.SplitSeq(string(data), "\x1e") {
			var m struct {
				Target    string
				Arguments []struct{ Link string }
			}
			if err := json.Unmarshal([]byte(record), &m); err == nil && m.Target == "ReceiveNotification" {
				links = append(links, m.Arguments[0].Link)
			}
		}
	}
	return links
}

// door stands before a server, counts what relays want of it, and can spoil it.
type door struct {
	*httptest.Server

	target      atomic.Pointer[url.URL]
	posts, asks atomic.Int64
	// before sees a request that has not been passed on, and may answer it itself;
	// after one that the server has answered. Both may be nil.
	before func(w http.ResponseWriter, r *http.Request) (answered bool)
	after  func(r *http.Request)
}

// newDoor makes a door that is opened by Start.
func newDoor(t *testing.T, n *node) *door {
	t.Helper()
	d := &door{}
	d.leadTo(t, n)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(d.target.Load()) },
		ModifyResponse: func(r *http.Response) error {
			if d.after != nil {
				d.after(r.Request)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			d.posts.Add(1)
		case http.MethodGet:
			d.asks.Add(1)
		}
		if d.before == nil || !d.before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) leadTo(t *testing.T, n *node) {
	t.Helper()
	target, err := url.Parse(n.url)
	if err != nil {
		t.Fatal(err)
	}
	d.target.Store(target)
}

// order commits orders of a customer.
func order(t *testing.T, db *sql.DB, customer string, numbers ...string) {
	t.Helper()
	for _, number := range numbers {
		if err := placeOrder(t.Context(), db, number, customer); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome is what has become of an event.
type outcome struct {
	id, recipient, link string
	published           int // 0 = not
	refused             string
}

// rows are all rows of the outbox, in the order in which they were written.
func rows(t *testing.T, db *sql.DB) []outcome {
	t.Helper()
	found, err := db.QueryContext(t.Context(),
		`SELECT id, recipient, coalesce(event->>'link', ''), coalesce(published, 0), coalesce(refused, '') FROM outbox ORDER BY turn`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	var all []outcome
	for found.Next() {
		var r outcome
		if err := found.Scan(&r.id, &r.recipient, &r.link, &r.published, &r.refused); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// settled tells whether no row waits.
func settled(t *testing.T, db *sql.DB) bool {
	t.Helper()
	return !slices.ContainsFunc(rows(t, db), func(r outcome) bool { return r.published == 0 && r.refused == "" })
}

// age makes all attempts older, as if time had passed since.
func age(t *testing.T, db *sql.DB, by time.Duration) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), `UPDATE outbox SET attempted_at = attempted_at - make_interval(secs => $1)`, by.Seconds()); err != nil {
		t.Fatal(err)
	}
}

// newRelay makes a relay in this process.
func newRelay(t *testing.T, db *sql.DB, n *node, address string) *Relay {
	t.Helper()
	return &Relay{DB: db, Tidings: n.tidings(t, address), Logger: slog.New(slog.NewTextHandler(logWriter{t}, nil))}
}

// run runs a relay until the test ends.
func (r *Relay) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

// steps lets a relay work until there is nothing to do.
func (r *Relay) steps(t *testing.T) {
	t.Helper()
	for {
		worked, err := r.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !worked {
			return
		}
	}
}
