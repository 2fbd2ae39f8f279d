package rest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
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

// fieldError names the field or the parameter that is wrong, and of which event
// of an array.
type fieldError struct {
	Field  string `json:"field,omitempty"`
	Index  *int   `json:"index,omitempty"`
	Detail string `json:"detail"`
}

// requestError is a request that cannot be read, or asks for what there is not.
type requestError struct {
	status int
	detail string
	field  string // the parameter or header that is to blame, if one is
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

// unmatched is a change whose If-Match is not that of what there is.
type unmatched struct{ err error }

func (e *unmatched) Error() string { return e.err.Error() }
func (e *unmatched) Unwrap() error { return e.err }

// problemOf is the one place where an error becomes a status.
func problemOf(err error) problem {
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError}
	var request *requestError
	var auth *roles.AuthError
	var rate *notifications.RateError
	var invalid *notifications.InvalidError
	switch {
	case errors.As(err, &request):
		p.Status, p.Detail = request.status, request.detail
		if request.field != "" {
			p.Errors = []fieldError{{Field: request.field, Detail: request.detail}}
		}
	case errors.As(err, &auth):
		p.Status, p.Detail = http.StatusUnauthorized, auth.Reason
	case errors.Is(err, notifications.ErrForbidden):
		p.Status, p.Detail = http.StatusForbidden, err.Error()
	case errors.Is(err, notifications.ErrNotFound):
		p.Status, p.Detail = http.StatusNotFound, err.Error()
	case errors.Is(err, notifications.ErrStale):
		p.Status = http.StatusConflict
		if _, ok := errors.AsType[*unmatched](err); ok { // RFC 9110 §15.5.13
			p.Status = http.StatusPreconditionFailed
		}
		p.Detail = "The preferences have changed meanwhile, or are not of the version that was named. Load them again and repeat the change."
	case errors.As(err, &rate):
		p.Status, p.Detail = http.StatusTooManyRequests, rate.Reason
	case errors.As(err, &invalid):
		p.Status, p.Detail = http.StatusUnprocessableEntity, err.Error()
		field := fieldError{Field: invalid.Field, Detail: invalid.Reason}
		if at, ok := errors.AsType[*atIndex](err); ok {
			field.Index = &at.index
		}
		p.Errors = []fieldError{field}
	case errors.Is(err, notifications.ErrUnavailable):
		p.Status, p.Detail = http.StatusServiceUnavailable, "The log is not available. Try again."
	}
	if unknown, ok := errors.AsType[*notStored](err); ok {
		unknown.explain(&p)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// explain tells how to repeat a request without storing anything twice.
func (e *notStored) explain(p *problem) {
	if p.Status >= http.StatusInternalServerError {
		p.IDs = e.ids
	}
	if p.Status == http.StatusServiceUnavailable {
		p.Detail = "The log is not available. Repeat the request with the same ids: nothing will be stored twice."
	}
}

// failed is the answer to a request that has failed.
func (h *Handler) failed(r *http.Request, err error) reply {
	p := problemOf(err)
	answer := reply{status: p.Status, contentType: "application/problem+json", body: p}
	var auth *roles.AuthError
	var rate *notifications.RateError
	switch {
	case errors.As(err, &auth):
		return answer.with("WWW-Authenticate", auth.WWWAuthenticate())
	case errors.As(err, &rate):
		return answer.with("Retry-After", strconv.Itoa(max(1, int(math.Ceil(rate.After.Seconds())))))
	case p.Status == http.StatusServiceUnavailable:
		return answer.with("Retry-After", "1")
	case p.Status == http.StatusInternalServerError && r.Context().Err() == nil: // else the caller has gone
		h.o.Logger.ErrorContext(r.Context(), "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	return answer
}

func write(w http.ResponseWriter, a reply) {
	header := w.Header()
	maps.Copy(header, a.header)
	header.Set("Cache-Control", "no-store")
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	body = append(body, '\n')
	if a.contentType == "" {
		a.contentType = "application/json"
	}
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(body))) // of the answer to a HEAD, too
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // the caller may be gone; there is nobody to tell
}

func (h *Handler) notFound(w http.ResponseWriter, r *http.Request) {
	write(w, h.failed(r, &requestError{status: http.StatusNotFound, detail: "There is nothing at this path."}))
}

// methodNotAllowed answers for the methods that a path does not know.
func (h *Handler) methodNotAllowed(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := &requestError{status: http.StatusMethodNotAllowed, detail: "This path wants " + allowed + "."}
		write(w, h.failed(r, err).with("Allow", allowed))
	}
}
