package console

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tidings/hub"
	"tidings/notifications"
	"tidings/roles"
)

// mayAct tells whether somebody may do more than look.
func (c *Console) mayAct(who roles.Principal) bool { return !local(who) && c.o.Policy.MayManage(who) }

// maxWhy bounds the reason of an act, in characters.
const maxWhy = 500

// act is one thing that an operator does.
type act struct {
	action string // of the audit
	hub    string
	user   string
	id     string
	note   string // what else there is to say
	why    string
}

// allow decides on an act, which is put on record either way, before it is done.
func (c *Console) allow(h *hub.Context, a act) error {
	a.why = strings.TrimSpace(a.why)
	if a.why == "" || utf8.RuneCountInString(a.why) > maxWhy {
		return hub.Error{Text: fmt.Sprintf("Say why, in 1 to %d characters: it is put on record.", maxWhy)}
	}
	if c.mayAct(h.Principal()) {
		c.record(h, a, "")
		return nil
	}
	refused := a
	refused.action = notifications.AuditRefused
	refused.note = a.action + " " + a.note
	c.record(h, refused, "the caller may not manage")
	if local(h.Principal()) {
		return hub.Error{Text: "Sign in with the token of somebody who may manage: who acts is put on record."}
	}
	return hub.Error{Text: "You may look and not act: none of your roles may manage (see the policy)."}
}

func (c *Console) record(h *hub.Context, a act, reason string) {
	who := h.Principal()
	c.o.Audit.Record(notifications.AuditRecord{
		At: c.o.Now().UTC(), Action: a.action, By: who.UserID, Issuer: who.Issuer, Via: Via, Hub: cmp.Or(a.hub, notifications.DefaultHub),
		User: a.user, ID: a.id, Reason: reason, Note: strings.TrimSpace(strings.TrimSpace(a.note) + " – " + a.why),
	})
}

// CloseQuestion names a connection to end.
type CloseQuestion struct{ ID, Why string }

// closeConnection ends a connection; its client comes back by itself.
func (c *Console) closeConnection(h *hub.Context, q CloseQuestion) (Nothing, error) {
	of, info, err := c.locate(h.Context(), q.ID)
	if err != nil {
		return Nothing{}, err
	}
	a := act{action: notifications.AuditClosed, hub: of.Name(), user: info.User, note: "connection " + clip(q.ID), why: q.Why}
	if err := c.allow(h, a); err != nil {
		return Nothing{}, err
	}
	return Nothing{}, of.CloseConnection(h.Context(), q.ID)
}

// TraceQuestion names a user whose deliveries are to be traced one by one.
type TraceQuestion struct {
	User    string
	Minutes int
	Why     string
}

// TraceAnswer says until when.
type TraceAnswer struct {
	Until time.Time `json:"until"`
}

// The minutes for which somebody is traced.
const (
	defaultTraced = 15
	maxTraced     = 60
)

func (c *Console) traceUser(h *hub.Context, q TraceQuestion) (TraceAnswer, error) {
	minutes := cmp.Or(q.Minutes, defaultTraced)
	if minutes < 1 || minutes > maxTraced || q.User == "" {
		return TraceAnswer{}, hub.Error{Text: fmt.Sprintf("Want a user, and 1 to %d minutes.", maxTraced)}
	}
	a := act{action: notifications.AuditTraced, user: q.User, note: strconv.Itoa(minutes) + " minutes", why: q.Why}
	if err := c.allow(h, a); err != nil {
		return TraceAnswer{}, err
	}
	until := c.o.Now().Add(time.Duration(minutes) * time.Minute).UTC()
	for _, of := range c.o.Hubs {
		if err := of.Trace(q.User, until); err != nil {
			return TraceAnswer{}, hub.Error{Text: err.Error()}
		}
	}
	return TraceAnswer{until}, nil
}

func (c *Console) untraceUser(h *hub.Context, q TraceQuestion) (Nothing, error) {
	if err := c.allow(h, act{action: notifications.AuditTraced, user: q.User, note: "ended", why: q.Why}); err != nil {
		return Nothing{}, err
	}
	for _, of := range c.o.Hubs {
		of.Untrace(q.User)
	}
	return Nothing{}, nil
}

// ReplayQuestion says what a user is to have once more: what is behind a
// position, or since a moment.
type ReplayQuestion struct {
	User, Hub    string
	After        *notifications.Position // 0 = from the beginning
	Since, Until time.Time
	Why          string
}

func (c *Console) replay(h *hub.Context, q ReplayQuestion) (notifications.Repeated, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return notifications.Repeated{}, err
	}
	stretch := notifications.Stretch{Since: q.Since, Until: q.Until}
	switch {
	case q.After != nil:
		stretch.After = *q.After
	case q.Since.IsZero():
		return notifications.Repeated{}, hub.Error{Text: "Say from where: a position, or a time."}
	}
	a := act{action: notifications.AuditReplayed, hub: of.Name(), user: q.User, note: "begun", why: q.Why}
	if err := c.allow(h, a); err != nil {
		return notifications.Repeated{}, err
	}
	return c.o.Commands.Replay(h.Context(), c.asker(h, of, q.User), c.o.Inboxes, stretch)
}

// ReemitQuestion is a rejected message, put right.
type ReemitQuestion struct {
	Seq   uint64
	Event string
	Why   string
}

// reemit emits what a rejected message should have been. Its subject says whom
// it is for unless the event does.
func (c *Console) reemit(h *hub.Context, q ReemitQuestion) (notifications.Receipt, error) {
	rejected, err := c.o.Log.RejectedAt(h.Context(), q.Seq)
	if err != nil {
		return notifications.Receipt{}, err
	}
	event, err := notifications.DecodeEvent([]byte(q.Event), c.o.Now())
	if err != nil {
		return notifications.Receipt{}, err
	}
	name, to, subjectErr := rejected.For()
	if event.Recipient == (notifications.Recipient{}) {
		if subjectErr != nil {
			return notifications.Receipt{}, hub.Error{Text: "Its subject does not say whom it is for: give it a recipient, such as user/ann."}
		}
		event.Recipient = to
	}
	name = cmp.Or(name, notifications.DefaultHub)
	a := act{
		action: notifications.AuditReplayed, hub: name, id: event.ID, note: fmt.Sprintf("rejected message %d, position %d", q.Seq, rejected.Position), why: q.Why,
	}
	if err := c.allow(h, a); err != nil {
		return notifications.Receipt{}, err
	}
	return c.o.Commands.Send(h.Context(), notifications.Emitter{Principal: h.Principal(), Hub: name, Via: Via}, event)
}

// EraseQuestion names a user, twice, of whom nothing is to be kept.
type EraseQuestion struct{ User, Hub, Confirm, Why string }

// EraseAnswer says how many events were deleted.
type EraseAnswer struct {
	Events int `json:"events"`
}

func (c *Console) erase(h *hub.Context, q EraseQuestion) (EraseAnswer, error) {
	of, err := c.find(q.Hub)
	if err != nil {
		return EraseAnswer{}, err
	}
	if q.User == "" || q.Confirm != q.User {
		return EraseAnswer{}, hub.Error{Text: "Type the id of the user once more: what is erased is gone for good."}
	}
	if err = c.allow(h, act{action: notifications.AuditErased, hub: of.Name(), user: q.User, note: "asked for", why: q.Why}); err != nil {
		return EraseAnswer{}, err
	}
	erased, err := c.o.Archives.Erase(h.Context(), c.asker(h, of, q.User))
	return EraseAnswer{erased.Events}, err
}

// asker is the caller, who asks about a user.
func (c *Console) asker(h *hub.Context, of *hub.Hub, user string) notifications.Asker {
	return notifications.Asker{Principal: h.Principal(), Hub: of.Name(), User: user, Via: Via}
}

// text is what bytes are shown as: themselves, or base64 if they are no text.
func text(data []byte) (shown string, binary bool) {
	if utf8.Valid(data) {
		return string(data), false
	}
	return base64.StdEncoding.EncodeToString(data), true
}
