// Package rest is the door for emitters, tools and operators that speak plain
// HTTP, and for pages that want an inbox without a hub. It decides nothing:
// notifications.Commands, Inboxes and Archives do.
package rest

import (
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"tidings/notifications"
	"tidings/roles"
)

// Options is what the handler needs. Commands and Verifier are required.
type Options struct {
	Commands *notifications.Commands
	Verifier roles.Verifier
	// Inboxes answers for inboxes, preferences and memberships, Archives for what
	// has happened. nil = their paths answer 404.
	Inboxes  *notifications.Inboxes
	Archives *notifications.Archives
	// Protobuf makes JSON of an event in the encoding of tidings.v1; nil = it is
	// not accepted.
	Protobuf func(payload []byte) ([]byte, error)
	// EventBytes bounds the body of one event. Default
	// notifications.DefaultEventBytes.
	EventBytes     int
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Handler serves /v1/ and /openapi.json. It is safe for concurrent use.
type Handler struct {
	o      Options
	mux    *http.ServeMux
	tracer trace.Tracer
}

// NewHandler makes the handler.
func NewHandler(o Options) *Handler {
	if o.EventBytes <= 0 {
		o.EventBytes = notifications.DefaultEventBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{o: o, mux: http.NewServeMux(), tracer: o.TracerProvider.Tracer("tidings/rest")}
	h.mount(h.routes())
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }
