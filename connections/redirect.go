package connections

import (
	"net/http"
	"strings"
)

// Redirection is where a client is to negotiate again.
type Redirection struct {
	// URL is that of a hub, absolute. The client keeps its query.
	URL string `json:"url"`
	// AccessToken is the bearer token the client uses from then on instead of
	// its own; empty = it keeps its own.
	AccessToken string `json:"accessToken,omitempty"`
}

// NewRedirect makes an endpoint whose negotiate sends clients elsewhere, with
// the rules of Options for origins and tokens. It is mounted like a Server.
func NewRedirect(o Options, to func(r *http.Request) Redirection) http.Handler {
	g := newGate(o.withDefaults())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok := g.enter(w, r)
		switch {
		case !ok:
		case !strings.HasSuffix(r.URL.Path, "/negotiate"):
			g.refuse(w, refusal{http.StatusNotFound, "This end point only negotiates."})
		case r.Method != http.MethodPost:
			g.notAllowed(w, http.MethodPost)
		default:
			writeJSON(w, to(r))
		}
	})
}
