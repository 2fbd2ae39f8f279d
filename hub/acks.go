package hub

import (
	"context"
	"maps"
	"slices"
	"time"

	"tidings/notifications"
)

// AckBudget is how long the acknowledgement of an event may take before it is
// late, and how often is looked for those that have not come: what was sent just
// after a look is found to be late within two of them.
const AckBudget = 30 * time.Second

// owedLook bounds how many events are looked at to find out whether one of them
// should have been acknowledged.
const owedLook = 16

// duty is what a client owes that acknowledges what it is sent. It is guarded by
// resumption.mu.
type duty struct {
	// owed is how far the client had been sent the log at the last look, if that
	// was more than it had acknowledged; else 0.
	owed notifications.Position
	// settled is how far nothing is owed, whatever has been acknowledged: what a
	// client is up to date with is not always an event that it was sent.
	settled notifications.Position
	// late says that the client has been counted, until it acknowledges.
	late bool
}

// noteAck takes note of an acknowledgement, and measures it if it is more than
// before.
func (s *session) noteAck(p notifications.Position) {
	r := s.resume
	r.mu.Lock()
	first, more, counted := r.acked == 0, p > r.acked, r.duty.late
	if more {
		r.acked, r.duty.late = p, false
	}
	r.mu.Unlock()
	if !more {
		return
	}
	if first {
		s.hub.awaits(s)
	}
	since, held := s.hub.o.Durable.Reader.StoredAt(p)
	if !held {
		return
	}
	if s.began.After(since) { // nobody could have acknowledged it before
		since = s.began
	}
	took := time.Since(since)
	s.hub.o.Observer.Acknowledged(took)
	switch {
	case counted:
	case took > AckBudget:
		s.hub.o.Observer.Due(1, 1)
	default:
		s.hub.o.Observer.Due(1, 0)
	}
}

// awaits notes that a client acknowledges, so that more is expected of it.
func (h *Hub) awaits(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.conn.ID()] == s {
		h.acking[s] = struct{}{}
	}
}

// awaitAcks looks for clients that do not acknowledge any more, until ctx ends.
// Those that never have are not expected to.
func (h *Hub) awaitAcks(ctx context.Context) error {
	look := time.NewTicker(AckBudget)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if overdue := h.overdue(ctx); overdue > 0 {
				h.o.Observer.Due(overdue, overdue)
			}
		}
	}
}

// overdue counts the clients that owe an acknowledgement and were not counted
// before. It ends early when the log cannot be asked.
func (h *Hub) overdue(ctx context.Context) (clients int) {
	h.mu.Lock()
	acking := slices.AppendSeq(make([]*session, 0, len(h.acking)), maps.Keys(h.acking))
	h.mu.Unlock()
	for _, s := range acking {
		late, err := s.overdue(ctx)
		if err != nil {
			return clients
		}
		if late {
			clients++
		}
	}
	return clients
}

// overdue tells whether the client has been given an event before the last look
// that it has not acknowledged yet.
func (s *session) overdue(ctx context.Context) (bool, error) {
	sent := s.member.Position()
	after, upTo := s.resume.claim(sent)
	if upTo == 0 {
		return false, nil
	}
	owes, err := s.owes(ctx, after, upTo)
	if err != nil {
		return false, err
	}
	if owes {
		return s.resume.accuse(upTo), nil
	}
	s.resume.excuse(upTo, sent)
	return false, nil
}

// claim is what may be overdue – what lies behind after, up to and with upTo – or
// nothing. What has been sent since the last look is owed from now on.
func (r *resumption) claim(sent notifications.Position) (after, upTo notifications.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, done := &r.duty, max(r.acked, r.duty.settled)
	switch {
	case d.late:
		return 0, 0
	case d.owed > done:
		return done, d.owed
	case sent > done:
		d.owed = sent
	default:
		d.owed = 0
	}
	return 0, 0
}

// accuse tells whether what is owed up to there has still not come, and counts the
// client as late then.
func (r *resumption) accuse(upTo notifications.Position) (late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.duty.late = r.acked < upTo
	return r.duty.late
}

// excuse says that nothing was owed up to there. What has been sent since is owed
// from now on.
func (r *resumption) excuse(upTo, sent notifications.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.duty.settled, r.duty.owed = upTo, 0
	if sent > upTo {
		r.duty.owed = sent
	}
}

// owes tells whether the log has an event between two positions that the client
// was to be shown: a position alone does not say so, because a connection is also
// past what is not for it, and what its user has muted.
func (s *session) owes(ctx context.Context, after, upTo notifications.Position) (bool, error) {
	who := s.conn.Principal()
	state, err := s.hub.enter(ctx, who, s.resume.name)
	if err != nil {
		return false, err
	}
	page, err := s.hub.o.Durable.Reader.Read(ctx, notifications.Query{
		Hub: s.hub.o.Name, After: after, Memberships: s.resume.memberships(state, who), Limit: owedLook,
	})
	for _, e := range page.Entries {
		if e.Position > upTo {
			break
		}
		if state.Preferences.Silences(&e.Event, e.Stored) == "" {
			return true, err
		}
	}
	return false, err
}
