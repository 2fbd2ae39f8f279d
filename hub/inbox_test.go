package hub_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tidings/actors"
	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/hub/protocol"
	"tidings/notifications"
	"tidings/roles"
)

// invocation is what a browser has heard, as far as these tests look.
type invocation struct {
	Type         int
	InvocationID string
	Target       string
	Result       json.RawMessage
	Error        string
	Arguments    []json.RawMessage
}

// heardBy waits until the server is idle and reads what the browser has heard.
func heardBy(t *testing.T, b *hubtest.Browser) []invocation {
	t.Helper()
	var all []invocation
	for _, text := range settle(b) {
		var m invocation
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, m)
	}
	return all
}

// titles are the titles of the notifications that were heard.
func titles(all []invocation) []string {
	titles := []string{}
	for _, m := range all {
		if m.Target == notifications.DefaultTarget || m.Target == notifications.RecalledTarget {
			var n notifications.Notification
			if json.Unmarshal(m.Arguments[0], &n) == nil {
				titles = append(titles, n.Title+n.Recalls)
			}
		}
	}
	return titles
}

// changes are what was heard of the inbox.
func changes(t *testing.T, all []invocation) []actors.InboxChanged {
	t.Helper()
	var told []actors.InboxChanged
	for _, m := range all {
		if m.Target == "InboxChanged" {
			var c actors.InboxChanged
			if err := json.Unmarshal(m.Arguments[0], &c); err != nil {
				t.Fatal(err)
			}
			told = append(told, c)
		}
	}
	return told
}

// ask calls a method and reads its result.
func ask[T any](t *testing.T, b *hubtest.Browser, method string, arguments ...any) (T, []invocation) { //nolint:ireturn // it is the type that was asked for
	t.Helper()
	b.Send(call("ask", method, arguments...))
	var rest []invocation
	var result T
	answered := false
	for _, m := range heardBy(t, b) {
		switch {
		case m.InvocationID != "ask":
			rest = append(rest, m)
		case m.Error != "":
			t.Errorf("%s: %s", method, m.Error)
		case len(m.Result) > 0 && json.Unmarshal(m.Result, &result) != nil:
			t.Errorf("%s: result %s", method, m.Result)
		}
		answered = answered || m.InvocationID == "ask"
	}
	if !answered {
		t.Errorf("%s was not answered", method)
	}
	return result, rest
}

// fails calls a method and returns its error.
func fails(t *testing.T, b *hubtest.Browser, method string, arguments ...any) string {
	t.Helper()
	b.Send(call("fails", method, arguments...))
	for _, m := range heardBy(t, b) {
		if m.InvocationID == "fails" {
			_, text, _ := strings.Cut(m.Error, "HubException: ")
			if text == "" {
				text = m.Error
			}
			return text
		}
	}
	return "no answer"
}

type tallied struct {
	Counts  notifications.Counts
	Version notifications.InboxVersion
}

// houseIn makes the notification hub in a bubble.
func houseIn(t *testing.T) (*house, *hubtest.Server) {
	t.Helper()
	h := newHouse(t, hub.Options{})
	return h, hubtest.ServePipes(t, h, connections.Options{})
}

func TestInboxIsTheSameOnEveryDevice(t *testing.T) {
	for _, codec := range codecs() {
		synctest.Test(t, func(t *testing.T) { inboxOnTwoDevices(t, codec) })
	}
}

func inboxOnTwoDevices(t *testing.T, codec protocol.Codec) {
	t.Helper()
	h, s := houseIn(t)
	laptop, phone := s.ConnectWith(codec, "ann", "device=laptop", "ops"), s.ConnectWith(codec, "ann", "device=phone", "ops")
	settle(laptop)
	h.emit(t, notifications.ToUser("ann"), "one")
	h.emit(t, notifications.ToRole("ops"), "two")
	h.emit(t, notifications.ToUser("bob"), "for bob")
	h.emit(t, notifications.ToEveryone(), "three")
	settle(laptop)
	settle(phone)

	page, _ := ask[notifications.InboxPage](t, laptop, "Inbox", map[string]any{"limit": 2})
	if len(page.Items) != 2 || page.Items[0].Title != "three" || page.Items[1].Title != "two" || page.Next == "" || page.Counts.Unread != 3 {
		t.Errorf("first page: %+v", page)
	}
	rest, _ := ask[notifications.InboxPage](t, laptop, "Inbox", map[string]any{"before": page.Next})
	if len(rest.Items) != 1 || rest.Items[0].Title != "one" || rest.Next != "" {
		t.Errorf("last page: %+v", rest)
	}
	marked, _ := ask[tallied](t, phone, "MarkRead", []any{page.Items[0].ID, page.Items[1].Position})
	if marked.Counts.Unread != 1 || marked.Counts.Unseen != 1 {
		t.Errorf("after two were read on the phone: %+v", marked)
	}
	told := changes(t, heardBy(t, laptop))
	if len(told) == 0 {
		t.Fatal("the laptop was not told")
	}
	last := told[len(told)-1]
	if last.Counts != marked.Counts || len(last.Changed) != 1 || last.Changed[0].Kind != notifications.ChangeRead || !slices.Equal(last.Changed[0].Positions, notifications.Positions{2, 4}) {
		t.Errorf("the laptop was told %+v", last)
	}
	all, _ := ask[tallied](t, laptop, "MarkAllRead", nil)
	if all.Counts != (notifications.Counts{}) {
		t.Errorf("after all were read: %+v", all)
	}
	if told := changes(t, heardBy(t, phone)); len(told) == 0 || told[len(told)-1].Changed[0].Kind != notifications.ChangeAllRead || told[len(told)-1].Counts != all.Counts {
		t.Errorf("the phone was told %+v", told)
	}
	if text := fails(t, phone, "MarkRead", []any{3}); text != "invalid request: ids[0]: is no notification of this inbox: 3" {
		t.Errorf("somebody else's notification: %s", text)
	}
}

// Who has asked for the inbox is told what arrives, once a second at most; who
// has not, is not.
func TestArrivalsAreToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := houseIn(t)
		watching, other := s.Connect("ann", ""), s.Connect("ann", "")
		settle(watching)
		settle(other)
		ask[tallied](t, watching, "Counts")
		time.Sleep(2 * time.Second) // of the bubble
		heardBy(t, watching)
		for i := range 20 {
			h.emit(t, notifications.ToUser("ann"), fmt.Sprint(i))
		}
		told := changes(t, heardBy(t, watching))
		if len(told) != 1 || told[0].Counts.Unread == 0 {
			t.Errorf("at once: %+v, want one message", told)
		}
		time.Sleep(2 * time.Second) // of the bubble
		told = changes(t, heardBy(t, watching))
		if len(told) != 1 || told[0].Counts.Unread != 20 || told[0].Version.Position != 20 {
			t.Errorf("later: %+v, want one message with 20", told)
		}
		if told := changes(t, heardBy(t, other)); len(told) != 0 {
			t.Errorf("who did not ask was told %+v", told)
		}
	})
}

func TestMutedEventsRaiseNoAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := houseIn(t)
		ann, bob := s.Connect("ann", "device=d", "ops"), s.Connect("bob", "", "ops")
		settle(ann)
		settle(bob)
		ask[json.RawMessage](t, ann, "Mute", map[string]any{"type": "build.*"})
		for _, e := range []notifications.Event{
			{Title: "muted", Type: "build.failed"},
			{Title: "critical", Type: "build.failed", Severity: notifications.Critical},
			{Title: "other", Type: "order.shipped"},
			{Title: "role", Type: "build.done", Recipient: notifications.ToRole("ops")},
			{Title: "all", Type: "build.done", Recipient: notifications.ToEveryone()},
			{Title: "last"},
		} {
			if e.Recipient == (notifications.Recipient{}) {
				e.Recipient = notifications.ToUser("ann")
			}
			h.store(t, e)
		}
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"critical", "other", "last"}) {
			t.Errorf("ann heard %v", got)
		}
		if got := titles(heardBy(t, bob)); !slices.Equal(got, []string{"role", "all"}) {
			t.Errorf("bob heard %v", got)
		}
		page, _ := ask[notifications.InboxPage](t, ann, "Inbox", map[string]any{})
		var muted []string
		for _, item := range page.Items {
			if item.Muted {
				muted = append(muted, item.Title)
			}
		}
		if len(page.Items) != 6 || !slices.Equal(muted, []string{"all", "role", "muted"}) {
			t.Errorf("%d in the inbox, muted %v", len(page.Items), muted)
		}
		// What she missed stays muted, too.
		ann.Cut()
		synctest.Wait()
		h.store(t, notifications.Event{Title: "missed, muted", Type: "build.x", Recipient: notifications.ToUser("ann")})
		h.store(t, notifications.Event{Title: "missed", Recipient: notifications.ToUser("ann")})
		ann = s.Connect("ann", "device=d", "ops")
		if got := titles(heardBy(t, ann)); slices.Contains(got, "missed, muted") || !slices.Contains(got, "missed") {
			t.Errorf("back again ann heard %v", got)
		}
		ask[json.RawMessage](t, ann, "Unmute", map[string]any{"type": "build.*"})
		h.store(t, notifications.Event{Title: "no longer muted", Type: "build.x", Recipient: notifications.ToUser("ann")})
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"no longer muted"}) {
			t.Errorf("unmuted ann heard %v", got)
		}
	})
}

func TestDurableMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := houseIn(t)
		root := s.Connect("root", "", "admin")
		ann, tab := s.Connect("ann", ""), s.Connect("ann", "")
		for _, b := range []*hubtest.Browser{root, ann, tab} {
			settle(b)
		}
		group := notifications.ToGroup("g")
		h.emit(t, group, "before")
		ask[json.RawMessage](t, root, "AddToGroup", "ann", "g", nil)
		h.emit(t, group, "in")
		tab.Send(call("1", "JoinGroup", "g"), call("2", "LeaveGroup", "g")) // by itself, too
		synctest.Wait()
		h.emit(t, group, "still in")
		tab.Send(call("3", "JoinGroup", "g"))
		for name, b := range map[string]*hubtest.Browser{"ann": ann, "tab": tab} {
			if got := titles(heardBy(t, b)); !slices.Equal(got, []string{"in", "still in"}) {
				t.Errorf("%s heard %v", name, got)
			}
		}
		late := s.Connect("ann", "replay=all")
		if got := titles(heardBy(t, late)); !slices.Equal(got, []string{"in", "still in"}) {
			t.Errorf("a new connection was replayed %v, want what came since she is in", got)
		}
		ask[json.RawMessage](t, root, "RemoveFromGroup", "ann", "g")
		h.emit(t, group, "out")
		if got := titles(heardBy(t, ann)); len(got) != 0 {
			t.Errorf("removed, ann heard %v", got)
		}
		if got := titles(heardBy(t, tab)); !slices.Equal(got, []string{"out"}) {
			t.Errorf("removed, but joined by itself, the tab heard %v", got)
		}
		// One that ends by itself.
		ask[json.RawMessage](t, root, "AddToGroup", "ann", "g", 5)
		h.emit(t, group, "for five seconds")
		time.Sleep(7 * time.Second) // of the bubble
		h.emit(t, group, "over")
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"for five seconds"}) {
			t.Errorf("ann heard %v", got)
		}
		if text := fails(t, ann, "AddToGroup", "bob", "g", nil); !strings.Contains(text, "unauthorized") {
			t.Errorf("a user who may not: %s", text)
		}
		if text := fails(t, root, "AddToGroup", "bob", "g", 0.5); !strings.Contains(text, "ttl") {
			t.Errorf("half a second: %s", text)
		}
	})
}

// A role that was taken back tells nothing more, at once.
func TestRevokedRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := houseIn(t)
		ann := s.Connect("ann", "", "ops")
		settle(ann)
		h.emit(t, notifications.ToRole("ops"), "one")
		time.Sleep(2 * time.Second) // of the bubble
		asker := notifications.Asker{Principal: roles.Principal{UserID: "root", Roles: []string{"admin"}}, Hub: notifications.DefaultHub, User: "ann"}
		if _, err := h.inboxes.Revoke(t.Context(), asker, "ops"); err != nil {
			t.Fatal(err)
		}
		h.emit(t, notifications.ToRole("ops"), "two")
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"one"}) {
			t.Errorf("ann heard %v", got)
		}
		if page, _ := ask[notifications.InboxPage](t, ann, "Inbox", map[string]any{}); len(page.Items) != 0 {
			t.Errorf("her inbox holds %+v", page.Items)
		}
		time.Sleep(2 * time.Second) // of the bubble; a newer token gives it again
		again := s.Connect("ann", "replay=all", "ops")
		if got := titles(heardBy(t, again)); len(got) != 0 {
			t.Errorf("with a new token she was replayed %v, from when she had no such role", got)
		}
		h.emit(t, notifications.ToRole("ops"), "three")
		if got := titles(heardBy(t, again)); !slices.Equal(got, []string{"three"}) {
			t.Errorf("with a new token ann heard %v", got)
		}
	})
}

// An alert for a role is for those who had it by then; an announcement for
// whoever has it when reading.
func TestMembersAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := houseIn(t)
		h.store(t, notifications.Event{Title: "alert", Recipient: notifications.ToRole("ops")})
		h.store(t, notifications.Event{Title: "announcement", Recipient: notifications.ToRole("ops"), MembersAt: notifications.Read})
		ann := s.Connect("ann", "replay=all", "ops")
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"announcement"}) {
			t.Errorf("ann heard %v", got)
		}
		ann.Cut()
		synctest.Wait()
		h.store(t, notifications.Event{Title: "second alert", Recipient: notifications.ToRole("ops")})
		if got := titles(heardBy(t, s.Connect("ann", "replay=all", "ops"))); !slices.Equal(got, []string{"announcement", "second alert"}) {
			t.Errorf("back again she heard %v", got)
		}
		if got := titles(heardBy(t, s.Connect("ann", "replay=all"))); len(got) != 0 {
			t.Errorf("without the role she heard %v", got)
		}
	})
}

func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := houseIn(t)
		shop, ann := s.Connect("shop", "", "emitter"), s.Connect("ann", "")
		settle(shop)
		settle(ann)
		ask[int](t, shop, "SendPersonalNotification", "ann", map[string]any{"id": "x", "title": "wrong"})
		ask[tallied](t, ann, "Counts")
		recalled, _ := ask[notifications.Recalled](t, shop, "Recall", "x")
		if recalled.Canceled || recalled.Position != 2 {
			t.Errorf("recalled: %+v", recalled)
		}
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"x"}) {
			t.Errorf("ann heard %v", got)
		}
		if c, _ := ask[tallied](t, ann, "Counts"); c.Counts.Unread != 0 {
			t.Errorf("counters: %+v", c)
		}
		if got := titles(heardBy(t, s.Connect("ann", "replay=all"))); slices.Contains(got, "wrong") {
			t.Errorf("replayed: %v", got)
		}
		if text := fails(t, shop, "Recall", "nothing"); !strings.Contains(text, "not found") {
			t.Errorf("unknown id: %s", text)
		}
		ask[int](t, shop, "SendPersonalNotification", "ann", map[string]any{"id": "y", "title": "right"})
		if text := fails(t, s.Connect("bob", ""), "Recall", "y"); !strings.Contains(text, "unauthorized") {
			t.Errorf("by another user: %s", text)
		}
		// A recall is heard whatever is muted: the alert may be on the screen.
		ask[json.RawMessage](t, ann, "Mute", map[string]any{"type": "*"})
		ask[notifications.Recalled](t, shop, "Recall", "y")
		if got := titles(heardBy(t, ann)); !slices.Equal(got, []string{"y"}) {
			t.Errorf("muted, ann heard %v", got)
		}
	})
}

// Whatever two tabs and a phone that comes and goes do, in whatever order, they
// agree in the end, and each has been told the counters that a recount finds.
func TestDevicesAgree(t *testing.T) {
	steps := []string{"event", "event", "role", "everyone", "read", "unread", "archive", "seen", "all", "allSeen", "mute", "recall", "collapse", "away", "back", "wait"}
	rapid.Check(t, func(r *rapid.T) {
		order := rapid.SliceOfN(rapid.SampledFrom(steps), 5, 30).Draw(r, "steps")
		picks := rapid.SliceOfN(rapid.IntRange(0, 1<<16), len(order), len(order)).Draw(r, "picks")
		var problem string
		synctest.Test(t, func(t *testing.T) { problem = agree(t, order, picks) })
		if problem != "" {
			r.Fatal(problem)
		}
	})
}

// agree plays the steps and says what the devices do not agree on.
func agree(t *testing.T, order []string, picks []int) string {
	t.Helper()
	h, s := houseIn(t)
	d := &devices3{t: t, h: h, s: s}
	d.open(0, 1, 2)
	for i, step := range order {
		d.play(step, picks[i])
	}
	d.open(2)
	time.Sleep(3 * time.Second) // of the bubble: what is owed has been told
	var first tallied
	for i := range d.browsers {
		d.listen(i)
		now, _ := ask[tallied](t, d.browsers[i], "Counts")
		if i == 0 {
			first = now
		}
		if now != first {
			return fmt.Sprintf("device %d counts %+v, device 0 %+v", i, now, first)
		}
		if d.told[i] != (notifications.Counts{}) && d.told[i] != now.Counts {
			return fmt.Sprintf("device %d was told %+v, a recount finds %+v", i, d.told[i], now.Counts)
		}
		page, _ := ask[notifications.InboxPage](t, d.browsers[i], "Inbox", map[string]any{"limit": 200})
		unread := 0
		for _, item := range page.Items {
			if item.State == notifications.Unseen || item.State == notifications.Seen {
				unread++
			}
		}
		if unread != now.Counts.Unread {
			return fmt.Sprintf("device %d lists %d unread and counts %d", i, unread, now.Counts.Unread)
		}
	}
	return ""
}

// devices3 are two tabs and a phone of one user.
type devices3 struct {
	t        *testing.T
	h        *house
	s        *hubtest.Server
	browsers [3]*hubtest.Browser
	told     [3]notifications.Counts
	events   int
}

// open connects devices that are not connected.
func (d *devices3) open(which ...int) {
	d.t.Helper()
	for _, i := range which {
		if d.browsers[i] == nil {
			d.browsers[i] = d.s.Connect("ann", fmt.Sprintf("device=d%d", i), "ops")
			d.told[i] = notifications.Counts{}
			settle(d.browsers[i])
			c, _ := ask[tallied](d.t, d.browsers[i], "Counts")
			d.told[i] = c.Counts
		}
	}
}

// listen keeps the counters a device was told last.
func (d *devices3) listen(i int) {
	d.t.Helper()
	if d.browsers[i] == nil {
		return
	}
	for _, c := range changes(d.t, heardBy(d.t, d.browsers[i])) {
		d.told[i] = c.Counts
	}
}

func (d *devices3) play(step string, pick int) {
	d.t.Helper()
	b := d.browsers[pick%2] // the tabs are always there
	for i := range d.browsers {
		d.listen(i)
	}
	position := pick%max(d.events, 1) + 1
	method := map[string]string{"read": "MarkRead", "unread": "MarkUnread", "archive": "Archive", "seen": "MarkSeen"}[step]
	switch step {
	case "event", "role", "everyone", "collapse", "recall":
		d.emit(step, position)
	case "read", "unread", "archive", "seen":
		b.Send(call("mark", method, []any{position})) // it may be an error: no notification of hers
	case "all":
		b.Send(call("all", "MarkAllRead", max(position-1, 1)))
	case "allSeen":
		b.Send(call("all", "MarkAllSeen", nil))
	case "mute":
		b.Send(call("mute", "Mute", map[string]any{"type": "build.*"}))
	case "away":
		if d.browsers[2] != nil {
			d.browsers[2].Cut()
			d.browsers[2] = nil
		}
	case "back":
		d.open(2)
	case "wait":
		time.Sleep(1500 * time.Millisecond) // of the bubble
	}
	synctest.Wait()
}

// emit stores an event of some kind.
func (d *devices3) emit(kind string, position int) {
	d.t.Helper()
	e := notifications.Event{Recipient: notifications.ToUser("ann"), Type: "build.x", Title: kind}
	switch kind {
	case "role":
		e.Recipient = notifications.ToRole("ops")
	case "everyone":
		e.Recipient = notifications.ToEveryone()
	case "collapse":
		e.CollapseKey = "k"
	case "recall":
		e.Recalls = fmt.Sprintf("e%d", position)
	}
	d.h.store(d.t, e)
	d.events++
}
