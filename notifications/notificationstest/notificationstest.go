// Package notificationstest is the kit for testing with what is stored and what
// users have done: a log and a store of states in memory.
package notificationstest

import (
	"context"
	"slices"
	"sync"

	"tidings/notifications"
)

// States keeps states in memory; it implements notifications.States and is safe
// for concurrent use. The zero value is ready for use.
type States struct {
	// Deliver, if it is set before the first Append, is told of every change, one
	// after the other, in order.
	Deliver func(c notifications.Changed)

	telling sync.Mutex // held while Deliver runs

	mu      sync.Mutex // guards all below
	last    notifications.Version
	changes map[owner][]notifications.Changed
	broken  error
}

type owner struct{ hub, user string }

// Break makes every method fail until it is called with nil.
func (s *States) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// Load implements notifications.States.
func (s *States) Load(_ context.Context, hub, user string) (notifications.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fold(owner{hub, user}), s.broken
}

func (s *States) fold(of owner) notifications.State {
	var state notifications.State
	for _, c := range s.changes[of] {
		state = state.Apply(c)
	}
	return state
}

// Append implements notifications.States.
func (s *States) Append(_ context.Context, hub, user string, from notifications.State, c notifications.Change) (notifications.State, error) {
	s.telling.Lock()
	defer s.telling.Unlock()
	changed, state, err := s.append(owner{hub, user}, from, c)
	if err == nil && s.Deliver != nil {
		s.Deliver(changed)
	}
	return state, err
}

func (s *States) append(of owner, from notifications.State, c notifications.Change) (notifications.Changed, notifications.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return notifications.Changed{}, notifications.State{}, s.broken
	}
	if state := s.fold(of); state.Version != from.Version {
		return notifications.Changed{}, notifications.State{}, notifications.ErrStale
	}
	if s.changes == nil {
		s.changes = make(map[owner][]notifications.Changed)
	}
	s.last++
	changed := notifications.Changed{Hub: of.hub, User: of.user, Version: s.last, Change: c}
	s.changes[of] = append(s.changes[of], changed)
	return changed, s.fold(of), nil
}

// History implements notifications.States.
func (s *States) History(_ context.Context, hub, user string) (notifications.State, []notifications.Changed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return notifications.State{}, slices.Clone(s.changes[owner{hub, user}]), s.broken
}

// Erase implements notifications.States.
func (s *States) Erase(_ context.Context, hub, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.changes, owner{hub, user})
	return s.broken
}
