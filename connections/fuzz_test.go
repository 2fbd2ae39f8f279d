package connections_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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
		{"negotiateVersion=1&useStatefulReconnect=true", ""},
		{"useStatefulReconnect=TRUE&negotiateVersion=0", ""},
		{"negotiateVersion=1&useStatefulReconnect=true&useStatefulReconnect=false", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	s := connections.NewServer(handler(stay), connections.Options{MaxWaiting: 1000, DisconnectTimeout: 1, StatefulReconnect: true, Origins: []string{"https://app.example"}})
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
			UseStatefulReconnect          *bool
			AvailableTransports           []struct{ Transport string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%q: got %d %s, %v", query, w.Code, w.Body, err)
		}
		switch {
		case got.Error != "":
			if got.NegotiateVersion != nil || got.AvailableTransports != nil || got.ConnectionID != "" || got.ConnectionToken != "" {
				t.Errorf("%q: got an error and a connection: %s", query, w.Body)
			}
		case got.NegotiateVersion == nil, *got.NegotiateVersion < 0, *got.NegotiateVersion > 1, len(got.ConnectionID) != 22,
			(*got.NegotiateVersion == 1) != (len(got.ConnectionToken) == 22), got.ConnectionID == got.ConnectionToken:
			t.Errorf("%q: got %s", query, w.Body)
		case len(got.AvailableTransports) != 3, got.UseStatefulReconnect != nil && (!*got.UseStatefulReconnect || *got.NegotiateVersion == 0):
			t.Errorf("%q: got %s", query, w.Body)
		}
		if allowed := w.Header().Get("Access-Control-Allow-Origin"); allowed != "" && allowed != origin {
			t.Errorf("%q: allowed origin %q", origin, allowed)
		}
	})
}

// FuzzHalves: whatever is sent in whatever pieces is received, and what is
// said in answer is polled, with nothing missing, twice or out of order.
func FuzzHalves(f *testing.F) {
	f.Add([]byte("hello"), uint16(1), uint16(1))
	f.Add([]byte("a record\x1eand another\x1e"), uint16(3), uint16(10))
	f.Add([]byte("\x00\xff\r\n\r\n"), uint16(2), uint16(65535))
	f.Add(bytes.Repeat([]byte("0123456789"), 2000), uint16(7001), uint16(50))
	f.Add([]byte{}, uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, sent []byte, piece, buffer uint16) {
		s := connections.NewServer(handler(echo), connections.Options{ReceiveBuffer: int(buffer), SendBuffer: int(buffer)})
		ask := func(method, suffix string, body []byte) *httptest.ResponseRecorder {
			var reader io.Reader = http.NoBody
			if body != nil {
				reader = bytes.NewReader(body)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://tidings.example/hub"+suffix, reader))
			return w
		}
		var n struct{ ConnectionID string }
		if err := json.Unmarshal(ask(http.MethodPost, "/negotiate", nil).Body.Bytes(), &n); err != nil {
			t.Fatal(err)
		}
		suffix := "?id=" + n.ConnectionID
		ask(http.MethodGet, suffix, nil)
		over := make(chan struct{})
		go func() {
			defer close(over)
			for part := range slices.Chunk(sent, max(int(piece), 1+len(sent)/50)) {
				if w := ask(http.MethodPost, suffix, part); w.Code != http.StatusOK {
					t.Errorf("POST of %d bytes: got %d %s", len(part), w.Code, w.Body)
				}
			}
		}()
		var heard []byte
		for len(heard) < len(sent) {
			w := ask(http.MethodGet, suffix, nil)
			if w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Fatalf("poll: got %d %s", w.Code, w.Body)
			}
			heard = append(heard, w.Body.Bytes()...)
		}
		<-over
		if !bytes.Equal(heard, sent) {
			t.Errorf("got %q, want %q", heard, sent)
		}
		if w := ask(http.MethodDelete, suffix, nil); w.Code != http.StatusAccepted {
			t.Errorf("DELETE: got %d", w.Code)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}
