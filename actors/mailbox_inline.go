package actors

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// inlineMailbox is the mailbox of an actor that lives on the goroutine of its
// shard, which is the only one that posts to it: it needs no lock, and what is
// posted is handled before the post returns. Mail waits only while the actor
// handles some, or while it has failed and its shard has not decided yet.
type inlineMailbox struct {
	overflow *atomic.Int64
	invoker  actor.MessageInvoker

	started, running, suspended bool

	waits *mail // nil when there is none
}

// mail is what waits. There rarely is any, and every actor has a mailbox.
type mail struct{ user, system []any }

// inlineLimit bounds what may wait; what is posted beyond it is counted and
// lost. A few places are enough.
const inlineLimit = 256

// PostUserMessage implements actor.Mailbox.
func (m *inlineMailbox) PostUserMessage(message any) {
	if m.started && !m.running && !m.suspended {
		m.running = true
		m.invoke(message)
		m.running = false
		if m.waits != nil {
			m.drain()
		}
		return
	}
	if m.UserMessageCount() >= inlineLimit {
		m.overflow.Add(1)
		return
	}
	m.mail().user = append(m.mail().user, message)
}

func (m *inlineMailbox) mail() *mail {
	if m.waits == nil {
		m.waits = &mail{}
	}
	return m.waits
}

// PostSystemMessage implements actor.Mailbox.
func (m *inlineMailbox) PostSystemMessage(message any) {
	m.mail().system = append(m.mail().system, message)
	m.drain()
}

// RegisterHandlers implements actor.Mailbox.
func (m *inlineMailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = invoker
}

// Start implements actor.Mailbox.
func (m *inlineMailbox) Start() {
	m.started = true
	m.drain()
}

// UserMessageCount implements actor.Mailbox.
func (m *inlineMailbox) UserMessageCount() int {
	if m.waits == nil {
		return 0
	}
	return len(m.waits.user)
}

// drain handles what waits, system messages first, unless somebody further up
// on this goroutine does.
func (m *inlineMailbox) drain() {
	if !m.started || m.running {
		return
	}
	m.running = true
	defer func() { m.running = false }()
	for w := m.waits; w != nil; w = m.waits {
		switch {
		case len(w.system) > 0:
			message := w.system[0]
			w.system = w.system[1:]
			m.invokeSystem(message)
		case len(w.user) > 0 && !m.suspended:
			message := w.user[0]
			w.user = w.user[1:]
			m.invoke(message)
		case len(w.user) == 0:
			m.waits = nil
		default:
			return
		}
	}
}

func (m *inlineMailbox) invoke(message any) {
	defer m.escalate(message)
	m.invoker.InvokeUserMessage(message)
}

func (m *inlineMailbox) invokeSystem(message any) {
	defer m.escalate(message)
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
	case *actor.ResumeMailbox:
		m.suspended = false
	}
	m.invoker.InvokeSystemMessage(message)
}

// escalate is deferred: it hands a panic to the supervisor.
func (m *inlineMailbox) escalate(message any) {
	if reason := recover(); reason != nil {
		m.invoker.EscalateFailure(reason, message)
	}
}
