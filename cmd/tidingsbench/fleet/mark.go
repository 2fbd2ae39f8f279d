//go:build linux

package fleet

import (
	"encoding/binary"
	"errors"
	"time"
)

// A mark is the one text that every event carries, in the payload {"m":"…"}.
// It reads @RRRRRRRRSSSSSSSSSSSSTTTTTTTTTTTTTTTTLLLL:ff…ff~ : the number of the
// recipient, the sequence number of that recipient, the time of emission in
// Unix nanoseconds and the length of the whole mark, in lower-case hexadecimal,
// then filler and an end. No encoding has to escape any of it.
const (
	markHead     = 42 // until the colon
	markDigits   = 40
	markShortest = markHead + 1
	markLongest  = 0xffff // what four digits can say
	filler64     = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	filler       = filler64 + filler64 + filler64 + filler64 + filler64 + filler64 + filler64 + filler64 +
		filler64 + filler64 + filler64 + filler64 + filler64 + filler64 + filler64 + filler64
)

var (
	errTruncated = errors.New("a truncated mark")
	errMalformed = errors.New("a malformed mark")
)

// mark is what a mark says.
type mark struct {
	recipient uint32
	seq       uint64
	emitted   int64 // Unix ns
	size      int   // of the text
}

// AppendMark appends a mark of size bytes in all, which is at least 43 and at
// most 65,535; other sizes count as the nearest of these. Sequence numbers
// start at 1 and have 48 bits.
func AppendMark(dst []byte, recipient uint32, seq uint64, emitted time.Time, size int) []byte {
	size = min(max(size, markShortest), markLongest)
	dst = append(dst, '@')
	dst = appendHex(dst, uint64(recipient), 8)
	dst = appendHex(dst, seq, 12)
	dst = appendHex(dst, uint64(emitted.UnixNano()), 16)
	dst = appendHex(dst, uint64(size), 4)
	dst = append(dst, ':')
	for left := size - markShortest; left > 0; left -= len(filler) {
		dst = append(dst, filler[:min(left, len(filler))]...)
	}
	return append(dst, '~')
}

func appendHex(dst []byte, n uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&0xf])
	}
	return dst
}

// parseMark reads the mark at the start of text, which may go on behind it.
func parseMark(text []byte) (mark, error) {
	if len(text) < markShortest {
		return mark{}, errTruncated
	}
	digits := text[1 : 1+markDigits]
	n0, ok0 := eightDigits(digits)
	n1, ok1 := eightDigits(digits[8:])
	n2, ok2 := eightDigits(digits[16:])
	n3, ok3 := eightDigits(digits[24:])
	n4, ok4 := eightDigits(digits[32:])
	if !ok0 || !ok1 || !ok2 || !ok3 || !ok4 || text[0] != '@' || text[markHead-1] != ':' {
		return mark{}, errMalformed
	}
	m := mark{
		recipient: uint32(n0), //nolint:gosec // eight digits
		seq:       n1<<16 | n2>>16,
		emitted:   int64(n2<<48 | n3<<16 | n4>>16), //nolint:gosec // a time
		size:      int(n4 & 0xffff),
	}
	if m.size < markShortest || m.size > len(text) || !filled(text[markHead:m.size]) {
		return m, errTruncated
	}
	return m, nil
}

// filled reports whether text is filler and an end.
func filled(text []byte) bool {
	last := len(text) - 1
	if text[last] != '~' {
		return false
	}
	for text = text[:last]; len(text) > len(filler); text = text[len(filler):] {
		if string(text[:len(filler)]) != filler {
			return false
		}
	}
	return string(text) == filler[:len(text)]
}

// eightDigits reads eight lower-case hexadecimal digits, all of them at once:
// each byte becomes the value of its digit, and is written back to see whether
// it was one.
func eightDigits(text []byte) (uint64, bool) {
	const ones = 0x0101010101010101
	written := binary.BigEndian.Uint64(text)
	n := written&(0x0f*ones) + 9*(written>>6&ones)
	letters := (n + 6*ones) >> 4 & ones
	ok := n&(0xf0*ones) == 0 && n+'0'*ones+('a'-'0'-10)*letters == written
	n = (n | n>>4) & 0x00ff00ff00ff00ff
	n = (n | n>>8) & 0x0000ffff0000ffff
	return (n | n>>16) & 0xffffffff, ok
}
