package persistence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// Rejected is a message of the log that could not be read, as it is kept.
type Rejected struct {
	// Seq names it among those that are kept.
	Seq uint64
	// Epoch and Position are its place in the log, At is when it was put aside.
	Epoch    uint64
	Position notifications.Position
	At       time.Time
	// Subject is where it was published, Reason why it is no event, ID what it
	// seems to be called; empty = it does not say.
	Subject, Reason, ID string
	Data                []byte
	// Headers are those it came with.
	Headers map[string][]string
}

// For is whom it was for, if its subject says so.
func (r Rejected) For() (hub string, to notifications.Recipient, err error) {
	return ParseSubject(r.Subject)
}

// lookedAt bounds the messages that one page of rejected ones asks for: some of
// them may be gone.
const lookedAt = 1000

// Rejected returns messages that were put aside before that one, the newest
// first; before 0 = from the newest. more says that there may be others.
func (l *Log) Rejected(ctx context.Context, before uint64, limit int) (page []Rejected, more bool, err error) {
	stream, err := l.nats.js.Stream(ctx, l.o.Stream+"_REJECTED")
	if err != nil {
		return nil, false, fmt.Errorf("rejected messages: %w", unreachable(err))
	}
	state := stream.CachedInfo().State
	if before == 0 || before > state.LastSeq {
		before = state.LastSeq + 1
	}
	for range lookedAt {
		before--
		if before < max(state.FirstSeq, 1) || len(page) == limit {
			break
		}
		r, err := rejectedAt(ctx, stream, before)
		switch {
		case errors.Is(err, notifications.ErrNotFound):
		case err != nil:
			return nil, false, err
		default:
			page = append(page, r)
		}
	}
	return page, before >= max(state.FirstSeq, 1) && state.Msgs > 0, nil
}

// RejectedAt returns one of the rejected messages. The error wraps
// notifications.ErrNotFound when it is not kept any more.
func (l *Log) RejectedAt(ctx context.Context, seq uint64) (Rejected, error) {
	stream, err := l.nats.js.Stream(ctx, l.o.Stream+"_REJECTED")
	if err != nil {
		return Rejected{}, fmt.Errorf("rejected messages: %w", unreachable(err))
	}
	return rejectedAt(ctx, stream, seq)
}

func rejectedAt(ctx context.Context, stream jetstream.Stream, seq uint64) (Rejected, error) {
	raw, err := stream.GetMsg(ctx, seq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return Rejected{}, fmt.Errorf("rejected message %d: %w", seq, notifications.ErrNotFound)
	case err != nil:
		return Rejected{}, fmt.Errorf("rejected message %d: %w", seq, unreachable(err))
	}
	header := stored{header: raw.Header}
	r := Rejected{
		Seq: seq, At: raw.Time.UTC(), Data: raw.Data, Subject: header.find(rejectedSubject), Reason: header.find(rejectedReason),
		ID: header.find(rejectedID), Headers: maps.Clone(raw.Header),
	}
	for name := range r.Headers {
		if strings.HasPrefix(name, "Nats-") || name != emitterHeader && strings.HasPrefix(name, "Tidings-") {
			delete(r.Headers, name) // of the putting aside
		}
	}
	position, err := strconv.ParseUint(header.find(rejectedPosition), 10, 64)
	if err != nil {
		return Rejected{}, fmt.Errorf("rejected message %d: position: %w", seq, err)
	}
	r.Position = notifications.Position(position)
	// tidings.rejected.<epoch>.<position>
	epoch, _, _ := strings.Cut(strings.TrimPrefix(raw.Subject, rejectedPrefix), ".")
	if r.Epoch, err = strconv.ParseUint(epoch, 16, 64); err != nil {
		return Rejected{}, fmt.Errorf("rejected message %d: epoch: %w", seq, err)
	}
	return r, nil
}
