package notifications_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidings/notifications"
)

// payloads are seeds of every form an event may have.
var payloads = []string{
	``, `null`, `7`, `"x"`, `[]`, `{}`, `{"title":"x"}`, `{"order":1}`, `{"titel":"x"}`, `{"title":"x","mood":"good"}`, "{\"title\":\"\xff\"}",
	`{"id":"e1","recipient":"group/g/1 x","type":"order.shipped","source":"shop","target":"OnOrder","title":"a\nb","body":"\u00fc\ud800",
	  "data":{"b": [1e3, "<&>\u2028"], "a": null},"severity":"critical","link":"https://example.com/?a=b","actions":[{"label":"Track","link":"/t"}],
	  "collapseKey":"k","recalls":"e0","replayOf":"h/1","expiresAt":"2026-01-03T00:00:00.1239+01:00","notBefore":"2026-01-02T00:00:00Z","membersAt":"read",
	  "createdAt":"2026-01-01T00:00:00Z","traceparent":"` + traceParent + `","tracestate":"a=b"}`,
	`{"recipient":"user/ann","ttl":1.0004,"createdAt":"9999-12-31T23:59:59Z"}`,
	`{"recipient":"everyone/","ttl":60,"title":null,"actions":[],"data":null}`,
	`{"recipient":"role/ops","createdAt":"0001-01-01T00:00:00Z","expiresAt":"0000-01-01T00:00:00+01:00"}`,
	`{"specversion":"1.0","id":"c1","source":"/shop","type":"t","time":"2026-01-02T00:00:00Z","recipient":"user/ann","ttl":"60","data_base64":"/wA="}`,
	`{"specversion":"1.0","id":null,"source":"/shop","type":"t","recipient":"user/ann","title":"x","data":{"a":1}}`,
}

// sameEvent compares events, their data by what it says.
func sameEvent() cmp.Options {
	canonical := func(data json.RawMessage) string {
		text, err := json.Marshal(data)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return cmp.Options{
		cmp.Comparer(slices.Equal[[]notifications.Action]), // none is none
		cmp.Comparer(func(a, b json.RawMessage) bool { return canonical(a) == canonical(b) }),
	}
}

// encode is the JSON of an accepted event, which always has one.
func encode(t *testing.T, e notifications.Event) []byte {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatalf("accepted event %+v: %v", e, err)
	}
	return text
}

// isInvalid fails the test unless an error is one for the emitter.
func isInvalid(t *testing.T, err error) {
	t.Helper()
	var invalid *notifications.InvalidError
	if !errors.As(err, &invalid) || invalid.Reason == "" {
		t.Errorf("got error %v, want an *InvalidError", err)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	for _, seed := range payloads {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		want, err := notifications.DecodeEvent(payload, now)
		if err != nil {
			isInvalid(t, err)
			return
		}
		want.Complete(now, newID)
		if err := want.Validate(notifications.Limits{}); err != nil {
			isInvalid(t, err)
			return
		}
		first := encode(t, want)
		got, err := notifications.DecodeEvent(first, now.Add(time.Hour))
		if err != nil {
			t.Fatalf("%s, encoded as %s: %v", payload, first, err)
		}
		if diff := cmp.Diff(want, got, sameEvent()); diff != "" {
			t.Errorf("%s, encoded as %s (-want +got):\n%s", payload, first, diff)
		}
		if second := encode(t, got); !bytes.Equal(first, second) {
			t.Errorf("%s, encoded as %s and then as %s", payload, first, second)
		}
	})
}

func FuzzReadEvent(f *testing.F) {
	for _, seed := range payloads {
		f.Add([]byte(seed), "", "", "")
		f.Add([]byte(seed), "1.0", "application/json", "60")
	}
	f.Add([]byte("\xff\x00"), "1.0", "image/png", "\xff")
	f.Add([]byte(`{"title":"x"}`), "0.3", "text/plain", "0.5")
	f.Fuzz(func(t *testing.T, payload []byte, version, contentType, ttl string) {
		header := map[string]string{"Content-Type": contentType, "traceparent": traceParent}
		if version != "" {
			header = binaryHeaders(header)
			header["ce-specversion"], header["ce-ttl"], header["ce-title"] = version, ttl, "x"
		}
		want, err := notifications.ReadEvent(message(string(payload), header))
		if err != nil {
			isInvalid(t, err)
			return
		}
		if err := want.Validate(notifications.Limits{}); err != nil {
			t.Errorf("%q was read, but: %v", payload, err)
		}
		if want.Recipient != notifications.ToUser("ann") || want.ID == "" {
			t.Errorf("%q was read as one for %s with id %q", payload, want.Recipient, want.ID)
		}
		stored := want
		stored.Recipient = notifications.Recipient{} // the place says it
		again := message(string(encode(t, stored)), nil)
		again.At, again.ID = now.Add(time.Hour), "log-2"
		got, err := notifications.ReadEvent(again)
		if err != nil {
			t.Fatalf("%q, stored as %s: %v", payload, again.Payload, err)
		}
		if diff := cmp.Diff(want, got, sameEvent()); diff != "" {
			t.Errorf("%q, stored as %s (-want +got):\n%s", payload, again.Payload, diff)
		}
		if _, err := json.Marshal((&notifications.Entry{Event: got}).Notification(1)); err != nil {
			t.Errorf("%q was read, but: %v", payload, err)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, c := range []notifications.Cursor{{}, {Epoch: 7, Position: 41, Stored: now}, {Epoch: 1<<64 - 1, Position: 1<<64 - 1}} {
		f.Add(c.String())
		f.Add(c.String() + "\n")
		f.Add(c.String()[1:])
	}
	f.Add("")
	f.Add(strings.Repeat("A", 257))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := notifications.ParseCursor(text)
		switch {
		case err != nil && (!errors.Is(err, notifications.ErrCursor) || c != notifications.Cursor{}):
			t.Errorf("%q: got %+v, error %v, want ErrCursor", text, c, err)
		case err == nil && c.String() != text:
			t.Errorf("%q was read as %+v, whose text is %q", text, c, c)
		}
	})
}

func FuzzParseRecipient(f *testing.F) {
	for _, seed := range []string{
		"user/ann@example.com", "role/ops & more", "group/g/1 x", "group//", "everyone", "everyone/", "everyone/x", "connection/c1",
		"user", "user/", "User/ann", "", "/", "user/\xff", "user/" + strings.Repeat("ä", 128), "user/" + strings.Repeat("ä", 129),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := notifications.ParseRecipient(text)
		if err != nil {
			if r != (notifications.Recipient{}) || err.Error() == "" || len(err.Error()) > 600 {
				t.Errorf("%q: got %#v with the error %v", text, r, err)
			}
			return
		}
		if err := r.Validate(); err != nil {
			t.Errorf("%q was read as %#v, but: %v", text, r, err)
		}
		if r.String() != strings.TrimSuffix(text, "/") && r.String() != text {
			t.Errorf("%q was read as %#v, whose text is %q", text, r, r)
		}
		if again, err := notifications.ParseRecipient(r.String()); again != r || err != nil {
			t.Errorf("%q was read as %#v, and that as %#v, error %v", text, r, again, err)
		}
	})
}

func FuzzResume(f *testing.F) {
	f.Add("")
	f.Add("cursor=" + place(5).String())
	f.Add("CURSOR=" + place(99).String() + "&device=d1&replay=all")
	f.Add("replay=last:5")
	f.Add("replay=last:+5")
	f.Add("replay=since:2026-01-02T15:04:09+00:00")
	f.Add("replay=since:0001-01-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			t.Skip("no query")
		}
		request, err := notifications.ParseResume(query)
		if err != nil {
			return
		}
		log := shop()
		for _, device := range []*notifications.Device{nil, {}, {Cursor: place(5)}} {
			request.Ahead(log.state, device)
			got := request.Resolve(log, hub, asAnn(), device)
			if got.After+1 < log.state.First || got.After > log.state.End || got.Resumed.Truncated && !got.Oldest {
				t.Errorf("%q with device %+v: got %+v in a log from %d to %d", text, device, got, log.state.First, log.state.End)
			}
			if c, err := notifications.ParseCursor(got.Resumed.Cursor); err != nil || c.Position != got.After {
				t.Errorf("%q with device %+v: got cursor %+v, error %v, want that of %d", text, device, c, err, got.After)
			}
		}
	})
}

func FuzzDecodePreferences(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{}{}`, `{"mutes":null,"quietHours":null}`, `{"Mutes":[]}`, `{"mutes":[null]}`, `{"mutes":"x"}`,
		`{"mutes":[{"type":"order.*"},{"type":"*","until":"2026-01-03T00:00:00.1239+01:00"},{"group":"g/1 x","until":null}]}`,
		`{"mutes":[{"type":"order*","group":"\ud800"}]}`, `{"mutes":[{"type":"a","until":"9999-12-31T23:00:00-02:00"}]}`,
		`{"quietHours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin","days":["mon","sun"]}}`,
		`{"quietHours":{"from":"7:00","to":"24:00","zone":"Local"}}`, `{"quietHours":{"from":"00:00","to":"12:30","zone":"Asia/Kathmandu","days":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		want, err := notifications.DecodePreferences(document, now)
		if err != nil {
			isInvalid(t, err)
			if len(err.Error()) > 1000 || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: the error is %q", document, err)
			}
			return
		}
		if err := want.Validate(now); err != nil {
			t.Errorf("%q was read, but: %v", document, err)
		}
		first, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("%q was read, but: %v", document, err)
		}
		got, err := notifications.DecodePreferences(first, now)
		if err != nil {
			t.Fatalf("%q, stored as %s: %v", document, first, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q, stored as %s (-want +got):\n%s", document, first, diff)
		}
		for _, e := range []notifications.Event{{}, {Type: "order.shipped", Recipient: notifications.ToGroup("g/1 x")}, {Type: "a", Severity: notifications.Critical}} {
			if one, other := want.Silences(&e, now), got.Silences(&e, now); one != other || one != "" && e.Severity == notifications.Critical {
				t.Errorf("%q silences %+v: %q, and stored as %s %q", document, e, one, first, other)
			}
		}
	})
}

// isUnfit fails the test unless an error is one for the caller of a request, and
// short.
func isUnfit(t *testing.T, input []byte, err error) {
	t.Helper()
	var invalid *notifications.InvalidError
	if !errors.As(err, &invalid) || invalid.Of != "request" || invalid.Reason == "" || len(err.Error()) > 1000 || !utf8.ValidString(err.Error()) {
		t.Errorf("%q: got error %q, want an *InvalidError of a request", input, err)
	}
}

func FuzzDecodeRefs(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `["e1",5,"5"]`, `[5`, `[0]`, `[-1]`, `[1e3]`, `[5.0]`, `[18446744073709551615,18446744073709551616]`, `[null]`, `[""]`, `[["e1"]]`,
		`{"0":"e1"}`, `["\u0000"]`, `["\ud800"]`, "[\"\xff\"]", `["` + strings.Repeat("i", 129) + `"]`, `[` + strings.Repeat("1,", 1000) + `1]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		refs, err := notifications.DecodeRefs(input)
		if err != nil {
			isUnfit(t, input, err)
			return
		}
		var again []any
		for _, r := range refs {
			if (r.ID == "") == (r.Position == 0) || len(r.ID) > 128 || !utf8.ValidString(r.ID) || r.String() == "" {
				t.Errorf("%q was read with %+v in it", input, r)
			}
			if again = append(again, r.ID); r.ID == "" {
				again[len(again)-1] = r.Position
			}
		}
		if text, err := json.Marshal(again); err != nil {
			t.Errorf("%q: %v", input, err)
		} else if got, err := notifications.DecodeRefs(text); err != nil || !slices.Equal(got, refs) {
			t.Errorf("%q was read as %+v, and %s as %+v, error %v", input, refs, text, got, err)
		}
	})
}

func FuzzUpTo(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `5`, `0`, `-5`, `5.0`, `18446744073709551616`, `"5"`, `""`, `{}`, `"` + place(5).String() + `"`, `"` + place(5).String()[1:] + `"`,
		`"` + (notifications.Cursor{}).String() + `"`, `"` + (notifications.Cursor{Epoch: 7}).String() + `"`, ` "` + place(5).String() + `" `, "\"\xff\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var got notifications.UpTo
		if err := got.UnmarshalJSON(input); err != nil {
			isUnfit(t, input, err)
			return
		}
		isEnd, isCursor := got == notifications.UpTo{}, got.Cursor != notifications.Cursor{}
		if isEnd != (string(input) == "null") || isCursor && got.Position != 0 {
			t.Errorf("%q was read as %+v", input, got)
		}
		if c, err := notifications.ParseCursor(got.Cursor.String()); isCursor && (err != nil || c != got.Cursor) {
			t.Errorf("%q was read as %+v, whose cursor is read as %+v, error %v", input, got, c, err)
		}
	})
}

func FuzzDecodeMute(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"type":"order.*"}`, `{"group":"g/1 x","until":"2026-01-03T00:00:00.1239+01:00"}`, `{"type":"a","group":"g"}`,
		`{"type":null,"until":""}`, `{"type":1}`, `{"mute":"a"}`, `{"until":"soon"}`, "{\"group\":\"\xff\"}", `{"type":"\ud800"}`, `{}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		want, err := notifications.DecodeMute(input)
		if err != nil {
			isUnfit(t, input, err)
			return
		}
		text, err := json.Marshal(want)
		if err != nil { // a year that RFC 3339 cannot write, which Mute refuses
			w := newWorld()
			_, err := w.inboxes.Mute(t.Context(), w.as("ann"), want)
			isUnfit(t, input, err)
			return
		}
		if got, err := notifications.DecodeMute(text); err != nil || got.Type != want.Type || got.Group != want.Group || !got.Until.Equal(want.Until) {
			t.Errorf("%q was read as %+v, and %s as %+v, error %v", input, want, text, got, err)
		}
	})
}

func FuzzDecodeVersionedPreferences(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{"version":0}`, `{"version":7,"mutes":[{"type":"order.*"}]}`, `{"version":-0}`, `{"version":"7"}`, `{"version":null}`, `{"version":1e3}`,
		`{"version":18446744073709551615}`, `{"version":18446744073709551616}`, `{"version":7,"Version":8}`, `{"mutes":[{}],"version":7}`,
		`{"version":7,"quietHours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin","days":["mon"]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		p, version, err := notifications.DecodeVersionedPreferences(input, now)
		if err != nil {
			isUnfit(t, input, err)
			return
		}
		if err := p.Validate(now); err != nil {
			t.Errorf("%q was read, but: %v", input, err)
		}
		type document struct {
			notifications.Preferences

			Version notifications.Version `json:"version"`
		}
		d := document{p, version}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%q was read, but: %v", input, err)
		}
		if version == 0 { // which was not given; a given 0 is another thing
			version = notifications.PreferencesUnset
		}
		got, gotVersion, err := notifications.DecodeVersionedPreferences(text, now)
		if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" || gotVersion != version || err != nil {
			t.Errorf("%q, stored as %s: version %d, want %d, error %v (-want +got):\n%s", input, text, gotVersion, version, err, diff)
		}
	})
}

func FuzzDecodeInboxQuery(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{"limit":50,"before":"` + place(5).String() + `","types":["order.*","alert"],"severities":["critical"],"states":["unseen","read"]}`,
		`{"limit":-1}`, `{"limit":1.5}`, `{"limit":null,"types":null}`, `{"types":"a"}`, `{"types":[""]}`, `{"types":["\u0000"]}`, `{"states":["new"]}`,
		`{"severities":[null]}`, `{"before":"garbage"}`, `{"Limit":5}`, `{"statuses":[]}`, "{\"before\":\"\xff\"}", `{"limit":9223372036854775808}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		q, err := notifications.DecodeInboxQuery(input)
		if err != nil {
			isUnfit(t, input, err)
			return
		}
		w := newWorld()
		w.fill(t, 3)
		page, err := w.inboxes.Page(t.Context(), w.as("ann"), q)
		switch {
		case err != nil:
			isUnfit(t, input, err)
		case len(page.Items) > 3 || q.Limit > 0 && len(page.Items) > q.Limit || page.Counts.Unseen != 3:
			t.Errorf("%q: got %+v", input, page)
		}
	})
}
