package tidingsv1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"tidings/notifications"
	tidingsv1 "tidings/proto/tidings/v1"
)

// FuzzCanonicalJSON: whatever comes in, it is an error that is short, or JSON
// that is the same each time and holds only fields that a strict door knows.
func FuzzCanonicalJSON(f *testing.F) {
	message, _ := full(f)
	payload := encode(f, message)
	f.Add(payload)
	f.Add(payload[:len(payload)/2])
	for _, s := range singles() {
		f.Add(encode(f, s.message))
	}
	for _, garbage := range []string{
		"", "hello", `{"title":"x"}`, "\x00", "\x08\x01", "\x32\x01\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"\x42\x00", // data without a kind
		"\x42\x09\x11\x00\x00\x00\x00\x00\x00\xf8\x7f",     // data NaN
		"\x92\x01\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f", // expiresAt out of range
		strings.Repeat("\x43", 20_000),                     // groups without an end
	} {
		f.Add([]byte(garbage))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := tidingsv1.CanonicalJSON(payload)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "not a tidings.v1.Event: ") || len(err.Error()) > 200 {
				t.Errorf("CanonicalJSON(%x): error %q", payload, err)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("CanonicalJSON(%x) = %s, not JSON", payload, text)
		}
		if again, err := tidingsv1.CanonicalJSON(payload); err != nil || !bytes.Equal(again, text) {
			t.Errorf("CanonicalJSON(%x) = %s, then %s, %v", payload, text, again, err)
		}
		_, err = notifications.DecodeEvent(text, now)
		if wrong, is := errors.AsType[*notifications.InvalidError](err); err != nil && (!is || strings.HasPrefix(wrong.Reason, "no such field")) {
			t.Errorf("DecodeEvent(%s) = %v", text, err)
		}
	})
}
