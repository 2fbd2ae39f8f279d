package notifications

import "errors"

// Errors that a caller decides on.
var (
	// ErrForbidden: the caller may not emit to that recipient.
	ErrForbidden = errors.New("not allowed to emit to this recipient")
	// ErrUnavailable: the log cannot be reached. Nothing was decided about the
	// event; the same call with the same id may be repeated.
	ErrUnavailable = errors.New("the log is not available")
)

// InvalidError says which field of an event is wrong and what would be right.
// Its text is meant for the emitter.
type InvalidError struct {
	// Field is the JSON name, or empty for the event as a whole.
	Field  string
	Reason string
}

// Error implements error.
func (e *InvalidError) Error() string {
	if e.Field == "" {
		return "invalid event: " + e.Reason
	}
	return "invalid event: " + e.Field + ": " + e.Reason
}

func invalid(field, reason string) error { return &InvalidError{Field: field, Reason: reason} }
