package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
	"tidings/persistence"
)

// sink is a log that keeps what is appended, and when. It de-duplicates nothing.
type sink struct {
	mu       sync.Mutex // guards all below
	appended map[string][]time.Time
	events   []notifications.Event
	err      error // of the next calls
	calls    int
	heard    chan string // ids
}

func newSink() *sink {
	return &sink{appended: make(map[string][]time.Time), heard: make(chan string, 1<<16)}
}

// Append implements notifications.Appender.
func (s *sink) Append(_ context.Context, _ string, e notifications.Event) (notifications.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return notifications.Receipt{}, s.err
	}
	s.appended[e.ID] = append(s.appended[e.ID], time.Now())
	s.events = append(s.events, e)
	s.heard <- e.ID
	return notifications.Receipt{ID: e.ID, Position: notifications.Position(len(s.events))}, nil
}

// held is what persistence asks before it appends again.
func (s *sink) held(_ context.Context, _, id string) (bool, error) { return s.times(id) > 0, nil }

func (s *sink) times(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.appended[id])
}

// at is when an event was appended first.
func (s *sink) at(id string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appended[id][0]
}

// fail makes Append fail until it is called with nil, and returns how often it
// was called.
func (s *sink) fail(err error) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	return s.calls
}

// until waits for an event.
func (s *sink) until(t *testing.T, id string) {
	t.Helper()
	for {
		select {
		case got := <-s.heard:
			if got == id {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("event %s was not appended within 30 s", id)
		}
	}
}

func (s *station) schedules(t *testing.T, log *sink) *persistence.Schedules {
	t.Helper()
	due := persistence.SchedulesOptions{}
	if log != nil {
		due = persistence.SchedulesOptions{Log: log, Held: log.held, TakeOver: time.Second}
	}
	schedules, err := persistence.OpenSchedules(t.Context(), s.connect(t), persistence.Options{}, due)
	if err != nil {
		t.Fatal(err)
	}
	return schedules
}

func later(title string, after time.Duration) notifications.Event {
	e := event(notifications.ToUser("ann@example.com"), title)
	e.NotBefore = time.Now().Add(after).UTC().Truncate(time.Millisecond)
	return e
}

func schedule(t *testing.T, s *persistence.Schedules, e notifications.Event) notifications.Receipt {
	t.Helper()
	receipt, err := s.Schedule(t.Context(), hub, e)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func cancelled(t *testing.T, s *persistence.Schedules, id string) bool {
	t.Helper()
	was, err := s.Cancel(t.Context(), hub, id)
	if err != nil {
		t.Fatal(err)
	}
	return was
}

func TestAScheduledEventIsAppendedWhenItIsDue(t *testing.T) {
	s := newStation(t)
	log := newSink()
	schedules := s.schedules(t, log)
	background(t, schedules.Run)
	e := later("<hello>", 1200*time.Millisecond)
	e.ID = "with.dots and spaces"
	e.Data = []byte(`{"b":[1,2],"a":"<&>"}`)
	receipt := schedule(t, schedules, e)
	if receipt != (notifications.Receipt{ID: e.ID, ScheduledFor: e.NotBefore}) {
		t.Errorf("receipt: got %+v", receipt)
	}
	waits, found, err := schedules.Scheduled(t.Context(), hub, e.ID)
	if err != nil || !found || text(t, waits) != text(t, e) {
		t.Errorf("scheduled: got %s, %v, %v", text(t, waits), found, err)
	}
	if _, found, err = schedules.Scheduled(t.Context(), "another", e.ID); err != nil || found {
		t.Errorf("of another hub: got %v, %v", found, err)
	}
	log.until(t, e.ID)
	late := log.at(e.ID).Sub(e.NotBefore)
	t.Logf("appended %v after its time", late)
	if late < 0 {
		t.Errorf("appended %v before its time", -late)
	}
	if got := log.events[0]; text(t, got) != text(t, e) {
		t.Errorf("appended %s\n    want %s", text(t, got), text(t, e))
	}
	eventually(t, "nothing waits any more", func() bool {
		_, found, err := schedules.Scheduled(t.Context(), hub, e.ID)
		return err == nil && !found
	})
	if cancelled(t, schedules, e.ID) {
		t.Error("canceled after it was appended")
	}
	// The id is known for a while.
	e.NotBefore = e.NotBefore.Add(time.Hour)
	if again := schedule(t, schedules, e); !again.Duplicate || again.Position != 1 || !again.ScheduledFor.Equal(waits.NotBefore) {
		t.Errorf("the same id again: got %+v", again)
	}
	s.empty(t)
}

// empty waits until the server holds neither triggers nor due messages.
func (s *station) empty(t *testing.T) {
	t.Helper()
	js := s.past(t)
	eventually(t, "no triggers and no due messages", func() bool {
		stream, err := js.Stream(t.Context(), "TIDINGS_SCHEDULED")
		if err != nil {
			return false
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("tidings.>"))
		if err != nil {
			return false
		}
		for subject := range info.State.Subjects {
			if strings.HasPrefix(subject, "tidings.due.") || strings.Count(subject, ".") == 4 {
				return false
			}
		}
		return true
	})
}

func TestTheFirstEventOfAnIDIsKept(t *testing.T) {
	s := newStation(t)
	schedules := s.schedules(t, nil)
	first, second := later("first", time.Hour), later("second", 2*time.Hour)
	second.ID = first.ID
	schedule(t, schedules, first)
	receipt := schedule(t, s.schedules(t, nil), second)
	if receipt != (notifications.Receipt{ID: first.ID, Duplicate: true, ScheduledFor: first.NotBefore}) {
		t.Errorf("got %+v, want a duplicate of %v", receipt, first.NotBefore)
	}
	if kept, found, err := schedules.Scheduled(t.Context(), hub, first.ID); err != nil || !found || kept.Title != "first" {
		t.Errorf("got %q, %v, %v, want the first", kept.Title, found, err)
	}
	if other, err := schedules.Schedule(t.Context(), "other", second); err != nil || other.Duplicate {
		t.Errorf("in another hub: got %+v, %v", other, err)
	}
}

// Somebody schedules the same id at the same time: one is kept, and all hear
// which.
func TestManyScheduleTheSameID(t *testing.T) {
	s := newStation(t)
	nodes := []*persistence.Schedules{s.schedules(t, nil), s.schedules(t, nil)}
	for round := range 20 {
		kept, times := make(chan string, 8), make(chan string, 8)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				e := later(fmt.Sprint(i), time.Hour+time.Duration(i)*time.Minute)
				e.ID = fmt.Sprint("round", round)
				receipt, err := nodes[i%2].Schedule(t.Context(), hub, e)
				if err != nil {
					t.Error(err)
				}
				if !receipt.Duplicate {
					kept <- e.Title
				}
				times <- receipt.ScheduledFor.String()
			})
		}
		all.Wait()
		close(times)
		var told []string
		for at := range times {
			told = append(told, at)
		}
		if len(kept) != 1 || len(slices.Compact(told)) != 1 {
			t.Fatalf("%d were kept, told %v", len(kept), told)
		}
		e, _, err := nodes[0].Scheduled(t.Context(), hub, fmt.Sprint("round", round))
		if title := <-kept; err != nil || e.Title != title {
			t.Errorf("%q is kept, %v, and %q was told so", e.Title, err, title)
		}
	}
}

func TestACanceledEventIsNotAppended(t *testing.T) {
	s := newStation(t)
	log := newSink()
	schedules := s.schedules(t, log)
	background(t, schedules.Run)
	if cancelled(t, schedules, "nothing") {
		t.Error("canceled what was never scheduled")
	}
	e, mark := later("canceled", time.Second), later("mark", 1500*time.Millisecond)
	schedule(t, schedules, e)
	schedule(t, schedules, mark)
	if !cancelled(t, schedules, e.ID) {
		t.Error("not canceled")
	}
	if cancelled(t, schedules, e.ID) {
		t.Error("canceled twice")
	}
	if _, found, err := schedules.Scheduled(t.Context(), hub, e.ID); err != nil || found {
		t.Errorf("still scheduled: %v, %v", found, err)
	}
	log.until(t, mark.ID)
	if n := log.times(e.ID); n != 0 {
		t.Errorf("the canceled event was appended %d times", n)
	}
	// The id can be used again, with another time.
	again := later("again", 500*time.Millisecond)
	again.ID = e.ID
	if receipt := schedule(t, schedules, again); receipt.Duplicate {
		t.Errorf("after it was canceled: got %+v", receipt)
	}
	log.until(t, again.ID)
	if n := log.times(e.ID); n != 1 {
		t.Errorf("appended %d times, want once", n)
	}
}

// Many events are due in the same moment, and all are canceled when the first
// one is appended. What was canceled is never appended, everything else once;
// some ids are scheduled anew at once. Two nodes append.
func TestCancelIsExact(t *testing.T) {
	s := newStation(t)
	log := newSink()
	nodes := []*persistence.Schedules{s.schedules(t, log), s.schedules(t, log)}
	for _, node := range nodes {
		background(t, node.Run)
	}
	const events = 200
	due := time.Now().Add(time.Second)
	all := make([]notifications.Event, events)
	for i := range all {
		all[i] = event(notifications.ToUser("ann"), fmt.Sprint(i))
		all[i].ID, all[i].NotBefore = fmt.Sprint("e", i), due
	}
	together(events, func(i int) { schedule(t, nodes[i%2], all[i]) })
	<-log.heard
	again := make([]bool, events)
	canceled := make([]bool, events)
	together(events, func(i int) {
		if canceled[i] = cancelled(t, nodes[(i+1)%2], all[i].ID); !canceled[i] || i%2 == 0 {
			return
		}
		e := all[i]
		e.Title, e.NotBefore = e.Title+" again", time.Now().Add(200*time.Millisecond)
		if receipt := schedule(t, nodes[i%2], e); receipt.Duplicate {
			t.Errorf("%s: a canceled id is a duplicate", e.ID)
		}
		again[i] = true
	})
	s.empty(t)
	got := make(map[string]int)
	log.mu.Lock()
	for _, e := range log.events {
		got[e.Title]++
	}
	log.mu.Unlock()
	n := 0
	for i, e := range all {
		want := 1
		if canceled[i] {
			want = 0
			n++
		}
		if got[e.Title] != want {
			t.Errorf("event %d was appended %d times, want %d", i, got[e.Title], want)
		}
		if title := e.Title + " again"; again[i] && got[title] != 1 {
			t.Errorf("event %q was appended %d times, want once", title, got[title])
		}
	}
	t.Logf("%d of %d were canceled", n, events)
}

// together calls a function for every number below n, all at the same time.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// An event that could not be appended comes back, cannot be canceled any more,
// and is not appended again if the log has it.
func TestADueEventThatCannotBeAppended(t *testing.T) {
	s := newStation(t)
	log := newSink()
	schedules := s.schedules(t, log)
	background(t, schedules.Run)
	e := later("e", 0)
	log.fail(notifications.ErrUnavailable)
	schedule(t, schedules, e)
	eventually(t, "it was tried", func() bool { return log.fail(notifications.ErrUnavailable) > 0 })
	if cancelled(t, schedules, e.ID) {
		t.Error("canceled while it may have been appended")
	}
	if _, found, err := schedules.Scheduled(t.Context(), hub, e.ID); err != nil || !found {
		t.Errorf("it does not wait any more: %v, %v", found, err)
	}
	log.fail(nil)
	log.until(t, e.ID)
	s.empty(t)
	if n := log.times(e.ID); n != 1 {
		t.Errorf("appended %d times, want once", n)
	}
	// The log has it, which the server that was to remember that has forgotten.
	lost := later("lost", 0)
	log.mu.Lock()
	log.appended[lost.ID] = append(log.appended[lost.ID], time.Now())
	log.mu.Unlock()
	schedule(t, schedules, lost)
	s.empty(t)
	if n := log.times(lost.ID); n != 1 {
		t.Errorf("appended %d times, want once", n)
	}
}

// What has expired before it was due, or is refused by the log, is dropped.
func TestDueEventsThatAreDropped(t *testing.T) {
	s := newStation(t)
	log := newSink()
	schedules := s.schedules(t, log)
	expired := later("expired", 0)
	expired.ExpiresAt = time.Now().Add(time.Millisecond)
	schedule(t, schedules, expired)
	refused := later("refused", 0)
	log.fail(&notifications.InvalidError{Reason: "is too large"})
	schedule(t, schedules, refused)
	background(t, schedules.Run)
	s.empty(t)
	if log.fail(nil) != 1 || log.times(expired.ID) != 0 {
		t.Errorf("the log was asked %d times, want once, for what it refuses", log.fail(nil))
	}
}

// The server goes before the time has come and is back after it.
func TestSchedulesSurviveTheServer(t *testing.T) {
	s := newStation(t)
	log := newSink()
	schedules := s.schedules(t, log)
	background(t, schedules.Run)
	e := later("e", 2*time.Second)
	schedule(t, schedules, e)
	s.stop(t)
	if _, err := schedules.Cancel(t.Context(), hub, e.ID); !errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("cancel: got %v, want ErrUnavailable", err)
	}
	<-time.After(time.Until(e.NotBefore))
	s.start(t)
	log.until(t, e.ID)
	t.Logf("appended %v after its time", log.at(e.ID).Sub(e.NotBefore))
	s.empty(t)
	if n := log.times(e.ID); n != 1 {
		t.Errorf("appended %d times, want once", n)
	}
}

const childDir, childAddr = "TIDINGS_TEST_DIR", "TIDINGS_TEST_ADDR"

// TestChild is the process of the test below.
func TestChild(t *testing.T) {
	if os.Getenv(childDir) == "" {
		t.Skip("only as a process of another test")
	}
	if _, err := persistence.StartServer(persistence.ServerOptions{
		Dir: os.Getenv(childDir), Listen: os.Getenv(childAddr), Sync: persistence.SyncInterval,
	}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	select {}
}

// child starts a server in a process of its own.
func child(t *testing.T, dir, addr string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childAddr+"="+addr)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for text := ""; !strings.Contains(text, "ready"); {
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatalf("child: %v: %s", err, text)
		}
		text += string(buffer[:n])
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// The server is killed before the time has come, and again while it fires.
func TestSchedulesSurviveKills(t *testing.T) {
	s := newStation(t)
	dir, addr := t.TempDir(), s.addr // the port is free in a moment
	s.stop(t)
	server := child(t, dir, addr)
	log := newSink()
	schedules := s.schedules(t, log)
	background(t, schedules.Run)
	const events = 200
	due := time.Now().Add(3 * time.Second)
	for i := range events {
		e := later(fmt.Sprint(i), 0)
		e.ID, e.NotBefore = fmt.Sprint("e", i), due
		schedule(t, schedules, e)
	}
	kill(t, server)
	server = child(t, dir, addr)
	log.until(t, "e0") // it fires
	kill(t, server)
	server = child(t, dir, addr)
	defer func() { kill(t, server) }()
	missing := func() (n int) {
		for i := range events {
			if log.times(fmt.Sprint("e", i)) == 0 {
				n++
			}
		}
		return n
	}
	eventually(t, "all are appended", func() bool { return missing() == 0 })
	s.empty(t)
	for i := range events {
		if n := log.times(fmt.Sprint("e", i)); n != 1 {
			t.Errorf("event %d was appended %d times, want once", i, n)
		}
	}
}
