package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tidings/hub"
)

// guests are the connections of one hub: those that are here, and what became
// of those that were. Nobody is forgotten, for the tests ask; a server would.
type guests struct {
	hub    *hub.Hub
	states sync.Map // connection id → state
}

// The states of a connection.
const (
	stateConnected = "connected"
	stateClosed    = "closed"
	stateFailed    = "failed"
	stateUnknown   = "unknown"
	stateTwice     = "disconnected twice" // which never happens
)

// guest is what is kept with one connection, across its calls and its sockets.
type guest struct {
	ctx       context.Context //nolint:containedctx // it is the connection's, for work behind its calls
	leave     context.CancelFunc
	cancelled atomic.Int32 // EndlessTicks that have ended

	mu       sync.Mutex // guards recorded
	recorded []int32
}

// guestKey finds the guest among the items of its connection.
type guestKey struct{}

func guestOf(c *hub.Context) *guest {
	found, _ := c.Items().Load(guestKey{})
	g, _ := found.(*guest)
	return g // every connection has one: see arrive
}

// arrive runs before any message of a new connection is handled.
func (g *guests) arrive(c *hub.Context) error {
	ctx, leave := context.WithCancel(context.WithoutCancel(c.Context()))
	c.Items().Store(guestKey{}, &guest{ctx: ctx, leave: leave, recorded: []int32{}})
	g.states.Store(c.ConnectionID(), stateConnected)
	return c.Clients().Caller().Send(c.Context(), "Welcome", c.ConnectionID())
}

// leave runs once when it is over; err is nil after a clean end.
func (g *guests) leave(c *hub.Context, err error) {
	guestOf(c).leave()
	state := stateClosed
	if err != nil {
		state = stateFailed
	}
	if !g.states.CompareAndSwap(c.ConnectionID(), stateConnected, state) {
		g.states.Store(c.ConnectionID(), stateTwice)
	}
}

// methods are those about the life of a connection and what it keeps.
func (g *guests) methods() hub.Methods {
	return hub.Methods{
		"ConnectionState": func(_ *hub.Context, id string) any {
			if state, known := g.states.Load(id); known {
				return state
			}
			return stateUnknown
		},
		"AbortMe": func(c *hub.Context) error { return c.Abort() },
		"CloseMe": func(c *hub.Context, text *string, allowReconnect bool) error {
			goodbye := hub.Close{AllowReconnect: allowReconnect}
			if text != nil {
				goodbye.Error = *text
			}
			return c.Close(goodbye)
		},
		"Record": func(c *hub.Context, n int32) { guestOf(c).record(n) },
		"Recorded": func(c *hub.Context) []int32 {
			own := guestOf(c)
			own.mu.Lock()
			defer own.mu.Unlock()
			return slices.Clone(own.recorded)
		},
		"StartTicks": func(c *hub.Context, count, interval int32) {
			go g.tick(guestOf(c).ctx, c.ConnectionID(), count, milliseconds(interval))
		},
	}
}

func (g *guest) record(n int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recorded = append(g.recorded, n)
}

// tick calls a client outside of any call: its hub knows it by its id. It ends
// with the connection.
func (g *guests) tick(ctx context.Context, id string, n int32, interval time.Duration) {
	for i := range count(ctx, n, interval) {
		if err := g.hub.Clients().Client(id).Send(ctx, "Tick", i); err != nil {
			return // the connection is gone, or the hub
		}
	}
}
