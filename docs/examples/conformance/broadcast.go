package main

import (
	"context"

	"tidings/hub"
	"tidings/hub/protocol"
)

// selectors are methods that call methods of clients: of the caller, of
// others, of groups and of users. One that asks a client waits for the answer.
func selectors() hub.Methods {
	return hub.Methods{
		"CallMe": func(c *hub.Context, method string, arguments []protocol.Value) error {
			all := make([]any, len(arguments))
			for i, argument := range arguments {
				all[i] = argument
			}
			return c.Clients().Caller().Send(c.Context(), method, all...)
		},
		"JoinGroup":  func(c *hub.Context, name string) error { return c.JoinGroup(name) },
		"LeaveGroup": func(c *hub.Context, name string) error { return c.LeaveGroup(name) },
		"Broadcast": func(c *hub.Context, selector string, names []string, text string) error {
			to, err := selected(c.Clients(), selector, names)
			if err != nil {
				return err
			}
			return to.Send(c.Context(), "Message", text, c.ConnectionID())
		},
		"Ask": func(c *hub.Context, connectionID *string, question string, timeout int32) string {
			to := c.Clients().Caller()
			if connectionID != nil {
				to = c.Clients().Client(*connectionID)
			}
			ctx, cancel := context.WithTimeout(c.Context(), milliseconds(timeout))
			defer cancel()
			answer, err := hub.Invoke[string](ctx, to, "Ask", question)
			if err != nil {
				return "error:" + err.Error()
			}
			return "ok:" + answer
		},
	}
}

// selected are the clients that a selector names. Those of one name only look
// at the first.
func selected(clients hub.CallerClients, selector string, names []string) (hub.Recipients, error) {
	first, rest := "", []string(nil)
	if len(names) > 0 {
		first, rest = names[0], names[1:]
	}
	switch selector {
	case "all":
		return clients.All(), nil
	case "allExcept":
		return clients.AllExcept(names...), nil
	case "caller":
		return clients.Caller(), nil
	case "others":
		return clients.Others(), nil
	case "client":
		return clients.Client(first), nil
	case "clients":
		return clients.Clients(names...), nil
	case "group":
		return clients.Group(first), nil
	case "groups":
		return clients.Groups(names...), nil
	case "groupExcept":
		return clients.GroupExcept(first, rest...), nil
	case "othersInGroup":
		return clients.OthersInGroup(first), nil
	case "user":
		return clients.User(first), nil
	case "users":
		return clients.Users(names...), nil
	default:
		return hub.Recipients{}, hub.Error{Text: "unknown selector " + selector}
	}
}
