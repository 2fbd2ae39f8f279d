package rest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tidings/notifications"
	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/rest"
)

// newHandler is a handler with commands alone.
func newHandler(t *testing.T, l *log) http.Handler {
	t.Helper()
	return rest.NewHandler(rest.Options{
		Commands: notifications.NewCommands(notifications.CommandsOptions{Log: l, Now: now}),
		Verifier: verifier(t, now), Protobuf: tidingsv1.CanonicalJSON, EventBytes: 4096, Now: now,
	})
}

// post sends a body; headers are name and value in turn.
func post(t *testing.T, h http.Handler, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	readAPI(t).check(t, r, body, w)
	return w
}

// jsonBy are the headers of a JSON request of somebody.
func jsonBy(token string) []string {
	return []string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}
}

func TestPublishStoresOneEvent(t *testing.T) {
	l := newLog(now)
	w := post(t, newHandler(t, l), "/v1/notifications?hub=other", `{"recipient":"user/ann","title":"Hi","ttl":60,"data":{"a":"<&>"}}`, jsonBy(token(t, now(), "shop", "emitter"))...)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	var got notifications.Receipt
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Position != 1 || got.Duplicate || got.ID != l.event(0).ID {
		t.Errorf("answer: %s", w.Body)
	}
	e := l.event(0)
	if e.Title != "Hi" || e.Recipient != notifications.ToUser("ann") || !e.ExpiresAt.Equal(now().Add(time.Minute)) || string(e.Data) != `{"a":"<&>"}` || l.Entry(1).Hub != "other" {
		t.Errorf("stored %+v on hub %s", e, l.Entry(1).Hub)
	}
}

func TestPublishTakesEveryEncoding(t *testing.T) {
	shop := token(t, now(), "shop", "emitter")
	encoded, err := proto.Marshal(&tidingsv1.Event{Recipient: "user/ann", Title: "protobuf", CreatedAt: timestamppb.New(now())})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, body string
		headers    []string
		want       string
	}{
		{"JSON", `{"recipient":"user/ann","title":"JSON"}`, []string{"Content-Type", "application/json; charset=utf-8"}, "JSON"},
		{"no content type", `{"recipient":"user/ann","title":"none"}`, nil, "none"},
		{"curl -d", `{"recipient":"user/ann","title":"curl"}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, "curl"},
		{"protobuf", string(encoded), []string{"Content-Type", "application/protobuf"}, "protobuf"},
		{"CloudEvent, structured", `{"specversion":"1.0","id":"c1","source":"/s","type":"t","recipient":"user/ann","title":"structured"}`, []string{"Content-Type", "application/cloudevents+json"}, "structured"},
		{"CloudEvents, a batch", `[{"specversion":"1.0","id":"c2","source":"/s","type":"t","recipient":"user/ann","title":"batch"}]`, []string{"Content-Type", "application/cloudevents-batch+json"}, "batch"},
		{"CloudEvent, binary", `{"n":1}`, []string{"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "c3", "Ce-Source", "/s", "Ce-Type", "t", "Ce-Recipient", "user/ann", "Ce-Title", "binary"}, "binary"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLog(now)
			w := post(t, newHandler(t, l), "/v1/notifications", test.body, append(test.headers, "Authorization", "Bearer "+shop)...)
			if w.Code != http.StatusOK || l.stored() != 1 || l.event(0).Title != test.want {
				t.Errorf("got %d %s, stored %+v", w.Code, w.Body, l.stored())
			}
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	shop := jsonBy(token(t, now(), "shop", "emitter"))
	with := func(headers ...string) []string { return append(append([]string{}, shop...), headers...) }
	for _, test := range []struct {
		name, body string
		headers    []string
		status     int
		want       string
	}{
		{"no token", `{}`, nil, 401, "no bearer token"},
		{"bad token", `{}`, jsonBy("x"), 401, "token is malformed"},
		{"a token in the query is none", `{}`, []string{"Content-Type", "application/json"}, 401, "no bearer token"},
		{"another scheme", `{}`, []string{"Authorization", "Basic eA=="}, 401, "authorization scheme is not Bearer"},
		{"no role", `{"recipient":"user/bob"}`, jsonBy(token(t, now(), "ann")), 403, "not allowed to emit to this recipient: user"},
		{"everyone needs an admin", `{"recipient":"everyone"}`, shop, 403, "not allowed to emit to this recipient: everyone"},
		{"no JSON", `{`, shop, 400, "The body is no valid JSON: unexpected end"},
		{"no JSON in an array", `[{]`, shop, 400, "The body is no valid JSON: invalid character"},
		{"nothing", ``, shop, 400, "The body is no valid JSON"},
		{"no recipient", `{"title":"x"}`, shop, 422, `"field":"recipient"`},
		{"bad recipient", `{"recipient":"ann"}`, shop, 422, `"field":"recipient"`},
		{"a connection", `{"recipient":"connection/x"}`, shop, 403, "connection"},
		{"unknown field", `{"recipient":"user/ann","titel":"x"}`, shop, 422, `did you mean \"title\"?`},
		{"wrong kind", `{"recipient":"user/ann","title":1}`, shop, 422, `"field":"title"`},
		{"bad severity", `{"recipient":"user/ann","severity":"loud"}`, shop, 422, `"field":"severity"`},
		{"script link", `{"recipient":"user/ann","link":"javascript:alert(1)"}`, shop, 422, `"field":"link"`},
		{"expired", `{"recipient":"user/ann","expiresAt":"2020-01-01T00:00:00Z"}`, shop, 422, `"field":"expiresAt"`},
		{"too large an event", `{"recipient":"user/ann","body":"` + strings.Repeat("x", 70_000) + `"}`, shop, 413, "larger than 8192 bytes"},
		{"an event over the limit", `{"recipient":"user/ann","body":"` + strings.Repeat("x", 66_000) + `"}`, shop, 413, "larger"},
		{"empty array", `[]`, shop, 413, "1 to 1000 events, got 0"},
		{"too many", `[` + strings.Repeat(`{},`, 1000) + `{}]`, shop, 413, "got 1001"},
		{"second of two", `[{"recipient":"user/ann"},{"recipient":"user/ann","severity":"loud"}]`, shop, 422, `"index":1`},
		{"no UTF-8", "{\"recipient\":\"user/ann\",\"title\":\"\xff\"}", shop, 422, "not UTF-8"},
		{"other content type", `x`, with("Content-Type", "text/plain"), 415, "Content-Type wants to be"},
		{"bad protobuf", "\x01\xff", with("Content-Type", "application/protobuf"), 400, "The body is not a tidings.v1.Event"},
		{"long idempotency key", `{"recipient":"user/ann"}`, with("Idempotency-Key", strings.Repeat("k", 300)), 400, "Idempotency-Key is longer"},
		{"bad CloudEvent", `{"specversion":"0.3","id":"1","source":"s","type":"t"}`, shop, 422, `"field":"specversion"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLog(now)
			w := post(t, newHandler(t, l), "/v1/notifications", test.body, test.headers...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s %s, want %d with %s", w.Code, w.Header().Get("Content-Type"), w.Body, test.status, test.want)
			}
			if (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate: %q", w.Header().Get("WWW-Authenticate"))
			}
			if l.stored() != 0 {
				t.Errorf("stored %+v", l.stored())
			}
		})
	}
}

// The same key of the same caller is the same events; of another caller it is
// not.
func TestIdempotencyKey(t *testing.T) {
	l := newLog(now)
	h := newHandler(t, l)
	shop := append(jsonBy(token(t, now(), "shop", "emitter")), "Idempotency-Key", "k")
	two := `[{"recipient":"user/ann"},{"recipient":"user/ann"}]`
	first := post(t, h, "/v1/notifications", two, shop...).Body.String()
	again := post(t, h, "/v1/notifications", two, shop...).Body.String()
	if want := strings.ReplaceAll(first, `"duplicate":false`, `"duplicate":true`); again != want || l.stored() != 2 {
		t.Errorf("again: got %s, want %s; %d stored", again, want, l.stored())
	}
	post(t, h, "/v1/notifications", two, append(jsonBy(token(t, now(), "bank", "emitter")), "Idempotency-Key", "k")...)
	if l.stored() != 4 {
		t.Errorf("the key of another caller is the same key: %d stored", l.stored())
	}
}

// A log that fails in the middle is no reason to hide what was stored.
func TestPartlyStored(t *testing.T) {
	away := fmt.Errorf("append: %w", notifications.ErrUnavailable)
	shop := jsonBy(token(t, now(), "shop", "emitter"))
	l := failing(1, away)
	w := post(t, newHandler(t, l), "/v1/notifications", `[{"recipient":"user/a","id":"1"},{"recipient":"user/b","id":"2"},{"recipient":"user/c","id":"3"}]`, shop...)
	var got []struct {
		ID       string
		Position int
		Error    *struct{ Status int }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusMultiStatus {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if got[0].Position != 1 || got[1].ID != "2" || got[1].Error == nil || got[1].Error.Status != 503 || got[2].ID != "3" || got[2].Error == nil || l.stored() != 1 {
		t.Errorf("got %s", w.Body)
	}

	l = failing(1, errors.New("this one alone"))
	w = post(t, newHandler(t, l), "/v1/notifications", `[{"recipient":"user/a","id":"1"},{"recipient":"user/b","id":"2"},{"recipient":"user/c","id":"3"}]`, shop...)
	if w.Code != http.StatusMultiStatus || l.stored() != 2 || l.event(1).ID != "3" {
		t.Errorf("one of three fails: got %d %s", w.Code, w.Body)
	}

	l = failing(0, away)
	w = post(t, newHandler(t, l), "/v1/notifications", `{"recipient":"user/a","id":"mine"}`, shop...)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "nothing will be stored twice") || !strings.Contains(w.Body.String(), `"ids":["mine"]`) {
		t.Errorf("unavailable: got %d %s", w.Code, w.Body)
	}

	l = failing(0, errors.New("secret reason"))
	w = post(t, newHandler(t, l), "/v1/notifications", `{"recipient":"user/a"}`, shop...)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("another error: got %d %s", w.Code, w.Body)
	}
}
