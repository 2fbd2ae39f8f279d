package rest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPreferences(t *testing.T) {
	s := newSite(t)
	unset := s.ok(t, ann, "GET /v1/preferences", "")
	if unset.text != `{"version":0}`+"\n" || unset.header.Get("ETag") != `"0"` {
		t.Errorf("unset: %s, ETag %s", unset.text, unset.header.Get("ETag"))
	}
	set := s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"order.*"}],"quietHours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin","days":["mon","fri"]}}`)
	if set.header.Get("ETag") != `"`+string(set.Version)+`"` || len(set.Mutes) != 1 || set.QuietHours["zone"] != "Europe/Berlin" {
		t.Errorf("set: %s, ETag %s", set.text, set.header.Get("ETag"))
	}
	if got := s.ok(t, ann, "GET /v1/preferences", ""); got.text != set.text || got.header.Get("ETag") != set.header.Get("ETag") {
		t.Errorf("read: %s, ETag %s", got.text, got.header.Get("ETag"))
	}
	if got := s.ok(t, root, "GET /v1/users/ann/preferences", ""); got.text != set.text {
		t.Errorf("read by an administrator: %s", got.text)
	}
	if got := s.ok(t, root, "PUT /v1/users/ann/preferences", `{}`); got.Mutes != nil || got.QuietHours != nil {
		t.Errorf("emptied by an administrator: %s", got.text)
	}
	if got := s.ok(t, bob, "GET /v1/preferences", ""); got.text != unset.text {
		t.Errorf("bob's: %s", got.text)
	}
}

// Of two who change the same document one is told, and the first document is no
// exception.
func TestPreferencesAreNotOverwritten(t *testing.T) {
	s := newSite(t)
	changed := "changed meanwhile"
	for round := range 2 {
		tag := s.ok(t, ann, "GET /v1/preferences", "").header.Get("ETag")
		version := strings.Trim(tag, `"`)
		first := s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"first"}]}`, "If-Match", tag)
		s.sending("If-Match", tag).refused(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"second"}]}`, refusal{412, "", changed})
		s.sending("If-Match", tag).refused(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"second"}],"version":`+version+`}`, refusal{412, "", changed})
		s.refused(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"second"}],"version":`+version+`}`, refusal{409, "", changed})
		if got := s.ok(t, ann, "GET /v1/preferences", ""); got.text != first.text {
			t.Fatalf("round %d: got %s, want %s", round, got.text, first.text)
		}
		s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"third"}],"version":`+string(first.Version)+`}`)
	}
	for _, headers := range [][]string{nil, {"If-Match", "*"}} { // whatever there is
		s.ok(t, ann, "PUT /v1/preferences", `{}`, headers...)
	}
	s.ok(t, ann, "PUT /v1/preferences", `{"version":null}`)
	tag := s.ok(t, ann, "GET /v1/preferences", "").header.Get("ETag")
	version := strings.Trim(tag, `"`)
	for match, want := range map[string]refusal{
		"W/" + tag:                  {412, "", changed},
		`"x"`:                       {412, "", changed},
		`"0"`:                       {412, "", changed},
		`"-1"`:                      {412, "", changed},
		`"0` + version + `"`:        {412, "", changed},
		`"99999999999999999999999"`: {412, "", changed},
		version:                     {400, "If-Match", "If-Match wants"},
		`"`:                         {400, "If-Match", "If-Match wants"},
		tag + `, "1"`:               {400, "If-Match", "If-Match wants"},
		"garbage":                   {400, "If-Match", "If-Match wants"},
	} {
		s.sending("If-Match", match).refused(t, ann, "PUT /v1/preferences", `{}`, want)
	}
	s.sending("If-Match", tag).refused(t, ann, "PUT /v1/preferences", `{"version":1}`, refusal{422, "version", "is not that of If-Match"})
}

func TestMutes(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"a1","recipient":"user/ann","type":"order.shipped"}`)
	s.ok(t, ann, "POST /v1/preferences/mutes", `{"type":"order.*","until":"2026-01-03T08:00:00+01:00"}`)
	both := s.ok(t, ann, "POST /v1/preferences/mutes", `{"group":"g/1 x"}`)
	if len(both.Mutes) != 2 || both.header.Get("ETag") != `"`+string(both.Version)+`"` {
		t.Errorf("two mutes: %s", both.text)
	}
	s.emit(t, `{"id":"a2","recipient":"user/ann","type":"order.shipped"}`)
	if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != "a2 unseen muted, a1 unseen muted" {
		t.Errorf("inbox: %s", page.text)
	}
	if again := s.ok(t, ann, "POST /v1/preferences/mutes", `{"group":"g/1 x","until":"2026-01-04T00:00:00Z"}`); len(again.Mutes) != 2 || again.Mutes[1]["until"] != "2026-01-04T00:00:00Z" {
		t.Errorf("a mute that is muted again: %s", again.text)
	}
	if other := s.ok(t, ann, "DELETE /v1/preferences/mutes?group=nothing", ""); len(other.Mutes) != 2 {
		t.Errorf("one that there is not: %s", other.text)
	}
	if one := s.ok(t, ann, "DELETE /v1/preferences/mutes?group=g%2F1%20x", ""); len(one.Mutes) != 1 || one.Mutes[0]["type"] != "order.*" {
		t.Errorf("one less: %s", one.text)
	}
	if none := s.ok(t, root, "DELETE /v1/users/ann/preferences/mutes?type=order.*", ""); len(none.Mutes) != 0 {
		t.Errorf("none: %s", none.text)
	}
}

func TestPreferencesRefuse(t *testing.T) {
	s := newSite(t)
	before := s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[{"group":"news"}]}`).text
	quiet := func(fields string) string { return `{"quietHours":{` + fields + `}}` }
	for _, test := range []struct {
		body string
		want refusal
	}{
		{``, refusal{400, "", "The body is no valid JSON"}},
		{`{"mutes":`, refusal{400, "", "The body is no valid JSON"}},
		{`[]`, refusal{422, "", "want a JSON object"}},
		{`null`, refusal{422, "", "want a JSON object"}},
		{`"mutes"`, refusal{422, "", "want a JSON object"}},
		{`{"mute":[]}`, refusal{422, "mute", "no such field"}},
		{`{"mutes":{}}`, refusal{422, "mutes", "want an array of mutes"}},
		{`{"mutes":["order.*"]}`, refusal{422, "mutes[0]", "want an object"}},
		{`{"mutes":[{"type":"a"},{}]}`, refusal{422, "mutes[1]", "either a type or a group"}},
		{`{"mutes":[{"type":"a","group":"b"}]}`, refusal{422, "mutes[0]", "either a type or a group"}},
		{`{"mutes":[{"type":"a*"}]}`, refusal{422, "mutes[0].type", "the beginning of types"}},
		{`{"mutes":[{"type":7}]}`, refusal{422, "mutes[0].type", "want a string"}},
		{`{"mutes":[{"type":"a","until":"soon"}]}`, refusal{422, "mutes[0].until", "RFC 3339"}},
		{`{"mutes":[{"type":"a","until":"2100-01-01T00:00:00Z"}]}`, refusal{422, "mutes[0].until", "ten years"}},
		{`{"mutes":[{"type":"a","for":"ever"}]}`, refusal{422, "mutes[0].for", "no such field"}},
		{`{"mutes":[` + strings.Repeat(`{"type":"a"},`, 200) + `{"type":"a"}]}`, refusal{422, "mutes", "at most 200"}},
		{quiet(`"from":"22:00","to":"07:00","zone":"Mars/Olympus"`), refusal{422, "quietHours.zone", `got "Mars/Olympus"`}},
		{quiet(`"from":"22:00","to":"07:00","zone":"../../etc/passwd"`), refusal{422, "quietHours.zone", "want a time zone"}},
		{quiet(`"from":"22:00","to":"07:00","zone":"Local"`), refusal{422, "quietHours.zone", "want a time zone"}},
		{quiet(`"from":"22:00","to":"07:00"`), refusal{422, "quietHours.zone", "want a time zone"}},
		{quiet(`"from":"25:00","to":"07:00","zone":"UTC"`), refusal{422, "quietHours.from", "time of the clock"}},
		{quiet(`"from":"22:00","to":"22:00","zone":"UTC"`), refusal{422, "quietHours.to", "the same time"}},
		{quiet(`"from":"22:00","to":"07:00","zone":"UTC","days":["monday"]`), refusal{422, "quietHours.days[0]", `got "monday"`}},
		{`{"quietHours":true}`, refusal{422, "quietHours", "want an object"}},
		{`{"version":-1}`, refusal{422, "version", "want the version"}},
		{`{"version":"7"}`, refusal{422, "version", "want the version"}},
		{"{\"mutes\":[{\"type\":\"\xff\"}]}", refusal{422, "", "not UTF-8"}},
		{`{"mutes":[{"group":"` + strings.Repeat("x", 257) + `"}]}`, refusal{422, "mutes[0].group", "1 to 256 bytes"}},
		{`{"mutes":[{"group":"` + strings.Repeat("x", 256<<10) + `"}]}`, refusal{413, "", "larger than 262144 bytes"}},
	} {
		s.refused(t, ann, "PUT /v1/preferences", test.body, test.want)
	}
	for body, want := range map[string]refusal{
		`{}`:                       {422, "", "either a type or a group"},
		`{"type":"a","group":"b"}`: {422, "", "either a type or a group"},
		`{"type":"a*"}`:            {422, "type", "the beginning of types"},
		`{"type":"a","until":"2100-01-01T00:00:00Z"}`: {422, "until", "ten years"},
		`{"type":"a","until":7}`:                      {422, "until", "want an RFC 3339 time"},
		`{"mutes":[]}`:                                {422, "mutes", "no such field"},
		`[]`:                                          {422, "", "want a JSON object"},
		``:                                            {400, "", "no valid JSON"},
	} {
		s.refused(t, ann, "POST /v1/preferences/mutes", body, want)
	}
	for query, want := range map[string]refusal{
		"":                {422, "type", "want the type or the group"},
		"?type=":          {422, "type", "want the type or the group"},
		"?type=a&group=b": {422, "group", "exclude each other"},
		"?types=a":        {422, "types", "this path takes group, hub, type"},
	} {
		s.refused(t, ann, "DELETE /v1/preferences/mutes"+query, "", want)
	}
	s.refused(t, ann, "DELETE /v1/preferences/mutes?type=a", `{"type":"a"}`, refusal{400, "", "This path takes no body"})
	if got := s.ok(t, ann, "GET /v1/preferences", ""); got.text != before {
		t.Errorf("something was changed: %s", got.text)
	}
	full := make([]string, 200)
	for i := range full {
		full[i] = fmt.Sprintf(`{"type":"t%d"}`, i)
	}
	s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[`+strings.Join(full, ",")+`]}`)
	s.refused(t, ann, "POST /v1/preferences/mutes", `{"type":"one more"}`, refusal{422, "mutes", "at most 200"})
	if got := s.ok(t, ann, "GET /v1/preferences", ""); len(got.Mutes) != 200 || !slices.ContainsFunc(got.Mutes, func(m map[string]string) bool { return m["type"] == "t199" }) {
		t.Errorf("got %d mutes", len(got.Mutes))
	}
}
