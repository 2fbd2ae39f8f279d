package rest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
)

// Whatever comes in is answered as documented, and by no failure of the server.
func FuzzRequests(f *testing.F) {
	for _, seed := range []struct{ target, body, match string }{
		{"GET /v1/inbox?limit=2&before=x&type=a.*&severity=info&state=read&at=2026-01-02T00:00:00Z", "", ""},
		{"POST /v1/inbox/read", `{"ids":["a1",1]}`, ""},
		{"POST /v1/users/ann/inbox/all-read", `{"upTo":1}`, ""},
		{"PUT /v1/preferences", `{"mutes":[{"type":"a.*","until":"2026-01-03T00:00:00Z"}],"quietHours":{"from":"22:00","to":"07:00","zone":"UTC","days":["mon"]},"version":0}`, `"0"`},
		{"POST /v1/preferences/mutes", `{"group":"g"}`, ""},
		{"DELETE /v1/users/ann/preferences/mutes?type=a.*", "", ""},
		{"PUT /v1/groups/g%2F1%20x/members/ann?ttl=60", "", ""},
		{"DELETE /v1/users/ann/roles/ops", "", ""},
		{"GET /v1/explain?id=a1&user=ann", "", ""},
		{"DELETE /v1/users/ann", "", ""},
		{"DELETE /v1/notifications/a1", "", ""},
		{"POST /v1/notifications?hub=notifications", `[{"recipient":"user/ann","title":"x","ttl":60},{"specversion":"1.0","id":"c","source":"s","type":"t","recipient":"user/ann"}]`, ""},
	} {
		f.Add(seed.target, seed.body, seed.match)
	}
	f.Fuzz(func(t *testing.T, target, body, match string) {
		method, address, _ := strings.Cut(target, " ")
		u, err := url.ParseRequestURI(address)
		if err != nil || u.Host != "" || u.Scheme != "" || path.Clean(u.EscapedPath()) != u.EscapedPath() || strings.Contains(strings.ToUpper(u.EscapedPath())+"/", "/%2F/") {
			return // http.ServeMux sends those elsewhere, or to nobody
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		if err != nil || method == http.MethodConnect {
			return
		}
		r.URL = u
		s := newSite(t)
		s.emit(t, `{"id":"a1","recipient":"user/ann","type":"a.b"}`)
		r.Header.Set("Authorization", "Bearer "+s.token(t, root))
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		s.api.check(t, r, "", w) // null is accepted for what is absent, and that is not for the document
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s: got %d %s", target, body, w.Code, w.Body)
		}
	})
}
