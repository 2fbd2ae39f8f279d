// Package persistence keeps the log: it appends to it, follows it, reads it
// back and remembers how far devices have come. It is the only package that
// knows NATS, and the bytes at rest.
//
// The log is one JetStream stream, in an embedded server ([StartServer]) or an
// outside one. A node follows it with one ordered consumer, keeps an index of
// all of it (recipient → positions) and a tail of recent events in memory, and
// answers every replay from these: a consumer per replay was measured to be
// 5,000 times as dear. What is older than the tail is read by position.
package persistence

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"tidings/notifications"
)

// Options tunes the log. The zero value is ready for use.
type Options struct {
	// Stream is the name of the stream. Default "TIDINGS".
	Stream string
	// MaxAge is how long events are kept. Default 30 days.
	MaxAge time.Duration
	// MaxBytes bounds the log on disk; the oldest events go first. 0 = no
	// bound.
	MaxBytes int64
	// Replicas is the number of servers of a cluster that keep the log.
	// Default 1.
	Replicas int
	// TailBytes is the memory given to recent events. Default 64 MiB.
	TailBytes int
	// EventBytes bounds one event. Default notifications.DefaultEventBytes.
	EventBytes int
	// StateUsers is how many users' states a node keeps in memory. Default
	// 10,000.
	StateUsers int
	// AuditAge and AuditBytes bound the audit, VisitBytes what is kept of
	// connections, which is kept as long as events are. Defaults 90 days, 1 GiB
	// and 256 MiB; negative bytes = no bound.
	AuditAge               time.Duration
	AuditBytes, VisitBytes int64

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
}

// duplicates is the window in which an id is stored once only.
const duplicates = 2 * time.Minute

func (o Options) withDefaults() Options {
	o.Stream = cmp.Or(o.Stream, "TIDINGS")
	o.MaxAge = cmp.Or(o.MaxAge, 30*24*time.Hour)
	o.MaxBytes = cmp.Or(o.MaxBytes, -1)
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.TailBytes = cmp.Or(o.TailBytes, 64<<20)
	o.EventBytes = cmp.Or(o.EventBytes, notifications.DefaultEventBytes)
	o.StateUsers = cmp.Or(o.StateUsers, 10_000)
	o.AuditAge = cmp.Or(o.AuditAge, 90*24*time.Hour)
	o.AuditBytes = cmp.Or(o.AuditBytes, 1<<30)
	o.VisitBytes = cmp.Or(o.VisitBytes, 256<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Log is the log as one node sees it. It implements notifications.Appender and
// notifications.Reader; its methods are safe for concurrent use.
type Log struct {
	*Appender

	o      Options
	stream jetstream.Stream

	index *index
	tail  *tail

	ready     chan struct{}
	readyOnce sync.Once

	mu     sync.Mutex // guards all below
	epoch  uint64
	first  notifications.Position
	health error

	rejects chan rejected
	counts  counts
}

type counts struct {
	followed, rejected, rejectedLost atomic.Int64
	last                             atomic.Uint64 // newest position of the stream, as last seen
	bytes, bound                     atomic.Int64  // of the stream, as last seen
}

// Stats is a look at the log, for gauges.
type Stats struct {
	// Appended and AppendErrors count what this node appended, Followed what
	// it read, Rejected what it could not make an event of.
	Appended, AppendErrors, Followed, Rejected int64
	// Entries is how many positions the index knows, TailBytes what recent
	// events take.
	Entries, TailBytes int64
	// LogBytes is what the log takes on the disk, as last seen, LogBound how much
	// it may take; 0 = no bound.
	LogBytes, LogBound int64
	// Head is the newest position read, Last the newest there is.
	Head, Last notifications.Position
}

// Open connects the log to its stream, which is created if it is missing. One
// of another shape is an error that says what differs: it is never altered.
func Open(ctx context.Context, n *NATS, o Options) (*Log, error) {
	o = o.withDefaults()
	stream, epoch, err := n.ensureStreams(ctx, o)
	if err != nil {
		return nil, err
	}
	l := &Log{
		Appender: NewAppender(n, o.TracerProvider),
		o:        o,
		stream:   stream,
		index:    newIndex(),
		tail:     newTail(o.TailBytes),
		ready:    make(chan struct{}),
		epoch:    epoch,
		first:    1,
		rejects:  make(chan rejected, maxRejects),
	}
	return l, nil
}

// Ready is closed when Follow has read the log up to its end.
func (l *Log) Ready() <-chan struct{} { return l.ready }

// Health says why the log cannot be followed at the moment, or nil.
func (l *Log) Health() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.health
}

func (l *Log) setHealth(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.health = err
}

// Stats is a look at the log as it is now.
func (l *Log) Stats() Stats {
	state := l.State()
	return Stats{
		Appended:     l.appended.Load(),
		AppendErrors: l.failed.Load(),
		Followed:     l.counts.followed.Load(),
		Rejected:     l.counts.rejected.Load(),
		Entries:      l.index.len(),
		TailBytes:    l.tail.size(),
		LogBytes:     l.counts.bytes.Load(),
		LogBound:     l.counts.bound.Load(),
		Head:         state.Last,
		Last:         state.End,
	}
}
