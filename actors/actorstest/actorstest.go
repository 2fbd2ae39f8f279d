// Package actorstest is the kit for testing with the actors of a node: a log
// in memory and sockets that can be stalled.
package actorstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tidings/notifications"
)

// Epoch is the epoch of every [Log].
const Epoch = 7

// Log is a log in memory; it implements notifications.Reader and is safe for
// concurrent use.
type Log struct {
	mu      sync.Mutex
	entries []*notifications.Entry // of position 1, 2, 3 …
	dropped notifications.Position // how many of them the log no longer has
	broken  error
}

// Append stores an event and returns its entry.
func (l *Log) Append(hub string, e notifications.Event) *notifications.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	position := notifications.Position(len(l.entries) + 1)
	e.ID = fmt.Sprintf("e%d", position)
	if e.Target == "" {
		e.Target = notifications.DefaultTarget
	}
	entry := &notifications.Entry{Position: position, Hub: hub, Event: e, Stored: time.UnixMilli(int64(position)).UTC()}
	l.entries = append(l.entries, entry)
	return entry
}

// Drop makes the log forget all entries up to a position, as retention does.
func (l *Log) Drop(upTo notifications.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = upTo
}

// Break makes Read fail until it is called with nil.
func (l *Log) Break(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
}

// Read implements notifications.Reader.
func (l *Log) Read(_ context.Context, q notifications.Query) (notifications.Page, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return notifications.Page{}, l.broken
	}
	page := notifications.Page{UpTo: notifications.Position(len(l.entries)), First: l.dropped + 1}
	for _, p := range q.Exact {
		if p > l.dropped {
			page.Entries = append(page.Entries, l.entries[p-1])
		}
	}
	if q.Exact != nil {
		return page, nil
	}
	for _, e := range l.entries[min(int(max(q.After, l.dropped)), len(l.entries)):] {
		if e.Hub != q.Hub || !slices.ContainsFunc(q.Memberships, func(m notifications.Membership) bool {
			return m.Recipient == e.Event.Recipient && e.Position > m.Since
		}) {
			continue
		}
		page.Entries = append(page.Entries, e)
		if len(page.Entries) == q.Limit {
			page.UpTo = e.Position
			break
		}
	}
	return page, nil
}

// State implements notifications.Reader.
func (l *Log) State() notifications.LogState {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := notifications.Position(len(l.entries))
	return notifications.LogState{Epoch: Epoch, First: l.dropped + 1, Last: last, End: last}
}

// Before implements notifications.Reader.
func (l *Log) Before(t time.Time) notifications.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := slices.BinarySearchFunc(l.entries, t, func(e *notifications.Entry, t time.Time) int { return e.Stored.Compare(t) })
	return notifications.Position(n)
}

// Recent implements notifications.Reader.
func (l *Log) Recent(hub string, memberships []notifications.Membership, n int) (notifications.Position, int) {
	page, err := l.Read(context.Background(), notifications.Query{Hub: hub, Memberships: memberships, Limit: -1})
	if err != nil || len(page.Entries) == 0 {
		return l.State().Last, 0
	}
	n = min(n, len(page.Entries))
	return page.Entries[len(page.Entries)-n].Position - 1, n
}

// StoredAt implements notifications.Reader.
func (l *Log) StoredAt(p notifications.Position) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p <= l.dropped || int(p) > len(l.entries) {
		return time.Time{}, false
	}
	return l.entries[p-1].Stored, true
}

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
