package main

import (
	"context"
	"log/slog"

	"tidings/notifications"
	"tidings/persistence"
)

// held tells whether the log holds an event of that id. A node that has not read
// the log does not know.
func (n *node) held(ctx context.Context, of, id string) (bool, error) {
	if !n.ready.Load() {
		return false, notifications.ErrUnavailable
	}
	if err := n.log.Await(ctx); err != nil {
		return false, err
	}
	entries, err := n.log.Find(ctx, of, id)
	return len(entries) > 0, err
}

// records finds what is kept about an id in two places.
type records struct {
	*persistence.Audit

	log *persistence.Log
}

// Rejections implements notifications.Records.
func (r records) Rejections(ctx context.Context, of, id string) ([]notifications.Rejection, error) {
	return r.log.Rejections(ctx, of, id)
}

// open tells how far a connection of this node was sent.
func (n *node) open(connectionID string) (notifications.Position, bool) {
	return n.notifications.Sent(connectionID)
}

// followStates hands on what has changed about users.
func (n *node) followStates(ctx context.Context) error {
	return n.states.Follow(ctx, func(ctx context.Context, c notifications.Changed) {
		if err := n.notifications.Change(ctx, c); err != nil && ctx.Err() == nil {
			n.logger.WarnContext(ctx, "change of a user cannot be handed on", slog.Any("error", err))
		}
	})
}
