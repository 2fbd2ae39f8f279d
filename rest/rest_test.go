package rest_test

import (
	"context"
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
	"gopkg.in/yaml.v3"

	"tidings/notifications"
	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/rest"
	"tidings/roles"
)

// log is an appender that remembers, and de-duplicates by id as the log does.
type log struct {
	events []notifications.Event
	hubs   []string
	fail   map[int]error // by how many were stored before
}

func (l *log) Append(_ context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	if err := l.fail[len(l.events)]; err != nil {
		delete(l.fail, len(l.events))
		return notifications.Receipt{}, err
	}
	for i, old := range l.events {
		if old.ID == e.ID {
			return notifications.Receipt{ID: e.ID, Position: notifications.Position(i + 1), Duplicate: true}, nil
		}
	}
	l.events, l.hubs = append(l.events, e), append(l.hubs, hub)
	return notifications.Receipt{ID: e.ID, Position: notifications.Position(len(l.events))}, nil
}

const secret = "0123456789abcdef0123456789abcdef"

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func newHandler(t *testing.T, l *log) http.Handler {
	t.Helper()
	keys, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Secret: []byte(secret)}}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return rest.NewHandler(rest.Options{
		Commands: notifications.NewCommands(notifications.CommandsOptions{Log: l, Now: now}),
		Verifier: keys, Protobuf: tidingsv1.CanonicalJSON, EventBytes: 4096, Now: now,
	})
}

func token(t *testing.T, user string, held ...string) string {
	t.Helper()
	token, err := roles.Mint([]byte(secret), roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: now()})
	if err != nil {
		t.Fatal(err)
	}
	return token
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
	return w
}

// jsonBy are the headers of a JSON request of somebody.
func jsonBy(token string) []string {
	return []string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}
}

func TestPublishStoresOneEvent(t *testing.T) {
	l := &log{}
	w := post(t, newHandler(t, l), "/v1/notifications?hub=other", `{"recipient":"user/ann","title":"Hi","ttl":60,"data":{"a":"<&>"}}`, jsonBy(token(t, "shop", "emitter"))...)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	var got notifications.Receipt
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Position != 1 || got.Duplicate || got.ID != l.events[0].ID {
		t.Errorf("answer: %s", w.Body)
	}
	e := l.events[0]
	if e.Title != "Hi" || e.Recipient != notifications.ToUser("ann") || !e.ExpiresAt.Equal(now().Add(time.Minute)) || string(e.Data) != `{"a":"<&>"}` || l.hubs[0] != "other" {
		t.Errorf("stored %+v on hub %s", e, l.hubs[0])
	}
}

func TestPublishTakesEveryEncoding(t *testing.T) {
	shop := token(t, "shop", "emitter")
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
			l := &log{}
			w := post(t, newHandler(t, l), "/v1/notifications", test.body, append(test.headers, "Authorization", "Bearer "+shop)...)
			if w.Code != http.StatusOK || len(l.events) != 1 || l.events[0].Title != test.want {
				t.Errorf("got %d %s, stored %+v", w.Code, w.Body, l.events)
			}
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	shop := jsonBy(token(t, "shop", "emitter"))
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
		{"no role", `{"recipient":"user/bob"}`, jsonBy(token(t, "ann")), 403, "not allowed to emit to this recipient: user"},
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
			l := &log{}
			w := post(t, newHandler(t, l), "/v1/notifications", test.body, test.headers...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s %s, want %d with %s", w.Code, w.Header().Get("Content-Type"), w.Body, test.status, test.want)
			}
			if (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate: %q", w.Header().Get("WWW-Authenticate"))
			}
			if len(l.events) != 0 {
				t.Errorf("stored %+v", l.events)
			}
		})
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	h := newHandler(t, &log{})
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/v1/notifications", 405}, {http.MethodPut, "/v1/notifications", 405}, {http.MethodGet, "/v1/nothing", 404}, {http.MethodGet, "/v1/openapi.yaml", 200},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.path, http.NoBody))
		if w.Code != test.want || (w.Code == 405) != (w.Header().Get("Allow") == http.MethodPost) {
			t.Errorf("%s %s: got %d, Allow %q, want %d", test.method, test.path, w.Code, w.Header().Get("Allow"), test.want)
		}
	}
}

// The same key of the same caller is the same events; of another caller it is
// not.
func TestIdempotencyKey(t *testing.T) {
	l := &log{}
	h := newHandler(t, l)
	shop := append(jsonBy(token(t, "shop", "emitter")), "Idempotency-Key", "k")
	two := `[{"recipient":"user/ann"},{"recipient":"user/ann"}]`
	first := post(t, h, "/v1/notifications", two, shop...).Body.String()
	again := post(t, h, "/v1/notifications", two, shop...).Body.String()
	if want := strings.ReplaceAll(first, `"duplicate":false`, `"duplicate":true`); again != want || len(l.events) != 2 {
		t.Errorf("again: got %s, want %s; %d stored", again, want, len(l.events))
	}
	post(t, h, "/v1/notifications", two, append(jsonBy(token(t, "bank", "emitter")), "Idempotency-Key", "k")...)
	if len(l.events) != 4 {
		t.Errorf("the key of another caller is the same key: %d stored", len(l.events))
	}
}

// A log that fails in the middle is no reason to hide what was stored.
func TestPartlyStored(t *testing.T) {
	away := fmt.Errorf("append: %w", notifications.ErrUnavailable)
	shop := jsonBy(token(t, "shop", "emitter"))
	l := &log{fail: map[int]error{1: away}}
	w := post(t, newHandler(t, l), "/v1/notifications", `[{"recipient":"user/a","id":"1"},{"recipient":"user/b","id":"2"},{"recipient":"user/c","id":"3"}]`, shop...)
	var got []struct {
		ID       string
		Position int
		Error    *struct{ Status int }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusMultiStatus {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if got[0].Position != 1 || got[1].ID != "2" || got[1].Error == nil || got[1].Error.Status != 503 || got[2].ID != "3" || got[2].Error == nil || len(l.events) != 1 {
		t.Errorf("got %s", w.Body)
	}

	l = &log{fail: map[int]error{1: errors.New("this one alone")}}
	w = post(t, newHandler(t, l), "/v1/notifications", `[{"recipient":"user/a","id":"1"},{"recipient":"user/b","id":"2"},{"recipient":"user/c","id":"3"}]`, shop...)
	if w.Code != http.StatusMultiStatus || len(l.events) != 2 || l.events[1].ID != "3" {
		t.Errorf("one of three fails: got %d %s", w.Code, w.Body)
	}

	l = &log{fail: map[int]error{0: away}}
	w = post(t, newHandler(t, l), "/v1/notifications", `{"recipient":"user/a","id":"mine"}`, shop...)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "nothing will be stored twice") || !strings.Contains(w.Body.String(), `"ids":["mine"]`) {
		t.Errorf("unavailable: got %d %s", w.Code, w.Body)
	}

	l = &log{fail: map[int]error{0: errors.New("secret reason")}}
	w = post(t, newHandler(t, l), "/v1/notifications", `{"recipient":"user/a"}`, shop...)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("another error: got %d %s", w.Code, w.Body)
	}
}

// The document names every field of an event, and only those.
func TestOpenAPINamesTheFieldsOfAnEvent(t *testing.T) {
	w := httptest.NewRecorder()
	newHandler(t, &log{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/openapi.yaml", http.NoBody))
	var document struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := yaml.Unmarshal(w.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	fields := (&tidingsv1.Event{}).ProtoReflect().Descriptor().Fields()
	properties := document.Components.Schemas["Event"].Properties
	for i := range fields.Len() {
		if name := fields.Get(i).JSONName(); properties[name] == nil {
			t.Errorf("the schema has no %s", name)
		}
	}
	if len(properties) != fields.Len() {
		t.Errorf("the schema has %d fields, an event %d", len(properties), fields.Len())
	}
}
