package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"tidings/telemetry"
)

// From the id of an event an operator comes to its emitter and to its delivery,
// with nothing but the program.
func TestTracesWithoutACollector(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications", node.token(t, "ann"))
	node.live(t)
	ann.invoke("SendToSelf", "x")
	alert, _ := ann.alert()
	base := "http://" + node.ops + "/v1/traces"
	var found []telemetry.TraceSummary
	waitFor(t, "the trace is complete", func() bool {
		status, body := get(t, base+"?text="+alert.ID)
		if status != http.StatusOK || json.Unmarshal([]byte(body), &found) != nil {
			t.Fatalf("got %d %s", status, body)
		}
		return len(found) == 1 && found[0].Spans == 3
	})
	if found[0].Name != "NotificationHub/SendToSelf" || found[0].Failed != 0 {
		t.Errorf("got %+v", found[0])
	}
	_, body := get(t, base+"/"+found[0].TraceID)
	var spans []telemetry.Span
	if err := json.Unmarshal([]byte(body), &spans); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range spans {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "NotificationHub/SendToSelf, publish tidings.log.notifications.user.{key}, deliver notification" {
		t.Errorf("got %s", got)
	}
	for path, want := range map[string]int{
		"?least=x": http.StatusBadRequest, "?limit=0": http.StatusBadRequest, "?colour=red": http.StatusBadRequest, "?failed=maybe": http.StatusBadRequest,
		"/xyz": http.StatusBadRequest, "/" + strings.Repeat("1", 32): http.StatusNotFound, "?failed=true&least=1h&limit=3&service=shop": http.StatusOK,
	} {
		if status, body := get(t, base+path); status != want {
			t.Errorf("%s: got %d %s, want %d", path, status, body, want)
		}
	}
}
