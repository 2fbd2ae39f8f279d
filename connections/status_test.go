package connections_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"tidings/connections"
)

// signalr.md §3, "HTTP statuses common to all transports", and §1 for the
// methods; error bodies are text/plain.
func TestStatuses(t *testing.T) {
	s := open(t, stay, connections.Options{})
	_, waiting := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	_, attached := negotiated(t, s.do(http.MethodPost, "/negotiate?negotiateVersion=1"))
	s.mustDial("id=" + attached)
	sse := []string{"Accept", "text/event-stream"}
	for _, test := range []struct {
		name, method, suffix string
		headers              []string
		status               int
		body                 string
	}{
		{"poll without an id", http.MethodGet, "", nil, 400, "Connection ID required"},
		{"poll with an empty id", http.MethodGet, "?id=", nil, 400, "Connection ID required"},
		{"events without an id", http.MethodGet, "", sse, 400, "Connection ID required"},
		{"send without an id", http.MethodPost, "", nil, 400, "Connection ID required"},
		{"end without an id", http.MethodDelete, "", nil, 400, "Connection ID required"},
		{"poll of an unknown one", http.MethodGet, "?id=nobody", nil, 404, "No Connection with that ID"},
		{"events of an unknown one", http.MethodGet, "?id=nobody", sse, 404, "No Connection with that ID"},
		{"send to an unknown one", http.MethodPost, "?id=nobody", nil, 404, "No Connection with that ID"},
		{"end of an unknown one", http.MethodDelete, "?id=nobody", nil, 404, "No Connection with that ID"},
		{"socket of an unknown one", http.MethodGet, "?id=nobody", upgrade(), 404, "No Connection with that ID"},
		{"events are not spoken", http.MethodGet, "?id=" + waiting, sse, 404, "ServerSentEvents transport not supported by this end point type"},
		{"polls are not spoken", http.MethodGet, "?id=" + waiting + "&_=17", nil, 404, "LongPolling transport not supported by this end point type"},
		{"send before a transport", http.MethodPost, "?id=" + waiting, nil, 404, "LongPolling transport not supported by this end point type"},
		{"end before a transport", http.MethodDelete, "?id=" + waiting, nil, 400, "Cannot terminate this connection using the DELETE endpoint."},
		{"poll of a socket", http.MethodGet, "?id=" + attached, nil, 400, "Cannot change transports mid-connection"},
		{"events of a socket", http.MethodGet, "?id=" + attached, sse, 400, "Cannot change transports mid-connection"},
		{"send to a socket", http.MethodPost, "?id=" + attached, nil, 405, "POST requests are not allowed for WebSocket connections."},
		{"send to a socket, key in capitals", http.MethodPost, "?ID=" + attached, nil, 405, "POST requests are not allowed for WebSocket connections."},
		{"end of a socket", http.MethodDelete, "?id=" + attached, nil, 400, "Cannot terminate this connection using the DELETE endpoint."},
		{"second socket", http.MethodGet, "?id=" + attached, upgrade(), 409, ""},
		{"put", http.MethodPut, "?id=" + attached, nil, 405, "Method not allowed."},
		{"patch", http.MethodPatch, "", nil, 405, "Method not allowed."},
		{"head", http.MethodHead, "", nil, 405, "Method not allowed."},
		{"socket by POST", http.MethodPost, "?id=" + waiting, upgrade(), 404, "LongPolling transport not supported by this end point type"},
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
	// None of that has used up the connection that waits, or hurt the other.
	s.mustDial("id=" + waiting)
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
		if a := s.do(http.MethodGet, "", upgrade()...); a.status != http.StatusBadRequest { // a recorder cannot be hijacked
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
