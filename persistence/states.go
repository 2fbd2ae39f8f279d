package persistence

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidings/notifications"
)

// States keeps what users have done and set, in a stream of its own: a message
// per change on the subject of its user, now and then with a snapshot of the
// state. It implements notifications.States; its methods are safe for concurrent
// use.
//
// Every message names the one before it on its subject. A user is read from the
// last message back to the newest snapshot, by these names: to ask the server
// for the next message of a subject was measured to take as long as the messages
// of all other users between.
//
// History is kept as long as the log keeps the events it is about. One snapshot
// a day is a milestone, which names those before it; with it, everything before
// the newest milestone that is older than the log keeps events is purged.
type States struct {
	reader

	o      Options
	bounds Bounds
	cache  *stateCache

	loads, cached, appended, stale, snapshots atomic.Int64
}

// Bounds tells which positions the log still holds. *Log does.
type Bounds interface {
	State() notifications.LogState
}

// StateStats is a look at the states, for gauges.
type StateStats struct {
	// Loads counts what was asked for, Cached how much of that memory answered.
	Loads, Cached int64
	// Appended counts changes, Stale those that came too late, Snapshots those
	// that were stored with one.
	Appended, Stale, Snapshots int64
	// Users is how many are in memory.
	Users int
}

// OpenStates opens the stream of states, which is created if it is missing. The
// log tells what may be forgotten of single notifications; nil = nothing.
// Memory answers Load only while [States.Follow] runs.
func OpenStates(ctx context.Context, n *NATS, o Options, log Bounds) (*States, error) {
	o = o.withDefaults()
	stream, err := n.ensure(ctx, o.stateConfig())
	if err != nil {
		return nil, err
	}
	return &States{reader: reader{n, stream}, o: o, bounds: log, cache: newStateCache(o.StateUsers)}, nil
}

// Stats is a look at the states as they are now.
func (s *States) Stats() StateStats {
	return StateStats{
		Loads: s.loads.Load(), Cached: s.cached.Load(), Appended: s.appended.Load(), Stale: s.stale.Load(),
		Snapshots: s.snapshots.Load(), Users: s.cache.len(),
	}
}

// Load implements notifications.States. What another node has changed in this
// very moment may be missing: Append notices that.
func (s *States) Load(ctx context.Context, hub, user string) (notifications.State, error) {
	if user == "" {
		return notifications.State{}, nil // of nobody nothing is known
	}
	s.loads.Add(1)
	subject := stateSubject(hub, user)
	if f, ok := s.cache.get(subject); ok {
		s.cached.Add(1)
		return f.state, nil
	}
	t := s.cache.begin(subject)
	defer s.cache.end(t)
	f, err := s.read(ctx, hub, user)
	if err != nil {
		return notifications.State{}, fmt.Errorf("load state of %s: %w", user, err)
	}
	s.cache.put(t, f)
	return f.state, nil
}

// readAttempts is how often a state is read that changes while it is read.
const readAttempts = 3

var errChanging = errors.New("it is purged or erased while it is read")

// read folds what is stored of a user.
func (s *States) read(ctx context.Context, hub, user string) (folded, error) {
	for range readAttempts {
		messages, err := s.back(ctx, hub, user, func(m stateMessage) bool { return m.Snapshot != nil })
		if errors.Is(err, errChanging) {
			continue
		}
		var f folded
		for _, m := range slices.Backward(messages) {
			f = f.with(hub, user, m)
		}
		return f, err
	}
	return folded{}, fmt.Errorf("%w: %w", notifications.ErrUnavailable, errChanging)
}

// back reads the messages of a user, newest first, until enough says of one that
// it is enough, or there are no more. The error is [errChanging] when one is
// missing that was there a moment before.
func (s *States) back(ctx context.Context, hub, user string, enough func(stateMessage) bool) ([]stateMessage, error) {
	raw, err := s.last(ctx, stateSubject(hub, user))
	if errors.Is(err, errNoMessage) {
		return nil, nil
	}
	var messages []stateMessage
	for err == nil {
		var m stateMessage
		if m, err = readRawState(raw); err != nil {
			return nil, err
		}
		if messages = append(messages, m); m.after == 0 || enough(m) {
			return messages, nil
		}
		raw, err = s.get(ctx, m.after)
	}
	if !errors.Is(err, errNoMessage) {
		return nil, err
	}
	if messages[len(messages)-1].Snapshot != nil {
		return messages, nil // the rest was purged
	}
	return nil, errChanging
}

// Append implements notifications.States. It repeats an attempt that was not
// answered, until ctx ends or ten seconds have passed; the change is stored once.
func (s *States) Append(ctx context.Context, hub, user string, from notifications.State, c notifications.Change) (notifications.State, error) {
	if err := notifications.ToUser(user).Validate(); err != nil {
		return from, fmt.Errorf("change state: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	t := s.cache.begin(stateSubject(hub, user))
	defer s.cache.end(t)
	f, err := s.change(ctx, hub, user, from, c)
	if errors.Is(err, notifications.ErrStale) {
		s.stale.Add(1)
		s.cache.drop(t.subject) // the follower may not have heard of the other change yet
		return from, err
	}
	if err != nil {
		return from, fmt.Errorf("change state of %s: %w", user, err)
	}
	s.appended.Add(1)
	s.cache.put(t, f)
	return f.state, nil
}

// change stores a change of a state.
func (s *States) change(ctx context.Context, hub, user string, from notifications.State, c notifications.Change) (folded, error) {
	f, err := s.stored(ctx, hub, user, from.Version)
	if err != nil {
		return f, err
	}
	m := stateMessage{stateForm: stateForm{Change: &c}, at: time.Now()}
	horizon := uint64(0)
	if f.due() {
		if horizon, err = s.addSnapshot(ctx, hub, user, f, &m); err != nil {
			return f, err
		}
	}
	subject := stateSubject(hub, user)
	err = s.write(ctx, subject, f.version(), &m)
	if errors.Is(err, nats.ErrMaxPayload) && m.Snapshot != nil {
		m.stateForm, horizon = stateForm{Change: &c}, 0 // a reader has more to read
		err = s.write(ctx, subject, f.version(), &m)
	}
	if err != nil {
		return f, err
	}
	if m.Snapshot != nil {
		s.snapshots.Add(1)
	}
	s.purge(ctx, subject, horizon)
	return f.with(hub, user, m), nil
}

// addSnapshot adds the state after it to a change, without marks of what the log
// no longer holds, and returns the sequence before which nothing is needed any
// more when it is stored; 0 = everything is.
func (s *States) addSnapshot(ctx context.Context, hub, user string, f folded, m *stateMessage) (horizon uint64, err error) {
	state := f.state.Apply(notifications.Changed{Hub: hub, User: user, Version: f.state.Version + 1, Change: *m.Change})
	if s.bounds != nil {
		if log := s.bounds.State(); log.Epoch == state.Epoch {
			state = state.Trim(log.First)
		}
	}
	state.Version = 0 // it is the sequence of the message
	m.Snapshot = &state
	switch {
	case f.milestone.Sequence == 0:
		return 0, nil
	case m.at.Sub(f.milestone.At) < spacing(s.o.MaxAge):
		m.Milestone = &f.milestone
		return 0, nil
	}
	raw, err := s.get(ctx, f.milestone.Sequence)
	if errors.Is(err, errNoMessage) {
		return 0, notifications.ErrStale // it was erased
	}
	if err != nil {
		return 0, fmt.Errorf("milestone: %w", err)
	}
	old, err := readRawState(raw)
	if err != nil {
		return 0, fmt.Errorf("milestone: %w", err)
	}
	m.Chain, horizon = extend(old.Chain, f.milestone, m.at, s.o.MaxAge)
	return horizon, nil
}

// purge deletes what can no longer explain anything. A failure costs only room:
// the next milestone makes up for it.
func (s *States) purge(ctx context.Context, subject string, horizon uint64) {
	if horizon == 0 {
		return
	}
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(horizon)); err != nil {
		s.o.Logger.WarnContext(ctx, "old changes of a state cannot be purged", slog.Any("error", err))
	}
}

// stored is the state of that version, from memory or from the stream. What the
// caller has made of it meanwhile does not count.
func (s *States) stored(ctx context.Context, hub, user string, version notifications.Version) (folded, error) {
	if version == 0 {
		return folded{}, nil
	}
	if f, ok := s.cache.at(stateSubject(hub, user), uint64(version)); ok {
		return f, nil
	}
	f, err := s.read(ctx, hub, user)
	if err == nil && f.state.Version != version {
		err = notifications.ErrStale
	}
	return f, err
}

// write stores a message behind the last one and notes its sequence. The error
// is notifications.ErrStale when that is another one.
//
// Where one server keeps the stream, it looks at the last sequence before it
// looks at the id: a message whose acknowledgement was lost is then refused
// because of itself. Clusters look at the id first.
func (s *States) write(ctx context.Context, subject string, last uint64, m *stateMessage) error {
	data, err := encode(m.stateForm)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(subject)
	msg.Data = data
	m.after, m.size = last, len(data)
	id := rand.Text()
	var repeated bool
	m.sequence, repeated, err = s.nats.publishAfter(ctx, last, msg, jetstream.WithMsgID(id))
	if !errors.Is(err, errLast) {
		return err
	}
	if !repeated {
		return notifications.ErrStale
	}
	m.sequence, err = s.mine(ctx, subject, last, id)
	return err
}

// mine is the sequence of the message behind that one, if it has the id.
func (s *States) mine(ctx context.Context, subject string, last uint64, id string) (uint64, error) {
	for {
		raw, err := s.behind(ctx, subject, last)
		switch {
		case errors.Is(err, errNoMessage):
			return 0, notifications.ErrStale
		case err == nil && raw.Header.Get(nats.MsgIdHdr) != id:
			return 0, notifications.ErrStale
		case err == nil:
			return raw.Sequence, nil
		case !errors.Is(err, notifications.ErrUnavailable):
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(attemptPause):
		}
	}
}

// behind is the message that was stored behind that one.
func (s *States) behind(ctx context.Context, subject string, last uint64) (*jetstream.RawStreamMsg, error) {
	raw, err := s.last(ctx, subject)
	for err == nil {
		var m stateMessage
		if m, err = readRawState(raw); err != nil || m.after == last {
			return raw, err
		}
		if m.after < last {
			return nil, errNoMessage
		}
		raw, err = s.get(ctx, m.after)
	}
	return nil, err
}

// History implements notifications.States.
func (s *States) History(ctx context.Context, hub, user string) (notifications.State, []notifications.Changed, error) {
	if user == "" {
		return notifications.State{}, nil, nil
	}
	messages, err := s.back(ctx, hub, user, func(stateMessage) bool { return false })
	if errors.Is(err, errChanging) {
		err = fmt.Errorf("%w: %w", notifications.ErrUnavailable, err)
	}
	if err != nil {
		return notifications.State{}, nil, fmt.Errorf("history of %s: %w", user, err)
	}
	slices.Reverse(messages)
	var before folded
	if len(messages) > 0 && messages[0].after > 0 { // what was before it is known by its snapshot only
		before = before.with(hub, user, messages[0])
		messages = messages[1:]
	}
	changes := make([]notifications.Changed, len(messages))
	for i, m := range messages {
		changes[i] = m.changed(hub, user)
	}
	return before.state, changes, nil
}
