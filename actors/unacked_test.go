package actors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidings/actors"
	"tidings/actors/actorstest"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// returning is a client with stateful reconnect: it counts what it hears as the
// official clients do, whatever socket it comes through.
type returning struct {
	browser

	t        *testing.T
	read     int  // bytes of the present socket that have been looked at
	counting bool // a Sequence has come, or this is the first socket
	next     int64
	received int64
	due      bool     // something is to be acknowledged
	heard    []string // counted messages, each once
	others   []string // the rest, in order
}

func (n *node) comeback(m actors.Member) *returning {
	n.t.Helper()
	m.Resumable = true
	return &returning{browser: n.connect(m), t: n.t, counting: true, next: 1}
}

// hear handles the whole records that have arrived.
func (r *returning) hear() {
	r.t.Helper()
	text := r.sink.Text()[r.read:]
	for {
		record, rest, whole := strings.Cut(text, "\x1e")
		if !whole {
			return
		}
		r.read += len(record) + 1
		text = rest
		m, err := protocol.JSON().Decode([]byte(record))
		if err != nil {
			r.t.Fatalf("%s: %v", record, err)
		}
		sequence, is := m.(*protocol.Sequence)
		switch {
		case is && (r.counting || sequence.SequenceID > r.next || sequence.SequenceID < 1):
			// The official JavaScript client closes: "Sequence ID greater than
			// amount of messages we've received."
			r.t.Fatalf("sequence %d, counting = %v, counted to %d", sequence.SequenceID, r.counting, r.next)
		case is:
			r.counting, r.next = true, sequence.SequenceID
		case !r.counting:
			r.t.Fatalf("%s came before the sequence", record)
		case !protocol.Counted(m):
			r.others = append(r.others, record)
		default:
			if r.next > r.received {
				r.received = r.next
				r.heard = append(r.heard, record)
			}
			r.due = r.due || r.next == r.received
			r.next++
		}
	}
}

// lose cuts the socket; what has arrived of a record is lost with it.
func (r *returning) lose() {
	r.t.Helper()
	r.hear()
	r.sink.Cut()
	if err := r.Detach(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *returning) comeBack() {
	r.t.Helper()
	r.sink, r.read, r.counting = actorstest.NewSink(), 0, false
	if err := r.Attach(r.t.Context(), r.sink); err != nil {
		r.t.Fatal(err)
	}
}

// ackDue is the client's timer. What it has heard on an earlier socket may be
// acknowledged on this one before it is counted again.
func (r *returning) ackDue() {
	r.t.Helper()
	if r.due && r.counting {
		r.ack(r.received)
	}
	r.due = false
}

func (r *returning) ack(number int64) notifications.Position {
	r.t.Helper()
	up, err := r.Acked(r.t.Context(), number)
	if err != nil {
		r.t.Fatal(err)
	}
	return up
}

func (r *returning) release() {
	r.t.Helper()
	if err := r.Release(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// say sends ann a message of the hub.
func (n *node) say(text string) {
	n.t.Helper()
	err := n.system.Send(n.t.Context(), actors.Live{
		To:      []notifications.Recipient{{Kind: notifications.Connection, Key: "a"}},
		Message: protocol.Share(&protocol.Invocation{Target: text}),
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// answer sends a message of the session.
func (r *returning) answer(id string) {
	r.t.Helper()
	if err := r.Send(r.t.Context(), &protocol.Completion{InvocationID: id, HasResult: true}); err != nil {
		r.t.Fatal(err)
	}
}

// sorted are what a client has heard: positions, targets of live messages and
// ids of completions, each in its order.
func (r *returning) sorted() (events []notifications.Position, lives, answers []string) {
	for _, record := range r.heard {
		var m struct {
			Type                 int
			Target, InvocationID string
			Arguments            []struct{ Position notifications.Position }
		}
		if err := json.Unmarshal([]byte(record), &m); err != nil {
			r.t.Fatal(err)
		}
		switch {
		case m.Type == 3:
			answers = append(answers, m.InvocationID)
		case len(m.Arguments) == 0:
			lives = append(lives, m.Target)
		default:
			events = append(events, m.Arguments[0].Position)
		}
	}
	return events, lives, answers
}

// Whatever happens to its sockets, a client that comes back hears everything
// once and in order.
func TestComebackLosesNothing(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) { comebackAtRandom(t, seed) })
	}
}

func comebackAtRandom(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 4))
	n := newNode(t, actors.Options{Shards: 1, OutboxFrames: 4, OutboxBytes: 1500, PageEvents: 3, ReconnectBuffer: 600})
	ann := n.comeback(actors.Member{ID: "a", User: "ann"})
	ann.release()
	var events []notifications.Position
	lives, answers, attached := 0, 0, true
	for range 150 {
		switch r.IntN(14) {
		case 0, 1, 2:
			events = append(events, n.emit(notifications.ToUser("ann"), notifications.ToUser("bob"), notifications.ToEveryone())...)
			events = append(events[:len(events)-2], events[len(events)-1])
		case 3, 4:
			n.say(fmt.Sprint("live", lives))
			lives++
		case 5, 6:
			ann.answer(fmt.Sprint("answer", answers))
			answers++
		case 7:
			if attached {
				ann.sink.Stall(r.IntN(2000))
			}
		case 8:
			ann.sink.Go()
		case 9:
			if attached {
				ann.lose()
			} else {
				ann.comeBack()
			}
			attached = !attached
		case 10:
			events = append(events, n.emit(slices.Repeat([]notifications.Recipient{notifications.ToUser("ann")}, 10)...)...)
		case 11:
			if attached { // the shard is the first to notice
				ann.hear()
				ann.sink.Cut()
			}
		case 12:
			ann.ackDue()
			ann.ack(1 << 40) // makes no sense
		default:
			time.Sleep(time.Second)
		}
		if r.IntN(3) > 0 {
			synctest.Wait()
			if attached {
				ann.hear()
			}
		}
	}
	if attached {
		ann.lose()
	}
	ann.comeBack()
	for before := int64(-1); before < ann.received; synctest.Wait() {
		before = ann.received
		synctest.Wait()
		ann.hear()
		ann.ackDue()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		ann.hear()
	}
	gotEvents, gotLives, gotAnswers := ann.sorted()
	if fmt.Sprint(gotEvents) != fmt.Sprint(events) {
		t.Errorf("seed %d: events: got %v, want %v", seed, gotEvents, events)
	}
	if fmt.Sprint(gotLives) != fmt.Sprint(numbered("live", lives)) {
		t.Errorf("seed %d: live: got %v, want %d", seed, gotLives, lives)
	}
	if fmt.Sprint(gotAnswers) != fmt.Sprint(numbered("answer", answers)) {
		t.Errorf("seed %d: answers: got %v, want %d", seed, gotAnswers, answers)
	}
	ann.ack(ann.received)
	ann.ack(ann.received) // the second one is of what has come again
	if kept := n.system.Stats().Kept; kept != 0 {
		t.Errorf("seed %d: %d bytes are kept of what was acknowledged", seed, kept)
	}
}

func numbered(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(text, i)
	}
	return all
}

// HubProtocol, "Handshake" and signalr.md §10: the official JavaScript client
// does not count what it hears before it says something.
func TestMessagesWaitForTheFirstRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1})
		ann := n.comeback(actors.Member{ID: "a", User: "ann", First: []byte("{}\x1e")})
		n.say("Welcome")
		n.emit(notifications.ToUser("ann"))
		synctest.Wait()
		if got := ann.sink.Text(); got != "{}\x1e" {
			t.Errorf("before the first record: got %q, want the answer to the handshake", got)
		}
		ann.read = len("{}\x1e")
		ann.release()
		synctest.Wait()
		ann.hear()
		if len(ann.heard) != 2 {
			t.Errorf("after it: got %q", ann.heard)
		}
	})
}

// Beyond the window messages wait for an acknowledgement, and nobody waits with
// them; events wait in the log.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1, ReconnectBuffer: 1000})
		ann := n.comeback(actors.Member{ID: "a", User: "ann"})
		bob := n.connect(actors.Member{ID: "b", User: "bob"})
		ann.release()
		for range 4 {
			n.say(strings.Repeat("x", 600))
		}
		n.emit(notifications.ToEveryone())
		synctest.Wait()
		ann.hear()
		if len(ann.heard) != 2 {
			t.Errorf("got %d messages, want 2: one within the window, one that exceeds it", len(ann.heard))
		}
		wantPositions(t, bob, 1)
		ann.ack(99) // makes no sense
		ann.ack(1)
		synctest.Wait()
		ann.hear()
		if len(ann.heard) != 3 {
			t.Errorf("after one acknowledgement: got %d messages, want 3", len(ann.heard))
		}
		ann.ack(3)
		synctest.Wait()
		ann.hear()
		if up := ann.ack(5); len(ann.heard) != 5 || up != 1 {
			t.Errorf("after all of them: got %d messages and position %d, want 5 and 1", len(ann.heard), up)
		}
	})
}

// A client that does not come back in time to take what is kept for it loses
// its session: the bound of a connection, and that of all of them.
func TestWhatIsKeptIsBounded(t *testing.T) {
	for _, o := range []actors.Options{{Shards: 1}, {Shards: 1, ReconnectBytes: 10_000}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, o)
			ann := n.comeback(actors.Member{ID: "a", User: "ann"})
			ann.release()
			ann.lose()
			for range 1000 {
				n.say(strings.Repeat("x", 10_000))
				n.emit(notifications.ToUser("ann"))
			}
			synctest.Wait()
			if got := ann.Ended(); got != actors.ReasonSlow {
				t.Errorf("ended: got %q, want %q", got, actors.ReasonSlow)
			}
			if err := ann.Attach(t.Context(), actorstest.NewSink()); err != nil && !errors.Is(err, actors.ErrGone) {
				t.Errorf("Attach: got %v", err)
			}
			if kept := n.system.Stats().Kept; kept != 0 {
				t.Errorf("%d bytes are kept for nobody", kept)
			}
		})
	}
}

// Events are read from the log again; one that it has dropped meanwhile still
// counts. A log that cannot be read is tried again.
func TestEventsAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1})
		ann := n.comeback(actors.Member{ID: "a", User: "ann"})
		ann.release()
		synctest.Wait()
		n.emit(notifications.ToUser("ann"), notifications.ToUser("ann"), notifications.ToUser("ann"))
		n.say("Live")
		synctest.Wait()
		if kept := n.system.Stats().Kept; kept > 100 {
			t.Errorf("%d bytes are kept, want those of the live message only", kept)
		}
		ann.sink.Cut() // before the client has read anything
		if err := ann.Detach(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.log.Drop(2)
		n.log.Break(errors.New("no log"))
		ann.comeBack()
		synctest.Wait()
		ann.hear()
		if len(ann.heard) != 0 || !ann.counting {
			t.Errorf("without a log: got %q", ann.heard)
		}
		n.log.Break(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		ann.hear()
		events, lives, others := ann.sorted()
		if fmt.Sprint(events, lives, others) != "[3] [Live] [gone gone]" {
			t.Errorf("got %v, %v, %v", events, lives, others)
		}
	})
}

// HubProtocol, "Ack Message": what has come is acknowledged within about a
// second, also what came twice.
func TestAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1})
		ann := n.comeback(actors.Member{ID: "a"})
		ann.release()
		wait := func() string {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			ann.hear()
			return fmt.Sprint(ann.others)
		}
		if got := wait(); got != "[]" {
			t.Errorf("nothing has come: got %s", got)
		}
		ann.Received(1)
		ann.Received(2)
		const once = `[{"type":8,"sequenceId":2}]`
		if got := wait(); got != once {
			t.Errorf("two have come: got %s, want %s", got, once)
		}
		if got := wait(); got != once {
			t.Errorf("nothing new has come: got %s, want %s", got, once)
		}
		ann.ReceivedAgain()
		if got := wait(); got != `[{"type":8,"sequenceId":2} {"type":8,"sequenceId":2}]` {
			t.Errorf("one has come twice: got %s", got)
		}
	})
}

// A lane waits for its socket, a single message does not.
func TestLaneKeepsPace(t *testing.T) {
	for _, m := range []actors.Member{{ID: "a"}, {ID: "a", Resumable: true}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, actors.Options{Shards: 1, ReconnectBuffer: 1000})
			ann := &returning{browser: n.connect(m), t: t, counting: true, next: 1}
			ann.release()
			ann.sink.Stall(0)
			sent := 0
			done := make(chan error, 1)
			go func() {
				lane := ann.Lane()
				for range 500 {
					if err := lane.Send(t.Context(), &protocol.StreamItem{InvocationID: "1", Item: sent}); err != nil {
						done <- err
						return
					}
					sent++
				}
				done <- nil
			}()
			synctest.Wait()
			if sent > 100 {
				t.Errorf("%d items were sent to a socket that takes nothing", sent)
			}
			ann.sink.Go()
			for range 20 {
				synctest.Wait()
				ann.hear()
				ann.ack(ann.received)
			}
			if err := <-done; err != nil || len(ann.heard) != 500 {
				t.Errorf("got %v and %d items, want all 500", err, len(ann.heard))
			}
			ann.sink.Stall(0)
			go func() {
				lane, err := ann.Lane(), error(nil)
				for err == nil {
					err = lane.Send(t.Context(), &protocol.StreamItem{InvocationID: "1"})
				}
				done <- err
			}()
			synctest.Wait()
			ann.Leave(actors.ReasonNetwork)
			if err := <-done; !errors.Is(err, actors.ErrGone) {
				t.Errorf("the end: got %v, want ErrGone", err)
			}
		})
	}
}

// What cannot be encoded is told to its maker at once.
func TestSendTellsWhatCannotBeEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, actors.Options{Shards: 1})
		ann := n.connect(actors.Member{ID: "a"})
		var broken *actors.EncodeError
		if err := ann.Send(t.Context(), &protocol.StreamItem{InvocationID: "1", Item: make(chan int)}); !errors.As(err, &broken) {
			t.Errorf("got %v, want an EncodeError", err)
		}
		if err := ann.Lane().Send(t.Context(), &protocol.StreamItem{InvocationID: "1", Item: make(chan int)}); !errors.As(err, &broken) {
			t.Errorf("lane: got %v, want an EncodeError", err)
		}
	})
}
