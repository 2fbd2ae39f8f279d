package notifications_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

// cloudEvent is what every test of this file begins with.
var cloudEvent = notifications.Event{
	ID: "c1", Source: "/shop", Type: "order.shipped", CreatedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
}

// structured is a CloudEvent in JSON with some fields changed; "" takes one
// away.
func structured(changes map[string]string) []byte {
	fields := map[string]json.RawMessage{}
	for _, all := range []map[string]string{
		{"specversion": `"1.0"`, "id": `"c1"`, "source": `"/shop"`, "type": `"order.shipped"`, "time": `"2026-01-02T00:00:00Z"`}, changes,
	} {
		for name, text := range all {
			fields[name] = json.RawMessage(text)
			if text == "" {
				delete(fields, name)
			}
		}
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return payload
}

// binaryHeaders are the headers of a CloudEvent with some changed.
func binaryHeaders(changes map[string]string) map[string]string {
	header := map[string]string{
		"ce-specversion": "1.0", "ce-id": "c1", "ce-source": "/shop", "ce-type": "order.shipped", "ce-time": "2026-01-02T00:00:00Z",
	}
	maps.Copy(header, changes)
	return header
}

func TestStructuredCloudEventIsAnEvent(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes map[string]string
		want    func(e *notifications.Event)
	}{
		{"attributes only", nil, func(*notifications.Event) {}},
		{"version 1.1", map[string]string{"specversion": `"1.1"`}, func(*notifications.Event) {}},
		{"no time", map[string]string{"time": ""}, func(e *notifications.Event) { e.CreatedAt = time.Time{} }},
		{"attributes that are not ours", map[string]string{"subject": `"x"`, "dataschema": `"x"`, "ours": `1`}, func(*notifications.Event) {}},
		{"JSON data", map[string]string{"data": `{"order":1}`}, func(e *notifications.Event) { e.Data = json.RawMessage(`{"order":1}`) }},
		{"text", map[string]string{"data": `"hello"`, "datacontenttype": `"text/plain"`}, func(e *notifications.Event) { e.Data = json.RawMessage(`"hello"`) }},
		{"JSON in base64", map[string]string{"data_base64": `"eyJvcmRlciI6MX0="`}, func(e *notifications.Event) { e.Data = json.RawMessage(`{"order":1}`) }},
		{"text in base64", map[string]string{"data_base64": `"aGVsbG8="`}, func(e *notifications.Event) { e.Data = json.RawMessage(`"hello"`) }},
		{"bytes in base64", map[string]string{"data_base64": `"/wA="`}, func(e *notifications.Event) { e.Data = json.RawMessage(`"/wA="`) }},
		{"nothing in base64", map[string]string{"data_base64": `""`}, func(*notifications.Event) {}},
		{
			"extensions",
			map[string]string{
				"recipient": `"role/ops"`, "target": `"OnOrder"`, "title": `"Shipped"`, "body": `"On its way"`, "severity": `"success"`, "link": `"/1"`,
				"traceparent": `"` + traceParent + `"`, "tracestate": `"a=b"`, "collapsekey": `"order/1"`, "recalls": `"c0"`, "notbefore": `"2026-01-01T00:00:00Z"`,
				"expiresat": `"2026-01-03T00:00:00Z"`, "membersat": `"read"`,
			},
			func(e *notifications.Event) {
				e.Recipient, e.Target, e.Title, e.Body, e.Severity = notifications.ToRole("ops"), "OnOrder", "Shipped", "On its way", notifications.Success
				e.Link, e.TraceParent, e.TraceState, e.CollapseKey, e.MembersAt = "/1", traceParent, "a=b", "order/1", notifications.Read
				e.Recalls = "c0"
				e.NotBefore, e.ExpiresAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
			},
		},
		{"extensions in our own case", map[string]string{"collapseKey": `"x"`, "expiresAt": `"x"`}, func(*notifications.Event) {}},
		{"ttl", map[string]string{"ttl": `60`}, func(e *notifications.Event) { e.ExpiresAt = e.CreatedAt.Add(time.Minute) }},
		{"ttl as text", map[string]string{"ttl": `"60"`}, func(e *notifications.Event) { e.ExpiresAt = e.CreatedAt.Add(time.Minute) }},
		{"ttl without a time", map[string]string{"ttl": `60`, "time": ""}, func(e *notifications.Event) {
			e.CreatedAt, e.ExpiresAt = now, now.Add(time.Minute)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			payload, want := structured(test.changes), cloudEvent
			test.want(&want)
			got, err := notifications.DecodeEvent(payload, now)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: error %v, event (-want +got):\n%s", payload, err, diff)
			}
			got, err = notifications.ReadEvent(message(string(payload), nil))
			if diff := cmp.Diff(complete(want), got); diff != "" || err != nil {
				t.Errorf("from the log, %s: error %v, event (-want +got):\n%s", payload, err, diff)
			}
		})
	}
}

func TestBrokenCloudEventIsRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes map[string]string
		want    string
	}{
		{"no id", map[string]string{"id": ""}, "id: a CloudEvent needs this attribute"},
		{"no source", map[string]string{"source": ""}, "source: a CloudEvent needs this attribute"},
		{"no type", map[string]string{"type": ""}, "type: a CloudEvent needs this attribute"},
		{"id of another kind", map[string]string{"id": `1`}, "id: want a string, got 1"},
		{"version of another kind", map[string]string{"specversion": `1.0`}, "specversion: want a string, got 1.0"},
		{"old version", map[string]string{"specversion": `"0.3"`}, `specversion: want 1.0, got "0.3"`},
		{"time of another kind", map[string]string{"time": `1`}, "time: want an RFC 3339 time, got 1"},
		{"time that is none", map[string]string{"time": `"now"`}, `time: want an RFC 3339 time such as 2026-01-02T15:04:05Z, got "now"`},
		{"no base64", map[string]string{"data_base64": `"ö"`}, `data_base64: want a base64 string, got "ö"`},
		{"base64 of another kind", map[string]string{"data_base64": `{}`}, `data_base64: want a base64 string, got {}`},
		{"title of another kind", map[string]string{"title": `1`}, "title: want a string, got 1"},
		{"ttl that is none", map[string]string{"ttl": `"soon"`}, "ttl: want a number of seconds, got soon"},
		{"empty ttl", map[string]string{"ttl": `""`}, "ttl: want a number of seconds, got "},
		{"ttl and expiresat", map[string]string{"ttl": `1`, "expiresat": `"2026-01-03T00:00:00Z"`}, "ttl: ttl and expiresAt exclude each other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			payload := structured(test.changes)
			_, err := notifications.DecodeEvent(payload, now)
			if got := refused(t, err); got != test.want {
				t.Errorf("%s: got %q, want %q", payload, got, test.want)
			}
			_, err = notifications.ReadEvent(message(string(payload), nil))
			if got := refused(t, err); got != test.want {
				t.Errorf("from the log, %s: got %q, want %q", payload, got, test.want)
			}
		})
	}
}

func TestBinaryCloudEventIsAnEvent(t *testing.T) {
	for _, test := range []struct {
		name    string
		header  map[string]string
		payload string
		want    func(e *notifications.Event)
	}{
		{"no data", nil, "", func(*notifications.Event) {}},
		{"JSON", map[string]string{"Content-Type": "application/json; charset=utf-8"}, `{"order":1}`, func(e *notifications.Event) { e.Data = json.RawMessage(`{"order":1}`) }},
		{"JSON of a kind", map[string]string{"content-type": "application/vnd.order+json"}, `7`, func(e *notifications.Event) { e.Data = json.RawMessage(`7`) }},
		{"JSON of no kind", nil, `7`, func(e *notifications.Event) { e.Data = json.RawMessage(`7`) }},
		{"text", map[string]string{"Content-Type": "text/plain"}, `7 "x"`, func(e *notifications.Event) { e.Data = json.RawMessage(`"7 \"x\""`) }},
		{"text that looks like JSON", map[string]string{"Content-Type": "text/plain"}, `7`, func(e *notifications.Event) { e.Data = json.RawMessage(`"7"`) }},
		{"text that should be JSON", map[string]string{"Content-Type": "application/json"}, `{`, func(e *notifications.Event) { e.Data = json.RawMessage(`"{"`) }},
		{"bytes", map[string]string{"Content-Type": "image/png"}, "\xff\x00", func(e *notifications.Event) { e.Data = json.RawMessage(`"/wA="`) }},
		{"bytes in JSON", nil, "\"\xff\"", func(e *notifications.Event) { e.Data = json.RawMessage(`"Iv8i"`) }},
		{"extensions", map[string]string{"CE-Title": `"quoted"`, "ce-ttl": "60", "Ce-Severity": "warning", "ce-membersat": "read", "ce-other": "x"}, "", func(e *notifications.Event) {
			e.Title, e.Severity, e.MembersAt, e.ExpiresAt = "quoted", notifications.Warning, notifications.Read, e.CreatedAt.Add(time.Minute)
		}},
		{"encoded values", map[string]string{"ce-title": "Gr%C3%BC%C3%9Fe%20100%", "ce-body": `"a \\ and a \" and %22"`}, "", func(e *notifications.Event) {
			e.Title, e.Body = "Grüße 100%", `a \ and a " and "`
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			header, want := binaryHeaders(test.header), cloudEvent
			test.want(&want)
			got, err := notifications.DecodeBinaryCloudEvent(headers(header), []byte(test.payload), now)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v %q: error %v, event (-want +got):\n%s", header, test.payload, err, diff)
			}
			got, err = notifications.ReadEvent(message(test.payload, header))
			if diff := cmp.Diff(complete(want), got); diff != "" || err != nil {
				t.Errorf("from the log, %v %q: error %v, event (-want +got):\n%s", header, test.payload, err, diff)
			}
		})
	}
}

func TestBinaryCloudEventNamesTheAttributeThatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name, header, value string
		want                string
	}{
		{"no id", "ce-id", "", "id: a CloudEvent needs this attribute"},
		{"no version", "ce-specversion", "", "specversion: a CloudEvent needs this attribute"},
		{"old version", "ce-specversion", "0.2", `specversion: want 1.0, got "0.2"`},
		{"time that is none", "ce-time", "now", `time: want an RFC 3339 time such as 2026-01-02T15:04:05Z, got "now"`},
		{"ttl that is none", "ce-ttl", "soon", "ttl: want a number of seconds, got soon"},
		{"recipient that is none", "ce-recipient", "ann", `recipient: recipient "ann": want user/…, role/…, group/… or everyone`},
		{"no UTF-8", "ce-title", "\xff", "title: not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := binaryHeaders(map[string]string{test.header: test.value})
			_, err := notifications.DecodeBinaryCloudEvent(headers(header), []byte(`1`), now)
			if got := refused(t, err); got != test.want {
				t.Errorf("%s: %q: got %q, want %q", test.header, test.value, got, test.want)
			}
		})
	}
}
