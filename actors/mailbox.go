package actors

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is a FIFO of bounded length that never blocks nor spins its sender,
// grows with need and gives its memory back. The mailboxes of the library do
// neither: the bounded ones spin or lose in silence, the default one keeps the
// size of its longest burst for ever.
//
// What is posted beyond the bound is counted and lost, so every sender must
// hold a bound of its own (credits, slots, one message per connection); the
// counter stays zero unless one of them is broken.
type mailbox struct {
	limit    int
	overflow *atomic.Int64

	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	process    func() // made once: a method value is an allocation
	started    atomic.Bool
	running    atomic.Bool

	mu        sync.Mutex // guards all below
	user      fifo
	system    fifo
	suspended bool
}

func newMailbox(limit int, overflow *atomic.Int64) actor.MailboxProducer {
	return func() actor.Mailbox {
		m := &mailbox{limit: limit, overflow: overflow}
		m.process = m.drain
		return m
	}
}

// PostUserMessage implements actor.Mailbox.
func (m *mailbox) PostUserMessage(message any) {
	m.mu.Lock()
	if m.user.len() >= m.limit {
		m.mu.Unlock()
		m.overflow.Add(1)
		return
	}
	m.user.push(message)
	m.mu.Unlock()
	m.schedule()
}

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system.push(message)
	m.mu.Unlock()
	m.schedule()
}

// RegisterHandlers implements actor.Mailbox.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker, m.dispatcher = invoker, dispatcher
}

// Start implements actor.Mailbox.
func (m *mailbox) Start() {
	m.started.Store(true)
	m.schedule()
}

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user.len()
}

func (m *mailbox) schedule() {
	if m.started.Load() && m.running.CompareAndSwap(false, true) {
		m.dispatcher.Schedule(m.process)
	}
}

func (m *mailbox) drain() {
	deepen()
	for {
		m.run()
		m.running.Store(false)
		// A message that was posted after run found nothing and before running
		// was cleared has not scheduled anybody.
		if !m.ready() || !m.running.CompareAndSwap(false, true) {
			return
		}
	}
}

func (m *mailbox) ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.system.len() > 0 || (!m.suspended && m.user.len() > 0)
}

// deepen grows the stack of its goroutine once, while there is nothing on it.
// From a shard down to a socket it would have to be grown three times, each time
// with all that is on it: a twentieth of what a personal event costs.
//
//go:noinline
func deepen() {
	var frame [12 << 10]byte
	runtime.KeepAlive(&frame)
}

// run handles messages until there is none, or one panics.
func (m *mailbox) run() {
	var message any
	defer func() {
		if reason := recover(); reason != nil {
			m.invoker.EscalateFailure(reason, message)
		}
	}()
	for i := 1; ; i++ {
		var isSystem bool
		message, isSystem = m.next()
		switch {
		case message == nil:
			return
		case isSystem:
			m.invoker.InvokeSystemMessage(message)
		default:
			m.invoker.InvokeUserMessage(message)
		}
		if i%m.dispatcher.Throughput() == 0 {
			runtime.Gosched()
		}
	}
}

// next takes the next message; system messages come first.
func (m *mailbox) next() (message any, isSystem bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if message = m.system.pop(); message != nil {
		switch message.(type) {
		case *actor.SuspendMailbox:
			m.suspended = true
		case *actor.ResumeMailbox:
			m.suspended = false
		}
		return message, true
	}
	if m.suspended {
		return nil, false
	}
	return m.user.pop(), false
}

// fifo is a ring that doubles when full and starts anew, small, when a burst
// has been drained.
type fifo struct {
	ring        []any
	head, count int
}

// keepRing is the size a drained ring may keep.
const keepRing = 64

func (q *fifo) len() int { return q.count }

func (q *fifo) push(message any) {
	if q.count == len(q.ring) {
		grown := make([]any, max(2, 2*len(q.ring)))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.count)%len(q.ring)] = message
	q.count++
}

func (q *fifo) pop() any {
	if q.count == 0 {
		return nil
	}
	message := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) % len(q.ring)
	q.count--
	if q.count == 0 && len(q.ring) > keepRing {
		q.ring, q.head = nil, 0
	}
	return message
}
