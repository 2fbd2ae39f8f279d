package rest

import (
	"net/http"
	"slices"
	"strings"

	"tidings/notifications"
)

// route is one method of one path.
type route struct {
	method, path string
	// query are the parameters it takes, but for the hub; many are those that may
	// be given more than once.
	query, many []string
	body        bodyKind
	serve       func(c *call) (reply, error)
	// open serves instead, without asking who is calling.
	open http.HandlerFunc
}

// routes are all there are, with what the handler has been given.
func (h *Handler) routes() []route {
	all := []route{
		{method: http.MethodPost, path: "/v1/notifications", body: events, serve: h.publish},
		{method: http.MethodGet, path: "/v1/notifications/{id}", serve: h.lookup},
		{method: http.MethodDelete, path: "/v1/notifications/{id}", serve: h.recall},
		{method: http.MethodGet, path: "/openapi.json", open: serveOpenAPI("application/json")},
		{method: http.MethodGet, path: "/v1/openapi.json", open: serveOpenAPI("application/json")},
		{method: http.MethodGet, path: "/v1/openapi.yaml", open: serveOpenAPI("application/yaml")},
	}
	const own, others = "/v1", "/v1/users/{user}"
	if h.o.Inboxes != nil {
		all = slices.Concat(all, h.inboxRoutes(own), h.inboxRoutes(others), h.memberRoutes())
	}
	if h.o.Archives != nil {
		all = append(all,
			route{method: http.MethodGet, path: "/v1/explain", query: []string{"id", "user"}, serve: h.explain},
			route{method: http.MethodGet, path: own + "/export", serve: h.export},
			route{method: http.MethodGet, path: others + "/export", serve: h.export},
			route{method: http.MethodDelete, path: others, serve: h.erase},
		)
	}
	return all
}

// inboxRoutes are the paths of a person: below /v1 of the caller, below a user
// of that user, for administrators.
func (h *Handler) inboxRoutes(below string) []route {
	inbox, preferences := below+"/inbox", below+"/preferences"
	all := []route{
		{
			method: http.MethodGet, path: inbox, serve: h.inbox,
			query: []string{"limit", "before", "at"}, many: []string{"type", "severity", "state"},
		},
		{method: http.MethodGet, path: inbox + "/counts", serve: h.counts},
		{method: http.MethodPost, path: inbox + "/all-seen", body: optionalDocument, serve: h.markAll(notifications.ChangeAllSeen)},
		{method: http.MethodPost, path: inbox + "/all-read", body: optionalDocument, serve: h.markAll(notifications.ChangeAllRead)},
		{method: http.MethodGet, path: preferences, serve: h.preferences},
		{method: http.MethodPut, path: preferences, body: document, serve: h.setPreferences},
		{method: http.MethodPost, path: preferences + "/mutes", body: document, serve: h.mute},
		{method: http.MethodDelete, path: preferences + "/mutes", query: []string{"type", "group"}, serve: h.unmute},
		{method: http.MethodGet, path: below + "/groups", serve: h.groups},
	}
	for _, mark := range []struct {
		name string
		kind notifications.ChangeKind
	}{
		{"seen", notifications.ChangeSeen},
		{"read", notifications.ChangeRead},
		{"unread", notifications.ChangeUnread},
		{"archive", notifications.ChangeArchived},
		{"unarchive", notifications.ChangeUnarchived},
	} {
		all = append(all, route{method: http.MethodPost, path: inbox + "/" + mark.name, body: document, serve: h.mark(mark.kind)})
	}
	return all
}

// memberRoutes are what administrators set for users.
func (h *Handler) memberRoutes() []route {
	const member = "/v1/groups/{group}/members/{user}"
	return []route{
		{method: http.MethodPut, path: member, query: []string{"ttl"}, serve: h.addMember},
		{method: http.MethodDelete, path: member, serve: h.removeMember},
		{method: http.MethodDelete, path: "/v1/users/{user}/roles/{role}", serve: h.revoke},
	}
}

// mount registers the routes, and for each of their paths an answer to the other
// methods.
func (h *Handler) mount(routes []route) {
	allowed := make(map[string][]string)
	for _, rt := range routes {
		h.mux.HandleFunc(rt.method+" "+rt.path, h.serve(rt))
		allowed[rt.path] = append(allowed[rt.path], rt.method)
		if rt.method == http.MethodGet {
			allowed[rt.path] = append(allowed[rt.path], http.MethodHead) // which the mux passes on
		}
	}
	for path, methods := range allowed {
		slices.Sort(methods)
		h.mux.HandleFunc(path, h.methodNotAllowed(strings.Join(methods, ", ")))
	}
	h.mux.HandleFunc("/", h.notFound)
}
