// Package hub speaks SignalR with one connection at a time: handshake, then
// invocations in, completions out. A hub is a set of Go functions that
// browsers call by name:
//
//	h, err := hub.New(hub.Options{
//		Name: "chat",
//		Methods: hub.Methods{
//			"Say": func(c *hub.Context, text string) error {
//				return c.Clients().Others().Send(c.Context(), "Said", text)
//			},
//		},
//	})
//	http.Handle("/hubs/chat/", connections.NewServer(h, connections.Options{}))
//
// # Concurrency and order
//
// The reader of a connection only routes: pings and cancels are handled at
// once, invocations wait their turn. One worker per connection runs them, one
// after the other, in order of arrival; it exists while there is work. When
// too many wait, the reader stops reading. A client that says goodbye behind
// its calls has them done, if that takes no more than a few seconds; one whose
// connection breaks, or is ended by the server, has not. What a hub sends to a
// connection arrives in the order it was sent; the completion of a call and
// the echo of an event it made are unordered between themselves.
package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"tidings/actors"
	"tidings/connections"
	"tidings/hub/protocol"
	"tidings/notifications"
	"tidings/roles"
)

// Methods are the functions that clients may call, by name. Names are found
// without regard to case. A function takes a *Context, any arguments that both
// encodings can carry and streams of the client (*Stream[T]), and returns
// nothing, an error, a result, or both. A result that is an iter.Seq[T], an
// iter.Seq2[T, error] or a channel is a stream to the client; whoever fills a
// channel must stop when the context of the call ends.
type Methods map[string]any

// Options make a hub. Name is required.
type Options struct {
	// Name is the hub in subjects, policies and logs, such as "notifications".
	Name string
	// Service is the hub in spans, such as "NotificationHub". Default Name.
	Service string
	Methods Methods
	// OnConnected runs before any message of a new connection is handled. An
	// error refuses the connection.
	OnConnected func(c *Context) error
	// OnDisconnected runs once for every connection that OnConnected let in;
	// err is nil after a clean end.
	OnDisconnected func(c *Context, err error)
	Filters        []Filter
	// Policy decides who may invoke what. nil = everybody everything.
	Policy *roles.Policy
	// Durable makes the hub deliver from the log, too.
	Durable *Durable
	// Backplane carries what Clients send to all nodes. nil = this node alone.
	Backplane Backplane
	// KeepAlive is the silence after which the server pings. Default 15 s.
	KeepAlive time.Duration
	// ClientTimeout is the longest silence of a client that has pinged once.
	// Default 30 s; at least twice the keep-alive of the clients.
	ClientTimeout time.Duration
	// HandshakeTimeout bounds the time to the first record. Default 15 s.
	HandshakeTimeout time.Duration
	// MaxMessage is the longest record accepted, in bytes. Default 32 KiB; a
	// negative one is no limit.
	MaxMessage int
	// ParallelInvocations is how many calls of one connection may run at the
	// same moment. Default 1: in order of arrival. Calls with streams do not
	// count.
	ParallelInvocations int
	// MaxStreams is how many calls with streams a connection may have at the
	// same moment. Default 500.
	MaxStreams int
	// StreamBuffer is how many items of each stream of a client may always wait
	// to be taken. Default 10.
	StreamBuffer int
	// AnswerTimeout bounds what Invoke waits for a client. Default 1 minute.
	AnswerTimeout time.Duration
	// ReconnectBuffer is how many bytes a client with stateful reconnect is sent
	// without an acknowledgement before messages wait. Default 100,000.
	ReconnectBuffer int
	// ReconnectBytes bounds what is kept for all such clients. Default 256 MiB.
	ReconnectBytes int64
	// Protocols are the encodings spoken, "json" and "messagepack". Default both.
	Protocols []string
	// ClientContext says what the trace of a client is to spans of its calls.
	// Default LinkContext.
	ClientContext ClientContext
	// NewNamesOnly leaves out of the spans of calls what the conventions of
	// OpenTelemetry no longer have, and .NET still does: rpc.system and rpc.service.
	NewNamesOnly bool
	// DetailedErrors tells clients the text of every error: for development.
	DetailedErrors bool
	// CloseOnAuthExpiration ends a connection when its token does.
	CloseOnAuthExpiration bool
	// Shards is the number of goroutines that deliver. Default GOMAXPROCS.
	Shards         int
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Observer       Observer
	// Deliveries is told what became of events.
	Deliveries actors.Observer
}

// Durable is what a hub needs to deliver from the log.
type Durable struct {
	Reader  notifications.Reader
	Devices notifications.Devices
	// Inboxes hold what is known of users. nil = the hub has no inboxes, mutes and
	// durable memberships.
	Inboxes *notifications.Inboxes
	// Visits keeps who was connected when. nil = nobody does.
	Visits notifications.Visits
	// Node names this process in visits.
	Node string
}

// Backplane hands unstored messages to all nodes, the sender included, in
// order; persistence.Log is one. What comes back on a node is given to
// [Hub.DeliverLive].
type Backplane interface {
	PublishLive(m notifications.Live) error
}

// Observer counts what clients do. It must not block.
type Observer interface {
	// Joined is called when a connection has its place among those that are
	// delivered to; took is from when its transport was there.
	Joined(transport string, took time.Duration)
	// Invoked is called when a completion has been queued, with the span of the
	// call in ctx. method is "_OTHER" for one that does not exist; errorType is
	// empty after a success.
	Invoked(ctx context.Context, hub, method, errorType string, took time.Duration)
	// Acknowledged is called when a client has acknowledged more than before; took
	// is from when the log stored the newest of these events, or, if the client
	// came later, from when it did.
	Acknowledged(took time.Duration)
	// Due is called when acknowledgements have come, or should have: so many are
	// due, of which so many have not come within [AckBudget].
	Due(due, late int)
}

type silent struct{}

func (silent) Joined(string, time.Duration)                                   {}
func (silent) Invoked(context.Context, string, string, string, time.Duration) {}
func (silent) Acknowledged(time.Duration)                                     {}
func (silent) Due(int, int)                                                   {}

// openingPerCore is how many connections join at the same moment, for each core.
// In a storm the others wait for that, instead of for a processor: else what is
// delivered meanwhile would wait behind all of them at each of its steps.
const openingPerCore = 2

// gate lets in as many as it has places. Who is in must not wait for a client,
// nor for what a client can choose.
type gate chan struct{}

func (g gate) enter() { g <- struct{}{} }
func (g gate) leave() { <-g }

// Hub serves connections. It implements connections.Handler; its methods are
// safe for concurrent use.
type Hub struct {
	o         Options
	methods   map[string]*method // by lower-case name
	codecs    []protocol.Codec   // JSON first
	binary    atomic.Bool        // somebody has asked for the other one
	system    *actors.System
	tracer    trace.Tracer
	questions atomic.Uint64 // asked of clients
	opening   gate
	received  atomic.Int64 // messages of clients

	mu       sync.Mutex // guards all below
	sessions map[string]*session
	acking   map[*session]struct{}          // those that have acknowledged something
	shaking  map[*connections.Conn]struct{} // that have not joined yet
}

// New makes a hub. The error says which method is of no use, and why.
func New(o Options) (*Hub, error) {
	o = o.withDefaults()
	if o.Name == "" {
		return nil, errors.New("hub: no name")
	}
	h := &Hub{
		o: o, methods: make(map[string]*method, len(o.Methods)), tracer: o.TracerProvider.Tracer("tidings/hub"),
		sessions: make(map[string]*session), acking: make(map[*session]struct{}), shaking: make(map[*connections.Conn]struct{}),
		opening: make(gate, openingPerCore*runtime.GOMAXPROCS(0)),
	}
	for _, codec := range []protocol.Codec{protocol.JSON(), protocol.MessagePack()} {
		if slices.Contains(o.Protocols, codec.Name()) {
			h.codecs = append(h.codecs, codec)
		}
	}
	if len(h.codecs) == 0 {
		return nil, fmt.Errorf("hub %s: no known protocol in %q", o.Name, o.Protocols)
	}
	for name, function := range o.Methods {
		m, err := newMethod(name, function)
		if err != nil {
			return nil, fmt.Errorf("hub %s: method %s: %w", o.Name, name, err)
		}
		if other := h.methods[strings.ToLower(name)]; other != nil {
			return nil, fmt.Errorf("hub %s: methods %s and %s differ in case only", o.Name, other.name, name)
		}
		h.methods[strings.ToLower(name)] = m
	}
	settings := actors.Options{
		Hub: o.Name, Shards: o.Shards, KeepAlive: o.KeepAlive, ClientTimeout: o.ClientTimeout,
		ReconnectBuffer: o.ReconnectBuffer, ReconnectBytes: o.ReconnectBytes,
		Logger: o.Logger, Observer: o.Deliveries,
	}
	if o.Durable != nil {
		settings.Reader = o.Durable.Reader
		if o.Durable.Inboxes != nil {
			settings.Catalogue = o.Durable.Inboxes.Catalogue()
		}
	}
	system, err := actors.New(settings)
	if err != nil {
		return nil, fmt.Errorf("hub %s: %w", o.Name, err)
	}
	h.system = system
	return h, nil
}

func (o Options) withDefaults() Options {
	if o.Service == "" {
		o.Service = o.Name
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 15 * time.Second
	}
	switch {
	case o.MaxMessage == 0:
		o.MaxMessage = protocol.DefaultLimit
	case o.MaxMessage < 0:
		o.MaxMessage = math.MaxInt32 // what MessagePack can say
	}
	o.ParallelInvocations = cmp.Or(max(o.ParallelInvocations, 0), 1)
	o.MaxStreams = cmp.Or(max(o.MaxStreams, 0), 500)
	o.StreamBuffer = cmp.Or(max(o.StreamBuffer, 0), 10)
	o.ClientContext = cmp.Or(o.ClientContext, LinkContext)
	o.AnswerTimeout = cmp.Or(max(o.AnswerTimeout, 0), defaultAnswerTimeout)
	if len(o.Protocols) == 0 {
		o.Protocols = []string{protocol.JSON().Name(), protocol.MessagePack().Name()}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With(slog.String("hub", o.Name))
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	return o
}

// Name is the name of the hub.
func (h *Hub) Name() string { return h.o.Name }

// Run keeps the hub going until ctx ends; connections that are left end then.
func (h *Hub) Run(ctx context.Context) error {
	if h.o.Durable == nil {
		return h.system.Run(ctx)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.system.Run(ctx) })
	group.Go(func() error { return h.awaitAcks(ctx) })
	return group.Wait()
}

// Deliver hands the next stretch of the log to the connections it concerns.
func (h *Hub) Deliver(ctx context.Context, b notifications.Batch) error {
	return h.system.Deliver(ctx, b)
}

// Change hands on what has changed about a user, in order.
func (h *Hub) Change(ctx context.Context, c notifications.Changed) error {
	return h.system.Change(ctx, c)
}

// DeliverLive hands an unstored message of an emitter to the connections it
// concerns.
func (h *Hub) DeliverLive(ctx context.Context, m notifications.Live) error {
	message := &protocol.Invocation{Target: m.Target, Arguments: anySlice(m.Arguments), Headers: traceHeaders(m.TraceParent)}
	return h.system.Send(ctx, actors.Live{To: []notifications.Recipient{m.To}, Except: m.Except, Message: protocol.Share(message)})
}

// CloseAll ends all connections, perSecond of them, so that their clients come
// back, and waits for them until ctx ends. Those that have not shaken hands are
// cut.
func (h *Hub) CloseAll(ctx context.Context, perSecond int) error {
	h.mu.Lock()
	for conn := range h.shaking {
		conn.Abort()
	}
	h.mu.Unlock()
	return h.system.CloseAll(ctx, perSecond)
}

// Sent tells up to which position a connection of this node was sent everything;
// false = there is no such connection.
func (h *Hub) Sent(connectionID string) (notifications.Position, bool) {
	c, known := h.system.Lookup(connectionID)
	if !known {
		return 0, false
	}
	return c.Position(), true
}

// Received counts the messages that clients have sent, pings among them.
func (h *Hub) Received() int64 { return h.received.Load() }

// Stats is a look at the hub, for gauges.
func (h *Hub) Stats() actors.Stats { return h.system.Stats() }

// codec finds an encoding by the name a client asks for.
func (h *Hub) codec(name string) (protocol.Codec, bool) { //nolint:ireturn // a codec is used through its interface only
	for _, codec := range h.codecs {
		if codec.Name() == name {
			return codec, true
		}
	}
	return nil, false
}

// session finds a connection of this node.
func (h *Hub) session(connectionID string) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[connectionID]
}

// shakes notes that a connection has come.
func (h *Hub) shakes(c *connections.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shaking[c] = struct{}{}
}

// shaken notes that it has joined or been refused.
func (h *Hub) shaken(c *connections.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.shaking, c)
}

func (h *Hub) enlist(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[s.conn.ID()] = s
}

func (h *Hub) strike(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s.conn.ID())
	delete(h.acking, s)
}
