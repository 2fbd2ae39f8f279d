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
