package notifications_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tidings/notifications"
)

// repeating is a world with the commands that emit into it.
type repeating struct {
	*world

	commands *notifications.Commands
}

func newRepeating() repeating {
	w := newWorld()
	return repeating{w, notifications.NewCommands(notifications.CommandsOptions{Log: w.log, Audit: w.audit, Now: w.now})}
}

func (r repeating) replay(t *testing.T, a notifications.Asker, s notifications.Stretch) notifications.Repeated {
	t.Helper()
	done, err := r.commands.Replay(t.Context(), a, r.inboxes, s)
	if err != nil {
		t.Fatalf("replay %+v: %v", s, err)
	}
	return done
}

// from is what stands in the log behind a position: "recipient id replayOf".
func (r repeating) from(p notifications.Position) []string {
	all := []string{}
	for p++; p <= r.log.State().Last; p++ {
		e := r.log.Entry(p)
		all = append(all, e.Event.Recipient.String()+" "+e.Event.Title+" "+e.Event.ReplayOf)
	}
	return all
}

// A user has once more what the user may read of a stretch of the log, and
// nobody else does.
func TestReplayIsForOneUser(t *testing.T) {
	r := newRepeating()
	enter(t, r.world, r.as("ann", "ops"))
	put := func(title string, to notifications.Recipient, change func(*notifications.Event)) notifications.Position {
		e := notifications.Event{Title: title, Recipient: to, ID: title}
		if change != nil {
			change(&e)
		}
		return r.put(t, e)
	}
	before := put("before", notifications.ToUser("ann"), nil)
	put("own", notifications.ToUser("ann"), nil)
	put("role", notifications.ToRole("ops"), nil)
	put("bob's", notifications.ToUser("bob"), nil)
	put("another group", notifications.ToGroup("g"), nil)
	put("everyone", notifications.ToEveryone(), nil)
	put("brief", notifications.ToUser("ann"), func(e *notifications.Event) { e.ExpiresAt = r.clock.Add(time.Minute) })
	r.pass(time.Hour)
	last := put("late", notifications.ToUser("ann"), func(e *notifications.Event) {
		e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
	})
	r.audit.take()

	done := r.replay(t, rootFor("ann"), notifications.Stretch{After: before})
	want := []string{
		fmt.Sprintf("user/ann own %s/2", hub), fmt.Sprintf("user/ann role %s/3", hub),
		fmt.Sprintf("user/ann everyone %s/6", hub), fmt.Sprintf("user/ann late %s/8", hub),
	}
	if got := r.from(last); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if done.Emitted != 4 || done.Duplicates != 0 || done.From != 2 || done.To != last || done.More {
		t.Errorf("got %+v", done)
	}
	if e := r.log.Entry(last + 4).Event; e.TraceParent != "" || e.Emitter != "root" || e.ID == "late" {
		t.Errorf("a repetition is an event of its own, got %+v", e)
	}
	records := r.audit.take()
	if got := records[len(records)-1]; got.Action != notifications.AuditReplayed || got.By != "root" || got.User != "ann" {
		t.Errorf("on record: %+v", records)
	}

	// What is a repetition itself is not repeated, and a second time stores
	// nothing twice.
	again := r.replay(t, rootFor("ann"), notifications.Stretch{After: before})
	if again.Emitted != 0 || again.Duplicates != 4 || r.log.State().Last != last+4 {
		t.Errorf("again: got %+v, the log ends at %d", again, r.log.State().Last)
	}
}

func TestReplayOfAStretchOfTime(t *testing.T) {
	r := newRepeating()
	for i := range 5 {
		r.put(t, notifications.Event{Title: fmt.Sprint(i), Recipient: notifications.ToUser("ann")})
		r.pass(time.Minute)
	}
	done := r.replay(t, rootFor("ann"), notifications.Stretch{Since: now.Add(time.Minute), Until: now.Add(3 * time.Minute)})
	if want := []string{"user/ann 1 " + hub + "/2", "user/ann 2 " + hub + "/3"}; !slices.Equal(r.from(5), want) || done.From != 2 || done.To != 3 {
		t.Errorf("got %q, %+v, want %q", r.from(5), done, want)
	}
}

func TestReplayIsBounded(t *testing.T) {
	r := newRepeating()
	r.fill(t, notifications.MaxRepeated+7)
	done := r.replay(t, rootFor("ann"), notifications.Stretch{})
	if !done.More || done.Emitted != notifications.MaxRepeated || done.To != notifications.MaxRepeated {
		t.Fatalf("got %+v", done)
	}
	rest := r.replay(t, rootFor("ann"), notifications.Stretch{After: done.To})
	if rest.More || rest.Emitted != 7 {
		t.Errorf("the rest: got %+v", rest)
	}
}

func TestReplayIsForThoseWhoManage(t *testing.T) {
	r := newRepeating()
	r.fill(t, 2)
	for _, a := range []notifications.Asker{r.as("ann"), {Principal: emitter, Hub: hub, User: "ann"}, {Hub: hub, User: "ann"}} {
		if _, err := r.commands.Replay(t.Context(), a, r.inboxes, notifications.Stretch{}); !errors.Is(err, notifications.ErrForbidden) {
			t.Errorf("%+v: got error %v, want ErrForbidden", a, err)
		}
	}
	r.log.Break(notifications.ErrUnavailable)
	if _, err := r.commands.Replay(t.Context(), rootFor("ann"), r.inboxes, notifications.Stretch{}); !errors.Is(err, notifications.ErrUnavailable) {
		t.Errorf("without a log: got error %v", err)
	}
	if last := r.log.State().Last; last != 2 {
		t.Errorf("the log ends at %d, want 2", last)
	}
}
