package roles_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tidings/roles"
)

// publicReasons are all texts that a token of ann, or one that was made from
// it, may be refused with: none can hold a part of the token.
var publicReasons = []string{
	"no bearer token", "token is longer than 8 KiB", "token is malformed", "token is expired", "token is not valid yet",
	"token is invalid", "issuer is not accepted", "audience is not accepted", "a required claim is missing",
	"no key for this token", "algorithm is not accepted", "signature is invalid",
}

func FuzzVerify(f *testing.F) {
	ec := p256Key()
	file := keyFile(f, pkixPEM(ec.Public()))
	options := []roles.Options{
		{Issuers: []roles.Issuer{{Secret: secretA}}, Now: clock},
		{Issuers: []roles.Issuer{{KeyFile: file}}, Now: clock},
		{Issuers: []roles.Issuer{{Name: "a", Secret: secretA}, {Name: "b", KeyFile: file}}, Now: clock},
	}
	verifiers := make([]*roles.Keys, len(options))
	for i, o := range options {
		verifiers[i] = must(roles.NewVerifier(f.Context(), o))
	}
	a, b := ann().with(fields{"iss": "a"}), ann().with(fields{"iss": "b"})
	for _, seed := range []string{
		"", ".", "..", "...", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "\xff.\xff.\xff",
		token("HS256", secretA, a), token("HS512", secretA, a), token("HS256", secretB, a), token("none", nil, a),
		token("ES256", ec, b), token("ES384", ec, b), token("HS256", pkixPEM(ec.Public()), b),
		token("HS256", secretA, a.with(fields{"exp": nil})), token("HS256", secretA, a.with(fields{"exp": 1e300})),
		tokenWith(fields{"alg": "HS256", "kid": []int{1}, "crit": []string{"exp"}}, secretA, a),
		strings.Repeat("x", roles.MaxTokenBytes+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for i, v := range verifiers {
			who, err := v.Verify(t.Context(), token)
			if err == nil {
				// What was changed was no part of what is signed.
				if who.UserID != "ann" || who.Expires.IsZero() {
					t.Errorf("verifier %d accepted %q as %+v", i, token, who)
				}
				continue
			}
			var auth *roles.AuthError
			if !errors.As(err, &auth) || !slices.Contains(publicReasons, auth.Reason) || !who.Anonymous() {
				t.Errorf("verifier %d of token %q: got user %q, error %v", i, token, who.UserID, err)
			}
		}
	})
}

func FuzzBearerToken(f *testing.F) {
	f.Add("GET", "Bearer abc", "access_token=xyz")
	f.Add("GET", "", "access_token=xyz&access_token=2")
	f.Add("GET", "Bearer", "access_token=%zz;")
	f.Add("POST", "bearer  a b ", "")
	f.Add("GET", "Basic YTpi", "ACCESS_TOKEN=xyz")
	f.Add("GET", strings.Repeat("Bearer ", 2000), "access_token="+strings.Repeat("x", 9000))
	f.Fuzz(func(t *testing.T, method, authorization, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method = method
		r.URL.RawQuery = query
		r.Header = http.Header{"Authorization": {authorization}}
		token, err := roles.BearerToken(r)
		inHeader, headerErr := roles.HeaderToken(r)
		for _, err := range []error{err, headerErr} {
			var auth *roles.AuthError
			if err != nil && (!errors.As(err, &auth) || auth.Code != "invalid_request") {
				t.Errorf("got error %v, want an *AuthError of the request", err)
			}
		}
		switch {
		case err != nil && token != "", len(token) > roles.MaxTokenBytes:
			t.Errorf("got a token of %d bytes and error %v", len(token), err)
		case inHeader != "" && (token != inHeader || !strings.Contains(authorization, token)):
			t.Errorf("header %q: got %q and, of the header alone, %q", authorization, token, inHeader)
		case inHeader == "" && token != "":
			values, _ := url.ParseQuery(query) // what can be read of it
			if values.Get("access_token") != token {
				t.Errorf("%s with query %q: got %q of the query", method, query, token)
			}
		}
	})
}
