package connections

import (
	"context"
	"io"
	"net"
	"sync"
)

// outbox holds whole frames until a response takes them.
type outbox struct {
	limit int

	mu       sync.Mutex // guards all below
	frames   []byte
	taken    int // bytes that a response carries at the moment
	finished bool
	phase    outPhase
	err      error // what a broken one says
	changed  bell
}

// outPhase says what becomes of frames.
type outPhase uint8

const (
	fetched  outPhase = iota
	departed          // nobody fetches: they are lost without a word
	broken            // and with an error
)

// add takes all of p or nothing.
func (o *outbox) add(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.addLocked(p)
}

func (o *outbox) addLocked(p []byte) (int, error) {
	switch held := len(o.frames) + o.taken; {
	case o.phase == broken:
		return 0, o.err
	case o.finished:
		return 0, net.ErrClosed
	case o.phase == departed:
		return len(p), nil
	case held > 0 && held+len(p) > o.limit:
		return 0, nil
	}
	o.frames = append(o.frames, p...)
	o.changed.ring()
	return len(p), nil
}

// drain waits until p has been taken.
func (o *outbox) drain(p []byte) error {
	for {
		o.mu.Lock()
		n, err := o.addLocked(p)
		changed := o.changed.listen()
		o.mu.Unlock()
		if err != nil || n == len(p) {
			return err
		}
		<-changed
	}
}

// next waits for frames and takes all there are. Then delivered or putBack
// must be called. io.EOF says that all were fetched and no more will come.
func (o *outbox) next(ctx context.Context) ([]byte, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		batch, changed, err := o.take()
		if changed == nil {
			return batch, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (o *outbox) take() ([]byte, <-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.frames) > 0:
		batch := o.frames
		o.frames, o.taken = nil, len(batch)
		return batch, nil, nil
	case o.phase == broken:
		return nil, nil, o.err
	case o.phase == departed, o.finished:
		return nil, nil, io.EOF
	}
	return nil, o.changed.listen(), nil
}

// delivered forgets the batch that next has returned.
func (o *outbox) delivered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
	o.changed.ring()
}

// putBack makes the batch the next one again.
func (o *outbox) putBack(batch []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
	if o.phase == fetched {
		o.frames = append(batch, o.frames...)
	}
	o.changed.ring()
}

// finish says that nothing will be added. The rest is still fetched.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	o.changed.ring()
}

// depart says that nobody fetches any more.
func (o *outbox) depart() { o.end(departed, nil) }

func (o *outbox) fail(err error) { o.end(broken, err) }

// end goes on to a phase that is worse than the present one.
func (o *outbox) end(phase outPhase, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if phase <= o.phase {
		return
	}
	o.phase, o.err, o.frames = phase, err, nil
	o.changed.ring()
}
