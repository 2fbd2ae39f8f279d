package actors

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// maxTraced bounds the users that are traced at the same time.
const maxTraced = 100

// What is wrong with a user who is to be traced.
var (
	ErrTooManyTraced = fmt.Errorf("%d users are traced already", maxTraced)
	ErrNoUser        = errors.New("an anonymous connection cannot be traced")
)

// traceList are the users whom operators trace, each until some time. Shards
// read it without a lock.
type traceList struct {
	mu    sync.Mutex // one change at a time
	users atomic.Pointer[map[string]time.Time]
}

// load is the list as it is now. It is never changed in place.
func (l *traceList) load() map[string]time.Time {
	if users := l.users.Load(); users != nil {
		return *users
	}
	return nil
}

// change replaces the list by what alter makes of it, without those whose time
// is over.
func (l *traceList) change(now time.Time, alter func(users map[string]time.Time) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := current(l.load(), now)
	if err := alter(users); err != nil {
		return err
	}
	l.users.Store(&users)
	return nil
}

func current(users map[string]time.Time, now time.Time) map[string]time.Time {
	valid := make(map[string]time.Time, len(users)+1)
	maps.Copy(valid, users)
	maps.DeleteFunc(valid, func(_ string, until time.Time) bool { return !now.Before(until) })
	return valid
}

// Trace has the deliveries of every event tell what became of it for the
// connections of a user, until that time: see [Delivery.Details]. Tracing a user
// again changes the time. It never waits, and returns [ErrTooManyTraced] when 100
// others are traced already.
func (s *System) Trace(user string, until time.Time) error {
	if user == "" {
		return ErrNoUser
	}
	err := s.traced.change(s.options.Now(), func(users map[string]time.Time) error {
		if _, known := users[user]; !known && len(users) >= maxTraced {
			return ErrTooManyTraced
		}
		users[user] = until
		return nil
	})
	if err == nil {
		s.retrace(user)
	}
	return err
}

// Untrace ends the tracing of a user, if there is any.
func (s *System) Untrace(user string) {
	_ = s.traced.change(s.options.Now(), func(users map[string]time.Time) error { // which cannot fail
		delete(users, user)
		return nil
	})
	s.retrace(user)
}

// Traced are the users who are traced, each with the time until then.
func (s *System) Traced() map[string]time.Time {
	return current(s.traced.load(), s.options.Now())
}

// retrace is told to the shard of a user when the list has changed.
type retrace struct{}

func (s *System) retrace(user string) {
	if d := s.doorOf(user); d.retracing.CompareAndSwap(false, true) {
		d.post(&retrace{})
	}
}

// retrace marks the persons that are traced, and nobody else.
func (s *shard) retrace() {
	for _, p := range s.traced {
		p.traced = false
	}
	clear(s.traced)
	s.traced = s.traced[:0]
	for user := range s.desk.shared.traced.load() {
		if seat := s.users[user]; seat != nil {
			s.trace(seat.person)
		}
	}
}

// trace marks a person who is traced.
func (s *shard) trace(p *person) {
	if until, listed := s.desk.shared.traced.load()[p.user]; listed && s.desk.now.Before(until) {
		p.traced = true
		s.traced = append(s.traced, p)
	}
}
