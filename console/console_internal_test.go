package console

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tidings/actors"
	"tidings/notifications"
	"tidings/persistence"
	"tidings/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Who comes late is told of the last minutes, who stays of each second once.
func TestSamplesAreToldOnce(t *testing.T) {
	v := newOverview()
	if fresh, taken, _ := v.after(0); len(fresh) != 0 || taken != 0 || v.newest() != nil {
		t.Fatalf("of nothing: got %v, %d", fresh, taken)
	}
	for i := range samplesKept + 5 {
		v.add(Sample{Sent: int64(i)})
	}
	fresh, seen, next := v.after(0)
	if len(fresh) != samplesKept || fresh[0].Sent != 5 || v.newest().Sent != samplesKept+4 {
		t.Fatalf("got %d samples from %d on", len(fresh), fresh[0].Sent)
	}
	select {
	case <-next:
		t.Fatal("there is another one already")
	default:
	}
	v.add(Sample{Sent: -1})
	<-next
	if fresh, _, _ = v.after(seen); len(fresh) != 1 || fresh[0].Sent != -1 {
		t.Errorf("got %v", fresh)
	}
}

// A sample is what was done between two looks, and how things are now.
func TestSampleIsADifference(t *testing.T) {
	now := time.Unix(100, 0)
	var latencies telemetry.Histogram
	before := figures{
		at: now, totals: telemetry.Totals{Sent: 10, InvocationErrors: 1}, log: persistence.Stats{Followed: 7, Rejected: 2, Head: 5, Last: 5},
		latencies: latencies.Counts(),
	}
	latencies.Observe(time.Millisecond)
	latencies.Observe(time.Second)
	after := figures{
		at: now.Add(2 * time.Second), totals: telemetry.Totals{Sent: 25, InvocationErrors: 4}, log: persistence.Stats{Followed: 9, Rejected: 3, Head: 8, Last: 10},
		actors: actors.Stats{Connections: 3, Lagging: 1}, latencies: latencies.Counts(), usage: telemetry.Usage{User: time.Second}, load: .5,
	}
	s := after.since(before)
	if s.Sent != 15 || s.Events != 2 || s.Errors != 4 || s.Lag != 2 || s.Position != 8 || s.Connections != 3 || s.Lagging != 1 || s.CPU != .5 || s.Load != .5 {
		t.Errorf("got %+v", s)
	}
	if s.P50 == nil || *s.P50 < .9 || *s.P50 > 1.1 || s.P99 == nil || *s.P99 < 900 || *s.P99 > 1100 {
		t.Errorf("got p50 %v, p99 %v", s.P50, s.P99)
	}
	if s := after.since(after); s.P50 != nil || s.P99 != nil {
		t.Errorf("of nothing: got p50 %v, p99 %v", s.P50, s.P99)
	}
}

func entry(p notifications.Position, change func(*notifications.Event)) *notifications.Entry {
	e := &notifications.Entry{Position: p, Hub: "h", Event: notifications.Event{
		ID: "Id-1", Recipient: notifications.ToRole("ops"), Type: "order.shipped", Title: "A Parcel", Severity: notifications.Warning, Source: "shop", Emitter: "eve",
	}}
	if change != nil {
		change(&e.Event)
	}
	return e
}

func TestFilterOfTheLog(t *testing.T) {
	for _, test := range []struct {
		q    LogQuestion
		want bool
	}{
		{LogQuestion{}, true},
		{LogQuestion{Hub: "h", Recipient: "role/ops", Type: "order.shipped", Text: "parcel", Emitter: "eve", Severity: "warning"}, true},
		{LogQuestion{Type: "order.*"}, true},
		{LogQuestion{Type: "order."}, false},
		{LogQuestion{Text: "id-1"}, true},
		{LogQuestion{Text: "id-"}, false}, // an id is whole or none
		{LogQuestion{Text: "SHOP"}, true},
		{LogQuestion{Hub: "other"}, false},
		{LogQuestion{Recipient: "role/o"}, false},
		{LogQuestion{User: "ops"}, false},
		{LogQuestion{Emitter: "ann"}, false},
		{LogQuestion{Severity: "info"}, false},
	} {
		f, err := test.q.filter()
		if err != nil || f.wants(entry(1, nil)) != test.want {
			t.Errorf("%+v: got %v, error %v, want %v", test.q, !test.want, err, test.want)
		}
	}
	if _, err := (LogQuestion{Recipient: "nobody"}).filter(); err == nil || !strings.HasPrefix(err.Error(), "Recipient: ") {
		t.Errorf("a recipient that is none: got %v", err)
	}
}

// Who looks at the log holds nobody up: what is too much is counted.
func TestTailIsBounded(t *testing.T) {
	c := &Console{tail: newTail()}
	f, err := LogQuestion{Type: "wanted"}.filter()
	if err != nil {
		t.Fatal(err)
	}
	r := &tailReader{filter: f}
	batch := notifications.Batch{}
	for i := range tailLines + 10 {
		batch.Entries = append(batch.Entries, entry(notifications.Position(2*i+1), nil), entry(notifications.Position(2*i+2), func(e *notifications.Event) { e.Type = "wanted" }))
	}
	c.Hear(batch) // nobody looks
	if !c.tail.add(r) {
		t.Fatal("the first one may not look")
	}
	c.Hear(batch)
	entries, skipped := r.heard()
	if len(entries) != tailLines || skipped != 10 || entries[0].Position != 2 {
		t.Errorf("got %d entries from %d on, %d skipped", len(entries), entries[0].Position, skipped)
	}
	if entries, skipped = r.heard(); len(entries) != 0 || skipped != 0 {
		t.Errorf("once more: got %d, %d", len(entries), skipped)
	}
	for range tailMost - 1 {
		c.tail.add(&tailReader{})
	}
	if c.tail.add(&tailReader{}) {
		t.Error("more may look than are good")
	}
	c.tail.remove(r)
	if !c.tail.add(&tailReader{}) {
		t.Error("a place that was given back is not free")
	}
}

func TestTraceOfAnEvent(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	for parent, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01": id, "": "", "00-" + id: "", "00-xyz-00f067aa0ba902b7-01": "",
	} {
		if got := traceID(parent); got != want {
			t.Errorf("%q: got %q, want %q", parent, got, want)
		}
	}
}

func TestAuditLeavesOutWhatBuriesTheRest(t *testing.T) {
	record := func(action string) notifications.AuditRecord {
		return notifications.AuditRecord{Action: action, By: "root", User: "ann", ID: "e1"}
	}
	for _, test := range []struct {
		q    AuditQuestion
		want string
	}{
		{AuditQuestion{}, "erased"},
		{AuditQuestion{Looks: true}, "looked erased"},
		{AuditQuestion{User: "ann"}, "emitted erased"},
		{AuditQuestion{User: "root", Looks: true}, "emitted looked erased"},
		{AuditQuestion{ID: "e1"}, "emitted erased"},
		{AuditQuestion{ID: "e"}, ""},
		{AuditQuestion{User: "bob"}, ""},
	} {
		var got []string
		for _, action := range []string{notifications.AuditEmitted, notifications.AuditLooked, notifications.AuditErased} {
			if test.q.wants(record(action)) {
				got = append(got, action)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v: got %v, want %s", test.q, got, test.want)
		}
	}
}

func TestTextOfBytes(t *testing.T) {
	for data, want := range map[string]string{"<b>": "<b>", "\xff\x00": "/wA="} {
		if got, binary := text([]byte(data)); got != want || binary != (got != data) {
			t.Errorf("%q: got %q, %v", data, got, binary)
		}
	}
}

func TestBusyIsTold(t *testing.T) {
	for err, want := range map[error]string{
		actors.ErrGone: "too busy", context.DeadlineExceeded: "too busy", actors.ErrPlace: "no such page",
	} {
		if got := busy(err); !strings.Contains(got.Error(), want) {
			t.Errorf("%v: got %v", err, got)
		}
	}
	if busy(nil) != nil || busy(context.Canceled) != context.Canceled { //nolint:errorlint // the same
		t.Error("another error is changed")
	}
	if got := clip(strings.Repeat("x", 300)); len(got) > 110 {
		t.Errorf("got %d bytes", len(got))
	}
	if !slices.Equal([]int{limit(0), limit(-1), limit(7), limit(999)}, []int{50, 50, 7, 200}) {
		t.Error("limits")
	}
}
