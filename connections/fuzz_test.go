package connections_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"tidings/connections"
)

// FuzzNegotiate: whatever the query and the headers, the answer is a
// connection or one error, and never both.
func FuzzNegotiate(f *testing.F) {
	for _, seed := range [][2]string{
		{"negotiateVersion=1", ""},
		{"negotiateVersion=-1", "https://app.example"},
		{"NEGOTIATEVERSION=9999999999999999999999", "null"},
		{"negotiateVersion=%31", ""},
		{"negotiateVersion=1&negotiateVersion=x", ""},
		{"negotiateVersion=+1", ""},
		{"%", ""},
		{"negotiateVersion=0x1", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	s := connections.NewServer(handler(stay), connections.Options{MaxWaiting: 1 << 30, Origins: []string{"https://app.example"}})
	f.Fuzz(func(t *testing.T, query, origin string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://tidings.example/hub/negotiate", http.NoBody)
		r.URL.RawQuery = query
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var got struct {
			Error                         string
			NegotiateVersion              *int
			ConnectionID, ConnectionToken string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%q: got %d %s, %v", query, w.Code, w.Body, err)
		}
		switch {
		case got.Error != "":
			if got.NegotiateVersion != nil || got.ConnectionID != "" || got.ConnectionToken != "" {
				t.Errorf("%q: got an error and a connection: %s", query, w.Body)
			}
		case got.NegotiateVersion == nil, *got.NegotiateVersion < 0, *got.NegotiateVersion > 1, len(got.ConnectionID) != 22,
			(*got.NegotiateVersion == 1) != (len(got.ConnectionToken) == 22), got.ConnectionID == got.ConnectionToken:
			t.Errorf("%q: got %s", query, w.Body)
		}
		if allowed := w.Header().Get("Access-Control-Allow-Origin"); allowed != "" && allowed != origin {
			t.Errorf("%q: allowed origin %q", origin, allowed)
		}
	})
}
