package hub

import (
	"context"
	"runtime"
	"sync"
)

// turns lets the plain invocations of one connection run in order of arrival,
// a few at the same moment (one, unless the hub says otherwise). A goroutine
// exists while it has a turn; a call that waits for a client gives its turn
// back meanwhile.
type turns struct {
	of *session

	mu        sync.Mutex // guards all below
	running   int
	queue     []*request
	returning []chan struct{} // calls that want their turn again
}

// add queues an invocation and starts a goroutine for it if there is a turn.
func (t *turns) add(r *request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, r)
	if t.running < t.of.hub.o.ParallelInvocations {
		t.take(1)
		t.of.idle.Go(t.work)
	}
}

// take changes the number of turns that are taken; mu is held.
func (t *turns) take(n int) {
	before := t.running
	t.running += n
	switch {
	case before == 0:
		t.of.member.Busy()
	case t.running == 0:
		t.of.member.Idle()
	}
}

// deepen grows the stack of its goroutine once, while there is nothing on it: a
// call needs more than a new one has.
//
//go:noinline
func deepen() {
	var frame [6 << 10]byte
	runtime.KeepAlive(&frame)
}

// work runs invocations until none is left, or its turn belongs to a call that
// wants it again.
func (t *turns) work() {
	deepen()
	for r := t.next(); r != nil; r = t.next() {
		r.turn = true
		t.of.run(t.of.ctx, r)
	}
}

func (t *turns) next() *request {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handOver() || len(t.queue) == 0 {
		return nil
	}
	return t.pop()
}

// handOver passes the turn of the caller on to a call that wants it, else, when
// nothing is queued, gives it back; mu is held.
func (t *turns) handOver() (passed bool) {
	if len(t.returning) > 0 {
		close(t.returning[0])
		t.returning = t.returning[1:]
		return true
	}
	if len(t.queue) == 0 {
		t.queue = nil
		t.take(-1)
	}
	return false
}

func (t *turns) pop() *request {
	r := t.queue[0]
	t.queue[0] = nil
	t.queue = t.queue[1:]
	return r
}

// yield gives the turn of a call to whoever is next, if it has one.
func (t *turns) yield(r *request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.turn {
		return
	}
	r.turn = false
	if !t.handOver() && len(t.queue) > 0 {
		t.of.idle.Go(t.work)
	}
}

// regain waits until the call has its turn again. It returns without waiting
// when ctx has ended: the connection is over then, and order of no use.
func (t *turns) regain(ctx context.Context, r *request) {
	t.mu.Lock()
	if r.start != nil || r.turn {
		t.mu.Unlock()
		return
	}
	r.turn = true
	if t.running < t.of.hub.o.ParallelInvocations {
		t.take(1)
		t.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	t.returning = append(t.returning, mine)
	t.mu.Unlock()
	select {
	case <-mine:
	case <-ctx.Done():
		t.withdraw(mine)
	}
}

// withdraw takes a turn beyond the limit, unless it has been given one.
func (t *turns) withdraw(mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, waiting := range t.returning {
		if waiting == mine {
			t.returning = append(t.returning[:i], t.returning[i+1:]...)
			t.take(1)
			return
		}
	}
}
