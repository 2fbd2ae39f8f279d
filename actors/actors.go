// Package actors is the address book of a node: an actor for every
// connection, user, role and group, spread over shards.
//
// # Order
//
// A shard is one goroutine. It hears the log from the follower of the node, in
// order, and walks it: a personal event goes to the user, one for a role or a
// group to the shard's cell of that group, one for everyone into a ring that
// the shard sweeps through its users. Users, cells and connections are actors
// that run inline, on the goroutine of their shard, so shard order is user
// order is connection order, and one number per connection – the position of
// the last event handed to its socket – is an exact place to resume at.
// Commands that change who belongs to what take the same mailbox.
//
// # Slow and new connections
//
// Joining late and falling behind are one state: the connection is not given
// events, it reads them from the log after its last position, page by page, as
// fast as its socket drains, and is live again when it has everything.
//
// # Connections that come back
//
// A connection may outlive its socket (HubProtocol, "Stateful reconnect"). What
// its client has not acknowledged is kept in order, each message with its
// implicit number; events of the log as their positions, which are read again
// for the next socket. Beyond a window messages wait, and nobody waits with them
// but the connection's own lanes.
//
// # Rules for code in here
//
// Actors never block, never lock and start no goroutines; the one write to a
// socket they make does not wait. Inline actors share the goroutine of their
// shard and therefore may use its desk (see desk.go) without a lock; a message
// to an inline actor is sent by the shard or by its parent and by nobody else.
// Nothing of protoactor-go but its package actor is used, and no other package
// imports that.
package actors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"tidings/hub/protocol"
	"tidings/notifications"
)

// ErrGone says that a connection, or the whole system, is no more.
var ErrGone = errors.New("connection is gone")

// ErrTooManyGroups says that a connection is in as many groups as it may.
var ErrTooManyGroups = fmt.Errorf("a connection may be in %d groups", maxGroups)

// Sink is where a connection actor writes: the socket, seen from above. Frame
// and Transport are pure and may be called from any goroutine; the rest is
// called by the connection's shard only.
type Sink interface {
	// Transport names the transport, for example "WebSockets". Frames made for
	// one codec and one transport are shared between connections.
	Transport() string
	// Frame appends the transport's framing of whole records.
	Frame(dst, records []byte) []byte
	// TryWrite writes what the kernel takes now and never waits. n < len(p)
	// without an error says that the rest would have to wait.
	TryWrite(p []byte) (n int, err error)
	// Drain takes p over and writes it on a goroutine of its own, which ends
	// with a call of done: nil, or why the peer will not take it.
	Drain(p []byte, done func(error))
	// Finish says that nothing more will be written. The reader of the
	// connection ends soon after. See the Reason constants.
	Finish(reason string)
}

// Why a connection was closed: the bounded set of labels that metrics and
// closing sinks see.
const (
	ReasonNormal        = "normal"
	ReasonTimeout       = "timeout"
	ReasonSlow          = "slow"
	ReasonNetwork       = "network"
	ReasonProtocolError = "protocol_error"
	ReasonAuthExpired   = "auth_expired"
	ReasonShutdown      = "shutdown"
	ReasonTruncated     = "truncated"
	ReasonOperator      = "operator" // an operator has ended it
	ReasonError         = "error"
)

// Options tunes a system. The zero value is ready for use, without a log.
type Options struct {
	// Hub is the hub whose entries are delivered; entries of other hubs are
	// passed over. Default notifications.DefaultHub.
	Hub string
	// Reader is the log that connections catch up from; nil for a hub that
	// stores nothing.
	Reader notifications.Reader
	// Catalogue counts inboxes; nil for a hub without any.
	Catalogue notifications.Catalogue
	// Shards is the number of goroutines that deliver. Default GOMAXPROCS.
	Shards int
	// KeepAlive is the silence after which a ping is written. Default 15 s.
	KeepAlive time.Duration
	// ClientTimeout is the longest silence accepted from a client that has
	// pinged once. Default 30 s.
	ClientTimeout time.Duration
	// OutboxFrames and OutboxBytes bound what waits for a blocked socket.
	// Events beyond are read from the log once it drains; answers beyond four
	// times as much end the connection. Default 64 frames, 256 KiB.
	OutboxFrames int
	OutboxBytes  int
	// ReconnectBuffer is how many bytes a connection that may come back is
	// given without an acknowledgement before messages wait. Default 100,000.
	ReconnectBuffer int
	// ReconnectBytes bounds what is kept for all such connections together; one
	// that would keep more is ended. Default 256 MiB.
	ReconnectBytes int64
	// Readers is how many connections may read back the log at the same
	// moment: the node's budget for a storm of reconnects. Default 4.
	Readers int
	// PageEvents and PageBytes bound one page of catching up. Default 128
	// events, 64 KiB.
	PageEvents int
	PageBytes  int
	Logger     *slog.Logger
	Observer   Observer
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// The bounds that are not options.
const (
	creditsPerShard  = 64   // batches a shard may have undelivered
	commandsPerShard = 4096 // joins, answers and live messages waiting for it
	sweepChunk       = 32   // users brought to head per turn of a shard
	maxRing          = 2048 // messages for everyone that a shard takes on before it holds the follower
	maxFailures      = 3    // panics of a shard per minute before the node gives up
)

func (o Options) withDefaults() Options {
	o.Hub = cmp.Or(o.Hub, notifications.DefaultHub)
	o.Shards = cmp.Or(max(o.Shards, 0), runtime.GOMAXPROCS(0))
	o.KeepAlive = cmp.Or(max(o.KeepAlive, 0), 15*time.Second)
	o.ClientTimeout = cmp.Or(max(o.ClientTimeout, 0), 30*time.Second)
	o.OutboxFrames = cmp.Or(max(o.OutboxFrames, 0), 64)
	o.OutboxBytes = cmp.Or(max(o.OutboxBytes, 0), 256<<10)
	o.ReconnectBuffer = cmp.Or(max(o.ReconnectBuffer, 0), 100_000)
	o.ReconnectBytes = cmp.Or(max(o.ReconnectBytes, 0), 256<<20)
	o.Readers = cmp.Or(max(o.Readers, 0), 4)
	o.PageEvents = cmp.Or(max(o.PageEvents, 0), 128)
	o.PageBytes = cmp.Or(max(o.PageBytes, 0), 64<<10)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Observer is told what happened, from the goroutine it happened on: it must
// not block.
type Observer interface {
	// Delivered is called once per event and node, when every shard has handed
	// the event to its connections.
	Delivered(d Delivery)
	// Replayed is called when a connection has caught up with the log.
	Replayed(r Replay)
}

// Delivery is what became of one event on this node.
type Delivery struct {
	Entry *notifications.Entry
	// Started is when the node took the event from the log, Ended when the last
	// connection had it.
	Started, Ended time.Time
	// Connections counts those the event was written or queued to; Deferred
	// those that are behind and will read it from the log; both zero says that
	// none of its recipients is connected here. Slow are those of Deferred that
	// have been live and are behind because their sockets are blocked.
	Connections, Deferred, Slow int
	// Muted counts connections that were live and whose users' preferences keep
	// the event from them.
	Muted int
	// Failed counts those of Connections whose sockets broke in the write that
	// had the event in it.
	Failed int
	// P50, P99 and Max are how long it took from Started to the write that handed
	// the event to a socket: the median, what one in a hundred exceeded, and the
	// longest. A shard measures all writes of a batch of events, or of a sweep
	// through all connections, together, reads the clock once for 16 of them and
	// is right to about an eighth; Max is exact. Queued behind a blocked socket
	// counts as written. Zero if Connections is.
	P50, P99, Max time.Duration
	// Details tells of single connections: at most 8 of each outcome for each
	// shard, and 64 in all.
	Details []Detail
	// Bytes is the sum of what was written or queued.
	Bytes int
	// Expired says that the event was too old to be delivered.
	Expired bool
}

// Detail is what became of an event for one connection.
type Detail struct {
	Connection string
	// User is set if operators trace the user, see [System.Trace].
	User string
	// Outcome is "sent" or "muted" for the connection of a traced user, "slow"
	// for one that is counted so, "failed" for one whose socket broke.
	Outcome string
	// After is the time from Delivery.Started to the write, or to when it was
	// found out that there would be none.
	After time.Duration
}

// Replay is one connection catching up with the log.
type Replay struct {
	Connection, User string
	// Resumed says that the connection was new; otherwise it had fallen behind.
	Resumed        bool
	After, UpTo    notifications.Position
	Events, Bytes  int
	Started, Ended time.Time
	// Traces holds the W3C contexts of the first events, at most 32.
	Traces []string
}

type silent struct{}

func (silent) Delivered(Delivery) {}
func (silent) Replayed(Replay)    {}

// Live is an unstored message: heard at most once, in the order it was sent,
// by those who are connected.
type Live struct {
	To []notifications.Recipient
	// Except lists ids of connections that do not hear it.
	Except  []string
	Message *protocol.Shared
}

// Stats is a look at a system, for gauges.
type Stats struct {
	Connections, Users, Groups int64
	// Lagging counts connections that are reading the log, not hearing it.
	Lagging int64
	// Mailbox is the length of the longest mailbox of a shard.
	Mailbox int64
	// Sweeping counts messages for everyone that some connection has not been
	// given yet.
	Sweeping int64
	// Kept is the number of bytes kept for clients that may come back.
	Kept int64
	// Dropped counts live messages that a slow connection, or a busy shard, did
	// not hand on.
	Dropped int64
	// Overflow counts messages that found a bounded mailbox full: a bug.
	Overflow int64
	// Fill is how near the fullest queue of a shard, or what is kept for clients
	// that may come back, is to its bound, 0 to 1.
	Fill float64
	// Head is the position every shard has been given.
	Head notifications.Position
}
