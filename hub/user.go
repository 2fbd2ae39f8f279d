package hub

import (
	"context"
	"time"

	"tidings/notifications"
	"tidings/roles"
)

// refresh takes in what has changed about the user between the loading of the
// state and the join: from the join on the connection hears of every change.
func (s *session) refresh(ctx context.Context) error {
	loaded := s.resume.opening.state
	if !s.remembers() {
		return nil
	}
	state, err := s.hub.enter(ctx, s.conn.Principal(), s.resume.name)
	if err != nil {
		return unavailable(err)
	}
	if state.Version == loaded.Version {
		return nil
	}
	return s.hub.system.Restate(ctx, s.conn.Principal().UserID, state)
}

// remembers tells whether anything is kept of the user at all.
func (s *session) remembers() bool {
	return s.hub.o.Durable != nil && s.hub.o.Durable.Inboxes != nil && !s.conn.Principal().Anonymous()
}

// renewed is told that the client has come with a newer token.
func (s *session) renewed(who roles.Principal) {
	if s.hub.o.CloseOnAuthExpiration {
		s.member.Renew(who.Expires)
	}
	s.member.SetRoles(who.Roles, who.IssuedAt)
}

// visit is the connection as it is kept for those who ask later.
func (s *session) visit(ended time.Time, reason string) {
	d := s.hub.o.Durable
	if d == nil || d.Visits == nil || s.conn.Principal().Anonymous() {
		return
	}
	who := s.conn.Principal()
	v := notifications.Visit{
		Hub: s.hub.o.Name, User: who.UserID, Connection: s.conn.ID(), Device: s.resume.name, Node: d.Node,
		Transport: s.conn.Transport(), Roles: who.Roles, Began: s.began, Ended: ended, Reason: reason,
		Epoch: s.head.Epoch, After: s.resume.after, Head: s.head.Last,
		Sent: s.member.Position(), Acknowledged: s.resume.acknowledged(),
	}
	d.Visits.Note(v)
}

// acknowledged is how far the client has acknowledged what it was sent.
func (r *resumption) acknowledged() notifications.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}
