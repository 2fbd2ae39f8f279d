package main

import (
	"time"

	"tidings/hub"
)

// identity are methods that tell who is calling and how, and what is kept with
// the connection.
func identity() hub.Methods {
	return hub.Methods{
		"ConnectionId": func(c *hub.Context) string { return c.ConnectionID() },
		"Transport":    func(c *hub.Context) string { return c.Transport() },
		"PresentedToken": func(c *hub.Context) *string {
			token := c.BearerToken()
			if token == "" {
				return nil
			}
			return &token
		},
		"Remember": func(c *hub.Context, value string) { c.Items().Store("remembered", value) },
		"Recall": func(c *hub.Context) any {
			value, _ := c.Items().Load("remembered")
			return value
		},
		"Sleep": func(c *hub.Context, ms int32) (int32, error) {
			select {
			case <-time.After(milliseconds(ms)):
				return ms, nil
			case <-c.Context().Done(): // nobody is left to wait for
				return 0, c.Context().Err()
			}
		},
	}
}

// members are methods for callers with a token. Who of them may call AdminOnly
// says the policy of the hub.
func members() hub.Methods {
	return hub.Methods{
		"WhoAmI":    func(c *hub.Context) string { return c.UserID() },
		"AdminOnly": func(*hub.Context) string { return "secret" },
	}
}

func milliseconds(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
