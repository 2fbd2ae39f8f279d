package notifications

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// Catalogue finds the events that are recalled, and Schedules keeps those
	// whose time has not come. nil = neither can be done.
	Catalogue Catalogue
	Schedules Schedules
	// Rates bounds what one emitter may emit. nil = nothing.
	Rates *Rates
	// Audit keeps who emitted what. nil = nobody does.
	Audit Audit
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
	if o.Audit == nil {
		o.Audit = noAudit{}
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

// Emitter is who emits, into which hub and through which door.
type Emitter struct {
	Principal roles.Principal
	Hub       string
	// Via is the door, see [AuditRecord].
	Via string
}

// Send stores an event for its recipient and returns its place. The error is
// [ErrForbidden], an [*InvalidError], a [*RateError], or wraps [ErrUnavailable].
func (c *Commands) Send(ctx context.Context, from Emitter, e Event) (Receipt, error) {
	if err := c.Admit(from, 1); err != nil {
		return Receipt{}, err
	}
	e, err := c.Check(from, e)
	if err != nil {
		return Receipt{}, err
	}
	return c.Append(ctx, from, e)
}

// Emit stores an event for a program that is its own authority: a job, an
// emitter with a connection to the log. No policy is asked; the event is
// completed and checked as by Send.
func (c *Commands) Emit(ctx context.Context, hub string, e Event) (Receipt, error) {
	e, err := c.complete(e)
	if err != nil {
		return Receipt{}, err
	}
	return c.Append(ctx, Emitter{Hub: hub}, e)
}

// Admit takes n events off what the emitter may emit; the error is a
// [*RateError], or an [*InvalidError] for more than may ever come at once.
func (c *Commands) Admit(from Emitter, n int) error {
	err := c.o.Rates.take(from.Principal, n, c.o.Now())
	if err != nil {
		c.record(from, Event{}, AuditRecord{Action: AuditRefused, Reason: err.Error()})
	}
	return err
}

// Check decides and completes an event without storing it, so that a door may
// check all of many before it stores the first.
func (c *Commands) Check(from Emitter, e Event) (Event, error) {
	if err := e.Recipient.Validate(); err != nil {
		return e, invalid("recipient", err.Error())
	}
	if !c.o.Policy.MayEmit(from.Principal, string(e.Recipient.Kind), e.Recipient.Key) {
		err := fmt.Errorf("%w to emit to this recipient: %s", ErrForbidden, e.Recipient.Kind)
		c.record(from, e, AuditRecord{Action: AuditRefused, Reason: err.Error()})
		return e, err
	}
	e.Emitter = from.Principal.UserID
	return c.complete(e)
}

// The bounds of a schedule: how far ahead it may be, and by how much the clocks
// of emitters and servers may differ.
const (
	maxSchedule  = 366 * 24 * time.Hour
	lateSchedule = time.Minute
)

func (c *Commands) complete(e Event) (Event, error) {
	now := c.o.Now()
	e.Complete(now, c.o.NewID)
	if err := c.schedulable(&e, now); err != nil {
		return e, err
	}
	switch {
	case e.Expired(now):
		return e, invalid("expiresAt", "has passed already")
	case len(e.Data) > 0 && !json.Valid(e.Data):
		return e, invalid("data", "is no JSON")
	}
	return e, e.Validate(c.o.Limits)
}

// schedulable checks notBefore. One of a moment ago means at once.
func (c *Commands) schedulable(e *Event, now time.Time) error {
	switch at := e.NotBefore; {
	case at.IsZero():
	case at.Before(now.Add(-lateSchedule)):
		return invalid("notBefore", "has passed already; leave it out to emit at once")
	case !at.After(now):
		e.NotBefore = time.Time{}
	case at.After(now.Add(maxSchedule)):
		return invalid("notBefore", "is more than a year ahead")
	case !e.ExpiresAt.IsZero() && !e.ExpiresAt.After(at):
		return invalid("notBefore", "is not before the event expires")
	case c.o.Schedules == nil:
		return invalid("notBefore", "this door cannot schedule; use the HTTP API or a hub")
	}
	return nil
}

// Append stores an event that Check has passed, now or when its time has come.
func (c *Commands) Append(ctx context.Context, from Emitter, e Event) (Receipt, error) {
	action := AuditEmitted
	appendTo := c.o.Log.Append
	if !e.NotBefore.IsZero() {
		action, appendTo = AuditScheduled, c.o.Schedules.Schedule
	}
	receipt, err := appendTo(ctx, from.Hub, e)
	if err == nil && !receipt.Duplicate {
		c.record(from, e, AuditRecord{Action: action, Position: receipt.Position})
	}
	return receipt, err
}

// AppendAll stores events that Check has passed, in their order, and says what
// became of each. When the log is away, the rest is not tried: that would hold
// the caller up for each.
func (c *Commands) AppendAll(ctx context.Context, from Emitter, events []Event) []Outcome {
	log, able := c.o.Log.(BatchAppender)
	if !able || len(events) < 2 || slices.ContainsFunc(events, func(e Event) bool { return !e.NotBefore.IsZero() }) {
		return c.appendEach(ctx, from, events)
	}
	outcomes := log.AppendAll(ctx, from.Hub, events)
	for i, o := range outcomes {
		if o.Err == nil && !o.Receipt.Duplicate {
			c.record(from, events[i], AuditRecord{Action: AuditEmitted, Position: o.Receipt.Position})
		}
	}
	return outcomes
}

func (c *Commands) appendEach(ctx context.Context, from Emitter, events []Event) []Outcome {
	outcomes := make([]Outcome, len(events))
	var away error
	for i, e := range events {
		if away != nil {
			outcomes[i].Err = away
			continue
		}
		receipt, err := c.Append(ctx, from, e)
		outcomes[i] = Outcome{receipt, err}
		if errors.Is(err, ErrUnavailable) {
			away = err
		}
	}
	return outcomes
}

// record puts on record what became of an event.
func (c *Commands) record(from Emitter, e Event, r AuditRecord) {
	r.At, r.By, r.Issuer, r.Via, r.Hub = c.o.Now().UTC(), from.Principal.UserID, from.Principal.Issuer, from.Via, from.Hub
	r.ID, r.Type = strings.Clone(e.ID), strings.Clone(e.Type) // a record that waits must not keep the whole event
	if e.Recipient.Kind != "" {
		r.Recipient = e.Recipient.String()
	}
	c.o.Audit.Record(r)
}

// Now is the clock of the commands.
func (c *Commands) Now() time.Time { return c.o.Now() }
