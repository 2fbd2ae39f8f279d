package main

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"tidings/hub"
	"tidings/roles"
)

// policy says who may call what; who is let in may call the rest.
const policy = `
hubs:
  chat:
    Announce: [moderator]
`

// newChat defines the hub: what clients may call, and what happens when they
// come and go.
func newChat(logger *slog.Logger) (*hub.Hub, error) {
	mayCall, err := roles.ParsePolicy([]byte(policy))
	if err != nil {
		return nil, err
	}
	r := &rooms{said: make(map[string][]message)}
	return hub.New(hub.Options{
		Name: "chat",
		Methods: hub.Methods{
			"Join": r.join, "Leave": r.leave, "Say": r.say, "Whisper": r.whisper, "Announce": r.announce, "Invite": r.invite,
			"History": r.history, "Countdown": r.countdown, "Dictate": r.dictate, "Shout": r.shout,
		},
		OnConnected:           r.arrive,
		OnDisconnected:        r.depart,
		Filters:               []hub.Filter{slowMode(time.Second)},
		Policy:                mayCall,
		MaxMessage:            16 << 10,
		CloseOnAuthExpiration: true,
		Logger:                logger,
	})
}

// message is what somebody has said, as clients hear it.
type message struct {
	From string    `json:"from"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// rooms are groups of connections, and what was said in them lately.
type rooms struct {
	mu   sync.Mutex // guards said
	said map[string][]message
}

// keptMessages is how many messages of a room are remembered.
const keptMessages = 100

func (r *rooms) keep(room string, m message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := append(r.said[room], m)
	r.said[room] = said[max(0, len(said)-keptMessages):]
}

func (r *rooms) recent(room string) []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said[room])
}

// inRoom is a key among the items of a connection: it is in that room.
type inRoom string

func mustBeIn(c *hub.Context, room string) error {
	if _, in := c.Items().Load(inRoom(room)); !in {
		return hub.Error{Text: "You are not in this room."}
	}
	return nil
}

func (r *rooms) join(c *hub.Context, room string) error {
	if err := c.JoinGroup(room); err != nil {
		return err
	}
	c.Items().Store(inRoom(room), true)
	return c.Clients().OthersInGroup(room).Send(c.Context(), "Joined", room, c.UserID())
}

func (r *rooms) leave(c *hub.Context, room string) error {
	if _, in := c.Items().LoadAndDelete(inRoom(room)); !in {
		return nil
	}
	if err := c.LeaveGroup(room); err != nil {
		return err
	}
	return c.Clients().Group(room).Send(c.Context(), "Left", room, c.UserID())
}

func (r *rooms) say(c *hub.Context, room, text string) (message, error) {
	if err := mustBeIn(c, room); err != nil {
		return message{}, err
	}
	m := message{From: c.UserID(), Text: text, At: time.Now().UTC()}
	r.keep(room, m)
	return m, c.Clients().Group(room).Send(c.Context(), "Said", room, m)
}

func (r *rooms) whisper(c *hub.Context, user, text string) error {
	return c.Clients().User(user).Send(c.Context(), "Whispered", c.UserID(), text)
}

// announce is for moderators: see policy.
func (r *rooms) announce(c *hub.Context, text string) error {
	return c.Clients().All().Send(c.Context(), "Announced", text)
}

// invite asks another client, and waits for its answer.
func (r *rooms) invite(c *hub.Context, connectionID, room string) (bool, error) {
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	return hub.Invoke[bool](
		ctx, c.Clients().Client(connectionID), "Invited", room, c.UserID(),
	)
}

// history is a stream to the client.
func (r *rooms) history(c *hub.Context, room string) (iter.Seq[message], error) {
	if err := mustBeIn(c, room); err != nil {
		return nil, err
	}
	return slices.Values(r.recent(room)), nil
}

// countdown is a stream, too, from a goroutine of its own.
func (r *rooms) countdown(c *hub.Context, from int) <-chan int {
	numbers := make(chan int)
	over := c.Context().Done() // cancelled, or the client is gone
	go func() {
		defer close(numbers)
		tick := time.Tick(time.Second)
		for n := from; n >= 0; n-- {
			select {
			case <-tick:
			case <-over:
				return
			}
			select {
			case numbers <- n:
			case <-over:
				return
			}
		}
	}()
	return numbers
}

// dictate takes a stream of the client.
func (r *rooms) dictate(c *hub.Context, room string, words *hub.Stream[string]) (message, error) {
	var text []string
	for word, err := range words.All() {
		if err != nil {
			return message{}, err
		}
		text = append(text, word)
	}
	return r.say(c, room, strings.Join(text, " "))
}

// shout takes one and returns one, item by item.
func (r *rooms) shout(_ *hub.Context, lines *hub.Stream[string]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line, err := range lines.All() {
			if !yield(strings.ToUpper(line), err) {
				return
			}
		}
	}
}

func (r *rooms) arrive(c *hub.Context) error {
	return c.Clients().Caller().Send(c.Context(), "Welcome", c.ConnectionID())
}

// depart tells the rooms. The error is nil after a clean end.
func (r *rooms) depart(c *hub.Context, _ error) {
	for key := range c.Items().Range {
		if room, is := key.(inRoom); is {
			name := string(room)
			_ = c.Clients().OthersInGroup(name).Send(c.Context(), "Left", name, c.UserID())
		}
	}
}

// slowMode lets a connection say one thing in a while.
func slowMode(pause time.Duration) hub.Filter {
	type lastSaid struct{}
	return hub.Filter{
		Invoke: func(call *hub.Call, next func() (any, error)) (any, error) {
			if call.Method != "Say" {
				return next()
			}
			now := time.Now()
			last, _ := call.Context.Items().Swap(lastSaid{}, now)
			if then, said := last.(time.Time); said && now.Sub(then) < pause {
				return nil, hub.Error{Text: "Not so fast."}
			}
			return next()
		},
	}
}

// remind is a background service: it sends to clients outside of any call.
func remind(ctx context.Context, h *hub.Hub, every time.Duration) error {
	for tick := time.Tick(every); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			if err := h.Clients().All().Send(ctx, "Announced", "Be kind."); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
