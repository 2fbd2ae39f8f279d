package connections

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"
)

// origins are who may call from another host's pages. The same list serves
// CORS and the WebSocket upgrade, which browsers do not put under CORS.
type origins struct {
	exact     map[string]bool
	localhost bool
}

func newOrigins(list []string, localhost bool) origins {
	o := origins{exact: make(map[string]bool, len(list)), localhost: localhost}
	for _, origin := range list {
		o.exact[strings.ToLower(strings.TrimSuffix(origin, "/"))] = true
	}
	return o
}

// CrossOrigin lets pages of other hosts call an endpoint that is no hub: those
// that Origins and AllowLocalhost of the options name. Browsers keep the
// answers from pages of all others.
func CrossOrigin(o Options, next http.Handler) http.Handler {
	allowed := newOrigins(o.Origins, o.AllowLocalhost)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := allowed.check(w, r); status != 0 {
			w.WriteHeader(status)
			return
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			// What a page needs beside the body, and would not be shown.
			w.Header().Set("Access-Control-Expose-Headers", "ETag, Link, Retry-After, Content-Disposition")
		}
		next.ServeHTTP(w, r)
	})
}

// check sets the CORS headers, also for answers that refuse. It returns the
// status to answer with at once – a preflight is done with, a WebSocket of a
// page that may not call is refused – or 0.
func (o origins) check(w http.ResponseWriter, r *http.Request) (status int) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return 0
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	known := o.knows(origin, r.Host)
	if known {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	switch {
	case r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
		if known {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				h.Set("Access-Control-Allow-Headers", asked)
			}
			h.Set("Access-Control-Max-Age", "600")
		}
		return http.StatusNoContent
	case !known && websocket.IsWebSocketUpgrade(r):
		return http.StatusForbidden
	}
	return 0
}

func (o origins) knows(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, host) || o.exact[strings.ToLower(origin)] {
		return true
	}
	if !o.localhost || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}
