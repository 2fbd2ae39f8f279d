package roles

import (
	"errors"
	"net/http"
	"strings"
)

// MaxTokenBytes bounds a token.
const MaxTokenBytes = 8 << 10

// ErrUnauthenticated is what every [AuthError] is.
var ErrUnauthenticated = errors.New("unauthenticated")

// AuthError says why a request is answered with 401. Its text holds no part of
// the token.
type AuthError struct {
	// Code is invalid_request or invalid_token (RFC 6750 §3.1), or empty when
	// the request had no token at all.
	Code string
	// Reason is a short text for the caller.
	Reason string
}

// Error implements error.
func (e *AuthError) Error() string { return "unauthenticated: " + e.Reason }

// Unwrap makes errors.Is(err, ErrUnauthenticated) true.
func (e *AuthError) Unwrap() error { return ErrUnauthenticated }

// WWWAuthenticate is the header of the 401 (RFC 6750 §3).
func (e *AuthError) WWWAuthenticate() string {
	if e.Code == "" {
		return `Bearer realm="tidings"`
	}
	reason := strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < ' ' || r > '~' {
			return '\''
		}
		return r
	}, e.Reason)
	return `Bearer realm="tidings", error="` + e.Code + `", error_description="` + reason + `"`
}

func invalid(reason string) *AuthError { return &AuthError{Code: "invalid_token", Reason: reason} }

// BearerToken is the token of a request: from the Authorization header, or from
// access_token in the query, where browsers put it that cannot set a header for
// WebSockets and Server-Sent Events. No token is "" without an error; the error
// is an [*AuthError].
func BearerToken(r *http.Request) (string, error) {
	token, err := headerToken(r)
	if token == "" && err == nil {
		token = r.URL.Query().Get("access_token")
	}
	if len(token) > MaxTokenBytes {
		return "", &AuthError{Code: "invalid_request", Reason: "token is longer than 8 KiB"}
	}
	return token, err
}

// HeaderToken is the token of the Authorization header alone, for doors that
// no browser socket uses.
func HeaderToken(r *http.Request) (string, error) {
	token, err := headerToken(r)
	if len(token) > MaxTokenBytes {
		return "", &AuthError{Code: "invalid_request", Reason: "token is longer than 8 KiB"}
	}
	return token, err
}

func headerToken(r *http.Request) (string, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &AuthError{Code: "invalid_request", Reason: "authorization scheme is not Bearer"}
	}
	return strings.TrimSpace(token), nil
}
