package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tidings/actors/actorstest"
	"tidings/connections"
	"tidings/hub"
	"tidings/hub/hubtest"
	"tidings/hub/protocol"
	"tidings/notifications"
	"tidings/notifications/notificationstest"
	"tidings/roles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a log in memory that has lost its beginning, if trim says so.
type memory struct {
	*actorstest.Log

	mu    sync.Mutex // guards first
	first notifications.Position
}

// trim drops what is before that position, as retention does.
func (m *memory) trim(first notifications.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.first = first
}

func (m *memory) begin() notifications.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.first, 1)
}

// State implements notifications.Reader.
func (m *memory) State() notifications.LogState {
	s := m.Log.State()
	s.First = m.begin()
	return s
}

// Read implements notifications.Reader.
func (m *memory) Read(ctx context.Context, q notifications.Query) (notifications.Page, error) {
	first := m.begin()
	q.After = max(q.After, first-1)
	page, err := m.Log.Read(ctx, q)
	page.First = first
	return page, err
}

// StoredAt implements notifications.Reader.
func (m *memory) StoredAt(p notifications.Position) (time.Time, bool) {
	if p < m.begin() {
		return time.Time{}, false
	}
	return m.Log.StoredAt(p)
}

// devices keeps the state of devices in memory.
type devices struct {
	mu     sync.Mutex // guards all below
	kept   map[string]notifications.Device
	broken error
}

// breakDown makes Load fail until it is called with nil.
func (d *devices) breakDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

// Load implements notifications.Devices.
func (d *devices) Load(_ context.Context, name, user, device string) (notifications.Device, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, known := d.kept[name+"/"+user+"/"+device]
	return kept, known, d.broken
}

// Save implements notifications.Devices.
func (d *devices) Save(name, user, device string, state notifications.Device) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = make(map[string]notifications.Device)
	}
	state.Groups = maps.Clone(state.Groups) // the caller goes on with its own
	state.Name = device
	d.kept[name+"/"+user+"/"+device] = state
}

// Flush implements notifications.Devices.
func (d *devices) Flush(context.Context, string, string, string) error { return nil }

// Of implements notifications.Devices.
func (d *devices) Of(_ context.Context, name, user string) ([]notifications.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []notifications.Device
	for _, k := range slices.Sorted(maps.Keys(d.kept)) {
		if strings.HasPrefix(k, name+"/"+user+"/") {
			all = append(all, d.kept[k])
		}
	}
	return all, d.broken
}

// Erase implements notifications.Devices.
func (d *devices) Erase(_ context.Context, name, user string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.kept, func(k string, _ notifications.Device) bool { return strings.HasPrefix(k, name+"/"+user+"/") })
	return nil
}

// house is the notification hub with all it stands on, in memory. It is its
// own appender and follower: an append returns when all shards have the event.
type house struct {
	*hub.Notifications

	log     *memory
	devices *devices
	states  *notificationstest.States
	inboxes *notifications.Inboxes

	mu     sync.Mutex // one follower
	broken error
}

func newHouse(t *testing.T, o hub.Options) *house {
	t.Helper()
	h := &house{log: &memory{Log: &actorstest.Log{}}, devices: &devices{}, states: &notificationstest.States{}}
	inboxes := notifications.NewInboxes(notifications.InboxesOptions{Log: h.log, States: h.states, Policy: o.Policy})
	o.Durable = &hub.Durable{Reader: h.log, Devices: h.devices, Inboxes: inboxes}
	h.inboxes = inboxes
	h.states.Deliver = func(c notifications.Changed) { _ = h.Change(context.Background(), c) }
	if o.Policy == nil {
		o.Policy = roles.DefaultPolicy()
	}
	n, err := hub.NewNotifications(o, notifications.NewCommands(notifications.CommandsOptions{Log: h, Policy: o.Policy, Catalogue: h.log, NewID: fromTheLog}))
	if err != nil {
		t.Fatal(err)
	}
	h.Notifications = n
	return h
}

// fromTheLog leaves it to the log in memory to name an event: e1, e2 and so on.
func fromTheLog() string { return "" }

// Append implements notifications.Appender.
func (h *house) Append(ctx context.Context, name string, e notifications.Event) (notifications.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return notifications.Receipt{}, fmt.Errorf("append: %w", err)
	}
	if h.broken != nil {
		return notifications.Receipt{}, h.broken
	}
	entry := h.log.Append(name, e)
	err := h.Deliver(context.WithoutCancel(ctx), notifications.Batch{Entries: []*notifications.Entry{entry}, UpTo: entry.Position})
	return notifications.Receipt{ID: entry.Event.ID, Position: entry.Position}, err
}

// fail makes Append fail until it is called with nil.
func (h *house) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = err
}

// emit appends an event that no connection has sent.
func (h *house) emit(t *testing.T, to notifications.Recipient, title string) {
	t.Helper()
	h.store(t, notifications.Event{Recipient: to, Title: title})
}

// store appends an event that no connection has sent.
func (h *house) store(t *testing.T, e notifications.Event) {
	t.Helper()
	e.Complete(time.Now(), fromTheLog)
	if _, err := h.Append(t.Context(), notifications.DefaultHub, e); err != nil {
		t.Fatal(err)
	}
}

// newHub makes a hub of an application.
func newHub(tb testing.TB, o hub.Options) *hub.Hub {
	tb.Helper()
	if o.Name == "" {
		o.Name = "chat"
	}
	h, err := hub.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// served is a hub of an application that is served in a bubble.
func served(t *testing.T, o hub.Options) *hubtest.Server {
	t.Helper()
	return hubtest.ServePipes(t, newHub(t, o), connections.Options{})
}

// codecs are both encodings.
func codecs() []protocol.Codec { return []protocol.Codec{protocol.JSON(), protocol.MessagePack()} }

// settle waits until the server has nothing more to do and returns what the
// browser has heard.
func settle(b *hubtest.Browser) []string {
	synctest.Wait()
	return b.Heard()
}

// want compares what a browser has heard.
func want(t *testing.T, what string, got []string, records ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(records, "\n") {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(records, "\n     "))
	}
}

// call is an invocation with an id.
func call(id, target string, arguments ...any) string {
	return record(map[string]any{"type": 1, "invocationId": id, "target": target, "arguments": list(arguments)})
}

// tell is an invocation that wants no answer.
func tell(target string, arguments ...any) string {
	return record(map[string]any{"type": 1, "target": target, "arguments": list(arguments)})
}

func list(arguments []any) []any { return append([]any{}, arguments...) }

func record(m any) string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// result is the completion of a call, as the server writes it.
func result(id, value string) string {
	return `{"type":3,"invocationId":"` + id + `","result":` + value + `}`
}

// failure is the completion of a call that has failed.
func failure(id, text string) string {
	return `{"type":3,"invocationId":"` + id + `","error":` + record(text) + `}`
}

// said is an invocation of the server.
func said(target string, arguments ...any) string {
	text, err := json.Marshal(list(arguments))
	if err != nil {
		panic(err)
	}
	return `{"type":1,"target":"` + target + `","arguments":` + string(text) + `}`
}

// closedWithError is what ends a connection whose client broke the protocol.
const closedWithError = `{"type":7,"error":"Connection closed with an error.","allowReconnect":true}`

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
