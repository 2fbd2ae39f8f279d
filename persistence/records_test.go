package persistence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

func openAudit(t *testing.T, n *persistence.NATS, o persistence.Options) *persistence.Audit {
	t.Helper()
	audit, err := persistence.OpenAudit(t.Context(), n, o)
	if err != nil {
		t.Fatal(err)
	}
	return audit
}

func openVisits(t *testing.T, n *persistence.NATS, o persistence.Options) *persistence.Visits {
	t.Helper()
	visits, err := persistence.OpenVisits(t.Context(), n, o)
	if err != nil {
		t.Fatal(err)
	}
	return visits
}

func audited(i int) notifications.AuditRecord {
	return notifications.AuditRecord{
		At: time.UnixMilli(int64(i)).UTC(), Action: notifications.AuditEmitted, By: "shop", Hub: hub, ID: fmt.Sprint(i),
		Recipient: "user/ann", Position: notifications.Position(i),
	}
}

func TestAudit(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	audit := openAudit(t, conn, persistence.Options{})
	began := time.Now()
	if records, err := audit.Records(t.Context(), began, 10); err != nil || len(records) != 0 {
		t.Errorf("of nothing: got %d, %v", len(records), err)
	}
	stop := background(t, audit.Run)
	const n = 1200
	for i := range n {
		audit.Record(audited(i))
	}
	audit.Record(notifications.AuditRecord{Action: "a b.c", Hub: ""}) // never a subject that cannot be
	eventually(t, "all are kept", func() bool { return audit.Stats().Kept == n+1 })
	if got := audit.Stats(); got.Lost != 0 || got.Waiting != 0 {
		t.Errorf("stats: got %+v", got)
	}
	records, err := audit.Records(t.Context(), began, n)
	if err != nil || len(records) != n {
		t.Fatalf("got %d records, %v, want %d", len(records), err, n)
	}
	for i, r := range records {
		if r != audited(i) {
			t.Fatalf("record %d: got %+v, want %+v", i, r, audited(i))
		}
	}
	if records, err = audit.Records(t.Context(), began, 2*n); err != nil || len(records) != n+1 {
		t.Errorf("all: got %d records, %v, want %d", len(records), err, n+1)
	}
	if records, err = audit.Records(t.Context(), time.Now().Add(time.Minute), 10); err != nil || len(records) != 0 {
		t.Errorf("of the future: got %d records, %v", len(records), err)
	}
	stop()
	// What came together is stored together, a tenth of the messages at most.
	if got := s.info(t, "TIDINGS_AUDIT", "tidings.audit.notifications.emitted").State.Subjects["tidings.audit.notifications.emitted"]; got < 1 || got > n/10 {
		t.Errorf("%d records are stored in %d messages", n, got)
	}
}

// What waits when the node stops is stored; what finds the queue full is lost
// and counted.
func TestTheLastRecordsAreKept(t *testing.T) {
	s := newStation(t)
	audit := openAudit(t, s.connect(t), persistence.Options{})
	const queue = 8192
	for i := range queue + 8 {
		audit.Record(audited(i))
	}
	if got := audit.Stats(); got.Lost != 8 || got.Waiting != queue {
		t.Errorf("a full queue: got %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := audit.Run(ctx); err != nil {
		t.Fatal(err)
	}
	got := audit.Stats()
	if got.Kept+got.Lost != queue+8 || got.Kept < 256 {
		t.Errorf("got %+v, want every record accounted for", got)
	}
	// The last batch may not have been answered in time.
	records, err := audit.Records(t.Context(), time.Time{}, 2*queue)
	if stored := int64(len(records)); err != nil || stored < got.Kept || stored > got.Kept+256 {
		t.Errorf("%d are stored, %d are said to be: %v", stored, got.Kept, err)
	}
	for i, r := range records {
		if r != audited(i) {
			t.Fatalf("record %d: got %+v, want %+v", i, r, audited(i))
		}
	}
}

// The server goes away and comes back: what was recorded meanwhile is kept, once
// and in order.
func TestRecordsSurviveTheServer(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	audit, visits := openAudit(t, conn, persistence.Options{}), openVisits(t, conn, persistence.Options{})
	stop, stopVisits := background(t, audit.Run), background(t, visits.Run)
	const n = 900
	for i := range n {
		if i == n/3 {
			eventually(t, "some are kept", func() bool { return audit.Stats().Kept > 0 })
			s.stop(t)
		}
		if i == n/2 {
			s.start(t)
		}
		audit.Record(audited(i))
		v := visited(i/2%10, i)
		if i%2 == 1 {
			v.Ended = time.UnixMilli(int64(i)).UTC()
		}
		visits.Note(v)
	}
	eventually(t, "all are kept", func() bool { return audit.Stats().Kept == n && visits.Stats().Kept == n })
	stop()
	stopVisits()
	records, err := audit.Records(t.Context(), time.Time{}.Add(time.Hour), 2*n)
	if err != nil || len(records) != n {
		t.Fatalf("got %d records, %v, want %d", len(records), err, n)
	}
	for i, r := range records {
		if r != audited(i) {
			t.Fatalf("record %d: got %s", i, r.ID)
		}
	}
	got, err := visits.Of(t.Context(), hub, "ann")
	if err != nil || len(got) != 10 {
		t.Fatalf("got %d visits, %v", len(got), err)
	}
	for i, v := range got {
		if v.Ended.IsZero() || v.Began.UnixMilli() != int64(n-20+2*i+1) {
			t.Errorf("visit %d: got %+v, want its newest state", i, v)
		}
	}
}

// What the server will never take is lost, and what comes behind it is not.
func TestARecordThatIsRefused(t *testing.T) {
	s := newStation(t)
	audit := openAudit(t, s.connect(t), persistence.Options{})
	background(t, audit.Run)
	large := audited(1)
	large.Note = strings.Repeat("x", 9<<20)
	audit.Record(audited(0))
	audit.Record(large)
	audit.Record(audited(2))
	eventually(t, "the others are kept", func() bool { return audit.Stats().Kept == 2 })
	if got := audit.Stats(); got.Lost != 1 {
		t.Errorf("got %+v, want one lost", got)
	}
}

// visited is a visit of ann on one of her connections.
func visited(connection, began int) notifications.Visit {
	return notifications.Visit{
		Hub: hub, User: "ann", Connection: fmt.Sprint("c", connection), Device: "phone", Transport: "WebSockets",
		Roles: []string{"ops"}, Began: time.UnixMilli(int64(began)).UTC(), Epoch: 1, After: 5, Head: 6,
	}
}

func TestVisits(t *testing.T) {
	s := newStation(t)
	visits := openVisits(t, s.connect(t), persistence.Options{})
	background(t, visits.Run)
	for i := range 20 {
		visits.Note(visited(i, 100-i))
	}
	end := visited(3, 97)
	end.Ended, end.Reason, end.Sent, end.Acknowledged = time.UnixMilli(500).UTC(), "closed", 9, 8
	visits.Note(end)
	other := visited(1, 1)
	other.User = "ann.b"
	visits.Note(other)
	eventually(t, "all are kept", func() bool { return visits.Stats().Kept == 22 })
	got, err := visits.Of(t.Context(), hub, "ann")
	if err != nil || len(got) != 20 || text(t, got[16]) != text(t, end) || text(t, got[19]) != text(t, visited(0, 100)) {
		t.Fatalf("got %d visits, %v: %s", len(got), err, text(t, got))
	}
	if got, err = visits.Of(t.Context(), hub, "nobody"); err != nil || len(got) != 0 {
		t.Errorf("of nobody: got %d, %v", len(got), err)
	}
	if err = visits.Erase(t.Context(), hub, "ann"); err != nil {
		t.Fatal(err)
	}
	if got, err = visits.Of(t.Context(), hub, "ann"); err != nil || len(got) != 0 {
		t.Errorf("after Erase: got %d, %v", len(got), err)
	}
	if got, err = visits.Of(t.Context(), hub, "ann.b"); err != nil || len(got) != 1 {
		t.Errorf("another user: got %d, %v", len(got), err)
	}
}

// Of a user with too many visits the newest are returned.
func TestManyVisits(t *testing.T) {
	s := newStation(t)
	visits := openVisits(t, s.connect(t), persistence.Options{})
	background(t, visits.Run)
	const n = 1500
	for i := range n {
		visits.Note(visited(i, i))
	}
	eventually(t, "all are kept", func() bool { return visits.Stats().Kept == n })
	got, err := visits.Of(t.Context(), hub, "ann")
	if err != nil || len(got) != 1000 || got[0].Connection != "c500" || got[999].Connection != "c1499" {
		t.Fatalf("got %d visits, %v", len(got), err)
	}
}

// The bounds of audit and visits follow the settings; another shape is refused.
func TestBoundsOfRecordsFollowTheSettings(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	openAudit(t, conn, persistence.Options{})
	openVisits(t, conn, persistence.Options{})
	o := persistence.Options{MaxAge: 48 * time.Hour, AuditAge: time.Minute, AuditBytes: -1, VisitBytes: 1 << 20}
	for range 2 {
		openAudit(t, conn, o)
		openVisits(t, conn, o)
		audit, visits := s.info(t, "TIDINGS_AUDIT", "none").Config, s.info(t, "TIDINGS_CONNECTIONS", "none").Config
		if audit.MaxAge != time.Minute || audit.MaxBytes != -1 || audit.Duplicates != time.Minute {
			t.Errorf("audit: got %v, %d bytes, window %v", audit.MaxAge, audit.MaxBytes, audit.Duplicates)
		}
		if visits.MaxAge != 48*time.Hour || visits.MaxBytes != 1<<20 {
			t.Errorf("visits: got %v, %d bytes", visits.MaxAge, visits.MaxBytes)
		}
		o.AuditAge = time.Minute
	}
	openAudit(t, conn, persistence.Options{}) // and back
	if audit := s.info(t, "TIDINGS_AUDIT", "none").Config; audit.MaxAge != 90*24*time.Hour || audit.Duplicates != 2*time.Minute {
		t.Errorf("audit: got %v, window %v", audit.MaxAge, audit.Duplicates)
	}
	js := s.past(t)
	config := s.info(t, "TIDINGS_AUDIT", "none").Config
	config.Subjects = []string{"tidings.audit.x"}
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := persistence.OpenAudit(t.Context(), conn, o); err == nil || !strings.Contains(err.Error(), "subjects is tidings.audit.x, want tidings.audit.>") {
		t.Errorf("another shape: got %v", err)
	}
	if got := s.info(t, "TIDINGS_AUDIT", "none").Config.MaxAge; got != 90*24*time.Hour {
		t.Errorf("it was altered: max_age is %v", got)
	}
}

// A log of an earlier time does not allow single events to be deleted, which the
// server does not let be changed: it is taken as it is.
func TestALogThatDeniesDeletion(t *testing.T) {
	s := newStation(t)
	conn := s.connect(t)
	if _, err := persistence.Open(t.Context(), conn, persistence.Options{}); err != nil {
		t.Fatal(err)
	}
	js := s.past(t)
	config := s.info(t, "TIDINGS", "none").Config
	if config.DenyDelete || !config.DenyPurge {
		t.Errorf("deny_delete is %v and deny_purge %v, want false and true", config.DenyDelete, config.DenyPurge)
	}
	config.DenyDelete = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := persistence.Open(t.Context(), conn, persistence.Options{}); err != nil {
		t.Errorf("a log that denies deletion: %v", err)
	}
}
