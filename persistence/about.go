package persistence

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// About returns what is on record about an id but that it was emitted, which the
// log itself says: refusals, schedules, cancellations, recalls. Oldest first. It
// reads all such records, so it is for people who ask.
func (a *Audit) About(ctx context.Context, hub, id string) ([]notifications.AuditRecord, error) {
	prefix := auditPrefix + token(hub) + "."
	var about []notifications.AuditRecord
	err := a.read(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{
		prefix + notifications.AuditRefused, prefix + notifications.AuditScheduled,
		prefix + notifications.AuditCanceled, prefix + notifications.AuditRecalled,
	}}, func(r notifications.AuditRecord) bool {
		if r.ID == id {
			about = append(about, r)
		}
		return true
	})
	return about, err
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
	err = scan(ctx, stream, jetstream.OrderedConsumerConfig{}, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		header := stored{header: msg.Headers()}
		if header.find(rejectedID) != id || !strings.HasPrefix(header.find(rejectedSubject), prefix) {
			return true, nil
		}
		position, positionErr := strconv.ParseUint(header.find(rejectedPosition), 10, 64)
		found = append(found, notifications.Rejection{
			Position: notifications.Position(position), At: meta.Timestamp.UTC(), Reason: header.find(rejectedReason),
		})
		return true, positionErr
	})
	if err != nil {
		return nil, fmt.Errorf("rejected messages: %w", err)
	}
	return found, nil
}
