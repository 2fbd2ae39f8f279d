//go:build linux

package fleet

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	batch      = 128       // sockets that are read before anything else is looked at
	readBuffer = 256 << 10 // bytes; grows if a message needs it
	readAtOnce = 64 << 10  // room that a read has at least
)

// loop drives clients on one goroutine, which owns all but what is said.
type loop struct {
	fleet   *Fleet
	speaker speaker
	clients []*Client
	closing bool
	over    chan struct{} // closed when the goroutine has ended

	epoll  int
	events []unix.EpollEvent
	bell   int // eventfd that says that there are orders

	buf   []byte   // what is read, behind the rest of the client that is read
	spare [][]byte // buffers for rests
	now   int64    // when the last read ended, Unix ns

	queue    []*Client // wait to connect
	underway int

	tally               Stats
	live, replay, ready times
	new                 uint64 // marks that count as heard
	owed                int    // recipients of clients that WaitAll waits for
	settling            *round // what it waits with

	heard atomic.Uint64 // new, as others may see it

	mu     sync.Mutex // guards what follows
	orders []func()
	deaf   bool // takes no more orders
}

// bellNumber is no client.
const bellNumber = -1

func newLoop(f *Fleet) (*loop, error) {
	l := &loop{
		fleet: f, speaker: f.o.Dialect.speaker, over: make(chan struct{}),
		events: make([]unix.EpollEvent, batch), buf: make([]byte, readBuffer),
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), unix.Close(l.epoll))
	}
	if err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: bellNumber}); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), unix.Close(l.bell), unix.Close(l.epoll))
	}
	return l, nil
}

// run is the goroutine.
func (l *loop) run() {
	err := ErrClosed
	for !l.closing {
		if e := l.turn(); e != nil {
			err = e
			break
		}
	}
	l.fleet.fail(err)
	for _, c := range l.clients {
		l.cut(c, err)
	}
	l.mu.Lock()
	l.deaf = true
	l.mu.Unlock()
	_ = errors.Join(unix.Close(l.bell), unix.Close(l.epoll)) // nothing was written to them
	close(l.over)
}

// turn waits, reads a batch, and does what has become due.
func (l *loop) turn() error {
	some, err := unix.EpollWait(l.epoll, l.events, -1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	rung := false
	for i := range max(some, 0) {
		if number := l.events[i].Fd; number == bellNumber {
			rung = true
		} else {
			l.serve(l.clients[number])
		}
	}
	if l.new != l.heard.Load() {
		l.heard.Store(l.new)
		l.fleet.wake()
	}
	if rung {
		l.obey()
	}
	l.fill()
	if l.fleet.o.Linger > 0 && some < batch {
		pause := unix.NsecToTimespec(int64(l.fleet.o.Linger))
		_ = unix.Nanosleep(&pause, nil) // may be cut short
	}
	return nil
}

// post hands an order to the loop, and does not wait.
func (l *loop) post(order func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf {
		return
	}
	l.orders = append(l.orders, order)
	if len(l.orders) == 1 {
		_, _ = unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails at 2⁶⁴-1 only
	}
}

// call waits until the loop has carried out an order, or has ended.
func (l *loop) call(order func()) {
	done := make(chan struct{})
	l.post(func() {
		order()
		close(done)
	})
	select {
	case <-done:
	case <-l.over:
	}
}

func (l *loop) obey() {
	var count [8]byte
	_, _ = unix.Read(l.bell, count[:]) // a second reading finds nothing
	l.mu.Lock()
	orders := l.orders
	l.orders = nil
	l.mu.Unlock()
	for _, order := range orders {
		order()
	}
}

// serve does what a socket is ready for.
func (l *loop) serve(c *Client) {
	switch c.state {
	case idle: // has ended in this batch
	case connecting:
		l.connected(c)
	default:
		l.read(c)
	}
}

// read reads once: what is left makes the socket ready again.
func (l *loop) read(c *Client) {
	if len(l.buf)-len(c.rest) < readAtOnce {
		l.buf = make([]byte, 2*len(l.buf))
	}
	old := copy(l.buf, c.rest)
	n, err := unix.Read(c.fd, l.buf[old:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		l.end(c, err)
		return
	case n == 0:
		l.end(c, errEnded)
		return
	}
	l.now = time.Now().UnixNano()
	l.tally.Reads++
	l.tally.Bytes += uint64(n) //nolint:gosec // not negative
	rest := l.take(c, l.buf[:old+n])
	if c.state != idle {
		l.keep(c, rest)
	}
}

var (
	errEnded  = errors.New("the server ended the connection")
	errClosed = errors.New("the server closed the WebSocket")
)

// keep keeps what has no end yet for the next read.
func (l *loop) keep(c *Client, rest []byte) {
	switch {
	case len(rest) == 0 && c.rest == nil:
		return
	case len(rest) == 0:
		l.spare = append(l.spare, c.rest[:0])
		c.rest = nil
		return
	case c.rest == nil && len(l.spare) > 0:
		last := len(l.spare) - 1
		c.rest, l.spare = l.spare[last], l.spare[:last]
	}
	c.rest = append(c.rest[:0], rest...)
}

// take hears all that is whole, and returns what is not.
func (l *loop) take(c *Client, data []byte) []byte {
	if c.state == upgrading {
		if data = l.upgraded(c, data); c.state == upgrading {
			return data
		}
	}
	for c.state != idle {
		f, err := parseFrame(data)
		if err != nil {
			l.unreadable(c, err, data)
			l.end(c, err)
			return nil
		}
		if f.size == 0 {
			return data
		}
		l.frame(c, f)
		data = data[f.size:]
	}
	return nil
}

func (l *loop) frame(c *Client, f frame) {
	switch f.opcode {
	case opcodeText, opcodeBinary:
		l.tally.Messages++
		l.speaker.message(l, c, f.payload)
	case opcodePing:
		l.say(c, opcodePong, f.payload)
	case opcodeClose:
		reason := errClosed
		if len(f.payload) >= 2 {
			reason = fmt.Errorf("%w: %d %s", errClosed, int(f.payload[0])<<8|int(f.payload[1]), f.payload[2:])
		}
		l.end(c, reason)
	}
}

// say sends a frame. A socket that does not take it has ended.
func (l *loop) say(c *Client, opcode byte, payload []byte) {
	if c.state == leaving {
		return
	}
	var room [256]byte
	l.send(c, appendFrame(room[:0], opcode, payload))
}

func (l *loop) send(c *Client, data []byte) {
	n, err := unix.Write(c.fd, data)
	if err == nil && n < len(data) {
		err = fmt.Errorf("the socket took %d of %d bytes", n, len(data))
	}
	if err != nil {
		l.end(c, err)
	}
}

// returned notes the returns whose replay is under way or over.
func (l *loop) returned() {
	for _, c := range l.clients {
		l.noteReturn(c)
	}
}

func (l *loop) noteReturn(c *Client) {
	if c.missed != 0 {
		l.replay.add(c.missed - c.started)
		c.missed = 0
	}
}

// recycle forgets what a connection left behind.
func (l *loop) recycle(c *Client) {
	l.noteReturn(c)
	if c.rest != nil {
		l.spare = append(l.spare, c.rest[:0])
		c.rest = nil
	}
	c.greeted = false
}
