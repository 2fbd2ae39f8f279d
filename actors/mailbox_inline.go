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

	user, system []any // what waits
}

// inlineLimit bounds what may wait; what is posted beyond it is counted and
// lost. A few places are enough.
const inlineLimit = 256

// PostUserMessage implements actor.Mailbox.
func (m *inlineMailbox) PostUserMessage(message any) {
	if m.started && !m.running && !m.suspended {
		m.running = true
		m.invoke(message)
		m.running = false
		if len(m.system)+len(m.user) > 0 {
			m.drain()
		}
		return
	}
	if len(m.user) >= inlineLimit {
		m.overflow.Add(1)
		return
	}
	m.user = append(m.user, message)
}

// PostSystemMessage implements actor.Mailbox.
func (m *inlineMailbox) PostSystemMessage(message any) {
	m.system = append(m.system, message)
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
func (m *inlineMailbox) UserMessageCount() int { return len(m.user) }

// drain handles what waits, system messages first, unless somebody further up
// on this goroutine does.
func (m *inlineMailbox) drain() {
	if !m.started || m.running {
		return
	}
	m.running = true
	for {
		switch {
		case len(m.system) > 0:
			message := m.system[0]
			m.system = m.system[1:]
			m.invokeSystem(message)
		case len(m.user) > 0 && !m.suspended:
			message := m.user[0]
			m.user = m.user[1:]
			m.invoke(message)
		default:
			m.user, m.system = trimmed(m.user), trimmed(m.system)
			m.running = false
			return
		}
	}
}

// trimmed gives memory back: mail waits rarely.
func trimmed(waiting []any) []any {
	if len(waiting) == 0 {
		return nil
	}
	return waiting
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
