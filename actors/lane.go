package actors

import (
	"context"

	"tidings/hub/protocol"
)

// EncodeError says that a message cannot be encoded: the fault is its maker's,
// and the connection is as it was.
type EncodeError struct{ Err error }

// Error implements error.
func (e *EncodeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

func (c *Connection) encode(m protocol.Message) ([]byte, error) {
	record, err := c.codec.Append(nil, m)
	if err != nil {
		return nil, &EncodeError{err}
	}
	return record, nil
}

// What may be on its way in a lane before it waits to hear that the socket has
// room: twice this.
const (
	laneMessages = 16
	laneBytes    = 16 << 10
)

// Lane is a way to one connection that keeps pace with its socket: a stream
// whose client reads slowly waits for it. It belongs to one goroutine.
type Lane struct {
	to              *Connection
	taken           chan struct{}
	owed            bool // an answer in taken is on its way
	messages, bytes int  // since it was asked for
}

// Lane makes one.
func (c *Connection) Lane() *Lane { return &Lane{to: c, taken: make(chan struct{}, 1)} }

// Send is [Connection.Send], but waits while the socket has too much to take.
func (l *Lane) Send(ctx context.Context, m protocol.Message) error {
	record, err := l.to.encode(m)
	if err != nil {
		return err
	}
	a := &answer{handle: l.to, record: record, counted: protocol.Counted(m)}
	l.messages, l.bytes = l.messages+1, l.bytes+len(record)
	if l.messages >= laneMessages || l.bytes >= laneBytes {
		if err = l.wait(ctx); err != nil {
			return err
		}
		a.taken, l.owed = l.taken, true
		l.messages, l.bytes = 0, 0
	}
	err = l.to.shard.command(ctx, l.to, a)
	if err != nil && a.taken != nil {
		l.owed = false
	}
	return err
}

func (l *Lane) wait(ctx context.Context) error {
	if !l.owed {
		return nil
	}
	select {
	case <-l.taken:
		l.owed = false
		return nil
	case <-l.to.done:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}
