package actors

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// System delivers to the connections of one hub on this node. Its methods are
// safe for concurrent use, but for Deliver, which the follower calls.
type System struct {
	options *Options
	library *actor.ActorSystem
	doors   []*door
	seed    maphash.Seed
	gauges  gauges

	head  atomic.Uint64
	epoch uint64 // of the last batch; used by Deliver only

	stopping atomic.Bool
	failed   chan error
	closed   chan struct{}

	errandsMu sync.Mutex
	errands   fifo // of connections: one page and one count each, at most
	wake      chan struct{}

	timings sync.Pool // of *timing
	traced  traceList

	directoryMu sync.RWMutex
	directory   map[string]*Connection
}

// door is how the world outside reaches a shard.
type door struct {
	system  *System
	pid     *actor.PID
	slots   chan struct{} // full when as many commands wait as may
	credits chan struct{} // empty when the shard has as many batches as it may
	stopped chan struct{}

	ticking, retracing atomic.Bool // such a message is in the mailbox
}

// New makes a system whose shards are ready; Run keeps it going.
func New(o Options) (*System, error) {
	o = o.withDefaults()
	s := &System{
		options:   &o,
		library:   newActorSystem(),
		seed:      maphash.MakeSeed(),
		failed:    make(chan error, 1),
		closed:    make(chan struct{}),
		wake:      make(chan struct{}, o.Readers),
		directory: make(map[string]*Connection),
	}
	for i := range o.Shards {
		if err := s.addShard(i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *System) addShard(i int) error {
	door := &door{
		system:  s,
		slots:   make(chan struct{}, commandsPerShard),
		credits: make(chan struct{}, creditsPerShard),
		stopped: make(chan struct{}),
	}
	for range creditsPerShard {
		door.credits <- struct{}{}
	}
	d := &desk{options: s.options, shard: i, gauges: &s.gauges, shared: s, now: s.options.Now()}
	state := &shard{
		desk: d, door: door,
		users: make(map[string]*userSeat),
		cells: make(map[notifications.Recipient]*cellSeat),
		conns: make(map[string]*Connection),
		props: propsOf{
			user:       actor.PropsFromProducer(func() actor.Actor { return &user{desk: d, person: d.seating} }, inline(d)...),
			group:      actor.PropsFromProducer(func() actor.Actor { return &group{desk: d} }, inline(d)...),
			connection: actor.PropsFromProducer(func() actor.Actor { return newConnection(d) }, inline(d)...),
		},
	}
	// Beyond the commands and batches, a shard may have one page, one drain
	// and one departure per connection waiting; that is bounded by the number
	// of sockets.
	pid, err := s.library.Root.SpawnNamed(actor.PropsFromProducer(
		func() actor.Actor { return state },
		actor.WithDispatcher(actor.NewDefaultDispatcher(shardThroughput)),
		actor.WithMailbox(newMailbox(1<<30, &s.gauges.overflow)),
	), shardName(i))
	if err != nil {
		return err
	}
	door.pid = pid
	s.doors = append(s.doors, door)
	return nil
}

// Run turns the wheel of keep-alives and timeouts and reads the log for
// connections that catch up. It returns when ctx ends, and then ends every
// connection that is left, or with an error when a shard keeps failing.
func (s *System) Run(ctx context.Context) error {
	var readers sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	for range s.options.Readers {
		readers.Go(func() { s.readPages(reading) })
	}
	err := s.turn(ctx)
	stop()
	readers.Wait()
	s.stop()
	return err
}

func (s *System) turn(ctx context.Context) error {
	wheel := time.NewTicker(time.Second)
	defer wheel.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-wheel.C:
			for _, d := range s.doors {
				if d.ticking.CompareAndSwap(false, true) {
					d.post(&tick{})
				}
			}
		}
	}
}

// stop ends the shards, and with them all below. It is not stopFuture of the
// library, whose limit is fixed.
func (s *System) stop() {
	s.stopping.Store(true)
	close(s.closed)
	for _, d := range s.doors {
		s.library.Root.Stop(d.pid)
	}
	for _, d := range s.doors {
		<-d.stopped
	}
	s.library.Shutdown()
}

func (s *System) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Join adds a connection. Its events wait until it is resumed; what its
// session sends is written, Member.First before anything else.
func (s *System) Join(ctx context.Context, m Member) (*Connection, error) {
	c := &Connection{
		id: m.ID, now: s.options.Now, codec: m.Codec, member: &m, done: make(chan struct{}),
		began: s.options.Now().UnixNano(),
	}
	c.Renew(m.Expires)
	if m.Resumable {
		c.inbound = &inbound{transport: m.Sink.Transport()}
	}
	c.shard = s.doorOf(c.userKey())
	if s.options.Reader != nil {
		c.joinedAt = s.options.Reader.State().Last
	}
	c.Heard()
	reply := make(chan error, 1)
	s.list(c)
	if err := c.ask(ctx, &join{handle: c, reply: reply}, reply); err != nil {
		s.unlist(c)
		c.Leave(ReasonError)
		return nil, err
	}
	return c, nil
}

func (s *System) list(c *Connection) {
	s.directoryMu.Lock()
	defer s.directoryMu.Unlock()
	if s.directory[c.id] == nil {
		s.directory[c.id] = c
	}
}

func (s *System) unlist(c *Connection) {
	s.directoryMu.Lock()
	defer s.directoryMu.Unlock()
	if s.directory[c.id] == c {
		delete(s.directory, c.id)
	}
}

// Lookup finds a connection of this node by its public id.
func (s *System) Lookup(connectionID string) (*Connection, bool) {
	s.directoryMu.RLock()
	defer s.directoryMu.RUnlock()
	c, ok := s.directory[connectionID]
	return c, ok
}

// everybody is who is connected at this moment.
func (s *System) everybody() []*Connection {
	s.directoryMu.RLock()
	defer s.directoryMu.RUnlock()
	return slices.AppendSeq(make([]*Connection, 0, len(s.directory)), maps.Values(s.directory))
}

// Stats is a look at the system as it is now.
func (s *System) Stats() Stats {
	stats := Stats{
		Connections: s.gauges.connections.Load(),
		Users:       s.gauges.users.Load(),
		Groups:      s.gauges.groups.Load(),
		Lagging:     s.gauges.lagging.Load(),
		Sweeping:    s.gauges.sweeping.Load(),
		Kept:        s.gauges.kept.Load(),
		Dropped:     s.gauges.dropped.Load(),
		Overflow:    s.gauges.overflow.Load(),
		Head:        notifications.Position(s.head.Load()),
	}
	for _, d := range s.doors {
		waiting := len(d.slots) + creditsPerShard - len(d.credits)
		stats.Mailbox = max(stats.Mailbox, int64(waiting))
	}
	stats.Fill = min(1, max(
		float64(stats.Mailbox)/(commandsPerShard+creditsPerShard),
		float64(stats.Sweeping)/float64(maxRing*len(s.doors)),
		float64(stats.Kept)/float64(s.options.ReconnectBytes),
	))
	return stats
}

// CloseAll ends every connection with allowReconnect, perSecond of them, so
// that they do not all come back at once, and waits until they are gone or ctx
// ends. perSecond <= 0 closes them all at once.
func (s *System) CloseAll(ctx context.Context, perSecond int) error {
	all := s.everybody()
	if err := closePaced(ctx, all, perSecond); err != nil {
		return err
	}
	for _, c := range all {
		select {
		case <-c.done:
		case <-s.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// wavesPerSecond is how often a paced close goes on.
const wavesPerSecond = 10

func closePaced(ctx context.Context, all []*Connection, perSecond int) error {
	wave := len(all)
	if perSecond > 0 {
		wave = max(1, perSecond/wavesPerSecond)
	}
	pace := time.NewTicker(time.Second / wavesPerSecond)
	defer pace.Stop()
	for i, c := range all {
		if i > 0 && i%wave == 0 {
			select {
			case <-pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := c.Close(ctx, ReasonShutdown, &protocol.Close{AllowReconnect: true}); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// errand is what an actor may not do itself: it waits for the log, or takes
// long. It carries all that a reader goroutine needs, so that it never looks
// into an actor.
type errand interface {
	// run returns the answer, which is posted to the shard of from.
	run(ctx context.Context, o *Options) any
	from() *Connection
}

// request queues an errand; a reader goroutine takes it.
func (s *System) request(e errand) {
	s.errandsMu.Lock()
	s.errands.push(e)
	s.errandsMu.Unlock()
	s.rouse()
}

func (s *System) nextErrand() errand { //nolint:ireturn // there are several kinds
	s.errandsMu.Lock()
	defer s.errandsMu.Unlock()
	e, _ := s.errands.pop().(errand)
	return e
}

// rouse wakes a reader if there may be work; a full channel says that enough
// of them will look.
func (s *System) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
