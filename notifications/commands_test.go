package notifications_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidings/notifications"
	"tidings/roles"
)

// recorder is a log that keeps what was appended; it implements
// notifications.Appender.
type recorder struct {
	hubs   []string
	events []notifications.Event
	err    error // what every append is answered with
}

func (r *recorder) Append(_ context.Context, name string, e notifications.Event) (notifications.Receipt, error) {
	if r.err != nil {
		return notifications.Receipt{}, r.err
	}
	r.hubs, r.events = append(r.hubs, name), append(r.events, e)
	return notifications.Receipt{ID: e.ID, Position: notifications.Position(len(r.events))}, nil
}

// newCommands are commands with the clock and the ids of the tests.
func newCommands(o notifications.CommandsOptions) (*notifications.Commands, *recorder) {
	log := &recorder{}
	o.Log = log
	o.Now = func() time.Time { return now }
	o.NewID = newID
	return notifications.NewCommands(o), log
}

var (
	emitter = roles.Principal{UserID: "shop", Roles: []string{"emitter"}}
	admin   = roles.Principal{UserID: "root", Roles: []string{"admin"}}
	ann     = roles.Principal{UserID: "ann"}
)

func TestSendStoresACompleteEvent(t *testing.T) {
	for _, test := range []struct {
		name   string
		caller roles.Principal
		event  notifications.Event
	}{
		{"emitter to a user", emitter, notifications.Event{Recipient: notifications.ToUser("ann"), Title: "x"}},
		{"emitter to a role", emitter, notifications.Event{Recipient: notifications.ToRole("ops")}},
		{"emitter to a group", emitter, notifications.Event{Recipient: notifications.ToGroup("g/1 x")}},
		{"admin to everyone", admin, notifications.Event{Recipient: notifications.ToEveryone()}},
		{"user to oneself", ann, notifications.Event{Recipient: notifications.ToUser("ann")}},
		{"all set", emitter, notifications.Event{
			ID: "e1", Recipient: notifications.ToRole("ops"), Type: "a", Target: "T", Severity: notifications.Critical, MembersAt: notifications.Read,
			CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Millisecond), NotBefore: now, Data: json.RawMessage(`{}`),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCommands(notifications.CommandsOptions{})
			want := test.event
			want.Complete(now, newID)
			want.Emitter, want.NotBefore = test.caller.UserID, time.Time{} // now is at once
			receipt, err := c.Send(t.Context(), notifications.Emitter{Principal: test.caller, Hub: "chat"}, test.event)
			if err != nil || receipt != (notifications.Receipt{ID: want.ID, Position: 1}) {
				t.Fatalf("got %+v, error %v", receipt, err)
			}
			if diff := cmp.Diff([]notifications.Event{want}, log.events); diff != "" || log.hubs[0] != "chat" {
				t.Errorf("appended to %v (-want +got):\n%s", log.hubs, diff)
			}
		})
	}
}

func TestSendAsksThePolicy(t *testing.T) {
	policy, err := roles.ParsePolicy([]byte("emit: {everyone: [herald], group: ['*']}"))
	if err != nil {
		t.Fatal(err)
	}
	herald := roles.Principal{UserID: "harry", Roles: []string{"herald"}}
	for _, test := range []struct {
		name   string
		policy *roles.Policy
		caller roles.Principal
		to     notifications.Recipient
		want   bool
	}{
		{"user to another", nil, ann, notifications.ToUser("bob"), false},
		{"user to oneself in another case", nil, ann, notifications.ToUser("Ann"), false},
		{"user to a role of one's name", nil, ann, notifications.ToRole("ann"), false},
		{"user to a group", nil, ann, notifications.ToGroup("g"), false},
		{"emitter to everyone", nil, emitter, notifications.ToEveryone(), false},
		{"admin to a connection", nil, admin, notifications.Recipient{Kind: notifications.Connection, Key: "c1"}, false},
		{"anonymous", nil, roles.Principal{}, notifications.ToUser("ann"), false},
		{"anonymous with roles", nil, roles.Principal{Roles: []string{"admin"}}, notifications.ToEveryone(), false},
		{"herald to everyone", policy, herald, notifications.ToEveryone(), true},
		{"admin to everyone", policy, admin, notifications.ToEveryone(), false},
		{"user to a group that is open", policy, ann, notifications.ToGroup("g"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCommands(notifications.CommandsOptions{Policy: test.policy})
			_, err := c.Send(t.Context(), notifications.Emitter{Principal: test.caller, Hub: hub}, notifications.Event{Recipient: test.to})
			if test.want {
				if err != nil || len(log.events) != 1 {
					t.Errorf("got error %v and %d events, want one", err, len(log.events))
				}
				return
			}
			text := "not allowed to emit to this recipient: " + string(test.to.Kind)
			if !errors.Is(err, notifications.ErrForbidden) || err.Error() != text || len(log.events) != 0 {
				t.Errorf("got error %v and %d events, want %q", err, len(log.events), text)
			}
		})
	}
}

func TestCommandsStoreNothingThatIsInvalid(t *testing.T) {
	to := notifications.ToUser("ann")
	for _, test := range []struct {
		name  string
		event notifications.Event
		want  string
	}{
		{"nobody", notifications.Event{}, `recipient: recipient "": want user/…, role/…, group/… or everyone`},
		{"user without a name", notifications.Event{Recipient: notifications.ToUser("")}, `recipient: recipient "user/" has no name after the slash`},
		{"long id", notifications.Event{Recipient: to, ID: strings.Repeat("i", 129)}, "id: has 129 bytes, at most 128 are allowed"},
		{"severity", notifications.Event{Recipient: to, Severity: "loud"}, `severity: want info, success, warning or critical, got "loud"`},
		{"link", notifications.Event{Recipient: to, Link: "ftp://x"}, "link: wants http:, https: or a relative link, got ftp:"},
		{"too large", notifications.Event{Recipient: to, Body: strings.Repeat("x", 2000)}, "has 2016 bytes, at most 1024 are allowed"},
		{"scheduled", notifications.Event{Recipient: to, NotBefore: now.Add(time.Millisecond)}, "notBefore: this door cannot schedule; use the HTTP API or a hub"},
		{"expired", notifications.Event{Recipient: to, ExpiresAt: now.Add(-time.Hour)}, "expiresAt: has passed already"},
		{"expires now", notifications.Event{Recipient: to, ExpiresAt: now}, "expiresAt: has passed already"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := newCommands(notifications.CommandsOptions{Limits: notifications.Limits{EventBytes: 1024}})
			_, err := c.Send(t.Context(), notifications.Emitter{Principal: admin, Hub: hub}, test.event)
			if got := refused(t, err); got != test.want {
				t.Errorf("sent: got %q, want %q", got, test.want)
			}
			_, err = c.Emit(t.Context(), hub, test.event)
			if got := refused(t, err); got != test.want {
				t.Errorf("emitted: got %q, want %q", got, test.want)
			}
			if len(log.events) != 0 {
				t.Errorf("appended %+v", log.events)
			}
		})
	}
}

func TestEmitAsksNoPolicy(t *testing.T) {
	c, log := newCommands(notifications.CommandsOptions{})
	want := notifications.Event{Recipient: notifications.ToEveryone(), Title: "x"}
	receipt, err := c.Emit(t.Context(), hub, want)
	want.Complete(now, newID)
	if diff := cmp.Diff([]notifications.Event{want}, log.events); diff != "" || err != nil || receipt.Position != 1 {
		t.Errorf("got %+v, error %v, appended (-want +got):\n%s", receipt, err, diff)
	}
	_, err = c.Emit(t.Context(), hub, notifications.Event{Recipient: notifications.Recipient{Kind: notifications.Connection, Key: "c1"}})
	if got := refused(t, err); !strings.HasPrefix(got, "recipient: a connection hears live messages only") {
		t.Errorf("to a connection: got %q", got)
	}
}

func TestCheckStoresNothing(t *testing.T) {
	c, log := newCommands(notifications.CommandsOptions{})
	want := notifications.Event{Recipient: notifications.ToRole("ops"), Title: "x"}
	got, err := c.Check(notifications.Emitter{Principal: emitter}, want)
	want.Complete(now, newID)
	want.Emitter = "shop"
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(log.events) != 0 {
		t.Errorf("error %v, %d appended, event (-want +got):\n%s", err, len(log.events), diff)
	}
	if receipt, err := c.Append(t.Context(), notifications.Emitter{Hub: hub}, got); err != nil || receipt.Position != 1 || len(log.events) != 1 {
		t.Errorf("append of it: got %+v, error %v, %d appended", receipt, err, len(log.events))
	}
}

func TestErrorOfTheLogReachesTheCaller(t *testing.T) {
	c, log := newCommands(notifications.CommandsOptions{})
	log.err = fmt.Errorf("append: %w", notifications.ErrUnavailable)
	for name, send := range map[string]func() (notifications.Receipt, error){
		"sent": func() (notifications.Receipt, error) {
			return c.Send(t.Context(), notifications.Emitter{Principal: emitter, Hub: hub}, notifications.Event{Recipient: notifications.ToRole("ops")})
		},
		"emitted": func() (notifications.Receipt, error) {
			return c.Emit(t.Context(), hub, notifications.Event{Recipient: notifications.ToRole("ops")})
		},
	} {
		if receipt, err := send(); !errors.Is(err, notifications.ErrUnavailable) || receipt != (notifications.Receipt{}) {
			t.Errorf("%s: got %+v, error %v, want ErrUnavailable", name, receipt, err)
		}
	}
}

func TestCommandsHaveDefaults(t *testing.T) {
	log := &recorder{}
	c := notifications.NewCommands(notifications.CommandsOptions{Log: log})
	before := time.Now().Truncate(time.Millisecond)
	if _, err := c.Send(t.Context(), notifications.Emitter{Principal: ann, Hub: hub}, notifications.Event{Recipient: notifications.ToUser("ann")}); err != nil {
		t.Fatal(err)
	}
	got := log.events[0]
	if got.CreatedAt.Before(before) || got.CreatedAt.After(time.Now()) || c.Now().Before(before) {
		t.Errorf("created at %v, want the time of the clock, %v", got.CreatedAt, before)
	}
	// RFC 9562 §5.7: version 7, variant 10.
	if v7 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`); !v7.MatchString(got.ID) {
		t.Errorf("got id %q, want a UUIDv7", got.ID)
	}
	if _, err := c.Send(t.Context(), notifications.Emitter{Principal: ann, Hub: hub}, notifications.Event{Recipient: notifications.ToUser("bob")}); !errors.Is(err, notifications.ErrForbidden) {
		t.Errorf("got error %v, want the default policy", err)
	}
}

func TestNewIDsSortByTime(t *testing.T) {
	last := ""
	for range 1000 {
		id := notifications.NewID()
		if id <= last {
			t.Fatalf("got id %q after %q", id, last)
		}
		last = id
	}
}
