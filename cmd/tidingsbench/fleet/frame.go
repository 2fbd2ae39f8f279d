//go:build linux

package fleet

import (
	"encoding/binary"
	"errors"
)

// The parts of a frame (RFC 6455 §5.2).
const (
	final        = 0x80
	reserved     = 0x70
	opcodeText   = 0x1
	opcodeBinary = 0x2
	opcodeClose  = 0x8
	opcodePing   = 0x9
	opcodePong   = 0xa
	maskBit      = 0x80
	lengthIn16   = 126
	lengthIn64   = 127

	frameLargest = 64 << 20 // bytes of a message that a client puts up with
)

var (
	errFragment = errors.New("a frame that is not a whole message")
	errReserved = errors.New("a frame with reserved bits")
	errMasked   = errors.New("a masked frame of a server")
	errLarge    = errors.New("a frame beyond 64 MiB")
)

// frame is a frame of the server.
type frame struct {
	opcode  byte
	payload []byte
	size    int // with its head; 0 if its end has not come yet
}

// parseFrame reads the frame at the start of data.
func parseFrame(data []byte) (frame, error) {
	if len(data) < 2 {
		return frame{}, nil
	}
	f := frame{opcode: data[0] & 0xf}
	switch {
	case data[0]&final == 0 || f.opcode == 0:
		return f, errFragment
	case data[0]&reserved != 0:
		return f, errReserved
	case data[1]&maskBit != 0:
		return f, errMasked
	}
	head, length := 2, uint64(data[1])
	switch length {
	case lengthIn16:
		if head = 4; len(data) >= head {
			length = uint64(binary.BigEndian.Uint16(data[2:]))
		}
	case lengthIn64:
		if head = 10; len(data) >= head {
			length = binary.BigEndian.Uint64(data[2:])
		}
	}
	if length > frameLargest {
		return f, errLarge
	}
	size := head + int(length)
	if len(data) < size {
		return f, nil
	}
	f.size, f.payload = size, data[head:size]
	return f, nil
}

// appendFrame appends a frame of a client, of less than 64 KiB. Its mask is
// zeros, which the protocol allows: it asks for unpredictable masks of browsers
// (§5.3).
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, final|opcode)
	if n := len(payload); n < lengthIn16 {
		dst = append(dst, maskBit|byte(n))
	} else {
		dst = append(dst, maskBit|lengthIn16, byte(n>>8), byte(n)) //nolint:gosec // two bytes
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}
