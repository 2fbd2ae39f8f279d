package notifications

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxReplayLast bounds ?replay=last:N.
const maxReplayLast = 10_000

// maxDeviceBytes bounds a device id.
const maxDeviceBytes = 128

// ResumeRequest is what a client says of itself when it connects: how much of
// the log it has, strongest form first (docs/guides/events.md, "Replay").
type ResumeRequest struct {
	// Cursor is the text the client kept, or empty.
	Cursor string
	// Device is the stable id of a device whose state the server keeps, or
	// empty.
	Device string
	// Last, Since and All ask for history when nothing is known.
	Last  int
	Since time.Time
	All   bool
}

// ParseResume reads the query of a hub URL: cursor, device and replay, their
// names without regard to case. The error names the parameter. A cursor is not
// judged here: one that cannot be read is a cursor that cannot be reached.
func ParseResume(query url.Values) (ResumeRequest, error) {
	var r ResumeRequest
	for name, values := range query {
		if len(values) == 0 {
			continue
		}
		var err error
		switch strings.ToLower(name) {
		case "cursor":
			r.Cursor = values[0]
		case "device":
			r.Device = values[0]
			if len(r.Device) > maxDeviceBytes || hasControl(r.Device) {
				err = fmt.Errorf("device: want 1 to %d bytes of text", maxDeviceBytes)
			}
		case "replay":
			err = r.parseReplay(values[0])
		}
		if err != nil {
			return ResumeRequest{}, err
		}
	}
	return r, nil
}

func (r *ResumeRequest) parseReplay(text string) error {
	form, value, _ := strings.Cut(text, ":")
	var err error
	switch {
	case text == "":
	case text == "all":
		r.All = true
	case form == "last":
		r.Last, err = strconv.Atoi(value)
		if err != nil || r.Last < 1 || r.Last > maxReplayLast {
			return fmt.Errorf("replay: want last:1 to last:%d, got %q", maxReplayLast, clip(text))
		}
	case form == "since":
		// A plus sign that was not escaped in the query arrives as a space.
		r.Since, err = time.Parse(time.RFC3339, strings.ReplaceAll(value, " ", "+"))
		if err != nil {
			return fmt.Errorf("replay: want since:<RFC 3339 time>, got %q", clip(text))
		}
		r.All = r.Since.IsZero()
	default:
		return fmt.Errorf("replay: want last:N, since:TIME or all, got %q", clip(text))
	}
	return nil
}

// Start is where a connection begins to hear the log.
type Start struct {
	After Position
	// Oldest says that After is wherever the log begins, whatever it has
	// dropped by the time it is read.
	Oldest  bool
	Resumed Resumed
}

// Resumed is the first thing a client of a log hears. Its JSON names are
// public API.
type Resumed struct {
	// Cursor is where the client stands now, before what it missed.
	Cursor string `json:"cursor"`
	// Replaying says that something it missed follows.
	Replaying bool `json:"replaying"`
	// Truncated says that something it missed is gone for good: it should load
	// its state anew. First is the first position still there.
	Truncated bool     `json:"truncated"`
	First     Position `json:"first"`
}

// Resolve decides where a connection starts. device is what is known of its
// device, or nil.
func (r ResumeRequest) Resolve(log Reader, hub string, memberships []Membership, device *Device) Start {
	state := log.State()
	s := Start{After: state.Last}
	truncated := false
	cursor, known := r.cursor(device)
	switch {
	case known == nil:
		s.After, truncated = reach(log, state, cursor)
		s.Oldest = truncated
	case !errors.Is(known, errNothingKnown):
		s.After, s.Oldest, truncated = state.First-1, true, true
	case r.All:
		s.After, s.Oldest = state.First-1, true
	case r.Last > 0:
		s.After, _ = log.Recent(hub, memberships, r.Last)
	case !r.Since.IsZero():
		first, retained := log.StoredAt(state.First)
		s.After = max(log.Before(r.Since), state.First-1)
		s.Oldest = s.After == state.First-1
		truncated = state.First > 1 && retained && r.Since.Before(first)
	}
	newest, found := log.Recent(hub, memberships, 1)
	s.Resumed = Resumed{
		Cursor:    at(log, state, s.After).String(),
		Replaying: found > 0 && newest+1 > s.After,
		Truncated: truncated,
		First:     state.First,
	}
	return s
}

// Ahead tells whether the client has been further than the log is known to go,
// because another node has read more of it.
func (r ResumeRequest) Ahead(state LogState, device *Device) bool {
	c, err := r.cursor(device)
	return err == nil && c.Epoch == state.Epoch && c.Position > state.End
}

var errNothingKnown = errors.New("nothing is known of the client")

// cursor is the strongest one there is.
func (r ResumeRequest) cursor(device *Device) (Cursor, error) {
	if r.Cursor != "" {
		c, err := ParseCursor(r.Cursor)
		if err == nil || device == nil {
			return c, err
		}
	}
	if device != nil {
		return device.Cursor, nil
	}
	return Cursor{}, errNothingKnown
}

// reach tells where a cursor leads in this log. One of another epoch, beyond
// the end, or at an entry of another time is of a log that is no more; one
// before the first position has lost what lay between. Then everything that is
// still there follows.
func reach(log Reader, state LogState, c Cursor) (after Position, truncated bool) {
	stored, held := log.StoredAt(c.Position)
	switch {
	case c.Epoch != state.Epoch, c.Position > state.End, c.Position+1 < state.First,
		held && !c.Stored.IsZero() && !stored.Equal(c.Stored):
		return state.First - 1, true
	}
	return c.Position, false
}

// at is the cursor of a position, with its time if the log holds it.
func at(log Reader, state LogState, p Position) Cursor {
	c := Cursor{Epoch: state.Epoch, Position: p}
	if stored, held := log.StoredAt(p); held {
		c.Stored = stored
	}
	return c
}

// CursorAt is the cursor of a position in the log as it is now.
func CursorAt(log Reader, p Position) Cursor { return at(log, log.State(), p) }
