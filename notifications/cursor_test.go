package notifications_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidings/notifications"
)

// cursors are all that an entry may have: times have milliseconds.
func cursors() *rapid.Generator[notifications.Cursor] {
	return rapid.Custom(func(t *rapid.T) notifications.Cursor {
		c := notifications.Cursor{
			Epoch:    rapid.Uint64().Draw(t, "epoch"),
			Position: notifications.Position(rapid.Uint64().Draw(t, "position")),
		}
		if ms := rapid.Int64Range(0, 1<<53).Draw(t, "stored"); ms > 0 {
			c.Stored = time.UnixMilli(ms).UTC()
		}
		return c
	})
}

func TestCursorIsItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := cursors().Draw(t, "cursor")
		if got, err := notifications.ParseCursor(want.String()); got != want || err != nil {
			t.Errorf("%s: got %+v, error %v, want %+v", want, got, err, want)
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got notifications.Cursor
		if err := json.Unmarshal(text, &got); got != want || err != nil {
			t.Errorf("JSON %s: got %+v, error %v, want %+v", text, got, err, want)
		}
	})
}

func TestDamagedCursorIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := cursors().Draw(t, "cursor")
		text := []byte(c.String())
		raw, err := base64.RawURLEncoding.DecodeString(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(raw) {
			damaged := append([]byte(nil), raw...)
			damaged[bit/8] ^= 1 << (bit % 8)
			refuseCursor(t, base64.RawURLEncoding.EncodeToString(damaged), c)
		}
		for bit := range 8 * len(text) {
			damaged := append([]byte(nil), text...)
			damaged[bit/8] ^= 1 << (bit % 8)
			refuseCursor(t, string(damaged), c)
		}
		for cut := range text {
			refuseCursor(t, string(text[:cut]), c)
			refuseCursor(t, string(text[cut+1:]), c)
		}
		for _, other := range []string{"\n", "=", "A", " "} {
			refuseCursor(t, string(text)+other, c)
			refuseCursor(t, other+string(text), c)
		}
	})
}

func refuseCursor(t *rapid.T, text string, of notifications.Cursor) {
	t.Helper()
	if got, err := notifications.ParseCursor(text); !errors.Is(err, notifications.ErrCursor) || got != (notifications.Cursor{}) {
		t.Errorf("%q, made of %s: got %+v, error %v, want ErrCursor", text, of, got, err)
	}
}

func TestTextThatIsNoCursorIsRefused(t *testing.T) {
	// sealed has the right sum.
	sealed := func(version byte, numbers ...uint64) string {
		b := append([]byte{version}, make([]byte, 8)...)
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		return base64.RawURLEncoding.EncodeToString(b)
	}
	if got, err := notifications.ParseCursor(sealed(1, 1, 41, 1000)); err != nil || got.Position != 41 || got.Stored != time.UnixMilli(1000).UTC() {
		t.Fatalf("a good one: got %+v, error %v", got, err)
	}
	overlong := append([]byte{1}, make([]byte, 8)...)
	overlong = append(overlong, 0x81, 0x00, 41, 0) // 1 in two bytes
	overlong = binary.BigEndian.AppendUint32(overlong, crc32.Checksum(overlong, crc32.MakeTable(crc32.Castagnoli)))
	for _, test := range []struct{ name, text string }{
		{"empty", ""},
		{"words", "not a cursor"},
		{"too short", "AQ"},
		{"too long", strings.Repeat("A", 257)},
		{"other version", sealed(2, 1, 41, 1000)},
		{"two logs", sealed(1, 2, 41, 1000)},
		{"no log", sealed(1, 0, 41, 1000)},
		{"a number too many", sealed(1, 1, 41, 1000, 1)},
		{"a number too few", sealed(1, 1, 1<<20)},
		{"time beyond all times", sealed(1, 1, 41, 1<<53+1)},
		{"number that is cut", sealed(1, 1, 41, math.MaxUint64)},
		{"number in more bytes than it needs", base64.RawURLEncoding.EncodeToString(overlong)},
		{"standard alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(notifications.Cursor{Epoch: math.MaxUint64}.String())},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := notifications.ParseCursor(test.text); !errors.Is(err, notifications.ErrCursor) || got != (notifications.Cursor{}) {
				t.Errorf("%q: got %+v, error %v, want ErrCursor", test.text, got, err)
			}
		})
	}
}

func TestTextOfACursorIsPublic(t *testing.T) {
	// Clients keep cursors: this text has to be readable for ever.
	const text = "AQAAAAAAAAAHASmu-vL5tzMiWFnI"
	c := notifications.Cursor{Epoch: 7, Position: 41, Stored: now}
	if got := c.String(); got != text {
		t.Errorf("%+v: got %s, want %s", c, got, text)
	}
	if got, err := notifications.ParseCursor(text); got != c || err != nil {
		t.Errorf("%s: got %+v, error %v, want %+v", text, got, err, c)
	}
}

func TestCursorHasMillisecondsAndNoTimeBefore1970(t *testing.T) {
	for _, test := range []struct{ stored, want time.Time }{
		{now.Add(999 * time.Microsecond).In(time.FixedZone("", 3600)), now},
		{time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
		{time.Time{}, time.Time{}},
	} {
		e := notifications.Entry{Position: 41, Stored: test.stored}
		want := notifications.Cursor{Epoch: 7, Position: 41, Stored: test.want}
		if got, err := notifications.ParseCursor(e.At(7).String()); got != want || err != nil {
			t.Errorf("stored at %v: got %+v, error %v, want %+v", test.stored, got, err, want)
		}
	}
}

func TestJSONThatIsNoCursorIsRefused(t *testing.T) {
	for _, text := range []string{`7`, `{}`, `"x"`, `""`} {
		var got notifications.Cursor
		if err := json.Unmarshal([]byte(text), &got); !errors.Is(err, notifications.ErrCursor) || got != (notifications.Cursor{}) {
			t.Errorf("%s: got %+v, error %v, want ErrCursor", text, got, err)
		}
	}
}
