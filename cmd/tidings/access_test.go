package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// Who is not at this machine is asked for a token, but for probes.
func TestWhoMayOperate(t *testing.T) {
	node := start(t)
	ask := func(path, host, token string) (int, http.Header) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+node.ops+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close() // not read
		return response.StatusCode, response.Header
	}
	ann, admin := node.token(t, "ann"), node.token(t, "root", "admin")
	for _, test := range []struct {
		path, host, token string
		want              int
	}{
		{"/metrics", node.ops, "", http.StatusOK},
		{"/metrics", "localhost:9090", "", http.StatusOK},
		{"/metrics", "[::1]", "", http.StatusOK},
		{"/metrics", "evil.example", "", http.StatusUnauthorized},
		{"/debug/pprof/cmdline", "127.0.0.1.evil.example:9090", "", http.StatusUnauthorized},
		{"/metrics", "ops.example", "nonsense", http.StatusUnauthorized},
		{"/metrics", "ops.example", ann, http.StatusForbidden},
		{"/metrics", "ops.example", admin, http.StatusOK},
		{"/livez", "evil.example", "", http.StatusOK},
		{"/readyz", "evil.example", "", http.StatusOK},
		{"/startupz", "evil.example", "", http.StatusOK},
		{"/nothing", "evil.example", "", http.StatusUnauthorized},
	} {
		status, header := ask(test.path, test.host, test.token)
		if status != test.want {
			t.Errorf("%s of %s: got %d, want %d", test.path, test.host, status, test.want)
		}
		if (status == http.StatusUnauthorized) != strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s of %s: WWW-Authenticate %q", test.path, test.host, header.Get("WWW-Authenticate"))
		}
	}
	conn, err := nats.Connect("nats://" + node.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	var kept []notifications.AuditRecord
	waitFor(t, "refusals are on record", func() bool {
		stream, err := js.Stream(t.Context(), "TIDINGS_AUDIT")
		if err != nil {
			return false
		}
		kept = nil
		for position := stream.CachedInfo().State.FirstSeq; position <= stream.CachedInfo().State.LastSeq && position > 0; position++ {
			message, err := stream.GetMsg(t.Context(), position)
			if err != nil {
				return false
			}
			var records []notifications.AuditRecord
			if err := json.Unmarshal(message.Data, &records); err != nil {
				t.Fatal(err)
			}
			kept = append(kept, records...)
		}
		return len(kept) == 5
	})
	for _, r := range kept {
		if r.Action != notifications.AuditRefused || r.Via != "ops" || r.Reason == "" || !strings.HasPrefix(r.Note, "GET /") || strings.Contains(r.Reason+r.Note, ann) {
			t.Errorf("got %+v", r)
		}
	}
	if kept[3].By != "ann" {
		t.Errorf("the fourth one was ann: %+v", kept[3])
	}
}

// An address that can be reached from elsewhere is not at home for anybody.
func TestAtHome(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:9090": true, "[::1]:0": true, "localhost:1": true, ":9090": false, "0.0.0.0:9090": false, "10.0.0.1:1": false} {
		if got := loopback(addr); got != want {
			t.Errorf("%s: got %v", addr, got)
		}
	}
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1:80": true, "[::1]:9090": true, "LOCALHOST": true, "": false, "evil.example": false,
		"localhost.evil.example": false, "10.0.0.1": false, "127.0.0.1.nip.io": false,
	} {
		if got := atThisMachine(host); got != want {
			t.Errorf("Host %q: got %v", host, got)
		}
	}
}
