package actors

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// shard is the actor of one delivering goroutine. Everything below it – users,
// group cells, connections – runs inline, so what it does to them is done when
// its call returns.
type shard struct {
	desk  *desk
	door  *door
	self  *actor.PID
	props propsOf

	users map[string]*userSeat
	order []*userSeat // for the sweep
	cells map[notifications.Recipient]*cellSeat
	conns map[string]*Connection

	pass     int // users of order the running sweep has brought to head
	sweeping bool
	timing   *timing // of the running sweep, or nil
	held     int     // credits that wait for the ring to be swept
	stopping bool
	names    uint64

	traced   []*person   // whom operators trace
	failures []time.Time // of the last minute
}

// userSeat and cellSeat are what the shard knows of an actor below it.
type userSeat struct {
	pid    *actor.PID
	key    string
	index  int // in order
	person *person
}

type cellSeat struct {
	pid     *actor.PID
	members int
}

// Receive is the table of contents. A panic loses the message, so what it had
// for the connections is read from the log instead.
func (s *shard) Receive(ctx actor.Context) {
	s.self = ctx.Self()
	s.desk.begin(s.desk.options.Now())
	if metered(ctx.Message()) {
		<-s.door.slots
	}
	switch ctx.Message().(type) {
	case *actor.Stopping:
		s.stopping = true
	case *actor.Stopped:
		close(s.door.stopped)
	}
	if s.stopping {
		return // those below end by themselves, and none is left to talk to
	}
	defer s.rescue(ctx)
	s.handle(ctx)
	s.settle(ctx)
}

func (s *shard) handle(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *batch:
		s.walk(ctx, m)
	case *parcel:
		s.route(ctx, m)
	case *sweep:
		s.sweep(ctx)
	case *join:
		s.join(ctx, m)
	case *leave:
		s.leave(ctx, m)
	case *enter:
		m.reply <- s.enter(ctx, m)
	case *exit:
		m.reply <- s.exit(ctx, m)
	case *update:
		s.update(ctx, m)
	case *reform:
		s.reform(ctx, m)
	case *tick:
		s.door.ticking.Store(false)
		s.tick(ctx)
	case *retrace:
		s.door.retracing.Store(false)
		s.retrace()
	case *look:
		m.reply <- s.look(ctx, m)
	case *gather:
		m.reply <- s.gather(ctx, m.of)
	case *census:
		m.reply <- s.census(m.kind)
	default:
		// What comes late, such as a page for somebody who has left, is dropped.
		if to := addressee(m); to != nil && s.conns[to.id] == to {
			ctx.Send(to.pid, m)
		}
	}
}

// walk hands a batch out in the order of the log.
func (s *shard) walk(ctx actor.Context, b *batch) {
	defer func() {
		s.held++
		s.credit()
	}()
	d := s.desk
	t := newTiming(&d.shared.timings, d.now)
	d.walking, d.timing = b.parcels, t
	for _, p := range b.parcels {
		s.route(ctx, p)
	}
	s.settle(ctx)
	now := d.options.Now()
	for _, p := range b.parcels {
		if p.to[0].Kind != notifications.Everyone {
			t.hold(&p.tallies[d.shard])
			p.finish(now)
		}
	}
	t.release()
}

// credit gives back the credits of batches that have been handed out, unless
// the ring is so long that the follower has to wait.
func (s *shard) credit() {
	for ; s.held > 0 && s.desk.ring.len() < maxRing; s.held-- {
		s.door.credits <- struct{}{}
	}
}

func (s *shard) route(ctx actor.Context, p *parcel) {
	for _, to := range p.to {
		switch to.Kind {
		case notifications.User:
			if seat := s.users[to.Key]; seat != nil {
				ctx.Send(seat.pid, p)
			}
		case notifications.Role, notifications.Group:
			if seat := s.cells[to]; seat != nil {
				ctx.Send(seat.pid, p)
			}
		case notifications.Connection:
			if handle := s.conns[to.Key]; handle != nil {
				ctx.Send(handle.pid, p)
			}
		case notifications.Everyone:
			s.spread(ctx, p)
		}
	}
}

// spread puts a message for everyone into the ring. A live one is worth less
// than the time of a shard that is busy.
func (s *shard) spread(ctx actor.Context, p *parcel) {
	if p.entry == nil && s.desk.ring.len() >= maxRing {
		s.desk.gauges.dropped.Add(1)
		return
	}
	s.desk.ring.push(p)
	s.desk.gauges.sweeping.Add(1)
	s.startSweep(ctx)
}

func (s *shard) join(ctx actor.Context, m *join) {
	member := m.handle.member
	if _, taken := s.conns[member.ID]; taken {
		m.reply <- fmt.Errorf("join %s: connection id is in use", member.ID)
		return
	}
	key := m.handle.userKey()
	seat := s.users[key]
	if seat == nil {
		seat = &userSeat{key: key, index: len(s.order), person: &person{user: member.User, state: &unknown}}
		s.desk.seating = seat.person
		pid, err := ctx.SpawnNamed(s.props.user, s.name("user"))
		if err != nil {
			m.reply <- fmt.Errorf("join %s: %w", member.ID, err)
			return
		}
		seat.pid = pid
		s.users[key] = seat
		s.order = append(s.order, seat)
		s.trace(seat.person)
		s.desk.gauges.users.Add(1)
	}
	s.conns[member.ID] = m.handle
	s.desk.gauges.connections.Add(1)
	if member.State != nil && member.State.Version > seat.person.state.Version {
		s.restate(ctx, seat.person, member.State)
	}
	member.State = nil // it is the person's now
	m.handle.person = seat.person
	m.handle.roles = m.handle.rolesInForce()
	s.desk.joining = m.handle
	pid, err := ctx.SpawnNamed(s.props.connection, s.name(connectionName))
	if err != nil {
		panic(err) // names are counted, so this cannot be
	}
	s.desk.joining = nil
	m.handle.pid = pid
	ctx.Send(seat.pid, &admit{m.handle})
	for _, r := range m.handle.cells() {
		s.addTo(ctx, r, m.handle)
	}
	m.reply <- nil
}

// connectionName begins the names of connection actors.
const connectionName = "connection"

// name is the address of a new actor. It holds no user id: addresses reach
// logs.
func (s *shard) name(kind string) string {
	s.names++
	return kind + "/" + strconv.FormatUint(s.names, 36)
}

func (s *shard) addTo(ctx actor.Context, r notifications.Recipient, handle *Connection) {
	seat := s.cells[r]
	if seat == nil {
		pid, err := ctx.SpawnNamed(s.props.group, s.name("group"))
		if err != nil {
			panic(err) // names are counted, so this cannot be
		}
		seat = &cellSeat{pid: pid}
		s.cells[r] = seat
		s.desk.gauges.groups.Add(1)
	}
	seat.members++
	ctx.Send(seat.pid, &admit{handle})
}

func (s *shard) removeFrom(ctx actor.Context, r notifications.Recipient, handle *Connection) {
	seat := s.cells[r]
	if seat == nil {
		return
	}
	ctx.Send(seat.pid, &dismiss{handle})
	if seat.members--; seat.members == 0 {
		delete(s.cells, r)
		ctx.Stop(seat.pid)
		s.desk.gauges.groups.Add(-1)
	}
}

// maxGroups bounds the groups of one connection.
const maxGroups = 1024

func (s *shard) enter(ctx actor.Context, m *enter) error {
	groups := m.handle.member.Groups
	switch _, in := groups[m.group]; {
	case s.conns[m.handle.id] != m.handle:
		return ErrGone
	case in:
		return nil
	case len(groups) >= maxGroups:
		return ErrTooManyGroups
	}
	if _, durable := m.handle.person.groups[m.group]; !durable {
		s.addTo(ctx, notifications.ToGroup(m.group), m.handle)
	}
	ctx.Send(m.handle.pid, m)
	return nil
}

func (s *shard) exit(ctx actor.Context, m *exit) error {
	if s.conns[m.handle.id] != m.handle {
		return ErrGone
	}
	if _, in := m.handle.member.Groups[m.group]; in {
		ctx.Send(m.handle.pid, m)
		if _, durable := m.handle.person.groups[m.group]; !durable {
			s.removeFrom(ctx, notifications.ToGroup(m.group), m.handle)
		}
	}
	return nil
}

// leave removes a connection and whom it leaves alone. Passivation is the
// shard's: nobody else can have mail for them in flight.
func (s *shard) leave(ctx actor.Context, m *leave) {
	handle := m.handle
	if s.conns[handle.id] != handle {
		return
	}
	delete(s.conns, handle.id)
	s.desk.gauges.connections.Add(-1)
	for _, r := range handle.cells() {
		s.removeFrom(ctx, r, handle)
	}
	seat := s.users[handle.userKey()]
	ctx.Send(seat.pid, &dismiss{handle})
	ctx.Send(handle.pid, m)
	ctx.Stop(handle.pid)
	if seat.person.connections.len() == 0 {
		delete(s.users, seat.key)
		s.unseat(seat)
		ctx.Stop(seat.pid)
		s.desk.gauges.users.Add(-1)
	}
}

// tick looks after silence, timeouts and expiry: one wheel for the shard
// instead of timers for each connection.
func (s *shard) tick(ctx actor.Context) {
	o, now := s.desk.options, s.desk.now
	ping := &ping{parcel: &parcel{message: protocol.Share(&protocol.Ping{})}}
	for _, handle := range s.conns {
		switch {
		case handle.timedOut(now, o.ClientTimeout):
			ctx.Send(handle.pid, &hangUp{handle, ReasonTimeout, closeRecord(&protocol.Close{
				Error: "Connection closed with an error.", AllowReconnect: true,
			})})
		case handle.expired(now):
			ctx.Send(handle.pid, &hangUp{handle, ReasonAuthExpired, closeRecord(&protocol.Close{AllowReconnect: true})})
		case now.Sub(handle.wrote) >= o.KeepAlive && !handle.member.Unpinged:
			ctx.Send(handle.pid, ping)
		}
		if handle.unconfirmed() {
			ctx.Send(handle.pid, &confirm{})
		}
		if handle.retry {
			ctx.Send(handle.pid, &relapse{})
		}
		if handle.owed || handle.recount != 0 && now.UnixNano() >= handle.recount {
			ctx.Send(handle.pid, &remind{})
		}
	}
	s.expire(ctx)
	s.retrace()
	s.failures = slices.DeleteFunc(s.failures, func(at time.Time) bool { return now.Sub(at) > time.Minute })
}

// rescue keeps a shard going after a panic in its own code: connections that
// were live read on from the log, because the message is lost. A shard that
// keeps failing ends the node.
func (s *shard) rescue(ctx actor.Context) {
	reason := recover()
	if reason == nil {
		return
	}
	s.desk.options.Logger.Error("shard failed",
		slog.Int("shard", s.desk.shard), slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
	s.failures = append(s.failures, s.desk.now)
	if len(s.failures) > maxFailures {
		s.desk.shared.fail(fmt.Errorf("shard %d keeps failing: %v", s.desk.shard, reason))
		return
	}
	switch m := ctx.Message().(type) {
	case *join:
		m.reply <- ErrGone
	case *enter:
		m.reply <- ErrGone
	case *exit:
		m.reply <- ErrGone
	}
	for _, handle := range s.conns {
		ctx.Send(handle.pid, &relapse{})
	}
	s.settle(ctx)
}
