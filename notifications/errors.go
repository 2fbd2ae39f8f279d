package notifications

import (
	"cmp"
	"errors"
	"time"
)

// Errors that a caller decides on.
var (
	// ErrForbidden: the caller may not do that.
	ErrForbidden = errors.New("not allowed")
	// ErrNotFound: there is nothing of that id.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: the log cannot be reached. Nothing was decided about the
	// event; the same call with the same id may be repeated.
	ErrUnavailable = errors.New("the log is not available")
)

// InvalidError says which field of an event, or of another request, is wrong and
// what would be right. Its text is meant for the caller.
type InvalidError struct {
	// Of is what the field belongs to. Default "event".
	Of string
	// Field is the JSON name, or empty for the event as a whole.
	Field  string
	Reason string
}

// Error implements error.
func (e *InvalidError) Error() string {
	of := "invalid " + cmp.Or(e.Of, "event") + ": "
	if e.Field == "" {
		return of + e.Reason
	}
	return of + e.Field + ": " + e.Reason
}

func invalid(field, reason string) error { return &InvalidError{Field: field, Reason: reason} }

// unfit is what is wrong with a request that is no event.
func unfit(field, reason string) error {
	return &InvalidError{Of: "request", Field: field, Reason: reason}
}

// RateError says that an emitter emits more than it may. Nothing was stored.
type RateError struct {
	// After is when it may try again.
	After  time.Duration
	Reason string
}

// Error implements error.
func (e *RateError) Error() string { return e.Reason }
