package notifications

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a [Recipient].
type Kind string

// The kinds of recipients.
const (
	User       Kind = "user"
	Role       Kind = "role"
	Group      Kind = "group"
	Everyone   Kind = "everyone"
	Connection Kind = "connection" // live only, never in the log
)

// MaxKeyBytes bounds the key of a recipient.
const MaxKeyBytes = 256

// Recipient is who is told. Its text is the same in the log, in an address and
// in a log line: the kind, a slash and the key verbatim ("user/ann",
// "group/g/1 x"); "everyone" stands alone.
type Recipient struct {
	Kind Kind
	// Key is the user id, the name of the role or group or the connection id,
	// 1–256 bytes of UTF-8; empty for everyone.
	Key string
}

// ToUser is every connection of the user.
func ToUser(id string) Recipient { return Recipient{User, id} }

// ToRole is every connection whose token holds the role.
func ToRole(name string) Recipient { return Recipient{Role, name} }

// ToGroup is every connection that joined the group.
func ToGroup(name string) Recipient { return Recipient{Group, name} }

// ToEveryone is every connection of the hub.
func ToEveryone() Recipient { return Recipient{Kind: Everyone} }

// ParseRecipient reads the text form and validates it.
func ParseRecipient(text string) (Recipient, error) {
	kind, key, _ := strings.Cut(text, "/")
	r := Recipient{Kind(kind), key}
	if err := r.Validate(); err != nil {
		return Recipient{}, err
	}
	if r.String() != text { // "everyone/"
		return Recipient{}, fmt.Errorf("recipient %q: want %s", clip(text), r)
	}
	return r, nil
}

// String is the text form; see [Recipient].
func (r Recipient) String() string {
	if r.Kind == Everyone {
		return string(Everyone)
	}
	return string(r.Kind) + "/" + r.Key
}

// Validate says what is wrong with r, or nil.
func (r Recipient) Validate() error {
	switch r.Kind {
	case User, Role, Group, Connection:
	case Everyone:
		if r.Key != "" {
			return fmt.Errorf("recipient everyone takes no name, got %q", clip(r.Key))
		}
		return nil
	default:
		text := strings.TrimSuffix(r.String(), "/")
		return fmt.Errorf("recipient %q: want user/…, role/…, group/… or everyone", clip(text))
	}
	switch {
	case r.Key == "":
		return fmt.Errorf("recipient %q has no name after the slash", r.Kind+"/")
	case len(r.Key) > MaxKeyBytes:
		return fmt.Errorf("recipient %s/…: name of %d bytes, at most %d are allowed", r.Kind, len(r.Key), MaxKeyBytes)
	case !utf8.ValidString(r.Key):
		return fmt.Errorf("recipient %s/…: name is not UTF-8", r.Kind)
	}
	return nil
}

// MarshalJSON writes the text form.
func (r Recipient) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads the text form.
func (r *Recipient) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("recipient: want a string such as \"user/ann\": %w", err)
	}
	parsed, err := ParseRecipient(text)
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// clip keeps an error text short whatever came in.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}
