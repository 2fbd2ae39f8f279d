package persistence

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	if err != nil {
		return nil, err
	}
	keeper.linger = auditLinger
	return &Audit{stream, keeper}, nil
}

// Record implements notifications.Audit. What finds 8,192 records waiting is
// lost.
func (a *Audit) Record(r notifications.AuditRecord) {
	a.keeper.put(record{subject: auditSubject(r), id: rand.Text(), value: r, listed: true})
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
	var records []notifications.AuditRecord
	if limit <= 0 {
		return nil, nil
	}
	err := a.read(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	}, func(r notifications.AuditRecord) bool {
		records = append(records, r)
		return len(records) < limit
	})
	return records, err
}

// auditLooked bounds the messages, of up to 256 records each, that a look at the
// newest ones asks for.
const auditLooked = 2000

// Newest returns the newest records that are wanted, the newest first, at most
// limit of them. It looks at the last 2,000 messages at most.
func (a *Audit) Newest(ctx context.Context, limit int, wants func(notifications.AuditRecord) bool) ([]notifications.AuditRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	info, err := a.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", unreachable(err))
	}
	var found []notifications.AuditRecord
	last, first := info.State.LastSeq, max(info.State.FirstSeq, 1)
	for seq := last; seq >= first && last-seq < auditLooked && len(found) < limit; seq-- {
		raw, err := a.stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the audit: %w", unreachable(err))
		}
		var records []notifications.AuditRecord
		if err := json.Unmarshal(raw.Data, &records); err != nil {
			return nil, fmt.Errorf("read the audit: at %d: %w", seq, err)
		}
		for _, r := range slices.Backward(records) {
			if wants(r) {
				found = append(found, r)
			}
		}
	}
	return found[:min(len(found), limit)], nil
}

// read gives take the records that are kept now, until it wants no more.
func (a *Audit) read(ctx context.Context, from jetstream.OrderedConsumerConfig, take func(notifications.AuditRecord) (more bool)) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	err := scan(ctx, a.stream, from, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		var records []notifications.AuditRecord
		if err := json.Unmarshal(msg.Data(), &records); err != nil {
			return false, fmt.Errorf("at %d: %w", meta.Sequence.Stream, err)
		}
		return !slices.ContainsFunc(records, func(r notifications.AuditRecord) bool { return !take(r) }), nil
	})
	if err != nil {
		return fmt.Errorf("read the audit: %w", err)
	}
	return nil
}

// auditLinger is how long a record may wait for others. With --sync always each
// message costs a flush of the disk, as the event does that it is about.
const auditLinger = 50 * time.Millisecond

// auditTimeout bounds the reading of the audit.
const auditTimeout = time.Minute
