//go:build linux

package fleet

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Texts of the protocol, and of the hub of Tidings.
const (
	recordEnd        = 0x1e // behind every JSON record, and behind every handshake
	handshakeText    = `{"protocol":%q,"version":1}` + "\x1e"
	handshakeAnswer  = "{}"
	targetResumed    = "Resumed"
	targetNotify     = "ReceiveNotification"
	kindInvocation   = 1
	kindPing         = 6
	kindClose        = 7
	pingRecord       = `{"type":6}`
	cursorKey        = `"cursor":"`
	positionKey      = `"position":`
	packedCursor     = "\xa6cursor"
	packedPosition   = "\xa8position"
	packedResumed    = "\xa7" + targetResumed
	packedNotify     = "\xb3" + targetNotify
	packedMarkKey    = "\xa1m"
	packText8        = 0xd9
	packText16       = 0xda
	packTextShortest = 0xa0
	packTextLongest  = 0xbf
)

type signalRJSON struct{}

func (signalRJSON) opened(l *loop, c *Client) {
	l.say(c, opcodeText, fmt.Appendf(nil, handshakeText, "json"))
}

// message implements speaker. Every message of a server holds whole records.
func (s signalRJSON) message(l *loop, c *Client, text []byte) {
	for len(text) > 0 && c.state != idle {
		record, rest, whole := bytes.Cut(text, []byte{recordEnd})
		if !whole {
			l.unreadable(c, errRecord, text)
			return
		}
		text = rest
		if c.greeted {
			s.record(l, c, record)
		} else {
			l.shake(c, record)
		}
	}
}

// shake reads the answer to the handshake.
func (l *loop) shake(c *Client, record []byte) {
	if string(record) != handshakeAnswer {
		l.end(c, fmt.Errorf("handshake: %s", record))
		return
	}
	c.greeted = true
}

func (s signalRJSON) record(l *loop, c *Client, record []byte) {
	if string(record) == pingRecord {
		return
	}
	if l.marks(c, record) == 0 {
		s.other(l, c, record)
		return
	}
	position, ok := numberAfter(record, positionKey)
	if cursor := textAfter(record, cursorKey); ok && cursor != nil {
		c.cursor = append(c.cursor[:0], cursor...)
		l.place(c, position)
		return
	}
	l.unreadable(c, errRecord, record)
}

// other reads a record that is no notification.
func (signalRJSON) other(l *loop, c *Client, record []byte) {
	var m struct {
		Type   int    `json:"type"`
		Target string `json:"target"`
	}
	err := json.Unmarshal(record, &m)
	switch {
	case err != nil:
		l.unreadable(c, err, record)
	case m.Type == kindClose:
		l.end(c, fmt.Errorf("close: %s", record))
	case m.Type == kindInvocation && m.Target == targetResumed:
		c.cursor = append(c.cursor[:0], textAfter(record, cursorKey)...)
		l.welcome(c)
	case m.Type == kindInvocation && m.Target == targetNotify:
		l.unreadable(c, errNoMark, record)
	}
}

type signalRPack struct{}

func (signalRPack) opened(l *loop, c *Client) {
	l.say(c, opcodeBinary, fmt.Appendf(nil, handshakeText, "messagepack"))
}

// message implements speaker. The answer to the handshake is JSON, and records
// may follow it.
func (s signalRPack) message(l *loop, c *Client, text []byte) {
	if !c.greeted {
		record, rest, whole := bytes.Cut(text, []byte{recordEnd})
		if !whole {
			l.unreadable(c, errRecord, text)
			return
		}
		l.shake(c, record)
		text = rest
	}
	for len(text) > 0 && c.state != idle {
		length, n := binary.Uvarint(text)
		if n <= 0 || length < 2 || length > uint64(len(text[n:])) {
			l.unreadable(c, errRecord, text)
			return
		}
		s.record(l, c, text[n:][:length])
		text = text[n:][length:]
	}
}

// record reads an array whose first element is its kind.
func (s signalRPack) record(l *loop, c *Client, record []byte) {
	switch record[1] {
	case kindPing:
	case kindClose:
		l.end(c, fmt.Errorf("close: %q", record))
	case kindInvocation:
		s.invocation(l, c, record)
	}
}

func (s signalRPack) invocation(l *loop, c *Client, record []byte) {
	cursor := packedText(record, packedCursor)
	if s.marks(l, c, record) {
		position, ok := packedNumber(record, packedPosition)
		if !ok || cursor == nil {
			l.unreadable(c, errRecord, record)
			return
		}
		c.cursor = append(c.cursor[:0], cursor...)
		l.place(c, position)
		return
	}
	switch {
	case bytes.Contains(record, []byte(packedResumed)):
		c.cursor = append(c.cursor[:0], cursor...)
		l.welcome(c)
	case bytes.Contains(record, []byte(packedNotify)):
		l.unreadable(c, errNoMark, record)
	}
}

// marks hears all marks, and reports whether there were any.
func (signalRPack) marks(l *loop, c *Client, record []byte) bool {
	found := false
	for from := 0; ; {
		i := bytes.IndexByte(record[from:], '@')
		if i < 0 {
			return found
		}
		i += from
		from = i + 1
		length := packedMark(record[:i])
		if length == 0 {
			continue // of a number or a name
		}
		found = true
		m, err := parseMark(record[i:min(i+length, len(record))])
		if err == nil && m.size != length {
			err = errTruncated
		}
		if err != nil {
			l.unreadable(c, err, record[i:])
			continue
		}
		from = i + m.size
		l.hear(c, m)
	}
}

// packedMark is the length of the text whose key and head end what is before
// it; 0 if they do not. A mark is longer than the shortest texts can say.
func packedMark(before []byte) int {
	n := len(before)
	if n >= 4 && before[n-2] == packText8 && string(before[n-4:n-2]) == packedMarkKey {
		return int(before[n-1])
	}
	if n >= 5 && before[n-3] == packText16 && string(before[n-5:n-3]) == packedMarkKey {
		return int(binary.BigEndian.Uint16(before[n-2:]))
	}
	return 0
}

// packedText is the text behind a key, nil for none.
func packedText(record []byte, key string) []byte {
	i := bytes.Index(record, []byte(key))
	if i < 0 || i+len(key)+2 > len(record) {
		return nil
	}
	record = record[i+len(key):]
	length, head := int(record[0]), 1
	switch {
	case length == packText8:
		length, head = int(record[1]), 2
	case length >= packTextShortest && length <= packTextLongest:
		length -= packTextShortest
	default:
		return nil
	}
	if head+length > len(record) {
		return nil
	}
	return record[head : head+length]
}

// packedNumber is the number behind a key, which is not negative.
func packedNumber(record []byte, key string) (uint64, bool) {
	i := bytes.Index(record, []byte(key))
	if i < 0 || i+len(key) == len(record) {
		return 0, false
	}
	const largestHere, in8, in64 = 0x7f, 0xcc, 0xcf
	head := record[i+len(key)]
	record = record[i+len(key)+1:]
	if head <= largestHere {
		return uint64(head), true
	}
	if head < in8 || head > in64 || len(record) < 1<<(head-in8) {
		return 0, false
	}
	var n uint64
	for _, b := range record[:1<<(head-in8)] {
		n = n<<8 | uint64(b)
	}
	return n, true
}
