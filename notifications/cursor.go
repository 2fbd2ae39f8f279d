package notifications

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// cursorVersion is the first byte of every cursor of this form: version,
// epoch (8 bytes), number of logs (uvarint, 1 today), position (uvarint),
// time in Unix milliseconds (uvarint), CRC-32C of all that (4 bytes).
const cursorVersion = 1

// maxCursorText bounds what is decoded at all.
const maxCursorText = 256

// ErrCursor says that a text is no cursor of ours.
var ErrCursor = errors.New("not a cursor")

// Cursor says up to which position a client has everything. Clients treat its
// text as opaque. The epoch and the time of the entry at the position make it
// possible to notice a log that was made anew, or that lost its end and used
// positions twice.
type Cursor struct {
	Epoch    uint64
	Position Position
	// Stored is the time of the entry at Position, or zero for a position that
	// is not that of an entry the holder was given.
	Stored time.Time
}

// At is the cursor of an entry in the log of the given epoch.
func (e *Entry) At(epoch uint64) Cursor {
	return Cursor{Epoch: epoch, Position: e.Position, Stored: e.Stored}
}

// String is the opaque text: base64url without padding.
func (c Cursor) String() string {
	var buf [40]byte
	b := append(buf[:0], cursorVersion)
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = binary.AppendUvarint(b, 1)
	b = binary.AppendUvarint(b, uint64(c.Position))
	var ms uint64
	if !c.Stored.IsZero() {
		ms = uint64(max(c.Stored.UnixMilli(), 0))
	}
	b = binary.AppendUvarint(b, ms)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseCursor reads the text form. The error wraps [ErrCursor].
func ParseCursor(text string) (Cursor, error) {
	if len(text) > maxCursorText {
		return Cursor{}, fmt.Errorf("%w: %d bytes", ErrCursor, len(text))
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 1+8+3+4 {
		return Cursor{}, fmt.Errorf("%w: %q", ErrCursor, clip(text))
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if body[0] != cursorVersion || crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return Cursor{}, fmt.Errorf("%w: %q", ErrCursor, clip(text))
	}
	c := Cursor{Epoch: binary.BigEndian.Uint64(body[1:9])}
	var numbers [3]uint64
	rest := body[9:]
	for i := range numbers {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return Cursor{}, fmt.Errorf("%w: %q", ErrCursor, clip(text))
		}
		numbers[i], rest = n, rest[size:]
	}
	if numbers[0] != 1 || len(rest) != 0 || numbers[2] > 1<<53 {
		return Cursor{}, fmt.Errorf("%w: %q", ErrCursor, clip(text))
	}
	c.Position = Position(numbers[1])
	if numbers[2] > 0 {
		c.Stored = time.UnixMilli(int64(numbers[2])).UTC() //nolint:gosec // at most 2^53, see above
	}
	if c.String() != text { // base64 passes over line feeds and the last bits
		return Cursor{}, fmt.Errorf("%w: %q", ErrCursor, clip(text))
	}
	return c, nil
}

// MarshalJSON writes the text form.
func (c Cursor) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// UnmarshalJSON reads the text form.
func (c *Cursor) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%w: %w", ErrCursor, err)
	}
	parsed, err := ParseCursor(text)
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
