package hub

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// Invoke calls a method of one client and waits for its result: to is
// Clients().Client(id) or Caller(). Inside of a call the turn of the connection
// is given back meanwhile, so that its other calls go on. The text of the
// error, which the browser may read, says what became of it: what the client
// has reported, that it is not connected (to this node) or has gone, or that
// ctx, or Options.AnswerTimeout, has ended.
func Invoke[T any](ctx context.Context, to Recipients, method string, arguments ...any) (T, error) { //nolint:ireturn // whatever the caller says
	var result T
	target, err := to.single()
	if err != nil {
		return result, err
	}
	answer, err := target.ask(ctx, to.caller, method, arguments)
	if err != nil {
		return result, err
	}
	if answer.Error != "" {
		return result, Error{Text: answer.Error}
	}
	if !answer.HasResult {
		return result, Error{Text: "Client didn't provide a result."}
	}
	if err := target.codec.Bind(answer.RawResult, &result); err != nil {
		return result, Error{Text: fmt.Sprintf("Error trying to deserialize result to %T.", result)}
	}
	return result, nil
}

// single is the session of the one connection that is meant.
func (r Recipients) single() (*session, error) {
	if len(r.to) != 1 || r.to[0].Kind != notifications.Connection {
		return nil, fmt.Errorf("invoke: want one connection, got %v", r.to)
	}
	if r.caller != nil && r.caller.connecting {
		return nil, Error{Text: "Client results inside OnConnectedAsync Hub methods are not allowed."}
	}
	id := r.to[0].Key
	if target := r.hub.session(id); target != nil {
		return target, nil
	}
	return nil, Error{Text: "Connection '" + id + "' does not exist."}
}

// maxQuestions bounds how many answers of one client are waited for, and for
// how many answers the calls of one connection may wait.
const maxQuestions = 256

// ask sends a question to the client and waits for the answer.
func (s *session) ask(ctx context.Context, by *Context, method string, arguments []any) (*protocol.Completion, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.hub.o.AnswerTimeout, Error{Text: "The client did not answer in time."})
	defer cancel()
	id := "s" + strconv.FormatUint(s.hub.questions.Add(1), 10) // no invocation id of a client
	answer := make(chan *protocol.Completion, 1)
	if !s.question(id, answer) {
		return nil, Error{Text: fmt.Sprintf("A client may be asked %d questions at once.", maxQuestions)}
	}
	defer s.answered(id)
	m := &protocol.Invocation{InvocationID: id, Target: method, Arguments: arguments, Headers: traceHeaders(traceParent(ctx))}
	if err := s.member.Send(ctx, m); err != nil {
		return nil, err
	}
	return s.await(ctx, by, answer)
}

func (s *session) await(ctx context.Context, by *Context, answer <-chan *protocol.Completion) (*protocol.Completion, error) {
	if by != nil && by.request != nil {
		if !by.session.yield(by.request) {
			return nil, Error{Text: fmt.Sprintf("A connection may wait for %d answers at once.", maxQuestions)}
		}
		defer by.session.regain(by.ctx, by.request) //nolint:contextcheck // the connection's: it may have to wait longer than the answer
	}
	select {
	case m := <-answer:
		return m, nil
	case <-s.ending():
		return nil, Error{Text: "Connection '" + s.conn.ID() + "' disconnected."}
	case <-ctx.Done():
		if err, late := context.Cause(ctx).(Error); late { //nolint:errorlint // the cause that ask gives
			return nil, err
		}
		return nil, Error{Text: "Invocation canceled by the server."}
	}
}

// ending is closed when nothing more is read from the client.
func (s *session) ending() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = make(chan struct{})
		if s.left {
			close(s.over)
		}
	}
	return s.over
}

// question notes that an answer is waited for.
func (s *session) question(id string, answer chan<- *protocol.Completion) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) >= maxQuestions {
		return false
	}
	if s.asked == nil {
		s.asked = make(map[string]chan<- *protocol.Completion)
	}
	s.asked[id] = answer
	return true
}

// answered forgets a question and returns who waits for the answer, or nil.
func (s *session) answered(id string) chan<- *protocol.Completion {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.asked[id]
	delete(s.asked, id)
	return answer
}

// yield gives the turn of a call back while it waits; its place among those
// that the reader may queue, too, or the answer might never be read.
func (s *session) yield(r *request) bool {
	s.mu.Lock()
	if s.waiting >= maxQuestions {
		s.mu.Unlock()
		return false
	}
	s.waiting++
	placed := r.placed
	r.placed = false
	s.mu.Unlock()
	if placed {
		<-s.room
	}
	s.turns.yield(r)
	return true
}

func (s *session) regain(ctx context.Context, r *request) {
	s.turns.regain(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}

// defaultAnswerTimeout is that of Options.AnswerTimeout.
const defaultAnswerTimeout = time.Minute
