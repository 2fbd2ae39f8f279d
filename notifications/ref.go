package notifications

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Ref names a notification of an inbox: by the id of its event, or by its
// position. In JSON it is a string or a number.
type Ref struct {
	ID       string
	Position Position
}

// UnmarshalJSON reads an id or a position.
func (r *Ref) UnmarshalJSON(data []byte) error {
	*r = Ref{}
	if json.Unmarshal(data, &r.Position) == nil && r.Position > 0 {
		return nil
	}
	r.Position = 0
	if json.Unmarshal(data, &r.ID) != nil || r.ID == "" || len(r.ID) > maxID || hasControl(r.ID) {
		return unfit("ids", "want the id of a notification, or its position, got "+shown(data))
	}
	return nil
}

// String is the reference as an error shows it.
func (r Ref) String() string {
	if r.Position > 0 {
		return strconv.FormatUint(uint64(r.Position), 10)
	}
	return strconv.Quote(clip(r.ID))
}

// shown is what somebody sent, as an error shows it.
func shown(data []byte) string { return strings.ToValidUTF8(clip(string(data)), "\uFFFD") }

// UpTo is a place in the log: a position, the cursor of a notification, or the
// end of the log. In JSON it is a number, a string or null.
type UpTo struct {
	Position Position
	Cursor   Cursor
}

// UnmarshalJSON reads a position, a cursor or null.
func (u *UpTo) UnmarshalJSON(data []byte) error {
	*u = UpTo{}
	if string(data) == "null" {
		return nil
	}
	if json.Unmarshal(data, &u.Position) == nil && u.Position > 0 {
		return nil
	}
	u.Position = 0
	if err := json.Unmarshal(data, &u.Cursor); err != nil || u.Cursor == (Cursor{}) { // that of no log, which would be the end
		return unfit("upTo", "want a position, the cursor of a notification, or null, got "+shown(data))
	}
	return nil
}

// position is the place in the log as it is.
func (u UpTo) position(log LogState) (Position, error) {
	p := u.Position
	if u.Cursor != (Cursor{}) {
		if u.Cursor.Epoch != log.Epoch {
			return 0, unfit("upTo", "is a place in a log that is no more; load the inbox again")
		}
		p = u.Cursor.Position
	}
	switch {
	case u == UpTo{}:
		return log.Last, nil
	case p > log.Last:
		return 0, unfit("upTo", "is "+strconv.FormatUint(uint64(p), 10)+", beyond the end of the log at "+strconv.FormatUint(uint64(log.Last), 10))
	}
	return p, nil
}

// DecodeRefs reads an array of ids and positions.
func DecodeRefs(data []byte) ([]Ref, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, unfit("ids", "want an array of ids or positions, got "+shown(data))
	}
	if len(raw) > maxRefs {
		return nil, tooManyRefs(len(raw))
	}
	refs := make([]Ref, len(raw))
	for i, one := range raw {
		if refs[i].UnmarshalJSON(one) != nil {
			return nil, unfit("ids["+strconv.Itoa(i)+"]", "want the id of a notification, or its position, got "+shown(one))
		}
	}
	return refs, nil
}

func tooManyRefs(n int) error {
	return unfit("ids", "want 1 to "+strconv.Itoa(maxRefs)+" ids or positions, got "+strconv.Itoa(n))
}
