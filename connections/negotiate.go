package connections

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// negotiation is the answer to negotiate. The order of its fields is that of
// the official server (TransportProtocols, "POST [endpoint-base]/negotiate").
type negotiation struct {
	NegotiateVersion    int         `json:"negotiateVersion"`
	ConnectionID        string      `json:"connectionId"`
	ConnectionToken     string      `json:"connectionToken,omitempty"`
	AvailableTransports []transport `json:"availableTransports"`
}

type transport struct {
	Transport       string   `json:"transport"`
	TransferFormats []string `json:"transferFormats"`
}

// maxNegotiateVersion is the newest version this server speaks.
const maxNegotiateVersion = 1

func (s *Server) negotiate(w http.ResponseWriter, r *http.Request, c caller) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		s.refuse(w, http.StatusMethodNotAllowed, "Method not allowed.")
		return
	}
	version, problem := negotiateVersion(r)
	if problem != "" {
		// Errors of negotiate are answers with status 200.
		writeJSON(w, map[string]string{"error": problem})
		return
	}
	answer := negotiation{
		NegotiateVersion:    version,
		ConnectionID:        newID(),
		AvailableTransports: []transport{{WebSockets, []string{"Text", "Binary"}}},
	}
	token := answer.ConnectionID // version 0 has no token: the id is the key
	if version > 0 {
		answer.ConnectionToken = newID()
		token = answer.ConnectionToken
	}
	if !s.expect(token, negotiated{id: answer.ConnectionID, userID: c.principal.UserID, since: time.Now()}) {
		w.Header().Set("Retry-After", "1")
		s.refuse(w, http.StatusServiceUnavailable, "The server takes no new connections at the moment.")
		return
	}
	writeJSON(w, answer)
}

// negotiateVersion is the version to answer with, or what is wrong with the
// one asked for.
func negotiateVersion(r *http.Request) (version int, problem string) {
	text := queryValue(r, "negotiateVersion")
	if text == "" {
		return 0, ""
	}
	version, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, "The client requested a non-integer protocol version."
	case version < 0:
		return 0, "The client requested version '" + strconv.Itoa(version) + "', but the server does not support this version."
	}
	return min(version, maxNegotiateVersion), ""
}

// expect keeps a negotiated connection until its transport comes. Those that
// have waited too long are dropped here, so no timer is needed for them.
func (s *Server) expect(token string, n negotiated) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.since.Sub(s.lastSweep) >= time.Second || len(s.waiting) >= s.options.MaxWaiting {
		s.lastSweep = n.since
		for token, old := range s.waiting {
			if n.since.Sub(old.since) > s.options.DisconnectTimeout {
				delete(s.waiting, token)
			}
		}
	}
	if s.refusing || len(s.waiting) >= s.options.MaxWaiting {
		return false
	}
	s.waiting[token] = n
	return true
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // the caller may be gone; there is nobody to tell
}
