package notifications_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tidings/notifications"
)

// recipients are all that are valid.
func recipients() *rapid.Generator[notifications.Recipient] {
	kinds := rapid.SampledFrom([]notifications.Kind{
		notifications.User, notifications.Role, notifications.Group, notifications.Connection, notifications.Everyone,
	})
	keys := rapid.StringN(1, -1, notifications.MaxKeyBytes)
	return rapid.Custom(func(t *rapid.T) notifications.Recipient {
		r := notifications.Recipient{Kind: kinds.Draw(t, "kind")}
		if r.Kind != notifications.Everyone {
			r.Key = keys.Draw(t, "key")
		}
		return r
	})
}

func TestRecipientIsItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := recipients().Draw(t, "recipient")
		if got, err := notifications.ParseRecipient(want.String()); got != want || err != nil {
			t.Errorf("%q: got %#v, error %v, want %#v", want.String(), got, err, want)
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got notifications.Recipient
		if err := json.Unmarshal(text, &got); got != want || err != nil {
			t.Errorf("JSON %s: got %#v, error %v, want %#v", text, got, err, want)
		}
	})
}

func TestTextOfARecipient(t *testing.T) {
	for _, test := range []struct {
		recipient notifications.Recipient
		want      string
	}{
		{notifications.ToUser("ann@example.com"), "user/ann@example.com"},
		{notifications.ToRole("ops & more"), "role/ops & more"},
		{notifications.ToGroup("g/1 x"), "group/g/1 x"},
		{notifications.ToGroup("/"), "group//"},
		{notifications.ToUser("Zoë 🎈"), "user/Zoë 🎈"},
		{notifications.ToUser("everyone"), "user/everyone"},
		{notifications.Recipient{Kind: notifications.Connection, Key: "c1"}, "connection/c1"},
		{notifications.ToEveryone(), "everyone"},
	} {
		if got := test.recipient.String(); got != test.want {
			t.Errorf("%#v: got %q, want %q", test.recipient, got, test.want)
		}
		if got, err := notifications.ParseRecipient(test.want); got != test.recipient || err != nil {
			t.Errorf("%q: got %#v, error %v, want %#v", test.want, got, err, test.recipient)
		}
	}
}

func TestRecipientThatIsNoneIsRefused(t *testing.T) {
	long := strings.Repeat("k", 257)
	for _, test := range []struct{ text, want string }{
		{"", `recipient "": want user/…, role/…, group/… or everyone`},
		{"ann", `recipient "ann": want user/…, role/…, group/… or everyone`},
		{"User/ann", `recipient "User/ann": want user/…, role/…, group/… or everyone`},
		{" user/ann", `recipient " user/ann": want user/…, role/…, group/… or everyone`},
		{"users/" + long, `recipient "users/` + long[:58] + `…": want user/…, role/…, group/… or everyone`},
		{strings.Repeat("ä", 40), `recipient "` + strings.Repeat("ä", 32) + `…": want user/…, role/…, group/… or everyone`},
		{"user", `recipient "user/" has no name after the slash`},
		{"group/", `recipient "group/" has no name after the slash`},
		{"role/" + long, `recipient role/…: name of 257 bytes, at most 256 are allowed`},
		{"user/\xff", `recipient user/…: name is not UTF-8`},
		{"everyone/ann", `recipient everyone takes no name, got "ann"`},
	} {
		got, err := notifications.ParseRecipient(test.text)
		if got != (notifications.Recipient{}) || err == nil || err.Error() != test.want {
			t.Errorf("%.80q: got %#v, error %v, want %s", test.text, got, err, test.want)
		}
	}
}

func TestJSONThatIsNoRecipientIsRefused(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`7`, `recipient: want a string such as "user/ann"`},
		{`{"Kind":"user","Key":"ann"}`, `recipient: want a string such as "user/ann"`},
		{`"ann"`, `recipient "ann": want user/…`},
		{`"user/"`, `recipient "user/" has no name`},
	} {
		got := notifications.ToUser("ann")
		err := json.Unmarshal([]byte(test.text), &got)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want %q", test.text, err, test.want)
		}
		if got != notifications.ToUser("ann") {
			t.Errorf("%s: the recipient was changed to %#v", test.text, got)
		}
	}
}
