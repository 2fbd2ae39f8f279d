package notifications

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// The bounds of a preference document.
const (
	maxMutes     = 200
	maxMuteYears = 10
)

// Preferences say which events raise no alert for a user. Whatever they say,
// events reach the inbox, and critical ones raise an alert. The zero value mutes
// nothing. Its JSON names are public API.
type Preferences struct {
	Mutes      []Mute      `json:"mutes,omitempty"`
	QuietHours *QuietHours `json:"quietHours,omitempty"`
}

// Mute silences a type of events or a group: one of the two.
type Mute struct {
	// Type is a type such as "order.shipped", or the beginning of types:
	// "order.*" is every type that begins with "order.", "*" every type.
	Type  string `json:"type,omitempty"`
	Group string `json:"group,omitempty"`
	// Until ends it; zero = never.
	Until time.Time `json:"until,omitzero"`
}

// QuietHours is the time of day in which no alert is raised.
type QuietHours struct {
	// From and To are times of the clock in the zone, such as "22:00"; To may be
	// on the next day.
	From string `json:"from"`
	To   string `json:"to"`
	// Zone is a name of the IANA time zone database, such as "Europe/Berlin".
	Zone string `json:"zone"`
	// Days are those on which the hours begin: "mon" to "sun". Empty = all.
	Days []string `json:"days,omitempty"`
}

// DecodePreferences reads a preference document strictly. The error is an
// [*InvalidError] that names the field, such as "mutes[1].until".
func DecodePreferences(data []byte, now time.Time) (Preferences, error) {
	var p Preferences
	err := p.decode(data)
	if wrong, ok := errors.AsType[*InvalidError](err); ok {
		return Preferences{}, unfit(wrong.Field, wrong.Reason)
	}
	if err := p.Validate(now); err != nil {
		return Preferences{}, err
	}
	return p, nil
}

func (p *Preferences) decode(data []byte) error {
	if !utf8.Valid(data) {
		return invalid("", "not UTF-8")
	}
	fields, err := object(data)
	if err != nil {
		return err
	}
	return setAll("", fields, p.set)
}

// setter reads one field of an object. at is its path in the document; known is
// false for a name that is no field.
type setter func(at, name string, raw json.RawMessage) (known bool, err error)

// setAll reads the fields of the object at a path.
func setAll(of string, fields map[string]json.RawMessage, set setter) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := strings.TrimPrefix(of+"."+clip(name), ".")
		known, err := set(at, name, fields[name])
		if err != nil {
			return err
		}
		if !known {
			return invalid(at, "no such field")
		}
	}
	return nil
}

// setObject is setAll for an object that is a field itself.
func setObject(at string, raw json.RawMessage, want string, set setter) error {
	fields, err := object(raw)
	if err != nil {
		return invalid(at, "want "+want+", got "+clip(string(raw)))
	}
	return setAll(at, fields, set)
}

func (p *Preferences) set(at, name string, raw json.RawMessage) (known bool, err error) {
	switch name {
	case "mutes":
		return true, p.setMutes(at, raw)
	case "quietHours":
		if string(raw) == "null" {
			return true, nil // as if it were absent
		}
		p.QuietHours = &QuietHours{}
		return true, setObject(at, raw, "an object with from, to, zone and days", p.QuietHours.set)
	}
	return false, nil
}

func (p *Preferences) setMutes(at string, raw json.RawMessage) error {
	var all []json.RawMessage
	if err := decode(at, raw, &all, "an array of mutes"); err != nil {
		return err
	}
	p.Mutes = make([]Mute, len(all))
	for i, one := range all {
		if err := setObject(fmt.Sprintf("%s[%d]", at, i), one, "an object with type or group, and until", p.Mutes[i].set); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mute) set(at, name string, raw json.RawMessage) (known bool, err error) {
	switch name {
	case "type":
		return true, decode(at, raw, &m.Type, "a string")
	case "group":
		return true, decode(at, raw, &m.Group, "a string")
	case "until":
		return true, decodeTime(at, raw, &m.Until)
	}
	return false, nil
}

func (q *QuietHours) set(at, name string, raw json.RawMessage) (known bool, err error) {
	switch name {
	case "from":
		return true, decode(at, raw, &q.From, "a string")
	case "to":
		return true, decode(at, raw, &q.To, "a string")
	case "zone":
		return true, decode(at, raw, &q.Zone, "a string")
	case "days":
		return true, decode(at, raw, &q.Days, `an array of days such as "mon"`)
	}
	return false, nil
}

// Validate says which field is wrong, as an [*InvalidError], or nil.
func (p *Preferences) Validate(now time.Time) error {
	if len(p.Mutes) > maxMutes {
		return unfit("mutes", fmt.Sprintf("has %d, at most %d are allowed", len(p.Mutes), maxMutes))
	}
	for i, m := range p.Mutes {
		if field, reason := m.wrong(now); reason != "" {
			return unfit(fmt.Sprintf("mutes[%d]%s", i, field), reason)
		}
	}
	if p.QuietHours != nil {
		return p.QuietHours.validate()
	}
	return nil
}

func (m Mute) wrong(now time.Time) (field, reason string) {
	switch {
	case (m.Type == "") == (m.Group == ""):
		return "", "wants either a type or a group"
	case len(m.Type) > maxType:
		return ".type", fmt.Sprintf("has %d bytes, at most %d are allowed", len(m.Type), maxType)
	case hasControl(m.Type):
		return ".type", "holds control characters"
	case strings.Contains(strings.TrimSuffix(m.Type, "*"), "*"), strings.HasSuffix(m.Type, "*") && m.Type != "*" && !strings.HasSuffix(m.Type, ".*"):
		return ".type", `wants a type, the beginning of types such as "order.*", or "*"`
	case m.Group != "" && ToGroup(m.Group).Validate() != nil:
		return ".group", "wants the name of a group, 1 to 256 bytes of UTF-8"
	case m.Until.Year() < 0:
		return ".until", "wants a year of four digits"
	case m.Until.After(now.AddDate(maxMuteYears, 0, 0)):
		return ".until", "is more than ten years away; leave it out for ever"
	}
	return "", ""
}

const clock = "15:04"

// weekdays are the names of the days, each at its [time.Weekday].
func weekdays() [7]string { return [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func (q *QuietHours) validate() error {
	for _, f := range []struct{ name, value string }{{"from", q.From}, {"to", q.To}} {
		if _, ok := minutes(f.value); !ok {
			return unfit("quietHours."+f.name, `want a time of the clock such as "22:00", got "`+clip(f.value)+`"`)
		}
	}
	if q.From == q.To {
		return unfit("quietHours.to", "is the same time as from")
	}
	if zone(q.Zone) == nil {
		return unfit("quietHours.zone", `want a time zone such as "Europe/Berlin", got "`+clip(q.Zone)+`"`)
	}
	names := weekdays()
	if len(q.Days) > len(names) {
		return unfit("quietHours.days", fmt.Sprintf("has %d, at most %d are allowed", len(q.Days), len(names)))
	}
	for i, day := range q.Days {
		if !slices.Contains(names[:], day) {
			return unfit(fmt.Sprintf("quietHours.days[%d]", i), `want "mon", "tue", "wed", "thu", "fri", "sat" or "sun", got "`+clip(day)+`"`)
		}
	}
	return nil
}

// minutes since midnight of a time of the clock.
func minutes(text string) (int, bool) {
	t, err := time.Parse(clock, text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len(clock)
}

// zones keeps what was loaded: a delivery must not read a file.
var zones sync.Map //nolint:gochecknoglobals // a cache of *time.Location by name, as hub/protocol has one of shapes

// zone is a time zone, or nil when there is none of that name.
func zone(name string) *time.Location {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location) //nolint:forcetypeassert // nothing else is stored
	}
	if !zoneName(name) {
		return nil
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	zones.Store(name, location)
	return location
}

// zoneName tells whether a name may be one of the database. The others would
// mean another zone on another machine ("Local", "localtime"), or be one more
// path to the same file ("Europe//Berlin"), of which there is no end.
func zoneName(name string) bool {
	return name != "" && name[0] >= 'A' && name[0] <= 'Z' && name != "Local" && path.Clean(name) == name
}

// Silences tells why an event that was stored at that time raises no alert, such
// as "type order.*", "group ops" or "quiet hours"; empty = it raises one, or it takes an alert back.
func (p *Preferences) Silences(e *Event, stored time.Time) string {
	kind, name := p.silencedBy(e, stored)
	return kind + name // inlined: who only compares it with "" rarely allocates
}

func (p *Preferences) silencedBy(e *Event, stored time.Time) (kind, name string) {
	if e.Severity == Critical || e.Recalls != "" || len(p.Mutes) == 0 && p.QuietHours == nil {
		return "", ""
	}
	for _, m := range p.Mutes {
		if !m.Until.IsZero() && !stored.Before(m.Until) {
			continue
		}
		switch {
		case m.Type != "" && matches(m.Type, e.Type):
			return "type ", m.Type
		case m.Group != "" && e.Recipient == ToGroup(m.Group):
			return "group ", m.Group
		}
	}
	if p.QuietHours.hold(stored) {
		return "quiet hours", ""
	}
	return "", ""
}

// matches tells whether a type is meant by a pattern, see [Mute].
func matches(pattern, of string) bool {
	if prefix, is := strings.CutSuffix(pattern, "*"); is {
		return strings.HasPrefix(of, prefix)
	}
	return pattern == of
}

// hold tells whether it is quiet at that time.
func (q *QuietHours) hold(at time.Time) bool {
	if q == nil {
		return false
	}
	location := zone(q.Zone)
	from, ok := minutes(q.From)
	to, ok2 := minutes(q.To)
	if location == nil || !ok || !ok2 {
		return false // it was checked when it was set; a zone may have gone since
	}
	local := at.In(location)
	now, day := local.Hour()*60+local.Minute(), local.Weekday()
	switch {
	case from < to:
		return now >= from && now < to && q.on(day)
	case now >= from:
		return q.on(day)
	case now < to: // it began the day before
		return q.on((day + 6) % 7)
	}
	return false
}

func (q *QuietHours) on(day time.Weekday) bool {
	return len(q.Days) == 0 || slices.Contains(q.Days, weekdays()[day])
}
