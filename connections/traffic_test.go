package connections_test

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"tidings/connections"
)

// What comes and goes is counted, over every transport.
func TestTraffic(t *testing.T) {
	for _, test := range []struct {
		transport string
		talk      func(t *testing.T, s *site)
		want      connections.Traffic
	}{
		{connections.WebSockets, func(t *testing.T, s *site) {
			t.Helper()
			ws := s.mustDial("")
			if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, got, err := ws.ReadMessage(); err != nil || string(got) != "hello" {
				t.Fatalf("got %q, %v", got, err)
			}
			if err := ws.WriteMessage(websocket.CloseMessage, []byte{1000 >> 8, 1000 & 0xff}); err != nil {
				t.Fatal(err)
			}
			wait(t, "the end", s.seen.ended)
		}, connections.Traffic{Received: 5, Sent: 2 + 5 + 2 + 2}}, // with the heads of the frames, and the answer to the last
		{connections.LongPolling, func(t *testing.T, s *site) {
			t.Helper()
			query := s.polled()
			s.want(s.ask(http.MethodPost, query, "hello"), http.StatusOK, "")
			s.want(s.ask(http.MethodGet, query, ""), http.StatusOK, "hello")
		}, connections.Traffic{Received: 5, Sent: 5}},
	} {
		t.Run(test.transport, func(t *testing.T) {
			s := open(t, echo, connections.Options{})
			test.talk(t, s)
			if got := s.Traffic(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
