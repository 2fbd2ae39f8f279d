package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Relay publishes what is in the outbox. Several relays may work on one outbox.
//
// The log remembers an id for two minutes: until then an event may be published
// again, as often as needed. It would be stored twice if a relay died between
// its answer and its commit and another one came later than that. So an attempt
// is noted before it is made, and an event whose first attempt began more than
// 100 seconds ago is not published before the server was asked whether it has
// it. The other 20 seconds are for the step that was just in time and for the
// server, which tries for ten seconds to store what it was given.
type Relay struct {
	DB      *sql.DB
	Tidings Tidings
	Logger  *slog.Logger
}

// The times of a relay.
const (
	stepTime   = 10 * time.Second
	pollEvery  = 250 * time.Millisecond
	leastPause = 200 * time.Millisecond
	mostPause  = 30 * time.Second
)

// first finds rows that wait behind no other row of their recipient, so that
// nothing overtakes a row that another relay holds, or that is tried again.
const first = `published IS NULL AND refused IS NULL AND NOT EXISTS (
	SELECT FROM outbox earlier
	WHERE earlier.recipient = outbox.recipient AND earlier.turn < outbox.turn
	  AND earlier.published IS NULL AND earlier.refused IS NULL)`

// note says that attempts begin. It is committed before they do.
const note = `UPDATE outbox SET attempted_at = clock_timestamp() WHERE id IN (
	SELECT id FROM outbox WHERE attempted_at IS NULL AND ` + first + `
	ORDER BY turn LIMIT 100 FOR UPDATE SKIP LOCKED)`

// claim holds a row until the transaction ends. The clock is the database's,
// which is the same for all relays.
const claim = `SELECT id, event, attempted_at < clock_timestamp() - interval '100 seconds'
	FROM outbox WHERE attempted_at IS NOT NULL AND ` + first + `
	ORDER BY turn LIMIT 1 FOR UPDATE SKIP LOCKED`

// Run relays until ctx ends. What cannot be published now is tried again, less
// and less often.
func (r *Relay) Run(ctx context.Context) {
	pause := leastPause
	for ctx.Err() == nil {
		worked, err := r.step(ctx)
		wait := pollEvery
		switch {
		case err == nil && worked:
			pause = leastPause
			continue
		case err != nil && ctx.Err() == nil:
			wait = pause + rand.N(pause) //nolint:gosec // nobody gains by guessing it
			if away, is := errors.AsType[*AwayError](err); is {
				wait = max(wait, away.RetryAfter)
			}
			pause = min(2*pause, mostPause)
			r.Logger.WarnContext(ctx, "not published, will try again", slog.Duration("in", wait), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// step settles one row, or notes those that come next; false = there is none.
func (r *Relay) step(ctx context.Context) (worked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	tx, err := r.DB.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	worked = true
	if err = r.settle(ctx, tx); errors.Is(err, sql.ErrNoRows) {
		worked, err = noteNext(ctx, tx)
	}
	if err != nil {
		return false, err
	}
	return worked, tx.Commit()
}

// row is an event that is to be published.
type row struct {
	id    string
	event []byte
	late  bool // the log may have forgotten an attempt
}

// settle publishes the row that comes next, or sets it aside. It returns
// sql.ErrNoRows when none is noted.
func (r *Relay) settle(ctx context.Context, tx *sql.Tx) error {
	var next row
	if err := tx.QueryRowContext(ctx, claim).Scan(&next.id, &next.event, &next.late); err != nil {
		return err
	}
	position, err := r.place(ctx, next)
	if refused, is := errors.AsType[*RefusedError](err); is {
		r.Logger.ErrorContext(ctx, "event refused", slog.String("id", next.id), slog.Any("reason", refused))
		_, err = tx.ExecContext(ctx, `UPDATE outbox SET refused = $2 WHERE id = $1`, next.id, refused.Error())
		return err
	}
	if err != nil {
		return fmt.Errorf("event %s: %w", next.id, err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE outbox SET published = $2 WHERE id = $1`, next.id, position)
	return err
}

// place returns the position of an event in the log, and puts it there if it is
// missing.
func (r *Relay) place(ctx context.Context, next row) (position int64, err error) {
	if next.late {
		if was, found, asked := r.Tidings.Find(ctx, next.id); found || asked != nil {
			return was, asked
		}
	}
	position, err = r.Tidings.Publish(ctx, next.event)
	if _, refused := errors.AsType[*RefusedError](err); refused {
		// An earlier attempt may have come in time, for one what is scheduled.
		if was, found, asked := r.Tidings.Find(ctx, next.id); found || asked != nil {
			return was, asked
		}
	}
	return position, err
}

func noteNext(ctx context.Context, tx *sql.Tx) (noted bool, err error) {
	result, err := tx.ExecContext(ctx, note)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}
