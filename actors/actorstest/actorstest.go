// Package actorstest is the kit for testing with the actors of a node: a log
// in memory and sockets that can be stalled.
package actorstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"tidings/notifications"
)

// ErrCut is what a cut socket says.
var ErrCut = errors.New("socket was cut")

// Sink is a socket in memory; it implements actors.Sink.
type Sink struct {
	mu       sync.Mutex
	changed  *sync.Cond
	received bytes.Buffer
	room     int // bytes taken before it blocks; < 0 = all
	cut      bool
	finished string
	writes   int
}

// NewSink returns a socket that takes everything.
func NewSink() *Sink {
	s := &Sink{room: -1}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Stall makes the socket take n more bytes and then block.
func (s *Sink) Stall(n int) { s.set(func() { s.room = n }) }

// Go makes the socket take everything again.
func (s *Sink) Go() { s.set(func() { s.room = -1 }) }

// Cut makes every write fail.
func (s *Sink) Cut() { s.set(func() { s.cut = true }) }

func (s *Sink) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

// Transport implements actors.Sink.
func (s *Sink) Transport() string { return "Memory" }

// Frame implements actors.Sink: records are their own frames.
func (s *Sink) Frame(dst, records []byte) []byte { return append(dst, records...) }

// TryWrite implements actors.Sink.
func (s *Sink) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return 0, ErrCut
	}
	s.writes++
	return s.take(p), nil
}

func (s *Sink) take(p []byte) int {
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	s.received.Write(p[:n])
	s.changed.Broadcast()
	return n
}

// Drain implements actors.Sink.
func (s *Sink) Drain(p []byte, done func(error)) {
	go func() { done(s.drain(p)) }()
}

func (s *Sink) drain(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		p = p[s.take(p):]
		switch {
		case s.cut || s.finished != "":
			return ErrCut
		case len(p) == 0:
			return nil
		}
		s.changed.Wait()
	}
}

// Finish implements actors.Sink.
func (s *Sink) Finish(reason string) { s.set(func() { s.finished = reason }) }

// Finished is the reason the connection was ended for, or empty.
func (s *Sink) Finished() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished
}

// Writes is the number of writes that were tried.
func (s *Sink) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Text is everything received so far.
func (s *Sink) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received.String()
}

// Heard are the notifications received so far, in order.
func (s *Sink) Heard() []notifications.Notification {
	var heard []notifications.Notification
	for record := range bytes.SplitSeq([]byte(s.Text()), []byte{0x1e}) {
		var m struct {
			Type      int
			Arguments []notifications.Notification
		}
		if json.Unmarshal(record, &m) == nil && m.Type == 1 && len(m.Arguments) == 1 && m.Arguments[0].Position > 0 {
			heard = append(heard, m.Arguments[0])
		}
	}
	return heard
}

// Wait returns when ok holds for what was received; the caller's test must
// have a deadline.
func (s *Sink) Wait(ok func(text string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ok(s.received.String()) {
		s.changed.Wait()
	}
}
