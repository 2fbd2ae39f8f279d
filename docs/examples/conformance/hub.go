package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"tidings/connections"
	"tidings/hub"
	"tidings/roles"
)

// The hubs, and the endpoint that sends clients on to the first.
const (
	mainPath     = "/hubs/conformance"
	authPath     = "/hubs/conformance-auth"
	redirectPath = "/hubs/conformance-redirect"

	authHub = "conformance-auth"
)

// The secret of the tokens, which are for tests only.
const tokenSecret = "conformance-secret-key-0123456789abcdef" //nolint:gosec // everybody may know it

// adminOnly is the policy of the authorised hub. Who is let in may call
// everything else.
const adminOnly = `
hubs:
  conformance-auth:
    AdminOnly: [admin]
`

// house is what the program serves.
type house struct {
	mux   *http.ServeMux
	hubs  []*hub.Hub
	doors []*connections.Server
}

// newHouse puts hubs and doors together. Key sets and the like are kept fresh
// until ctx ends.
func newHouse(ctx context.Context, logger *slog.Logger) (*house, error) {
	door := connections.Options{
		Origins:           []string{"https://conformance.example"},
		DisconnectTimeout: 5 * time.Second,
		PollTimeout:       3 * time.Second,
		StatefulReconnect: true,
		Logger:            logger,
	}
	h := &house{mux: http.NewServeMux()}
	options := settings(logger)
	options.Name = "conformance"
	if err := h.add(mainPath, options, door); err != nil {
		return nil, err
	}
	h.mux.Handle(redirectPath+"/negotiate", connections.NewRedirect(door, func(r *http.Request) connections.Redirection {
		return connections.Redirection{URL: "http://" + r.Host + mainPath, AccessToken: "redirect-token"}
	}))

	var err error
	door.Verifier, err = roles.NewVerifier(ctx, roles.Options{
		Issuers: []roles.Issuer{{Secret: []byte(tokenSecret)}}, // whoever has signed with it
		Endless: true,                                          // exp is checked if it is there
		Leeway:  0,                                             // an expired token is expired
	})
	if err != nil {
		return nil, err
	}
	options = settings(logger)
	options.Name = authHub
	options.Methods = members()
	options.CloseOnAuthExpiration = true
	options.Policy, err = roles.ParsePolicy([]byte(adminOnly))
	if err != nil {
		return nil, err
	}
	return h, h.add(authPath, options, door)
}

// settings are those of both hubs. What is written here is small for the sake
// of the tests; the defaults suit a server.
func settings(logger *slog.Logger) hub.Options {
	return hub.Options{
		KeepAlive:           time.Second,
		ClientTimeout:       5 * time.Second,
		HandshakeTimeout:    2 * time.Second,
		MaxMessage:          32768,
		ParallelInvocations: 1,
		StreamBuffer:        10,
		ReconnectBuffer:     100_000,
		DetailedErrors:      false,
		Logger:              logger,
	}
}

// add defines a hub and opens its door at a path. The methods of both hubs are
// added to its own.
func (h *house) add(path string, options hub.Options, door connections.Options) error {
	guests := &guests{}
	options.OnConnected = guests.arrive
	options.OnDisconnected = guests.leave
	all := hub.Methods{}
	for _, some := range []hub.Methods{options.Methods, guests.methods(), values(), failures(), streams(), uploads(), selectors(), identity()} {
		maps.Copy(all, some)
	}
	options.Methods = all
	defined, err := hub.New(options)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	guests.hub = defined
	server := connections.NewServer(defined, door)
	h.mux.Handle(path, server)
	h.mux.Handle(path+"/", server)
	h.hubs = append(h.hubs, defined)
	h.doors = append(h.doors, server)
	return nil
}

// sendAway lets nobody in and closes all connections so that their clients
// come back. Those that do not take it before ctx ends are cut.
func (h *house) sendAway(ctx context.Context) error {
	for _, door := range h.doors {
		door.Refuse()
	}
	var errs []error
	for _, each := range h.hubs {
		errs = append(errs, each.CloseAll(ctx, 0))
	}
	for _, door := range h.doors {
		errs = append(errs, door.Shutdown(ctx))
	}
	if err := errors.Join(errs...); ctx.Err() == nil {
		return err
	}
	return nil // it took too long: they have been cut
}
