package main

import (
	"errors"

	"tidings/hub"
)

// failures are methods that fail. The text of a hub.Error is for the client;
// that of any other error stays in the server.
func failures() hub.Methods {
	return hub.Methods{
		"ThrowHubError": func(_ *hub.Context, text string) error { return hub.Error{Text: text} },
		"ThrowSecret":   func(_ *hub.Context, text string) error { return errors.New(text) },
	}
}
