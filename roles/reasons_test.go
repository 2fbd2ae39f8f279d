package roles_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidings/roles"
)

// Every refusal has a word that can be counted, and no word is made of the token.
func TestReasonsAreFew(t *testing.T) {
	v := verifierOf(t, roles.Issuer{Name: "a", Audience: "tidings", Secret: secretA})
	base := ann().with(fields{"iss": "a", "aud": "tidings"})
	with := func(f fields) string { return token("HS256", secretA, base.with(f)) }
	good := with(nil)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ want, token string }{
		{"missing", ""},
		{"malformed", "x"},
		{"malformed", strings.Repeat("x", roles.MaxTokenBytes+1)},
		{"expired", with(fields{"exp": now.Add(-time.Hour).Unix()})},
		{"not_yet", with(fields{"nbf": now.Add(time.Hour).Unix()})},
		{"issuer", with(fields{"iss": "b"})},
		{"audience", with(fields{"aud": "other"})},
		{"signature", good[:len(good)-4] + "AAAA"},
		{"algorithm", token("none", nil, ann())},
		{"claims", with(fields{"sub": nil})},
		{"claims", with(fields{"exp": nil})},
	} {
		_, err := v.Verify(t.Context(), test.token)
		if got := roles.ReasonOf(err); got != test.want {
			t.Errorf("%v: got %s, want %s", err, got, test.want)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Basic x")
	if _, err := roles.HeaderToken(r); roles.ReasonOf(err) != "malformed" {
		t.Errorf("%v: got %s, want malformed", err, roles.ReasonOf(err))
	}
	if got := roles.ReasonOf(errors.New("the keys cannot be fetched")); got != "unavailable" {
		t.Errorf("got %s, want unavailable", got)
	}
}

func TestMayEmitToOthers(t *testing.T) {
	p := roles.DefaultPolicy()
	for role, want := range map[string]bool{"emitter": true, "admin": true, "clerk": false} {
		if got := p.MayEmitToOthers(roles.Principal{UserID: "u", Roles: []string{role}}); got != want {
			t.Errorf("%s: got %v, want %v", role, got, want)
		}
	}
	if p.MayEmitToOthers(roles.Principal{Roles: []string{"admin"}}) {
		t.Error("somebody anonymous may")
	}
}
