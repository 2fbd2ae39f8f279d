package rest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
)

// an outcome of an event, as far as the tests look at it.
type outcome struct {
	Recipient, By, Why, Muted, Status string
	Addressed                         bool
	Acts                              []struct{ Status, Kind, By string }
	Devices                           []struct {
		Device             string
		Sent, Acknowledged bool
	}
	Connections []struct{ Connection, Outcome string }
	Pending     []string
}

func outcomes(t *testing.T, a answer) []outcome {
	t.Helper()
	var all []outcome
	if a.Events == nil {
		return nil
	}
	if err := json.Unmarshal(a.Events, &all); err != nil {
		t.Fatalf("%v: %s", err, a.text)
	}
	return all
}

// connected keeps two devices of ann's: one that has heard position 1, and one
// that is away.
func connected(s *site) {
	key := notifications.DefaultHub + "/ann"
	s.kept.devices[key] = []notifications.Device{
		{Name: "phone", Cursor: notifications.Cursor{Epoch: epoch, Position: 1}, Sent: 1, AckedAt: now(), Groups: map[string]notifications.Position{"ops": 0}},
		{Name: "watch", Cursor: notifications.Cursor{Epoch: epoch}},
	}
	s.kept.visits[key] = []notifications.Visit{{
		Hub: notifications.DefaultHub, User: "ann", Connection: "c1", Device: "phone", Node: "n1", Transport: "WebSockets", Began: now().Add(-time.Minute), Ended: now().Add(time.Second),
		Reason: "normal_closure", Epoch: epoch, Sent: 1, Acknowledged: 1,
	}}
}

func TestExplain(t *testing.T) {
	s := newSite(t)
	s.ok(t, ann, "POST /v1/preferences/mutes", `{"type":"order.*"}`)
	s.emit(t, `{"id":"a1","recipient":"user/ann","type":"order.shipped"}`)
	connected(s)
	s.ok(t, ann, "POST /v1/inbox/read", `{"ids":["a1"]}`)
	own := s.ok(t, ann, "GET /v1/explain?id=a1", "")
	all := outcomes(t, own)
	if own.Outcome != "stored" || own.User != "ann" || len(own.Audit) != 0 || len(all) != 1 || !all[0].Addressed || all[0].Muted != "type order.*" || all[0].Status != "read" || len(all[0].Acts) != 1 {
		t.Fatalf("own: %s", own.text)
	}
	if o := all[0]; len(o.Devices) != 2 || len(o.Connections) != 1 || o.Connections[0].Outcome != "muted" {
		t.Errorf("own: %s", own.text)
	}
	by := s.ok(t, root, "GET /v1/explain?user=ann&id=a1", "")
	if by.User != "ann" || len(by.Audit) == 0 || by.Outcome != "stored" {
		t.Errorf("by an administrator: %s", by.text)
	}
	if unknown := s.ok(t, ann, "GET /v1/explain?id=nothing&user=", ""); unknown.Outcome != "unknown" || unknown.Reason == "" {
		t.Errorf("unknown: %s", unknown.text)
	}
	s.kept.rejected[notifications.DefaultHub+"/r1"] = []notifications.Rejection{{Position: 9, At: now(), Reason: "no valid JSON"}}
	if rejected := s.ok(t, root, "GET /v1/explain?id=r1&user=ann", ""); rejected.Outcome != "rejected" || rejected.Reason != "no valid JSON" {
		t.Errorf("rejected: %s", rejected.text)
	}
	s.do(t, ann, "POST /v1/notifications", `{"id":"no","recipient":"user/bob"}`)
	if refused := s.ok(t, ann, "GET /v1/explain?id=no", ""); refused.Outcome != "refused" || !strings.Contains(refused.Reason, "not allowed") {
		t.Errorf("refused: %s", refused.text)
	}
	for query, field := range map[string]string{
		"": "id", "?id=": "id", "?id=%00": "id", "?id=" + strings.Repeat("x", 129): "id", "?id=a1&limit=1": "limit", "?id=a1&id=a2": "id", "?ID=a1": "ID",
	} {
		s.refused(t, ann, "GET /v1/explain"+query, "", refusal{422, field, ""})
	}
}

// To explain is no way to learn of what is for others.
func TestExplainTellsNobodyOfOthers(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"b1","recipient":"user/bob","type":"salary"}`)
	s.emit(t, `{"id":"o1","recipient":"role/ops","type":"alarm"}`)
	s.emit(t, `{"id":"later","recipient":"user/bob","notBefore":"2026-01-03T00:00:00Z"}`)
	s.do(t, bob, "POST /v1/notifications", `{"id":"no","recipient":"user/ann"}`)
	s.kept.rejected[notifications.DefaultHub+"/r1"] = []notifications.Rejection{{Position: 9, At: now(), Reason: "secret"}}
	nothing := s.ok(t, ann, "GET /v1/explain?id=nothing", "").text
	for _, id := range []string{"b1", "o1", "later", "no", "r1"} {
		got := s.ok(t, ann, "GET /v1/explain?id="+id, "")
		if strings.ReplaceAll(got.text, `"`+id+`"`, `"nothing"`) != nothing {
			t.Errorf("%s: ann is told %s", id, got.text)
		}
	}
	if all := outcomes(t, s.ok(t, shop, "GET /v1/explain?id=b1", "")); len(all) != 1 || all[0].Addressed || all[0].Recipient != "user/bob" {
		t.Errorf("who may emit to bob is told %+v", all)
	}
	if mine := s.ok(t, shop, "GET /v1/explain?id=later", ""); mine.Outcome != "scheduled" {
		t.Errorf("who may emit to bob is told %s", mine.text)
	}
}

func TestExport(t *testing.T) {
	s := newSite(t)
	empty := s.ok(t, ann, "GET /v1/export", "")
	for _, list := range []string{"changes", "devices", "connections", "events"} {
		if !strings.Contains(empty.text, `"`+list+`":[]`) {
			t.Errorf("of nobody, %s: %s", list, empty.text)
		}
	}
	s.emit(t, `{"id":"a1","recipient":"user/ann","data":{"x":[1,2.5,"<&>"]},"actions":[{"label":"Go","link":"/x"}],"membersAt":"read"}`)
	s.emit(t, `{"id":"b1","recipient":"user/bob"}`)
	s.ok(t, ann, "PUT /v1/preferences", `{"mutes":[{"group":"g"}],"quietHours":{"from":"22:00","to":"07:00","zone":"UTC"}}`)
	s.ok(t, root, "PUT /v1/groups/ops/members/ann?ttl=60", "")
	s.ok(t, root, "DELETE /v1/users/ann/roles/old", "")
	s.ok(t, "ann/ops", "POST /v1/inbox/read", `{"ids":["a1"]}`)
	connected(s)
	own := s.ok(t, ann, "GET /v1/export", "")
	var events []struct {
		Position int
		Status   string
		Event    notifications.Event
	}
	if err := json.Unmarshal(own.Events, &events); err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || events[0].Status != "read" || events[0].Event.ID != "a1" || string(events[0].Event.Data) != `{"x":[1,2.5,"\u003c\u0026\u003e"]}` {
		t.Errorf("events: %s", own.Events)
	}
	if len(own.Changes) != 5 || own.Changes[0]["kind"] != "preferences" || len(own.Devices) != 2 || len(own.Connections) != 1 {
		t.Errorf("export: %s", own.text)
	}
	if own.header.Get("Content-Disposition") != `attachment; filename="tidings-export.json"` {
		t.Errorf("Content-Disposition: %q", own.header.Get("Content-Disposition"))
	}
	if by := s.ok(t, root, "GET /v1/users/ann/export", ""); by.text != own.text {
		t.Errorf("by an administrator: %s", by.text)
	}
}

func TestErase(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"a1","recipient":"user/ann"}`)
	s.emit(t, `{"id":"a2","recipient":"everyone"}`)
	s.emit(t, `{"id":"b1","recipient":"user/bob"}`)
	s.ok(t, ann, "POST /v1/inbox/all-read", "")
	connected(s)
	s.refused(t, root, "DELETE /v1/users/ann", `{"sure":true}`, refusal{400, "", "takes no body"})
	s.refused(t, root, "DELETE /v1/users/ann?force=1", "", refusal{422, "force", "no such parameter"})
	if got := s.ok(t, root, "DELETE /v1/users/ann?hub=other", ""); got.text != `{"user":"ann","events":1}`+"\n" {
		t.Errorf("of another hub: %s", got.text)
	}
	if page := s.ok(t, ann, "GET /v1/inbox", ""); page.ids() != "a2 read, a1 read" {
		t.Fatalf("before: %s", page.text)
	}
	if got := s.ok(t, root, "DELETE /v1/users/ann", ""); got.text != `{"user":"ann","events":2}`+"\n" || !slices.Equal(s.log.erased, []string{"other/ann", "notifications/ann"}) {
		t.Errorf("erased: %s, of the log %q", got.text, s.log.erased)
	}
	if page := s.ok(t, root, "GET /v1/users/ann/inbox?severity=info&type=notification", ""); strings.Contains(page.ids(), "read") {
		t.Errorf("what ann has read is known still: %s", page.text)
	}
	export := s.ok(t, root, "GET /v1/users/ann/export", "")
	if len(export.Changes) != 0 || len(export.Devices) != 0 || len(export.Connections) != 0 {
		t.Errorf("left over: %s", export.text)
	}
	if !slices.ContainsFunc(s.kept.audit, func(r notifications.AuditRecord) bool {
		return r.Action == notifications.AuditErased && r.By == "root" && r.User == "ann" && r.Via == "http"
	}) {
		t.Errorf("it is not on record: %+v", s.kept.audit)
	}
}
