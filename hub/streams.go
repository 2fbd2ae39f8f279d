package hub

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"tidings/hub/protocol"
)

// streamForm is how a method hands out the items of a stream.
type streamForm uint8

const (
	noStream streamForm = iota
	fromChannel
	fromSeq  // iter.Seq[T]
	fromSeq2 // iter.Seq2[T, error]
)

// streamOf tells whether values of a type are streams, and of what.
func streamOf(t reflect.Type) (form streamForm, item reflect.Type) {
	isError := reflect.TypeFor[error]()
	switch {
	case t.Kind() == reflect.Chan && t.ChanDir()&reflect.RecvDir != 0:
		return fromChannel, t.Elem()
	case t.CanSeq2() && t.Kind() == reflect.Func && t.In(0).In(1) == isError:
		return fromSeq2, t.In(0).In(0)
	case t.CanSeq() && t.Kind() == reflect.Func:
		return fromSeq, t.In(0).In(0)
	}
	return noStream, nil
}

// streamError is a failure of a stream that had begun.
type streamError struct{ err error }

func (e *streamError) Error() string { return "stream: " + e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// errStreamEnded says that the client has cancelled the stream.
var errStreamEnded = errors.New("cancelled by the client")

// produce hands the items of a stream to each until the stream or ctx ends, or
// each fails.
func produce(ctx context.Context, stream any, each func(item any) error) error {
	v := reflect.ValueOf(stream)
	form := noStream
	if v.IsValid() && !v.IsZero() {
		form, _ = streamOf(v.Type())
	}
	switch form {
	case fromChannel:
		return produceChannel(ctx, v, each)
	case fromSeq:
		for item := range v.Seq() {
			if err := next(ctx, item, each); err != nil {
				return err
			}
		}
	case fromSeq2:
		return produceSeq2(ctx, v, each)
	default:
		return errNotStream
	}
	return context.Cause(ctx)
}

func produceSeq2(ctx context.Context, v reflect.Value, each func(item any) error) error {
	for item, failure := range v.Seq2() {
		if err, failed := reflect.TypeAssert[error](failure); failed {
			return &streamError{err}
		}
		if err := next(ctx, item, each); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func next(ctx context.Context, item reflect.Value, each func(item any) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return each(item.Interface())
}

func produceChannel(ctx context.Context, v reflect.Value, each func(item any) error) error {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: v},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())},
	}
	for {
		chosen, item, more := reflect.Select(cases)
		switch {
		case chosen == 1:
			return context.Cause(ctx)
		case !more:
			return nil
		}
		if err := next(ctx, item, each); err != nil {
			return err
		}
	}
}

// send sends the items of a streaming call.
func (s *session) send(ctx context.Context, r *request, stream any) error {
	lane := s.member.Lane()
	return produce(ctx, stream, func(item any) error {
		_, err := s.guard(ctx, func() (any, error) {
			return nil, lane.Send(ctx, &protocol.StreamItem{InvocationID: r.InvocationID, Item: item})
		})
		return err
	})
}

// begin lets a call with streams, either way, wait until the calls before it
// have had their turn. It then runs on a goroutine of its own and holds nobody
// up. Its streams are there at once: items may be right behind it.
func (s *session) begin(ctx context.Context, r *request) error {
	ctx, cancel := context.WithCancelCause(ctx)
	if err := s.admitStream(ctx, r, cancel); err != nil {
		cancel(nil)
		return s.reply(ctx, &protocol.Completion{InvocationID: r.InvocationID, Error: s.hub.completionText(r.Invocation, err)})
	}
	r.start = func() {
		s.idle.Go(func() {
			defer cancel(nil)
			defer s.endStream(r)
			switch {
			case errors.Is(context.Cause(ctx), errStreamEnded): // before it began
				s.endUnbegun(ctx, r)
			case !s.gone(ctx):
				s.invoke(ctx, r)
			}
		})
	}
	return s.enqueue(r)
}

// endUnbegun completes a stream that the client did not want any more when its
// turn came.
func (s *session) endUnbegun(ctx context.Context, r *request) {
	if r.streaming {
		_ = s.answer(ctx, r, nil, nil) // nothing that can fail to be encoded
	}
}

// reply answers for the reader, which waits while the client does not take
// answers.
func (s *session) reply(ctx context.Context, m *protocol.Completion) error {
	if m.InvocationID == "" {
		return nil
	}
	if s.replies == nil {
		s.replies = s.member.Lane()
	}
	return s.replies.Send(context.WithoutCancel(ctx), m)
}

// admitStream gives the streams of a call their ids.
func (s *session) admitStream(ctx context.Context, r *request, cancel context.CancelCauseFunc) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.streaming && s.streams[r.InvocationID] != nil:
		return errIDInUse
	case len(s.streams) >= s.hub.o.MaxStreams:
		return Error{Text: fmt.Sprintf("A connection may have %d calls with streams at once.", s.hub.o.MaxStreams)}
	}
	if s.uploads == nil && len(r.StreamIDs) > 0 {
		s.uploads = &uploads{of: s, room: make(chan struct{}, 1)}
	}
	started, free := s.uploads.start(ctx, r.StreamIDs)
	if !free {
		return Error{Text: "A stream id is already in use."}
	}
	r.uploads = started
	if s.streams == nil {
		s.streams = make(map[string]context.CancelCauseFunc)
	}
	s.streams[r.streamKey()] = cancel
	return nil
}

// streamKey is the invocation id of a call whose result is a stream. A call
// that only takes streams is not cancelled by the client; its key is one that
// no invocation id has.
func (r *request) streamKey() string {
	if r.streaming {
		return r.InvocationID
	}
	return "\x00" + r.StreamIDs[0]
}

func (s *session) endStream(r *request) {
	s.uploads.stop(r.uploads)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, r.streamKey())
}

// cancelStream ends a stream that the client does not want any more.
func (s *session) cancelStream(id string) {
	s.mu.Lock()
	cancel := s.streams[id]
	s.mu.Unlock()
	if cancel != nil {
		cancel(errStreamEnded)
	}
}

// cancelStreams ends them all: the client is leaving.
func (s *session) cancelStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.streams {
		cancel(errStreamEnded)
	}
}
