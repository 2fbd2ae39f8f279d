package connections_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/connections"
	"tidings/hub/hubtest"
	"tidings/roles"
)

// negotiated reads the answer to negotiate.
func negotiated(t *testing.T, a answer) (id, token string) {
	t.Helper()
	var n struct{ ConnectionID, ConnectionToken string }
	if err := json.Unmarshal([]byte(a.body), &n); err != nil || a.status != http.StatusOK || n.ConnectionID == "" {
		t.Fatalf("negotiate: got %d %s, %v", a.status, a.body, err)
	}
	return n.ConnectionID, n.ConnectionToken
}

// signalr.md §2: status 200, application/json, a content length, and the
// properties in the order of the official server. Stateful reconnect is granted
// only if it is asked for, allowed and possible.
func TestNegotiateAnswer(t *testing.T) {
	const (
		ws         = `{"transport":"WebSockets","transferFormats":["Text","Binary"]}`
		sse        = `{"transport":"ServerSentEvents","transferFormats":["Text"]}`
		lp         = `{"transport":"LongPolling","transferFormats":["Text","Binary"]}`
		transports = `"availableTransports":[` + ws + "," + sse + "," + lp + "]}"
		version0   = `{"negotiateVersion":0,"connectionId":"ID",`
		version1   = `{"negotiateVersion":1,"connectionId":"ID","connectionToken":"ID",`
	)
	resumable := connections.Options{StatefulReconnect: true}
	for _, test := range []struct {
		name  string
		o     connections.Options
		query string
		want  string
	}{
		{"version 1", connections.Options{}, "?negotiateVersion=1", version1 + transports},
		{"version 0", connections.Options{}, "?negotiateVersion=0", version0 + transports},
		{"no version", connections.Options{}, "", version0 + transports},
		{"reconnect is not allowed", connections.Options{}, "?negotiateVersion=1&useStatefulReconnect=true", version1 + transports},
		{"reconnect", resumable, "?negotiateVersion=1&useStatefulReconnect=true", version1 + `"useStatefulReconnect":true,` + transports},
		{"reconnect, in capitals", resumable, "?negotiateVersion=2&USESTATEFULRECONNECT=True", version1 + `"useStatefulReconnect":true,` + transports},
		{"reconnect is not asked for", resumable, "?negotiateVersion=1", version1 + transports},
		{"reconnect is refused", resumable, "?negotiateVersion=1&useStatefulReconnect=false", version1 + transports},
		{"reconnect is no boolean", resumable, "?negotiateVersion=1&useStatefulReconnect=1", version1 + transports},
		{"reconnect with version 0", resumable, "?useStatefulReconnect=true", version0 + transports},
		{
			"reconnect without WebSockets",
			connections.Options{StatefulReconnect: true, Transports: []string{connections.LongPolling}},
			"?negotiateVersion=1&useStatefulReconnect=true", version1 + `"availableTransports":[` + lp + "]}",
		},
		{
			"another order, and a name that is none",
			connections.Options{Transports: []string{connections.LongPolling, "ForeverFrame", connections.WebSockets}},
			"?negotiateVersion=1", version1 + `"availableTransports":[` + lp + "," + ws + "]}",
		},
		{"none", connections.Options{Transports: []string{"ForeverFrame"}}, "", version0 + `"availableTransports":[]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := serve(t, connections.NewServer(handler(stay), test.o), http.MethodPost, "/negotiate"+test.query)
			got := regexp.MustCompile(`"[A-Za-z0-9_-]{22}"`).ReplaceAllString(a.body, `"ID"`)
			if a.status != http.StatusOK || got != test.want {
				t.Errorf("got %d %s, want 200 %s", a.status, got, test.want)
			}
			for name, want := range map[string]string{"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(a.body)), "Cache-Control": "no-store"} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// signalr.md §2, "Version rule": the answer has the lower version; what is no
// version is an error with status 200, and nothing but the error.
func TestNegotiateVersions(t *testing.T) {
	for _, test := range []struct {
		query   string
		version int
		problem string
	}{
		{"", 0, ""},
		{"negotiateVersion=", 0, ""},
		{"negotiateVersion=0", 0, ""},
		{"negotiateVersion=1", 1, ""},
		{"NEGOTIATEVERSION=1", 1, ""},
		{"tenant=7&negotiateversion=1&_=123", 1, ""},
		{"negotiateVersion=2", 1, ""},
		{"negotiateVersion=2147483648", 1, ""},
		{"negotiateVersion=-1", 0, "The client requested version '-1', but the server does not support this version."},
		{"negotiateVersion=1.0", 0, "The client requested a non-integer protocol version."},
		{"negotiateVersion=one", 0, "The client requested a non-integer protocol version."},
		{"negotiateVersion=99999999999999999999", 0, "The client requested a non-integer protocol version."},
	} {
		t.Run(test.query, func(t *testing.T) {
			a := serve(t, connections.NewServer(handler(stay), connections.Options{}), http.MethodPost, "/negotiate?"+test.query)
			if test.problem != "" {
				want, err := json.Marshal(map[string]string{"error": test.problem})
				if err != nil {
					t.Fatal(err)
				}
				if a.status != http.StatusOK || a.body != string(want) {
					t.Errorf("got %d %s, want 200 %s", a.status, a.body, want)
				}
				return
			}
			id, token := negotiated(t, a)
			if !strings.HasPrefix(a.body, fmt.Sprintf(`{"negotiateVersion":%d,`, test.version)) || (token != "") != (test.version > 0) || token == id {
				t.Errorf("got %s, want version %d", a.body, test.version)
			}
		})
	}
}

// signalr.md §2, "Id and token", and §13.20: 16 random bytes each, which have
// nothing to do with each other.
func TestNegotiateIDs(t *testing.T) {
	s := connections.NewServer(handler(stay), connections.Options{})
	known := map[string]bool{}
	for range 1000 {
		id, token := negotiated(t, serve(t, s, http.MethodPost, "/negotiate?negotiateVersion=1"))
		for _, text := range []string{id, token} {
			if b, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(b) != 16 || known[text] {
				t.Fatalf("got %q: %d bytes, %v, known before: %v", text, len(b), err, known[text])
			}
			known[text] = true
		}
	}
}

// signalr.md §2: in version 1 the token is the key of the connection and its
// id is not; in version 0 the id is.
func TestNegotiateKeys(t *testing.T) {
	s := open(t, stay, connections.Options{})
	id, token := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	if ws, a := s.dial("id=" + id); ws != nil || a.status != http.StatusNotFound || a.body != unknown {
		t.Errorf("the id as key: got %d %q, want 404", a.status, a.body)
	}
	s.mustDial("ID=" + token)
	old, _ := negotiated(t, s.do(http.MethodPost, "/negotiate"))
	s.mustDial("id=" + old)
}

// signalr.md §1: negotiate is a POST.
func TestNegotiateMethods(t *testing.T) {
	s := open(t, stay, connections.Options{})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if a := s.do(method, "/negotiate"); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != http.MethodPost || a.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: got %d, Allow %q, want 405 and POST", method, a.status, a.header.Get("Allow"))
		}
	}
	// It may be asked for with an upgrade by mistake; that is no WebSocket.
	if a := s.do(http.MethodGet, "/negotiate", upgrade()...); a.status != http.StatusMethodNotAllowed {
		t.Errorf("upgrade: got %d, want 405", a.status)
	}
}

// A connection belongs to the user who negotiated it; another one may not even
// use it up.
func TestNegotiatedBelongsToItsUser(t *testing.T) {
	s := open(t, stay, connections.Options{Verifier: verifier(t, "")})
	ann, bob := mint(t, roles.Grant{UserID: "ann"}), mint(t, roles.Grant{UserID: "bob"})
	_, token := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1", "Authorization", "Bearer "+ann))
	for range 2 {
		if ws, a := s.dial("id="+token, "Authorization", "Bearer "+bob); ws != nil || a.status != http.StatusForbidden {
			t.Errorf("another user: got %d, want 403", a.status)
		}
	}
	s.mustDial("id="+token, "Authorization", "Bearer "+ann)
}

// signalr.md §2, last point: a connection that no transport comes for is gone
// after the disconnect timeout.
func TestNegotiatedExpires(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
		after   time.Duration
		status  int
	}{
		{"default, in time", 0, 15 * time.Second, http.StatusSwitchingProtocols},
		{"default, late", 0, 15*time.Second + 1, http.StatusNotFound},
		{"short, in time", time.Second, time.Second, http.StatusSwitchingProtocols},
		{"short, late", time.Second, 2 * time.Second, http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := hubtest.ServePipes(t, handler(stay), connections.Options{DisconnectTimeout: test.timeout})
				token := hubtest.Token(t, "ann")
				_, key := s.Negotiate(token, "")
				time.Sleep(test.after)
				if _, a := s.Open(token, "id="+key); a.StatusCode != test.status {
					t.Errorf("after %v: got %d, want %d", test.after, a.StatusCode, test.status)
				}
			})
		})
	}
}

// signalr.md §13.10: connections that were negotiated and never used are
// bounded; the next one is told to come again.
func TestNegotiatedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hubtest.ServePipes(t, handler(stay), connections.Options{MaxWaiting: 3})
		token := hubtest.Token(t, "ann")
		full := func(when string, want int) {
			t.Helper()
			if a := s.Do(http.MethodPost, "/negotiate?negotiateVersion=1", token); a.StatusCode != want || (want != http.StatusOK && a.Header.Get("Retry-After") == "") {
				t.Errorf("%s: got %d %q, want %d", when, a.StatusCode, a.Text, want)
			}
		}
		var key string
		for range 3 {
			_, key = s.Negotiate(token, "")
		}
		full("with three waiting", http.StatusServiceUnavailable)
		s.MustOpen(token, "id="+key)
		full("when one has come", http.StatusOK)
		full("with three waiting again", http.StatusServiceUnavailable)
		s.MustOpen(token, "") // who skips negotiation does not wait
		time.Sleep(15*time.Second + 1)
		for range 3 {
			full("when they have expired", http.StatusOK)
		}
		full("in the end", http.StatusServiceUnavailable)
	})
}
