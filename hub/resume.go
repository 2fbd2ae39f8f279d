package hub

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"tidings/connections"
	"tidings/notifications"
	"tidings/roles"
)

// resumption is where a connection starts in the log, and what is kept of its
// device.
type resumption struct {
	name    string // of the device, or empty
	after   notifications.Position
	opening *opening // nil once delivery has begun

	mu     sync.Mutex             // guards all below
	device *notifications.Device  // nil without a name
	acked  notifications.Position // by this connection
	duty   duty
}

// opening is what matters until delivery begins.
type opening struct {
	start notifications.Start
	state *notifications.State // the user's
}

// resumption resolves what the client says it has (cursor, device, replay).
func (h *Hub) resumption(ctx context.Context, conn *connections.Conn) (*resumption, error) {
	r := &resumption{opening: &opening{}}
	if h.o.Durable == nil {
		return r, nil
	}
	request, err := notifications.ParseResume(conn.Query())
	if err != nil {
		return nil, refusal(err.Error())
	}
	known, err := h.loadDevice(ctx, r, conn.Principal().UserID, request.Device)
	if err != nil {
		return nil, err
	}
	if _, unreadable := notifications.ParseCursor(request.Cursor); request.Cursor != "" && unreadable != nil {
		h.o.Logger.WarnContext(ctx, "cursor cannot be read", slog.String("connection_id", conn.ID()), slog.Any("error", unreadable))
	}
	reader := h.o.Durable.Reader
	if ahead := func() bool { return request.Ahead(reader.State(), known) }; ahead() {
		h.opening.leave()
		awaitLog(ctx, func() bool { return !ahead() })
		h.opening.enter()
	}
	if r.opening.state, err = h.enter(ctx, conn.Principal(), r.name); err != nil {
		return nil, unavailable(err)
	}
	r.opening.start = request.Resolve(reader, h.o.Name, r.memberships(r.opening.state, conn.Principal()), known)
	r.after = r.opening.start.After
	if r.name != "" {
		// From now on the device has a place, even if it never says a word.
		r.device.Cursor = notifications.CursorAt(reader, r.after)
		h.o.Durable.Devices.Save(h.o.Name, conn.Principal().UserID, r.name, *r.device)
	}
	return r, nil
}

// loadDevice loads what is known of the client's device; nil = nothing.
func (h *Hub) loadDevice(ctx context.Context, r *resumption, user, name string) (*notifications.Device, error) {
	if name == "" || user == "" || h.o.Durable.Devices == nil {
		return nil, nil //nolint:nilnil // nothing is known, which is no error
	}
	device, known, err := h.o.Durable.Devices.Load(ctx, h.o.Name, user, name)
	if err != nil {
		return nil, unavailable(err)
	}
	r.name, r.device = name, &notifications.Device{}
	if !known {
		return nil, nil //nolint:nilnil // nothing is known, which is no error
	}
	*r.device = device
	return &device, nil
}

// How long a node waits for its own follower when a client has been further on
// another node.
const (
	awaitMost = time.Second
	awaitStep = 10 * time.Millisecond
)

// awaitLog gives the follower of this node the time to come to where the
// client has been.
func awaitLog(ctx context.Context, there func() bool) {
	ctx, cancel := context.WithTimeout(ctx, awaitMost)
	defer cancel()
	step := time.NewTicker(awaitStep)
	defer step.Stop()
	for !there() {
		select {
		case <-step.C:
		case <-ctx.Done():
			return
		}
	}
}

// enter loads what is known of a user who connects.
func (h *Hub) enter(ctx context.Context, who roles.Principal, device string) (*notifications.State, error) {
	if h.o.Durable.Inboxes == nil || who.Anonymous() {
		return &notifications.State{}, nil
	}
	s, err := h.o.Durable.Inboxes.Enter(ctx, notifications.Asker{Principal: who, Hub: h.o.Name, Device: device, Via: viaHub})
	return &s, err
}

// memberships are those of a connection whose user has that state; groups that it
// has joined without a device are not known here.
func (r *resumption) memberships(state *notifications.State, who roles.Principal) []notifications.Membership {
	all := state.Memberships(who.UserID, state.Effective(who.Roles, who.IssuedAt), time.Now())
	for name, since := range r.groups() {
		all = append(all, notifications.Membership{Recipient: notifications.ToGroup(name), Since: since})
	}
	return all
}

// groups are those the device is in again.
func (r *resumption) groups() map[string]notifications.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.device == nil {
		return nil
	}
	return maps.Clone(r.device.Groups)
}

// change alters what is kept of the device, if there is one.
func (s *session) change(alter func(d *notifications.Device)) {
	r := s.resume
	if r.name == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	alter(r.device)
	r.device.Name, r.device.Sent = r.name, max(r.device.Sent, s.member.Position())
	s.hub.o.Durable.Devices.Save(s.hub.o.Name, s.conn.Principal().UserID, r.name, *r.device)
}

func (s *session) joinGroup(ctx context.Context, name string) error {
	if err := notifications.ToGroup(name).Validate(); err != nil {
		return Error{Text: err.Error()}
	}
	since := s.since()
	if err := s.member.JoinGroup(ctx, name, since); err != nil {
		return err
	}
	s.change(func(d *notifications.Device) {
		if _, in := d.Groups[name]; !in {
			if d.Groups == nil {
				d.Groups = make(map[string]notifications.Position)
			}
			d.Groups[name] = since
		}
	})
	return nil
}

func (s *session) leaveGroup(ctx context.Context, name string) error {
	if err := s.member.LeaveGroup(ctx, name); err != nil {
		return err
	}
	s.change(func(d *notifications.Device) { delete(d.Groups, name) })
	return nil
}

// ack keeps the cursor of the device. A client without a device keeps its own.
func (s *session) ack(text string) error {
	if s.hub.o.Durable == nil {
		return Error{Text: "this hub has no log"}
	}
	cursor, err := notifications.ParseCursor(text)
	switch {
	case errors.Is(err, notifications.ErrCursor):
		return Error{Text: "Ack wants the cursor of an event"}
	case err != nil:
		return err
	case cursor.Epoch != s.hub.o.Durable.Reader.State().Epoch || cursor.Position > s.member.Position():
		return Error{Text: "Ack of an event that this connection was not given"}
	}
	s.advance(cursor)
	return nil
}

// advance moves the cursor of the device on.
func (s *session) advance(cursor notifications.Cursor) {
	s.noteAck(cursor.Position)
	s.change(func(d *notifications.Device) {
		if cursor.Epoch != d.Cursor.Epoch || cursor.Position > d.Cursor.Position {
			d.Cursor, d.AckedAt = cursor, time.Now().UTC().Truncate(time.Millisecond)
		}
	})
}

// flushTimeout bounds the writing of a device's state when it leaves.
const flushTimeout = 2 * time.Second

func (s *session) flushDevice(ctx context.Context) {
	if s.resume.name == "" {
		return
	}
	s.change(func(*notifications.Device) {}) // how far it was sent
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := s.hub.o.Durable.Devices.Flush(ctx, s.hub.o.Name, s.conn.Principal().UserID, s.resume.name); err != nil {
		s.log().WarnContext(ctx, "device cannot be saved yet", slog.Any("error", err))
	}
}
