package notifications

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Repeat is an entry as it is emitted once more. Its id is made of the place of
// the entry and of a key that says where it goes, at most 64 bytes, so that a
// repetition that is repeated within the de-duplication window is stored once;
// it says which event it repeats. false = there is nothing to repeat: it has
// expired, or it is a recall, and the event it takes back has another id there.
func Repeat(e *Entry, key string, now time.Time) (Event, bool) {
	event := e.Event
	if event.Expired(now) || event.Recalls != "" {
		return Event{}, false
	}
	event.ID = fmt.Sprintf("replay-%s-%d-%d", key, e.Stored.UnixMilli(), e.Position)
	event.ReplayOf = fmt.Sprintf("%s/%d", e.Hub, e.Position)
	event.NotBefore = time.Time{}
	return event, true
}

// Stretch is a part of the log: what was stored from Since on and is after After,
// and before Until; zero = from its beginning, up to its end.
type Stretch struct {
	After        Position
	Since, Until time.Time
}

// MaxRepeated bounds the events that one call emits again.
const MaxRepeated = 1000

// Repeated is what became of a stretch that was emitted again.
type Repeated struct {
	Emitted    int `json:"emitted"`
	Duplicates int `json:"duplicates"`
	Skipped    int `json:"skipped"`
	// From and To are the first and the last position that were read; More says
	// that MaxRepeated was reached and the stretch goes on behind To.
	From Position `json:"from"`
	To   Position `json:"to"`
	More bool     `json:"more"`
}

// repeatedKey says whom a repetition is for, in the ids of its events.
func repeatedKey(hub, user string) string {
	sum := sha256.Sum256([]byte(hub + "\x00" + user))
	return hex.EncodeToString(sum[:6])
}

// Replay lets the asker's user have once more what the user may read of a stretch
// of the log: it is emitted again, to that user alone, by whoever asks. Other
// users and positions that were handed out are left alone. What is itself a
// repetition is skipped, and so are expired events and recalls. When it fails
// half-way, Repeated says how far it came.
func (c *Commands) Replay(ctx context.Context, a Asker, inboxes *Inboxes, s Stretch) (Repeated, error) {
	if err := inboxes.manage(a); err != nil {
		return Repeated{}, err
	}
	log := inboxes.o.Log
	if err := log.Await(ctx); err != nil {
		return Repeated{}, err
	}
	state, err := inboxes.load(ctx, a)
	if err != nil {
		return Repeated{}, err
	}
	r := repetition{
		commands: c, from: Emitter{Principal: a.Principal, Hub: a.Hub, Via: a.Via}, to: ToUser(a.user()),
		key: repeatedKey(a.Hub, a.user()), end: log.State().Last,
	}
	q := Query{Hub: a.Hub, After: s.begin(log), Memberships: inboxes.memberships(a, &state)}
	if !s.Until.IsZero() {
		r.end = min(r.end, log.Before(s.Until))
	}
	for q.After < r.end && !r.done.More {
		page, err := log.Read(ctx, q)
		if err != nil {
			return r.done, err
		}
		if err := r.page(ctx, page); err != nil {
			return r.done, err
		}
		q.After = page.UpTo
	}
	inboxes.record(a, AuditRecord{
		Action: AuditReplayed, Note: fmt.Sprintf("%d events, positions %d to %d", r.done.Emitted, r.done.From, r.done.To),
	})
	return r.done, nil
}

// begin is the position behind which a stretch begins.
func (s Stretch) begin(log Library) Position {
	if s.Since.IsZero() {
		return s.After
	}
	return max(s.After, log.Before(s.Since))
}

// repetition is a replay that is under way.
type repetition struct {
	commands *Commands
	from     Emitter
	to       Recipient
	key      string
	// end is the last position of the stretch: what is emitted meanwhile is not
	// a part of it.
	end  Position
	done Repeated
}

func (r *repetition) page(ctx context.Context, p Page) error {
	for _, e := range p.Entries {
		if e.Position > r.end {
			return nil
		}
		if r.done.Emitted+r.done.Duplicates == MaxRepeated {
			r.done.More = true
			return nil
		}
		if err := r.entry(ctx, e); err != nil {
			return fmt.Errorf("position %d: %w", e.Position, err)
		}
		if r.done.From == 0 {
			r.done.From = e.Position
		}
		r.done.To = e.Position
	}
	return nil
}

func (r *repetition) entry(ctx context.Context, e *Entry) error {
	event, some := Repeat(e, r.key, r.commands.Now())
	if !some || e.Event.ReplayOf != "" {
		r.done.Skipped++
		return nil
	}
	event.Recipient, event.MembersAt, event.Emitter = r.to, Emit, r.from.Principal.UserID
	event.TraceParent, event.TraceState = "", "" // the trace of the one who repeats it
	receipt, err := r.commands.Append(ctx, r.from, event)
	switch {
	case err != nil:
		return err
	case receipt.Duplicate:
		r.done.Duplicates++
	default:
		r.done.Emitted++
	}
	return nil
}
