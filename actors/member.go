package actors

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// Member is a connection that asks to be delivered to.
type Member struct {
	// ID is the public connection id, unique in the system.
	ID string
	// User is the user id, or empty for an anonymous connection, which hears
	// no personal events.
	User string
	// Roles are those of the token, which was issued at Issued.
	Roles  []string
	Issued time.Time
	// State is what is known of the user: what takes roles away, gives groups and
	// silences events; nil = nothing.
	State *notifications.State
	// Groups are joined by the connection itself from the beginning, each with
	// the position from which its history counts.
	Groups map[string]notifications.Position
	Codec  protocol.Codec
	Sink   Sink
	// After is the position the connection has everything up to; Resume may
	// still change it.
	After notifications.Position
	// First is written before anything else: the answer to the handshake.
	First []byte
	// Expires ends the connection at that time; zero = never.
	Expires time.Time
	// Resumable says that the connection may come back with another socket:
	// what its client has not acknowledged is kept (HubProtocol, "Stateful
	// reconnect"). Messages wait until Release.
	Resumable bool
	// Unpinged says that the transport keeps itself alive.
	Unpinged bool
}

// Connection is a connection that has joined, as its session sees it. Its
// methods are safe for concurrent use.
type Connection struct {
	id    string
	shard *door
	now   func() time.Time
	codec protocol.Codec
	// joinedAt is the end of the log when the connection joined, began the time
	// in Unix nanoseconds.
	joinedAt notifications.Position
	began    int64

	expires  atomic.Int64 // Unix nanoseconds, 0 = never
	inbound  *inbound     // nil unless the connection may come back
	position atomic.Uint64
	heard    atomic.Int64 // Unix nanoseconds
	pinged   atomic.Bool
	busy     atomic.Int32 // reasons for which the client waits for us
	left     atomic.Bool
	once     sync.Once              // here it fills a gap
	reason   atomic.Pointer[string] // why the actor has ended
	done     chan struct{}

	// Read and written on the shard's goroutine only, but for what never changes
	// of a member: its user, and the sink of one that cannot come back.
	member *Member
	person *person
	roles  []string // those in force
	pid    *actor.PID
	wrote  time.Time
	retry  bool // the log could not be read
	owed   bool // a change of the inbox has not been told yet
	// recount is when something in the inbox expires, in Unix nanoseconds; 0 =
	// nothing does.
	recount int64
}

// ID is the public connection id.
func (c *Connection) ID() string { return c.id }

// Position is the highest position whose event was handed to the socket.
func (c *Connection) Position() notifications.Position {
	return notifications.Position(c.position.Load())
}

// Done is closed when the connection is no longer delivered to.
func (c *Connection) Done() <-chan struct{} { return c.done }

// Ended is the reason for which the connection has ended, or empty.
func (c *Connection) Ended() string {
	if reason := c.reason.Load(); reason != nil {
		return *reason
	}
	return ""
}

// Send queues a message of the connection's own behind what is queued already.
// It is encoded at once; an error of that kind is an [EncodeError]. Send waits
// while the shard is busy and returns [ErrGone] when there is nobody to send to.
// Who sends much takes a [Lane].
func (c *Connection) Send(ctx context.Context, m protocol.Message) error {
	record, err := c.encode(m)
	if err != nil {
		return err
	}
	return c.shard.command(ctx, c, &answer{handle: c, record: record, counted: protocol.Counted(m)})
}

// Control queues a frame of the transport itself, such as a pong, between two
// other frames. It never waits; a frame that finds the shard busy is dropped.
func (c *Connection) Control(frame []byte) {
	select {
	case c.shard.slots <- struct{}{}:
		c.shard.post(&control{c, frame})
	default:
	}
}

// Resume starts delivery: what the log holds after that position first, then
// what comes. Events are not delivered before. A connection whose position has
// left the log by the time it is read is closed, so that its client is told.
func (c *Connection) Resume(ctx context.Context, after notifications.Position) error {
	return c.shard.command(ctx, c, &resume{handle: c, after: after})
}

// ResumeOldest is Resume for a client that begins where the log does: what has
// left it by the time it is read is not missed.
func (c *Connection) ResumeOldest(ctx context.Context, after notifications.Position) error {
	return c.shard.command(ctx, c, &resume{handle: c, after: after, oldest: true})
}

// JoinGroup returns when the connection is a member; joining twice is once.
// since is the position from which the history of the group counts for it.
func (c *Connection) JoinGroup(ctx context.Context, name string, since notifications.Position) error {
	reply := make(chan error, 1)
	return c.ask(ctx, &enter{c, name, since, reply}, reply)
}

// LeaveGroup returns when the connection hears the group no more.
func (c *Connection) LeaveGroup(ctx context.Context, name string) error {
	reply := make(chan error, 1)
	return c.ask(ctx, &exit{c, name, reply}, reply)
}

func (c *Connection) ask(ctx context.Context, message any, reply <-chan error) error {
	if err := c.shard.command(ctx, c, message); err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-c.done:
		return ErrGone
	case <-c.shard.system.closed:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Heard says that something has arrived from the client.
func (c *Connection) Heard() { c.heard.Store(c.now().UnixNano()) }

// Pinged says that the client has pinged: from now on its silence counts.
func (c *Connection) Pinged() {
	c.Heard()
	c.pinged.Store(true)
}

// Busy says that the client waits for its server, until Idle is called as often:
// meanwhile its silence does not count.
func (c *Connection) Busy() { c.busy.Add(1) }

// Idle is the end of Busy.
func (c *Connection) Idle() {
	c.Heard()
	c.busy.Add(-1)
}

// Close lets what is queued go out, then m, and ends the connection for that
// reason. It does not wait for the end; see Done.
func (c *Connection) Close(ctx context.Context, reason string, m *protocol.Close) error {
	return c.shard.command(ctx, c, &hangUp{c, reason, closeRecord(m)})
}

// Leave takes the connection out of the system: its reader has ended, for that
// reason. Nothing is written any more. Leaving twice is once.
func (c *Connection) Leave(reason string) {
	if c.left.CompareAndSwap(false, true) {
		c.shard.system.unlist(c)
		c.shard.post(&leave{c, reason})
	}
}

// drained is called by the sink.
func (c *Connection) drained(s Sink, err error) { c.shard.post(&drained{c, s, err}) }

// over marks the end of the actor.
func (c *Connection) over() { c.once.Do(func() { close(c.done) }) }

// WatchInbox says that the client wants to hear how its inbox changes.
func (c *Connection) WatchInbox(ctx context.Context) error {
	return c.shard.command(ctx, c, &follow{c})
}

// SetRoles changes the roles to those of a newer token of the same user. It
// never waits.
func (c *Connection) SetRoles(roles []string, issued time.Time) {
	c.shard.post(&reform{c, roles, issued})
}

// userKey is the key of the connection's user in its shard; every anonymous
// connection is a user of its own, under a key no user id can have.
func (c *Connection) userKey() string {
	if c.member.User == "" {
		return "\x00" + c.id
	}
	return c.member.User
}

func (c *Connection) timedOut(now time.Time, limit time.Duration) bool {
	if c.inbound != nil && c.inbound.away.Load() {
		return false
	}
	return c.pinged.Load() && c.busy.Load() == 0 && now.UnixNano()-c.heard.Load() > int64(limit)
}

func (c *Connection) expired(now time.Time) bool {
	at := c.expires.Load()
	return at != 0 && now.UnixNano() >= at
}

// Renew sets the time at which the connection ends; zero = never.
func (c *Connection) Renew(expires time.Time) {
	if expires.IsZero() {
		c.expires.Store(0)
		return
	}
	c.expires.Store(expires.UnixNano())
}
