package notifications_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

func TestCompleteSetsWhatIsAbsent(t *testing.T) {
	var e notifications.Event
	e.Complete(now.Add(999*time.Microsecond).In(time.FixedZone("", 3600)), newID)
	want := notifications.Event{
		ID: "made", Type: "notification", Target: "ReceiveNotification", Severity: notifications.Info, MembersAt: notifications.Emit, CreatedAt: now,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestCompleteOfARecall(t *testing.T) {
	for _, test := range []struct{ e, want notifications.Event }{
		{notifications.Event{}, notifications.Event{Type: "notification.recalled", Target: "NotificationRecalled"}},
		{notifications.Event{Type: "a.b", Target: "T"}, notifications.Event{Type: "a.b", Target: "T"}},
	} {
		got, want := test.e, test.want
		got.Recalls = "e0"
		got.Complete(now, newID)
		want.ID, want.Recalls, want.Severity, want.MembersAt, want.CreatedAt = "made", "e0", notifications.Info, notifications.Emit, now
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
}

func TestCompleteKeepsWhatIsThere(t *testing.T) {
	want := notifications.Event{
		ID: "e1", Recipient: notifications.ToUser("ann"), Type: "a.b", Source: "s", Target: "T", Title: "t", Body: "b",
		Data: json.RawMessage(`1`), Severity: notifications.Critical, Link: "/", CollapseKey: "k", Recalls: "e0", ReplayOf: "h/1", ExpiresAt: now, NotBefore: now,
		MembersAt: notifications.Read, CreatedAt: now.Add(-time.Hour), TraceParent: traceParent, TraceState: "a=b",
		Actions: []notifications.Action{{Label: "l", Link: "/"}},
	}
	got := want
	got.Complete(now, func() string { t.Error("an id was made"); return "" })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	got.Complete(now.Add(time.Hour), newID)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("completed again (-want +got):\n%s", diff)
	}
}

func TestTraceContextIsKeptOnlyIfItIsOne(t *testing.T) {
	const version, rest = "00", "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	state := "a=b,c=d"
	for _, test := range []struct {
		name, parent, state   string
		wantParent, wantState string
	}{
		{"none", "", "", "", ""},
		{"state alone", "", state, "", ""},
		{"both", version + rest, state, version + rest, state},
		{"later version", "01" + rest, state, "01" + rest, state},
		{"later version with more", "01" + rest + "-more", "", "01" + rest + "-more", ""},
		{"later version with more that is not set off", "01" + rest + "more", state, "", ""},
		{"later version that is too long", "01" + rest + "-" + strings.Repeat("x", 100), state, "", ""},
		{"version 00 with more", version + rest + "-more", state, "", ""},
		{"version ff", "ff" + rest, state, "", ""},
		{"upper case", version + strings.ToUpper(rest), state, "", ""},
		{"too short", version + rest[:len(rest)-1], state, "", ""},
		{"no hex", version + strings.Replace(rest, "4bf", "4bg", 1), state, "", ""},
		{"other separators", version + strings.ReplaceAll(rest, "-", "_"), state, "", ""},
		{"no trace id", version + "-00000000000000000000000000000000-00f067aa0ba902b7-01", state, "", ""},
		{"no span id", version + "-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", state, "", ""},
		{"no UTF-8", version + strings.Replace(rest, "4", "\xff", 1), state, "", ""},
		{"state of 512 bytes", version + rest, strings.Repeat("s", 512), version + rest, strings.Repeat("s", 512)},
		{"state of 513 bytes", version + rest, strings.Repeat("s", 513), version + rest, ""},
		{"state with a line feed", version + rest, "a=b\nx", version + rest, ""},
	} {
		e := notifications.Event{TraceParent: test.parent, TraceState: test.state}
		e.Complete(now, newID)
		if e.TraceParent != test.wantParent || e.TraceState != test.wantState {
			t.Errorf("%s: %q, %q: got %q, %q, want %q, %q", test.name, test.parent, test.state, e.TraceParent, e.TraceState, test.wantParent, test.wantState)
		}
	}
}

func TestValidateNamesTheFieldThatIsWrong(t *testing.T) {
	actions := func(all ...notifications.Action) func(*notifications.Event) {
		return func(e *notifications.Event) { e.Actions = all }
	}
	eleven := make([]notifications.Action, 11)
	for i := range eleven {
		eleven[i] = notifications.Action{Label: "l", Method: "M"}
	}
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		change func(e *notifications.Event)
		want   string
	}{
		{"nothing", func(*notifications.Event) {}, ""},
		{"longest id", func(e *notifications.Event) { e.ID = strings.Repeat("i", 128) }, ""},
		{"long id", func(e *notifications.Event) { e.ID = strings.Repeat("i", 129) }, "id: has 129 bytes, at most 128 are allowed"},
		{"id with a line feed", func(e *notifications.Event) { e.ID = "a\nb" }, "id: holds control characters"},
		{"id that is no UTF-8", func(e *notifications.Event) { e.ID = "\xff" }, "id: holds control characters"},
		{"longest type", func(e *notifications.Event) { e.Type = strings.Repeat("t", 200) }, ""},
		{"long type", func(e *notifications.Event) { e.Type = strings.Repeat("t", 201) }, "type: has 201 bytes, at most 200 are allowed"},
		{"type with NUL", func(e *notifications.Event) { e.Type = "\x00" }, "type: holds control characters"},
		{"longest target", func(e *notifications.Event) { e.Target = strings.Repeat("t", 200) }, ""},
		{"long target", func(e *notifications.Event) { e.Target = strings.Repeat("t", 201) }, "target: has 201 bytes, at most 200 are allowed"},
		{"longest source", func(e *notifications.Event) { e.Source = strings.Repeat("s", 400) }, ""},
		{"long source", func(e *notifications.Event) { e.Source = strings.Repeat("s", 401) }, "source: has 401 bytes, at most 400 are allowed"},
		{"longest collapse key", func(e *notifications.Event) { e.CollapseKey = strings.Repeat("ä", 64) }, ""},
		{"long collapse key", func(e *notifications.Event) { e.CollapseKey = strings.Repeat("ä", 65) }, "collapseKey: has 130 bytes, at most 128 are allowed"},
		{"collapse key with DEL", func(e *notifications.Event) { e.CollapseKey = "a\x7f" }, "collapseKey: holds control characters"},
		{"longest recalled id", func(e *notifications.Event) { e.Recalls = strings.Repeat("i", 128) }, ""},
		{"long recalled id", func(e *notifications.Event) { e.Recalls = strings.Repeat("i", 129) }, "recalls: has 129 bytes, at most 128 are allowed"},
		{"recalled id with a line feed", func(e *notifications.Event) { e.Recalls = "a\nb" }, "recalls: holds control characters"},
		{"longest place of a replay", func(e *notifications.Event) { e.ReplayOf = strings.Repeat("h", 398) + "/1" }, ""},
		{"long place of a replay", func(e *notifications.Event) { e.ReplayOf = strings.Repeat("h", 399) + "/1" }, "replayOf: has 401 bytes, at most 400 are allowed"},
		{"place of a replay that is no UTF-8", func(e *notifications.Event) { e.ReplayOf = "\xff/1" }, "replayOf: holds control characters"},
		{"title of many lines", func(e *notifications.Event) { e.Title, e.Body = "a\nb", "c\td" }, ""},

		{"severity", func(e *notifications.Event) { e.Severity = "Info" }, `severity: want info, success, warning or critical, got "Info"`},
		{"no severity", func(e *notifications.Event) { e.Severity = "" }, `severity: want info, success, warning or critical, got ""`},
		{"members", func(e *notifications.Event) { e.MembersAt = "now" }, `membersAt: want emit or read, got "now"`},

		{"nobody", func(e *notifications.Event) { e.Recipient = notifications.Recipient{} }, `recipient: recipient "": want user/…, role/…, group/… or everyone`},
		{"user without a name", func(e *notifications.Event) { e.Recipient.Key = "" }, `recipient: recipient "user/" has no name after the slash`},
		{"connection", func(e *notifications.Event) { e.Recipient.Kind = notifications.Connection }, "recipient: a connection hears live messages only; emit to its user, to a role or to a group"},

		{"https", func(e *notifications.Event) { e.Link = "https://example.com/a?b#c" }, ""},
		{"http in another case", func(e *notifications.Event) { e.Link = "HTTP://example.com" }, ""},
		{"relative", func(e *notifications.Event) { e.Link = "../a:b?c=javascript:x" }, ""},
		{"javascript", func(e *notifications.Event) { e.Link = "JavaScript:alert(1)" }, "link: wants http:, https: or a relative link, got javascript:"},
		{"data", func(e *notifications.Event) { e.Link = "data:text/html,x" }, "link: wants http:, https: or a relative link, got data:"},
		{"javascript after a space", func(e *notifications.Event) { e.Link = " javascript:alert(1)" }, "link: is no URL"},
		{"javascript with a tab", func(e *notifications.Event) { e.Link = "java\tscript:alert(1)" }, "link: is no URL"},
		{"backslash", func(e *notifications.Event) { e.Link = `\\example.com` }, "link: is no URL"},
		{"broken link", func(e *notifications.Event) { e.Link = "http://[::1" }, "link: is no URL"},

		{"actions", actions(notifications.Action{Label: "a", Link: "/a"}, notifications.Action{Label: "b", Method: "B"}), ""},
		{"ten actions", actions(eleven[:10]...), ""},
		{"eleven actions", actions(eleven...), "actions: at most 10 are allowed"},
		{"no label", actions(notifications.Action{Link: "/"}), "actions[0]: has no label"},
		{"neither", actions(eleven[0], notifications.Action{Label: "x"}), "actions[1]: wants either a link or a method"},
		{"both", actions(notifications.Action{Label: "x", Link: "/", Method: "M"}), "actions[0]: wants either a link or a method"},
		{"javascript in an action", actions(notifications.Action{Label: "x", Link: "javascript:x"}), "actions[0]: wants http:, https: or a relative link, got javascript:"},

		// RFC 3339 has four digits for the year: another one could be told to
		// nobody.
		{"last year", func(e *notifications.Event) { e.ExpiresAt = late.Add(-time.Millisecond) }, ""},
		{"expires too late", func(e *notifications.Event) { e.ExpiresAt = late }, "expiresAt: wants a year of four digits"},
		{"scheduled too late", func(e *notifications.Event) { e.NotBefore = late }, "notBefore: wants a year of four digits"},
		{"created too late", func(e *notifications.Event) { e.CreatedAt = late }, "createdAt: wants a year of four digits"},
		{"created too early", func(e *notifications.Event) { e.CreatedAt = time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC) }, "createdAt: wants a year of four digits"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := notifications.Event{Recipient: notifications.ToUser("ann"), Title: "x"}
			e.Complete(now, newID)
			test.change(&e)
			got := ""
			if err := e.Validate(notifications.Limits{}); err != nil {
				got = refused(t, err)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEventThatIsAcceptedCanBeTold(t *testing.T) {
	for _, payload := range []string{
		`{"title":"x","createdAt":"9999-12-31T23:00:00Z","ttl":7200}`,
		`{"title":"x","createdAt":"9999-12-31T23:00:00-02:00"}`,
		`{"title":"x","expiresAt":"9999-12-31T23:00:00-02:00"}`,
		`{"title":"x","createdAt":"0000-01-01T00:00:00+02:00"}`,
		`{"title":"x","createdAt":"9999-12-31T23:59:59.999Z"}`,
		`{"title":"x","createdAt":"0000-01-01T00:00:00Z"}`,
	} {
		e, err := notifications.ReadEvent(message(payload, nil))
		if err != nil {
			refused(t, err)
			continue
		}
		if _, err := json.Marshal((&notifications.Entry{Event: e}).Notification(1)); err != nil {
			t.Errorf("%s was accepted, but: %v", payload, err)
		}
	}
}

func TestSizeOfAnEventIsLimited(t *testing.T) {
	const id, kind = "made", "notification" // what Complete sets
	for _, test := range []struct {
		name   string
		limit  int
		change func(e *notifications.Event, n int)
	}{
		{"title", 0, func(e *notifications.Event, n int) { e.Title = strings.Repeat("x", n) }},
		{"body", 0, func(e *notifications.Event, n int) { e.Body = strings.Repeat("x", n) }},
		{"data", 2000, func(e *notifications.Event, n int) { e.Data = json.RawMessage(strings.Repeat("1", n)) }},
		{"recalled id", 2000, func(e *notifications.Event, n int) { e.Recalls, e.Link = "e0", strings.Repeat("x", n-2) }},
		{"place of a replay", 2000, func(e *notifications.Event, n int) { e.ReplayOf, e.Link = "h/1", strings.Repeat("x", n-3) }},
		{"link", 2000, func(e *notifications.Event, n int) { e.Link = strings.Repeat("x", n) }},
		{"label", 2000, func(e *notifications.Event, n int) {
			e.Actions = []notifications.Action{{Label: strings.Repeat("x", n-2), Link: "/x"}}
		}},
		{"method", 2000, func(e *notifications.Event, n int) {
			e.Actions = []notifications.Action{{Label: "x", Method: strings.Repeat("x", n-1)}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			limit := test.limit
			if limit == 0 {
				limit = 64 << 10
			}
			for over, want := range []string{"", "has " + strconv.Itoa(limit+1) + " bytes, at most " + strconv.Itoa(limit) + " are allowed"} {
				e := notifications.Event{Recipient: notifications.ToEveryone()}
				e.Complete(now, newID)
				test.change(&e, limit-len(id)-len(kind)+over)
				got := ""
				if err := e.Validate(notifications.Limits{EventBytes: test.limit}); err != nil {
					got = refused(t, err)
				}
				if got != want {
					t.Errorf("%d bytes over %d: got %q, want %q", over, limit, got, want)
				}
			}
		})
	}
}
