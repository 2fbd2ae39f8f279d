package actors

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"tidings/notifications"
)

// GroupQuery says which roles and groups are listed. The zero value lists all.
type GroupQuery struct {
	// Kind is notifications.Role, notifications.Group, or empty for both.
	Kind notifications.Kind
	// Text is a part of the name, whatever its case.
	Text string
	// After is GroupPage.Next of the page before; empty = the first page.
	After string
	// Limit is the size of the page: default 50, at most 200.
	Limit int
}

// GroupPage is a part of the list of roles and groups with a member here, by
// name and then by kind.
type GroupPage struct {
	Items []GroupInfo
	// Total counts all of the kind that was asked for, Matched those whose name
	// was, on whatever page.
	Total, Matched int
	// Next is for GroupQuery.After, opaque; empty on the last page.
	Next string
}

// GroupInfo is a role or a group, and how many connections it has.
type GroupInfo struct {
	Recipient   notifications.Recipient
	Connections int
}

// Groups lists the roles and groups that have members here. It waits for the
// shards, which copy the names they know, and returns [ErrPlace] if After is none
// that a page has given.
func (s *System) Groups(ctx context.Context, q GroupQuery) (GroupPage, error) {
	kind, name, ok := strings.Cut(q.After, "/")
	if !ok && q.After != "" {
		return GroupPage{}, ErrPlace
	}
	after := GroupInfo{Recipient: notifications.Recipient{Kind: notifications.Kind(kind), Key: name}}
	counted, err := inquire(ctx, s, s.doors, func(_ *door, reply chan<- []GroupInfo) any { return &census{q.Kind, reply} })
	if err != nil {
		return GroupPage{}, err
	}
	connections := make(map[notifications.Recipient]int)
	for _, g := range slices.Concat(counted...) {
		connections[g.Recipient] += g.Connections
	}
	page := GroupPage{Total: len(connections)}
	text := strings.ToLower(q.Text)
	lowest := foremost[GroupInfo]{limit: pageSize(q.Limit), compare: byName}
	for r, n := range connections {
		if !strings.Contains(strings.ToLower(r.Key), text) {
			continue
		}
		page.Matched++
		if g := (GroupInfo{r, n}); q.After == "" || byName(after, g) < 0 {
			lowest.offer(g)
		}
	}
	shown, more := lowest.page()
	page.Items = shown
	if more {
		page.Next = shown[len(shown)-1].Recipient.String()
	}
	return page, nil
}

func byName(a, b GroupInfo) int {
	return cmp.Or(strings.Compare(a.Recipient.Key, b.Recipient.Key), cmp.Compare(a.Recipient.Kind, b.Recipient.Kind))
}

// MemberPage is a part of the list of the connections of a role or a group, by
// their ids.
type MemberPage struct {
	Items []MemberInfo
	// Total counts all members.
	Total int
	// Next is for the parameter after, opaque; empty on the last page.
	Next string
}

// MemberInfo is a member of a role or a group.
type MemberInfo struct {
	ID, User, Transport string
	// Began is when the connection joined the system, not the group.
	Began time.Time
}

// Members lists the connections of a role or a group, at most limit of them:
// default 50, at most 200. after is MemberPage.Next of the page before, or empty.
// It waits for the shards. An error that is not of ctx says that the recipient is
// neither a role nor a group, or [ErrGone].
func (s *System) Members(ctx context.Context, of notifications.Recipient, after string, limit int) (MemberPage, error) {
	if of.Kind != notifications.Role && of.Kind != notifications.Group {
		return MemberPage{}, fmt.Errorf("members of %s: neither a role nor a group", of)
	}
	all, err := s.gather(ctx, of)
	if err != nil {
		return MemberPage{}, err
	}
	lowest := foremost[*Connection]{limit: pageSize(limit), compare: func(a, b *Connection) int { return strings.Compare(a.id, b.id) }}
	for _, c := range all {
		if c.id > after {
			lowest.offer(c)
		}
	}
	shown, more := lowest.page()
	page := MemberPage{Total: len(all)}
	for _, c := range shown {
		page.Items = append(page.Items, MemberInfo{c.id, c.member.User, c.transport(), time.Unix(0, c.began)})
	}
	if more {
		page.Next = shown[len(shown)-1].id
	}
	return page, nil
}

// The messages about roles and groups.
type (
	// gather asks for the members of a role or a group in the shard.
	gather struct {
		of    notifications.Recipient
		reply chan<- []*Connection
	}
	// muster is filled in by the cell.
	muster struct{ members []*Connection }
	// census asks for the roles or the groups of the shard; an empty kind = both.
	census struct {
		kind  notifications.Kind
		reply chan<- []GroupInfo
	}
)

// gather copies the members of a role or a group.
func (s *System) gather(ctx context.Context, of notifications.Recipient) ([]*Connection, error) {
	members, err := inquire(ctx, s, s.doors, func(_ *door, reply chan<- []*Connection) any { return &gather{of, reply} })
	return slices.Concat(members...), err
}

func (s *shard) gather(ctx actor.Context, of notifications.Recipient) []*Connection {
	m := &muster{}
	if seat := s.cells[of]; seat != nil {
		ctx.Send(seat.pid, m) // it fills it in, at once
	}
	return m.members
}

func (s *shard) census(kind notifications.Kind) []GroupInfo {
	infos := make([]GroupInfo, 0, len(s.cells))
	for r, seat := range s.cells {
		if kind == "" || kind == r.Kind {
			infos = append(infos, GroupInfo{r, seat.members})
		}
	}
	return infos
}
