package persistence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
	tidingsv1 "tidings/proto/tidings/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hub = notifications.DefaultHub

// follower collects what is delivered.
type follower chan notifications.Batch

func (f follower) deliver(ctx context.Context, b notifications.Batch) error {
	select {
	case f <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until collects entries until one of that position was delivered.
func (f follower) until(t *testing.T, p notifications.Position) []*notifications.Entry {
	t.Helper()
	var all []*notifications.Entry
	for {
		select {
		case b := <-f:
			all = append(all, b.Entries...)
			if b.UpTo >= p {
				return all
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("position %d was not delivered; got %d entries", p, len(all))
		}
	}
}

func event(r notifications.Recipient, title string) notifications.Event {
	e := notifications.Event{Recipient: r, Title: title}
	e.Complete(time.Now(), notifications.NewID)
	return e
}

func appendTo(t *testing.T, l notifications.Appender, e notifications.Event) notifications.Position {
	t.Helper()
	receipt, err := l.Append(t.Context(), hub, e)
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Position
}

// everything reads all pages of the memberships after p.
func everything(t *testing.T, l notifications.Reader, p notifications.Position, limit int, to ...notifications.Recipient) []notifications.Position {
	t.Helper()
	q := notifications.Query{Hub: hub, After: p, Limit: limit}
	for _, r := range to {
		q.Memberships = append(q.Memberships, notifications.Membership{Recipient: r})
	}
	var all []notifications.Position
	for {
		page, err := l.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			all = append(all, e.Position)
		}
		if page.UpTo >= l.State().Last {
			return all
		}
		q.After = page.UpTo
	}
}

func TestAppendFollowRead(t *testing.T) {
	f := make(follower, 64)
	l := persistencetest.Run(t, persistence.Options{}, f.deliver)
	ann, ops := notifications.ToUser("ann@example.com"), notifications.ToRole("ops & more")
	first := event(ann, "hello")
	first.Data = json.RawMessage(`{"b":2,"a":[1,2]}`)
	first.Severity = notifications.Warning
	receipt, err := l.Append(t.Context(), hub, first)
	if err != nil || receipt != (notifications.Receipt{ID: first.ID, Position: 1}) {
		t.Fatalf("append: got %+v, %v", receipt, err)
	}
	if again, err := l.Append(t.Context(), hub, first); err != nil || again.Position != 1 || !again.Duplicate {
		t.Fatalf("the same id again: got %+v, %v, want a duplicate of position 1", again, err)
	}
	appendTo(t, l, event(ops, "for the role"))
	appendTo(t, l, event(notifications.ToEveryone(), "for all"))
	entries := f.until(t, 3)
	if len(entries) != 3 {
		t.Fatalf("followed %d entries, want 3", len(entries))
	}
	got := entries[0]
	first.CreatedAt = got.Event.CreatedAt
	if fmt.Sprintf("%+v", got.Event) != fmt.Sprintf("%+v", first) || got.Hub != hub || got.Position != 1 || got.Stored.IsZero() {
		t.Errorf("the entry is not the event:\n got %+v\nwant %+v", got.Event, first)
	}
	if got := fmt.Sprint(everything(t, l, 0, 1, ann, notifications.ToEveryone())); got != "[1 3]" {
		t.Errorf("read for ann: got %s, want [1 3]", got)
	}
	if after, found := l.Recent(hub, []notifications.Membership{{Recipient: ann}, {Recipient: ops}}, 1); after != 1 || found != 1 {
		t.Errorf("Recent: got %d, %d, want 1, 1", after, found)
	}
	if stored, ok := l.StoredAt(1); !ok || !stored.Equal(got.Stored) {
		t.Errorf("StoredAt: got %v, %v", stored, ok)
	}
	if s := l.State(); s.First != 1 || s.Last != 3 || s.Epoch == 0 {
		t.Errorf("State: got %+v", s)
	}
}

// A restart rebuilds the index; what the small tail does not hold is read from
// the server, and the epoch stays.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	var want []notifications.Position
	var epoch uint64
	ann := notifications.ToUser("ann")
	t.Run("before", func(t *testing.T) {
		f := make(follower, 1024)
		l := persistencetest.Reopen(t, dir, persistence.Options{}, f.deliver)
		for i := range 300 {
			want = append(want, appendTo(t, l, event(ann, fmt.Sprint(i))))
			appendTo(t, l, event(notifications.ToUser("bob"), "x"))
		}
		f.until(t, 600)
		epoch = l.State().Epoch
	})
	t.Run("after", func(t *testing.T) {
		f := make(follower, 1024)
		l := persistencetest.Reopen(t, dir, persistence.Options{TailBytes: 4000}, f.deliver)
		if got := everything(t, l, 0, 70, ann); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("read %d entries, want %d", len(got), len(want))
		}
		if s := l.State(); s.Epoch != epoch || s.Last != 600 {
			t.Errorf("State: got %+v, want epoch %d and 600", s, epoch)
		}
		if got := everything(t, l, 599, 10, ann); len(got) != 0 {
			t.Errorf("after the end: got %v", got)
		}
	})
}

// Whatever JSON an emitter publishes is an event; what is no JSON is rejected
// with its reason and does not stop the events behind it.
func TestPlainPublishAndRejected(t *testing.T) {
	f := make(follower, 64)
	l, js := listening(t, persistence.Options{})
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	for _, m := range []struct{ subject, payload string }{
		{"tidings.log.notifications.user.ann", `{"title":"hi","newField":1}`},
		{"tidings.log.notifications.user.ann", `{"temperature":21}`},
		{"tidings.log.notifications.user.ann", `{broken`},
		{"tidings.log.notifications.user.a=2a", `{"title":"lower-case hex"}`},
		{"tidings.log.notifications.everyone", `[1,2]`},
		{"tidings.log.notifications.everyone.all", `"text"`},
		{"tidings.log.notifications.role.ops", `{"title":"x","severity":"loud"}`},
		{"tidings.log.notifications.role.ops", `{"title":"x","notBefore":"2999-01-01T00:00:00Z"}`},
	} {
		if _, err := js.Publish(t.Context(), m.subject, []byte(m.payload)); err != nil {
			t.Fatal(err)
		}
	}
	entries := f.until(t, 8)
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%d %s %q %s", e.Position, e.Event.Recipient, e.Event.Title, e.Event.Data))
	}
	want := `1 user/ann "hi" |2 user/ann "" {"temperature":21}|5 everyone "" [1,2]|6 everyone "" "text"`
	if strings.Join(got, "|") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "|"), want)
	}
	wantRejected(t, js, map[string]string{"3": "no valid JSON", "4": "=XX in upper-case hex", "7": "severity", "8": "notBefore: scheduled events are sent through the HTTP API or a hub, not to the log"})
	if s := l.Stats(); s.Rejected != 4 {
		t.Errorf("rejected: got %d, want 4", s.Rejected)
	}
}

func wantRejected(t *testing.T, js jetstream.JetStream, want map[string]string) {
	t.Helper()
	consumer, err := js.OrderedConsumer(t.Context(), "TIDINGS_REJECTED", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range len(want) {
		msg, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			t.Fatalf("next rejected: %v", err)
		}
		position, reason := msg.Headers().Get("Tidings-Position"), msg.Headers().Get("Tidings-Reason")
		if want[position] == "" || !strings.Contains(reason, want[position]) {
			t.Errorf("rejected %s: %q, want one of %v", position, reason, want)
		}
	}
}

// An expired event is a hole: neither lost nor a truncation.
func TestExpiredEventsAreHoles(t *testing.T) {
	f := make(follower, 64)
	l := persistencetest.Run(t, persistence.Options{TailBytes: 1}, f.deliver)
	ann := notifications.ToUser("ann")
	brief := event(ann, "brief")
	brief.ExpiresAt = time.Now().Add(time.Second)
	appendTo(t, l, event(ann, "a"))
	appendTo(t, l, brief)
	appendTo(t, l, event(ann, "b"))
	f.until(t, 3)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if got := everything(t, l, 0, 10, ann); fmt.Sprint(got) == "[1 3]" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("got %v, want [1 3]", got)
		}
	}
}

// Another shape of stream is refused, with what differs, and left alone.
func TestStreamOfAnotherShape(t *testing.T) {
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	conn, err := persistence.Connect(persistence.ConnectOptions{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := persistence.Open(t.Context(), conn, persistence.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := persistence.Open(t.Context(), conn, persistence.Options{}); err != nil {
		t.Fatalf("the same shape again: %v", err)
	}
	_, err = persistence.Open(t.Context(), conn, persistence.Options{MaxAge: time.Hour, MaxBytes: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "max_age is 720h0m0s, want 1h0m0s") || !strings.Contains(err.Error(), "max_bytes is -1, want 1048576") {
		t.Errorf("got %v, want what differs", err)
	}
}

func TestOneServerPerDirectory(t *testing.T) {
	dir := t.TempDir()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	if _, err := persistence.StartServer(persistence.ServerOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second server: got %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	if _, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Listen: server.Addr()}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second server: got %v", err)
	}
}

func TestUnreachableServer(t *testing.T) {
	_, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://user:secret@127.0.0.1:1"})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want the address without the secret", err)
	}
}

// The server goes away and comes back on the same port: appends fail with a
// retriable error meanwhile, and the follower misses nothing.
func TestServerComesBack(t *testing.T) {
	dir := t.TempDir()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: dir, Listen: "127.0.0.1:0", Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	addr := server.Addr()
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	l, err := persistence.Open(t.Context(), conn, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := make(follower, 64)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Follow(ctx, f.deliver) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-l.Ready()
	appendTo(t, l, event(notifications.ToUser("ann"), "before"))
	f.until(t, 1)
	if err := server.Shutdown(); err != nil {
		t.Fatal(err)
	}
	brief, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if _, err := l.Append(brief, hub, event(notifications.ToUser("ann"), "lost?")); !errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("append without a server: got %v, want ErrUnavailable", err)
	}
	if server, err = persistence.StartServer(persistence.ServerOptions{Dir: dir, Listen: addr, Sync: persistence.SyncInterval}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	p := appendTo(t, l, event(notifications.ToUser("ann"), "after"))
	entries := f.until(t, p)
	if last := entries[len(entries)-1]; last.Event.Title != "after" {
		t.Errorf("followed %q, want after", last.Event.Title)
	}
}

func TestCursors(t *testing.T) {
	l := persistencetest.Run(t, persistence.Options{}, nil)
	cursors, err := persistence.OpenCursors(t.Context(), l.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, known, err := cursors.Load(t.Context(), hub, "ann", "d1"); known || err != nil {
		t.Fatalf("a new device: got %v, %v", known, err)
	}
	five := notifications.Cursor{Epoch: 1, Position: 5, Stored: time.UnixMilli(1000).UTC()}
	cursors.Save(hub, "ann", "d1", notifications.Device{Cursor: five, Groups: map[string]notifications.Position{"g": 2}})
	cursors.Save(hub, "ann", "d1", notifications.Device{Cursor: notifications.Cursor{Epoch: 1, Position: 3}})
	if err := cursors.Flush(t.Context(), hub, "ann", "d1"); err != nil {
		t.Fatal(err)
	}
	again, err := persistence.OpenCursors(t.Context(), l.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, known, err := again.Load(t.Context(), hub, "ann", "d1")
	if err != nil || !known || d.Cursor != five || len(d.Groups) != 0 {
		t.Errorf("got %+v, %v, %v, want the cursor not gone back and the groups as saved last", d, known, err)
	}
	if _, known, _ := again.Load(t.Context(), hub, "ann", "d2"); known {
		t.Error("another device is known")
	}
}

func TestLive(t *testing.T) {
	l := persistencetest.Run(t, persistence.Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan notifications.Live, 8)
	done := make(chan error, 1)
	go func() {
		done <- l.FollowLive(ctx, func(_ context.Context, m notifications.Live) { heard <- m })
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	want := notifications.Live{Hub: "analytics", To: notifications.ToGroup("d 1"), Target: "T", Arguments: []json.RawMessage{json.RawMessage("1")}}
	for tries := 0; ; tries++ { // the subscription may not be there yet
		if err := l.PublishLive(want); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) {
				t.Errorf("got %s, want %s", got, want)
			}
			return
		case <-time.After(100 * time.Millisecond):
			if tries == 100 {
				t.Fatal("nothing heard")
			}
		}
	}
}

func FuzzSubject(f *testing.F) {
	f.Add("notifications", "ann@example.com")
	f.Add("h", "=41 .*>~\x00é")
	f.Fuzz(func(t *testing.T, hub, key string) {
		r := notifications.ToUser(key)
		if hub == "" || r.Validate() != nil {
			return
		}
		subject := persistence.Subject(hub, r)
		if strings.ContainsAny(subject, " *>\x00\r\n\t") || strings.Count(subject, ".") != 4 {
			t.Errorf("subject %q is not safe", subject)
		}
		gotHub, got, err := persistence.ParseSubject(subject)
		if err != nil || gotHub != hub || got != r {
			t.Errorf("%q: got %q %v, %v", subject, gotHub, got, err)
		}
	})
}

func FuzzParseSubject(f *testing.F) {
	f.Add("tidings.log.notifications.user.ann=40example=2Ecom")
	f.Add("tidings.log.h.everyone")
	f.Fuzz(func(t *testing.T, text string) {
		hub, r, err := persistence.ParseSubject(text)
		if err == nil && r.Kind != notifications.Everyone && persistence.Subject(hub, r) != text {
			t.Errorf("%q and %q name the same recipient", text, persistence.Subject(hub, r))
		}
	})
}

// listening is a log on a server with a port, so that a test can publish past
// it; it is not followed yet.
func listening(t *testing.T, o persistence.Options) (*persistence.Log, jetstream.JetStream) { //nolint:ireturn // the library's type
	t.Helper()
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + server.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := persistence.Open(t.Context(), conn, o)
	if err != nil {
		t.Fatal(err)
	}
	emitter, err := nats.Connect("nats://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(emitter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		emitter.Close()
		_ = conn.Close(context.WithoutCancel(t.Context()))
		_ = server.Shutdown()
	})
	return l, js
}

// follow follows a log until the returned function is called.
func follow(t *testing.T, l *persistence.Log, deliver func(context.Context, notifications.Batch) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Follow(ctx, deliver) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Follow: %v", err)
		}
	}
}

// flood publishes n events and returns when they are stored. It waits for an
// acknowledgement now and then, because the server drops what its queue cannot
// hold.
func flood(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	const subject = "tidings.log.notifications.user.ann"
	payload := []byte(`{"title":"` + strings.Repeat("x", 100) + `"}`)
	for i := 1; i <= n; i++ {
		var err error
		if i%500 == 0 || i == n {
			_, err = js.Publish(t.Context(), subject, payload)
		} else {
			err = js.Conn().Publish(subject, payload)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A node that the retention of the log has overtaken says so with the batch
// behind the hole.
func TestFallingBehindTheRetentionIsTold(t *testing.T) {
	l, js := listening(t, persistence.Options{MaxBytes: 1 << 20})
	flood(t, js, 1)
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	batches := make(chan notifications.Batch, 1024)
	first := true
	defer follow(t, l, func(ctx context.Context, b notifications.Batch) error {
		if first {
			first = false
			<-gate // the node is slow
		}
		batches <- b
		return nil
	})()
	defer open()
	<-l.Ready()
	flood(t, js, 30_000) // the log keeps some 7,000, the node has asked for 4,000
	open()
	position, lost := notifications.Position(1), false // the first one is history
	for position < 30_001 {
		select {
		case b := <-batches:
			for _, e := range b.Entries {
				if e.Position > position+1 && !b.Lost {
					t.Errorf("position %d follows %d, and the batch does not say that something was lost", e.Position, position)
				}
				position = e.Position
			}
			lost = lost || b.Lost
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing after position %d", position)
		}
	}
	if !lost {
		t.Error("nothing was lost: the test proves nothing")
	}
}

// Events that retention has dropped are a truncation for who reads on from
// before them, also when the node has not heard of it yet.
func TestReadingTellsWhatRetentionHasDropped(t *testing.T) {
	l, js := listening(t, persistence.Options{MaxBytes: 1 << 20, TailBytes: 1})
	flood(t, js, 100)
	f := make(follower, 1024)
	defer follow(t, l, f.deliver)()
	f.until(t, 100)
	ann := []notifications.Membership{{Recipient: notifications.ToUser("ann")}}
	page, err := l.Read(t.Context(), notifications.Query{Hub: hub, After: 10, Memberships: ann})
	if err != nil || page.First > 11 || len(page.Entries) != 90 {
		t.Fatalf("before: got %d entries from %d, %v", len(page.Entries), page.First, err)
	}
	flood(t, js, 20_000)
	page, err = l.Read(t.Context(), notifications.Query{Hub: hub, After: 10, Memberships: ann})
	if err != nil || page.First <= 100 {
		t.Errorf("after: got %d entries from %d, %v, want a first position beyond 100", len(page.Entries), page.First, err)
	}
	f.until(t, 20_100)
}

// An empty log whose events have all expired goes on where it was.
func TestEmptyLogKeepsItsEnd(t *testing.T) {
	dir := t.TempDir()
	var cursor notifications.Cursor
	t.Run("before", func(t *testing.T) {
		f := make(follower, 64)
		l := persistencetest.Reopen(t, dir, persistence.Options{}, f.deliver)
		for range 3 {
			e := event(notifications.ToUser("ann"), "brief")
			e.ExpiresAt = time.Now().Add(time.Second)
			appendTo(t, l, e)
		}
		entries := f.until(t, 3)
		cursor = entries[len(entries)-1].At(l.State().Epoch)
		for deadline, tick := time.Now().Add(30*time.Second), time.Tick(10*time.Millisecond); l.State().First != 4; <-tick {
			if time.Now().After(deadline) {
				t.Fatalf("the events have not expired: %+v", l.State())
			}
		}
	})
	t.Run("after", func(t *testing.T) {
		l := persistencetest.Reopen(t, dir, persistence.Options{}, nil)
		if s := l.State(); s.First != 4 || s.Last != 3 || s.End != 3 {
			t.Errorf("the empty log: got %+v, want first 4, last 3, end 3", s)
		}
		start := notifications.ResumeRequest{Cursor: cursor.String()}.Resolve(l, hub, nil, nil)
		if start.Resumed.Truncated || start.After != 3 {
			t.Errorf("a cursor at the end: got %+v, want to go on after 3", start)
		}
		if p := appendTo(t, l, event(notifications.ToUser("ann"), "next")); p != 4 {
			t.Errorf("the next event is at %d, want 4", p)
		}
	})
}

// Who waits for the log to be ready finds where it begins, at once.
func TestReadyKnowsWhereTheLogBegins(t *testing.T) {
	l := persistencetest.Reopen(t, t.TempDir(), persistence.Options{}, nil)
	for range 3 {
		appendTo(t, l, event(notifications.ToUser("ann"), "gone"))
	}
	if _, err := l.Erase(t.Context(), hub, "ann"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		again, err := persistence.Open(t.Context(), l.NATS, persistence.Options{})
		if err != nil {
			t.Fatal(err)
		}
		stop := follow(t, again, func(context.Context, notifications.Batch) error { return nil })
		<-again.Ready()
		state := again.State()
		stop()
		if state.First != 4 || state.Last != 3 || state.End != 3 {
			t.Fatalf("got %+v, want first 4, last 3, end 3", state)
		}
	}
}

func TestProtobufEvents(t *testing.T) {
	l, js := listening(t, persistence.Options{})
	f := make(follower, 64)
	defer follow(t, l, f.deliver)()
	<-l.Ready()
	payload, err := proto.Marshal(&tidingsv1.Event{Id: "p1", Title: "protobuf", Severity: "warning"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		contentType string
		payload     []byte
	}{{"application/protobuf", payload}, {"application/protobuf", []byte("\x01\xff")}} {
		msg := nats.NewMsg("tidings.log.notifications.user.ann")
		msg.Data = m.payload
		msg.Header.Set("content-type", m.contentType)
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	entries := f.until(t, 2)
	if len(entries) != 1 || entries[0].Event.ID != "p1" || entries[0].Event.Title != "protobuf" || entries[0].Event.Severity != notifications.Warning {
		t.Errorf("got %+v", entries)
	}
	wantRejected(t, js, map[string]string{"2": "not a tidings.v1.Event"})
}

// What one device acknowledges after a pause is written at once, without
// waiting for a round.
func TestAQuietDeviceIsSavedAtOnce(t *testing.T) {
	l := persistencetest.Run(t, persistence.Options{}, nil)
	cursors, err := persistence.OpenCursors(t.Context(), l.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cursors.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	five := notifications.Cursor{Epoch: 1, Position: 5}
	cursors.Save(hub, "ann", "d1", notifications.Device{Cursor: five})
	other, err := persistence.OpenCursors(t.Context(), l.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		d, known, err := other.Load(t.Context(), hub, "ann", "d1")
		if err != nil {
			t.Fatal(err)
		}
		if known && d.Cursor == five {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not saved")
		}
	}
}

func TestListeningServerAsksForItsToken(t *testing.T) {
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", Token: "s3cret", Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	if conn, err := persistence.Connect(persistence.ConnectOptions{URL: "nats://" + server.Addr()}); err == nil {
		_ = conn.Close(t.Context())
		t.Error("connected without the token")
	}
	for name, o := range map[string]persistence.ConnectOptions{
		"port": {URL: "nats://" + server.Addr(), Token: "s3cret"}, "process": {Server: server, Token: "s3cret"},
	} {
		conn, err := persistence.Connect(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = conn.Close(t.Context())
	}
}

// Whoever writes a device, and however slow: what is stored in the end is what
// was saved last.
func TestTheNewestCursorIsKept(t *testing.T) {
	l := persistencetest.Run(t, persistence.Options{}, nil)
	cursors, err := persistence.OpenCursors(t.Context(), l.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := persistence.OpenCursors(t.Context(), l.NATS, persistence.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cursors.Run(ctx) }()
	defer cancel()
	for round := range 300 {
		device := fmt.Sprint("d", round)
		save := func(p notifications.Position) {
			cursors.Save(hub, "ann", device, notifications.Device{Cursor: notifications.Cursor{Epoch: 1, Position: p}})
		}
		save(1) // urgent: written by Run
		save(2)
		var flushes sync.WaitGroup
		for range 4 {
			flushes.Go(func() {
				if err := cursors.Flush(t.Context(), hub, "ann", device); err != nil {
					t.Error(err)
				}
			})
		}
		save(3)
		flushes.Wait()
		if err := cursors.Flush(t.Context(), hub, "ann", device); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for round := range 300 {
		d, _, err := other.Load(t.Context(), hub, "ann", fmt.Sprint("d", round))
		if err != nil || d.Cursor.Position != 3 {
			t.Errorf("device %d: stored %d, %v, want 3", round, d.Cursor.Position, err)
		}
	}
}
