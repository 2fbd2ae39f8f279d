package persistence

import (
	"container/list"
	"sync"
)

// stateCache keeps the states of the users that were asked for last. It is of
// use only while a follower tells it every change: see attach. It is safe for
// concurrent use.
//
// A state that is read from the server may be old by the time it is put here,
// and the follower may have heard the change that makes it old, for a user of
// whom nothing was cached. So every reader takes a ticket before it reads, and
// what it brings is kept only if nothing newer was heard since.
type stateCache struct {
	limit int // of users

	mu sync.Mutex // guards all below
	// attached says that the follower tells of every change after the sequence
	// heard. What is cached is the truth as soon as that has come to known, the
	// newest sequence the stream was seen to have.
	attached     bool
	heard, known uint64
	turn         uint64                   // grows when tickets become worthless
	entries      map[string]*list.Element // of *cachedState, by subject
	order        *list.List               // the one used last in front
	reading      map[string]*ticketed
}

type cachedState struct {
	folded

	subject string
}

// ticketed is what was heard of a user while somebody reads.
type ticketed struct {
	tickets int
	heard   uint64 // sequence of the newest message
	erased  bool
}

// ticket is the right to put a state into the cache.
type ticket struct {
	subject string
	turn    uint64
	*ticketed
}

func newStateCache(limit int) *stateCache {
	return &stateCache{limit: limit, entries: make(map[string]*list.Element), order: list.New(), reading: make(map[string]*ticketed)}
}

// attach says that every change after the sequence heard will be told; the
// stream ends at known.
func (c *stateCache) attach(heard, known uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	c.attached, c.heard, c.known = true, heard, known
}

// position is the sequence up to which everything was heard.
func (c *stateCache) position() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// reach says where the stream ends now.
func (c *stateCache) reach(known uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = max(c.known, known)
}

// detach forgets everything: changes, and what was erased, are no longer told.
func (c *stateCache) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	c.attached = false
}

func (c *stateCache) forget() {
	clear(c.entries)
	c.order.Init()
	c.turn++
}

// get returns the state of a subject if it is known to be the newest.
func (c *stateCache) get(subject string) (folded, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[subject]
	if !ok || !c.attached || c.heard < c.known {
		return folded{}, false
	}
	c.order.MoveToFront(e)
	return entryOf(e).folded, true
}

// at returns the state of a subject if it is of that version, newest or not.
func (c *stateCache) at(subject string, version uint64) (folded, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[subject]
	if !ok || entryOf(e).version() != version {
		return folded{}, false
	}
	return entryOf(e).folded, true
}

func entryOf(e *list.Element) *cachedState {
	return e.Value.(*cachedState) //nolint:forcetypeassert // nothing else is put there
}

// begin is called before a state is read or changed; end must follow.
func (c *stateCache) begin(subject string) ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := ticket{subject, c.turn, c.reading[subject]}
	if t.ticketed == nil {
		t.ticketed = &ticketed{}
		c.reading[subject] = t.ticketed
	}
	t.tickets++
	return t
}

func (c *stateCache) end(t ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.tickets--; t.tickets == 0 {
		delete(c.reading, t.subject)
	}
}

// put keeps a state, unless something newer is known.
func (c *stateCache) put(t ticket, f folded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.attached || t.turn != c.turn || t.erased || t.heard > f.version() {
		return
	}
	if e, ok := c.entries[t.subject]; ok {
		if entryOf(e).version() < f.version() {
			entryOf(e).folded = f
		}
		c.order.MoveToFront(e)
		return
	}
	c.entries[t.subject] = c.order.PushFront(&cachedState{f, t.subject})
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.entries, entryOf(oldest).subject)
	}
}

// hear takes in the next message of the stream. A message that does not follow
// what is cached is not folded into it: the user is read anew.
func (c *stateCache) hear(subject, hub, user string, m stateMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = m.sequence
	if r, ok := c.reading[subject]; ok {
		r.heard = m.sequence
	}
	e, ok := c.entries[subject]
	switch {
	case !ok || entryOf(e).version() >= m.sequence: // unknown, or our own change
	case entryOf(e).version() != m.after:
		c.remove(e)
	default:
		entryOf(e).folded = entryOf(e).with(hub, user, m)
	}
}

// skip is hear for a message that cannot be read: the user is read anew.
func (c *stateCache) skip(subject string, sequence uint64) {
	c.drop(subject)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = sequence
}

// drop forgets one user: what is known of it is no longer true.
func (c *stateCache) drop(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.reading[subject]; ok {
		r.erased = true
	}
	if e, ok := c.entries[subject]; ok {
		c.remove(e)
	}
}

func (c *stateCache) remove(e *list.Element) {
	c.order.Remove(e)
	delete(c.entries, entryOf(e).subject)
}

func (c *stateCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
