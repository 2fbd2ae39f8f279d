package rest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
)

// filled is a site on which ann has notifications of several kinds: 1 to 5, and
// bob 6.
func filled(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.emit(t, `{"id":"a1","recipient":"user/ann","type":"order.shipped","title":"One"}`)
	s.emit(t, `{"id":"a2","recipient":"user/ann","type":"order.paid","severity":"warning"}`)
	s.emit(t, `{"id":"a3","recipient":"everyone","type":"news","severity":"success"}`)
	s.emit(t, `{"id":"a4","recipient":"user/ann","type":"invoice","severity":"critical"}`)
	s.emit(t, `{"id":"a5","recipient":"user/ann","type":"order.lost"}`)
	s.emit(t, `{"id":"b1","recipient":"user/bob"}`)
	return s
}

func TestInboxIsPaged(t *testing.T) {
	s := filled(t)
	page := s.ok(t, ann, "GET /v1/inbox?limit=2", "")
	if page.ids() != "a5 unseen, a4 unseen" || page.Next == "" || page.Counts.Unseen != 5 || page.Counts.Unread != 5 {
		t.Fatalf("first page: %s", page.text)
	}
	link, rel, _ := strings.Cut(page.header.Get("Link"), ";")
	if rel != ` rel="next"` {
		t.Fatalf("Link: %q", page.header.Get("Link"))
	}
	second := s.ok(t, ann, "GET "+strings.Trim(link, "<>"), "")
	if byHand := s.ok(t, ann, "GET /v1/inbox?limit=2&before="+page.Next, ""); second.ids() != "a3 unseen, a2 unseen" || byHand.text != second.text {
		t.Errorf("second page: %s, by hand %s", second.text, byHand.text)
	}
	last := s.ok(t, ann, "GET /v1/inbox?limit=2&before="+second.Next, "")
	if last.ids() != "a1 unseen" || last.Next != "" || last.header.Get("Link") != "" {
		t.Errorf("last page: %s, Link %q", last.text, last.header.Get("Link"))
	}
	if all := s.ok(t, ann, "GET /v1/inbox", ""); len(all.Items) != 5 {
		t.Errorf("without a limit: %s", all.text)
	}
	if other := s.ok(t, ann, "GET /v1/inbox?hub=other", ""); len(other.Items) != 0 || !strings.Contains(other.text, `"items":[]`) {
		t.Errorf("another hub: %s", other.text)
	}
}

// The link keeps what was asked, and the path as it was written.
func TestLinkOfAnotherUsersInbox(t *testing.T) {
	s := newSite(t)
	for i := range 3 {
		s.emit(t, fmt.Sprintf(`{"id":"x%d","recipient":"user/a/b \"<c>é","type":"t.x"}`, i))
	}
	user := url.PathEscape(`a/b "<c>é`)
	page := s.ok(t, root, "GET /v1/users/"+user+"/inbox?limit=2&type=t.*&type=y&severity=info", "")
	link, err := url.Parse(strings.Trim(strings.TrimSuffix(page.header.Get("Link"), `; rel="next"`), "<>"))
	if err != nil || link.EscapedPath() != "/v1/users/"+user+"/inbox" || link.Query().Get("before") != page.Next || len(link.Query()["type"]) != 2 || link.Query().Get("limit") != "2" {
		t.Errorf("Link: %q, %v", page.header.Get("Link"), err)
	}
	if rest := s.ok(t, root, "GET "+link.String(), ""); rest.ids() != "x0 unseen" {
		t.Errorf("the page behind it: %s", rest.text)
	}
}

func TestInboxIsFiltered(t *testing.T) {
	s := filled(t)
	s.ok(t, ann, "POST /v1/inbox/read", `{"ids":["a1"]}`)
	s.ok(t, ann, "POST /v1/inbox/archive", `{"ids":["a2"]}`)
	for query, want := range map[string]string{
		"":                                "a5 unseen, a4 unseen, a3 unseen, a1 read",
		"type=order.*":                    "a5 unseen, a1 read",
		"type=order.lost&type=news":       "a5 unseen, a3 unseen",
		"type=*":                          "a5 unseen, a4 unseen, a3 unseen, a1 read",
		"severity=critical":               "a4 unseen",
		"severity=critical&severity=info": "a5 unseen, a4 unseen, a1 read",
		"state=archived":                  "a2 archived",
		"state=archived&state=read":       "a2 archived, a1 read",
		"state=seen":                      "",
		"type=order.*&state=read":         "a1 read",
	} {
		if got := s.ok(t, ann, "GET /v1/inbox?"+query, ""); got.ids() != want {
			t.Errorf("%s: got %s, want %s", query, got.ids(), want)
		}
	}
}

func TestMarks(t *testing.T) {
	s := filled(t)
	for _, step := range []struct {
		target, body   string
		unseen, unread int
		inbox          string
	}{
		{"POST /v1/inbox/seen", `{"ids":["a1",2]}`, 3, 5, "a5 unseen, a4 unseen, a3 unseen, a2 seen, a1 seen"},
		{"POST /v1/inbox/read", `{"ids":["a1","a3"]}`, 2, 3, "a5 unseen, a4 unseen, a3 read, a2 seen, a1 read"},
		{"POST /v1/inbox/unread", `{"ids":[1]}`, 2, 4, "a5 unseen, a4 unseen, a3 read, a2 seen, a1 seen"},
		{"POST /v1/inbox/archive", `{"ids":["a5"]}`, 1, 3, "a4 unseen, a3 read, a2 seen, a1 seen"},
		{"POST /v1/inbox/unarchive", `{"ids":["a5"]}`, 2, 4, "a5 unseen, a4 unseen, a3 read, a2 seen, a1 seen"},
		{"POST /v1/inbox/all-seen", `{"upTo":4}`, 1, 4, "a5 unseen, a4 seen, a3 read, a2 seen, a1 seen"},
		{"POST /v1/inbox/all-read", `{"upTo":2}`, 1, 2, "a5 unseen, a4 seen, a3 read, a2 read, a1 read"},
		{"POST /v1/inbox/all-seen", ``, 0, 2, "a5 seen, a4 seen, a3 read, a2 read, a1 read"},
		{"POST /v1/inbox/all-read", `{"upTo":null}`, 0, 0, "a5 read, a4 read, a3 read, a2 read, a1 read"},
		{"POST /v1/inbox/all-read", `{}`, 0, 0, "a5 read, a4 read, a3 read, a2 read, a1 read"},
		{"POST /v1/inbox/all-read", " \r\n", 0, 0, "a5 read, a4 read, a3 read, a2 read, a1 read"},
	} {
		got := s.ok(t, ann, step.target, step.body)
		if got.Counts.Unseen != step.unseen || got.Counts.Unread != step.unread {
			t.Errorf("%s %s: %s", step.target, step.body, got.text)
		}
		if again := s.ok(t, ann, "GET /v1/inbox/counts", ""); again.text != got.text {
			t.Errorf("%s %s: got %s, but counts are %s", step.target, step.body, got.text, again.text)
		}
		if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != step.inbox {
			t.Errorf("%s %s: inbox is %s, want %s", step.target, step.body, page.ids(), step.inbox)
		}
	}
	cursor := notifications.Cursor{Epoch: epoch, Position: 3}.String()
	s.ok(t, bob, "POST /v1/inbox/all-read", `{"upTo":"`+cursor+`"}`)
	if page := s.ok(t, bob, "GET /v1/inbox", ""); page.ids() != "b1 unseen, a3 read" {
		t.Errorf("up to a cursor: %s", page.ids())
	}
}

// An administrator does for others what they could do themselves, and it is on
// record; everybody may name themselves.
func TestInboxOfAnotherUser(t *testing.T) {
	s := filled(t)
	s.ok(t, root, "POST /v1/users/ann/inbox/read", `{"ids":["a1"]}`)
	if page := s.ok(t, root, "GET /v1/users/ann/inbox?type=order.shipped", ""); page.ids() != "a1 read" {
		t.Errorf("by an administrator: %s", page.text)
	}
	if page := s.ok(t, ann, "GET /v1/users/ann/inbox?type=order.shipped", ""); page.ids() != "a1 read" {
		t.Errorf("by ann: %s", page.text)
	}
	looked := 0
	for _, r := range s.kept.audit {
		if r.Action == notifications.AuditLooked && r.By == "root" && r.User == "ann" && r.Via == "http" {
			looked++
		}
	}
	if looked == 0 {
		t.Error("nothing is on record")
	}
	_, changes, err := s.states.History(t.Context(), notifications.DefaultHub, "ann")
	if err != nil || len(changes) == 0 || changes[0].Change.By != "root" {
		t.Errorf("changes: %+v, %v", changes, err)
	}
}

// Nobody gets at what is another user's, and nothing is changed by trying.
func TestForeignInboxesAreClosed(t *testing.T) {
	s := filled(t)
	forbidden := refusal{403, "", "not allowed"}
	for _, target := range []string{
		"GET /v1/users/ann/inbox", "GET /v1/users/ann/inbox?at=2026-01-02T00:00:00Z", "GET /v1/users/ann/inbox/counts", "GET /v1/users/ann/preferences", "GET /v1/users/ann/groups",
		"GET /v1/users/ann/export", "GET /v1/explain?id=a1&user=ann", "DELETE /v1/users/ann", "DELETE /v1/users/ann/preferences/mutes?type=x",
		"PUT /v1/groups/ops/members/ann", "PUT /v1/groups/ops/members/bob", "DELETE /v1/groups/ops/members/ann", "DELETE /v1/users/ann/roles/ops", "DELETE /v1/users/bob/roles/ops", "DELETE /v1/users/bob",
	} {
		for _, by := range []who{bob, "bob/emitter"} {
			s.refused(t, by, target, "", forbidden)
		}
	}
	for target, body := range map[string]string{
		"POST /v1/users/ann/inbox/read": `{"ids":["a1"]}`, "POST /v1/users/ann/inbox/all-read": ``, "POST /v1/users/ann/preferences/mutes": `{"type":"x"}`, "PUT /v1/users/ann/preferences": `{}`,
	} {
		s.refused(t, bob, target, body, forbidden)
	}
	if _, changes, err := s.states.History(t.Context(), notifications.DefaultHub, "ann"); err != nil || len(changes) != 0 {
		t.Errorf("ann's state was changed: %+v, %v", changes, err)
	}
	for _, id := range []string{`"a1"`, "1"} {
		s.refused(t, bob, "POST /v1/inbox/read", `{"ids":[`+id+`]}`, refusal{422, "ids[0]", "is no notification of this inbox"})
	}
}

// One bad id among a hundred and nothing is marked.
func TestMarksAreAllOrNothing(t *testing.T) {
	s := newSite(t)
	ids := make([]string, 100)
	for i := range ids {
		s.emit(t, fmt.Sprintf(`{"id":"n%d","recipient":"user/ann"}`, i))
		ids[i] = fmt.Sprintf(`"n%d"`, i)
	}
	s.emit(t, `{"id":"other","recipient":"user/bob"}`)
	for _, kind := range []string{"seen", "read", "unread", "archive", "unarchive"} {
		for _, bad := range []string{`"nothing"`, `"other"`, "999999", "18446744073709551615"} {
			some := append(append([]string{}, ids[:57]...), append([]string{bad}, ids[57:]...)...)
			s.refused(t, ann, "POST /v1/inbox/"+kind, `{"ids":[`+strings.Join(some, ",")+`]}`, refusal{422, "ids[57]", "is no notification of this inbox"})
		}
	}
	if got := s.ok(t, ann, "GET /v1/inbox/counts", ""); got.Counts.Unseen != 100 {
		t.Errorf("something was marked: %s", got.text)
	}
	if got := s.ok(t, ann, "POST /v1/inbox/read", `{"ids":[`+strings.Join(ids, ",")+`]}`); got.Counts.Unread != 0 {
		t.Errorf("without the bad one: %s", got.text)
	}
}

func TestInboxRefuses(t *testing.T) {
	s := filled(t)
	elsewhere := notifications.Cursor{Epoch: epoch + 1, Position: 3}.String()
	for query, want := range map[string]refusal{
		"limit=0":                         {422, "limit", "want 1 to 200"},
		"limit=-1":                        {422, "limit", "want 1 to 200"},
		"limit=201":                       {422, "limit", "want 1 to 200"},
		"limit=1e9":                       {422, "limit", "want 1 to 200"},
		"limit=99999999999999999999":      {422, "limit", "want 1 to 200"},
		"limit=":                          {422, "limit", "want 1 to 200"},
		"limit=1&limit=2":                 {422, "limit", "more than once"},
		"before=garbage":                  {422, "before", "is not the next of a page"},
		"before=" + elsewhere:             {422, "before", "a log that is no more"},
		"before=1":                        {422, "before", "is not the next of a page"},
		"before=x&before=y":               {422, "before", "more than once"},
		"type=":                           {422, "type", "want a type"},
		"type=%00":                        {422, "type", "want a type"},
		"type=%ff":                        {422, "type", "want a type"},
		"severity=loud":                   {422, "severity", `got "loud"`},
		"severity=":                       {422, "severity", `want info`},
		"state=gone":                      {422, "state", `got "gone"`},
		"at=yesterday":                    {422, "at", "want an RFC 3339 time"},
		"at=":                             {422, "at", "want an RFC 3339 time"},
		"at=2026-13-45T99:00:00Z":         {422, "at", "want an RFC 3339 time"},
		"at=9999-12-31T23:59:59Z":         {422, "at", "is in the future"},
		"at=2026-01-02T03:04:06Z":         {422, "at", "is in the future"},
		"at=99999-01-01T00:00:00Z":        {422, "at", "want an RFC 3339 time"},
		"at=2000-01-01T00:00:00Z&type=":   {422, "type", "want a type"},
		"limt=5":                          {422, "limt", "no such parameter; this path takes at, before, hub, limit, severity, state, type"},
		"Limit=5":                         {422, "Limit", "no such parameter"},
		"access_token=" + tokenHead:       {422, "access_token", "no such parameter"},
		strings.Repeat("x", 1000) + "=1":  {422, strings.Repeat("x", 64) + "…", "no such parameter"},
		"limit=%zz" + tokenHead:           {400, "", "The query cannot be read"},
		"limit=1;before=2":                {400, "", "The query cannot be read"},
		"hub=%ff":                         {400, "hub", "hub wants"},
		"hub=" + strings.Repeat("h", 257): {400, "hub", "hub wants"},
	} {
		s.refused(t, ann, "GET /v1/inbox?"+query, "", want)
	}
	many := "type=a" + strings.Repeat("&type=b", 20)
	s.refused(t, ann, "GET /v1/inbox?"+many, "", refusal{422, "type", "at most 20"})
	s.refused(t, ann, "GET /v1/inbox/counts?limit=1", "", refusal{422, "limit", "this path takes hub"})
	s.refused(t, ann, "GET /v1/inbox", strings.Repeat("x", 256<<10+1), refusal{413, "", "larger than 262144 bytes"})
	s.refused(t, root, "GET /v1/users/%FF/inbox", "", refusal{422, "user", "not UTF-8"})
	s.refused(t, root, "GET /v1/users/"+strings.Repeat("u", 257)+"/inbox", "", refusal{422, "user", "at most 256"})
}

func TestMarksRefuse(t *testing.T) {
	s := filled(t)
	elsewhere := notifications.Cursor{Epoch: epoch + 1, Position: 3}.String()
	for _, test := range []struct {
		path, body string
		want       refusal
	}{
		{"read", ``, refusal{400, "", "The body is no valid JSON"}},
		{"read", `{`, refusal{400, "", "The body is no valid JSON"}},
		{"read", `{"ids":["a1"]} x`, refusal{400, "", "The body is no valid JSON"}},
		{"read", `null`, refusal{422, "", "want a JSON object"}},
		{"read", `["a1"]`, refusal{422, "", "want a JSON object with ids"}},
		{"read", `{}`, refusal{422, "ids", "is missing"}},
		{"read", `{"ids":null}`, refusal{422, "ids", "want 1 to 1000"}},
		{"read", `{"ids":[]}`, refusal{422, "ids", "want 1 to 1000"}},
		{"read", `{"ids":"a1"}`, refusal{422, "ids", "want an array"}},
		{"read", `{"ids":["a1",null]}`, refusal{422, "ids[1]", "want the id"}},
		{"read", `{"ids":["a1",-1]}`, refusal{422, "ids[1]", "want the id"}},
		{"read", `{"ids":["a1",0]}`, refusal{422, "ids[1]", "want the id"}},
		{"read", `{"ids":["a1",1.5]}`, refusal{422, "ids[1]", "want the id"}},
		{"read", `{"ids":["a1",1e99]}`, refusal{422, "ids[1]", "want the id"}},
		{"read", `{"ids":["a1",{"id":"a2"}]}`, refusal{422, "ids[1]", "want the id"}},
		{"read", `{"ids":[""]}`, refusal{422, "ids[0]", "want the id"}},
		{"read", `{"ids":["` + strings.Repeat("x", 129) + `"]}`, refusal{422, "ids[0]", "want the id"}},
		{"read", `{"ids":["a\u0000"]}`, refusal{422, "ids[0]", "want the id"}},
		{"read", `{"ids":["a1"],"upTo":3}`, refusal{422, "upTo", "no such field; want ids"}},
		{"read", `{"ids":[` + strings.Repeat(`1,`, 1000) + `1]}`, refusal{422, "ids", "got 1001"}},
		{"read", `{"ids":["` + strings.Repeat("x", 256<<10) + `"]}`, refusal{413, "", "larger than 262144 bytes"}},
		{"all-read", `{"upTo":"` + strings.Repeat("x", 256<<10) + `"}`, refusal{413, "", "larger than 262144 bytes"}},
		{"all-read", `{"upTo":7}`, refusal{422, "upTo", "beyond the end of the log at 6"}},
		{"all-read", `{"upTo":0}`, refusal{422, "upTo", "want a position"}},
		{"all-read", `{"upTo":-1}`, refusal{422, "upTo", "want a position"}},
		{"all-read", `{"upTo":true}`, refusal{422, "upTo", "want a position"}},
		{"all-read", `{"upTo":"garbage"}`, refusal{422, "upTo", "want a position"}},
		{"all-read", `{"upTo":"` + elsewhere + `"}`, refusal{422, "upTo", "a log that is no more"}},
		{"all-seen", `{"upto":1}`, refusal{422, "upto", "no such field; want upTo"}},
		{"all-seen", `[]`, refusal{422, "", "want a JSON object"}},
		{"all-seen", `nonsense`, refusal{400, "", "The body is no valid JSON"}},
	} {
		s.refused(t, ann, "POST /v1/inbox/"+test.path, test.body, test.want)
	}
	s.sending("Content-Type", "text/plain").refused(t, ann, "POST /v1/inbox/read", `{"ids":["a1"]}`, refusal{415, "", "Content-Type"})
	s.sending("Content-Type", "/;;;").refused(t, ann, "POST /v1/inbox/read", `{"ids":["a1"]}`, refusal{415, "", "Content-Type"})
	if got := s.ok(t, ann, "GET /v1/inbox/counts", ""); got.Counts.Unseen != 5 {
		t.Errorf("something was marked: %s", got.text)
	}
	for _, contentType := range []string{"", "application/json; charset=utf-8", "application/x-www-form-urlencoded"} { // curl -d
		s.ok(t, ann, "POST /v1/inbox/read", `{"ids":["a1"]}`, "Content-Type", contentType)
	}
}

// An inbox of the past has what was there then, as it was then.
func TestInboxOfThePast(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"a1","recipient":"user/ann","collapseKey":"k"}`)
	s.ok(t, ann, "GET /v1/inbox", "")
	first := s.time
	s.time = s.time.Add(time.Minute)
	s.ok(t, ann, "POST /v1/inbox/seen", `{"ids":["a1"]}`)
	s.emit(t, `{"id":"a2","recipient":"user/ann","collapseKey":"k"}`)
	second := s.time
	s.time = s.time.Add(time.Minute)
	s.ok(t, ann, "POST /v1/inbox/all-read", "")
	for at, want := range map[time.Time]string{
		first.Add(-time.Hour): "", first: "a1 unseen", second.Add(-time.Millisecond): "a1 unseen", second: "a2 unseen", s.time: "a2 read",
	} {
		page := s.ok(t, root, "GET /v1/users/ann/inbox?at="+at.Format(time.RFC3339Nano), "")
		if page.ids() != want {
			t.Errorf("at %s: got %s, want %s", at, page.ids(), want)
		}
		local := url.QueryEscape(at.In(time.FixedZone("", 3600)).Format(time.RFC3339Nano))
		if unescaped := s.ok(t, ann, "GET /v1/inbox?at="+strings.ReplaceAll(local, "%2B", "+"), ""); unescaped.ids() != want {
			t.Errorf("at %s, with a plus sign that is not escaped: got %s, want %s", at, unescaped.ids(), want)
		}
	}
	if page := s.ok(t, root, "GET /v1/users/ann/inbox?at=0000-01-01T00:00:00Z", ""); len(page.Items) != 0 {
		t.Errorf("before everything: %s", page.text)
	}
}

// What a user may not read any more is not in the inbox of the past either.
func TestInboxOfThePastOfWhoLostARole(t *testing.T) {
	s := newSite(t)
	s.ok(t, oscar, "GET /v1/inbox", "")
	s.emit(t, `{"id":"o1","recipient":"role/ops"}`)
	s.time = s.time.Add(time.Minute)
	at := "?at=" + s.time.Format(time.RFC3339)
	if page := s.ok(t, oscar, "GET /v1/inbox"+at, ""); page.ids() != "o1 unseen" {
		t.Errorf("with the role: %s", page.text)
	}
	if page := s.ok(t, "oscar", "GET /v1/inbox"+at, ""); page.ids() != "" {
		t.Errorf("with a token without the role: %s", page.text)
	}
	if page := s.ok(t, root, "GET /v1/users/oscar/inbox"+at, ""); page.ids() != "o1 unseen" {
		t.Errorf("by an administrator: %s", page.text)
	}
}

// HEAD says what GET says, without the body.
func TestHead(t *testing.T) {
	s := filled(t)
	server := httptest.NewServer(s)
	defer server.Close()
	for _, path := range []string{"/v1/inbox?limit=2", "/v1/inbox/counts", "/v1/preferences", "/v1/export", "/openapi.json", "/v1/nothing", "/v1/inbox?limit=0"} {
		var length, link, tag [2]string
		for i, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+s.token(t, ann))
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			length[i] = fmt.Sprint(response.Status, response.ContentLength)
			link[i], tag[i] = response.Header.Get("Link"), response.Header.Get("ETag")
		}
		if length[0] != length[1] || link[0] != link[1] || tag[0] != tag[1] {
			t.Errorf("%s: GET says %s, HEAD %s", path, length[0], length[1])
		}
	}
}
