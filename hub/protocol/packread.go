//nolint:gosec // G115: the bits of numbers are moved here, and lengths compared before they are believed
package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// kind is what a MessagePack value is, whatever its width.
type kind uint8

const (
	kindNil kind = iota + 1
	kindBool
	kindInt  // below zero
	kindUint // any other integer
	kindFloat32
	kindFloat64
	kindString
	kindBytes
	kindArray
	kindMap
	kindExtension
)

// String names the kind for errors.
func (k kind) String() string {
	return [...]string{"nothing", "nil", "bool", "int", "int", "float32", "float64", "string", "bytes", "array", "map", "extension"}[k]
}

// timestamp is the one extension that MessagePack itself gives a meaning.
const timestamp = -1

// token is one format of MessagePack: a whole value, or the head of an array or
// a map whose elements follow.
type token struct {
	kind kind
	// number is an integer (below zero in two's complement), the bits of a
	// float, or 1 for true.
	number uint64
	// count is how many elements or pairs follow: no more than can be there.
	count int
	// data are the bytes of a string, bytes or an extension. They belong to
	// what is read.
	data      []byte
	extension int8
}

// reader reads MessagePack and trusts nothing in it: every length is compared
// with what is there, and nothing is allocated by it. Errors wrap ErrMalformed.
type reader struct {
	data []byte
	at   int // what has been read ends there
}

// left is how many bytes are still to be read.
func (r *reader) left() int { return len(r.data) - r.at }

// within is next, where that many levels may be below.
func (r *reader) within(levels int) (token, error) {
	t, err := r.next()
	if err == nil && levels == 0 && (t.kind == kindArray || t.kind == kindMap) {
		err = errDepth()
	}
	return t, err
}

// next reads one token.
func (r *reader) next() (token, error) {
	if r.left() == 0 {
		return token{}, errCut()
	}
	c := r.data[r.at]
	r.at++
	switch {
	case c <= 0x7f:
		return token{kind: kindUint, number: uint64(c)}, nil
	case c >= 0xe0:
		return token{kind: kindInt, number: uint64(int64(int8(c)))}, nil
	case c <= 0x8f:
		return r.container(kindMap, uint64(c&0x0f))
	case c <= 0x9f:
		return r.container(kindArray, uint64(c&0x0f))
	case c <= 0xbf:
		return r.text(uint64(c & 0x1f))
	default:
		return r.wide(c)
	}
}

// wide reads the formats that have a code of their own, followed by a number:
// the value, or a length.
func (r *reader) wide(c byte) (token, error) {
	number, err := r.number(width(c))
	if err != nil {
		return token{}, err
	}
	switch {
	case c == 0xc0:
		return token{kind: kindNil}, nil
	case c == 0xc1:
		return token{}, fmt.Errorf("%w: a byte that MessagePack never uses", ErrMalformed)
	case c <= 0xc3:
		return token{kind: kindBool, number: uint64(c & 1)}, nil
	case c <= 0xc6:
		return r.payload(kindBytes, number)
	case c <= 0xc9:
		return r.extension(number)
	case c == 0xca:
		return token{kind: kindFloat32, number: number}, nil
	case c == 0xcb:
		return token{kind: kindFloat64, number: number}, nil
	case c <= 0xcf:
		return token{kind: kindUint, number: number}, nil
	case c <= 0xd3:
		return signed(number, width(c)), nil
	case c <= 0xd8:
		return r.extension(1 << (c - 0xd4))
	case c <= 0xdb:
		return r.text(number)
	case c <= 0xdd:
		return r.container(kindArray, number)
	default:
		return r.container(kindMap, number)
	}
}

// width is how many bytes of a number follow the code, 0xc0 to 0xdf.
func width(c byte) int {
	switch {
	case c <= 0xc3, 0xd4 <= c && c <= 0xd8:
		return 0
	case c <= 0xc6: // bin 8, 16, 32
		return 1 << (c - 0xc4)
	case c <= 0xc9: // ext 8, 16, 32
		return 1 << (c - 0xc7)
	case c <= 0xcb: // float 32, 64
		return 4 << (c - 0xca)
	case c <= 0xcf: // uint 8, 16, 32, 64
		return 1 << (c - 0xcc)
	case c <= 0xd3: // int 8, 16, 32, 64
		return 1 << (c - 0xd0)
	case c <= 0xdb: // str 8, 16, 32
		return 1 << (c - 0xd9)
	default: // array 16, 32, map 16, 32
		return 2 << (c & 1)
	}
}

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(r.left()) {
		return nil, errCut()
	}
	end := r.at + int(n)
	taken := r.data[r.at:end:end]
	r.at = end
	return taken, nil
}

func errCut() error { return fmt.Errorf("%w: cut short", ErrMalformed) }

func (r *reader) number(size int) (uint64, error) {
	digits, err := r.take(uint64(size))
	if err != nil {
		return 0, err
	}
	n := uint64(0)
	for _, digit := range digits {
		n = n<<8 | uint64(digit)
	}
	return n, nil
}

func signed(number uint64, size int) token {
	unused := 64 - 8*size
	n := int64(number<<unused) >> unused // extends the sign
	if n < 0 {
		return token{kind: kindInt, number: uint64(n)}
	}
	return token{kind: kindUint, number: uint64(n)}
}

func (r *reader) payload(k kind, size uint64) (token, error) {
	data, err := r.take(size)
	return token{kind: k, data: data}, err
}

func (r *reader) text(size uint64) (token, error) {
	t, err := r.payload(kindString, size)
	if err == nil && !utf8.Valid(t.data) {
		err = fmt.Errorf("%w: a string is not UTF-8", ErrMalformed)
	}
	return t, err
}

func (r *reader) extension(size uint64) (token, error) {
	head, err := r.take(1)
	if err != nil {
		return token{}, err
	}
	t, err := r.payload(kindExtension, size)
	t.extension = int8(head[0])
	return t, err
}

// container refuses a number of elements that cannot be there: each takes a
// byte at least.
func (r *reader) container(k kind, n uint64) (token, error) {
	least := n
	if k == kindMap {
		least *= 2
	}
	if least > uint64(r.left()) {
		return token{}, errCut()
	}
	return token{kind: k, count: int(n)}, nil
}

// null passes over nil and tells whether it was there.
func (r *reader) null() bool {
	if r.left() == 0 || r.data[r.at] != 0xc0 {
		return false
	}
	r.at++
	return true
}

// skip passes over one value that nests at most levels deep, and so makes sure
// that it is well-formed.
func (r *reader) skip(levels int) error {
	t, err := r.next()
	if err != nil {
		return err
	}
	n := t.count
	switch t.kind {
	case kindArray:
	case kindMap:
		n *= 2
	default:
		return nil
	}
	if levels == 0 {
		return errDepth()
	}
	for ; n > 0; n-- {
		if err := r.skip(levels - 1); err != nil {
			return err
		}
	}
	return nil
}

// raw is skip that returns the bytes.
func (r *reader) raw(levels int) (Raw, error) {
	start := r.at
	if err := r.skip(levels); err != nil {
		return nil, err
	}
	return Raw(r.data[start:r.at:r.at]), nil
}

func errDepth() error {
	return fmt.Errorf("%w: nested more than %d deep", ErrMalformed, maxDepth)
}

// integer is the token of an integer.
func integer(n int64) token { return signed(uint64(n), 8) }

// float32 is the number of a kindFloat32.
func (t token) float32() float32 { return math.Float32frombits(uint32(t.number)) }

// float64 is the number of a kindFloat64.
func (t token) float64() float64 { return math.Float64frombits(t.number) }

// signed is the integer, if it is one that an int64 can hold.
func (t token) signed() (int64, bool) {
	switch t.kind {
	case kindInt:
		return int64(t.number), true
	case kindUint:
		return int64(t.number), t.number <= math.MaxInt64
	default:
		return 0, false
	}
}

// float is the number, if it is one.
func (t token) float() (float64, bool) {
	switch t.kind {
	case kindInt:
		return float64(int64(t.number)), true
	case kindUint:
		return float64(t.number), true
	case kindFloat32:
		return float64(t.float32()), true
	case kindFloat64:
		return t.float64(), true
	default:
		return 0, false
	}
}

// time is the instant, in UTC, if the token is a timestamp of the
// specification: of 4, 8 or 12 bytes, with less than a second of nanoseconds.
func (t token) time() (time.Time, bool) {
	if t.kind != kindExtension || t.extension != timestamp {
		return time.Time{}, false
	}
	var seconds, nanoseconds int64
	switch len(t.data) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(t.data))
	case 8:
		n := binary.BigEndian.Uint64(t.data)
		seconds, nanoseconds = int64(n&(1<<34-1)), int64(n>>34)
	case 12:
		nanoseconds = int64(binary.BigEndian.Uint32(t.data))
		seconds = int64(binary.BigEndian.Uint64(t.data[4:]))
	default:
		return time.Time{}, false
	}
	if nanoseconds >= int64(time.Second) {
		return time.Time{}, false
	}
	return time.Unix(seconds, nanoseconds).UTC(), true
}
