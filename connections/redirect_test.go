package connections_test

import (
	"net/http"
	"testing"

	"tidings/connections"
	"tidings/roles"
)

// signalr.md §2, "Redirect": negotiate sends the client elsewhere, with the
// same rules for who may ask; there is nothing else.
func TestRedirect(t *testing.T) {
	const origin = "https://app.example"
	seen := &seen{ended: make(chan string, 1)}
	elsewhere := connections.Redirection{URL: "http://other.example/hub?a=1", AccessToken: "redirect-token"}
	h := connections.NewRedirect(connections.Options{Origins: []string{origin}, Verifier: verifier(t, ""), Observer: seen}, func(r *http.Request) connections.Redirection {
		if r.URL.Query().Get("own") != "" {
			return connections.Redirection{URL: "http://" + r.Host + "/hub"}
		}
		return elsewhere
	})
	bearer := "Bearer " + mint(t, roles.Grant{UserID: "ann"})
	for _, test := range []struct {
		name, method, suffix, bearer string
		status                       int
		body, allow                  string
	}{
		{"negotiate", http.MethodPost, "/negotiate?negotiateVersion=1", bearer, 200, `{"url":"http://other.example/hub?a=1","accessToken":"redirect-token"}`, ""},
		{"without a token", http.MethodPost, "/negotiate?own=1", bearer, 200, `{"url":"http://tidings.example/hub"}`, ""},
		{"not authenticated", http.MethodPost, "/negotiate", "", 401, "", ""},
		{"by GET", http.MethodGet, "/negotiate", bearer, 405, "Method not allowed.", "POST"},
		{"poll", http.MethodGet, "?id=x", bearer, 404, "This end point only negotiates.", ""},
		{"send", http.MethodPost, "?id=x", bearer, 404, "This end point only negotiates.", ""},
		{"end", http.MethodDelete, "", bearer, 404, "This end point only negotiates.", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			headers := []string{"Origin", origin}
			if test.bearer != "" {
				headers = append(headers, "Authorization", test.bearer)
			}
			a := serve(t, h, test.method, test.suffix, headers...)
			if a.status != test.status || a.body != test.body || a.header.Get("Allow") != test.allow {
				t.Errorf("got %d %q, Allow %q, want %d %q, %q", a.status, a.body, a.header.Get("Allow"), test.status, test.body, test.allow)
			}
			if got := a.header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("Access-Control-Allow-Origin: got %q", got)
			}
			kind := "text/plain"
			if test.status == http.StatusOK {
				kind = "application/json"
			}
			if got := a.header.Get("Content-Type"); got != kind {
				t.Errorf("Content-Type: got %q, want %q", got, kind)
			}
		})
	}
	if a := serve(t, h, http.MethodOptions, "/negotiate", "Origin", origin, "Access-Control-Request-Method", "POST"); a.status != http.StatusNoContent {
		t.Errorf("preflight: got %d, want 204", a.status)
	}
	if got := seen.statuses(); got != "[401 405 404 404 404]" {
		t.Errorf("observed: got %s", got)
	}
}
