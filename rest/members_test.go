package rest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestMembers(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"g0","recipient":"group/ops"}`)
	if added := s.ok(t, root, "PUT /v1/groups/ops/members/ann", ""); added.code != http.StatusNoContent {
		t.Errorf("added: %d %s", added.code, added.text)
	}
	s.emit(t, `{"id":"g1","recipient":"group/ops"}`)
	s.ok(t, root, "PUT /v1/groups/news/members/ann?ttl=1.5", "")
	groups := s.ok(t, ann, "GET /v1/groups", "")
	if groups.Groups["ops"]["since"] != 1.0 || groups.Groups["ops"]["until"] != nil || groups.Groups["news"]["until"] != "2026-01-02T03:04:06.5Z" {
		t.Errorf("groups: %s", groups.text)
	}
	if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != "g1 unseen" {
		t.Errorf("inbox of a member: %s", page.text)
	}
	s.time = s.time.Add(2 * time.Second)
	if left := s.ok(t, root, "GET /v1/users/ann/groups", ""); len(left.Groups) != 1 {
		t.Errorf("when one has ended: %s", left.text)
	}
	s.ok(t, root, "PUT /v1/groups/ops/members/ann?ttl=60", "")
	if again := s.ok(t, ann, "GET /v1/groups", ""); again.Groups["ops"]["since"] != 1.0 || again.Groups["ops"]["until"] != "2026-01-02T03:05:07Z" {
		t.Errorf("a member again, with an end: %s", again.text)
	}
	for range 2 {
		if removed := s.ok(t, root, "DELETE /v1/groups/ops/members/ann", ""); removed.code != http.StatusNoContent {
			t.Errorf("removed: %d %s", removed.code, removed.text)
		}
	}
	if none := s.ok(t, ann, "GET /v1/groups", ""); none.text != `{"groups":{}}`+"\n" {
		t.Errorf("none: %s", none.text)
	}
	if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != "" {
		t.Errorf("inbox of who is no member any more: %s", page.text)
	}
}

// odd are names as they may be, each in one segment of a path. The one name that
// cannot be is a slash alone: http.ServeMux takes it for the end of a path.
var odd = []string{
	"g/1 x", "..", ".", "a//b", "//", "%2F", "%", "?", "#", "é", "日本語", "a+b", "a b", "x;y=z", "ann@example.com", "{user}", "a\nb", "a\x00b", `"<>\`, "members", strings.Repeat("é", 128),
}

// Names are any UTF-8, also over a real connection and behind another mux, as the
// server has one.
func TestNamesInPaths(t *testing.T) {
	s := newSite(t)
	outer := http.NewServeMux()
	outer.Handle("/v1/", s)
	server := httptest.NewServer(outer)
	defer server.Close()
	admin := s.token(t, root)
	for _, name := range odd {
		escaped := url.PathEscape(name)
		if name == "." || name == ".." {
			escaped = strings.ReplaceAll(name, ".", "%2E")
		}
		for _, user := range []string{"ann", name} {
			user := strings.NewReplacer(".", "%2E").Replace(url.PathEscape(user))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/v1/groups/"+escaped+"/members/"+user, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+admin)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusNoContent || response.Request.URL.String() != r.URL.String() {
				t.Errorf("group %q: got %s at %s", name, response.Status, response.Request.URL)
			}
		}
		if groups := s.ok(t, "", "GET /v1/groups", "", "Authorization", "Bearer "+token(t, s.time, name)); groups.Groups[name] == nil {
			t.Errorf("user %q: %s", name, groups.text)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v1/users/%2F", http.NoBody))
	if w.Code != http.StatusNotFound {
		t.Errorf("a slash alone: got %d", w.Code)
	}
	groups := s.ok(t, root, "GET /v1/users/ann/groups", "")
	for _, name := range odd {
		if groups.Groups[name] == nil {
			t.Errorf("ann is no member of %q", name)
		}
	}
	if len(groups.Groups) != len(odd) {
		t.Errorf("ann is in %d groups: %s", len(groups.Groups), groups.text)
	}
}

func TestMembersRefuse(t *testing.T) {
	s := newSite(t)
	for query, want := range map[string]refusal{
		"ttl=0":         {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=-1":        {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=abc":       {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=1e99":      {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=1e999":     {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=NaN":       {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=Inf":       {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=":          {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=60s":       {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=315360001": {422, "ttl", "want 1 to 315360000 seconds"},
		"ttl=1&ttl=2":   {422, "ttl", "more than once"},
		"until=x":       {422, "until", "no such parameter; this path takes hub, ttl"},
		"hub=%ff":       {400, "hub", "hub wants"},
	} {
		s.refused(t, root, "PUT /v1/groups/ops/members/ann?"+query, "", want)
	}
	long := strings.Repeat("x", 257)
	s.refused(t, root, "PUT /v1/groups/"+long+"/members/ann", "", refusal{422, "group", "at most 256"})
	s.refused(t, root, "PUT /v1/groups/ops/members/"+long, "", refusal{422, "user", "at most 256"})
	s.refused(t, root, "DELETE /v1/groups/%ff/members/ann", "", refusal{422, "group", "not UTF-8"})
	s.refused(t, root, "DELETE /v1/users/ann/roles/%ff", "", refusal{422, "role", "not UTF-8"})
	s.refused(t, root, "PUT /v1/groups/ops/members/ann", `{"ttl":60}`, refusal{400, "", "This path takes no body"})
	s.refused(t, root, "PUT /v1/groups/ops/members/ann", strings.Repeat("x", 256<<10+1), refusal{413, "", "larger than 262144 bytes"})
	s.refused(t, root, "GET /v1/users/ann/groups?limit=1", "", refusal{422, "limit", "no such parameter"})
	if got := s.ok(t, root, "GET /v1/users/ann/groups", ""); len(got.Groups) != 0 {
		t.Errorf("something was changed: %s", got.text)
	}
}

// A role that was taken back is not given by tokens of before.
func TestRevoke(t *testing.T) {
	s := newSite(t)
	s.ok(t, oscar, "GET /v1/inbox", "")
	s.emit(t, `{"id":"o1","recipient":"role/ops"}`)
	old := "Bearer " + s.token(t, oscar)
	if page := s.ok(t, oscar, "GET /v1/inbox", ""); page.ids() != "o1 unseen" {
		t.Errorf("with the role: %s", page.text)
	}
	s.time = s.time.Add(time.Second)
	if revoked := s.ok(t, root, "DELETE /v1/users/oscar/roles/ops", ""); revoked.code != http.StatusNoContent {
		t.Errorf("revoked: %d %s", revoked.code, revoked.text)
	}
	if page := s.ok(t, oscar, "GET /v1/inbox", "", "Authorization", old); page.ids() != "" {
		t.Errorf("with a token of before: %s", page.text)
	}
	s.time = s.time.Add(time.Second)
	s.ok(t, oscar, "GET /v1/inbox", "")
	s.emit(t, `{"id":"o2","recipient":"role/ops"}`)
	if page := s.ok(t, oscar, "GET /v1/inbox", ""); page.ids() != "o2 unseen" { // a membership that began anew
		t.Errorf("with a new token: %s", page.text)
	}
}
