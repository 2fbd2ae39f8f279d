package connections_test

import (
	"net/http"
	"strings"
	"testing"

	"tidings/connections"
)

// signalr.md §12: exactly the listed origins, and the host's own pages, may
// call with credentials and open WebSockets, which browsers do not put under
// CORS.
func TestOrigins(t *testing.T) {
	list := []string{"https://app.example", "https://Other.example:8443/", "http://plain.example"}
	for _, test := range []struct {
		name, origin string
		known, dev   bool // with the list, and in development
	}{
		{"own page", "http://tidings.example", true, true},
		{"own page over TLS that ends before", "https://tidings.example", true, true},
		{"own page, host in capitals", "http://TIDINGS.example", true, true},
		{"own host, another port", "http://tidings.example:8080", false, false},
		{"own host as a suffix", "http://evil-tidings.example", false, false},
		{"own host as a prefix", "http://tidings.example.evil.example", false, false},
		{"own host as a user", "http://tidings.example@evil.example", false, false},
		{"listed", "https://app.example", true, true},
		{"listed, in capitals", "HTTPS://APP.EXAMPLE", true, true},
		{"listed with a port and a slash", "https://other.example:8443", true, true},
		{"listed, another scheme", "http://app.example", false, false},
		{"listed, another port", "https://app.example:444", false, false},
		{"below a listed one", "https://www.app.example", false, false},
		{"listed as a suffix", "https://evilapp.example", false, false},
		{"listed as a prefix", "https://app.example.evil.example", false, false},
		{"listed with a path", "https://app.example/x", false, false},
		{"null", "null", false, false},
		{"file", "file://", false, false},
		{"star", "*", false, false},
		{"no URL", "http://[::1", false, false},
		{"localhost", "http://localhost:5173", false, true},
		{"localhost over TLS", "https://localhost", false, true},
		{"127.0.0.1", "http://127.0.0.1:3000", false, true},
		{"::1", "http://[::1]:3000", false, true},
		{"localhost as a prefix", "http://localhost.evil.example", false, false},
		{"localhost as a suffix", "http://evil-localhost", false, false},
		{"localhost as a user", "http://localhost@evil.example", false, false},
		{"localhost of an extension", "chrome-extension://localhost", false, false},
		{"another loopback address", "http://127.0.0.2", false, false},
	} {
		for _, dev := range []bool{false, true} {
			known := test.known
			name := test.name
			if dev {
				known, name = test.dev, name+" in development"
			}
			t.Run(name, func(t *testing.T) {
				s := open(t, stay, connections.Options{Origins: list, AllowLocalhost: dev})
				a := s.do(http.MethodPost, "/negotiate", "Origin", test.origin)
				allowed, credentials := "", ""
				if known {
					allowed, credentials = test.origin, "true"
				}
				if got := a.header.Get("Access-Control-Allow-Origin"); got != allowed || a.header.Get("Access-Control-Allow-Credentials") != credentials || a.header.Get("Vary") != "Origin" {
					t.Errorf("negotiate: got allow-origin %q, credentials %q, vary %q, want %q, %q", got, a.header.Get("Access-Control-Allow-Credentials"), a.header.Get("Vary"), allowed, credentials)
				}
				socket := s.do(http.MethodGet, "?id=nobody", upgrade("Origin", test.origin)...)
				if want := map[bool]int{true: http.StatusNotFound, false: http.StatusForbidden}[known]; socket.status != want {
					t.Errorf("socket: got %d %q, want %d", socket.status, socket.body, want)
				}
			})
		}
	}
}

// A WebSocket from a foreign page is refused however it asks, and is observed
// like every refusal.
func TestForeignSocketIsRefused(t *testing.T) {
	s := open(t, stay, connections.Options{})
	for _, ask := range []string{"websocket", "WebSocket", "websocket, h2c", "h2c, websocket"} {
		a := s.do(http.MethodGet, "", upgrade("Upgrade", ask, "Origin", "https://evil.example")...)
		if a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("Upgrade: %s: got %d %q, want 403", ask, a.status, a.body)
		}
		if got := s.seen.statuses(); got != "[403]" {
			t.Errorf("Upgrade: %s: observed %s, want [403]", ask, got)
		}
	}
	if ws, a := s.dial("", "Origin", "https://evil.example"); ws != nil || a.status != http.StatusForbidden {
		t.Errorf("real socket: got %d, want 403", a.status)
	}
	s.mustDial("", "Origin", strings.TrimSuffix(s.url, "/hub"))
}

// signalr.md §12: a preflight is answered without a token, with the methods
// and headers of the client; a foreign page gets nothing.
func TestPreflight(t *testing.T) {
	const asked = "authorization,x-requested-with,x-signalr-user-agent"
	s := open(t, stay, connections.Options{Verifier: verifier(t, ""), Origins: []string{"https://app.example"}})
	for origin, want := range map[string]map[string]string{
		"https://app.example": {
			"Access-Control-Allow-Origin":      "https://app.example",
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Allow-Methods":     "GET, POST, PUT, DELETE, OPTIONS",
			"Access-Control-Allow-Headers":     asked,
			"Access-Control-Max-Age":           "600",
			"Vary":                             "Origin",
		},
		"https://evil.example": {
			"Access-Control-Allow-Origin":      "",
			"Access-Control-Allow-Credentials": "",
			"Access-Control-Allow-Methods":     "",
			"Access-Control-Allow-Headers":     "",
			"Vary":                             "Origin",
		},
	} {
		for _, suffix := range []string{"/negotiate?negotiateVersion=1", "?id=x"} {
			a := s.do(http.MethodOptions, suffix, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", asked)
			if a.status != http.StatusNoContent || a.body != "" {
				t.Errorf("%s %s: got %d %q, want 204", origin, suffix, a.status, a.body)
			}
			for name, value := range want {
				if got := a.header.Get(name); got != value {
					t.Errorf("%s %s: %s: got %q, want %q", origin, suffix, name, got, value)
				}
			}
		}
	}
	// What is no preflight is a request like any other.
	if a := s.do(http.MethodOptions, "/negotiate", "Origin", "https://app.example"); a.status != http.StatusUnauthorized {
		t.Errorf("OPTIONS alone: got %d, want 401", a.status)
	}
	if a := s.do(http.MethodOptions, "/negotiate", "Access-Control-Request-Method", "POST"); a.status != http.StatusUnauthorized {
		t.Errorf("OPTIONS without an origin: got %d, want 401", a.status)
	}
}

// signalr.md §12 and §13.19: errors have the headers, too, or the page sees
// "Failed to fetch" and no status.
func TestErrorsHaveCORSHeaders(t *testing.T) {
	const origin = "https://app.example"
	s := open(t, stay, connections.Options{Origins: []string{origin}, MaxWaiting: 1})
	locked := open(t, stay, connections.Options{Origins: []string{origin}, Verifier: verifier(t, "")})
	_, key := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	s.mustDial("id=" + key)
	negotiated(t, s.do(http.MethodPost, "/negotiate"))
	for _, test := range []struct {
		name           string
		s              *site
		method, suffix string
		headers        []string
		status         int
	}{
		{"id missing", s, http.MethodGet, "", nil, 400},
		{"no token", locked, http.MethodPost, "/negotiate", nil, 401},
		{"unknown id", s, http.MethodGet, "?id=x", nil, 404},
		{"unknown id of a socket", s, http.MethodGet, "?id=x", upgrade(), 404},
		{"wrong method", s, http.MethodPut, "", nil, 405},
		{"second socket", s, http.MethodGet, "?id=" + key, upgrade(), 409},
		{"too many", s, http.MethodPost, "/negotiate", nil, 503},
	} {
		a := test.s.do(test.method, test.suffix, append(test.headers, "Origin", origin)...)
		if got := a.header.Get("Access-Control-Allow-Origin"); a.status != test.status || got != origin || a.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: got %d with allow-origin %q, want %d with %q", test.name, a.status, got, test.status, origin)
		}
	}
}
