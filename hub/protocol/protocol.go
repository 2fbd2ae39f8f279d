// Package protocol holds the messages of the SignalR hub protocol and their
// encodings: it knows the record separator, the type numbers and nothing of
// sockets, hubs or users.
//
// The texts it follows are "HubProtocol.md" of ASP.NET Core SignalR and, where
// that text and the official implementations disagree, the implementations.
package protocol

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
)

// The types of messages (HubProtocol, "Message Types").
const (
	typeInvocation       = 1
	typeStreamItem       = 2
	typeCompletion       = 3
	typeStreamInvocation = 4
	typeCancelInvocation = 5
	typePing             = 6
	typeClose            = 7
	typeAck              = 8
	typeSequence         = 9
)

// Errors of decoding. Each ends the connection that sent the bytes and no
// other.
var (
	// ErrMalformed says that a record is no message of the protocol.
	ErrMalformed = errors.New("malformed message")
	// ErrTooLarge says that one record is longer than the limit.
	ErrTooLarge = errors.New("message is too large")
)

// Message is one of the message structs of this package, by pointer.
type Message interface{ message() }

// Headers travel with messages of types 1–5. They have no meaning in the
// protocol; the trace context is carried in them.
type Headers map[string]string

// Raw is an argument, item or result as it came: undecoded until [Codec.Bind]
// gives it a type. It refers to the record it was decoded from.
type Raw []byte

// Invocation calls a method of the other side and continues nothing.
type Invocation struct {
	// InvocationID is empty when no completion is wanted.
	InvocationID string
	Target       string
	// Arguments are what is sent; RawArguments what was received.
	Arguments    []any
	RawArguments []Raw
	StreamIDs    []string
	Headers      Headers
}

// StreamInvocation calls a method whose result is a stream.
type StreamInvocation Invocation

// StreamItem is one item of a stream.
type StreamItem struct {
	InvocationID string
	Item         any
	RawItem      Raw
	Headers      Headers
}

// Completion ends an invocation or a stream: with an error, a result, or
// neither. An empty Error means none.
type Completion struct {
	InvocationID string
	Error        string
	// HasResult tells a null result from none: a void method completes with a
	// null result, a finished stream with none.
	HasResult bool
	Result    any
	RawResult Raw
	Headers   Headers
}

// CancelInvocation asks the other side to end a stream.
type CancelInvocation struct {
	InvocationID string
	Headers      Headers
}

// Ping says that its sender is alive.
type Ping struct{}

// Close is the last message of its sender.
type Close struct {
	Error          string
	AllowReconnect bool
}

// Ack says that everything up to SequenceID has been received (stateful
// reconnect).
type Ack struct{ SequenceID int64 }

// Sequence announces the number of the next message (stateful reconnect).
type Sequence struct{ SequenceID int64 }

func (*Invocation) message()       {}
func (*StreamInvocation) message() {}
func (*StreamItem) message()       {}
func (*Completion) message()       {}
func (*CancelInvocation) message() {}
func (*Ping) message()             {}
func (*Close) message()            {}
func (*Ack) message()              {}
func (*Sequence) message()         {}

// Counted tells whether stateful reconnect counts m: types 1 to 5 are, pings
// and the like are not (HubProtocol, "Message Types").
func Counted(m Message) bool {
	switch m.(type) {
	case *Invocation, *StreamItem, *Completion, *StreamInvocation, *CancelInvocation:
		return true
	default:
		return false
	}
}

// Codec is an encoding of messages and of the values in them. Implementations
// hold no state and are safe for concurrent use.
type Codec interface {
	// Name is what a client asks for in its handshake.
	Name() string
	// Binary tells the transfer format: the records of a binary codec are bytes
	// that no transport may take for text.
	Binary() bool
	Records
	Values
}

// Records is the half of a [Codec] that deals with whole messages.
type Records interface {
	// Append appends m as one whole record, framing included; dst is returned
	// as it was when m cannot be encoded.
	Append(dst []byte, m Message) ([]byte, error)
	// Split cuts the first whole record off data; record is nil, and not
	// merely empty, when there is none yet. The error wraps [ErrMalformed] when
	// there never will be, and [ErrTooLarge] as soon as the record is known to
	// be longer than limit bytes, framing included, as in the official server.
	Split(data []byte, limit int) (record, rest []byte, err error)
	// Decode reads one record. A message of an unknown type is (nil, nil) and
	// to be skipped; an error wraps [ErrMalformed].
	Decode(record []byte) (Message, error)
}

// Values is the half of a [Codec] that deals with arguments, items and results.
// A struct means the same in every codec: its json tags tell the names.
type Values interface {
	// AppendValue appends one value, without any framing; dst is returned as it
	// was when there is an error.
	AppendValue(dst []byte, value any) ([]byte, error)
	// Bind decodes one value into the variable that into points to, strictly:
	// no text for a number, no fraction for an integer, no null for either,
	// however deep. Names of fields match without regard to case, unknown ones
	// are ignored, missing ones keep what the variable holds. In a variable of
	// type any, an integer is an int64, or a uint64 if it is too large for that.
	Bind(raw Raw, into any) error
}

// Shared is a message that many connections hear. It is encoded at most once
// per codec (twice if two goroutines are first at the same moment) and is safe
// for concurrent use.
type Shared struct {
	message Message
	encoded atomic.Pointer[record]
}

// record is the message in one codec, and those in others.
type record struct {
	form

	next *record
}

// Share makes m ready for many. m must not be changed afterwards.
func Share(m Message) *Shared { return &Shared{message: m} }

// Message is what was shared.
func (s *Shared) Message() Message { return s.message } //nolint:ireturn // see Decode

// scratch are buffers in which messages are encoded before it is known how long
// they become.
//
//nolint:gochecknoglobals // a pool is for all
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// scratchMost is the largest buffer that is kept for another message.
const scratchMost = 64 << 10

func encode(c Codec, m Message) ([]byte, error) {
	buffer := scratch.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
	encoded, err := c.Append((*buffer)[:0], m)
	if err != nil {
		return nil, err
	}
	own := bytes.Clone(encoded)
	if cap(encoded) <= scratchMost {
		*buffer = encoded
		scratch.Put(buffer)
	}
	return own, nil
}

// Bytes is the record in the encoding of c. The caller must not change it.
func (s *Shared) Bytes(c Codec) ([]byte, error) {
	name := c.Name()
	for {
		first := s.encoded.Load()
		for e := first; e != nil; e = e.next {
			if e.codec == name {
				return e.bytes, nil
			}
		}
		encoded, err := encode(c, s.message)
		if err != nil {
			return nil, err
		}
		if s.encoded.CompareAndSwap(first, &record{form{name, encoded}, first}) {
			return encoded, nil
		}
	}
}
