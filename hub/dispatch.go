package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"tidings/actors"
	"tidings/hub/protocol"
)

// Call is one invocation, as filters see it.
type Call struct {
	Context *Context
	// Method is the name under which it was registered.
	Method string
	// Arguments are bound; a filter may look at them.
	Arguments []any
}

// Filter wraps what a hub does. Each function may be nil. The first filter of
// a hub is the outermost.
type Filter struct {
	// Invoke may replace the result or return an error instead of calling next.
	Invoke       func(c *Call, next func() (any, error)) (any, error)
	Connected    func(c *Context, next func() error) error
	Disconnected func(c *Context, err error, next func(error))
}

// invoke runs one call and answers it.
func (s *session) invoke(ctx context.Context, r *request) {
	began := time.Now()
	method := s.hub.methods[strings.ToLower(r.Target)]
	ctx, span := s.span(ctx, method, r.Invocation)
	defer span.End()
	result, err := s.guard(ctx, func() (any, error) { return s.dispatch(ctx, method, r) })
	if err == nil && r.streaming {
		_, err = s.guard(ctx, func() (any, error) { return nil, s.send(ctx, r, result) })
		err = streamEnd(err)
	}
	if r.InvocationID != "" {
		err = s.answer(ctx, r, result, err)
	}
	errorType := errorType(err)
	if err != nil {
		span.SetStatus(codes.Error, errorType)
		span.SetAttributes(attribute.String("error.type", errorType))
		if errorType == typeInternal {
			s.log().ErrorContext(ctx, "method failed", slog.String("method", r.Target), slog.Any("error", err))
		}
	}
	s.hub.o.Observer.Invoked(ctx, s.hub.o.Name, methodName(method), errorType, time.Since(began))
}

// streamEnd is a failure of a stream that had begun; one that the client has
// ended is none.
func streamEnd(err error) error {
	var began *streamError
	switch {
	case err == nil, errors.Is(err, errStreamEnded):
		return nil
	case errors.As(err, &began), errors.Is(err, errNotStream):
		return err
	}
	return &streamError{err}
}

// answer sends the completion. The result is encoded while nothing can change
// it: the next call may, when this one has returned. One that cannot be encoded
// is an error of its method, which is returned.
func (s *session) answer(ctx context.Context, r *request, result any, err error) error {
	lane := s.takeLane()
	defer s.giveLane(lane)
	completion := &protocol.Completion{InvocationID: r.InvocationID, HasResult: !r.streaming, Result: result}
	if r.streaming {
		completion.Result = nil
	}
	if err != nil {
		completion = &protocol.Completion{InvocationID: r.InvocationID, Error: s.hub.completionText(r.Invocation, err)}
	}
	_, failed := s.guard(ctx, func() (any, error) {
		// A call that was cancelled is answered, too.
		return nil, lane.Send(context.WithoutCancel(ctx), completion)
	})
	switch {
	case failed == nil:
	case errors.Is(failed, actors.ErrGone):
		s.log().DebugContext(ctx, "nobody is left to answer", slog.Any("error", failed))
	case err == nil:
		return s.answer(ctx, r, nil, failed)
	}
	return err
}

// takeLane is a lane that no other call is using.
func (s *session) takeLane() *actors.Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.lanes); n > 0 {
		lane := s.lanes[n-1]
		s.lanes = s.lanes[:n-1]
		return lane
	}
	return s.member.Lane()
}

func (s *session) giveLane(lane *actors.Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes = append(s.lanes, lane)
}

func (s *session) dispatch(ctx context.Context, method *method, r *request) (any, error) {
	if method == nil {
		return nil, errNoMethod
	}
	if policy := s.hub.o.Policy; policy != nil && !policy.MayInvoke(s.conn.Principal(), s.hub.o.Name, method.name) {
		return nil, errUnauthorized
	}
	switch {
	case method.streams && !r.streaming:
		return nil, errStreams
	case !method.streams && r.streaming:
		return nil, errNoStream
	}
	arguments, err := method.bind(s.codec, r.RawArguments, r.uploads)
	if err != nil {
		return nil, err
	}
	c := &Context{ctx: ctx, session: s, request: r}
	call := &Call{Context: c, Method: method.name, Arguments: make([]any, len(arguments))}
	for i, argument := range arguments {
		call.Arguments[i] = argument.Interface()
	}
	next := func() (any, error) { return method.call(c, arguments) }
	for _, f := range slices.Backward(s.hub.o.Filters) {
		if filter, inner := f.Invoke, next; filter != nil {
			next = func() (any, error) { return filter(call, inner) }
		}
	}
	return next()
}

// guard is the one place where a panic of the application is caught: it costs
// the call, not the connection.
func (s *session) guard(ctx context.Context, run func() (any, error)) (result any, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			s.log().ErrorContext(ctx, "method panicked", slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
			result, err = nil, fmt.Errorf("panic: %v", reason)
		}
	}()
	return run()
}

// other stands for a method that does not exist, so that clients cannot make
// up names in spans and metrics (OpenTelemetry RPC conventions).
const other = "_OTHER"

func methodName(m *method) string {
	if m == nil {
		return other
	}
	return m.name
}

// onConnected runs the handler inside its filters.
func (s *session) onConnected(ctx context.Context) error {
	ctx, span := s.hub.tracer.Start(ctx, s.hub.o.Service+"/OnConnected", trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: s.conn.ConnectSpan()}))
	defer span.End()
	c := &Context{ctx: ctx, session: s, connecting: true}
	next := func() error { return nil }
	if handler := s.hub.o.OnConnected; handler != nil {
		next = func() error { return handler(c) }
	}
	for _, f := range slices.Backward(s.hub.o.Filters) {
		if filter, inner := f.Connected, next; filter != nil {
			next = func() error { return filter(c, inner) }
		}
	}
	_, err := s.guard(ctx, func() (any, error) { return nil, next() })
	if err != nil {
		span.SetStatus(codes.Error, errorType(err))
	}
	return err
}

// disconnected runs the handler once, after the last message.
func (s *session) disconnected(ctx context.Context, why error) {
	ctx, span := s.hub.tracer.Start(ctx, s.hub.o.Service+"/OnDisconnected", trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: s.conn.ConnectSpan()}))
	defer span.End()
	c := &Context{ctx: ctx, session: s}
	next := func(error) {}
	if handler := s.hub.o.OnDisconnected; handler != nil {
		next = func(err error) { handler(c, err) }
	}
	for _, f := range slices.Backward(s.hub.o.Filters) {
		if filter, inner := f.Disconnected, next; filter != nil {
			next = func(err error) { filter(c, err, inner) }
		}
	}
	_, _ = s.guard(ctx, func() (any, error) { next(why); return nil, nil }) // a panic has been logged
	s.flushDevice(ctx)
}
