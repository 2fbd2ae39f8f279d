package connections

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"tidings/roles"
)

// Options tunes the endpoint of one hub. The zero value is ready for use and
// lets anybody in from the same origin.
type Options struct {
	// Verifier makes a principal of a bearer token; every request then needs
	// one. nil lets anonymous callers in.
	Verifier roles.Verifier
	// Origins are the exact origins, such as "https://app.example", that pages
	// of other hosts may call from, with credentials. The host's own pages
	// always may.
	Origins []string
	// AllowLocalhost lets in pages of localhost, 127.0.0.1 and [::1], whatever
	// the port: for development.
	AllowLocalhost bool
	// Transports are those that are offered, in the order clients try them;
	// other names are passed over. Default all, see Transports.
	Transports []string
	// DisconnectTimeout is how long a connection may be without a transport:
	// negotiated, between two polls, or waiting for another socket. Default
	// 15 s.
	DisconnectTimeout time.Duration
	// MaxWaiting is how many may be negotiated and unused at the same moment;
	// the next one is refused with 503. Default 10,000.
	MaxWaiting int
	// SendTimeout is how long a peer may take no byte before its connection is
	// given up, and how long it may leave a body it sends without one. Default
	// 10 s.
	SendTimeout time.Duration
	// CloseTimeout is how long a peer may take for the end: to answer a close
	// frame, to take the rest of a stream, to poll once more. Default 5 s.
	CloseTimeout time.Duration
	// PollTimeout is how long a poll waits for something to say. Default 90 s;
	// the official clients give up after 100 s.
	PollTimeout time.Duration
	// ReceiveBuffer is how many bytes of a client that sends by POST wait for
	// Receive; then the POST waits. Default 64 KiB.
	ReceiveBuffer int
	// SendBuffer is how many bytes wait for an event stream or a poll; then
	// whoever writes waits. Default 64 KiB.
	SendBuffer int
	// StatefulReconnect lets a connection over a WebSocket outlive its socket
	// if its client asks for that, see Conn.Return.
	StatefulReconnect bool
	// MaxResumable is how many connections may do so at the same moment, and
	// MaxResumablePerUser how many of one user; anonymous callers are not told
	// apart. When a bound is reached, it is not offered. Default 10,000 and 32.
	MaxResumable        int
	MaxResumablePerUser int

	Logger         *slog.Logger
	Observer       Observer
	TracerProvider trace.TracerProvider
}

// Observer counts connections. Its methods must not block.
type Observer interface {
	// Opened is called when a transport has been attached.
	Opened(transport string)
	// Closed is called when it is over; reason is one of a bounded set.
	Closed(transport, reason string, lasted time.Duration)
	// Refused is called for a request that was answered with an HTTP status of
	// 400 or more.
	Refused(status int)
}

func (o Options) withDefaults() Options {
	if len(o.Transports) == 0 {
		o.Transports = Transports()
	}
	o.DisconnectTimeout = positive(o.DisconnectTimeout, 15*time.Second)
	o.SendTimeout = positive(o.SendTimeout, 10*time.Second)
	o.CloseTimeout = positive(o.CloseTimeout, 5*time.Second)
	o.PollTimeout = positive(o.PollTimeout, 90*time.Second)
	o.MaxWaiting = positive(o.MaxWaiting, 10_000)
	o.ReceiveBuffer = positive(o.ReceiveBuffer, 64<<10)
	o.SendBuffer = positive(o.SendBuffer, 64<<10)
	o.MaxResumable = positive(o.MaxResumable, 10_000)
	o.MaxResumablePerUser = positive(o.MaxResumablePerUser, 32)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	return o
}

// positive is the value, or its default.
func positive[T cmp.Ordered](value, otherwise T) T { //nolint:ireturn // a number
	var zero T
	if value <= zero {
		return otherwise
	}
	return value
}

// offers tells whether a transport is spoken here.
func (o Options) offers(transport string) bool { return slices.Contains(o.Transports, transport) }

type silent struct{}

func (silent) Opened(string)                        {}
func (silent) Closed(string, string, time.Duration) {}
func (silent) Refused(int)                          {}
