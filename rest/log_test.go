package rest_test

import (
	"context"
	"slices"
	"time"

	"tidings/notifications"
	"tidings/notifications/notificationstest"
)

// epoch is that of every log of the tests.
const epoch = notificationstest.Epoch

// log is a log in memory that may fail to store. It implements
// notifications.Eraser, too, by remembering whom it was asked to erase.
type log struct {
	notificationstest.Log

	// fail are errors by how many events were stored before; each is told once.
	fail   map[int]error
	erased []string
}

func newLog(clock func() time.Time) *log {
	return &log{Log: notificationstest.Log{Now: clock}}
}

// failing is a log that fails once, after n events.
func failing(n int, err error) *log {
	l := newLog(now)
	l.fail = map[int]error{n: err}
	return l
}

func (l *log) stored() int { return int(l.State().Last) }

// event is the nth that was stored, from 0.
func (l *log) event(n int) notifications.Event {
	return l.Entry(notifications.Position(n + 1)).Event
}

func (l *log) Append(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	n := l.stored()
	if err := l.fail[n]; err != nil {
		delete(l.fail, n)
		return notifications.Receipt{}, err
	}
	return l.Log.Append(ctx, hub, e)
}

func (l *log) Erase(_ context.Context, hub, user string) (int, error) {
	l.erased = append(l.erased, hub+"/"+user)
	return len(l.erased), nil
}

// kept is what is kept of users beside their states, in memory: it implements
// notifications.Devices, Visits, Schedules, Audit and Records.
type kept struct {
	devices   map[string][]notifications.Device // by hub/user
	visits    map[string][]notifications.Visit
	scheduled map[string]notifications.Event // by hub/id
	audit     []notifications.AuditRecord
	rejected  map[string][]notifications.Rejection
}

type devices struct{ *kept }

func (devices) Load(context.Context, string, string, string) (notifications.Device, bool, error) {
	return notifications.Device{}, false, nil
}
func (devices) Save(string, string, string, notifications.Device)   {}
func (devices) Flush(context.Context, string, string, string) error { return nil }

func (d devices) Of(_ context.Context, hub, user string) ([]notifications.Device, error) {
	return d.devices[hub+"/"+user], nil
}

func (d devices) Erase(_ context.Context, hub, user string) error {
	delete(d.devices, hub+"/"+user)
	return nil
}

type visits struct{ *kept }

func (visits) Note(notifications.Visit) {}
func (v visits) Of(_ context.Context, hub, user string) ([]notifications.Visit, error) {
	return v.visits[hub+"/"+user], nil
}

func (v visits) Erase(_ context.Context, hub, user string) error {
	delete(v.visits, hub+"/"+user)
	return nil
}

func (k *kept) Schedule(_ context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	if old, waits := k.scheduled[hub+"/"+e.ID]; waits {
		return notifications.Receipt{ID: e.ID, Duplicate: true, ScheduledFor: old.NotBefore}, nil
	}
	k.scheduled[hub+"/"+e.ID] = e
	return notifications.Receipt{ID: e.ID, ScheduledFor: e.NotBefore}, nil
}

func (k *kept) Scheduled(_ context.Context, hub, id string) (notifications.Event, bool, error) {
	e, waits := k.scheduled[hub+"/"+id]
	return e, waits, nil
}

func (k *kept) Cancel(_ context.Context, hub, id string) (bool, error) {
	_, waits := k.scheduled[hub+"/"+id]
	delete(k.scheduled, hub+"/"+id)
	return waits, nil
}

func (k *kept) Record(r notifications.AuditRecord) { k.audit = append(k.audit, r) }

func (k *kept) About(_ context.Context, hub, id string) ([]notifications.AuditRecord, error) {
	return slices.DeleteFunc(slices.Clone(k.audit), func(r notifications.AuditRecord) bool { return r.Hub != hub || r.ID != id }), nil
}

func (k *kept) Rejections(_ context.Context, hub, id string) ([]notifications.Rejection, error) {
	return k.rejected[hub+"/"+id], nil
}
