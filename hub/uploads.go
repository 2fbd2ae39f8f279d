package hub

import (
	"context"
	"io"
	"iter"
	"reflect"
	"sync"

	"tidings/hub/protocol"
)

// Stream is a parameter of a method: a stream that the client sends. It takes
// no place among the arguments; several of them are bound in order.
type Stream[T any] struct{ from *upload }

// All are the items, as they arrive. The last pair holds an error when the
// client fails the stream, when an item is no T, or when the call is over. It
// can be ranged over once.
func (s *Stream[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var item T
			raw, err := s.from.next()
			if err == io.EOF { //nolint:errorlint // next returns it as it is
				return
			}
			if err == nil {
				err = s.from.codec.Bind(raw, &item)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func (s *Stream[T]) attach(u *upload)   { s.from = u }
func (s *Stream[T]) item() reflect.Type { return reflect.TypeFor[T]() }

// streamParameter is implemented by *Stream[T], whatever T.
type streamParameter interface {
	attach(u *upload)
	item() reflect.Type
}

// uploads are the streams that one client is sending. Its reader adds items;
// the methods take them. Nil are those of a client that has sent none.
type uploads struct {
	of *session

	mu    sync.Mutex // guards all below
	open  map[string]*upload
	bytes int           // of items that nobody has taken yet
	room  chan struct{} // of length 1: something has been taken
}

// uploadBudget is how many bytes may wait beyond what capacities allow, so that
// a stream that is read late does not hold up what comes behind its items.
const uploadBudget = 256 << 10

// upload is one stream of a client.
type upload struct {
	all   *uploads
	codec protocol.Codec
	id    string
	ctx   context.Context //nolint:containedctx // that of the call the stream is an argument of
	wake  chan struct{}   // of length 1: see items and end

	items []protocol.Raw // guarded by all.mu, as are the rest
	end   error          // why there will be no more; io.EOF after a good end
}

// start opens the streams of a call; false says that an id is in use.
func (a *uploads) start(ctx context.Context, ids []string) ([]*upload, bool) {
	if a == nil {
		return nil, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	started := make([]*upload, 0, len(ids))
	for _, id := range ids {
		if a.open[id] != nil {
			for _, u := range started {
				delete(a.open, u.id)
			}
			return nil, false
		}
		if a.open == nil {
			a.open = make(map[string]*upload)
		}
		u := &upload{all: a, codec: a.of.codec, id: id, ctx: ctx, wake: make(chan struct{}, 1)}
		a.open[id] = u
		started = append(started, u)
	}
	return started, true
}

// push adds an item. It waits while too much waits already. Items that nobody
// waits for are passed over.
func (a *uploads) push(id string, item protocol.Raw) {
	if a == nil {
		return
	}
	for {
		a.mu.Lock()
		u := a.open[id]
		if u == nil || u.end != nil {
			a.mu.Unlock()
			return
		}
		if len(u.items) < a.of.hub.o.StreamBuffer || a.bytes < uploadBudget {
			u.items = append(u.items, item)
			a.bytes += len(item)
			u.rouse()
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		if !a.awaitRoom() {
			return
		}
	}
}

// awaitRoom waits until a method has taken something; false says that the
// connection is over.
func (a *uploads) awaitRoom() bool {
	a.of.member.Busy()
	defer a.of.member.Idle()
	select {
	case <-a.room:
		return true
	case <-a.of.member.Done():
		return false
	}
}

// finish ends a stream; false says that there is none of that id.
func (a *uploads) finish(id string, why error) bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.open[id]
	if u == nil {
		return false
	}
	u.finish(why)
	return true
}

func (u *upload) finish(why error) {
	if u.end == nil {
		u.end = why
	}
	u.rouse()
}

// stop forgets the streams of a call that has ended.
func (a *uploads) stop(ended []*upload) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range ended {
		for _, item := range u.items {
			a.bytes -= len(item)
		}
		u.items = nil
		u.finish(io.EOF)
		delete(a.open, u.id)
	}
	a.makeRoom()
}

func (a *uploads) makeRoom() {
	select {
	case a.room <- struct{}{}:
	default:
	}
}

func (u *upload) rouse() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// next waits for an item. io.EOF is the good end.
func (u *upload) next() (protocol.Raw, error) {
	for {
		if item, err := u.take(); item != nil || err != nil {
			return item, err
		}
		select {
		case <-u.wake:
		case <-u.ctx.Done():
			return nil, context.Cause(u.ctx)
		}
	}
}

func (u *upload) take() (protocol.Raw, error) {
	a := u.all
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(u.items) == 0 {
		return nil, u.end
	}
	item := u.items[0]
	u.items[0] = nil
	u.items = u.items[1:]
	a.bytes -= len(item)
	a.makeRoom()
	return item, nil
}
