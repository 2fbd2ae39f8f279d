package persistence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// eventsErasedSubject is where a node tells the others what was erased.
const eventsErasedSubject = "tidings.control.erased"

// erasure says that what a user had up to a position was erased.
type erasure struct {
	Hub  string                 `json:"hub"`
	User string                 `json:"user"`
	UpTo notifications.Position `json:"upTo"`
}

// Erase deletes all personal events of a user from the log, and from what could
// not be read, for good: the server overwrites them. It returns how many events
// it has deleted. This node forgets them before Erase returns, and so do all
// others that follow the log as soon as they hear of it; one that cannot be
// reached may hold some of them in memory until it is started anew. What is
// emitted to the user from now on is stored as ever.
//
// After an error the call may be repeated. There is one for a log that was made
// with deny_delete.
func (l *Log) Erase(ctx context.Context, hub, user string) (int, error) {
	to := notifications.ToUser(user)
	if err := to.Validate(); err != nil {
		return 0, fmt.Errorf("erase: %w", err)
	}
	stream, err := l.nats.js.Stream(ctx, l.o.Stream)
	if err != nil {
		return 0, fmt.Errorf("erase %s: %w", to, unreachable(err))
	}
	info := stream.CachedInfo()
	if info.Config.DenyDelete {
		return 0, errors.New("the log was made with deny_delete: events cannot be erased")
	}
	done := erasure{Hub: hub, User: user, UpTo: notifications.Position(info.State.LastSeq)}
	deleted, err := l.erase(ctx, stream, Subject(hub, to), func(raw *jetstream.RawStreamMsg) bool {
		return raw.Sequence <= info.State.LastSeq
	})
	if err != nil {
		return deleted, fmt.Errorf("erase %s: %w", to, err)
	}
	if err := l.eraseRejected(ctx, Subject(hub, to)); err != nil {
		return deleted, fmt.Errorf("erase %s: %w", to, err)
	}
	l.forget(done)
	if err := l.announce(ctx, done); err != nil {
		return deleted, fmt.Errorf("erase %s: other nodes were not told: %w", to, err)
	}
	return deleted, nil
}

// erase deletes the messages of a subject that are meant.
func (l *Log) erase(ctx context.Context, stream jetstream.Stream, subject string, meant func(*jetstream.RawStreamMsg) bool) (int, error) {
	deleted := 0
	err := reader{l.nats, stream}.each(ctx, subject, 1, 0, func(raw *jetstream.RawStreamMsg) error {
		if !meant(raw) {
			return nil
		}
		err := stream.SecureDeleteMsg(ctx, raw.Sequence)
		var refused *jetstream.APIError
		switch {
		case errors.As(err, &refused) && refused.ErrorCode == errCodeNoSequence:
			return nil // it has expired meanwhile
		case err != nil:
			return unreachable(err)
		}
		deleted++
		return nil
	})
	return deleted, err
}

// errCodeNoSequence is the code of the server for a message that is not there.
const errCodeNoSequence jetstream.ErrorCode = 10043

// eraseRejected deletes what came for a subject and could not be read.
func (l *Log) eraseRejected(ctx context.Context, subject string) error {
	stream, err := l.nats.js.Stream(ctx, l.o.rejectedConfig().Name)
	if err != nil {
		return unreachable(err)
	}
	_, err = l.erase(ctx, stream, rejectedPrefix+">", func(raw *jetstream.RawStreamMsg) bool {
		return raw.Header.Get(rejectedSubject) == subject
	})
	return err
}

// forget makes this node forget what was erased.
func (l *Log) forget(e erasure) {
	a := address{e.Hub, notifications.ToUser(e.User)}
	l.index.forget(a, e.UpTo)
	l.tail.forget(a, e.UpTo)
}

// announce tells the nodes that follow the log what was erased.
func (l *Log) announce(ctx context.Context, e erasure) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err = l.nats.conn.Publish(eventsErasedSubject, data); err == nil {
		err = l.nats.conn.FlushWithContext(ctx)
	}
	return unreachable(err)
}

// obey does what another node has announced.
func (l *Log) obey(ctx context.Context, data []byte) {
	var e erasure
	err := json.Unmarshal(data, &e)
	if err == nil {
		err = notifications.ToUser(e.User).Validate()
	}
	if err != nil {
		l.o.Logger.WarnContext(ctx, "erasure cannot be read", slog.Any("error", err))
		return
	}
	// Nothing can have been erased that was not there yet.
	if e.UpTo > l.index.head() {
		if stream, lookErr := l.nats.js.Stream(ctx, l.o.Stream); lookErr == nil {
			e.UpTo = min(e.UpTo, notifications.Position(stream.CachedInfo().State.LastSeq))
		}
	}
	l.forget(e)
}
