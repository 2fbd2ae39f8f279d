package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// invented is a request of somebody who makes everything up: the i-th of them.
func (r *running) invented(t *testing.T, i int) *http.Request {
	t.Helper()
	method, path, body := http.MethodGet, fmt.Sprintf("/v1/users/secret-other-%d/inbox", i), io.Reader(http.NoBody)
	token := fmt.Sprintf("secret-token-%d", i)
	switch i % 5 {
	case 0:
		token = r.token(t, fmt.Sprintf("secret-user-%d", i), fmt.Sprintf("secret-role-%d", i)) // who may not look there
	case 1:
		method = fmt.Sprintf("SECRET%d", i)
	case 2:
		path = fmt.Sprintf("/secret-path-%d", i)
	case 3:
		path = fmt.Sprintf("/hubs/notifications?id=secret-connection-%d&access_token=secret", i)
		token = ""
	case 4:
		method, path, body = http.MethodPost, "/v1/notifications", strings.NewReader(`{"recipient":"secret/x"}`)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.http+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = fmt.Sprintf("secret-host-%d.example", i)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

// invent makes so many of these requests, one behind the other without waiting for
// the answers.
func (r *running) invent(t *testing.T, many int) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", r.http)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var requests []*http.Request
	for i := range many {
		requests = append(requests, r.invented(t, i))
	}
	said := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < many && err == nil; i++ {
			err = requests[i].Write(conn)
		}
		said <- err
	}()
	answers := bufio.NewReader(conn)
	for i := range many {
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, response.Body) // the next answer is behind it
		_ = response.Body.Close()
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
}

// emitSecrets emits events of types, to users, roles and groups that nobody else
// has.
func (r *running) emitSecrets(t *testing.T, from, to int) {
	t.Helper()
	var events []map[string]any
	for i := from; i < to; i++ {
		recipient := fmt.Sprintf("%s/secret-%d", []string{"user", "role", "group"}[i%3], i)
		events = append(events, map[string]any{"recipient": recipient, "type": fmt.Sprintf("secret.type.%d", i), "title": "secret"})
	}
	body, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.http+"/v1/notifications", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+r.token(t, "shop", "emitter"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answered, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatalf("emit: got %d %s", response.StatusCode, answered)
	}
}

// Whatever callers make up – hosts, users, tokens, methods, paths, types of events,
// roles, groups, ids of connections – through the real doors, the number of series
// has a bound that does not depend on it, and nothing of it is scraped.
func TestCallersMakeNoSeries(t *testing.T) {
	const many = 10_000
	node := start(t)
	ann := node.connect(t, "/hubs/notifications?device=secret-device", node.token(t, "secret-ann", "secret-role"))
	node.live(t)
	for i := range many {
		ann.send(fmt.Sprintf(`{"type":1,"target":"SecretMethod%d","arguments":["secret"]}`, i))
	}
	for from := 0; from < many; from += 1000 {
		node.emitSecrets(t, from, from+1000)
	}
	node.invent(t, many)
	for i := range 50 {
		b := node.connect(t, fmt.Sprintf("/hubs/analytics?secret=%d", i), node.token(t, fmt.Sprintf("secret-user-%d", i), fmt.Sprintf("secret-role-%d", i)))
		b.invoke("JoinDashboard", fmt.Sprintf("secret-dashboard-%d", i))
		b.invoke("SendMetric", fmt.Sprintf("secret-metric-%d", i), 1)
		_ = b.socket.Close()
	}
	ann.invoke("SendToSelf", "secret")
	n, _ := ann.alert()
	ann.invoke("Ack", n.Cursor)
	if first := ann.skipped; len(first) > 0 && first[0].Type == 7 {
		t.Fatalf("the connection was closed: %+v", first[0])
	}
	var scraped string
	waitFor(t, "everything delivered", func() bool {
		_, scraped = get(t, "http://"+node.ops+"/metrics")
		return strings.Contains(scraped, fmt.Sprintf("notify_log_followed_total %d", many+1))
	})
	if strings.Contains(strings.ToLower(scraped), "secret") {
		t.Error("the scrape has what callers have said")
	}
	series := 0
	for line := range strings.Lines(scraped) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	if series >= 500 {
		t.Errorf("%d series in\n%s", series, scraped)
	}
	t.Logf("%d series", series)
}

// The bounds by which the load is measured are those of the actors.
func TestLoadKnowsTheBounds(t *testing.T) {
	constants := constantsOf(t, "actors")
	for name, want := range map[string]string{"commandsPerShard": "4096", "creditsPerShard": "64", "maxRing": "2048"} {
		if literal, is := constants[name].(*ast.BasicLit); !is || literal.Value != want {
			t.Errorf("%s is not %s any more: see load", name, want)
		}
	}
}

// The load is a share, and rises with what the process does.
func TestLoadIsAShare(t *testing.T) {
	node := start(t)
	var load float64
	waitFor(t, "a load", func() bool {
		_, scraped := get(t, "http://"+node.ops+"/metrics")
		_, after, found := strings.Cut(scraped, "\nnotify_server_load_ratio ")
		if !found {
			t.Fatalf("no load in\n%s", scraped)
		}
		if _, err := fmt.Sscan(after, &load); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < 20*time.Millisecond; { // something to do
			continue
		}
		return load > 0
	})
	if load > 1 {
		t.Errorf("got %g", load)
	}
}

// A trace leads from the bucket of a latency to the spans that operators see.
func TestLatenciesLeadToTraces(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications?device=d", node.token(t, "ann"))
	node.live(t)
	ann.invoke("SendToSelf", "x")
	ann.alert()
	var trace string
	waitFor(t, "an example", func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+node.ops+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		scraped, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(scraped)) {
			if _, after, is := strings.Cut(line, `trace_id="`); is && strings.HasPrefix(line, "notify_delivery_latency_seconds_bucket") && strings.Contains(line, "# {") {
				trace = after[:32]
			}
		}
		return trace != ""
	})
	if status, shown := get(t, "http://"+node.ops+"/v1/traces/"+trace); status != http.StatusOK || !strings.Contains(shown, "deliver notification") {
		t.Errorf("trace %s: got %d %s", trace, status, shown)
	}
}
