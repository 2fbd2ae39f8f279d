package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tidings/actors"
	"tidings/hub/protocol"
	"tidings/notifications"
)

// Error is an error whose text the client may read. The text of any other
// error stays in the server, unless DetailedErrors is set.
type Error struct{ Text string }

// Error implements error.
func (e Error) Error() string { return e.Text }

var (
	errNoMethod     = errors.New("method does not exist")
	errUnauthorized = errors.New("user is unauthorized")
	errNoStream     = errors.New("method does not stream")
	errStreams      = errors.New("method streams")
	errNotStream    = errors.New("the method has returned no stream")
	errIDInUse      = errors.New("invocation id is in use")
)

// The values of error.type: few, so that they can be counted.
const (
	typeNotFound     = "not_found"
	typeUnauthorized = "unauthorized"
	typeInvalid      = "invalid_argument"
	typeUnavailable  = "unavailable"
	typeStale        = "stale"
	typeRate         = "rate_limited"
	typeHub          = "hub_error"
	typeCancelled    = "cancelled"
	typeInternal     = "internal"
)

func errorType(err error) string {
	var bind *bindError
	var text Error
	var invalid *notifications.InvalidError
	var rate *notifications.RateError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errNoMethod):
		return typeNotFound
	case errors.Is(err, errUnauthorized), errors.Is(err, notifications.ErrForbidden):
		return typeUnauthorized
	case errors.As(err, &bind), errors.As(err, &invalid), errors.Is(err, errNoStream), errors.Is(err, errStreams), errors.Is(err, errIDInUse):
		return typeInvalid
	case errors.Is(err, notifications.ErrUnavailable):
		return typeUnavailable
	case errors.Is(err, notifications.ErrStale):
		return typeStale
	case errors.Is(err, notifications.ErrNotFound):
		return typeNotFound
	case errors.As(err, &rate):
		return typeRate
	case errors.As(err, &text), errors.Is(err, actors.ErrTooManyGroups):
		return typeHub
	case errors.Is(err, context.Canceled), errors.Is(err, errStreamEnded):
		return typeCancelled
	default:
		return typeInternal
	}
}

// completionText is the error of a completion, word for word as the official
// server writes it: clients match on these texts. Target and id are what the
// client wrote.
func (h *Hub) completionText(m *protocol.Invocation, err error) string {
	target, id := m.Target, m.InvocationID
	failed := "Failed to invoke '" + target + "' due to an error on the server."
	unexpected := "An unexpected error occurred invoking '" + target + "' on the server."
	var bind *bindError
	if stream, began := errors.AsType[*streamError](err); began {
		unexpected, err = "An error occurred on the server while streaming results.", stream.err
	}
	switch {
	case errors.Is(err, errNoMethod):
		return failed + " HubException: Method does not exist."
	case errors.Is(err, errUnauthorized), errors.Is(err, notifications.ErrForbidden):
		return "Failed to invoke '" + target + "' because user is unauthorized"
	case errors.Is(err, errStreams):
		return "The client attempted to invoke the streaming '" + target + "' method with a non-streaming invocation."
	case errors.Is(err, errNotStream):
		return "The value returned by the streaming method '" + target + "' is not a ChannelReader<> or IAsyncEnumerable<>."
	case errors.Is(err, errIDInUse):
		return "Invocation ID '" + id + "' is already in use."
	case errors.Is(err, errNoStream):
		return "The client attempted to invoke the non-streaming '" + target + "' method with a streaming invocation."
	case errors.As(err, &bind):
		if h.o.DetailedErrors {
			return failed + " " + bind.Error()
		}
		return failed
	}
	if text := publicText(err); text != "" {
		return unexpected + " HubException: " + text
	}
	if h.o.DetailedErrors {
		return unexpected + " " + err.Error()
	}
	return unexpected
}

// publicText is what an error has to say to a client, or empty.
func publicText(err error) string {
	var text Error
	var invalid *notifications.InvalidError
	var rate *notifications.RateError
	switch {
	case errors.As(err, &text):
		return text.Text
	case errors.As(err, &rate):
		return fmt.Sprintf("Too many events: %s. Try again in %v.", rate.Reason, rate.After.Round(time.Second))
	case errors.Is(err, notifications.ErrStale):
		return "Somebody else has changed this meanwhile. Load it again."
	case errors.Is(err, notifications.ErrNotFound):
		return err.Error()
	case errors.As(err, &invalid):
		return invalid.Error()
	case errors.Is(err, notifications.ErrUnavailable):
		return "The log is not available. Try again."
	case errors.Is(err, actors.ErrTooManyGroups):
		return actors.ErrTooManyGroups.Error()
	default:
		return ""
	}
}

// closeText is the error of a Close after a connect handler that failed.
func (h *Hub) closeText(err error) string {
	const closed = "Connection closed with an error."
	if text := publicText(err); text != "" {
		return closed + " HubException: " + text
	}
	if h.o.DetailedErrors {
		return closed + " " + err.Error()
	}
	return closed
}
