package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/notifications"
	"tidings/persistence"
)

// fails runs serve and returns why it did not start.
func fails(t *testing.T, args ...string) string {
	t.Helper()
	err := run(t.Context(), append([]string{"serve"}, args...), environment{Stdout: io.Discard, Stderr: logWriter{t}, Environ: os.Environ()})
	if err == nil {
		t.Fatalf("serve %v has run and ended well", args)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the reason has several lines: %v", err)
	}
	return err.Error()
}

func TestServeSaysWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Shutdown() }()
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + other.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := persistence.Open(t.Context(), conn, persistence.Options{MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	dev := []string{"--dev", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "off"}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no way to verify", []string{"--data", t.TempDir()}, "no way to verify tokens"},
		{"data directory is a file", append([]string{"--data", file}, dev...), "data directory"},
		{"http port in use", append(dev, "--data", t.TempDir(), "--http", taken.Addr().String()), "http: listen tcp " + taken.Addr().String()},
		{"ops port in use", append(dev, "--data", t.TempDir(), "--ops", taken.Addr().String()), "ops: listen tcp " + taken.Addr().String()},
		{"NATS port in use", append(dev, "--data", t.TempDir(), "--nats-listen", taken.Addr().String()), "in use"},
		{"NATS unreachable", append(dev, "--data", t.TempDir(), "--nats", "nats://me:secret@127.0.0.1:1"), "NATS at nats://127.0.0.1:1"},
		{"NATS too old", append(dev, "--data", t.TempDir(), "--nats", "nats://"+oldServer(t)), "is version 2.13.9, at least 2.14.3 is needed"},
		{"stream of another shape", append(dev, "--data", t.TempDir(), "--nats", "nats://"+other.Addr()), "max_age is 1h0m0s, want 720h0m0s"},
		{"short secret", append(dev, "--data", t.TempDir(), "--auth-secret-file", file), "secret of 5 bytes, at least 32 are needed"},
		{"key file without a key", append(dev, "--data", t.TempDir(), "--auth-key-file", file), "no PEM block"},
		{"no policy", append(dev, "--data", t.TempDir(), "--policy", "/nowhere"), "/nowhere"},
		{"bad policy", append(dev, "--data", t.TempDir(), "--policy", file), "policy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fails(t, test.args...); !strings.Contains(got, test.want) || strings.Contains(got, "me:secret") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// oldServer greets like a NATS server that is too old; there is no such server
// in the module's dependencies to test with.
func oldServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(c, `INFO {"server_id":"X","version":"2.13.9","proto":1,"headers":true,"max_payload":1048576,"jetstream":true}`+"\r\n")
			for in := bufio.NewScanner(c); in.Scan(); {
				if in.Text() == "PING" {
					_, _ = fmt.Fprint(c, "PONG\r\n")
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func TestOpsListener(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications", node.token(t, "ann"))
	node.live(t)
	ann.invoke("SendToSelf", "x")
	ann.alert()
	for path, want := range map[string]string{"/livez": "alive", "/readyz": "ready", "/debug/pprof/cmdline": ""} {
		if status, body := get(t, "http://"+node.ops+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %q", path, status, body)
		}
	}
	want := []string{
		`signalr_server_active_connections{signalr_transport="web_sockets"} 1`,
		`rpc_server_call_duration_seconds_count{rpc_method="notifications/SendToSelf",rpc_system_name="signalr"} 1`,
		`notify_delivery_messages_total{outcome="sent",target_kind="user"} 1`,
		`notify_delivery_latency_seconds_count{target_kind="user"} 1`,
		`notify_replay_duration_seconds_count{trigger="reconnect"} 1`,
		"notify_log_rejected_total 0", "notify_log_lag 0", "notify_log_position 1", "notify_actor_mailbox_max ",
		"notify_users_online 1", "notify_nats_connected 1", "go_goroutine_count",
	}
	var body string
	waitFor(t, "counted: "+strings.Join(want, "\n"), func() bool {
		_, body = get(t, "http://"+node.ops+"/metrics")
		return !slices.ContainsFunc(want, func(line string) bool { return !strings.Contains(body, line) })
	})
	if strings.Contains(body, "ann") {
		t.Error("/metrics names a user")
	}
	if status, _ := get(t, "http://"+node.http+"/metrics"); status == http.StatusOK {
		t.Error("/metrics is public")
	}
}

// A node that is told to stop says goodbye to everybody so that they come
// back, and keeps what it has acknowledged.
func TestStopAndStartAgain(t *testing.T) {
	data := t.TempDir()
	node := begin(t, data)
	token := node.token(t, "ann")
	ann := node.connect(t, "/hubs/notifications?device=d1", token)
	ann.resumed()
	if m := ann.invoke("SendToSelf", "before"); m.Error != "" {
		t.Fatal(m.Error)
	}
	n, _ := ann.alert()
	ann.invoke("Ack", n.Cursor)
	ann.invoke("SendToSelf", "not acknowledged")
	node.stop()
	goodbye := ann.until("goodbye", func(m message) bool { return m.Type == 7 })
	if goodbye.Error != "" {
		t.Errorf("goodbye: %+v", goodbye)
	}
	_, _, err := ann.socket.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("after goodbye: got %v, want a normal closure", err)
	}
	if err := <-node.ended; err != nil {
		t.Errorf("the node ended with %v", err)
	}

	node = begin(t, data)
	t.Cleanup(func() { node.end(t) })
	if node.position != "2" {
		t.Errorf("position after the restart: got %s, want 2", node.position)
	}
	ann = node.connect(t, "/hubs/notifications?device=d1", token)
	if r := ann.resumed(); !r.Replaying || r.Truncated {
		t.Errorf("Resumed: got %+v, want replaying and not truncated", r)
	}
	if n, _ := ann.alert(); n.Body != "not acknowledged" || !n.Replayed || n.Position != 2 {
		t.Errorf("after the restart ann heard %+v", n)
	}
}

// NATS goes away and comes back: appends fail with an error that says to try
// again, the connections stay, and everything goes on by itself.
func TestNATSLostAndFound(t *testing.T) {
	dir := t.TempDir()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: dir, Listen: "127.0.0.1:0", Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	addr := server.Addr()
	t.Cleanup(func() { _ = server.Shutdown() }) // after the node
	data := t.TempDir()
	// --nats-listen is for the embedded server, which does not run here.
	node := begin(t, data, "--nats", "nats://"+addr, "--nats-listen", "off")
	t.Cleanup(func() { node.end(t) })
	if node.nats != "nats://"+addr {
		t.Errorf("ready line names NATS %q, want nats://%s", node.nats, addr)
	}
	token := node.token(t, "ann")
	ann := node.connect(t, "/hubs/notifications", token)
	ann.resumed()
	if m := ann.invoke("SendToSelf", "one"); m.Error != "" {
		t.Fatal(m.Error)
	}
	ann.alert()
	if err := server.Shutdown(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "not ready", func() bool {
		status, body := get(t, "http://"+node.ops+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "NATS cannot be reached")
	})
	want := "An unexpected error occurred invoking 'SendToSelf' on the server. HubException: The log is not available. Try again."
	if m := ann.invoke("SendToSelf", "two"); m.Error != want {
		t.Errorf("without NATS: got %q, want %q", m.Error, want)
	}
	if server, err = persistence.StartServer(persistence.ServerOptions{Dir: dir, Listen: addr, Sync: persistence.SyncInterval}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "ready", func() bool {
		status, _ := get(t, "http://"+node.ops+"/readyz")
		return status == http.StatusOK
	})
	if m := ann.invoke("SendToSelf", "three"); m.Error != "" {
		t.Errorf("NATS is back: got %q", m.Error)
	}
	if n, _ := ann.alert(); n.Body != "three" && n.Body != "two" {
		t.Errorf("ann heard %+v", n)
	}
}

// waitFor asks again until the answer is yes.
func waitFor(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); !yes(); <-tick {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after %v", what, patience)
		}
	}
}

// The doors of development hand tokens to pages of this machine only.
func TestDevelopmentPages(t *testing.T) {
	node := start(t)
	ask := func(method, path, host, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+node.http+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			request.Host = host
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
		if response.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s lets other origins read it", path)
		}
		return response.StatusCode, string(data)
	}
	if status, body := ask(http.MethodGet, "/dev/users", "", ""); status != http.StatusOK || !strings.Contains(body, `"id":"ann"`) {
		t.Errorf("/dev/users: got %d %s", status, body)
	}
	status, body := ask(http.MethodPost, "/dev/token", "", `{"user":"ann"}`)
	if status != http.StatusOK || !strings.Contains(body, `"token":"ey`) {
		t.Errorf("/dev/token: got %d %s", status, body)
	}
	for _, test := range []struct {
		name, host, body string
		want             int
	}{
		{"another name", "evil.example", `{"user":"ann"}`, http.StatusForbidden},
		{"a name that begins alike", "localhost.evil.example:80", `{"user":"ann"}`, http.StatusForbidden},
		{"nobody", "", `{"user":"zoe"}`, http.StatusNotFound},
		{"no JSON", "", `x`, http.StatusBadRequest},
		{"too much", "", `{"user":"` + strings.Repeat("x", 2000) + `"}`, http.StatusBadRequest},
	} {
		if status, body := ask(http.MethodPost, "/dev/token", test.host, test.body); status != test.want || strings.Contains(body, "ey") {
			t.Errorf("%s: got %d %s, want %d", test.name, status, body, test.want)
		}
	}
}

// The dashboard hears real figures of the process, and what anybody publishes
// to the live subjects.
func TestAnalytics(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/analytics", node.token(t, "ann"))
	ann.until("Connected", func(m message) bool { return m.Target == "Connected" })
	if m := ann.invoke("JoinDashboard", "main"); m.Error != "" {
		t.Fatal(m.Error)
	}
	if m := ann.invoke("SendMetric", "cpu", 0.5); m.Error != "" {
		t.Fatal(m.Error)
	}
	ann.until("cpu", func(m message) bool {
		return m.Target == "ReceiveMetric" && strings.HasPrefix(string(m.Arguments[0]), `{"name":"cpu","value":0.5,`)
	})
	emitter, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + node.nats})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = emitter.Close(t.Context()) }()
	log, err := persistence.Open(t.Context(), emitter, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.PublishLive(notifications.Live{Hub: "analytics", To: notifications.ToGroup("main"), Target: "ReceiveMetric"}); err != nil {
		t.Fatal(err)
	}
	ann.until("the live message", func(m message) bool { return m.Target == "ReceiveMetric" && len(m.Arguments) == 0 })
	missing := map[string]bool{"ActiveConnections": true, "EventsPerSecond": true, "HeapBytes": true}
	ann.until("figures of the process", func(m message) bool {
		var metric struct{ Name string }
		if m.Target == "ReceiveMetric" && json.Unmarshal(m.Arguments[0], &metric) == nil {
			delete(missing, metric.Name)
		}
		return len(missing) == 0
	})
}

// The doors of browsers and of emitters are under one rule for pages of other
// hosts.
func TestPagesOfOtherHosts(t *testing.T) {
	node := start(t)
	for _, path := range []string{"/v1/notifications", "/hubs/notifications/negotiate"} {
		for origin, allowed := range map[string]bool{
			"http://localhost:5173": true, "http://127.0.0.1:3000": true, "https://evil.example": false, "http://localhost.evil.example": false,
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+node.http+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Origin", origin)
			request.Header.Set("Access-Control-Request-Method", http.MethodPost)
			request.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			h := response.Header
			if got := h.Get("Access-Control-Allow-Origin"); (got == origin) != allowed || (got != "" && got != origin) {
				t.Errorf("%s, page of %s: allowed origin %q, want allowed = %v", path, origin, got, allowed)
			}
			if got := h.Get("Access-Control-Allow-Headers"); (got == "authorization,content-type") != allowed {
				t.Errorf("%s, page of %s: allowed headers %q, want allowed = %v", path, origin, got, allowed)
			}
		}
	}
}
