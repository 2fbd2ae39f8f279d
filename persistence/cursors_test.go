package persistence_test

import (
	"fmt"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

func openCursors(t *testing.T, n *persistence.NATS) *persistence.Cursors {
	t.Helper()
	cursors, err := persistence.OpenCursors(t.Context(), n, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cursors
}

func device(p, sent notifications.Position) notifications.Device {
	return notifications.Device{Cursor: notifications.Cursor{Epoch: 1, Position: p}, Sent: sent}
}

// names are the devices of a user and how far each has come.
func names(t *testing.T, c *persistence.Cursors, user string) string {
	t.Helper()
	devices, err := c.Of(t.Context(), hub, user)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, d := range devices {
		all = append(all, fmt.Sprint(d.Name, " ", d.Cursor.Position, " ", d.Sent))
	}
	return fmt.Sprint(all)
}

// The devices of a user can be listed, those that nobody has written yet too, and
// erased.
func TestDevicesOfAUser(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	cursors, other := openCursors(t, conn), openCursors(t, conn)
	if got := names(t, cursors, "ann"); got != "[]" {
		t.Errorf("of nobody: got %s", got)
	}
	cursors.Save(hub, "ann", "phone. *>", device(5, 7))
	cursors.Save(hub, "ann", "desk", device(3, 3))
	cursors.Save(hub, "bob", "desk", device(9, 9))
	for _, d := range []string{"phone. *>", "desk"} {
		if err := cursors.Flush(t.Context(), hub, "ann", d); err != nil {
			t.Fatal(err)
		}
	}
	cursors.Save(hub, "ann", "desk", device(4, 6))
	cursors.Save(hub, "ann", "watch", device(1, 1))
	if got := names(t, cursors, "ann"); got != "[desk 4 6 phone. *> 5 7 watch 1 1]" {
		t.Errorf("here: got %s", got)
	}
	if got := names(t, other, "ann"); got != "[desk 3 3 phone. *> 5 7]" {
		t.Errorf("on another node: got %s", got)
	}
	if err := cursors.Flush(t.Context(), hub, "bob", "desk"); err != nil {
		t.Fatal(err)
	}
	if err := cursors.Erase(t.Context(), hub, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"phone. *>", "desk", "watch"} {
		if err := cursors.Flush(t.Context(), hub, "ann", d); err != nil {
			t.Fatal(err)
		}
		if _, known, err := cursors.Load(t.Context(), hub, "ann", d); known || err != nil {
			t.Errorf("%s after Erase: got %v, %v", d, known, err)
		}
	}
	if got := names(t, other, "ann"); got != "[]" {
		t.Errorf("after Erase: got %s", got)
	}
	if got := names(t, other, "bob"); got != "[desk 9 9]" {
		t.Errorf("another user: got %s", got)
	}
}

// What is saved does not go back within an epoch, and all of it is kept.
func TestWhatIsKeptOfADevice(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	cursors := openCursors(t, conn)
	acked := time.UnixMilli(5000).UTC()
	first := device(5, 8)
	first.AckedAt = acked
	cursors.Save(hub, "ann", "d", first)
	cursors.Save(hub, "ann", "d", device(4, 6))
	if err := cursors.Flush(t.Context(), hub, "ann", "d"); err != nil {
		t.Fatal(err)
	}
	d, known, err := openCursors(t, conn).Load(t.Context(), hub, "ann", "d")
	if err != nil || !known || d.Cursor.Position != 5 || d.Sent != 8 || !d.AckedAt.Equal(acked) || d.Name != "d" {
		t.Errorf("got %+v, %v, %v", d, known, err)
	}
	cursors.Save(hub, "ann", "d", device(9, 9))
	anew := notifications.Device{Cursor: notifications.Cursor{Epoch: 2, Position: 1}, Sent: 1}
	cursors.Save(hub, "ann", "d", anew)
	if d, _, err = cursors.Load(t.Context(), hub, "ann", "d"); err != nil || d.Cursor != anew.Cursor || d.Sent != 1 {
		t.Errorf("in a log made anew: got %+v, %v", d, err)
	}
}
