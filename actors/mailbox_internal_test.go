package actors

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"
)

// Eight senders post to one inline actor: nothing is lost and the messages of
// each keep their order, whoever's goroutine handles them.
func TestMailboxKeepsTheOrderOfEachSender(t *testing.T) {
	const senders, each = 8, 5000
	var overflow atomic.Int64
	var last [senders]int
	handled := 0
	system := newActorSystem()
	defer system.Shutdown()
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().([2]int); ok {
			if last[m[0]] != m[1]-1 {
				t.Errorf("sender %d: got message %d after %d", m[0], m[1], last[m[0]])
			}
			last[m[0]] = m[1]
			handled++
		}
	}, actor.WithMailbox(newMailbox(senders*each, &overflow)), actor.WithDispatcher(actor.NewSynchronizedDispatcher(300))))
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := 1; i <= each; i++ {
				system.Root.Send(pid, [2]int{s, i})
			}
		})
	}
	wg.Wait()
	if got := handled; got != senders*each || overflow.Load() != 0 {
		t.Fatalf("handled %d messages with %d lost, want %d and none", got, overflow.Load(), senders*each)
	}
}

// A full mailbox counts what it cannot take and neither blocks nor spins.
func TestMailboxCountsOverflow(t *testing.T) {
	var overflow atomic.Int64
	m, ok := newMailbox(3, &overflow)().(*mailbox)
	if !ok {
		t.Fatal("newMailbox makes something else")
	}
	for i := range 5 {
		m.PostUserMessage(i)
	}
	if got := m.UserMessageCount(); got != 3 || overflow.Load() != 2 {
		t.Fatalf("kept %d, overflow %d, want 3 and 2", got, overflow.Load())
	}
}

func TestFifoIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo
		var model []int
		next := 0
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") {
				q.push(next)
				model = append(model, next)
				next++
				continue
			}
			got := q.pop()
			switch {
			case len(model) == 0 && got != nil:
				t.Fatalf("pop of an empty queue: got %v", got)
			case len(model) > 0 && got != model[0]:
				t.Fatalf("pop: got %v, want %d", got, model[0])
			case len(model) > 0:
				model = model[1:]
			}
			if q.len() != len(model) {
				t.Fatalf("len: got %d, want %d", q.len(), len(model))
			}
		}
	})
}

// Whoever leaves while a sweep is under way, nobody who stays is skipped.
func TestUnseatSkipsNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &shard{}
		swept := map[*userSeat]bool{}
		for i := range rapid.IntRange(1, 40).Draw(t, "users") {
			s.order = append(s.order, &userSeat{index: i})
		}
		for s.pass < len(s.order) {
			if len(s.order) > 0 && rapid.Bool().Draw(t, "leave") {
				s.unseat(s.order[rapid.IntRange(0, len(s.order)-1).Draw(t, "who")])
				continue
			}
			swept[s.order[s.pass]] = true
			s.pass++
		}
		for i, seat := range s.order {
			if seat.index != i || !swept[seat] {
				t.Fatalf("seat %d: index %d, swept %v", i, seat.index, swept[seat])
			}
		}
	})
}
