package notifications_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
)

// night is quiet from 22:00 to 07:00.
func night(zone string, days ...string) *notifications.QuietHours {
	return &notifications.QuietHours{From: "22:00", To: "07:00", Zone: zone, Days: days}
}

// instant is a time of RFC 3339.
func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestMutedEventRaisesNoAlert(t *testing.T) {
	mutes := func(all ...notifications.Mute) notifications.Preferences {
		return notifications.Preferences{Mutes: all}
	}
	shipped := notifications.Event{Type: "order.shipped", Recipient: notifications.ToGroup("ops"), Severity: notifications.Warning}
	critical := shipped
	critical.Severity = notifications.Critical
	toUser := shipped
	toUser.Recipient = notifications.ToUser("ops")
	for _, test := range []struct {
		name        string
		preferences notifications.Preferences
		event       notifications.Event
		want        string
	}{
		{"nothing", notifications.Preferences{}, shipped, ""},
		{"the type", mutes(notifications.Mute{Type: "order.shipped"}), shipped, "type order.shipped"},
		{"another type", mutes(notifications.Mute{Type: "order.paid"}), shipped, ""},
		{"the beginning of the type, without a star", mutes(notifications.Mute{Type: "order."}), shipped, ""},
		{"more than the type", mutes(notifications.Mute{Type: "order.shipped.late"}), shipped, ""},
		{"the type in another case", mutes(notifications.Mute{Type: "Order.shipped"}), shipped, ""},
		{"types that begin like it", mutes(notifications.Mute{Type: "order.*"}), shipped, "type order.*"},
		{"types that begin with more", mutes(notifications.Mute{Type: "order.shipped.*"}), shipped, ""},
		{"types that begin with a part of its part", mutes(notifications.Mute{Type: "ord.*"}), shipped, ""},
		{"every type", mutes(notifications.Mute{Type: "*"}), shipped, "type *"},
		{"every type, for an event without", mutes(notifications.Mute{Type: "*"}), notifications.Event{}, "type *"},
		{"types below its own", mutes(notifications.Mute{Type: "order.*"}), notifications.Event{Type: "order"}, ""},
		{"types that begin with the same letters", mutes(notifications.Mute{Type: "order.*"}), notifications.Event{Type: "orders.new"}, ""},
		{"the group", mutes(notifications.Mute{Group: "ops"}), shipped, "group ops"},
		{"another group", mutes(notifications.Mute{Group: "op"}), shipped, ""},
		{"a group of the name of the user", mutes(notifications.Mute{Group: "ops"}), toUser, ""},
		{"a group with a star", mutes(notifications.Mute{Group: "*"}), shipped, ""},
		{"the second of two", mutes(notifications.Mute{Group: "dev"}, notifications.Mute{Type: "order.*"}), shipped, "type order.*"},
		{"two, of which the first is named", mutes(notifications.Mute{Group: "ops"}, notifications.Mute{Type: "*"}), shipped, "group ops"},
		{"until later", mutes(notifications.Mute{Type: "*", Until: now.Add(time.Millisecond)}), shipped, "type *"},
		{"until now", mutes(notifications.Mute{Type: "*", Until: now}), shipped, ""},
		{"until before", mutes(notifications.Mute{Type: "*", Until: now.Add(-time.Hour)}), shipped, ""},
		{"until before, and until later", mutes(notifications.Mute{Type: "*", Until: now}, notifications.Mute{Group: "ops", Until: now.Add(time.Hour)}), shipped, "group ops"},
		{"critical of a muted type", mutes(notifications.Mute{Type: "*"}), critical, ""},
		{"critical to a muted group", mutes(notifications.Mute{Group: "ops"}), critical, ""},
		{"critical in quiet hours", notifications.Preferences{QuietHours: &notifications.QuietHours{From: "15:00", To: "16:00", Zone: "UTC"}}, critical, ""},
		{"quiet hours", notifications.Preferences{QuietHours: &notifications.QuietHours{From: "15:00", To: "16:00", Zone: "UTC"}}, shipped, "quiet hours"},
		{"muted in quiet hours", notifications.Preferences{
			Mutes: []notifications.Mute{{Group: "ops"}}, QuietHours: &notifications.QuietHours{From: "15:00", To: "16:00", Zone: "UTC"},
		}, shipped, "group ops"},
		{"muted no longer, in quiet hours", notifications.Preferences{
			Mutes: []notifications.Mute{{Group: "ops", Until: now}}, QuietHours: &notifications.QuietHours{From: "15:00", To: "16:00", Zone: "UTC"},
		}, shipped, "quiet hours"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.preferences.Silences(&test.event, now); got != test.want {
				t.Errorf("%s silences %s %q at %v: got %q, want %q", text(t, test.preferences), test.event.Recipient, test.event.Type, now, got, test.want)
			}
		})
	}
}

func TestQuietHoursAreThoseOfTheClockInTheZone(t *testing.T) {
	hours := func(from, to, zone string, days ...string) *notifications.QuietHours {
		return &notifications.QuietHours{From: from, To: to, Zone: zone, Days: days}
	}
	const berlin, newYork, kathmandu = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"
	for _, test := range []struct {
		name  string
		quiet *notifications.QuietHours
		at    map[string]bool // whether it is quiet then
	}{
		{"within a day", hours("12:00", "13:30", "UTC"), map[string]bool{
			"2026-01-02T11:59:59.999Z": false, "2026-01-02T12:00:00Z": true, "2026-01-02T13:29:59.999Z": true, "2026-01-02T13:30:00Z": false, "2026-01-02T00:00:00Z": false,
		}},
		{"over midnight", night("UTC"), map[string]bool{
			"2026-01-02T21:59:59Z": false, "2026-01-02T22:00:00Z": true, "2026-01-02T23:59:59Z": true, "2026-01-03T00:00:00Z": true, "2026-01-03T06:59:59.999Z": true,
			"2026-01-03T07:00:00Z": false, "2026-01-03T12:00:00Z": false,
		}},
		{"until midnight", hours("22:00", "00:00", "UTC"), map[string]bool{
			"2026-01-02T21:59:59Z": false, "2026-01-02T22:00:00Z": true, "2026-01-02T23:59:59Z": true, "2026-01-03T00:00:00Z": false,
		}},
		{"from midnight", hours("00:00", "07:00", "UTC"), map[string]bool{
			"2026-01-02T23:59:59Z": false, "2026-01-03T00:00:00Z": true, "2026-01-03T06:59:00Z": true, "2026-01-03T07:00:00Z": false,
		}},
		{"the event told in another zone", hours("12:00", "13:00", "UTC"), map[string]bool{
			"2026-01-02T12:30:00+02:00": false, "2026-01-02T14:30:00+02:00": true, "2026-01-01T23:30:00-13:00": true,
		}},
		// 2026-01-02 is a Friday.
		{"on some days", hours("12:00", "13:00", "UTC", "fri", "sun"), map[string]bool{
			"2026-01-01T12:30:00Z": false, "2026-01-02T12:30:00Z": true, "2026-01-03T12:30:00Z": false, "2026-01-04T12:30:00Z": true, "2026-01-05T12:30:00Z": false,
		}},
		{"begun on some days", night("UTC", "fri"), map[string]bool{
			"2026-01-02T03:00:00Z": false, "2026-01-02T23:00:00Z": true, "2026-01-03T03:00:00Z": true, "2026-01-03T23:00:00Z": false, "2026-01-04T03:00:00Z": false,
		}},
		{"begun on Saturday, into Sunday, the first of the week", night("UTC", "sat"), map[string]bool{
			"2026-01-03T03:00:00Z": false, "2026-01-03T23:00:00Z": true, "2026-01-04T03:00:00Z": true, "2026-01-04T23:00:00Z": false, "2026-01-05T03:00:00Z": false,
		}},
		{"begun on Sunday, into Monday", night("UTC", "sun"), map[string]bool{
			"2026-01-04T03:00:00Z": false, "2026-01-04T23:00:00Z": true, "2026-01-05T03:00:00Z": true, "2026-01-05T23:00:00Z": false,
		}},
		{"begun on all days", night("UTC", "mon", "tue", "wed", "thu", "fri", "sat", "sun"), map[string]bool{
			"2026-01-04T03:00:00Z": true, "2026-01-04T23:00:00Z": true, "2026-01-05T12:00:00Z": false,
		}},
		{"the day is that of the zone", hours("00:00", "02:00", berlin, "sat"), map[string]bool{
			"2026-01-02T22:59:00Z": false, "2026-01-02T23:00:00Z": true, "2026-01-03T00:59:00Z": true, "2026-01-03T01:00:00Z": false, "2026-01-03T23:30:00Z": false,
		}},
		{"the day before is that of the zone", night(newYork, "thu"), map[string]bool{ // UTC-5: 03:00 to 12:00 on Friday
			"2026-01-02T02:59:00Z": false, "2026-01-02T03:00:00Z": true, "2026-01-02T11:59:00Z": true, "2026-01-02T12:00:00Z": false, "2026-01-03T04:00:00Z": false,
		}},
		{"winter in Berlin", night(berlin), map[string]bool{
			"2026-01-02T20:59:00Z": false, "2026-01-02T21:00:00Z": true, "2026-01-03T05:59:00Z": true, "2026-01-03T06:00:00Z": false,
		}},
		{"summer in Berlin", night(berlin), map[string]bool{
			"2026-07-02T19:59:00Z": false, "2026-07-02T20:00:00Z": true, "2026-07-03T04:59:00Z": true, "2026-07-03T05:00:00Z": false,
		}},
		// The clock goes from 02:00 to 03:00 at 01:00Z.
		{"the night that loses an hour in Berlin", night(berlin, "sat"), map[string]bool{
			"2026-03-28T20:59:00Z": false, "2026-03-28T21:00:00Z": true, "2026-03-29T00:59:59Z": true, "2026-03-29T01:00:00Z": true, "2026-03-29T04:59:59Z": true,
			"2026-03-29T05:00:00Z": false, "2026-03-29T20:00:00Z": false, "2026-03-28T06:00:00Z": false,
		}},
		{"hours that begin in the one that is lost", hours("02:30", "04:00", berlin), map[string]bool{
			"2026-03-29T00:59:59Z": false, "2026-03-29T01:00:00Z": true, "2026-03-29T01:59:59Z": true, "2026-03-29T02:00:00Z": false,
		}},
		{"hours that are all lost", hours("02:15", "02:45", berlin), map[string]bool{
			"2026-03-28T01:30:00Z": true, "2026-03-29T00:30:00Z": false, "2026-03-29T01:00:00Z": false, "2026-03-29T01:30:00Z": false, "2026-03-30T00:30:00Z": true,
		}},
		// The clock goes from 03:00 back to 02:00 at 01:00Z.
		{"the night that gains an hour in Berlin", night(berlin, "sat"), map[string]bool{
			"2026-10-24T19:59:00Z": false, "2026-10-24T20:00:00Z": true, "2026-10-25T00:30:00Z": true, "2026-10-25T01:30:00Z": true, "2026-10-25T05:59:59Z": true,
			"2026-10-25T06:00:00Z": false,
		}},
		{"hours that come twice", hours("02:15", "02:45", berlin), map[string]bool{
			"2026-10-25T00:14:00Z": false, "2026-10-25T00:30:00Z": true, "2026-10-25T00:45:00Z": false, "2026-10-25T01:14:00Z": false, "2026-10-25T01:30:00Z": true,
			"2026-10-25T01:45:00Z": false,
		}},
		// The clock goes from 02:00 to 03:00 at 07:00Z.
		{"the night that loses an hour in New York", night(newYork, "sat"), map[string]bool{
			"2026-03-08T02:59:00Z": false, "2026-03-08T03:00:00Z": true, "2026-03-08T06:59:59Z": true, "2026-03-08T07:00:00Z": true, "2026-03-08T10:59:59Z": true,
			"2026-03-08T11:00:00Z": false, "2026-03-09T02:00:00Z": false,
		}},
		// The clock goes from 02:00 back to 01:00 at 06:00Z.
		{"the night that gains an hour in New York", night(newYork, "sat"), map[string]bool{
			"2026-11-01T01:59:00Z": false, "2026-11-01T02:00:00Z": true, "2026-11-01T05:30:00Z": true, "2026-11-01T06:30:00Z": true, "2026-11-01T11:59:59Z": true,
			"2026-11-01T12:00:00Z": false,
		}},
		{"a zone that is 45 minutes off", night(kathmandu), map[string]bool{ // 16:15Z to 01:15Z
			"2026-01-02T16:14:59Z": false, "2026-01-02T16:15:00Z": true, "2026-01-03T01:14:59Z": true, "2026-01-03T01:15:00Z": false,
		}},
		{"the day of a zone that is 45 minutes off", hours("00:00", "01:00", kathmandu, "sat"), map[string]bool{
			"2026-01-02T18:14:59Z": false, "2026-01-02T18:15:00Z": true, "2026-01-02T19:14:59Z": true, "2026-01-02T19:15:00Z": false, "2026-01-03T18:15:00Z": false,
		}},
		{"no quiet hours", nil, map[string]bool{"2026-01-02T03:00:00Z": false}},
		// They were checked when they were set, maybe by another version.
		{"a zone that is none", night("Mars/Olympus"), map[string]bool{"2026-01-02T03:00:00Z": false}},
		{"the zone of the machine", night("Local"), map[string]bool{"2026-01-02T03:00:00Z": false, "2026-01-02T12:00:00Z": false}},
		{"a beginning that is none", hours("", "07:00", "UTC"), map[string]bool{"2026-01-02T03:00:00Z": false}},
		{"an end that is none", hours("22:00", "24:00", "UTC"), map[string]bool{"2026-01-02T23:00:00Z": false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := notifications.Preferences{Mutes: []notifications.Mute{{Group: "none"}}, QuietHours: test.quiet}
			for at, quiet := range test.at {
				want := ""
				if quiet {
					want = "quiet hours"
				}
				if got := p.Silences(&notifications.Event{Type: "t"}, instant(t, at)); got != want {
					t.Errorf("%s silences an event at %s: got %q, want %q", text(t, p), at, got, want)
				}
			}
		})
	}
}

func TestPreferencesAreRead(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, test := range []struct {
		name, document string
		want           notifications.Preferences
	}{
		{"nothing", `{}`, notifications.Preferences{}},
		{"space around", " \n{ }\t\r\n", notifications.Preferences{}},
		{"null fields", `{"mutes":null,"quietHours":null}`, notifications.Preferences{}},
		{"no mutes", `{"mutes":[]}`, notifications.Preferences{}},
		{"mutes", `{"mutes":[{"type":"order.shipped"},{"type":"order.*"},{"type":"*"},{"group":"g/1 x"}]}`, notifications.Preferences{
			Mutes: []notifications.Mute{{Type: "order.shipped"}, {Type: "order.*"}, {Type: "*"}, {Group: "g/1 x"}},
		}},
		{"null fields of a mute", `{"mutes":[{"type":"a","group":null,"until":null}]}`, notifications.Preferences{Mutes: []notifications.Mute{{Type: "a"}}}},
		{"empty fields of a mute", `{"mutes":[{"type":"","group":"a","until":""}]}`, notifications.Preferences{Mutes: []notifications.Mute{{Group: "a"}}}},
		{"longest names", `{"mutes":[{"type":"` + long + `"},{"group":"` + long[:56] + long + `"}]}`, notifications.Preferences{
			Mutes: []notifications.Mute{{Type: long}, {Group: long[:56] + long}},
		}},
		{"until", `{"mutes":[{"type":"a","until":"2026-01-03T00:00:00.1239+01:00"},{"type":"b","until":"2020-01-01T00:00:00Z"}]}`, notifications.Preferences{
			Mutes: []notifications.Mute{
				{Type: "a", Until: time.Date(2026, 1, 2, 23, 0, 0, 123e6, time.UTC)}, {Type: "b", Until: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
			},
		}},
		{"until ten years from now", `{"mutes":[{"type":"a","until":"2036-01-02T15:04:05.678Z"}]}`, notifications.Preferences{
			Mutes: []notifications.Mute{{Type: "a", Until: now.AddDate(10, 0, 0)}},
		}},
		{"quiet hours", `{"quietHours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin"}}`, notifications.Preferences{QuietHours: night("Europe/Berlin")}},
		{"quiet hours on some days", `{"quietHours":{"from":"22:00","to":"07:00","zone":"Etc/GMT+12","days":["mon","sun"]}}`, notifications.Preferences{
			QuietHours: night("Etc/GMT+12", "mon", "sun"),
		}},
		{"quiet hours on no special days", `{"quietHours":{"from":"22:00","to":"07:00","zone":"UTC","days":null}}`, notifications.Preferences{QuietHours: night("UTC")}},
		{"all day but a minute", `{"quietHours":{"from":"00:00","to":"23:59","zone":"America/Argentina/Buenos_Aires"}}`, notifications.Preferences{
			QuietHours: &notifications.QuietHours{From: "00:00", To: "23:59", Zone: "America/Argentina/Buenos_Aires"},
		}},
		// The last of two counts, as a whole.
		{"mutes twice", `{"mutes":[{"type":"a","until":"2026-01-03T00:00:00Z"}],"mutes":[{"type":"b"}]}`, notifications.Preferences{Mutes: []notifications.Mute{{Type: "b"}}}},
		{"200 mutes", `{"mutes":[{"type":"a"}` + strings.Repeat(`,{"type":"a"}`, 199) + `]}`, notifications.Preferences{Mutes: sameMutes(200)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := notifications.DecodePreferences([]byte(test.document), now)
			if err != nil {
				t.Fatalf("%.200s: %v", test.document, err)
			}
			if diff := cmp.Diff(text(t, test.want), text(t, got)); diff != "" {
				t.Errorf("%.200s: preferences (-want +got):\n%s", test.document, diff)
			}
			again, err := notifications.DecodePreferences([]byte(text(t, got)), now)
			if diff := cmp.Diff(text(t, got), text(t, again)); diff != "" || err != nil {
				t.Errorf("%.200s: read again: error %v, preferences (-want +got):\n%s", test.document, err, diff)
			}
		})
	}
}

func sameMutes(n int) []notifications.Mute {
	all := make([]notifications.Mute, n)
	for i := range all {
		all[i].Type = "a"
	}
	return all
}

func TestPreferencesNameTheFieldThatIsWrong(t *testing.T) {
	mute := func(second string) string { return `{"mutes":[{"type":"a"},` + second + `]}` }
	quiet := func(change string) string {
		return strings.NewReplacer(
			"FROM", `"from":"22:00"`, "TO", `"to":"07:00"`, "ZONE", `"zone":"Europe/Berlin"`,
		).Replace(`{"quietHours":{` + change + `}}`)
	}
	const (
		time3339 = "want an RFC 3339 time such as 2026-01-02T15:04:05Z, got "
		either   = "wants either a type or a group"
		pattern  = `wants a type, the beginning of types such as "order.*", or "*"`
		clock    = `want a time of the clock such as "22:00", got `
		zone     = `want a time zone such as "Europe/Berlin", got `
		days     = `want "mon", "tue", "wed", "thu", "fri", "sat" or "sun", got `
		object   = "want an object with from, to, zone and days, got "
	)
	long := strings.Repeat("x", 300)
	for _, test := range []struct{ name, document, field, reason string }{
		{"empty body", ``, "", "no valid JSON at byte 0: unexpected end of JSON input"},
		{"space", "  \n", "", "no valid JSON at byte 3: unexpected end of JSON input"},
		{"cut off", `{"mutes":[`, "", "no valid JSON at byte 10: unexpected end of JSON input"},
		{"text", `quiet`, "", "no valid JSON at byte 1: invalid character 'q' looking for beginning of value"},
		{"null", `null`, "", "want a JSON object"},
		{"null with space around", ` null `, "", "want a JSON object"},
		{"array", `[{"mutes":[]}]`, "", "want a JSON object"},
		{"string", `"mutes"`, "", "want a JSON object"},
		{"number", `7`, "", "want a JSON object"},
		{"trailing document", `{}{}`, "", "no valid JSON at byte 3: invalid character '{' after top-level value"},
		{"trailing text", `{"mutes":[]} x`, "", "no valid JSON at byte 14: invalid character 'x' after top-level value"},
		{"trailing bracket", `{}]`, "", "no valid JSON at byte 3: invalid character ']' after top-level value"},
		{"no UTF-8", "{\"mutes\":[{\"group\":\"\xff\"}]}", "", "not UTF-8"},

		{"unknown field", `{"mute":[]}`, "mute", "no such field"},
		{"field in another case", `{"Mutes":[]}`, "Mutes", "no such field"},
		{"field without a name", `{"":[]}`, "", "no such field"},
		{"long unknown field", `{"` + long + `":1}`, long[:64] + "…", "no such field"},
		{"unknown field of a mute", mute(`{"typ":"a"}`), "mutes[1].typ", "no such field"},
		{"unknown field of the quiet hours", quiet(`FROM,TO,ZONE,"day":"mon"`), "quietHours.day", "no such field"},

		{"mutes that are a string", `{"mutes":"all"}`, "mutes", `want an array of mutes, got "all"`},
		{"mutes that are an object", `{"mutes":{"type":"a"}}`, "mutes", `want an array of mutes, got {"type":"a"}`},
		{"mutes that are true", `{"mutes":true}`, "mutes", `want an array of mutes, got true`},
		{"mute that is a string", mute(`"order.*"`), "mutes[1]", `want an object with type or group, and until, got "order.*"`},
		{"mute that is an array", mute(`[]`), "mutes[1]", `want an object with type or group, and until, got []`},
		{"mute that is null", mute(`null`), "mutes[1]", `want an object with type or group, and until, got null`},
		{"type that is a number", mute(`{"type":7}`), "mutes[1].type", "want a string, got 7"},
		{"group that is an array", mute(`{"group":["a","b"]}`), "mutes[1].group", `want a string, got ["a","b"]`},
		{"group that is a long array", mute(`{"group":["` + long + `"]}`), "mutes[1].group", `want a string, got ["` + long[:62] + `…`},
		{"until that is a number", mute(`{"type":"b","until":1767366245}`), "mutes[1].until", "want an RFC 3339 time, got 1767366245"},
		{"until that is a word", mute(`{"type":"b","until":"tomorrow"}`), "mutes[1].until", time3339 + `"tomorrow"`},
		{"until that is a day", mute(`{"type":"b","until":"2026-01-03"}`), "mutes[1].until", time3339 + `"2026-01-03"`},
		{"until without a zone", mute(`{"type":"b","until":"2026-01-03T00:00:00"}`), "mutes[1].until", time3339 + `"2026-01-03T00:00:00"`},
		{"until in no month", mute(`{"type":"b","until":"2026-13-03T00:00:00Z"}`), "mutes[1].until", time3339 + `"2026-13-03T00:00:00Z"`},
		{"until too late", mute(`{"type":"b","until":"2036-01-02T15:04:05.679Z"}`), "mutes[1].until", "is more than ten years away; leave it out for ever"},
		{"until in another millennium", mute(`{"type":"b","until":"9999-12-31T23:00:00-02:00"}`), "mutes[1].until", "is more than ten years away; leave it out for ever"},
		{"until too early", mute(`{"type":"b","until":"0000-01-01T00:00:00+01:00"}`), "mutes[1].until", "wants a year of four digits"},
		{"type and group", mute(`{"type":"a","group":"b"}`), "mutes[1]", either},
		{"neither type nor group", mute(`{}`), "mutes[1]", either},
		{"until alone", mute(`{"until":"2026-01-03T00:00:00Z"}`), "mutes[1]", either},
		{"long type", mute(`{"type":"` + long[:201] + `"}`), "mutes[1].type", "has 201 bytes, at most 200 are allowed"},
		{"type with a line feed", mute(`{"type":"a\nb"}`), "mutes[1].type", "holds control characters"},
		{"star in the middle", mute(`{"type":"order.*.late"}`), "mutes[1].type", pattern},
		{"star at the beginning", mute(`{"type":"*.late"}`), "mutes[1].type", pattern},
		{"star behind letters", mute(`{"type":"order*"}`), "mutes[1].type", pattern},
		{"two stars", mute(`{"type":"**"}`), "mutes[1].type", pattern},
		{"two stars behind a dot", mute(`{"type":"order.**"}`), "mutes[1].type", pattern},
		{"long group", mute(`{"group":"` + long[:257] + `"}`), "mutes[1].group", "wants the name of a group, 1 to 256 bytes of UTF-8"},
		{"201 mutes", `{"mutes":[{"type":"a"}` + strings.Repeat(`,{"type":"a"}`, 200) + `]}`, "mutes", "has 201, at most 200 are allowed"},

		{"quiet hours that are a string", `{"quietHours":"22:00-07:00"}`, "quietHours", object + `"22:00-07:00"`},
		{"quiet hours that are an array", `{"quietHours":[]}`, "quietHours", object + `[]`},
		{"quiet hours that are false", `{"quietHours":false}`, "quietHours", object + `false`},
		{"nothing of the quiet hours", `{"quietHours":{}}`, "quietHours.from", clock + `""`},
		{"no end", quiet(`FROM,ZONE`), "quietHours.to", clock + `""`},
		{"beginning that is a number", quiet(`"from":22,TO,ZONE`), "quietHours.from", "want a string, got 22"},
		{"end that is a number", quiet(`FROM,"to":7,ZONE`), "quietHours.to", "want a string, got 7"},
		{"from 24:00", quiet(`"from":"24:00",TO,ZONE`), "quietHours.from", clock + `"24:00"`},
		{"from 22:60", quiet(`"from":"22:60",TO,ZONE`), "quietHours.from", clock + `"22:60"`},
		{"to 7:00", quiet(`FROM,"to":"7:00",ZONE`), "quietHours.to", clock + `"7:00"`},
		{"to 7:000", quiet(`FROM,"to":"7:000",ZONE`), "quietHours.to", clock + `"7:000"`},
		{"to 7 o'clock", quiet(`FROM,"to":"7 am",ZONE`), "quietHours.to", clock + `"7 am"`},
		{"to 07:00:00", quiet(`FROM,"to":"07:00:00",ZONE`), "quietHours.to", clock + `"07:00:00"`},
		{"to -7:00", quiet(`FROM,"to":"-7:00",ZONE`), "quietHours.to", clock + `"-7:00"`},
		{"to a long time", quiet(`FROM,"to":"` + long + `",ZONE`), "quietHours.to", clock + `"` + long[:64] + `…"`},
		{"from and to the same", quiet(`FROM,"to":"22:00",ZONE`), "quietHours.to", "is the same time as from"},
		{"no zone", quiet(`FROM,TO`), "quietHours.zone", zone + `""`},
		{"zone that is a number", quiet(`FROM,TO,"zone":1`), "quietHours.zone", "want a string, got 1"},
		{"zone of no place on earth", quiet(`FROM,TO,"zone":"Mars/Olympus"`), "quietHours.zone", zone + `"Mars/Olympus"`},
		{"days that are a string", quiet(`FROM,TO,ZONE,"days":"mon"`), "quietHours.days", `want an array of days such as "mon", got "mon"`},
		{"day that is a number", quiet(`FROM,TO,ZONE,"days":["mon",2]`), "quietHours.days", `want an array of days such as "mon", got ["mon",2]`},
		{"day that is null", quiet(`FROM,TO,ZONE,"days":["mon",null]`), "quietHours.days[1]", days + `""`},
		{"day in full", quiet(`FROM,TO,ZONE,"days":["mon","tuesday"]`), "quietHours.days[1]", days + `"tuesday"`},
		{"day in another case", quiet(`FROM,TO,ZONE,"days":["Mon"]`), "quietHours.days[0]", days + `"Mon"`},
		{"eight days", quiet(`FROM,TO,ZONE,"days":["mon","tue","wed","thu","fri","sat","sun","mon"]`), "quietHours.days", "has 8, at most 7 are allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := notifications.DecodePreferences([]byte(test.document), now)
			var wrong *notifications.InvalidError
			if !errors.As(err, &wrong) {
				t.Fatalf("%.200s: got error %v, want an *InvalidError", test.document, err)
			}
			want := notifications.InvalidError{Of: "request", Field: test.field, Reason: test.reason}
			if diff := cmp.Diff(want, *wrong); diff != "" {
				t.Errorf("%.200s: error (-want +got):\n%s", test.document, diff)
			}
			if diff := cmp.Diff(notifications.Preferences{}, got); diff != "" {
				t.Errorf("%.200s: preferences came with the error (-want +got):\n%s", test.document, diff)
			}
		})
	}
}

// A zone is named as in the IANA database and in no other way: names are kept
// for as long as the process runs, and mean the same on all machines.
func TestZoneIsOneOfTheDatabase(t *testing.T) {
	for _, zone := range []string{
		"", "Local", "localtime", "posixrules", "Europe", "europe/berlin", "Europe//Berlin", "Europe/./Berlin", "./Europe/Berlin", "Europe/Berlin/",
		"/Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin", "../zoneinfo/Europe/Berlin", "Europe/../Europe/Berlin", `Europe\Berlin`,
		"posix/Europe/Berlin", "right/Europe/Berlin", " Europe/Berlin", "Europe/Berlin\x00", "+01:00", "E" + strings.Repeat("/x", 1000), "ö",
	} {
		p := notifications.Preferences{QuietHours: night(zone)}
		var wrong *notifications.InvalidError
		if err := p.Validate(now); !errors.As(err, &wrong) || wrong.Field != "quietHours.zone" {
			t.Errorf("zone %.100q: got error %v, want one of quietHours.zone", zone, err)
		}
	}
	for _, zone := range []string{"UTC", "Etc/GMT+12", "Europe/Berlin", "America/Argentina/Buenos_Aires", "America/North_Dakota/New_Salem", "Asia/Kathmandu"} {
		p := notifications.Preferences{QuietHours: night(zone)}
		if err := p.Validate(now); err != nil {
			t.Errorf("zone %q: got error %v, want none", zone, err)
		}
	}
}

// What is made in the program is held to the same rules as what is read.
func TestPreferencesThatAreValidCanBeStored(t *testing.T) {
	for _, until := range []time.Time{
		{},
		now, time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), now.AddDate(10, 0, 0), now.AddDate(10, 0, 1),
	} {
		p := notifications.Preferences{Mutes: []notifications.Mute{{Type: "a", Until: until}}}
		if err := p.Validate(now); err != nil {
			isInvalid(t, err)
			continue
		}
		if _, err := json.Marshal(p); err != nil {
			t.Errorf("until %v is valid, but: %v", until, err)
		}
	}
}

// busy are preferences of which every part is looked at: 200 mutes that do not
// hold for the event, and quiet hours.
func busy() notifications.Preferences {
	p := notifications.Preferences{QuietHours: night("Europe/Berlin", "mon", "tue", "wed", "thu", "fri", "sat", "sun")}
	for i := range 50 {
		p.Mutes = append(p.Mutes,
			notifications.Mute{Type: fmt.Sprintf("order.kind%d", i)}, notifications.Mute{Type: fmt.Sprintf("order.kind%d.*", i)},
			notifications.Mute{Group: fmt.Sprintf("group %d", i)}, notifications.Mute{Type: "*", Until: now.Add(-time.Hour)})
	}
	return p
}

// A delivery asks this for every connection, and wants to know only whether
// there is a reason.
func TestSilencesDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	shipped := notifications.Event{Type: "order.shipped", Recipient: notifications.ToGroup("ops"), Severity: notifications.Info}
	critical := shipped
	critical.Severity = notifications.Critical
	for _, test := range []struct {
		name        string
		preferences notifications.Preferences
		event       notifications.Event
		at          time.Time
		want        string
	}{
		{"nothing set", notifications.Preferences{}, shipped, now, ""},
		{"critical", busy(), critical, now, ""},
		{"nothing that holds", busy(), shipped, now, ""},
		{"quiet hours", busy(), shipped, now.Add(8 * time.Hour), "quiet hours"},
		{"muted", notifications.Preferences{Mutes: []notifications.Mute{{Type: "order.*"}}}, shipped, now, "type order.*"},
	} {
		if got := test.preferences.Silences(&test.event, test.at); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		got := testing.AllocsPerRun(100, func() {
			if (test.preferences.Silences(&test.event, test.at) != "") != (test.want != "") {
				t.Errorf("%s: got another answer the second time", test.name)
			}
		})
		if got > 0 {
			t.Errorf("%s: %.0f allocations, none are allowed", test.name, got)
		}
	}
}

func BenchmarkSilences(b *testing.B) {
	shipped := notifications.Event{Type: "order.shipped", Recipient: notifications.ToGroup("ops"), Severity: notifications.Info}
	for name, p := range map[string]notifications.Preferences{
		"nothing":    {},
		"one mute":   {Mutes: []notifications.Mute{{Type: "invoice.*"}}},
		"quietHours": {QuietHours: night("Europe/Berlin")},
		"200 mutes":  busy(),
		"muted":      {Mutes: []notifications.Mute{{Type: "order.*"}}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Silences(&shipped, now) != "" != (name == "muted") {
					b.Fatal("another answer")
				}
			}
		})
	}
}
