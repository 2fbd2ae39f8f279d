package hub_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/actors"
	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/notifications"
)

// Operators see who is connected, with which device, and end a connection so that
// its client comes back.
func TestInspection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, hub.Options{})
		s := hubtest.ServePipes(t, h, connections.Options{})
		ann := s.Connect("ann", "device=phone", "ops")
		s.Connect("bob", "")
		settle(ann)
		page, err := h.Connections(t.Context(), actors.ConnectionQuery{User: "ann"})
		if err != nil || page.Total != 2 || page.Matched != 1 || len(page.Items) != 1 {
			t.Fatalf("connections of ann: %+v, %v", page, err)
		}
		c := page.Items[0]
		if c.Device != "phone" || c.Hub != notifications.DefaultHub || c.User != "ann" || c.Phase != "live" {
			t.Errorf("ann: %+v", c)
		}
		if one, known, err := h.Connection(t.Context(), c.ID); !known || err != nil || one.Device != "phone" {
			t.Errorf("connection %s: %+v, known %v, %v", c.ID, one, known, err)
		}
		if groups, err := h.ActiveGroups(t.Context(), actors.GroupQuery{}); err != nil || len(groups.Items) != 1 || groups.Items[0].Recipient != notifications.ToRole("ops") {
			t.Errorf("groups: %+v, %v", groups, err)
		}
		if members, err := h.Members(t.Context(), notifications.ToRole("ops"), "", 0); err != nil || members.Total != 1 || members.Items[0].ID != c.ID {
			t.Errorf("members: %+v, %v", members, err)
		}
		if err := h.Trace("ann", time.Now().Add(time.Hour)); err != nil || len(h.Traced()) != 1 {
			t.Errorf("traced: %v, %v", h.Traced(), err)
		}
		h.Untrace("ann")
		if err := h.CloseConnection(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(settle(ann), ""); !strings.Contains(got, `"allowReconnect":true`) {
			t.Errorf("ann heard %s, want to be told to come back", got)
		}
		ann.End()
		synctest.Wait()
		if _, known, err := h.Connection(t.Context(), c.ID); known || err != nil {
			t.Errorf("connection %s is still there: %v", c.ID, err)
		}
		if err := h.CloseConnection(t.Context(), c.ID); !errors.Is(err, actors.ErrGone) {
			t.Errorf("closing it again: got %v, want ErrGone", err)
		}
	})
}
