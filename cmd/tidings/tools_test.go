package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidings/notifications"
	"tidings/roles"
)

func TestSubject(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"user", "ann@example.com"}, "tidings.log.notifications.user.ann=40example=2Ecom\n"},
		{[]string{"group", "g/1 x", "--hub", "my hub"}, "tidings.log.my=20hub.group.g=2F1=20x\n"},
		{[]string{"everyone"}, "tidings.log.notifications.everyone\n"},
		{[]string{"role", "ops", "--live", "--hub", "analytics"}, "tidings.live.analytics.role.ops\n"},
	} {
		if got, err := command(t, append([]string{"subject"}, test.args...)...); err != nil || got != test.want {
			t.Errorf("subject %v: got %q, %v, want %q", test.args, got, err, test.want)
		}
	}
	for _, args := range [][]string{{"user"}, {"everyone", "x"}, {"topic", "x"}, {"connection", "x"}, {}} {
		if got, err := command(t, append([]string{"subject"}, args...)...); err == nil {
			t.Errorf("subject %v: got %q, want an error", args, got)
		}
	}
}

func TestVersion(t *testing.T) {
	if got, err := command(t, "version"); err != nil || !strings.HasPrefix(got, "tidings ") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTokenPrintsTheTokenAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	out, err := command(t, "token", "--data", dir, "--user", "ann", "--role", "sales", "--role", "a,b", "--email", "ann@example.com", "--ttl", "1h")
	if err != nil {
		t.Fatal(err)
	}
	token, rest, _ := strings.Cut(out, "\n")
	if rest != "" || strings.Count(token, ".") != 2 {
		t.Fatalf("got %q, want one token on one line", out)
	}
	secret, err := readSecret(filepath.Join(dir, "dev-secret"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	who, err := keys.Verify(t.Context(), token)
	if err != nil || who.UserID != "ann" || who.Email != "ann@example.com" || strings.Join(who.Roles, "|") != "a,b|sales" {
		t.Errorf("the token says %+v, %v", who, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "dev-secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret is readable by others: %v, %v", info, err)
	}
	again, err := command(t, "token", "--secret", string(secret), "--user", "ann", "--ttl", "1h")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(t.Context(), strings.TrimSpace(again)); err != nil {
		t.Errorf("token of --secret: %v", err)
	}
}

func TestTokenRefuses(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--user", "ann", "--data", "/nowhere"}, "no data directory"},
		{[]string{"--user", "ann", "--secret", "short"}, "at least 32"},
		{[]string{"--data", t.TempDir()}, "--user"},
		{[]string{"--data", t.TempDir(), "--user", "ann", "--ttl=-1h"}, "never be valid"},
		{[]string{"--user", "ann", "--secret-file", "/nowhere"}, "no such file"},
	} {
		if _, err := command(t, append([]string{"token"}, test.args...)...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("token %v: got %v, want %q", test.args, err, test.want)
		}
	}
}

func TestPublish(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications", node.token(t, "ann"))
	ann.resumed()
	for i, way := range [][]string{
		{"--url", "http://" + node.http, "--token", node.token(t, "shop", "emitter")},
		{"--nats", "nats://" + node.nats},
	} {
		args := append([]string{
			"publish", "--to", "user/ann", "--title", "T", "--body", "B", "--data-json", `{"n":1}`, "--id", "e" + way[0],
			"--type", "order.shipped", "--severity", "warning", "--link", "/orders/1", "--source", "shop", "--ttl", "1h", "--collapse-key", "k",
		}, way...)
		for _, duplicate := range []bool{false, true} {
			out, err := command(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			var got notifications.Receipt
			want := notifications.Receipt{ID: "e" + way[0], Position: notifications.Position(i + 1), Duplicate: duplicate}
			if err := json.Unmarshal([]byte(out), &got); err != nil || got != want {
				t.Errorf("%s: got %s, want %+v", way[0], out, want)
			}
		}
		n, _ := ann.alert()
		if n.Title != "T" || n.Body != "B" || string(n.Data) != `{"n":1}` || n.Severity != notifications.Warning || n.Type != "order.shipped" ||
			n.Link != "/orders/1" || n.Source != "shop" || n.CollapseKey != "k" || n.ExpiresAt.IsZero() || n.Recipient != "user/ann" {
			t.Errorf("%s: ann heard %+v", way[0], n)
		}
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"nowhere", []string{"--to", "user/ann"}, "--url or --nats"},
		{"bad recipient", []string{"--to", "ann", "--url", "http://" + node.http}, "want user/"},
		{"bad JSON", []string{"--to", "user/ann", "--data-json", "{", "--url", "http://" + node.http}, "no valid JSON"},
		{"no token", []string{"--to", "user/ann", "--url", "http://" + node.http}, "401"},
		{"no emitter", []string{"--to", "user/bob", "--url", "http://" + node.http, "--token", node.token(t, "ann")}, "403"},
		{"bad field", []string{"--to", "user/ann", "--severity", "loud", "--url", "http://" + node.http, "--token", node.token(t, "shop", "emitter")}, "severity"},
		{"bad field on NATS", []string{"--to", "user/ann", "--severity", "loud", "--nats", "nats://" + node.nats}, "severity"},
		{"nobody there", []string{"--to", "user/ann", "--nats", "nats://127.0.0.1:1"}, "127.0.0.1:1"},
	} {
		if out, err := command(t, append([]string{"publish"}, test.args...)...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.name, out, err, test.want)
		}
	}
}
