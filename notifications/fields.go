package notifications

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// fieldNames are the JSON names of an event, as an emitter writes them.
func fieldNames() []string {
	return []string{
		"id", "recipient", "type", "source", "target", "title", "body", "data", "severity", "link", "actions",
		"collapseKey", "recalls", "replayOf", "expiresAt", "ttl", "notBefore", "membersAt", "createdAt", "traceparent", "tracestate",
	}
}

// draft is an event while it is read: ttl needs createdAt, which may follow.
type draft struct {
	event     *Event
	ttl       time.Duration
	recipient json.RawMessage // of scan
}

// set reads one field. known is false for a name that is no field.
func (d *draft) set(name string, raw json.RawMessage) (known bool, err error) {
	e := d.event
	if target := e.text(name); target != nil {
		return true, decode(name, raw, target, "a string")
	}
	switch name {
	case "recipient":
		var text string
		if err = decode(name, raw, &text, `a string such as "user/ann"`); err != nil {
			return true, err
		}
		if e.Recipient, err = ParseRecipient(text); err != nil {
			return true, invalid(name, err.Error())
		}
	case "data":
		e.Data = raw
	case "severity":
		err = decode(name, raw, &e.Severity, "a string")
	case "membersAt":
		err = decode(name, raw, &e.MembersAt, "a string")
	case "actions":
		err = decode(name, raw, &e.Actions, "an array of {label, link or method}")
	case "expiresAt":
		err = decodeTime(name, raw, &e.ExpiresAt)
	case "notBefore":
		err = decodeTime(name, raw, &e.NotBefore)
	case "createdAt":
		err = decodeTime(name, raw, &e.CreatedAt)
	case "ttl":
		err = d.setTTL(raw)
	default:
		return false, nil
	}
	return true, err
}

// text is where a field of plain text is kept, or nil.
func (e *Event) text(name string) *string {
	switch name {
	case "id":
		return &e.ID
	case "type":
		return &e.Type
	case "source":
		return &e.Source
	case "target":
		return &e.Target
	case "title":
		return &e.Title
	case "body":
		return &e.Body
	case "link":
		return &e.Link
	case "collapseKey":
		return &e.CollapseKey
	case "recalls":
		return &e.Recalls
	case "replayOf":
		return &e.ReplayOf
	case "traceparent":
		return &e.TraceParent
	case "tracestate":
		return &e.TraceState
	default:
		return nil
	}
}

func decode(name string, raw json.RawMessage, into any, want string) error {
	if string(raw) == "null" {
		return nil // as if it were absent
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return invalid(name, "want "+want+", got "+clip(string(raw)))
	}
	return nil
}

func decodeTime(name string, raw json.RawMessage, into *time.Time) error {
	var text string
	if err := decode(name, raw, &text, "an RFC 3339 time"); err != nil || text == "" {
		return err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return invalid(name, "want an RFC 3339 time such as 2026-01-02T15:04:05Z, got "+strconv.Quote(clip(text)))
	}
	*into = t.UTC().Truncate(time.Millisecond)
	return nil
}

// maxTTL bounds a time to live, in seconds: ten years.
const maxTTL = 10 * 365 * 24 * 3600

func (d *draft) setTTL(raw json.RawMessage) error {
	var seconds float64
	if err := decode("ttl", raw, &seconds, "a number of seconds"); err != nil {
		return err
	}
	if string(raw) != "null" && (seconds < 1 || seconds > maxTTL || math.IsNaN(seconds)) {
		return invalid("ttl", "want 1 to "+strconv.Itoa(maxTTL)+" seconds, got "+clip(string(raw)))
	}
	d.ttl = time.Duration(seconds * float64(time.Second))
	return nil
}

// finish applies the ttl.
func (d *draft) finish(now time.Time) (Event, error) {
	if d.ttl > 0 {
		if !d.event.ExpiresAt.IsZero() {
			return Event{}, invalid("ttl", "ttl and expiresAt exclude each other")
		}
		if d.event.CreatedAt.IsZero() {
			d.event.CreatedAt = now.UTC().Truncate(time.Millisecond)
		}
		d.event.ExpiresAt = d.event.CreatedAt.Add(d.ttl).Truncate(time.Millisecond)
	}
	return *d.event, nil
}

// object cuts a JSON object into its fields.
func object(payload []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil || fields == nil { // nil: null
		return nil, invalid("", jsonProblem(err))
	}
	return fields, nil
}

func jsonProblem(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return "no valid JSON at byte " + strconv.FormatInt(syntax.Offset, 10) + ": " + syntax.Error()
	}
	return "want a JSON object"
}

// nearest is the field name that a wrong one was probably meant to be.
func nearest(name string) string {
	best, distance := "", min(3, len(name))
	for _, known := range fieldNames() {
		if d := editDistance(strings.ToLower(name), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := i
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
