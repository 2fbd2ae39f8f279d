//nolint:gosec // G115: the bits of numbers are cut and moved here, each below a comparison that says it is safe
package protocol

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// The primitives of MessagePack (its text is "spec.md" of msgpack/msgpack):
// each appends one format, in its smallest form. None is longer than 4 GiB,
// because no record is: see [packCodec.Append].

func packNil(b []byte) []byte { return append(b, 0xc0) }

func packBool(b []byte, v bool) []byte { //nolint:revive // the flag is the value
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func packInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return packUint(b, uint64(n))
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
	}
}

func packUint(b []byte, n uint64) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
	}
}

func packFloat32(b []byte, f float32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xca), math.Float32bits(f))
}

func packFloat64(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(f))
}

// packString replaces bytes that are no UTF-8 by U+FFFD, as JSON does.
func packString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	if n := len(s); n < 32 {
		b = append(b, 0xa0|byte(n))
	} else {
		b = packSize(b, 0xd9, n)
	}
	return append(b, s...)
}

func packBytes(b, data []byte) []byte {
	return append(packSize(b, 0xc4, len(data)), data...)
}

func packArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return packCount(b, 0xdc, n)
}

func packMap(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x80|byte(n))
	}
	return packCount(b, 0xde, n)
}

func packExtension(b []byte, kind int8, data []byte) []byte {
	switch len(data) {
	case 1:
		b = append(b, 0xd4)
	case 2:
		b = append(b, 0xd5)
	case 4:
		b = append(b, 0xd6)
	case 8:
		b = append(b, 0xd7)
	case 16:
		b = append(b, 0xd8)
	default:
		b = packSize(b, 0xc7, len(data))
	}
	return append(append(b, byte(kind)), data...)
}

// packTime is the timestamp extension, 4, 8 or 12 bytes of it.
func packTime(b []byte, t time.Time) []byte {
	var data [12]byte
	seconds, nanoseconds := t.Unix(), t.Nanosecond()
	switch {
	case seconds>>34 != 0: // negative, or too large for 34 bits
		binary.BigEndian.PutUint32(data[:4], uint32(nanoseconds))
		binary.BigEndian.PutUint64(data[4:], uint64(seconds))
		return packExtension(b, timestamp, data[:12])
	case nanoseconds == 0 && seconds <= math.MaxUint32:
		binary.BigEndian.PutUint32(data[:4], uint32(seconds))
		return packExtension(b, timestamp, data[:4])
	default:
		binary.BigEndian.PutUint64(data[:8], uint64(nanoseconds)<<34|uint64(seconds))
		return packExtension(b, timestamp, data[:8])
	}
}

// packPrefix puts its length before the record that begins at start.
func packPrefix(b []byte, start int) []byte {
	var prefix [maxPrefix]byte
	n := binary.PutUvarint(prefix[:], uint64(len(b)-start))
	return slices.Insert(b, start, prefix[:n]...)
}

// packSize writes the length of a string, of bytes or of an extension: code is
// the format with one byte of it, those with two and four follow.
func packSize(b []byte, code byte, n int) []byte {
	if n <= math.MaxUint8 {
		return append(b, code, byte(n))
	}
	return packCount(b, code+1, n)
}

// packCount writes a number of elements: code is the format with two bytes of
// it, that with four follows.
func packCount(b []byte, code byte, n int) []byte {
	if n <= math.MaxUint16 {
		return binary.BigEndian.AppendUint16(append(b, code), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, code+1), uint32(n))
}

// endMap puts the number of pairs into a map that was begun at start with one
// byte for it, before anybody knew how many there would be. endArray does the
// same.
func endMap(b []byte, start, n int) []byte { return endCount(b, start, packMap(nil, n)) }

func endArray(b []byte, start, n int) []byte { return endCount(b, start, packArray(nil, n)) }

func endCount(b []byte, start int, header []byte) []byte {
	if len(header) == 1 {
		b[start] = header[0]
		return b
	}
	tail := len(b)
	b = append(b, header[1:]...) // room
	copy(b[start+len(header):], b[start+1:tail])
	copy(b[start:], header)
	return b
}
