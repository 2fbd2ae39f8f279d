package connections_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"tidings/connections"
	"tidings/roles"
)

// requests are one of each kind that the endpoint knows.
func requests() map[string][]string {
	return map[string][]string{
		"negotiate":        {http.MethodPost, "/negotiate?negotiateVersion=1"},
		"negotiate by GET": {http.MethodGet, "/negotiate"},
		"socket":           append([]string{http.MethodGet, "?id=x"}, upgrade()...),
		"events":           {http.MethodGet, "?id=x", "Accept", "text/event-stream"},
		"poll":             {http.MethodGet, "?id=x"},
		"send":             {http.MethodPost, "?id=x"},
		"end":              {http.MethodDelete, "?id=x"},
		"another method":   {http.MethodPut, "?id=x"},
	}
}

// signalr.md §3 and §12: whoever is not authenticated gets 401, with the
// challenge, on every request and before anything else happens.
func TestUnauthenticated(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name, token, challenge string
	}{
		{"no token", "", `Bearer realm="tidings"`},
		{"expired", mint(t, roles.Grant{UserID: "ann", Issuer: "https://id.example", Now: now.Add(-2 * time.Hour)}), `Bearer realm="tidings", error="invalid_token", error_description="token is expired"`},
		{"not yet", mint(t, roles.Grant{UserID: "ann", Issuer: "https://id.example", Now: now.Add(time.Hour)}), `Bearer realm="tidings", error="invalid_token", error_description="token is not valid yet"`},
		{"garbage", "garbage", `Bearer realm="tidings", error="invalid_token", error_description="token is malformed"`},
		{"wrong issuer", mint(t, roles.Grant{UserID: "ann", Issuer: "https://evil.example"}), `Bearer realm="tidings", error="invalid_token", error_description="issuer is not accepted"`},
		{"no issuer", mint(t, roles.Grant{UserID: "ann"}), `Bearer realm="tidings", error="invalid_token", error_description="a required claim is missing"`},
		{"wrong signature", mint(t, roles.Grant{UserID: "ann", Issuer: "https://id.example"}) + "A", `Bearer realm="tidings", error="invalid_token"`},
		{"too long", strings.Repeat("x", roles.MaxTokenBytes+1), `Bearer realm="tidings", error="invalid_request", error_description="token is longer than 8 KiB"`},
	} {
		for kind, r := range requests() {
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				s := open(t, stay, connections.Options{Verifier: verifier(t, "https://id.example")})
				headers := r[2:]
				if test.token != "" {
					headers = append(headers, "Authorization", "Bearer "+test.token)
				}
				a := s.do(r[0], r[1], headers...)
				if got := a.header.Get("WWW-Authenticate"); a.status != http.StatusUnauthorized || !strings.HasPrefix(got, test.challenge) || a.body != "" {
					t.Errorf("got %d %q, challenge %q, want 401 and %q", a.status, a.body, got, test.challenge)
				}
				if got := s.seen.statuses(); got != "[401]" {
					t.Errorf("observed: got %s, want [401]", got)
				}
			})
		}
	}
	s := open(t, stay, connections.Options{Verifier: verifier(t, "https://id.example")})
	if a := s.do(http.MethodPost, "/negotiate", "Authorization", "Basic YTpi"); a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), "invalid_request") {
		t.Errorf("another scheme: got %d %q", a.status, a.header.Get("WWW-Authenticate"))
	}
	if ws, a := s.dial("access_token=garbage"); ws != nil || a.status != http.StatusUnauthorized {
		t.Errorf("socket: got %d, want 401 as the answer to the upgrade", a.status)
	}
}

// signalr.md §12: the token may come in the query of every request.
func TestTokenInTheQuery(t *testing.T) {
	s := open(t, stay, connections.Options{Verifier: verifier(t, "")})
	token := mint(t, roles.Grant{UserID: "ann"})
	for kind, want := range map[string]int{
		"negotiate":        http.StatusOK,
		"negotiate by GET": http.StatusMethodNotAllowed,
		"socket":           http.StatusNotFound, // there is no x
		"events":           http.StatusNotFound,
		"poll":             http.StatusNotFound,
		"send":             http.StatusNotFound,
		"end":              http.StatusNotFound,
		"another method":   http.StatusMethodNotAllowed,
	} {
		r := requests()[kind]
		glue := "?"
		if strings.Contains(r[1], "?") {
			glue = "&"
		}
		if a := s.do(r[0], r[1]+glue+"access_token="+token, r[2:]...); a.status != want {
			t.Errorf("%s: got %d %q, want %d", kind, a.status, a.body, want)
		}
	}
	s.mustDial("access_token=" + token)
	// The header is the stronger one.
	if ws, a := s.dial("access_token="+token, "Authorization", "Bearer garbage"); ws != nil || a.status != http.StatusUnauthorized {
		t.Errorf("garbage in the header: got %d, want 401", a.status)
	}
}

// What the token says is what the application sees.
func TestPrincipal(t *testing.T) {
	conns := make(chan *connections.Conn, 1)
	s := open(t, func(ctx context.Context, c *connections.Conn) { conns <- c; stay(ctx, c) }, connections.Options{Verifier: verifier(t, "")})
	token := mint(t, roles.Grant{UserID: "ann", Roles: []string{"ops"}})
	_, key := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1", "Authorization", "Bearer "+token))
	s.mustDial("id="+key, "Authorization", "bearer "+token)
	c := wait(t, "the connection", conns)
	if p := c.Principal(); p.UserID != "ann" || !p.HasAnyRole([]string{"ops"}) || c.BearerToken() != token {
		t.Errorf("got %+v with token %q", p, c.BearerToken())
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "hello", slog.Any("connection", c))
	if got := log.String(); !strings.Contains(got, c.ID()) || strings.Contains(got, token) || strings.Contains(got, key) {
		t.Errorf("log: got %q, want the id and no secret", got)
	}
}

// broken is a verifier that cannot work at the moment.
type broken struct{}

func (broken) Verify(context.Context, string) (roles.Principal, error) {
	return roles.Principal{}, errors.New("key server has burnt down")
}

// A token that cannot be verified is neither accepted nor refused.
func TestVerifierIsAway(t *testing.T) {
	var log strings.Builder
	s := open(t, stay, connections.Options{Verifier: broken{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a := s.do(http.MethodPost, "/negotiate", "Authorization", "Bearer x.y.z")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "burnt") {
		t.Errorf("got %d %q, want 503 with Retry-After and no reason", a.status, a.body)
	}
	if !strings.Contains(log.String(), "burnt down") || strings.Contains(log.String(), "x.y.z") {
		t.Errorf("log: got %q, want the reason and no token", log.String())
	}
}
