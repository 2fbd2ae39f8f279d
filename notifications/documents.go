package notifications

import (
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// decodeDocument reads the object of a request strictly. The error is an
// [*InvalidError] that names the field.
func decodeDocument(data []byte, set setter) error {
	fields, err := object(data)
	if err == nil && !utf8.Valid(data) {
		err = invalid("", "not UTF-8")
	}
	if err == nil {
		err = setAll("", fields, set)
	}
	return ofRequest(err)
}

// ofRequest says that what is wrong is no event.
func ofRequest(err error) error {
	if wrong, ok := errors.AsType[*InvalidError](err); ok {
		return unfit(wrong.Field, wrong.Reason)
	}
	return err
}

// DecodeMute reads a mute strictly.
func DecodeMute(data []byte) (Mute, error) {
	var m Mute
	err := decodeDocument(data, m.set)
	return m, err
}

// DecodeVersionedPreferences reads a preference document that may name the
// version it was made from, for [Inboxes.SetPreferences]; 0 = it does not.
func DecodeVersionedPreferences(data []byte, now time.Time) (Preferences, Version, error) {
	var p Preferences
	var version Version
	err := decodeDocument(data, func(at, name string, raw json.RawMessage) (bool, error) {
		if name != "version" {
			return p.set(at, name, raw)
		}
		if string(raw) == "0" { // what comes with preferences that were never set
			version = PreferencesUnset
			return true, nil
		}
		return true, decode(at, raw, &version, "the version that came with the preferences")
	})
	if err == nil {
		err = p.Validate(now)
	}
	return p, version, err
}

// DecodeInboxQuery reads a query strictly.
func DecodeInboxQuery(data []byte) (InboxQuery, error) {
	var q InboxQuery
	err := decodeDocument(data, func(at, name string, raw json.RawMessage) (bool, error) {
		switch name {
		case "before":
			return true, decode(at, raw, &q.Before, "the next of a page")
		case "limit":
			return true, decode(at, raw, &q.Limit, "a number")
		case "types":
			return true, decode(at, raw, &q.Types, "an array of types")
		case "severities":
			return true, decode(at, raw, &q.Severities, "an array of severities")
		case "states":
			return true, decode(at, raw, &q.Statuses, "an array of states")
		}
		return false, nil
	})
	return q, err
}
