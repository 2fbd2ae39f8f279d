// Package nats_test holds the example configuration of nats-server to what it
// promises, with a real server.
package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
	"tidings/persistence"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// hash is that of orders-password (bcrypt).
const hash = "$2a$04$y45aowGvrn8dfDA78uQoB.DVDIL4DCMLlnEEOpsORktA.tNQj73SW"

// start runs a server with the configuration, on a port and a folder of the
// test; change, which may be nil, alters it first.
func start(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	// The three ways to write a password: as it is, as a hash, and digits.
	t.Setenv("NODE_PASSWORD", "node-password")
	t.Setenv("ORDERS_PASSWORD", hash)
	t.Setenv("MONITORING_PASSWORD", `"12345"`)
	o, err := server.ProcessConfigFile("emitters.conf")
	if err != nil {
		t.Fatal(err)
	}
	o.Port, o.StoreDir, o.NoSigs, o.NoLog = server.RANDOM_PORT, t.TempDir(), true, true
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatalf("the server is not ready after %v", patience)
	}
	return s
}

// node is what a node of Tidings has of the server.
type node struct {
	*persistence.Log

	nats  *persistence.NATS
	heard chan *notifications.Entry
	live  chan notifications.Live
}

// open opens the log as a node does and follows it until the test ends.
func open(t *testing.T, s *server.Server) *node {
	t.Helper()
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: s.ClientURL(), User: "node", Password: "node-password"})
	if err != nil {
		t.Fatal(err)
	}
	log, err := persistence.Open(t.Context(), conn, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Log: log, nats: conn, heard: make(chan *notifications.Entry, 100), live: make(chan notifications.Live, 100)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() {
		ended <- log.Follow(ctx, func(_ context.Context, b notifications.Batch) error {
			for _, e := range b.Entries {
				n.heard <- e
			}
			return nil
		})
	}()
	go func() {
		ended <- log.FollowLive(ctx, func(_ context.Context, m notifications.Live) { n.live <- m })
	}()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, <-ended, conn.Close(context.WithoutCancel(ctx))); err != nil {
			t.Error(err)
		}
	})
	receive(t, log.Ready())
	return n
}

func receive[T any](t *testing.T, from <-chan T) T { //nolint:ireturn // a type parameter is no interface
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("nothing came in %v", patience)
		panic("unreachable")
	}
}

// emitter is a connection of a user that can do nothing but emit.
type emitter struct {
	*nats.Conn

	errors chan error
}

func connect(t *testing.T, s *server.Server, user, password string) *emitter {
	t.Helper()
	e := &emitter{errors: make(chan error, 100)}
	var err error
	e.Conn, err = nats.Connect(s.ClientURL(), nats.UserInfo(user, password), nats.CustomInboxPrefix("_INBOX_"+user),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { e.errors <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// emit stores an event as any emitter does.
func (e *emitter) emit(t *testing.T, subject string, options ...jetstream.PublishOpt) *jetstream.PubAck {
	t.Helper()
	js, err := jetstream.New(e.Conn)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(t.Context(), subject, []byte(`{"title":"Hello"}`), options...)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return ack
}

// refused expects that the server refuses what was just tried: "Publish" or
// "Subscription".
func (e *emitter) refused(t *testing.T, what, subject string) {
	t.Helper()
	if err := e.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-e.errors:
		// The server shows subjects as they are, the client in lower case.
		if want := strings.ToLower("for " + what + ` to "` + subject + `"`); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(strings.ToLower(err.Error()), want) {
			t.Errorf("%s to %s: got %v", what, subject, err)
		}
	case <-time.After(patience):
		t.Errorf("%s to %s is not refused", what, subject)
	}
}

func TestNodeMayDoWhatItNeeds(t *testing.T) {
	n := open(t, start(t, nil))
	devices, err := persistence.OpenCursors(t.Context(), n.nats, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	devices.Save("notifications", "ann", "d1", notifications.Device{Groups: map[string]notifications.Position{"ops": 1}})
	if err := devices.Flush(t.Context(), "notifications", "ann", "d1"); err != nil {
		t.Error(err)
	}
	ann := notifications.Recipient{Kind: notifications.User, Key: "ann"}
	events := notifications.NewCommands(notifications.CommandsOptions{Log: n})
	receipt, err := events.Emit(t.Context(), notifications.DefaultHub, notifications.Event{Recipient: ann, Title: "Hello"})
	if err != nil {
		t.Fatal(err)
	}
	if e := receive(t, n.heard); e.Position != receipt.Position || e.Event.Title != "Hello" {
		t.Errorf("the node has stored %+v and hears %+v", receipt, e)
	}
	if err := n.PublishLive(notifications.Live{Hub: notifications.DefaultHub, To: ann, Target: "T", Arguments: []json.RawMessage{[]byte("1")}}); err != nil {
		t.Error(err)
	}
	if m := receive(t, n.live); m.Target != "T" {
		t.Errorf("the node hears %+v", m)
	}
}

func TestEmitterEmits(t *testing.T) {
	s := start(t, nil)
	n := open(t, s)
	orders, monitoring := connect(t, s, "orders", "orders-password"), connect(t, s, "monitoring", "12345")
	for i, test := range []struct {
		by        *emitter
		to        string
		recipient string
	}{
		{orders, "user.ann=40example=2Ecom", "user/ann@example.com"},
		{orders, "role.sales", "role/sales"},
		{monitoring, "role.ops", "role/ops"},
		{monitoring, "group.night=20shift", "group/night shift"},
	} {
		subject := "tidings.log.notifications." + test.to
		ack := test.by.emit(t, subject, jetstream.WithMsgID(test.to))
		if ack.Stream != "TIDINGS" || ack.Sequence != uint64(i)+1 || ack.Duplicate {
			t.Errorf("%s: got %+v, want position %d", test.to, ack, i+1)
		}
		if again := test.by.emit(t, subject, jetstream.WithMsgID(test.to)); again.Sequence != ack.Sequence || !again.Duplicate {
			t.Errorf("%s again: got %+v, want a duplicate of %d", test.to, again, ack.Sequence)
		}
		if e := receive(t, n.heard); e.Event.Recipient.String() != test.recipient || uint64(e.Position) != ack.Sequence || e.Event.Title != "Hello" {
			t.Errorf("%s: the node hears %+v", test.to, e)
		}
	}
}

func TestEmitterMayDoNothingElse(t *testing.T) {
	s := start(t, nil)
	n := open(t, s)
	orders := connect(t, s, "orders", "orders-password")
	for _, subject := range []string{
		// Not its recipients: everybody, a group, a role of another emitter, another
		// hub, and what is no key.
		"tidings.log.notifications.everyone",
		"tidings.log.notifications.group.night",
		"tidings.log.notifications.role.ops",
		"tidings.log.analytics.user.ann",
		"tidings.log.notifications.user.ann.x",
		"tidings.log.notifications.user",
		// What is not for emitters at all.
		"tidings.live.notifications.user.ann",
		"tidings.state.notifications.user.ann",
		"tidings.scheduled.notifications.x",
		"tidings.audit.x",
		"tidings.connections.x",
		"tidings.rejected.1.1",
		"$KV.TIDINGS_CURSORS.x",
		// Reading, deleting and changing streams.
		"$JS.API.INFO",
		"$JS.API.STREAM.INFO.TIDINGS",
		"$JS.API.STREAM.PURGE.TIDINGS",
		"$JS.API.STREAM.DELETE.TIDINGS",
		"$JS.API.STREAM.UPDATE.TIDINGS",
		"$JS.API.STREAM.CREATE.MINE",
		"$JS.API.STREAM.MSG.DELETE.TIDINGS",
		"$JS.API.STREAM.MSG.GET.TIDINGS",
		"$JS.API.STREAM.SNAPSHOT.TIDINGS",
		"$JS.API.DIRECT.GET.TIDINGS",
		"$JS.API.CONSUMER.CREATE.TIDINGS",
		"$JS.API.CONSUMER.CREATE.TIDINGS.c.tidings.log.>",
		"$JS.API.CONSUMER.DELETE.TIDINGS.c",
		"$JS.ACK.TIDINGS.c.1.1.1.1.1",
		"$SYS.REQ.SERVER.PING",
		// Answers in the name of the log.
		"_INBOX_monitoring.x.1",
		"_INBOX.x.1",
	} {
		if err := orders.Publish(subject, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		orders.refused(t, "Publish", subject)
	}
	for _, subject := range []string{
		"tidings.log.>", "tidings.log.notifications.user.ann", "tidings.live.>", "tidings.state.>", "tidings.>", ">", "*", "*.>",
		"$JS.>", "$SYS.>", "$KV.>", "_INBOX.>", "_INBOX_monitoring.>", "_R_.>",
	} {
		sub, err := orders.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		orders.refused(t, "Subscription", subject)
		_ = sub.Unsubscribe() // the server has refused it
	}
	if got := orders.emit(t, "tidings.log.notifications.user.ann"); got.Sequence != 1 {
		t.Errorf("the log has %d events, want none before this one", got.Sequence-1)
	}
	receive(t, n.heard)
	if got := n.Stats().Rejected; got != 0 {
		t.Errorf("%d messages were rejected", got)
	}
}

// Permissions are of subjects. What headers could do is refused by the log.
func TestEmitterMayDoNothingElseWithHeaders(t *testing.T) {
	s := start(t, nil)
	open(t, s)
	orders := connect(t, s, "orders", "orders-password")
	const subject = "tidings.log.notifications.user.ann"
	orders.emit(t, subject)
	for _, header := range []nats.Header{
		{"Nats-Rollup": {"all"}},
		{"Nats-Rollup": {"sub"}},
		{"Nats-Schedule": {"@at 2030-01-01T00:00:00Z"}, "Nats-Schedule-Target": {"tidings.log.notifications.everyone"}},
		{"Nats-Incr": {"1"}},
	} {
		answer, err := orders.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte(`{}`)}, patience)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(answer.Data), `"error"`) {
			t.Errorf("%v: got %s, want an error", header, answer.Data)
		}
	}
	if got := orders.emit(t, subject); got.Sequence != 2 {
		t.Errorf("got position %d, want 2", got.Sequence)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := start(t, nil)
	for name, options := range map[string][]nats.Option{
		"nobody":         nil,
		"wrong password": {nats.UserInfo("orders", "monitoring-password")},
		"empty password": {nats.UserInfo("orders", "")},
		"the hash":       {nats.UserInfo("orders", hash)},
		"unknown":        {nats.UserInfo("shop", "orders-password")},
	} {
		conn, err := nats.Connect(s.ClientURL(), options...)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: got %v, want %v", name, err, nats.ErrAuthorization)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// Without a password in the environment the server does not start.
func TestPasswordsAreNeeded(t *testing.T) {
	if _, err := server.ProcessConfigFile("emitters.conf"); err == nil || !strings.Contains(err.Error(), "_PASSWORD") {
		t.Errorf("got %v, want an error that names a variable", err)
	}
}

// The accounts alone keep the log away, should somebody spoil the permissions.
func TestAccountsAreAFenceOfTheirOwn(t *testing.T) {
	s := start(t, func(o *server.Options) {
		for _, u := range o.Users {
			u.Permissions = nil
		}
	})
	n := open(t, s)
	orders := connect(t, s, "orders", "orders-password")
	for _, subject := range []string{
		"$JS.API.STREAM.INFO.TIDINGS", "$JS.API.STREAM.PURGE.TIDINGS", "$JS.API.STREAM.DELETE.TIDINGS", "$JS.API.CONSUMER.CREATE.TIDINGS",
		"tidings.live.notifications.user.ann", "tidings.state.notifications.user.ann", "tidings.log.analytics.user.ann",
	} {
		answer, err := orders.Request(subject, []byte(`{}`), patience)
		if notEnabled := err == nil && strings.Contains(string(answer.Data), "JetStream not enabled for account"); !notEnabled && !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: got %+v, %v, want nobody to answer", subject, answer, err)
		}
	}
	everything, err := orders.SubscribeSync("tidings.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := orders.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	events := notifications.NewCommands(notifications.CommandsOptions{Log: n})
	ann := notifications.Recipient{Kind: notifications.User, Key: "ann"}
	if _, err := events.Emit(t.Context(), notifications.DefaultHub, notifications.Event{Recipient: ann}); err != nil {
		t.Fatal(err)
	}
	receive(t, n.heard)
	if err := orders.Publish("tidings.end", nil); err != nil {
		t.Fatal(err)
	}
	if m, err := everything.NextMsg(patience); err != nil || m.Subject != "tidings.end" {
		t.Errorf("the emitter hears %+v, %v, want nothing of the log", m, err)
	}
	select {
	case m := <-n.live:
		t.Errorf("the node hears %+v", m)
	default:
	}
}

// What the guide shows of the configuration is in it, word for word.
func TestGuideShowsThisConfiguration(t *testing.T) {
	guide, err := os.ReadFile("../../docs/guides/emitting.md")
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := os.ReadFile("emitters.conf")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```text\n( *user: orders.*?)```").FindStringSubmatch(string(guide))
	if shown == nil || !strings.Contains(string(configuration), shown[1]) {
		t.Errorf("this is not in the configuration: %q", shown)
	}
}
