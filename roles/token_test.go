package roles_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"tidings/roles"
)

// request has the token in the query; header lines are "Name: value".
func request(method, query string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "/hubs/notifications?access_token="+url.QueryEscape(query), nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

func TestTokenOfARequest(t *testing.T) {
	const get, post = http.MethodGet, http.MethodPost
	const socket, events = "Upgrade: websocket", "Accept: text/event-stream"
	tooLong := strings.Repeat("x", roles.MaxTokenBytes+1)
	longest := tooLong[1:]
	for _, test := range []struct {
		name         string
		request      *http.Request
		want         string // of BearerToken
		wantInHeader string // of HeaderToken
		reason       string
	}{
		{"no token", httptest.NewRequest(get, "/", nil), "", "", ""},
		{"header", request(get, "", "Authorization: Bearer abc"), "abc", "abc", ""},
		{"scheme in another case", request(post, "", "Authorization: bEARER abc"), "abc", "abc", ""},
		{"spaces around the token", request(post, "", "Authorization: Bearer   abc  "), "abc", "abc", ""},
		{"scheme without a token", request(post, "", "Authorization: Bearer"), "", "", ""},
		{"other scheme", request(get, "", "Authorization: Basic YTpi"), "", "", "authorization scheme is not Bearer"},
		{"token without a scheme", request(get, "", "Authorization: abc"), "", "", "authorization scheme is not Bearer"},
		{"other scheme for a socket with a token", request(get, "abc", "Authorization: Basic YTpi", socket), "", "", "authorization scheme is not Bearer"},
		{"query of a socket", request(get, "abc", socket), "abc", "", ""},
		{"query of an event stream", request(get, "abc", events), "abc", "", ""},
		{"query of a poll", request(get, "abc"), "abc", "", ""},
		{"query of a post", request(post, "abc"), "abc", "", ""},
		{"header before query", request(get, "query", "Authorization: Bearer header", socket), "header", "header", ""},
		{"query when the header is empty", request(get, "query", "Authorization: Bearer ", socket), "query", "", ""},
		{"longest in the header", request(get, "", "Authorization: Bearer "+longest), longest, longest, ""},
		{"longest in the query", request(get, longest, socket), longest, "", ""},
		{"too long in the header", request(get, "", "Authorization: Bearer "+tooLong), "", "", "token is longer than 8 KiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, read := range map[string]func(*http.Request) (string, error){"BearerToken": roles.BearerToken, "HeaderToken": roles.HeaderToken} {
				want := test.want
				if name == "HeaderToken" {
					want = test.wantInHeader
				}
				got, err := read(test.request)
				if got != want {
					t.Errorf("%s: got %.20q, want %.20q", name, got, want)
				}
				if test.reason == "" {
					if err != nil {
						t.Errorf("%s: got error %v", name, err)
					}
					continue
				}
				if got := refusal(t, err); got != (roles.AuthError{Code: "invalid_request", Reason: test.reason}) {
					t.Errorf("%s: got %+v, want %q", name, got, test.reason)
				}
			}
		})
	}
}

func TestTooLongTokenOfAQueryIsRefused(t *testing.T) {
	r := request(http.MethodGet, strings.Repeat("x", roles.MaxTokenBytes+1), "Upgrade: websocket")
	got, err := roles.BearerToken(r)
	if reason := refusal(t, err).Reason; got != "" || reason != "token is longer than 8 KiB" {
		t.Errorf("got %.20q, %q, want the reason", got, reason)
	}
}

func TestChallenge(t *testing.T) {
	for _, test := range []struct {
		err  roles.AuthError
		want string
	}{
		{roles.AuthError{Reason: "no bearer token"}, `Bearer realm="tidings"`},
		{
			roles.AuthError{Code: "invalid_request", Reason: "authorization scheme is not Bearer"},
			`Bearer realm="tidings", error="invalid_request", error_description="authorization scheme is not Bearer"`,
		},
		// RFC 6750 §3: no quotes, backslashes or anything outside of ASCII.
		{
			roles.AuthError{Code: "invalid_token", Reason: "claim a\"b\\c\r\nd ä~\x7f"},
			`Bearer realm="tidings", error="invalid_token", error_description="claim a'b'c''d '~'"`,
		},
	} {
		if got := test.err.WWWAuthenticate(); got != test.want {
			t.Errorf("%+v:\n got %s\nwant %s", test.err, got, test.want)
		}
		if !errors.Is(&test.err, roles.ErrUnauthenticated) {
			t.Errorf("%+v is not ErrUnauthenticated", test.err)
		}
	}
}
