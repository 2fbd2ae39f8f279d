package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
	"tidings/roles"
)

// On the real log: an id is stored once, everybody hears an event once, and a
// device hears what it has missed.
func TestNotificationsOnTheLog(t *testing.T) {
	var n *hub.Notifications
	ready := make(chan struct{})
	log := persistencetest.Run(t, persistence.Options{}, func(ctx context.Context, b notifications.Batch) error {
		<-ready
		return n.Deliver(ctx, b)
	})
	cursors, err := persistence.OpenCursors(t.Context(), log.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err = hub.NewNotifications(hub.Options{
		Policy: roles.DefaultPolicy(), Durable: &hub.Durable{Reader: log, Devices: cursors}, Backplane: log,
	}, notifications.NewCommands(notifications.CommandsOptions{Log: log}))
	if err != nil {
		t.Fatal(err)
	}
	close(ready)
	s := hubtest.Serve(t, n, connections.Options{})

	ann := s.Connect("ann", "device=phone")
	if got := ann.Receive(); got != said("Connected", ann.ID) {
		t.Errorf("got %s, want Connected", got)
	}
	if got := ann.Receive(); !strings.HasPrefix(got, `{"type":1,"target":"Resumed","arguments":[{"cursor":"`) {
		t.Errorf("got %s, want Resumed", got)
	}
	event := json.RawMessage(`{"id":"the-one","title":"t"}`)
	ann.Send(call("1", "JoinGroup", "g"), call("2", "SendToSelf", event), call("3", "SendToSelf", event), call("4", "SendToSelf", "two"))
	heard := until(t, ann, "two")
	if got := fmt.Sprint(heard); got != "[1:the-one:t 2:two]" {
		t.Errorf("heard %s, want each event once", got)
	}
	ann.Cut()

	bob := s.Connect("bob", "", "emitter")
	bob.Send(call("1", "BroadcastToGroup", "g", "three"), call("2", "SendPersonalNotification", "bob", "for bob"))
	until(t, bob, "for bob")
	ann = s.Connect("ann", "device=phone")
	if got := fmt.Sprint(until(t, ann, "three")); got != "[1:the-one:t 2:two 3:three]" {
		t.Errorf("the device came back and heard %s, want what it did not acknowledge", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := n.CloseAll(ctx, 0); err != nil {
		t.Errorf("CloseAll: %v", err)
	}
}

// until collects what a browser hears, up to an event of that body.
func until(t *testing.T, b *hubtest.Browser, body string) []string {
	t.Helper()
	var heard []string
	for {
		var m struct {
			Target    string
			Arguments []struct {
				ID          string
				Position    int
				Title, Body string
			}
			Error string
		}
		r := b.Receive()
		if strings.Contains(r, `"Connected"`) {
			continue
		}
		if err := json.Unmarshal([]byte(r), &m); err != nil || m.Error != "" {
			t.Fatalf("heard %s, %v", r, err)
		}
		if m.Target != notifications.DefaultTarget {
			continue
		}
		e := m.Arguments[0]
		if e.Title != "" {
			heard = append(heard, fmt.Sprintf("%d:%s:%s", e.Position, e.ID, e.Title))
			continue
		}
		heard = append(heard, fmt.Sprintf("%d:%s", e.Position, e.Body))
		if e.Body == body {
			return heard
		}
	}
}

// Tokens, keys and payloads are never logged, at whatever level (style.md 2.8).
func TestSecretsAreNotLogged(t *testing.T) {
	var logs journal
	h := newHouse(t, hub.Options{Logger: logs.logger()})
	s := hubtest.Serve(t, h, connections.Options{Logger: logs.logger()})
	token := hubtest.Token(t, "ann")
	id, key := s.Negotiate(token, "")
	b := s.MustOpen(token, "id="+key+"&cursor=nonsense")
	b.ShakeHands()
	b.Send(call("1", "SendToSelf", "payload-1"), call("2", "None", "payload-2"), call("3", "Ack", "payload-3"), tell("JoinGroup", 4))
	h.fail(fmt.Errorf("disk failure"))
	b.Send(call("5", "SendToSelf", "payload-5"), `{"type":1,"payload-6"`)
	b.End()
	s.Do("GET", "?id="+key, "bad."+token)
	if text := logs.String(); !strings.Contains(text, id) || !strings.Contains(text, "disk failure") {
		t.Errorf("the log does not tell of the connection and its failure:\n%s", text)
	}
	for _, secret := range []string{token, key, "payload-"} {
		if strings.Contains(logs.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, logs.String())
		}
	}
}
