package rest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"tidings/notifications"
	"tidings/roles"
)

// problem is an error as RFC 9457 wants it.
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail,omitempty"`
	Errors []fieldError `json:"errors,omitempty"`
	// IDs are those of the events that may or may not have been stored: a
	// request that is repeated with them stores nothing twice.
	IDs []string `json:"ids,omitempty"`
}

// fieldError names the field that is wrong, and of which event of an array.
type fieldError struct {
	Field  string `json:"field,omitempty"`
	Index  *int   `json:"index,omitempty"`
	Detail string `json:"detail"`
}

// requestError is a request that is no set of events at all.
type requestError struct {
	status int
	detail string
}

func (e *requestError) Error() string { return e.detail }

// atIndex is an error of one event of an array.
type atIndex struct {
	index int
	err   error
}

func (e *atIndex) Error() string { return "event " + strconv.Itoa(e.index) + ": " + e.err.Error() }
func (e *atIndex) Unwrap() error { return e.err }

// notStored is a request none of whose events the log has acknowledged.
type notStored struct {
	ids []string
	err error
}

func (e *notStored) Error() string { return e.err.Error() }
func (e *notStored) Unwrap() error { return e.err }

// problemOf is the one place where an error becomes a status.
func problemOf(err error) problem {
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError}
	var request *requestError
	var auth *roles.AuthError
	var invalid *notifications.InvalidError
	switch {
	case errors.As(err, &request):
		p.Status, p.Detail = request.status, request.detail
	case errors.As(err, &auth):
		p.Status, p.Detail = http.StatusUnauthorized, auth.Reason
	case errors.Is(err, notifications.ErrForbidden):
		p.Status, p.Detail = http.StatusForbidden, err.Error()
	case errors.As(err, &invalid):
		p.Status, p.Detail = http.StatusUnprocessableEntity, err.Error()
		field := fieldError{Field: invalid.Field, Detail: invalid.Reason}
		if at, ok := errors.AsType[*atIndex](err); ok {
			field.Index = &at.index
		}
		p.Errors = []fieldError{field}
	case errors.Is(err, notifications.ErrUnavailable):
		p.Status, p.Detail = http.StatusServiceUnavailable, "The log is not available. Repeat the request with the same ids: nothing will be stored twice."
	}
	if unknown, ok := errors.AsType[*notStored](err); ok && p.Status >= http.StatusInternalServerError {
		p.IDs = unknown.ids
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// fail answers with a problem.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	var auth *roles.AuthError
	switch {
	case errors.As(err, &auth):
		w.Header().Set("WWW-Authenticate", auth.WWWAuthenticate())
	case p.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case p.Status == http.StatusInternalServerError:
		h.o.Logger.ErrorContext(r.Context(), "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	write(w, p.Status, "application/problem+json", p)
}

func write(w http.ResponseWriter, status int, contentType string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller may be gone; there is nobody to tell
}

func (h *Handler) notFound(w http.ResponseWriter, r *http.Request) {
	h.fail(w, r, &requestError{http.StatusNotFound, "There is nothing at this path."})
}

func (h *Handler) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	h.fail(w, r, &requestError{http.StatusMethodNotAllowed, "This path wants POST."})
}
