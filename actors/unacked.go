package actors

import (
	"math"

	"tidings/notifications"
)

// unacked is what a connection that may come back with another socket has
// been told and has not acknowledged, oldest first. Each message has an
// implicit number; those that no socket has been given yet wait at the end.
//
// An event of the log is kept as its position, not as bytes: it is read again
// if its socket breaks. Everything else is kept as the frame that was written;
// all sockets of a connection frame alike.
type unacked struct {
	limit    int // bytes given and not acknowledged, beyond which messages wait
	messages []counted
	first    int64 // the number of messages[0]
	sent     int   // how many of messages the present socket has been given
	given    int64 // the highest number that any socket has been given
	acked    int64 // the highest number that the client has acknowledged
	// pinned is the highest number that was given before the present socket
	// came, while the client is not known to have counted what it was given
	// again; 0 = it has. The official clients count anew from the Sequence of
	// each socket, take a later Sequence beyond their count for the end, and may
	// acknowledge what they have heard before they have counted it again. A
	// number beyond shows that they have, and so does a second acknowledgement:
	// only one can have been on its way.
	pinned int64
	acks   int // of the present socket

	bytes     int // of frames that were given and not acknowledged
	waiting   int // of frames that were not given
	positions int // messages that are positions, not acknowledged

	attached bool // there is a socket to write to
	// holding says that the client does not count yet: the official JavaScript
	// client misses what comes together with the answer to its handshake.
	holding   bool
	reloading bool // positions are being read
	loaded    *reloaded
}

// counted is one message: its frame, or the position of its event.
type counted struct {
	frame    []byte
	position notifications.Position
}

// The bounds of what is kept for one connection, beside the window.
const (
	maxPositions   = 8192    // events given and not acknowledged
	maxWaitingSize = 8 << 20 // bytes that wait, each message with its overhead
	waitingCost    = 64      // that overhead
	pacedWaiting   = 256     // messages that wait before senders who can must do so
)

func newUnacked(limit int) *unacked {
	return &unacked{limit: limit, first: 1, attached: true, holding: true}
}

// add queues a message that no socket has been given.
func (u *unacked) add(frame []byte) {
	u.messages = append(u.messages, counted{frame: frame})
	u.waiting += len(frame)
}

// addGiven notes events that are being written at this moment. Nothing waits
// before them: see stalled.
func (u *unacked) addGiven(positions ...notifications.Position) {
	for _, p := range positions {
		u.messages = append(u.messages, counted{position: p})
	}
	u.positions += len(positions)
	u.sent += len(positions)
	u.given += int64(len(positions))
}

// unsent is how many messages the present socket has not been given.
func (u *unacked) unsent() int { return len(u.messages) - u.sent }

// stalled says that an event of the log must not be written now.
func (u *unacked) stalled() bool {
	return !u.attached || u.holding || u.unsent() > 0 || !u.open()
}

// open says that the window has room for a message that is new. It may then be
// of any length, as in the official server.
func (u *unacked) open() bool { return u.bytes <= u.limit && u.positions < maxPositions }

// overfull says that what waits is as much as may: one message more ends the
// session. That one may be of any length.
func (u *unacked) overfull() bool {
	messages := u.first + int64(len(u.messages)) - 1 - u.given
	return u.waiting+waitingCost*int(messages) > maxWaitingSize
}

// next is the message to be given next, or nil: one that was given to an
// earlier socket at once, a new one if the window is open.
func (u *unacked) next() *counted {
	number := u.first + int64(u.sent)
	if !u.attached || u.holding || u.unsent() == 0 || number > u.given && !u.open() {
		return nil
	}
	return &u.messages[u.sent]
}

// gave moves on after the next message.
func (u *unacked) gave() {
	if number := u.first + int64(u.sent); number > u.given {
		size := len(u.messages[u.sent].frame)
		u.given, u.waiting, u.bytes = number, u.waiting-size, u.bytes+size
	}
	u.sent++
}

// hurry lets everything go that can: the connection is being closed.
func (u *unacked) hurry() { u.limit, u.holding = math.MaxInt, false }

// attach begins anew with another socket and returns the number of the first
// message it will be given.
func (u *unacked) attach() int64 {
	u.trim()
	u.attached, u.holding, u.sent, u.loaded = true, false, 0, nil
	u.pinned, u.acks = u.given, 0
	return u.first
}

// ack notes what the client has. It returns the highest position among that, or
// 0, and how many bytes of frames were let go. A number that makes no sense is
// ignored.
func (u *unacked) ack(number int64) (up notifications.Position, freed int) {
	if number < u.first || number < u.acked || number > u.given {
		return 0, 0
	}
	u.acks++
	if number > u.pinned || u.acks > 1 {
		u.pinned = 0
	}
	for i := max(u.acked+1, u.first) - u.first; i <= number-u.first; i++ {
		m := &u.messages[i]
		up = max(up, m.position)
		u.bytes -= len(m.frame)
		if m.position > 0 {
			u.positions--
		}
	}
	u.acked = number
	return up, u.trim()
}

// trim drops what is acknowledged, but for messages the present socket was
// promised and has not been given: their numbers count from the Sequence it
// began with. Nor does it drop what is pinned.
func (u *unacked) trim() (freed int) {
	n := int(min(u.acked-u.first+1, int64(u.sent)))
	if n <= 0 || u.pinned > 0 {
		return 0
	}
	for i := range u.messages[:n] {
		freed += len(u.messages[i].frame)
		u.messages[i] = counted{}
	}
	u.messages = u.messages[n:]
	if len(u.messages) == 0 {
		u.messages = nil
	}
	u.first, u.sent = u.first+int64(n), u.sent-n
	return freed
}

// kept is how many bytes of frames there are.
func (u *unacked) kept() (bytes int) {
	for i := range u.messages {
		bytes += len(u.messages[i].frame)
	}
	return bytes
}

// run are the positions that have to be read before the next message can be
// given, at most limit of them.
func (u *unacked) run(limit int) []notifications.Position {
	var run []notifications.Position
	for i := u.sent; i < len(u.messages) && len(run) < limit && u.messages[i].position > 0; i++ {
		run = append(run, u.messages[i].position)
	}
	return run
}

// putLoaded writes the events that have been read for the next messages.
func (u *unacked) putLoaded(put func(frame []byte)) bool {
	found := u.loaded
	u.loaded = nil
	if found == nil || found.from != u.first+int64(u.sent) {
		return false
	}
	put(found.frame)
	for range found.count {
		u.gave()
	}
	return true
}
