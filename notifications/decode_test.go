package notifications_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestDecodeEventReadsEveryField(t *testing.T) {
	got, err := notifications.DecodeEvent([]byte(`{
		"id": "e1", "recipient": "group/g/1 x", "type": "order.shipped", "source": "shop", "target": "OnOrder",
		"title": "Shipped", "body": "It is \u00fcber", "data": {"b": 1, "a": [ ]}, "severity": "critical", "link": "/orders/1",
		"actions": [{"label": "Track", "link": "/track"}, {"label": "Hide", "method": "Hide"}], "collapseKey": "order/1",
		"recalls": "e0", "replayOf": "my hub/41", "expiresAt": "2026-01-03T00:00:00.1239+01:00", "notBefore": "2026-01-02T00:00:00Z", "membersAt": "read",
		"createdAt": "2026-01-01T00:00:00Z", "traceparent": "`+traceParent+`", "tracestate": "a=b"
	}`), now)
	if err != nil {
		t.Fatal(err)
	}
	want := notifications.Event{
		ID: "e1", Recipient: notifications.ToGroup("g/1 x"), Type: "order.shipped", Source: "shop", Target: "OnOrder",
		Title: "Shipped", Body: "It is über", Data: json.RawMessage(`{"b": 1, "a": [ ]}`), Severity: notifications.Critical, Link: "/orders/1",
		Actions:     []notifications.Action{{Label: "Track", Link: "/track"}, {Label: "Hide", Method: "Hide"}},
		CollapseKey: "order/1", Recalls: "e0", ReplayOf: "my hub/41",
		ExpiresAt: time.Date(2026, 1, 2, 23, 0, 0, 123e6, time.UTC), NotBefore: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		MembersAt: notifications.Read, CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		TraceParent: traceParent, TraceState: "a=b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestDecodeEventTakesNullForAbsent(t *testing.T) {
	got, err := notifications.DecodeEvent([]byte(`{
		"id": null, "recipient": "everyone", "type": null, "title": "x", "severity": null, "membersAt": null, "actions": null,
		"expiresAt": null, "notBefore": null, "createdAt": null, "ttl": null
	}`), now)
	want := notifications.Event{Recipient: notifications.ToEveryone(), Title: "x"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, event (-want +got):\n%s", err, diff)
	}
}

func TestDecodeEventNamesTheFieldThatIsWrong(t *testing.T) {
	const rfc3339 = "want an RFC 3339 time such as 2026-01-02T15:04:05Z, got "
	long := strings.Repeat("x", 100)
	tests := []struct{ name, payload, want string }{
		{"unknown field", `{"titel":"x"}`, `titel: no such field; did you mean "title"?`},
		{"unknown field in another case", `{"Title":"x"}`, `Title: no such field; did you mean "title"?`},
		{"field of two words", `{"collapse_key":"x"}`, `collapse_key: no such field; did you mean "collapseKey"?`},
		{"field that is nothing like another", `{"priority":"x"}`, `priority: no such field`},
		{"long unknown field", `{"` + long + `":1}`, long[:64] + `…: no such field`},
		{"field of three words", `{"expires_at":"x"}`, `expires_at: no such field; did you mean "expiresAt"?`},
		{"first of two by name", `{"zzzzzz":1,"aaaaaa":1}`, `aaaaaa: no such field`},

		{"empty", ``, "no valid JSON at byte 0: unexpected end of JSON input"},
		{"broken", `{"title":}`, "no valid JSON at byte 10: invalid character '}' looking for beginning of value"},
		{"more than one", `{} {}`, "no valid JSON at byte 4: invalid character '{' after top-level value"},
		{"array", `[]`, "want a JSON object"},
		{"string", `"x"`, "want a JSON object"},
		{"number", `1`, "want a JSON object"},
		{"null", `null`, "want a JSON object"},
		{"no UTF-8", "{\"title\":\"\xff\"}", "not UTF-8"},

		{"recipient of another kind", `{"recipient":{"kind":"user"}}`, `recipient: want a string such as "user/ann", got {"kind":"user"}`},
		{"recipient without a name", `{"recipient":"user/"}`, `recipient: recipient "user/" has no name after the slash`},
		{"recipient that is none", `{"recipient":"ann"}`, `recipient: recipient "ann": want user/…, role/…, group/… or everyone`},
		{"everyone with a name", `{"recipient":"everyone/ann"}`, `recipient: recipient everyone takes no name, got "ann"`},

		{"severity of another kind", `{"severity":1}`, "severity: want a string, got 1"},
		{"membersAt of another kind", `{"membersAt":[]}`, "membersAt: want a string, got []"},
		{"action", `{"actions":{"label":"x"}}`, `actions: want an array of {label, link or method}, got {"label":"x"}`},
		{"actions of another kind", `{"actions":["x"]}`, `actions: want an array of {label, link or method}, got ["x"]`},
		{"label of another kind", `{"actions":[{"label":1}]}`, `actions: want an array of {label, link or method}, got [{"label":1}]`},

		{"expiresAt of another kind", `{"expiresAt":1767366245}`, "expiresAt: want an RFC 3339 time, got 1767366245"},
		{"expiresAt without a zone", `{"expiresAt":"2026-01-02T15:04:05"}`, "expiresAt: " + rfc3339 + `"2026-01-02T15:04:05"`},
		{"notBefore that is no time", `{"notBefore":"tomorrow"}`, "notBefore: " + rfc3339 + `"tomorrow"`},
		{"createdAt that is a date", `{"createdAt":"2026-01-02"}`, "createdAt: " + rfc3339 + `"2026-01-02"`},
		{"createdAt of another kind", `{"createdAt":true}`, "createdAt: want an RFC 3339 time, got true"},
		{"long time", `{"createdAt":"` + long + `"}`, "createdAt: " + rfc3339 + `"` + long[:64] + `…"`},

		{"ttl of another kind", `{"ttl":"60"}`, `ttl: want a number of seconds, got "60"`},
		{"ttl of 0", `{"ttl":0}`, "ttl: want 1 to 315360000 seconds, got 0"},
		{"ttl below 1", `{"ttl":0.999}`, "ttl: want 1 to 315360000 seconds, got 0.999"},
		{"negative ttl", `{"ttl":-1}`, "ttl: want 1 to 315360000 seconds, got -1"},
		{"ttl of more than ten years", `{"ttl":315360001}`, "ttl: want 1 to 315360000 seconds, got 315360001"},
		{"ttl beyond all numbers", `{"ttl":1e999}`, "ttl: want a number of seconds, got 1e999"},
		{"ttl and expiresAt", `{"ttl":60,"expiresAt":"2026-01-03T00:00:00Z"}`, "ttl: ttl and expiresAt exclude each other"},
	}
	for _, field := range []string{"id", "type", "source", "target", "title", "body", "link", "collapseKey", "recalls", "replayOf", "traceparent", "tracestate"} {
		for _, other := range []string{`7`, `true`, `["x"]`, `{"x":1}`} {
			tests = append(tests, struct{ name, payload, want string }{
				field + " of another kind", `{"` + field + `":` + other + `}`, field + ": want a string, got " + other,
			})
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := notifications.DecodeEvent([]byte(test.payload), now)
			if text := refused(t, err); text != test.want {
				t.Errorf("%s:\n got %q\nwant %q", test.payload, text, test.want)
			}
			if diff := cmp.Diff(notifications.Event{}, got); diff != "" {
				t.Errorf("%s: an event came with the error (-want +got):\n%s", test.payload, diff)
			}
		})
	}
}

func TestTTLCountsFromTheCreation(t *testing.T) {
	created := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		payload                   string
		wantCreated, wantExpiring time.Time
	}{
		{`{"ttl":60}`, now, now.Add(time.Minute)},
		{`{"ttl":60,"expiresAt":null}`, now, now.Add(time.Minute)},
		{`{"ttl":1.5}`, now, now.Add(1500 * time.Millisecond)},
		{`{"ttl":1.0004}`, now, now.Add(time.Second)}, // times have milliseconds
		{`{"ttl":60,"createdAt":"2026-01-02T00:00:00Z"}`, created, created.Add(time.Minute)},
		{`{"createdAt":"2026-01-02T00:00:00Z","ttl":315360000}`, created, created.Add(315360000 * time.Second)},
		{`{"ttl":null,"createdAt":"2026-01-02T01:00:00+01:00"}`, created, time.Time{}},
		{`{"expiresAt":"2026-01-02T00:00:00Z"}`, time.Time{}, created},
	} {
		got, err := notifications.DecodeEvent([]byte(test.payload), now.Add(999*time.Microsecond).In(time.FixedZone("", 3600)))
		if err != nil {
			t.Errorf("%s: %v", test.payload, err)
		}
		if !got.CreatedAt.Equal(test.wantCreated) || !got.ExpiresAt.Equal(test.wantExpiring) {
			t.Errorf("%s: created %v and expiring %v, want %v and %v", test.payload, got.CreatedAt, got.ExpiresAt, test.wantCreated, test.wantExpiring)
		}
	}
}
