package rest

import (
	"errors"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tidings/notifications"
)

// inbox answers a page, of now or of a moment.
func (h *Handler) inbox(c *call) (reply, error) {
	q, err := inboxQuery(c.query)
	if err != nil {
		return reply{}, err
	}
	page, err := h.page(c, q)
	if err != nil {
		return reply{}, inQuery(err)
	}
	answer := reply{body: page}
	if page.Next != "" { // RFC 8288
		next := maps.Clone(c.query)
		next.Set("before", page.Next)
		answer = answer.with("Link", "<"+c.URL.EscapedPath()+"?"+next.Encode()+`>; rel="next"`)
	}
	return answer, nil
}

func (h *Handler) page(c *call, q notifications.InboxQuery) (notifications.InboxPage, error) {
	if !c.query.Has("at") {
		return h.o.Inboxes.Page(c.Context(), c.asker, q)
	}
	if h.o.Archives == nil {
		return notifications.InboxPage{}, unfit("at", "this server keeps no history")
	}
	at, err := parseTime("at", c.query.Get("at"))
	if err != nil {
		return notifications.InboxPage{}, err
	}
	return h.o.Archives.At(c.Context(), c.asker, at, q)
}

// inboxQuery reads the parameters of a page.
func inboxQuery(query url.Values) (notifications.InboxQuery, error) {
	q := notifications.InboxQuery{Before: query.Get("before"), Types: query["type"]}
	if query.Has("limit") {
		n, err := strconv.Atoi(query.Get("limit"))
		if err != nil || n < 1 || n > notifications.MaxInboxPage { // 0 is not "as many as usual" here
			return q, unfit("limit", "want 1 to "+strconv.Itoa(notifications.MaxInboxPage))
		}
		q.Limit = n
	}
	for _, s := range query["severity"] {
		q.Severities = append(q.Severities, notifications.Severity(s))
	}
	for _, s := range query["state"] {
		q.Statuses = append(q.Statuses, notifications.Status(s))
	}
	return q, nil
}

// inQuery names a wrong field as the query does.
func inQuery(err error) error {
	wrong, is := errors.AsType[*notifications.InvalidError](err)
	if !is {
		return err
	}
	renamed := *wrong
	switch wrong.Field {
	case "types":
		renamed.Field = "type"
	case "severities":
		renamed.Field = "severity"
	case "states":
		renamed.Field = "state"
	}
	return &renamed
}

func parseTime(name, text string) (time.Time, error) {
	// A plus sign that was not escaped in the query arrives as a space.
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		return t, unfit(name, "want an RFC 3339 time such as 2026-01-02T15:04:05Z")
	}
	return t, nil
}

// counted is what everything about an inbox but its pages is answered with.
type counted struct {
	Counts  notifications.Counts       `json:"counts"`
	Version notifications.InboxVersion `json:"version"`
}

func (h *Handler) counts(c *call) (reply, error) {
	inbox, err := h.o.Inboxes.Counts(c.Context(), c.asker)
	return reply{body: counted{inbox.Counts, inbox.Version}}, err
}

// mark makes the route that changes the status of some notifications.
func (h *Handler) mark(kind notifications.ChangeKind) func(c *call) (reply, error) {
	return func(c *call) (reply, error) {
		fields, err := object(c.body, "ids")
		if err != nil {
			return reply{}, err
		}
		raw, given := fields["ids"]
		if !given {
			return reply{}, unfit("ids", "is missing: want an array of ids or positions")
		}
		refs, err := notifications.DecodeRefs(raw)
		if err != nil {
			return reply{}, err
		}
		if _, err = h.o.Inboxes.Mark(c.Context(), c.asker, kind, refs); err != nil {
			return reply{}, err
		}
		return h.counts(c)
	}
}

// markAll makes the route that changes the status of everything up to a place.
func (h *Handler) markAll(kind notifications.ChangeKind) func(c *call) (reply, error) {
	return func(c *call) (reply, error) {
		fields, err := object(c.body, "upTo")
		if err != nil {
			return reply{}, err
		}
		var upTo notifications.UpTo
		if raw, given := fields["upTo"]; given {
			if err = upTo.UnmarshalJSON(raw); err != nil {
				return reply{}, err
			}
		}
		if _, err = h.o.Inboxes.MarkAll(c.Context(), c.asker, kind, upTo); err != nil {
			return reply{}, err
		}
		return h.counts(c)
	}
}
