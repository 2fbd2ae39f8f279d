package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"tidings/notifications"
)

// preferences is a preference document with its version, which is in the ETag
// too (RFC 9110 §8.8.3).
type preferences struct {
	notifications.Preferences

	Version notifications.Version `json:"version"`
}

func preferred(p notifications.Preferences, version notifications.Version) reply {
	return reply{body: preferences{p, version}}.with("ETag", `"`+strconv.FormatUint(uint64(version), 10)+`"`)
}

func (h *Handler) preferences(c *call) (reply, error) {
	p, version, err := h.o.Inboxes.Preferences(c.Context(), c.asker)
	return preferred(p, version), err
}

// setPreferences replaces the document. If-Match, or the version in the body,
// says of which one the change was made.
func (h *Handler) setPreferences(c *call) (reply, error) {
	p, version, err := notifications.DecodeVersionedPreferences(c.body, h.o.Now())
	if err != nil {
		return reply{}, err
	}
	match := strings.Join(c.Header.Values("If-Match"), ",")
	if match != "" && match != "*" {
		named := version
		if version, err = tag(match); err != nil {
			return reply{}, err
		}
		if named != 0 && named != version {
			return reply{}, unfit("version", "is not that of If-Match")
		}
	}
	state, err := h.o.Inboxes.SetPreferences(c.Context(), c.asker, p, version)
	if errors.Is(err, notifications.ErrStale) && match != "" {
		return reply{}, &unmatched{err}
	}
	return preferred(state.Preferences, state.PreferencesVersion), err
}

// tag reads an If-Match (RFC 9110 §13.1.1) of one tag. A tag that is none of
// ours matches nothing.
func tag(text string) (notifications.Version, error) {
	weak := strings.HasPrefix(text, "W/")
	inner, opened := strings.CutPrefix(strings.TrimPrefix(text, "W/"), `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	if !opened || !closed || strings.Contains(inner, `"`) {
		return 0, &requestError{status: http.StatusBadRequest, detail: `If-Match wants the ETag that came with the preferences, such as "7", or *.`, field: "If-Match"}
	}
	n, err := strconv.ParseUint(inner, 10, 63)
	switch {
	case weak, err != nil, strconv.FormatUint(n, 10) != inner:
		return 0, &unmatched{notifications.ErrStale}
	case n == 0:
		return notifications.PreferencesUnset, nil
	}
	return notifications.Version(n), nil
}

func (h *Handler) mute(c *call) (reply, error) {
	m, err := notifications.DecodeMute(c.body)
	if err != nil {
		return reply{}, err
	}
	state, err := h.o.Inboxes.Mute(c.Context(), c.asker, m)
	return preferred(state.Preferences, state.PreferencesVersion), err
}

func (h *Handler) unmute(c *call) (reply, error) {
	m := notifications.Mute{Type: c.query.Get("type"), Group: c.query.Get("group")}
	switch {
	case m.Type == "" && m.Group == "":
		return reply{}, unfit("type", "want the type or the group of a mute")
	case m.Type != "" && m.Group != "":
		return reply{}, unfit("group", "type and group exclude each other")
	}
	state, err := h.o.Inboxes.Unmute(c.Context(), c.asker, m)
	return preferred(state.Preferences, state.PreferencesVersion), err
}
