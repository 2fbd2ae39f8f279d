//go:build linux

// Package fleet is tens of thousands of WebSocket clients that cost less than
// any server they load: a few goroutines, each with an epoll of its own, read
// non-blocking sockets into one buffer and look for marks in what they read.
// There is no goroutine, no timer and no buffer of a client, and no allocation
// for a message.
//
// Every client checks what it hears: it knows whose events it must hear, and
// their sequence numbers have no holes. Times are emit → receive on one clock,
// taken once per read.
//
// A client belongs to one loop. All methods may be called from any goroutine;
// they hand orders to the loops, which carry them out in their order, between
// two batches of reads.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options tune a fleet.
type Options struct {
	Addr    string  // host:port of the server, an IPv4 address
	Dialect Dialect // how it is spoken to

	// Loops is how many goroutines drive clients. Default 1.
	Loops int
	// Sources is how many source addresses clients connect from, 127.0.0.1 and
	// its successors, in turn. Default one for each 20,000 clients.
	Sources int
	// Dialing is how many connects are under way at once. Default 256.
	Dialing int
	// Linger is how long a loop pauses when it has read all that was ready, so
	// that it reads several sockets for each time it is woken. Waking it costs
	// the server, too, and would be measured with it. What is measured is later
	// by at most that and what the kernel adds, about 50 µs. Default 50 µs;
	// negative for none.
	Linger time.Duration
	// Recover lets clients of Centrifuge and Socket.IO ask for what they missed
	// when they come back. Those of SignalR do by their request.
	Recover bool
}

// Spec is what a client is.
type Spec struct {
	// Request is the upgrade request as it stands on the wire. It is called at
	// every connect, by the loop: it must be quick, and must not use the fleet.
	// The cursor is where the client stands, as its server says it: empty the
	// first time and for servers without, else that of the last notification or
	// of Resumed.
	Request func(cursor string) []byte
	// Recipients are those whose events the client must hear.
	Recipients []uint32
}

// Fleet is clients of one server.
type Fleet struct {
	o       Options
	server  netip.AddrPort
	loops   []*loop
	waitAll chan struct{} // held by the one call
	nearest atomic.Uint64 // count that a waiter wants, the least of all
	broken  chan struct{} // closed when a loop has ended
	ended   sync.Once     // of broken

	mu      sync.Mutex // guards what follows
	clients int
	waiters []*waiter
	err     error // why broken
}

// ErrClosed is what calls return after Close.
var ErrClosed = errors.New("the fleet is closed")

// perSource is how many connections one source address can have, with some to
// spare: its ports.
const perSource = 20_000

// New starts a fleet without clients. It raises GOMAXPROCS above the number of
// loops.
func New(o Options) (*Fleet, error) {
	server, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return nil, err
	}
	if !server.Addr().Is4() || o.Dialect.speaker == nil {
		return nil, fmt.Errorf("fleet to %s: needs an IPv4 address and a dialect", o.Addr)
	}
	o.Loops = max(o.Loops, 1)
	o.Dialing = cmp.Or(o.Dialing, 256)
	o.Linger = cmp.Or(o.Linger, 50*time.Microsecond)
	f := &Fleet{o: o, server: server, waitAll: make(chan struct{}, 1), broken: make(chan struct{})}
	f.nearest.Store(everything)
	if enough := o.Loops + 1; runtime.GOMAXPROCS(0) < enough {
		runtime.GOMAXPROCS(enough) // loops wait in the kernel, and others must go on meanwhile
	}
	for range o.Loops {
		l, err := newLoop(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.loops = append(f.loops, l)
		go l.run() // ends with Close
	}
	return f, nil
}

// Add makes a client that is not connected yet.
func (f *Fleet) Add(s Spec) *Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.loops[f.clients%len(f.loops)]
	c := &Client{loop: l, id: f.clients, number: f.clients / len(f.loops), spec: s, fd: -1, tracks: make([]track, len(s.Recipients))}
	for i, r := range s.Recipients {
		c.tracks[i].recipient = r
	}
	source := f.clients / perSource
	if f.o.Sources > 0 {
		source = f.clients % f.o.Sources
	}
	c.source = [4]byte{127, 0, byte(source / 250), byte(1 + source%250)} //nolint:gosec // 50,000 addresses
	f.clients++
	l.post(func() { l.clients = append(l.clients, c) })
	return c
}

// Stats counts what happened until now.
func (f *Fleet) Stats() Stats {
	var sum Stats
	for _, l := range f.loops {
		l.call(func() { sum.add(&l.tally) })
	}
	return sum
}

// Samples returns what was measured since the last reset. The return of a
// client whose replay has not ended counts as if it had.
func (f *Fleet) Samples() Samples {
	var s Samples
	for _, l := range f.loops {
		l.call(func() {
			l.returned()
			s.Live = l.live.appendTo(s.Live)
			s.Replay = l.replay.appendTo(s.Replay)
			s.Ready = l.ready.appendTo(s.Ready)
		})
	}
	slices.Sort(s.Live)
	slices.Sort(s.Replay)
	slices.Sort(s.Ready)
	return s
}

// ResetSamples forgets what was measured.
func (f *Fleet) ResetSamples() {
	for _, l := range f.loops {
		l.call(func() {
			l.returned()
			l.live.reset()
			l.replay.reset()
			l.ready.reset()
		})
	}
}

// Close cuts all clients and ends the loops. It returns why a loop had ended
// before.
func (f *Fleet) Close() error {
	for _, l := range f.loops {
		l.post(func() { l.closing = true })
	}
	for _, l := range f.loops {
		<-l.over
	}
	if err := f.failed(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// fail notes that a loop has ended.
func (f *Fleet) fail(err error) {
	f.ended.Do(func() {
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
		close(f.broken)
	})
}

// failed is why a loop has ended, or nil.
func (f *Fleet) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// round is one call that waits for many.
type round struct {
	done chan struct{} // closed when all have settled

	mu     sync.Mutex // guards what follows
	left   int
	failed int
	first  error
}

func newRound(n int) *round {
	return &round{left: n, done: make(chan struct{})}
}

// settle says how it went for one.
func (r *round) settle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed++
		r.first = cmp.Or(r.first, err)
	}
	if r.left--; r.left == 0 {
		close(r.done)
	}
}

// Connect connects clients and returns when all are welcome; those that are
// already stay as they are. The error says how many are not, and why the first
// failed. A context that ends ends what is under way.
func (f *Fleet) Connect(ctx context.Context, all []*Client) error {
	return f.together(ctx, all, (*loop).enqueue, func(r *round) error {
		return fmt.Errorf("%d of %d clients did not connect: %w", r.failed, len(all), r.first)
	})
}

// patience is how long a server may take to end connections that clients ended.
const patience = 10 * time.Second

// Disconnect ends the connections of clients in order, with FIN, and returns
// when the server has ended them too, or has not in ten seconds. What is heard
// until then counts.
func (f *Fleet) Disconnect(all []*Client) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = f.together(ctx, all, (*loop).leave, func(*round) error { return nil }) // those are cut
}

// Cut ends the connections of clients at once, with RST. It returns when that
// is done: what they had not read is lost to them.
func (f *Fleet) Cut(all []*Client) {
	for l, mine := range byLoop(all) {
		l.call(func() {
			for _, c := range mine {
				l.cut(c, errCut)
			}
		})
	}
}

// errCut ends the connect of a client that was cut.
var errCut = errors.New("cut")

// together lets each loop do something with its clients, and waits until all
// have settled.
func (f *Fleet) together(ctx context.Context, all []*Client, do func(*loop, []*Client, *round), failed func(*round) error) error {
	if len(all) == 0 {
		return nil
	}
	r := newRound(len(all))
	loops := byLoop(all)
	for l, mine := range loops {
		l.post(func() { do(l, mine, r) })
	}
	select {
	case <-r.done:
	case <-f.broken:
		return f.failed()
	case <-ctx.Done():
		for l, mine := range loops {
			l.call(func() { l.abandon(mine, r, ctx.Err()) })
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed > 0 {
		return failed(r)
	}
	return f.failed()
}

func byLoop(all []*Client) map[*loop][]*Client {
	loops := map[*loop][]*Client{}
	for _, c := range all {
		loops[c.loop] = append(loops[c.loop], c)
	}
	return loops
}
