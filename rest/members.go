package rest

import (
	"strconv"
	"time"

	"tidings/notifications"
)

// memberships are the groups of a user.
type memberships struct {
	Groups map[string]notifications.Term `json:"groups"`
}

func (h *Handler) groups(c *call) (reply, error) {
	groups, err := h.o.Inboxes.Groups(c.Context(), c.asker)
	return reply{body: memberships{groups}}, err
}

// addMember makes a user a member, for ttl seconds or until removed.
func (h *Handler) addMember(c *call) (reply, error) {
	var ttl time.Duration
	if c.query.Has("ttl") {
		seconds, err := strconv.ParseFloat(c.query.Get("ttl"), 64)
		if err != nil {
			seconds = 0 // which is none, and refused in the same words
		}
		if ttl, err = notifications.Seconds(seconds); err != nil {
			return reply{}, err
		}
	}
	_, err := h.o.Inboxes.AddMember(c.Context(), c.asker, c.PathValue("group"), ttl)
	return done(), err
}

func (h *Handler) removeMember(c *call) (reply, error) {
	_, err := h.o.Inboxes.RemoveMember(c.Context(), c.asker, c.PathValue("group"))
	return done(), err
}

// revoke takes a role back from a user.
func (h *Handler) revoke(c *call) (reply, error) {
	_, err := h.o.Inboxes.Revoke(c.Context(), c.asker, c.PathValue("role"))
	return done(), err
}
