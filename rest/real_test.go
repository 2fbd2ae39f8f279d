package rest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/rest"
)

// records are what is kept of ids, in a real house.
type records struct {
	*persistence.Audit

	log *persistence.Log
}

func (r records) Rejections(ctx context.Context, hub, id string) ([]notifications.Rejection, error) {
	return r.log.Rejections(ctx, hub, id)
}

// real is a handler on everything that a node has, and a channel on which the
// positions come that its log has read.
func real(t *testing.T) (*site, <-chan notifications.Position) {
	t.Helper()
	read := make(chan notifications.Position, 100)
	log := persistencetest.Run(t, persistence.Options{}, func(_ context.Context, b notifications.Batch) error {
		read <- b.UpTo
		return nil
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	states, err := persistence.OpenStates(t.Context(), log.NATS, persistence.Options{}, log)
	must(err)
	audit, err := persistence.OpenAudit(t.Context(), log.NATS, persistence.Options{})
	must(err)
	visits, err := persistence.OpenVisits(t.Context(), log.NATS, persistence.Options{})
	must(err)
	cursors, err := persistence.OpenCursors(t.Context(), log.NATS, persistence.Options{})
	must(err)
	schedules, err := persistence.OpenSchedules(t.Context(), log.NATS, persistence.Options{}, persistence.SchedulesOptions{Log: log})
	must(err)
	inboxes := notifications.NewInboxes(notifications.InboxesOptions{Log: log, States: states, Audit: audit})
	return &site{api: readAPI(t), time: time.Now(), Handler: rest.NewHandler(rest.Options{
		Commands: notifications.NewCommands(notifications.CommandsOptions{Log: log, Catalogue: log, Schedules: schedules, Audit: audit}),
		Inboxes:  inboxes,
		Archives: notifications.NewArchives(notifications.ArchivesOptions{
			Inboxes: inboxes, Devices: cursors, Visits: visits, Schedules: schedules, Records: records{audit, log.Log}, Eraser: log,
		}),
		Verifier: verifier(t, time.Now), Protobuf: tidingsv1.CanonicalJSON,
	})}, read
}

func TestOnARealLog(t *testing.T) {
	s, read := real(t)
	until := func(p notifications.Position) {
		t.Helper()
		for at := range read {
			if at >= p {
				return
			}
		}
	}
	s.ok(t, oscar, "GET /v1/inbox", "")
	s.do(t, shop, "POST /v1/notifications", `[{"id":"a1","recipient":"user/ann","type":"order.shipped"},{"id":"a2","recipient":"user/ann"},{"id":"o1","recipient":"role/ops"}]`)
	until(3)
	if page := s.ok(t, ann, "GET /v1/inbox?limit=1", ""); page.ids() != "a2 unseen" || page.Next == "" || page.Counts.Unseen != 2 {
		t.Errorf("first page: %s", page.text)
	} else if next := s.ok(t, ann, "GET /v1/inbox?before="+page.Next, ""); next.ids() != "a1 unseen" {
		t.Errorf("second page: %s", next.text)
	}
	if page := s.ok(t, oscar, "GET /v1/inbox", ""); page.ids() != "o1 unseen" {
		t.Errorf("of a role: %s", page.text)
	}
	s.refused(t, ann, "POST /v1/inbox/read", `{"ids":["a1","o1"]}`, refusal{422, "ids[1]", "is no notification of this inbox"})
	if marked := s.ok(t, ann, "POST /v1/inbox/read", `{"ids":["a1"]}`); marked.Counts.Unread != 1 {
		t.Errorf("marked: %s", marked.text)
	}
	tag := s.ok(t, ann, "GET /v1/preferences", "").header.Get("ETag")
	s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[{"type":"order.*"}]}`, "If-Match", tag)
	s.sending("If-Match", tag).refused(t, ann, "PUT /v1/preferences", `{}`, refusal{412, "", "changed meanwhile"})
	s.ok(t, root, "PUT /v1/groups/g%2F1%20x/members/ann?ttl=3600", "")
	if groups := s.ok(t, ann, "GET /v1/groups", ""); groups.Groups["g/1 x"]["until"] == nil {
		t.Errorf("groups: %s", groups.text)
	}
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	if later := s.ok(t, shop, "POST /v1/notifications", `{"id":"s1","recipient":"user/ann","notBefore":"`+tomorrow+`"}`); later.code != 202 {
		t.Errorf("scheduled: %d %s", later.code, later.text)
	}
	if later := s.ok(t, shop, "GET /v1/notifications/s1", ""); !strings.Contains(later.text, tomorrow) {
		t.Errorf("scheduled: %s", later.text)
	}
	if canceled := s.ok(t, shop, "DELETE /v1/notifications/s1", ""); !canceled.Canceled {
		t.Errorf("canceled: %s", canceled.text)
	}
	recalled := s.ok(t, shop, "DELETE /v1/notifications/a2", "")
	until(notifications.Position(recalled.Position))
	if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != "a1 read" && page.ids() != "a1 read muted" {
		t.Errorf("after the recall: %s", page.text)
	}
	if x := s.ok(t, ann, "GET /v1/explain?id=a1", ""); x.Outcome != "stored" || !strings.Contains(x.text, `"kind":"read"`) {
		t.Errorf("explained: %s", x.text)
	}
	if all := s.ok(t, ann, "GET /v1/export", ""); len(all.Changes) < 3 || !strings.Contains(string(all.Events), `"a1"`) {
		t.Errorf("export: %s", all.text)
	}
	if erased := s.ok(t, root, "DELETE /v1/users/ann", ""); !strings.Contains(erased.text, `"user":"ann"`) {
		t.Errorf("erased: %s", erased.text)
	}
	if all := s.ok(t, root, "GET /v1/users/ann/export", ""); len(all.Changes) != 0 || string(all.Events) != "[]" {
		t.Errorf("left over: %s", all.text)
	}
}
