package actors

import (
	"time"

	"tidings/notifications"
)

// desk is what a shard and the inline actors below it have in common. All of
// them run on the shard's goroutine, so nothing here needs a lock.
type desk struct {
	options *Options
	shard   int
	now     time.Time // of the message the shard is handling
	ring    ring
	passEnd uint64 // head of the ring when the running sweep began
	gauges  *gauges
	shared  *System

	dirty []due         // with something to write, see shard.settle
	gone  []*Connection // connections that have ended on their own

	// How the message that the shard is handling is delivered, see tally.
	walking  []*parcel              // the batch, or nil
	timing   *timing                // of the batch or of the running sweep, or nil
	after    notifications.Position // see due; of the connection that is being written to
	handings []handing

	stretches []*stretch // of the running sweep

	// joining and seating are for the actor that is being made. One recipe for
	// all of a kind saves half a kilobyte each.
	joining *Connection // of a connection
	seating *person     // of a user
}

// ring holds the parcels for everyone that some connection has not been given.
type ring struct {
	base    uint64 // number of parcels[0]
	parcels []*parcel
}

func (r *ring) head() uint64             { return r.base + uint64(len(r.parcels)) }
func (r *ring) at(number uint64) *parcel { return r.parcels[number-r.base] }

func (r *ring) len() int { return len(r.parcels) }

func (r *ring) push(p *parcel) { r.parcels = append(r.parcels, p) }

// dropTo forgets the parcels below number and returns them.
func (r *ring) dropTo(number uint64) []*parcel {
	n := number - r.base
	dropped := r.parcels[:n:n]
	r.parcels = r.parcels[n:]
	if len(r.parcels) == 0 {
		r.parcels = nil
	}
	r.base = number
	return dropped
}

// The messages of the package. A parcel is a message, too.
type (
	// batch is what the next stretch of the log has for a shard.
	batch struct{ parcels []*parcel }
	// join adds a connection; reply gets nil or why not.
	join struct {
		handle *Connection
		reply  chan<- error
	}
	// leave removes a connection.
	leave struct {
		handle *Connection
		reason string
	}
	// resume starts the catching up of a connection that has joined.
	resume struct {
		handle *Connection
		after  notifications.Position
		oldest bool // what the log has dropped meanwhile is not missed
	}
	// enter and exit change the groups of a connection.
	enter struct {
		handle *Connection
		group  string
		since  notifications.Position
		reply  chan<- error
	}
	exit struct {
		handle *Connection
		group  string
		reply  chan<- error
	}
	// answer is a message of the session for its own browser, control a frame
	// of the transport itself.
	answer struct {
		handle  *Connection
		record  []byte
		counted bool            // see protocol.Counted
		taken   chan<- struct{} // told when there is room for more; may be nil
	}
	control struct {
		handle *Connection
		frame  []byte
	}
	// hangUp ends a connection after what is queued has been written.
	hangUp struct {
		handle *Connection
		reason string
		last   *parcel // the Close record, or nil
	}
	// drained says that the socket has taken what it could not take at once.
	drained struct {
		handle *Connection
		sink   Sink
		err    error
	}
	// acked is what the client has acknowledged; reply gets the highest position
	// of an event among that, or 0.
	acked struct {
		handle *Connection
		number int64
		reply  chan<- notifications.Position
	}
	// release says that the client counts from now on.
	release struct{ handle *Connection }
	// detach and attach change the socket of a connection that comes back.
	detach struct{ handle *Connection }
	attach struct {
		handle *Connection
		sink   Sink
	}
	// reloaded are events that were read again for another socket.
	reloaded struct {
		handle *Connection
		from   int64 // the number of the first
		count  int
		frame  []byte
		err    error
	}
	// page is what a catch-up reader found.
	page struct {
		handle *Connection
		frames []byte
		events int
		// positions are those of the events, for a connection that may come back.
		positions []notifications.Position
		traces    []string
		upTo      notifications.Position
		complete  bool // the log had nothing beyond when it was read
		// truncated says that the log begins after the position that was asked
		// for: something may have been lost for good.
		truncated bool
		err       error
	}
	// tick comes once a second, sweep as long as the ring is not empty.
	tick  struct{}
	sweep struct{}
	// relapse, ping and confirm are sent by the shard to its connections.
	relapse struct{}
	ping    struct{ parcel *parcel }
	confirm struct{}
)

// addressee is the connection a message is for that the shard only passes on.
func addressee(message any) *Connection {
	switch m := message.(type) {
	case *answer:
		return m.handle
	case *control:
		return m.handle
	case *resume:
		return m.handle
	case *hangUp:
		return m.handle
	case *drained:
		return m.handle
	case *page:
		return m.handle
	case *acked:
		return m.handle
	case *release:
		return m.handle
	case *detach:
		return m.handle
	case *attach:
		return m.handle
	case *reloaded:
		return m.handle
	case *follow:
		return m.handle
	case *recounted:
		return m.handle
	default:
		return nil
	}
}

// metered tells whether a message holds one of the door's slots.
func metered(message any) bool {
	switch message.(type) {
	case *parcel, *join, *enter, *exit, *answer, *control, *resume, *hangUp, *acked, *release, *detach, *attach,
		*update, *follow, *look, *gather, *census:
		return true
	default:
		return false
	}
}
