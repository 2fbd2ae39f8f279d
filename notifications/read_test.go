package notifications_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

// headers finds a header whatever the case of its name.
func headers(all map[string]string) func(string) string {
	return func(name string) string {
		for key, value := range all {
			if strings.EqualFold(key, name) {
				return value
			}
		}
		return ""
	}
}

// message is one of the log for ann.
func message(payload string, header map[string]string) notifications.Stored {
	return notifications.Stored{
		Recipient: notifications.ToUser("ann"), Header: headers(header), Payload: []byte(payload), At: now, ID: "log-1",
	}
}

// complete is an event for ann with all that message gives one.
func complete(e notifications.Event) notifications.Event {
	e.Recipient = notifications.ToUser("ann")
	e.Complete(now, func() string { return "log-1" })
	return e
}

func TestAnyJSONIsAnEvent(t *testing.T) {
	data := func(text string) notifications.Event { return notifications.Event{Data: json.RawMessage(text)} }
	for _, test := range []struct {
		name, payload string
		want          notifications.Event
	}{
		{"string", `"hello"`, data(`"hello"`)},
		{"number", `7`, data(`7`)},
		{"null", `null`, data(`null`)},
		{"array", `[{"title":"x"}]`, data(`[{"title":"x"}]`)},
		{"empty object", `{}`, data(`{}`)},
		{"object of another kind", ` {"order": 1} `, data(` {"order": 1} `)},
		{"object with some names of ours", `{"id":1,"type":"x","price":2}`, data(`{"id":1,"type":"x","price":2}`)},
		{"object with a name in another case", `{"Title":"x"}`, data(`{"Title":"x"}`)},
		{"names of ours only", `{"type":"x","severity":"warning"}`, notifications.Event{Type: "x", Severity: notifications.Warning}},
		{"title", `{"title":"x"}`, notifications.Event{Title: "x"}},
		{"body", `{"body":"x"}`, notifications.Event{Body: "x"}},
		{"data", `{"data":{"order":1}}`, data(`{"order":1}`)},
		{"data that is null", `{"data":null}`, data(`null`)},
		{"title with names of a newer emitter", `{"title":"x","mood":"good"}`, notifications.Event{Title: "x"}},
		{"body with names of a newer emitter", `{"body":"x","Title":"y"}`, notifications.Event{Body: "x"}},
		{"data with names of a newer emitter", `{"data":1,"mood":{}}`, data(`1`)},
		{"id", `{"id":"e1","title":"x"}`, notifications.Event{ID: "e1", Title: "x"}},
		{"recipient, which the place says", `{"recipient":"user/bob","title":"x"}`, notifications.Event{Title: "x"}},
		{"recipient of another kind, which the place says", `{"recipient":7}`, notifications.Event{}},
		{"ttl", `{"title":"x","ttl":60}`, notifications.Event{Title: "x", ExpiresAt: now.Add(time.Minute)}},
		{"recall", `{"recalls":"e0"}`, notifications.Event{Recalls: "e0"}},
		{"recall with data", `{"recalls":"e0","data":1}`, notifications.Event{Recalls: "e0", Data: json.RawMessage(`1`)}},
		{"replay", `{"title":"x","replayOf":"h/1"}`, notifications.Event{Title: "x", ReplayOf: "h/1"}},
		{"its time has come", `{"title":"x","notBefore":"2026-01-02T15:04:05.678Z"}`, notifications.Event{Title: "x", NotBefore: now}},
		{"by another clock", `{"title":"x","notBefore":"2026-01-02T15:05:05.678Z"}`, notifications.Event{Title: "x", NotBefore: now.Add(time.Minute)}},
		{"expired", `{"title":"x","expiresAt":"2026-01-01T00:00:00Z"}`, notifications.Event{Title: "x", ExpiresAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"trace context that is none", `{"title":"x","traceparent":"00-x","tracestate":"a=b"}`, notifications.Event{Title: "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := notifications.ReadEvent(message(test.payload, nil))
			if diff := cmp.Diff(complete(test.want), got); diff != "" || err != nil {
				t.Errorf("%s: error %v, event (-want +got):\n%s", test.payload, err, diff)
			}
		})
	}
}

func TestWhatCannotBeReadIsRejected(t *testing.T) {
	large := strings.Repeat("x", notifications.DefaultEventBytes)
	for _, test := range []struct {
		name    string
		message notifications.Stored
		want    string
	}{
		{"empty", message("", nil), "empty"},
		{"no UTF-8", message("\"\xff\"", nil), "not UTF-8"},
		{"broken", message(`{"title":"x"`, nil), "no valid JSON at byte 12: unexpected end of JSON input"},
		{"text", message(`hello`, nil), "no valid JSON at byte 1: invalid character 'h' looking for beginning of value"},
		{"field of another kind", message(`{"title":7}`, nil), "title: want a string, got 7"},
		{"fields of ours only, one of another kind", message(`{"id":7}`, nil), "id: want a string, got 7"},
		{"time that is none", message(`{"title":"x","createdAt":"now"}`, nil), `createdAt: want an RFC 3339 time such as 2026-01-02T15:04:05Z, got "now"`},
		{"ttl and expiresAt", message(`{"title":"x","ttl":1,"expiresAt":"2026-01-03T00:00:00Z"}`, nil), "ttl: ttl and expiresAt exclude each other"},
		{"severity that is none", message(`{"title":"x","severity":"loud"}`, nil), `severity: want info, success, warning or critical, got "loud"`},
		{"link that is none", message(`{"title":"x","link":"javascript:alert(1)"}`, nil), "link: wants http:, https: or a relative link, got javascript:"},
		{"before its time", message(`{"title":"x","notBefore":"2026-01-02T15:05:05.679Z"}`, nil), "notBefore: scheduled events are sent through the HTTP API or a hub, not to the log"},
		{"too large", message(`"`+large+`"`, nil), "has 65555 bytes, at most 65536 are allowed"},
		{"for a connection", notifications.Stored{
			Recipient: notifications.Recipient{Kind: notifications.Connection, Key: "c1"}, Header: headers(nil), Payload: []byte("1"), At: now, ID: "log-1",
		}, "recipient: a connection hears live messages only; emit to its user, to a role or to a group"},
		{"for nobody", notifications.Stored{Header: headers(nil), Payload: []byte("1"), At: now, ID: "log-1"}, `recipient: recipient "": want user/…, role/…, group/… or everyone`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := notifications.ReadEvent(test.message)
			if text := refused(t, err); text != test.want {
				t.Errorf("%.80s:\n got %q\nwant %q", test.message.Payload, text, test.want)
			}
			if diff := cmp.Diff(notifications.Event{}, got); diff != "" {
				t.Errorf("%.80s: an event came with the error (-want +got):\n%s", test.message.Payload, diff)
			}
		})
	}
}

func TestConfiguredSizeIsTheOneThatIsRead(t *testing.T) {
	payload := `{"body":"` + strings.Repeat("x", 100<<10) + `"}`
	for _, test := range []struct {
		limit int
		want  string
	}{
		{0, "has 102417 bytes, at most 65536 are allowed"},
		{200 << 10, ""},
		{1 << 10, "has 102417 bytes, at most 1024 are allowed"},
	} {
		m := message(payload, nil)
		m.Limits.EventBytes = test.limit
		_, err := notifications.ReadEvent(m)
		got := ""
		if err != nil {
			got = refused(t, err)
		}
		if got != test.want {
			t.Errorf("limit %d: got %q, want %q", test.limit, got, test.want)
		}
	}
}

func TestTraceContextComesFromTheEventOrElseFromTheHeaders(t *testing.T) {
	const other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	inHeaders := map[string]string{"Traceparent": other, "tracestate": "c=d"}
	for _, test := range []struct {
		name, payload         string
		header                map[string]string
		wantParent, wantState string
	}{
		{"none", `1`, nil, "", ""},
		{"headers", `1`, inHeaders, other, "c=d"},
		{"event", `{"title":"x","traceparent":"` + traceParent + `","tracestate":"a=b"}`, nil, traceParent, "a=b"},
		{"both", `{"title":"x","traceparent":"` + traceParent + `"}`, inHeaders, traceParent, ""},
		{"headers that are none", `1`, map[string]string{"traceparent": "x", "tracestate": "c=d"}, "", ""},
	} {
		got, err := notifications.ReadEvent(message(test.payload, test.header))
		if err != nil || got.TraceParent != test.wantParent || got.TraceState != test.wantState {
			t.Errorf("%s: got %q and %q, error %v, want %q and %q", test.name, got.TraceParent, got.TraceState, err, test.wantParent, test.wantState)
		}
	}
}

func TestEventOfTheLogKeepsItsOwnIDAndTime(t *testing.T) {
	got, err := notifications.ReadEvent(message(`{"id":"e1","title":"x","createdAt":"2026-01-01T00:00:00Z"}`, nil))
	if err != nil || got.ID != "e1" || !got.CreatedAt.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got id %q, created %v, error %v", got.ID, got.CreatedAt, err)
	}
	got, err = notifications.ReadEvent(message(`{"title":"x"}`, nil))
	if err != nil || got.ID != "log-1" || !got.CreatedAt.Equal(now) {
		t.Errorf("without its own: got id %q, created %v, error %v, want those of the log", got.ID, got.CreatedAt, err)
	}
}
