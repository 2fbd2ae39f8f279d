package rest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/rest"
)

// What waits for its time is accepted; what does not is stored.
func TestScheduledEvents(t *testing.T) {
	s := newSite(t)
	const later = `"notBefore":"2026-01-03T00:00:00Z"`
	one := s.ok(t, shop, "POST /v1/notifications", `{"id":"s1","recipient":"user/ann",`+later+`}`)
	if one.code != http.StatusAccepted || !strings.Contains(one.text, `"position":0,"duplicate":false,"scheduledFor":"2026-01-03T00:00:00Z"`) {
		t.Errorf("one: %d %s", one.code, one.text)
	}
	if again := s.ok(t, shop, "POST /v1/notifications", `{"id":"s1","recipient":"user/ann",`+later+`}`); again.code != http.StatusAccepted || !again.Duplicate {
		t.Errorf("again: %d %s", again.code, again.text)
	}
	for body, want := range map[string]int{
		`[{"recipient":"user/ann",` + later + `},{"recipient":"user/bob",` + later + `}]`: http.StatusAccepted,
		`[{"recipient":"user/ann",` + later + `},{"recipient":"user/bob"}]`:               http.StatusOK,
		`{"recipient":"user/ann","notBefore":"2026-01-02T03:04:00Z"}`:                     http.StatusOK, // a moment ago
	} {
		if w := s.do(t, shop, "POST /v1/notifications", body); w.Code != want {
			t.Errorf("%s: got %d %s", body, w.Code, w.Body)
		}
	}
	for body, says := range map[string]string{
		`{"recipient":"user/ann","notBefore":"2026-01-01T00:00:00Z"}`: "has passed already",
		`{"recipient":"user/ann","notBefore":"2028-01-01T00:00:00Z"}`: "more than a year ahead",
		`{"recipient":"user/ann","notBefore":"tomorrow"}`:             "RFC 3339",
	} {
		s.refused(t, shop, "POST /v1/notifications", body, refusal{422, "notBefore", says})
	}
}

func TestLookupAndRecall(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"order 1/2","recipient":"user/ann"}`)
	s.emit(t, `{"id":"s1","recipient":"user/ann","notBefore":"2026-01-03T00:00:00Z"}`)
	if got := s.ok(t, shop, "GET /v1/notifications/order%201%2F2", ""); got.text != `{"id":"order 1/2","positions":[1]}`+"\n" {
		t.Errorf("stored: %s", got.text)
	}
	if got := s.ok(t, ann, "GET /v1/notifications/order%201%2F2", ""); len(got.Positions) != 1 { // she may emit to herself
		t.Errorf("by its recipient: %s", got.text)
	}
	if got := s.ok(t, shop, "GET /v1/notifications/s1", ""); got.text != `{"id":"s1","positions":[],"scheduledFor":"2026-01-03T00:00:00Z"}`+"\n" {
		t.Errorf("scheduled: %s", got.text)
	}
	s.refused(t, shop, "GET /v1/notifications/s1?hub=other", "", refusal{404, "", "not found"})
	s.refused(t, bob, "GET /v1/notifications/s1", "", refusal{403, "", "not allowed"})
	s.refused(t, bob, "DELETE /v1/notifications/s1", "", refusal{403, "", "not allowed"})
	s.refused(t, bob, "DELETE /v1/notifications/order%201%2F2", "", refusal{403, "", "not allowed"})
	if got := s.ok(t, shop, "DELETE /v1/notifications/s1", ""); !got.Canceled || got.Position != 0 {
		t.Errorf("canceled: %s", got.text)
	}
	s.refused(t, shop, "DELETE /v1/notifications/s1", "", refusal{404, "", `event "s1": not found`})
	for range 2 {
		if got := s.ok(t, shop, "DELETE /v1/notifications/order%201%2F2", ""); got.Canceled || got.Position != 2 {
			t.Errorf("recalled: %s", got.text)
		}
	}
	if got := s.ok(t, shop, "GET /v1/notifications/order%201%2F2", ""); got.RecalledBy != 2 {
		t.Errorf("what was recalled: %s", got.text)
	}
	if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != "" {
		t.Errorf("inbox: %s", page.text)
	}
	for _, method := range []string{"GET", "DELETE"} {
		s.refused(t, shop, method+" /v1/notifications/nothing", "", refusal{404, "", "not found"})
		s.refused(t, shop, method+" /v1/notifications/a%00b", "", refusal{422, "id", "1 to 128 bytes of text"})
		s.refused(t, shop, method+" /v1/notifications/"+strings.Repeat("x", 129), "", refusal{422, "id", "1 to 128 bytes of text"})
		s.refused(t, shop, method+" /v1/notifications/x?recipient=y", "", refusal{422, "recipient", "no such parameter; this path takes hub"})
	}
	s.refused(t, shop, "DELETE /v1/notifications/x", "{}", refusal{400, "", "takes no body"})
}

// An emitter that is too fast is told when to come again, in whole seconds.
func TestRates(t *testing.T) {
	s := newSite(t)
	s.rates.PerSecond, s.rates.Burst = 0.4, 2
	two := `[{"recipient":"user/ann"},{"recipient":"user/ann"}]`
	s.do(t, shop, "POST /v1/notifications", two)
	w := s.do(t, shop, "POST /v1/notifications", `{"recipient":"user/ann"}`)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3" || !strings.Contains(w.Body.String(), "more than 0.4 events a second") {
		t.Errorf("got %d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if w = s.do(t, shop, "DELETE /v1/notifications/x", ""); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "3" {
		t.Errorf("recall: got %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	s.refused(t, shop, "POST /v1/notifications", `[{"recipient":"user/ann"},{"recipient":"user/ann"},{"recipient":"user/ann"}]`, refusal{422, "", "3 events at once"})
	if s.log.stored() != 2 {
		t.Errorf("%d stored", s.log.stored())
	}
	s.time = s.time.Add(3 * time.Second)
	s.ok(t, shop, "POST /v1/notifications", `{"recipient":"user/ann"}`)
	*s.rates = notifications.Rates{Quota: 1}
	s.ok(t, shop, "POST /v1/notifications", `{"recipient":"user/ann"}`)
	if w = s.do(t, shop, "POST /v1/notifications", `{"recipient":"user/ann"}`); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "75352" { // until midnight
		t.Errorf("quota: got %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

// A handler answers for what it was given, and 404 for everything else.
func TestPathsOfWhatThereIsNot(t *testing.T) {
	whole := newSite(t)
	alone := newHandler(t, newLog(now))
	for _, route := range whole.Routes() {
		path := strings.NewReplacer("{user}", "ann", "{group}", "ops", "{role}", "ops", "{id}", "a1").Replace(route.Path)
		w := httptest.NewRecorder()
		alone.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), route.Method, path, http.NoBody))
		want := http.StatusNotFound
		switch {
		case route.Open:
			want = http.StatusOK
		case strings.HasPrefix(path, "/v1/notifications"):
			want = http.StatusUnauthorized
		}
		if w.Code != want {
			t.Errorf("%s %s: got %d, want %d", route.Method, path, w.Code, want)
		}
	}
	s := &site{api: whole.api, time: now(), Handler: rest.NewHandler(rest.Options{
		Commands: notifications.NewCommands(notifications.CommandsOptions{Log: whole.log, Now: now}), Verifier: verifier(t, now),
		Inboxes: notifications.NewInboxes(notifications.InboxesOptions{Log: whole.log, States: whole.states, Now: now}),
	})}
	s.ok(t, ann, "GET /v1/inbox", "")
	s.refused(t, ann, "GET /v1/inbox?at=2026-01-01T00:00:00Z", "", refusal{422, "at", "keeps no history"})
	s.refused(t, ann, "GET /v1/notifications/x", "", refusal{404, "", "not found"})
	s.refused(t, shop, "POST /v1/notifications", `{"recipient":"user/ann","notBefore":"2026-01-03T00:00:00Z"}`, refusal{422, "notBefore", "cannot schedule"})
}

// What cannot be reached is no fault of the caller, and why stays in the server.
func TestWhatIsAway(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"a1","recipient":"user/ann"}`)
	targets := map[string]string{
		"GET /v1/inbox": "", "GET /v1/inbox/counts": "", "POST /v1/inbox/read": `{"ids":["a1"]}`, "POST /v1/inbox/all-read": "", "GET /v1/preferences": "", "PUT /v1/preferences": "{}",
		"POST /v1/preferences/mutes": `{"type":"x"}`, "PUT /v1/groups/ops/members/ann": "", "DELETE /v1/users/ann/roles/ops": "", "GET /v1/groups": "", "GET /v1/explain?id=a1": "", "GET /v1/export": "",
		"GET /v1/inbox?at=2026-01-01T00:00:00Z": "", "DELETE /v1/users/zoe": "",
	}
	for _, broken := range []struct {
		err  error
		want refusal
	}{
		{fmt.Errorf("load: %w", notifications.ErrUnavailable), refusal{503, "", "The log is not available. Try again."}},
		{errors.New("secret reason"), refusal{500, "", ""}},
	} {
		s.states.Break(broken.err)
		for target, body := range targets {
			w := s.do(t, root, target, body)
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "load:") {
				t.Errorf("%s: says %s", target, w.Body)
			}
			s.refused(t, root, target, body, broken.want)
		}
	}
	s.states.Break(nil)
	s.log.Break(fmt.Errorf("read: %w", notifications.ErrUnavailable))
	s.refused(t, ann, "GET /v1/inbox", "", refusal{503, "", "Try again"})
	s.refused(t, root, "DELETE /v1/notifications/a1", "", refusal{503, "", "Try again"})
	s.refused(t, root, "GET /v1/notifications/a1", "", refusal{503, "", "Try again"})
}

// A token is nowhere but where it belongs, and no error repeats one.
func TestTokens(t *testing.T) {
	s := newSite(t)
	secret := s.token(t, root)
	old := s.token(t, ann)
	s.time = s.time.Add(2 * time.Hour)
	for _, headers := range [][]string{
		nil,
		{"Authorization", secret},
		{"Authorization", "Basic " + secret},
		{"Authorization", "Bearer " + secret + "x"},
		{"Authorization", "Bearer"},
		{"Authorization", "Bearer " + old},
		{"Authorization", "Bearer " + strings.Repeat(secret, 100)},
	} {
		for _, target := range []string{"GET /v1/inbox", "GET /v1/inbox?access_token=" + secret, "GET /v1/explain?id=" + secret[:64], "DELETE /v1/users/ann"} {
			s.sending(headers...).refused(t, "", target, "", refusal{401, "", ""})
		}
	}
	for _, route := range s.Routes() {
		path := strings.NewReplacer("{user}", "ann", "{group}", "ops", "{role}", "ops", "{id}", "a1").Replace(route.Path)
		if w := s.do(t, "", route.Method+" "+path, ""); !route.Open && w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a token: got %d", route.Method, path, w.Code)
		}
	}
}

// Nobody looks into the log of the server for callers who have gone.
func TestFailuresAreLogged(t *testing.T) {
	whole := newSite(t)
	whole.states.Break(errors.New("no disk"))
	var text strings.Builder
	h := rest.NewHandler(rest.Options{
		Commands: notifications.NewCommands(notifications.CommandsOptions{Log: whole.log, Now: now}), Verifier: verifier(t, now),
		Inboxes: notifications.NewInboxes(notifications.InboxesOptions{Log: whole.log, States: whole.states, Now: now}),
		Logger:  slog.New(slog.NewTextHandler(&text, nil)),
	})
	ctx, gone := context.WithCancel(t.Context())
	defer gone()
	for _, want := range []bool{true, false} {
		text.Reset()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/preferences", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+whole.token(t, ann))
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got := strings.Contains(text.String(), "no disk"); got != want || strings.Contains(text.String(), tokenHead) {
			t.Errorf("logged %q, want %v", text.String(), want)
		}
		gone()
	}
}

// The document is the same at its three places.
func TestDocumentIsServed(t *testing.T) {
	s := newSite(t)
	text := string(rest.Document())
	for path, contentType := range map[string]string{"/openapi.json": "application/json", "/v1/openapi.json": "application/json", "/v1/openapi.yaml": "application/yaml"} {
		w := s.do(t, "", "GET "+path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Body.String() != text {
			t.Errorf("%s: got %d %s, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
	}
}
