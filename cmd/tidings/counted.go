package main

import (
	"context"
	"errors"
	"time"

	"tidings/notifications"
	"tidings/persistence"
	"tidings/roles"
	"tidings/telemetry"
)

// What the rooms do not count themselves is counted where it is put together.

// countedVerifier counts the tokens that are refused, whichever door they came to.
type countedVerifier struct {
	roles.Verifier

	metrics *telemetry.Metrics
}

// Verify implements roles.Verifier.
func (v countedVerifier) Verify(ctx context.Context, token string) (roles.Principal, error) {
	who, err := v.Verifier.Verify(ctx, token)
	if err != nil {
		v.metrics.Unauthenticated(roles.ReasonOf(err))
	}
	return who, err
}

// timedLog measures how long appending takes. It implements
// notifications.BatchAppender.
type timedLog struct {
	*persistence.Log

	metrics *telemetry.Metrics
}

// Append implements notifications.Appender.
func (l timedLog) Append(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	began := time.Now()
	receipt, err := l.Log.Append(ctx, hub, e)
	l.metrics.Appended(ctx, appendError(err), time.Since(began))
	return receipt, err
}

// AppendAll implements notifications.BatchAppender.
func (l timedLog) AppendAll(ctx context.Context, hub string, events []notifications.Event) []notifications.Outcome {
	began := time.Now()
	outcomes := l.Log.AppendAll(ctx, hub, events)
	var first error
	for _, o := range outcomes {
		if first = o.Err; first != nil {
			break
		}
	}
	l.metrics.Appended(ctx, appendError(first), time.Since(began))
	return outcomes
}

// appendError is the error.type of an append.
func appendError(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, notifications.ErrUnavailable):
		return "unavailable"
	default:
		return "_OTHER"
	}
}

// deliver hands on what the follower has read, and measures how long that takes:
// the follower waits for shards that are behind.
func (n *node) deliver(ctx context.Context, b notifications.Batch) error {
	began := time.Now()
	err := n.notifications.Deliver(ctx, b)
	if len(b.Entries) > 0 {
		n.telemetry.Metrics.Followed(time.Since(began))
	}
	return err
}
