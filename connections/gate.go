package connections

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"tidings/roles"
)

// gate is what every request passes first: where does it come from, and who
// makes it.
type gate struct {
	options Options
	origins origins
}

func newGate(o Options) gate {
	return gate{options: o, origins: newOrigins(o.Origins, o.AllowLocalhost)}
}

// caller is who makes a request.
type caller struct {
	principal roles.Principal
	token     string
}

// enter answers the requests that may not go on.
func (g *gate) enter(w http.ResponseWriter, r *http.Request) (caller, bool) {
	switch g.origins.check(w, r) {
	case http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
		return caller{}, false
	case http.StatusForbidden:
		g.refuse(w, refusal{http.StatusForbidden, "Origin not allowed."})
		return caller{}, false
	}
	return g.authenticate(w, r)
}

// authenticate answers 401 before anything else happens, as for every request
// of the endpoint.
func (g *gate) authenticate(w http.ResponseWriter, r *http.Request) (caller, bool) {
	token, err := roles.BearerToken(r)
	token = strings.Clone(token) // it is a piece of the request, which would stay in memory
	if err == nil && g.options.Verifier == nil {
		return caller{token: token}, true
	}
	var principal roles.Principal
	if err == nil {
		principal, err = g.options.Verifier.Verify(r.Context(), token)
	}
	if err == nil {
		return caller{principal, token}, true
	}
	var auth *roles.AuthError
	if !errors.As(err, &auth) {
		g.options.Logger.ErrorContext(r.Context(), "token cannot be verified", slog.Any("error", err))
		g.refuse(w, refusal{http.StatusServiceUnavailable, "Tokens cannot be verified at the moment."})
		return caller{}, false
	}
	w.Header().Set("WWW-Authenticate", auth.WWWAuthenticate())
	g.refuse(w, refusal{http.StatusUnauthorized, ""})
	return caller{}, false
}

// refusal is an HTTP answer that refuses, as an error.
type refusal struct {
	status int
	text   string
}

// Error implements error.
func (r refusal) Error() string { return http.StatusText(r.status) + ": " + r.text }

func (g *gate) refuse(w http.ResponseWriter, err error) {
	why := refusal{status: http.StatusInternalServerError}
	_ = errors.As(err, &why) // every error that comes here is one
	g.options.Observer.Refused(why.status)
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	switch why.status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(why.status)
	_, _ = w.Write([]byte(why.text)) // plain text; if the caller is gone there is nobody to tell
}

// notAllowed refuses a method, and names those that are known.
func (g *gate) notAllowed(w http.ResponseWriter, methods string) {
	w.Header().Set("Allow", methods)
	g.refuse(w, refusal{http.StatusMethodNotAllowed, "Method not allowed."})
}
