package persistence

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"

	"tidings/notifications"
)

// The prefixes of what waits for its time, and of what has come to it.
const (
	scheduledPrefix = "tidings.scheduled."
	duePrefix       = "tidings.due."
)

// Schedules keeps events until their time has come. It implements
// notifications.Schedules; its methods are safe for concurrent use.
//
// One message per hub and id, the place, says what becomes of the event, and is
// only ever replaced by whoever knows the one before: that makes a cancellation
// exact. Another message, the trigger, is a schedule of the server. It fires on
// the due subject and says only that it is time to look at the place. The event
// is not in the trigger, because the server may fire what was deleted a moment
// before: it collects what is due and stores it one after the other.
type Schedules struct {
	reader

	o   Options
	due SchedulesOptions
}

// SchedulesOptions is what [Schedules.Run] needs.
type SchedulesOptions struct {
	// Log is where due events go.
	Log notifications.Appender
	// Held tells whether the log holds an event of that id. It is asked before an
	// event is appended, because the log knows ids for two minutes only. An error
	// says that this node does not know yet. nil = ids that come back are left to
	// the log.
	Held func(ctx context.Context, hub, id string) (bool, error)
	// TakeOver is how long a node may take for one event before another one tries
	// it. Default 15 s; an append may take ten.
	TakeOver time.Duration
}

// OpenSchedules opens the stream of what waits, which is created if it is
// missing.
func OpenSchedules(ctx context.Context, n *NATS, o Options, due SchedulesOptions) (*Schedules, error) {
	o = o.withDefaults()
	stream, err := n.ensure(ctx, o.scheduledConfig())
	if err != nil {
		return nil, err
	}
	due.TakeOver = cmp.Or(due.TakeOver, 15*time.Second)
	return &Schedules{reader: reader{n, stream}, o: o, due: due}, nil
}

// placeState says what becomes of an event.
type placeState string

const (
	waiting  placeState = "waiting"  // until its time has come
	taken    placeState = "taken"    // a node is about to append it, or has done so
	done     placeState = "done"     // it was appended, or has expired before
	canceled placeState = "canceled" // it is never appended
)

// How long a place is kept that only says what has become of its event. That of
// an event is kept until the log would have dropped it.
const (
	doneAge     = duplicates // a second event of the id is told so, as by the log
	canceledAge = time.Minute
)

// place is what is known of a hub and an id.
type place struct {
	State placeState `json:"state"`
	// Nonce names this event among those of the same id, one after the other, or
	// this cancellation.
	Nonce string    `json:"nonce"`
	At    time.Time `json:"at"`
	// Event is there while it waits and while it is taken.
	Event *notifications.Event `json:"event,omitempty"`
	// Position is that of a done event; 0 = it was not appended.
	Position notifications.Position `json:"position,omitempty"`
}

// triggerForm is what a trigger says: which event it was made for.
type triggerForm struct {
	Nonce string `json:"nonce"`
}

func placeSubject(hub, id string) string {
	return scheduledPrefix + EncodeToken(hub) + "." + EncodeToken(id)
}

func triggerSubject(hub, id, nonce string) string { return placeSubject(hub, id) + "." + nonce }

func dueSubject(hub, id string) string { return duePrefix + EncodeToken(hub) + "." + EncodeToken(id) }

// Schedule implements notifications.Schedules. It repeats an attempt that was
// not answered, until ctx ends or ten seconds have passed. After an error that
// wraps notifications.ErrUnavailable the same call may be repeated.
func (s *Schedules) Schedule(ctx context.Context, hub string, e notifications.Event) (notifications.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	if e.TraceParent == "" {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		e.TraceParent, e.TraceState = carrier["traceparent"], carrier["tracestate"]
	}
	mine := place{State: waiting, Nonce: rand.Text(), At: e.NotBefore, Event: &e}
	is, err := s.occupy(ctx, hub, e.ID, mine)
	if err == nil && is.State == waiting {
		// Whoever made a place that waits may have come no further.
		err = s.trigger(ctx, hub, e.ID, is)
	}
	if err != nil {
		return notifications.Receipt{}, fmt.Errorf("schedule %s: %w", e.ID, err)
	}
	return notifications.Receipt{ID: e.ID, Position: is.Position, Duplicate: is.Nonce != mine.Nonce, ScheduledFor: is.At}, nil
}

// occupy puts an event into its place, unless there is one already, and returns
// what is there in the end.
func (s *Schedules) occupy(ctx context.Context, hub, id string, mine place) (place, error) {
	var last uint64
	for {
		_, err := s.set(ctx, hub, id, last, mine)
		if err == nil {
			return mine, nil
		}
		if !errors.Is(err, errLast) {
			return place{}, err
		}
		is, sequence, err := s.at(ctx, hub, id)
		if err != nil {
			return place{}, err
		}
		if sequence > 0 && is.State != canceled {
			return is, nil
		}
		last = sequence
	}
}

// at returns what is known of an id, and the sequence of that; 0 = nothing.
func (s *Schedules) at(ctx context.Context, hub, id string) (place, uint64, error) {
	raw, err := s.last(ctx, placeSubject(hub, id))
	if errors.Is(err, errNoMessage) {
		return place{}, 0, nil
	}
	if err != nil {
		return place{}, 0, err
	}
	var is place
	if err := json.Unmarshal(raw.Data, &is); err != nil {
		return place{}, 0, fmt.Errorf("place at %d: %w", raw.Sequence, err)
	}
	if (is.State == waiting || is.State == taken) && is.Event == nil {
		return place{}, 0, fmt.Errorf("place at %d: no event", raw.Sequence)
	}
	return is, raw.Sequence, nil
}

// set replaces what is known of an id. The error is [errLast] when that is not
// what the caller thought.
func (s *Schedules) set(ctx context.Context, hub, id string, last uint64, to place) (uint64, error) {
	data, err := encode(to)
	if err != nil {
		return 0, err
	}
	msg := nats.NewMsg(placeSubject(hub, id))
	msg.Data = data
	age := max(time.Until(to.At), 0) + s.o.MaxAge
	switch to.State {
	case done:
		age = doneAge
	case canceled:
		age = canceledAge
	default:
	}
	sequence, _, err := s.nats.publishAfter(ctx, last, msg, jetstream.WithMsgTTL(max(age.Round(time.Second), time.Second)))
	return sequence, err
}

// trigger makes the server say when the time of a place has come. It does
// nothing if the server is about to.
func (s *Schedules) trigger(ctx context.Context, hub, id string, of place) error {
	data, err := json.Marshal(triggerForm{of.Nonce})
	if err != nil {
		return err
	}
	msg := nats.NewMsg(triggerSubject(hub, id, of.Nonce))
	msg.Data = data
	// The option of the library cuts the time down to the second, which is early.
	msg.Header.Set(jetstream.ScheduleHeader, "@at "+of.At.UTC().Format(time.RFC3339Nano))
	msg.Header.Set(jetstream.ScheduleTargetHeader, dueSubject(hub, id))
	if _, _, err = s.nats.publishAfter(ctx, 0, msg); errors.Is(err, errLast) {
		return nil
	}
	return err
}

// Scheduled implements notifications.Schedules. An event whose time has come
// waits until the log has it.
func (s *Schedules) Scheduled(ctx context.Context, hub, id string) (notifications.Event, bool, error) {
	is, _, err := s.at(ctx, hub, id)
	if err != nil {
		return notifications.Event{}, false, fmt.Errorf("scheduled %s: %w", id, err)
	}
	if is.Event == nil {
		return notifications.Event{}, false, nil
	}
	return *is.Event, true, nil
}

// Cancel implements notifications.Schedules. After an error nothing is known.
func (s *Schedules) Cancel(ctx context.Context, hub, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	nonce := rand.Text()
	for {
		is, sequence, err := s.at(ctx, hub, id)
		if err != nil {
			return false, fmt.Errorf("cancel %s: %w", id, err)
		}
		if is.State != waiting {
			return is.State == canceled && is.Nonce == nonce, nil
		}
		_, err = s.set(ctx, hub, id, sequence, place{State: canceled, Nonce: nonce, At: is.At})
		if errors.Is(err, errLast) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("cancel %s: %w", id, err)
		}
		// What fires all the same finds out that it was canceled.
		if err = s.stream.Purge(ctx, jetstream.WithPurgeSubject(triggerSubject(hub, id, is.Nonce))); err != nil {
			s.o.Logger.WarnContext(ctx, "trigger of a canceled event cannot be removed", slog.Any("error", err))
		}
		return true, nil
	}
}
