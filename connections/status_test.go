package connections_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"tidings/connections"
)

// The texts of the official server.
const (
	unnamed = "Connection ID required"
	unknown = "No Connection with that ID"
	changed = "Cannot change transports mid-connection"
	posted  = "POST requests are not allowed for WebSocket connections."
	deleted = "Cannot terminate this connection using the DELETE endpoint."
)

// kinds are the requests of a connection.
func kinds() map[string][]string {
	return map[string][]string{
		"poll":   {http.MethodGet},
		"events": {http.MethodGet, "Accept", "text/event-stream"},
		"socket": append([]string{http.MethodGet}, upgrade()...),
		"send":   {http.MethodPost},
		"end":    {http.MethodDelete},
	}
}

// signalr.md §3, "HTTP statuses common to all transports", and §1 for the
// methods; error bodies are text/plain.
func TestStatuses(t *testing.T) {
	s := open(t, stay, connections.Options{})
	waiting := s.token()
	for _, test := range []struct {
		name, method, suffix string
		headers              []string
		status               int
		body                 string
	}{
		{"poll without an id", http.MethodGet, "", nil, 400, unnamed},
		{"poll with an empty id", http.MethodGet, "?id=", nil, 400, unnamed},
		{"events without an id", http.MethodGet, "", kinds()["events"][1:], 400, unnamed},
		{"events come before sockets", http.MethodGet, "", upgrade("Accept", "text/event-stream"), 400, unnamed},
		{"send without an id", http.MethodPost, "", nil, 400, unnamed},
		{"end without an id", http.MethodDelete, "", nil, 400, unnamed},
		{"put", http.MethodPut, "?id=" + waiting, nil, 405, "Method not allowed."},
		{"patch", http.MethodPatch, "", nil, 405, "Method not allowed."},
		{"head", http.MethodHead, "?id=" + waiting, nil, 405, "Method not allowed."},
		{"options", http.MethodOptions, "", nil, 405, "Method not allowed."},
		{"socket by POST", http.MethodPost, "?id=" + waiting, upgrade(), 200, ""},
		{"socket of another version", http.MethodGet, "", append(upgrade(), "Sec-WebSocket-Version", "8"), 400, ""},
		{"socket without a key", http.MethodGet, "", append(upgrade(), "Sec-WebSocket-Key", "x"), 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := s.do(test.method, test.suffix, test.headers...)
			if a.status != test.status || (a.body != test.body && !strings.HasPrefix(a.body, "The WebSocket handshake is not valid: ")) {
				t.Errorf("got %d %q, want %d %q", a.status, a.body, test.status, test.body)
			}
			if got := a.header.Get("Content-Type"); got != "text/plain" {
				t.Errorf("Content-Type: got %q, want text/plain", got)
			}
			if allow := a.header.Get("Allow"); (allow != "") != (test.body == "Method not allowed.") {
				t.Errorf("Allow: got %q", allow)
			}
		})
	}
	// None of that has used up the connection that waits.
	s.mustDial("id=" + waiting)
}

// signalr.md §3: every request in every state of a connection. The headers of
// CORS are on all answers.
func TestStatusOfEveryState(t *testing.T) {
	const origin = "https://app.example"
	type status struct {
		status int
		body   string
	}
	none := status{404, unknown}
	gone := map[string]status{"poll": none, "events": none, "socket": none, "send": none, "end": none}
	states := map[string]map[string]status{
		"unknown":                 gone,
		"waiting":                 {"poll": {200, ""}, "events": {200, ":\r\n"}, "socket": {101, ""}, "send": {200, ""}, "end": {400, deleted}},
		"WebSockets":              {"poll": {400, changed}, "events": {400, changed}, "socket": {409, ""}, "send": {405, posted}, "end": {400, deleted}},
		"ServerSentEvents":        {"poll": {400, changed}, "events": {409, ""}, "socket": {400, changed}, "send": {200, ""}, "end": {400, deleted}},
		"LongPolling":             {"poll": {200, "news"}, "events": {400, changed}, "socket": {400, changed}, "send": {200, ""}, "end": {202, ""}},
		"WebSockets, over":        gone,
		"ServerSentEvents, over":  gone,
		"LongPolling, over":       gone,
		"WebSockets, id":          gone,
		"ServerSentEvents, id":    gone,
		"LongPolling, id":         gone,
		"waiting, id":             gone,
		"waiting, key in capital": {"send": {200, ""}, "end": {400, deleted}},
	}
	for state, answers := range states {
		for kind, want := range answers {
			t.Run(state+"/"+kind, func(t *testing.T) {
				s, conns := openServed(t, connections.Options{Origins: []string{origin}})
				r := kinds()[kind]
				suffix := s.bring(state, conns)
				response, err := s.request(t.Context(), r[0], suffix, nil, append(r[1:], "Origin", origin)...)
				if err != nil {
					t.Fatal(err)
				}
				body := make([]byte, len(want.body)) // streams do not end
				n, err := io.ReadFull(response.Body, body)
				if err != nil && len(body) > 0 {
					t.Error(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != want.status || string(body[:n]) != want.body {
					t.Errorf("got %d %q, want %d %q", response.StatusCode, body[:n], want.status, want.body)
				}
				kind := response.Header.Get("Content-Type")
				if want.status >= 400 && (kind != "text/plain" || response.ContentLength != int64(len(want.body))) {
					t.Errorf("got %d bytes of %q, want %d of text/plain", response.ContentLength, kind, len(want.body))
				}
				if want.status != http.StatusSwitchingProtocols && (response.Header.Get("Access-Control-Allow-Origin") != origin || response.Header.Get("Access-Control-Allow-Credentials") != "true") {
					t.Errorf("no headers of CORS: %v", response.Header)
				}
			})
		}
	}
}

// bring brings a connection into a state and returns the suffix of its
// requests.
func (s *site) bring(state string, conns <-chan *served) (suffix string) {
	s.t.Helper()
	id, token := negotiated(s.t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	suffix = "?id=" + token
	transport, more, _ := strings.Cut(state, ", ")
	switch transport {
	case "unknown":
		return "?id=nobody"
	case connections.WebSockets:
		s.mustDial("id=" + token)
	case connections.ServerSentEvents:
		if _, err := s.events(suffix).line(); err != nil {
			s.t.Fatal(err)
		}
	case connections.LongPolling:
		s.want(s.ask(http.MethodGet, suffix, ""), http.StatusOK, "")
	}
	switch more {
	case "id":
		return "?id=" + id
	case "key in capital":
		return "?ID=" + token
	case "over":
		c := wait(s.t, "the connection", conns)
		c.Abort()
		c.leave()
		wait(s.t, "the end", s.seen.ended)
	default:
		if transport != "waiting" {
			wait(s.t, "the connection", conns).say("news") // for a poll
		}
	}
	return suffix
}

// signalr.md §3: a transport that is not offered is 404 for a connection that
// is there, whatever its state.
func TestTransportsThatAreNotOffered(t *testing.T) {
	all := connections.Transports()
	kind := map[string]string{connections.WebSockets: "socket", connections.ServerSentEvents: "events", connections.LongPolling: "poll"}
	for i, only := range all {
		s, conns := openServed(t, connections.Options{Transports: []string{only, "ForeverFrame"}})
		attached := s.bring(only, conns)
		for j, other := range all {
			if i == j {
				continue
			}
			r := kinds()[kind[other]]
			for _, suffix := range []string{attached, "?id=" + s.token()} {
				s.want(s.do(r[0], suffix, r[1:]...), http.StatusNotFound, other+" transport not supported by this end point type")
			}
			s.want(s.do(r[0], "?id=nobody", r[1:]...), http.StatusNotFound, unknown)
		}
		if only != connections.WebSockets {
			s.want(s.do(http.MethodGet, "", upgrade()...), http.StatusNotFound, "WebSockets transport not supported by this end point type")
		}
	}
}

// A GET with a body would wait for the rest of it.
func TestGetHasNoBody(t *testing.T) {
	s := open(t, stay, connections.Options{})
	for _, accept := range []string{"*/*", "text/event-stream"} {
		a := s.ask(http.MethodGet, "?id="+s.token(), "body", "Accept", accept)
		s.want(a, http.StatusBadRequest, "GET requests have no body.")
	}
}

// signalr.md §3: the second socket of a connection is refused while the first
// is there, and the connection is gone with it.
func TestStatusOfASecondSocket(t *testing.T) {
	s := open(t, stay, connections.Options{})
	_, key := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	first := s.mustDial("id=" + key)
	if ws, a := s.dial("id=" + key); ws != nil || a.status != http.StatusConflict || a.body != "" {
		t.Errorf("while the first is there: got %d %q, want 409", a.status, a.body)
	}
	if err := first.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end of the first", s.seen.ended)
	if ws, a := s.dial("id=" + key); ws != nil || a.status != http.StatusNotFound {
		t.Errorf("when the first has gone: got %d %q, want 404", a.status, a.body)
	}
}

// signalr.md §1: without an id a socket makes a new connection; unknown query
// values are ignored and reach the application, secrets do not.
func TestSkippedNegotiation(t *testing.T) {
	conns := make(chan *connections.Conn, 2)
	s := open(t, func(ctx context.Context, c *connections.Conn) { conns <- c; stay(ctx, c) }, connections.Options{})
	s.mustDial("Tenant=a&tenant=b&ACCESS_token=secret&access_token=secret&Id=&negotiateVersion=9")
	first := wait(t, "the first", conns)
	s.mustDial("")
	second := wait(t, "the second", conns)
	if got := first.Query().Encode(); got != "Tenant=a&negotiateVersion=9&tenant=b" {
		t.Errorf("query: got %q, want it without secrets", got)
	}
	if first.ID() == second.ID() || len(first.ID()) != 22 {
		t.Errorf("ids: got %q and %q", first.ID(), second.ID())
	}
	if first.Principal().UserID != "" || first.Transport() != "WebSockets" || !strings.HasPrefix(first.RemoteAddr(), "127.0.0.1:") {
		t.Errorf("got %q, %q, %q", first.Principal().UserID, first.Transport(), first.RemoteAddr())
	}
}

// An upgrade that fails leaves nothing behind.
func TestFailedUpgradeIsForgotten(t *testing.T) {
	s := open(t, stay, connections.Options{})
	for range 3 {
		if a := serve(t, s, http.MethodGet, "", upgrade()...); a.status != http.StatusBadRequest { // a recorder cannot be hijacked
			t.Errorf("got %d %q, want 400", a.status, a.body)
		}
	}
	if got := s.seen.statuses(); got != "[400 400 400]" {
		t.Errorf("observed: got %s, want three times 400", got)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}
