package notifications

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tidings/roles"
)

// Commands is the only maker of events: it decides whether a caller may emit,
// completes and checks the event and appends it. All doors use it.
type Commands struct{ o CommandsOptions }

// CommandsOptions is what Commands needs.
type CommandsOptions struct {
	// Log is where events go. Required.
	Log Appender
	// Policy decides who may emit. Default roles.DefaultPolicy.
	Policy *roles.Policy
	Limits Limits
	// Now is the clock, NewID makes the id of an event that has none. Default
	// time.Now and UUIDv7 (RFC 9562).
	Now   func() time.Time
	NewID func() string
}

// NewCommands makes the commands of a node.
func NewCommands(o CommandsOptions) *Commands {
	if o.Policy == nil {
		o.Policy = roles.DefaultPolicy()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = NewID
	}
	return &Commands{o}
}

// NewID makes an id that sorts by time and cannot be guessed: whoever guesses
// an id could suppress its event, because ids are de-duplicated.
func NewID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString() // crypto/rand does not fail, so neither does this
	}
	return id.String()
}

// Send stores an event for its recipient and returns its place. The error is
// [ErrForbidden], an [*InvalidError], or wraps [ErrUnavailable].
func (c *Commands) Send(ctx context.Context, caller roles.Principal, hub string, e Event) (Receipt, error) {
	e, err := c.Check(caller, e)
	if err != nil {
		return Receipt{}, err
	}
	return c.Append(ctx, hub, e)
}

// Emit stores an event for a program that is its own authority: a job, an
// emitter with a connection to the log. No policy is asked; the event is
// completed and checked as by Send.
func (c *Commands) Emit(ctx context.Context, hub string, e Event) (Receipt, error) {
	e, err := c.complete(e)
	if err != nil {
		return Receipt{}, err
	}
	return c.Append(ctx, hub, e)
}

// Check decides and completes an event without storing it, so that a door may
// check all of many before it stores the first.
func (c *Commands) Check(caller roles.Principal, e Event) (Event, error) {
	if err := e.Recipient.Validate(); err != nil {
		return e, invalid("recipient", err.Error())
	}
	if !c.o.Policy.MayEmit(caller, string(e.Recipient.Kind), e.Recipient.Key) {
		return e, fmt.Errorf("%w: %s", ErrForbidden, e.Recipient.Kind)
	}
	return c.complete(e)
}

func (c *Commands) complete(e Event) (Event, error) {
	now := c.o.Now()
	e.Complete(now, c.o.NewID)
	switch {
	case e.NotBefore.After(now):
		return e, invalid("notBefore", "scheduled delivery is not available in this version")
	case e.Expired(now):
		return e, invalid("expiresAt", "has passed already")
	case len(e.Data) > 0 && !json.Valid(e.Data):
		return e, invalid("data", "is no JSON")
	}
	return e, e.Validate(c.o.Limits)
}

// Append stores an event that Check has passed.
func (c *Commands) Append(ctx context.Context, hub string, e Event) (Receipt, error) {
	return c.o.Log.Append(ctx, hub, e)
}

// Now is the clock of the commands.
func (c *Commands) Now() time.Time { return c.o.Now() }
