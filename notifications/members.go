package notifications

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The bounds of what is kept of one user.
const (
	maxDurableGroups = 1000
	maxTerm          = 10 * 365 * 24 * time.Hour
)

var errTTL = unfit("ttl", "want 1 to 315360000 seconds, which are ten years")

// Seconds is a time to live that somebody wrote as a number of seconds.
func Seconds(n float64) (time.Duration, error) {
	if !(n >= 1 && n <= maxTerm.Seconds()) { // not a number, too
		return 0, errTTL
	}
	return time.Duration(n * float64(time.Second)), nil
}

// AddMember makes a user a durable member of a group, for ttl; 0 = until removed.
// A member that is one already stays one since then, and the end is set anew. A
// user is in 1,000 groups at most; memberships that have ended make room.
func (b *Inboxes) AddMember(ctx context.Context, a Asker, group string, ttl time.Duration) (State, error) {
	if err := b.manage(a); err != nil {
		return State{}, err
	}
	if err := ToGroup(group).Validate(); err != nil {
		return State{}, unfit("group", err.Error())
	}
	if ttl != 0 && (ttl < time.Second || ttl > maxTerm) {
		return State{}, errTTL
	}
	// Since counts from the end of the log, not from what this node has read.
	if err := b.o.Log.Await(ctx); err != nil {
		return State{}, err
	}
	for {
		s, err := b.change(ctx, a, func(s *State) (Change, error) { return b.admission(s, group, ttl) })
		if err != nil {
			return s, err
		}
		if _, member := s.Groups[group]; member { // else there is one less that has ended
			b.record(a, AuditRecord{Action: AuditMember, Recipient: ToGroup(group).String(), Note: "added"})
			return s, nil
		}
	}
}

// admission is the change that makes a member, or that makes room for one.
func (b *Inboxes) admission(s *State, group string, ttl time.Duration) (Change, error) {
	now := b.o.Now()
	c := Change{Kind: ChangeJoined, Group: group, Since: b.o.Log.State().Last}
	if ttl > 0 {
		c.Until = now.Add(ttl).UTC().Truncate(time.Millisecond)
	}
	term, known := s.Groups[group]
	switch {
	case known && !term.Over(now):
		c.Since = term.Since
		if term.Until.Equal(c.Until) {
			return Change{}, errNoChange
		}
	case !known && len(s.Groups) >= maxDurableGroups:
		for name, other := range s.Groups {
			if other.Over(now) {
				return Change{Kind: ChangeLeft, Group: name}, nil
			}
		}
		return Change{}, unfit("group", fmt.Sprintf("the user is in %d groups, which is as many as may be", len(s.Groups)))
	}
	return c, nil
}

// RemoveMember ends a durable membership, if there is one.
func (b *Inboxes) RemoveMember(ctx context.Context, a Asker, group string) (State, error) {
	if err := b.manage(a); err != nil {
		return State{}, err
	}
	if err := ToGroup(group).Validate(); err != nil {
		return State{}, unfit("group", err.Error())
	}
	s, err := b.change(ctx, a, func(s *State) (Change, error) {
		if _, member := s.Groups[group]; !member {
			return Change{}, errNoChange
		}
		return Change{Kind: ChangeLeft, Group: group}, nil
	})
	if err == nil {
		b.record(a, AuditRecord{Action: AuditMember, Recipient: ToGroup(group).String(), Note: "removed"})
	}
	return s, err
}

// Revoke takes a role back from a user: tokens that were issued up to now no
// longer give it, for deliveries, replays and inboxes of the hub.
func (b *Inboxes) Revoke(ctx context.Context, a Asker, role string) (State, error) {
	if err := b.manage(a); err != nil {
		return State{}, err
	}
	if err := ToRole(role).Validate(); err != nil {
		return State{}, unfit("role", err.Error())
	}
	s, err := b.change(ctx, a, func(*State) (Change, error) {
		return Change{Kind: ChangeRevoked, Roles: []string{role}}, nil
	})
	if err == nil {
		b.record(a, AuditRecord{Action: AuditRevoked, Recipient: ToRole(role).String()})
	}
	return s, err
}

// manage permits administrators only, even for themselves.
func (b *Inboxes) manage(a Asker) error {
	if a.Principal.Anonymous() || !b.o.Policy.MayManage(a.Principal) {
		return fmt.Errorf("%w: wants a role that may manage", ErrForbidden)
	}
	if err := ToUser(a.user()).Validate(); err != nil {
		return unfit("user", err.Error())
	}
	return nil
}

// Groups are the durable memberships of a user, and when they end.
func (b *Inboxes) Groups(ctx context.Context, a Asker) (map[string]Term, error) {
	s, err := b.see(ctx, a)
	if err != nil {
		return nil, err
	}
	groups := make(map[string]Term, len(s.Groups))
	for name, term := range s.Groups {
		if !term.Over(b.o.Now()) {
			groups[name] = term
		}
	}
	return groups, nil
}

// Preferences returns the preferences of a user and the version they are of.
func (b *Inboxes) Preferences(ctx context.Context, a Asker) (Preferences, Version, error) {
	s, err := b.see(ctx, a)
	return s.Preferences, s.PreferencesVersion, err
}

// PreferencesUnset is, for SetPreferences, the version of preferences that were
// never set.
const PreferencesUnset Version = math.MaxUint64

// SetPreferences replaces the preferences of a user. version, unless 0, is that
// of the preferences the change was made from: if they have changed since, the
// error is [ErrStale].
func (b *Inboxes) SetPreferences(ctx context.Context, a Asker, p Preferences, version Version) (State, error) {
	if err := b.permit(a); err != nil {
		return State{}, err
	}
	if err := p.Validate(b.o.Now()); err != nil {
		return State{}, err
	}
	return b.change(ctx, a, func(s *State) (Change, error) {
		if version != 0 && cmp.Or(s.PreferencesVersion, PreferencesUnset) != version {
			return Change{}, ErrStale
		}
		return Change{Kind: ChangePreferences, Preferences: &p}, nil
	})
}

// Mute adds a mute to the preferences, or changes the end of one of the same
// type or group.
func (b *Inboxes) Mute(ctx context.Context, a Asker, m Mute) (State, error) {
	if field, reason := m.wrong(b.o.Now()); reason != "" {
		return State{}, unfit(strings.TrimPrefix(field, "."), reason) // not by its place among all mutes
	}
	return b.alter(ctx, a, func(p *Preferences) { p.Mutes = p.with(m) })
}

// Unmute takes the mute of that type or group out of the preferences.
func (b *Inboxes) Unmute(ctx context.Context, a Asker, m Mute) (State, error) {
	return b.alter(ctx, a, func(p *Preferences) { p.Mutes = p.without(m) })
}

// with are the mutes with one more, or with another one in the place of that of
// the same type or group.
func (p *Preferences) with(m Mute) []Mute {
	others, at := p.without(m), slices.IndexFunc(p.Mutes, m.alike)
	if at < 0 {
		at = len(others)
	}
	return slices.Insert(others, at, m)
}

// alike tells whether two mutes are of the same type or group.
func (m Mute) alike(o Mute) bool { return o.Type == m.Type && o.Group == m.Group }

// without are the mutes but that of the same type or group. The document that a
// state shares is left alone.
func (p *Preferences) without(m Mute) []Mute {
	return slices.DeleteFunc(slices.Clone(p.Mutes), m.alike)
}

func (b *Inboxes) alter(ctx context.Context, a Asker, alter func(p *Preferences)) (State, error) {
	if err := b.permit(a); err != nil {
		return State{}, err
	}
	return b.change(ctx, a, func(s *State) (Change, error) {
		p := s.Preferences
		alter(&p)
		if err := p.Validate(b.o.Now()); err != nil {
			return Change{}, err
		}
		if same(p, s.Preferences) {
			return Change{}, errNoChange
		}
		return Change{Kind: ChangePreferences, Preferences: &p}, nil
	})
}

// same compares two documents by what they say.
func same(a, b Preferences) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(one) == string(other)
}
