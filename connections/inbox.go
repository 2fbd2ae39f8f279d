package connections

import (
	"context"
	"net/http"
	"os"
	"sync"
	"time"
)

// inbox holds what requests have brought until it is received. When it is full
// they wait.
type inbox struct {
	limit int
	// turn is full while a request brings bytes: others wait, in order of
	// arrival.
	turn chan struct{}
	over chan struct{} // closed when nothing can be brought any more

	mu       sync.Mutex // guards all below
	queue    int        // requests that wait for their turn, or have it
	bytes    []byte
	err      error // what comes after the bytes
	deadline time.Time
	changed  bell
}

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, turn: make(chan struct{}, 1), over: make(chan struct{})}
}

// errCrowded refuses a request that would have to wait behind too many others.
var errCrowded = refusal{http.StatusTooManyRequests, "Too many requests of this connection wait."}

// begin takes the turn. Without an error end must be called.
func (i *inbox) begin(ctx context.Context) error {
	if !i.enqueue() {
		return errCrowded
	}
	select {
	case i.turn <- struct{}{}:
		if !i.closed() {
			return nil
		}
		i.end()
		return errUnknown
	case <-i.over:
		i.dequeue()
		return errUnknown
	case <-ctx.Done():
		i.dequeue()
		return errCrowded
	}
}

func (i *inbox) end() {
	<-i.turn
	i.dequeue()
}

func (i *inbox) enqueue() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.queue > maxSending {
		return false
	}
	i.queue++
	return true
}

func (i *inbox) dequeue() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.queue--
}

// put adds a piece as soon as there is room for it.
func (i *inbox) put(ctx context.Context, p []byte) error {
	for {
		changed, err := i.tryPut(p)
		if changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (i *inbox) tryPut(p []byte) (<-chan struct{}, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.err != nil:
		return nil, errUnknown
	case len(i.bytes) > 0 && len(i.bytes)+len(p) > i.limit:
		return i.changed.listen(), nil
	}
	i.bytes = append(i.bytes, p...)
	i.changed.ring()
	return nil, nil
}

// receive takes all there is, or waits for it.
func (i *inbox) receive() ([]byte, error) {
	for {
		bytes, next, err := i.take()
		if next.changed == nil {
			return bytes, err
		}
		if err := next.await(); err != nil {
			return nil, err
		}
	}
}

func (i *inbox) take() ([]byte, arrival, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case len(i.bytes) > 0:
		bytes := i.bytes
		i.bytes = nil // it is the caller's now
		i.changed.ring()
		return bytes, arrival{}, nil
	case i.err != nil:
		return nil, arrival{}, i.err
	}
	return nil, arrival{i.changed.listen(), i.deadline}, nil
}

// arrival is when to look again. A deadline of zero is none.
type arrival struct {
	changed  <-chan struct{}
	deadline time.Time
}

func (a arrival) await() error {
	if a.deadline.IsZero() {
		<-a.changed
		return nil
	}
	late := time.NewTimer(time.Until(a.deadline))
	defer late.Stop()
	select {
	case <-a.changed:
		return nil
	case <-late.C:
		return os.ErrDeadlineExceeded
	}
}

func (i *inbox) setDeadline(t time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deadline = t
	i.changed.ring()
}

// close ends the inbox; the first error counts. What is there is still
// received.
func (i *inbox) close(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.err = err
		close(i.over)
		i.changed.ring()
	}
}

func (i *inbox) closed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err != nil
}
