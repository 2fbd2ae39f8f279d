package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"

	"tidings/console"
	"tidings/notifications"
)

// operator is somebody at the console.
type operator struct{ *browser }

// operate opens the console's hub; without a token as somebody at this machine.
func (r *running) operate(t *testing.T, token string) operator {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	socket, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+r.ops+consoleHubPath, header)
	if err != nil {
		t.Fatalf("console: %v", err)
	}
	_ = response.Body.Close() // it has none: the socket is open
	t.Cleanup(func() { _ = socket.Close() })
	b := &browser{t: t, socket: socket}
	b.send(`{"protocol":"json","version":1}`)
	if got := b.next(); got != "{}" {
		t.Fatalf("handshake: got %q", got)
	}
	return operator{b}
}

type object = map[string]any

// ask calls a method and reads its result.
func ask[T any](o operator, method string, argument object) T { //nolint:ireturn // whatever is asked for
	o.t.Helper()
	m := o.invoke(method, argument)
	if m.Error != "" {
		o.t.Fatalf("%s %v: %s", method, argument, m.Error)
	}
	var result T
	if err := json.Unmarshal(m.Result, &result); err != nil {
		o.t.Fatalf("%s: %s: %v", method, m.Result, err)
	}
	return result
}

// refused calls a method that must not be done, and returns why.
func (o operator) refused(method string, argument object) string {
	o.t.Helper()
	m := o.invoke(method, argument)
	if m.Error == "" {
		o.t.Errorf("%s %v was done: %s", method, argument, m.Result)
	}
	_, text, _ := strings.Cut(m.Error, "HubException: ")
	return text
}

// first opens a stream and returns its first item.
func first[T any](o operator, method string, argument object, meanwhile func()) T { //nolint:ireturn // whatever is asked for
	o.t.Helper()
	encoded, err := json.Marshal(argument)
	if err != nil {
		o.t.Fatal(err)
	}
	id := "stream-" + method
	o.send(fmt.Sprintf(`{"type":4,"invocationId":%q,"target":%q,"arguments":[%s]}`, id, method, encoded))
	if meanwhile != nil {
		meanwhile()
	}
	var item struct {
		Type int
		Item json.RawMessage
	}
	for {
		record := o.next()
		if err := json.Unmarshal([]byte(record), &item); err != nil {
			o.t.Fatal(err)
		}
		if item.Type == 2 {
			break
		}
		if item.Type == 3 {
			o.t.Fatalf("%s: %s", method, record)
		}
	}
	o.send(fmt.Sprintf(`{"type":5,"invocationId":%q}`, id))
	var result T
	if err := json.Unmarshal(item.Item, &result); err != nil {
		o.t.Fatalf("%s: %s: %v", method, item.Item, err)
	}
	o.until("the end of "+method, func(m message) bool { return m.Type == 3 && m.InvocationID == id })
	return result
}

func TestConsoleShowsWhoIsThereAndWhatCame(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications?device=phone", node.token(t, "ann", "ops"))
	node.live(t)
	ann.invoke("JoinGroup", "deploys")
	ann.invoke("SendToSelf", object{"id": "first", "title": "<img src=x onerror=alert(1)>", "type": "order.shipped", "severity": "warning"})
	alert, _ := ann.alert()
	o := node.operate(t, "")

	who := ask[console.Identity](o, "Who", object{})
	if who.MayAct || !who.Local || !who.Dev || who.User != "" || !who.SpansKept || !slices.Equal(who.Hubs, []string{"notifications", "analytics"}) {
		t.Errorf("who: got %+v", who)
	}
	list := ask[console.ConnectionList](o, "Connections", object{"user": "ann"})
	if list.Total != 1 || list.Matched != 1 || len(list.Items) != 1 {
		t.Fatalf("connections: got %+v", list)
	}
	c := list.Items[0]
	if c.User != "ann" || c.Device != "phone" || c.Transport != "WebSockets" || c.Phase != "live" || !slices.Equal(c.Roles, []string{"ops"}) ||
		!slices.Contains(c.Groups, "deploys") || c.Position != alert.Position || c.Behind != 0 {
		t.Errorf("connection: got %+v", c)
	}
	if got := ask[console.Connection](o, "Connection", object{"id": c.ID}); got.ID != c.ID {
		t.Errorf("connection: got %+v", got)
	}
	if got := o.refused("Connection", object{"id": "nobody"}); !strings.Contains(got, "no such connection") {
		t.Errorf("no connection: got %q", got)
	}
	groups := ask[console.GroupList](o, "Groups", object{})
	if want := []console.Group{{Kind: "group", Name: "deploys", Connections: 1}, {Kind: "role", Name: "ops", Connections: 1}}; !slices.Equal(groups.Items, want) {
		t.Errorf("groups: got %+v, want %+v", groups.Items, want)
	}
	if members := ask[console.MemberList](o, "Members", object{"kind": "role", "name": "ops"}); members.Total != 1 || members.Items[0].Connection != c.ID {
		t.Errorf("members: got %+v", members)
	}
	log := ask[console.LogList](o, "Log", object{"type": "order.*", "text": "ONERROR", "severity": "warning", "user": "ann", "emitter": "ann"})
	if len(log.Items) != 1 || log.Items[0].ID != "first" || log.Items[0].Position != alert.Position || log.Items[0].TraceID == "" || log.Next != 0 {
		t.Fatalf("log: got %+v", log)
	}
	for name, q := range map[string]object{
		"type": {"type": "order"}, "text": {"text": "nothing"}, "severity": {"severity": "info"}, "user": {"user": "bob"},
		"emitter": {"emitter": "bob"}, "hub": {"hub": "analytics"}, "recipient": {"recipient": "role/ops"}, "before": {"before": alert.Position},
	} {
		if got := ask[console.LogList](o, "Log", q); len(got.Items) != 0 || got.Items == nil {
			t.Errorf("log by another %s: got %+v", name, got)
		}
	}
	waitFor(t, "the delivery is known", func() bool {
		event := ask[console.Event](o, "Event", object{"position": alert.Position})
		return len(event.Deliveries) == 1 && event.Deliveries[0].Connections == 1 && event.TraceID == log.Items[0].TraceID && strings.Contains(event.Payload, `"first"`)
	})
	if got := ask[console.Event](o, "Event", object{"id": "first"}); got.Line.Position != alert.Position {
		t.Errorf("event by id: got %+v", got)
	}
	if got := o.refused("Event", object{"position": 999}); !strings.Contains(got, "does not hold") {
		t.Errorf("no event: got %q", got)
	}
	trace := ask[console.Trace](o, "Trace", object{"id": log.Items[0].TraceID})
	if len(trace.Spans) != 3 || trace.Spans[0].Name != "NotificationHub/SendToSelf" {
		t.Errorf("trace: got %+v", trace)
	}
	for name, q := range map[string]object{"user": {"user": "ann"}, "event": {"event": "first"}, "method": {"method": "NotificationHub/SendToSelf"}} {
		if got := ask[console.TraceList](o, "Traces", q); len(got.Items) == 0 || !got.Kept {
			t.Errorf("traces by %s: got %+v", name, got)
		}
	}
	if got := ask[console.TraceList](o, "Traces", object{"user": "bob"}); len(got.Items) != 0 {
		t.Errorf("traces of nobody: got %+v", got)
	}
	user := ask[console.User](o, "User", object{"user": "ann"})
	if !user.Known || user.Counts.Unread != 1 || len(user.Connections) != 1 || len(user.Devices) != 1 || user.Devices[0].Device != "phone" || len(user.Roles) != 1 {
		t.Errorf("user: got %+v", user)
	}
	if inbox := ask[console.InboxList](o, "UserInbox", object{"user": "ann"}); len(inbox.Items) != 1 || inbox.Items[0].Status != "unseen" {
		t.Errorf("inbox: got %+v", inbox)
	}
	if got := ask[console.LogsList](o, "Logs", object{"level": "info"}); !got.Kept || len(got.Items) == 0 {
		t.Errorf("logs: got %+v", got)
	}
	if nodes := ask[console.NodeList](o, "Nodes", object{}); len(nodes.Items) != 1 || !nodes.Items[0].Self || !nodes.Items[0].Ready || nodes.Items[0].Node == "" {
		t.Errorf("nodes: got %+v", nodes)
	}
}

func TestConsoleShowsWhatComes(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications", node.token(t, "ann"))
	node.live(t)
	o := node.operate(t, "")
	sample := first[console.Sample](o, "Watch", object{}, nil)
	if sample.Connections != 1 || sample.Goroutines == 0 || sample.RSSBytes == 0 || time.Since(sample.At) > time.Minute {
		t.Errorf("sample: got %+v", sample)
	}
	piece := first[console.TailPiece](o, "Tail", object{"recipient": "user/ann"}, func() {
		// What comes before the stream has been opened is not seen.
		waitFor(t, "the tail is heard", func() bool {
			ann.invoke("SendToSelf", "now")
			ann.alert()
			return len(o.pending) > 0 || len(ask[console.LogList](node.operate(t, ""), "Log", object{}).Items) > 3
		})
	})
	if len(piece.Lines) == 0 || piece.Lines[0].Recipient != "user/ann" {
		t.Errorf("tail: got %+v", piece)
	}
}

// The console answers why somebody did not get something.
func TestConsoleExplains(t *testing.T) {
	node := start(t)
	admin := node.connect(t, "/hubs/notifications", node.token(t, "root", "admin"))
	admin.resumed()
	send := func(method string, to string, event object) {
		t.Helper()
		if m := admin.invoke(method, to, event); m.Error != "" {
			t.Fatalf("%s: %s", method, m.Error)
		}
	}
	ann := node.connect(t, "/hubs/notifications?device=phone", node.token(t, "ann"))
	ann.resumed()
	if m := ann.invoke("Mute", object{"type": "ads.*"}); m.Error != "" {
		t.Fatal(m.Error)
	}
	send("BroadcastToGroup", "deploys", object{"id": "not-a-member", "title": "x"})
	send("SendPersonalNotification", "ann", object{"id": "muted", "title": "x", "type": "ads.sale"})
	send("SendPersonalNotification", "ann", object{"id": "sent", "title": "x"})
	ann.alert()
	_ = ann.socket.Close()
	o := node.operate(t, "")
	waitFor(t, "ann has gone", func() bool {
		return ask[console.ConnectionList](o, "Connections", object{"user": "ann"}).Matched == 0
	})
	send("SendPersonalNotification", "ann", object{"id": "offline", "title": "x"})
	send("SendPersonalNotification", "ann", object{"id": "expired", "title": "x", "ttl": 1})
	if m := admin.invoke("SendPersonalNotification", "ann", object{"id": "refused", "title": "x", "expiresAt": "2020-01-01T00:00:00Z"}); m.Error == "" {
		t.Error("an event of the past was accepted")
	}
	conn, err := nats.Connect("nats://" + node.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish("tidings.log.notifications.user.ann", []byte(`{"id": "rejected", "title": 5`)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"not-a-member": "It was not for ann: the user was no member of deploys", "muted": "muted for ann", "sent": "sent to ann", "offline": "ann was offline",
		"expired": "It expired", "never": "nothing is kept of this id",
	} {
		var got console.Explained
		waitFor(t, id+" is explained", func() bool {
			got = ask[console.Explained](o, "Explain", object{"user": "ann", "id": id})
			return strings.Contains(got.Verdict, want)
		})
		if got.User != "ann" || got.ID != id {
			t.Errorf("%s: got %+v", id, got)
		}
	}
}

// Who acts is known, says why, may do it, and is on record.
func TestConsoleActs(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications?device=phone", node.token(t, "ann"))
	node.live(t)
	ann.invoke("SendToSelf", object{"id": "once", "title": "once"})
	alert, _ := ann.alert()
	looking, lesser, acting := node.operate(t, ""), node.operate(t, node.token(t, "bob", "ops")), node.operate(t, node.token(t, "root", "admin"))
	id := ask[console.ConnectionList](looking, "Connections", object{}).Items[0].ID
	conn, err := nats.Connect("nats://" + node.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish("tidings.log.notifications.user.ann", []byte(`{"id": "broken", "title": 5}`)); err != nil {
		t.Fatal(err)
	}
	var rejected console.RejectedList
	waitFor(t, "it is rejected", func() bool {
		rejected = ask[console.RejectedList](looking, "Rejected", object{})
		return len(rejected.Items) == 1
	})
	seq := rejected.Items[0].Seq
	whole := ask[console.RejectedWhole](looking, "RejectedOne", object{"seq": seq})
	if whole.Recipient != "user/ann" || whole.Hub != "notifications" || whole.Binary || whole.Payload != `{"id": "broken", "title": 5}` || whole.ID != "broken" || !strings.Contains(whole.Reason, "title") {
		t.Errorf("rejected: got %+v", whole)
	}
	acts := map[string]object{
		"CloseConnection": {"id": id}, "TraceUser": {"user": "ann"}, "UntraceUser": {"user": "ann"},
		"Replay": {"user": "ann", "after": alert.Position - 1}, "Reemit": {"seq": seq, "event": `{"id": "mended", "title": "5"}`},
		"Erase": {"user": "ann", "confirm": "ann"},
	}
	for method, argument := range acts {
		if got := acting.refused(method, argument); !strings.HasPrefix(got, "Say why") {
			t.Errorf("%s without a reason: got %q", method, got)
		}
		argument["why"] = "ticket 7"
		if got := looking.refused(method, argument); !strings.HasPrefix(got, "Sign in") {
			t.Errorf("%s without a token: got %q", method, got)
		}
		if got := lesser.refused(method, argument); !strings.HasPrefix(got, "You may look") {
			t.Errorf("%s without the role: got %q", method, got)
		}
	}
	if got := acting.refused("Erase", object{"user": "ann", "confirm": "bob", "why": "x"}); !strings.HasPrefix(got, "Type the id") {
		t.Errorf("erase of another: got %q", got)
	}
	if got := acting.refused("Replay", object{"user": "ann", "why": "x"}); !strings.HasPrefix(got, "Say from where") {
		t.Errorf("replay from nowhere: got %q", got)
	}

	until := ask[console.TraceAnswer](acting, "TraceUser", acts["TraceUser"]).Until
	if traced := ask[console.TracedList](looking, "Traced", object{}); len(traced.Items) != 1 || traced.Items[0].User != "ann" || time.Until(until) < 14*time.Minute {
		t.Errorf("traced: got %+v until %v", traced, until)
	}
	repeated := ask[notifications.Repeated](acting, "Replay", acts["Replay"])
	if n, _ := ann.alert(); repeated.Emitted != 1 || n.Title != "once" || n.ID == "once" || n.ReplayOf != fmt.Sprintf("notifications/%d", alert.Position) {
		t.Errorf("replay: got %+v, ann heard %+v", repeated, n)
	}
	receipt := ask[notifications.Receipt](acting, "Reemit", acts["Reemit"])
	if n, _ := ann.alert(); n.ID != "mended" || n.Position != receipt.Position {
		t.Errorf("emitted again: got %+v, ann heard %+v", receipt, n)
	}
	ask[console.Nothing](acting, "UntraceUser", acts["UntraceUser"])
	if traced := ask[console.TracedList](looking, "Traced", object{}); len(traced.Items) != 0 {
		t.Errorf("still traced: %+v", traced)
	}
	ask[console.Nothing](acting, "CloseConnection", acts["CloseConnection"])
	ann.until("Close", func(m message) bool { return m.Type == 7 })
	if erased := ask[console.EraseAnswer](acting, "Erase", acts["Erase"]); erased.Events < 3 {
		t.Errorf("erased: got %+v", erased)
	}

	want := map[string]int{"closed": 1, "traced": 2, "replayed": 3, "erased": 1, "refused": 12}
	waitFor(t, "all is on record", func() bool {
		got := map[string]int{}
		for _, r := range ask[console.AuditList](looking, "Audit", object{"limit": 200}).Items {
			if r.Via == console.Via && strings.HasSuffix(r.Note, "– ticket 7") {
				got[r.Action]++
			}
		}
		return got["closed"] == want["closed"] && got["traced"] == want["traced"] && got["replayed"] == 2 && got["erased"] == want["erased"] && got["refused"] == want["refused"]
	})
}

// Pages of other origins, and of names that were pointed at this machine, do not
// get in, and neither does a token that is none.
func TestWhoComesToTheConsole(t *testing.T) {
	node := start(t)
	dial := func(host string, header http.Header) int {
		t.Helper()
		if host != "" {
			header.Set("Host", host)
		}
		socket, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+node.ops+consoleHubPath, header)
		if err == nil {
			_ = socket.Close()
		}
		if response == nil {
			t.Fatalf("no answer: %v", err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for name, test := range map[string]struct {
		host   string
		header http.Header
		want   int
	}{
		"this machine":                    {"", http.Header{}, http.StatusSwitchingProtocols},
		"the page itself":                 {"", http.Header{"Origin": {"http://" + node.ops}}, http.StatusSwitchingProtocols},
		"a page of another port":          {"", http.Header{"Origin": {"http://" + node.http}}, http.StatusForbidden},
		"a page of another machine":       {"", http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
		"a name pointed at this machine":  {"evil.example", http.Header{"Origin": {"http://evil.example"}}, http.StatusUnauthorized},
		"no token":                        {"", bearer("nonsense"), http.StatusUnauthorized},
		"elsewhere without the role":      {"ops.example", bearer(node.token(t, "ann")), http.StatusForbidden},
		"elsewhere, of those who may act": {"ops.example", bearer(node.token(t, "root", "admin")), http.StatusSwitchingProtocols},
	} {
		if got := dial(test.host, test.header); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+node.ops+consoleHubPath+"/negotiate?negotiateVersion=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // not read
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: got %d, want 403", response.StatusCode)
	}
	if status, body := get(t, "http://"+node.ops+"/console/dev/users"); status != http.StatusOK || !strings.Contains(body, "root") {
		t.Errorf("users of development: got %d %s", status, body)
	}
	if status, _ := get(t, "http://"+node.ops+"/console/"); status != http.StatusOK && status != http.StatusServiceUnavailable {
		t.Errorf("the page: got %d", status)
	}
}
