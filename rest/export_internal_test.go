package rest

import (
	"reflect"

	"tidings/notifications"
)

// Document is the description of the API.
func Document() []byte { return openAPI }

// Route is what a test is told of a route.
type Route struct {
	Method, Path string
	Query        []string
	Body, Open   bool
}

// Routes are those of a handler.
func (h *Handler) Routes() []Route {
	var all []Route
	for _, rt := range h.routes() {
		r := Route{Method: rt.method, Path: rt.path, Body: rt.body != noBody, Open: rt.open != nil}
		if !r.Open {
			r.Query = rt.taken()
		}
		all = append(all, r)
	}
	return all
}

// Types are what the answers are made of, by the names of their schemas.
func Types() map[string]reflect.Type {
	return map[string]reflect.Type{
		"Problem":            reflect.TypeFor[problem](),
		"FieldError":         reflect.TypeFor[fieldError](),
		"Receipt":            reflect.TypeFor[notifications.Receipt](),
		"Result":             reflect.TypeFor[answer](),
		"Action":             reflect.TypeFor[notifications.Action](),
		"Lookup":             reflect.TypeFor[notifications.Lookup](),
		"Recalled":           reflect.TypeFor[notifications.Recalled](),
		"Tally":              reflect.TypeFor[notifications.Tally](),
		"Counts":             reflect.TypeFor[notifications.Counts](),
		"InboxVersion":       reflect.TypeFor[notifications.InboxVersion](),
		"Counted":            reflect.TypeFor[counted](),
		"InboxItem":          reflect.TypeFor[notifications.InboxItem](),
		"InboxPage":          reflect.TypeFor[notifications.InboxPage](),
		"Mute":               reflect.TypeFor[notifications.Mute](),
		"QuietHours":         reflect.TypeFor[notifications.QuietHours](),
		"Preferences":        reflect.TypeFor[preferences](),
		"PreferenceDocument": reflect.TypeFor[notifications.Preferences](),
		"Term":               reflect.TypeFor[notifications.Term](),
		"Groups":             reflect.TypeFor[memberships](),
		"Rejection":          reflect.TypeFor[notifications.Rejection](),
		"AuditRecord":        reflect.TypeFor[notifications.AuditRecord](),
		"Act":                reflect.TypeFor[notifications.Act](),
		"DeviceOutcome":      reflect.TypeFor[notifications.DeviceOutcome](),
		"ConnectionOutcome":  reflect.TypeFor[notifications.ConnectionPart](),
		"StoredOutcome":      reflect.TypeFor[notifications.StoredOutcome](),
		"Explanation":        reflect.TypeFor[notifications.Explanation](),
		"State":              reflect.TypeFor[notifications.State](),
		"Change":             reflect.TypeFor[notifications.ExportChange](),
		"Device":             reflect.TypeFor[notifications.Device](),
		"Connection":         reflect.TypeFor[notifications.Visit](),
		"ExportItem":         reflect.TypeFor[notifications.ExportItem](),
		"Export":             reflect.TypeFor[notifications.Export](),
		"Erased":             reflect.TypeFor[notifications.Erased](),
	}
}
