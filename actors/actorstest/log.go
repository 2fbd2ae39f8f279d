package actorstest

import (
	"cmp"
	"fmt"
	"time"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
)

// Epoch is the epoch of every [Log].
const Epoch = notificationstest.Epoch

// Log is a log in memory whose entries are all alike but for their position: the
// time of an entry is as many milliseconds after 1970. It implements
// notifications.Library and is safe for concurrent use.
type Log struct{ notificationstest.Log }

// Append stores an event and returns its entry. One without an id gets "e" and
// its position; nothing else but its target is completed.
func (l *Log) Append(hub string, e notifications.Event) *notifications.Entry {
	return l.Put(func(p notifications.Position) *notifications.Entry {
		e.ID = cmp.Or(e.ID, fmt.Sprintf("e%d", p))
		if e.Recalls != "" {
			e.Target = cmp.Or(e.Target, notifications.RecalledTarget)
		}
		e.Target = cmp.Or(e.Target, notifications.DefaultTarget)
		return &notifications.Entry{Position: p, Hub: hub, Event: e, Stored: time.UnixMilli(int64(p)).UTC()}
	})
}
