package connections

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// negotiation is the answer to negotiate. The order of its fields is that of
// the official server (TransportProtocols, "POST [endpoint-base]/negotiate").
type negotiation struct {
	NegotiateVersion     int         `json:"negotiateVersion"`
	ConnectionID         string      `json:"connectionId"`
	ConnectionToken      string      `json:"connectionToken,omitempty"`
	UseStatefulReconnect bool        `json:"useStatefulReconnect,omitempty"`
	AvailableTransports  []transport `json:"availableTransports"`
}

type transport struct {
	Transport       string   `json:"transport"`
	TransferFormats []string `json:"transferFormats"`
}

// available are the transports as negotiate names them.
func available(names []string) []transport {
	formats := map[string][]string{WebSockets: {"Text", "Binary"}, ServerSentEvents: {"Text"}, LongPolling: {"Text", "Binary"}}
	all := make([]transport, 0, len(names))
	for _, name := range names {
		if f, known := formats[name]; known {
			all = append(all, transport{name, f})
		}
	}
	return all
}

// maxNegotiateVersion is the newest version this server speaks.
const maxNegotiateVersion = 1

func (s *Server) negotiate(w http.ResponseWriter, r *http.Request, by caller) {
	if r.Method != http.MethodPost {
		s.notAllowed(w, http.MethodPost)
		return
	}
	version, problem := negotiateVersion(r)
	if problem != "" {
		// Errors of negotiate are answers with status 200.
		writeJSON(w, map[string]string{"error": problem})
		return
	}
	answer := negotiation{NegotiateVersion: version, ConnectionID: newID(), AvailableTransports: s.available}
	token := answer.ConnectionID // version 0 has no token: the id is the key
	if version > 0 {
		answer.ConnectionToken = newID()
		token = answer.ConnectionToken
		answer.UseStatefulReconnect = strings.EqualFold(queryValue(r, "useStatefulReconnect"), "true") && s.mayKeep(by.principal.UserID)
	}
	n := negotiated{id: answer.ConnectionID, userID: by.principal.UserID, since: time.Now(), resumable: answer.UseStatefulReconnect}
	if !s.expect(token, n) {
		s.refuse(w, errNew)
		return
	}
	writeJSON(w, answer)
}

// expect lets a negotiated connection wait for its transport.
func (s *Server) expect(token string, n negotiated) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.refusing && s.lobby.add(token, n)
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
