package rest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/rest"
	"tidings/roles"
)

const secret = "0123456789abcdef0123456789abcdef"

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// site is a handler with everything it may be given, in memory.
type site struct {
	*rest.Handler

	api    api
	log    *log
	states *notificationstest.States
	kept   *kept
	rates  *notifications.Rates
	// time is what the clock says; tokens are made at that time.
	time time.Time
	// headers are sent with every request, name and value in turn.
	headers []string
}

// sending is the site for one request with more headers.
func (s *site) sending(headers ...string) *site {
	other := *s
	other.headers = headers
	return &other
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		api: readAPI(t), states: &notificationstest.States{}, time: now(), rates: &notifications.Rates{},
		kept: &kept{
			devices: map[string][]notifications.Device{}, visits: map[string][]notifications.Visit{},
			scheduled: map[string]notifications.Event{}, rejected: map[string][]notifications.Rejection{},
		},
	}
	clock := func() time.Time { return s.time }
	s.log = newLog(clock)
	inboxes := notifications.NewInboxes(notifications.InboxesOptions{Log: s.log, States: s.states, Audit: s.kept, Now: clock})
	s.Handler = rest.NewHandler(rest.Options{
		Commands: notifications.NewCommands(notifications.CommandsOptions{
			Log: s.log, Catalogue: s.log, Schedules: s.kept, Audit: s.kept, Rates: s.rates, Now: clock,
		}),
		Inboxes: inboxes,
		Archives: notifications.NewArchives(notifications.ArchivesOptions{
			Inboxes: inboxes, Devices: devices{s.kept}, Visits: visits{s.kept}, Schedules: s.kept, Records: s.kept, Eraser: s.log,
		}),
		Verifier: verifier(t, clock), Protobuf: tidingsv1.CanonicalJSON, EventBytes: 4096, Now: clock,
	})
	return s
}

func verifier(t *testing.T, clock func() time.Time) *roles.Keys {
	t.Helper()
	keys, err := roles.NewVerifier(t.Context(), roles.Options{Issuers: []roles.Issuer{{Secret: []byte(secret)}}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// token is one of that time.
func token(t *testing.T, at time.Time, user string, held ...string) string {
	t.Helper()
	token, err := roles.Mint([]byte(secret), roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: at})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// who calls: a user and, after a slash, a role.
type who string

const (
	ann   who = "ann"
	bob   who = "bob"
	shop  who = "shop/emitter"
	root  who = "root/admin"
	oscar who = "oscar/ops"
)

func (s *site) token(t *testing.T, by who) string {
	t.Helper()
	user, role, held := strings.Cut(string(by), "/")
	if !held {
		return token(t, s.time, user)
	}
	return token(t, s.time, user, role)
}

// do sends a request as somebody and holds the answer against the document.
// target is method and path; headers are name and value in turn.
func (s *site) do(t *testing.T, by who, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, path, _ := strings.Cut(target, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if by != "" {
		r.Header.Set("Authorization", "Bearer "+s.token(t, by))
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	headers = append(headers, s.headers...)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	s.api.check(t, r, body, w)
	return w
}

// ok is do for what has to go well; it returns the answer.
func (s *site) ok(t *testing.T, by who, target, body string, headers ...string) answer {
	t.Helper()
	w := s.do(t, by, target, body, headers...)
	if w.Code >= http.StatusMultipleChoices {
		t.Fatalf("%s by %s: got %d %s", target, by, w.Code, w.Body)
	}
	var a answer
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatalf("%s by %s: %v: %s", target, by, err, w.Body)
		}
	}
	a.code, a.header, a.text = w.Code, w.Header(), w.Body.String()
	return a
}

// answer is what of all answers the tests look at.
type answer struct {
	code   int
	header http.Header
	text   string

	Items []struct {
		ID, State string
		Muted     bool
	}
	Next        string
	Counts      struct{ Unseen, Unread int }
	Mutes       []map[string]string
	QuietHours  map[string]any
	Version     json.RawMessage
	Groups      map[string]map[string]any
	Positions   []int
	Position    int
	Canceled    bool
	RecalledBy  int
	Outcome     string
	Reason      string
	Events      json.RawMessage
	Audit       []any
	User        string
	Changes     []map[string]any
	Duplicate   bool
	Connections []any
	Devices     []any
}

// ids are those of the items, with their states.
func (a answer) ids() string {
	var all []string
	for _, item := range a.Items {
		text := item.ID + " " + item.State
		if item.Muted {
			text += " muted"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// tokenHead is how every token begins.
const tokenHead = "eyJhbGci"

// refused is do for what has to be refused, with a problem that names a field and
// says something.
func (s *site) refused(t *testing.T, by who, target, body string, want refusal) {
	t.Helper()
	w := s.do(t, by, target, body)
	var p struct {
		Status int
		Detail string
		Errors []struct{ Field, Detail string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%s by %s: %v: %s", target, by, err, w.Body)
	}
	field := ""
	if len(p.Errors) > 0 {
		field = p.Errors[0].Field
	}
	if w.Code != want.status || p.Status != want.status || field != want.field || !strings.Contains(p.Detail, want.says) {
		t.Errorf("%s by %s, %s: got %d %s, want %d, field %q, %q", target, by, body, w.Code, w.Body, want.status, want.field, want.says)
	}
	if strings.Contains(w.Body.String(), tokenHead) {
		t.Errorf("%s by %s: a token is in the answer: %s", target, by, w.Body)
	}
}

type refusal struct {
	status int
	field  string
	says   string
}

// emit stores an event by the shop, or by an admin.
func (s *site) emit(t *testing.T, event string) {
	t.Helper()
	by := shop
	if strings.Contains(event, `"everyone"`) {
		by = root
	}
	s.ok(t, by, "POST /v1/notifications", event)
}
