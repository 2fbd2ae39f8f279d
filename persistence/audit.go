package persistence

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

const auditPrefix = "tidings.audit."

// Audit keeps who did what to whom. It implements notifications.Audit; its
// methods are safe for concurrent use.
type Audit struct {
	stream jetstream.Stream
	keeper *keeper
}

// OpenAudit opens the stream of the audit, which is created if it is missing.
// The age and the bytes of one that exists are changed to those of the options.
func OpenAudit(ctx context.Context, n *NATS, o Options) (*Audit, error) {
	o = o.withDefaults()
	stream, err := n.ensureBounds(ctx, o.auditConfig())
	if err != nil {
		return nil, err
	}
	keeper, err := newKeeper(n, "audit", o.Logger)
	return &Audit{stream, keeper}, err
}

// Record implements notifications.Audit. What finds 8,192 records waiting is
// lost.
func (a *Audit) Record(r notifications.AuditRecord) {
	a.keeper.put(record{subject: auditSubject(r), id: rand.Text(), value: r})
}

// auditSubject is where a record is stored. Both names are there for whoever
// looks with the tools of NATS.
func auditSubject(r notifications.AuditRecord) string {
	return auditPrefix + token(r.Hub) + "." + token(r.Action)
}

// token is a token for any text, the empty one included.
func token(text string) string {
	if text == "" {
		return "="
	}
	return EncodeToken(text)
}

// Run stores records until ctx ends, and then what is left, for two seconds at
// most.
func (a *Audit) Run(ctx context.Context) error { return a.keeper.run(ctx) }

// Stats is a look at the audit as it is now.
func (a *Audit) Stats() KeepStats { return a.keeper.stats() }

// Records returns what was stored since then, oldest first, at most limit
// records.
func (a *Audit) Records(ctx context.Context, since time.Time, limit int) ([]notifications.AuditRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	consumer, err := a.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, InactiveThreshold: auditTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", unreachable(err))
	}
	pending := consumer.CachedInfo().NumPending
	messages, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", unreachable(err))
	}
	defer messages.Stop()
	var records []notifications.AuditRecord
	for pending > 0 && len(records) < limit {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("read the audit: %w", unreachable(err))
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read the audit: %w", err)
		}
		var r notifications.AuditRecord
		if err = json.Unmarshal(msg.Data(), &r); err != nil {
			return nil, fmt.Errorf("read the audit at %d: %w", meta.Sequence.Stream, err)
		}
		records, pending = append(records, r), meta.NumPending
	}
	return records, nil
}

// auditTimeout bounds the reading of the audit.
const auditTimeout = time.Minute
