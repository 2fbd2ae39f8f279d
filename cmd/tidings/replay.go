package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"tidings/notifications"
	"tidings/persistence"
)

// replayCommand looks back in one of two ways: at the inbox of a user as it was
// (--user, --at), or at a window of the log, which it emits again to another hub
// (--since, --to-hub).
type replayCommand struct {
	asking

	User string `xor:"what" placeholder:"ID" help:"Print the inbox of this user as it was at --at. Asks a server."`
	At   string `placeholder:"TIME" help:"A moment, such as 2026-11-01T10:00Z."`

	Since string  `xor:"what" placeholder:"TIME" help:"Emit again what was stored from then on, such as 2026-11-01T10:00Z, to --to-hub. Needs NATS."`
	Until string  `placeholder:"TIME" help:"Up to then. Default now."`
	ToHub string  `name:"to-hub" placeholder:"HUB" help:"The hub to emit to; never the hub it comes from."`
	Rate  float64 `default:"100" help:"Events a second at most."`

	natsServer

	Stream string `default:"TIDINGS" help:"Name of the JetStream stream."`
}

func (c replayCommand) Run(ctx context.Context, env environment) error {
	switch {
	case c.User != "" && c.At != "":
		return c.inbox(ctx, env)
	case c.Since != "" && c.ToHub != "" && c.NATS != "":
		return c.emitAgain(ctx, env)
	}
	return errors.New("want --user and --at, or --since, --to-hub and --nats")
}

// replayed is what a replay prints when it is done.
type replayed struct {
	Emitted    int `json:"emitted"`
	Duplicates int `json:"duplicates"`
	Skipped    int `json:"skipped"`
	// From and To are the first and the last position that were read.
	From notifications.Position `json:"from"`
	To   notifications.Position `json:"to"`
}

// emitAgain emits a window of the log to another hub (see notifications.Repeat).
func (c replayCommand) emitAgain(ctx context.Context, env environment) (err error) {
	switch {
	case c.ToHub == c.Hub:
		return fmt.Errorf("--to-hub: %s is the hub it comes from; everybody would hear everything again", c.ToHub)
	case c.Rate <= 0:
		return errors.New("--rate: want more than 0")
	}
	window := persistence.Window{Hub: c.Hub}
	if window.Since, err = moment(c.Since); err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	if c.Until != "" {
		if window.Until, err = moment(c.Until); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
	}
	conn, err := c.connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	options := persistence.Options{Stream: c.Stream}
	audit, err := persistence.OpenAudit(ctx, conn, options)
	if err != nil {
		return err
	}
	auditing, stop := context.WithCancel(context.WithoutCancel(ctx))
	recorded := make(chan error, 1)
	go func() { recorded <- audit.Run(auditing) }()
	defer func() {
		stop() // what is left is stored before it returns
		err = errors.Join(err, <-recorded)
	}()
	commands := notifications.NewCommands(notifications.CommandsOptions{Log: persistence.NewAppender(conn, nil)})
	var done replayed
	pace := rate.NewLimiter(rate.Limit(c.Rate), max(1, int(c.Rate)))
	err = persistence.ReadWindow(ctx, conn, options, window, func(e *notifications.Entry) error {
		if paced := pace.Wait(ctx); paced != nil {
			return paced
		}
		return c.again(ctx, commands, e, &done)
	})
	audit.Record(notifications.AuditRecord{
		At: time.Now().UTC(), Action: notifications.AuditReplayed, Via: "cli", Hub: c.ToHub,
		Note: fmt.Sprintf("%d events of %s, positions %d to %d", done.Emitted, c.Hub, done.From, done.To),
	})
	return errors.Join(err, json.NewEncoder(env.Stdout).Encode(done))
}

// again emits one event to the other hub, unless there is nothing to repeat.
func (c replayCommand) again(ctx context.Context, commands *notifications.Commands, e *notifications.Entry, done *replayed) error {
	if done.From == 0 {
		done.From = e.Position
	}
	done.To = e.Position
	event, some := notifications.Repeat(e, persistence.EncodeToken(c.ToHub), time.Now())
	if !some {
		done.Skipped++
		return nil
	}
	receipt, err := commands.Emit(ctx, c.ToHub, event)
	switch {
	case err != nil:
		return fmt.Errorf("position %d: %w", e.Position, err)
	case receipt.Duplicate:
		done.Duplicates++
	default:
		done.Emitted++
	}
	return nil
}
