package persistence

import (
	"errors"
	"fmt"
	"strings"

	"tidings/notifications"
)

// The prefixes of subjects: what is stored, and what is not.
const (
	logPrefix      = "tidings.log."
	livePrefix     = "tidings.live."
	rejectedPrefix = "tidings.rejected."
)

// Subject is where an event for a recipient is published to be stored.
func Subject(hub string, r notifications.Recipient) string { return subject(logPrefix, hub, r) }

// LiveSubject is where an unstored message for a recipient is published.
func LiveSubject(hub string, r notifications.Recipient) string { return subject(livePrefix, hub, r) }

func subject(prefix, hub string, r notifications.Recipient) string {
	s := prefix + EncodeToken(hub) + "." + string(r.Kind)
	if r.Kind == notifications.Everyone {
		return s
	}
	return s + "." + EncodeToken(r.Key)
}

// ParseSubject reads a subject back. After "everyone" one more token is
// accepted and means nothing.
func ParseSubject(text string) (hub string, r notifications.Recipient, err error) {
	return parseSubject(logPrefix, text)
}

func parseSubject(prefix, text string) (hub string, r notifications.Recipient, err error) {
	rest, ok := strings.CutPrefix(text, prefix)
	name, rest, more := strings.Cut(rest, ".")
	kind, key, hasKey := strings.Cut(rest, ".")
	if !ok || !more || strings.Contains(key, ".") {
		return "", r, fmt.Errorf("subject: want %s<hub>.<kind>.<key>", prefix)
	}
	if hub, err = DecodeToken(name); err != nil {
		return "", r, fmt.Errorf("subject: hub: %w", err)
	}
	r.Kind = notifications.Kind(kind)
	if r.Kind != notifications.Everyone {
		if !hasKey {
			return "", r, errors.New("subject: no key after the kind of recipient")
		}
		if r.Key, err = DecodeToken(key); err != nil {
			return "", r, fmt.Errorf("subject: key: %w", err)
		}
	}
	if err := r.Validate(); err != nil {
		return "", r, err
	}
	return hub, r, nil
}

const upperHex = "0123456789ABCDEF"

// EncodeToken writes any text as one token of a subject: bytes other than
// letters, digits, "-", "_" and "~" become =XX. The encoding is injective and
// needs no escaping in shells.
func EncodeToken(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// DecodeToken reads what EncodeToken writes, and nothing else: every name has
// one subject.
func DecodeToken(token string) (string, error) {
	if token != "" && isPlain(token) {
		return strings.Clone(token), nil // which may be a part of something long
	}
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '=' && i+2 < len(token) {
			high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
			c = byte(high<<4 | low) //nolint:gosec // -1 is refused in the next line
			if high < 0 || low < 0 || plain(c) {
				return "", fmt.Errorf("%q: want =XX in upper-case hex, for bytes that need it", token[i:i+3])
			}
			i += 2
		} else if !plain(c) {
			return "", fmt.Errorf("byte %q must be written =XX", c)
		}
		b = append(b, c)
	}
	if len(b) == 0 {
		return "", errors.New("empty")
	}
	return string(b), nil
}

func isPlain(text string) bool {
	for i := range len(text) {
		if !plain(text[i]) {
			return false
		}
	}
	return true
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '~'
}
