package persistence

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// About returns what is on record about an id but that it was emitted, which the
// log itself says: refusals, schedules, cancellations, recalls. Oldest first. It
// reads all such records, so it is for people who ask.
func (a *Audit) About(ctx context.Context, hub, id string) ([]notifications.AuditRecord, error) {
	prefix := auditPrefix + token(hub) + "."
	var about []notifications.AuditRecord
	err := scan(ctx, a.stream, []string{
		prefix + notifications.AuditRefused, prefix + notifications.AuditScheduled,
		prefix + notifications.AuditCanceled, prefix + notifications.AuditRecalled,
	}, func(msg jetstream.Msg) error {
		var r notifications.AuditRecord
		if err := json.Unmarshal(msg.Data(), &r); err != nil {
			return err
		}
		if r.ID == id {
			about = append(about, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return about, nil
}

// Rejections returns the messages of a hub with that id that could not be read,
// oldest first. It reads all that were rejected, so it is for people who ask.
func (l *Log) Rejections(ctx context.Context, hub, id string) ([]notifications.Rejection, error) {
	stream, err := l.nats.js.Stream(ctx, l.o.Stream+"_REJECTED")
	if err != nil {
		return nil, fmt.Errorf("rejected messages: %w", unreachable(err))
	}
	prefix := logPrefix + EncodeToken(hub) + "."
	var found []notifications.Rejection
	err = scan(ctx, stream, nil, func(msg jetstream.Msg) error {
		header := stored{header: msg.Headers()}
		if header.find(rejectedID) != id || len(header.find(rejectedSubject)) < len(prefix) || header.find(rejectedSubject)[:len(prefix)] != prefix {
			return nil
		}
		meta, metaErr := msg.Metadata()
		if metaErr != nil {
			return metaErr
		}
		position, positionErr := strconv.ParseUint(header.find(rejectedPosition), 10, 64)
		if positionErr != nil {
			return positionErr
		}
		found = append(found, notifications.Rejection{
			Position: notifications.Position(position), At: meta.Timestamp.UTC(), Reason: header.find(rejectedReason),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rejected messages: %w", err)
	}
	return found, nil
}

// scan gives take all messages of a stream, or of some of its subjects, as they
// are now.
func scan(ctx context.Context, stream jetstream.Stream, subjects []string, take func(jetstream.Msg) error) error {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverAllPolicy})
	for err == nil {
		var batch jetstream.MessageBatch
		if batch, err = consumer.FetchNoWait(batchMessages); err != nil {
			break
		}
		taken := 0
		for msg := range batch.Messages() {
			taken++
			if err = take(msg); err != nil {
				return err
			}
		}
		if err = batch.Error(); taken == 0 {
			break
		}
	}
	if err != nil {
		return unreachable(err)
	}
	return ctx.Err()
}
