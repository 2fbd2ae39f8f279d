package hub

import (
	"encoding/json"
	"maps"
	"time"

	"tidings/notifications"
)

// Notifications is the hub that people's notifications come through. Its
// methods make events through the commands; the events come to everybody, the
// sender included, from the log.
type Notifications struct {
	*Hub

	commands *notifications.Commands
	inboxes  *notifications.Inboxes
}

// NewNotifications adds the methods of the notification hub to the options,
// whose Durable is required. Without inboxes it has no methods about them.
func NewNotifications(o Options, commands *notifications.Commands) (*Notifications, error) {
	n := &Notifications{commands: commands, inboxes: o.Durable.Inboxes}
	o.Name = notifications.DefaultHub
	o.Service = "NotificationHub"
	o.Methods = Methods{
		"SendPersonalNotification": n.sendPersonal,
		"BroadcastToRole":          n.broadcastToRole,
		"BroadcastToGroup":         n.broadcastToGroup,
		"BroadcastToAll":           n.broadcastToAll,
		"SendToSelf":               n.sendToSelf,
		"JoinGroup":                (*Context).JoinGroup,
		"LeaveGroup":               (*Context).LeaveGroup,
		"Ack":                      (*Context).Ack,
		"Recall":                   n.recall,
	}
	if n.inboxes != nil {
		maps.Copy(o.Methods, n.inboxMethods())
	}
	o.OnConnected = func(c *Context) error {
		return c.Clients().Caller().Send(c.Context(), "Connected", c.ConnectionID())
	}
	var err error
	n.Hub, err = New(o)
	return n, err
}

// Message is what a caller sends: an event object, or a string that becomes
// its body.
type Message struct{ event notifications.Event }

// UnmarshalJSON implements json.Unmarshaler. What is wrong with the event is
// told by the method, not here: a binding error would hide it.
func (m *Message) UnmarshalJSON(data []byte) error {
	m.event.Data = append(json.RawMessage(nil), data...)
	return nil
}

// read makes the event. It names no recipient: the method does.
func (m *Message) read() (notifications.Event, error) {
	raw := m.event.Data
	var text string
	if err := json.Unmarshal(raw, &text); err == nil && string(raw) != "null" {
		return notifications.Event{Body: text}, nil
	}
	e, err := notifications.DecodeEvent(raw, time.Now())
	if err == nil && e.Recipient != (notifications.Recipient{}) {
		return e, &notifications.InvalidError{Field: "recipient", Reason: "the method says who it is for"}
	}
	return e, err
}

func (n *Notifications) send(c *Context, to notifications.Recipient, m Message) (notifications.Position, error) {
	e, err := m.read()
	if err != nil {
		return 0, err
	}
	e.Recipient = to
	receipt, err := n.commands.Send(c.Context(), n.emitter(c), e)
	return receipt.Position, err
}

func (n *Notifications) emitter(c *Context) notifications.Emitter {
	return notifications.Emitter{Principal: c.Principal(), Hub: n.Name(), Via: viaHub}
}

func (n *Notifications) sendPersonal(c *Context, userID string, m Message) (notifications.Position, error) {
	return n.send(c, notifications.ToUser(userID), m)
}

func (n *Notifications) broadcastToRole(c *Context, role string, m Message) (notifications.Position, error) {
	return n.send(c, notifications.ToRole(role), m)
}

func (n *Notifications) broadcastToGroup(c *Context, group string, m Message) (notifications.Position, error) {
	return n.send(c, notifications.ToGroup(group), m)
}

func (n *Notifications) broadcastToAll(c *Context, m Message) (notifications.Position, error) {
	return n.send(c, notifications.ToEveryone(), m)
}

func (n *Notifications) sendToSelf(c *Context, m Message) (notifications.Position, error) {
	return n.send(c, notifications.ToUser(c.UserID()), m)
}
