package persistence

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"tidings/notifications"
)

// underWay is how many events of one AppendAll may be on their way: what waits
// for an answer of its own costs several times as much.
const underWay = 256

// sending is an event on its way.
type sending struct {
	event  *notifications.Event
	ctx    context.Context //nolint:containedctx // that of its span
	span   trace.Span
	answer jetstream.PubAckFuture // nil if it was not sent
}

// AppendAll implements notifications.BatchAppender: it sends the next event
// before the last one is answered. What was not answered is sent again with the
// same id, and may then stand behind events that came after it.
func (a *Appender) AppendAll(ctx context.Context, hub string, events []notifications.Event) []notifications.Outcome {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	outcomes := make([]notifications.Outcome, len(events))
	all := make([]sending, len(events))
	for i := range events {
		if i >= underWay {
			outcomes[i-underWay] = a.await(hub, &all[i-underWay])
		}
		all[i] = a.send(ctx, hub, &events[i])
	}
	for i := max(0, len(events)-underWay); i < len(events); i++ {
		outcomes[i] = a.await(hub, &all[i])
	}
	return outcomes
}

func (a *Appender) send(ctx context.Context, hub string, e *notifications.Event) sending {
	s := sending{event: e}
	s.ctx, s.span = a.begin(ctx, hub, e)
	msg, publish, err := message(s.ctx, hub, *e) //nolint:contextcheck // that of the span
	if err == nil {
		s.answer, err = a.nats.js.PublishMsgAsync(msg, publish...)
	}
	if err != nil {
		s.answer = nil // it is tried alone, and its error told
	}
	return s
}

// await waits for the answer. One that does not come, or is none, means that
// the event goes the long way.
func (a *Appender) await(hub string, s *sending) notifications.Outcome {
	defer s.span.End()
	var o notifications.Outcome
	if ack := s.answered(); ack != nil {
		o.Receipt = receiptOf(s.event, ack)
	} else {
		o.Receipt, o.Err = a.append(s.ctx, hub, *s.event)
	}
	a.note(s.span, o.Receipt, o.Err)
	return o
}

func (s *sending) answered() *jetstream.PubAck {
	if s.answer == nil {
		return nil
	}
	select {
	case ack := <-s.answer.Ok():
		return ack
	default:
	}
	select {
	case ack := <-s.answer.Ok():
		return ack
	case <-s.answer.Err(): //nolint:errcheck // it is tried again; after attemptTime it is the library's
	case <-s.ctx.Done():
	}
	return nil
}
