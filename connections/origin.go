package connections

import (
	"net/http"
	"net/url"
	"strings"
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

// allow sets the CORS headers, also for answers that refuse, and answers a
// preflight itself. It returns false when the request has been answered.
func (o origins) allow(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
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
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				h.Set("Access-Control-Allow-Headers", asked)
			}
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
		return false
	case !known && strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		http.Error(w, "Origin not allowed.", http.StatusForbidden)
		return false
	}
	return true
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
