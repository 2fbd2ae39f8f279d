//go:build linux

package fleet

import (
	"bytes"
	"fmt"
)

// The beginnings of packets: of Engine.IO one digit, and of Socket.IO another
// behind that of a message.
const (
	engineOpen     = '0'
	engineClose    = '1'
	enginePing     = '2'
	enginePong     = "3"
	engineMessage  = '4'
	engineNoop     = '6'
	socketConnect  = '0'
	socketLeave    = '1'
	socketEvent    = '2'
	socketRefusal  = '4'
	connectPacket  = "40"
	pidKey         = `"pid":"`
	offsetArgument = `},"` // behind the payload
)

// socketIO remembers its session as a channel, and the offset as the cursor.
type socketIO struct{}

func (socketIO) opened(*loop, *Client) {} // the server speaks first

func (s socketIO) message(l *loop, c *Client, text []byte) {
	if len(text) == 0 {
		l.unreadable(c, errUnknown, text)
		return
	}
	switch text[0] {
	case engineMessage:
		s.packet(l, c, text)
	case enginePing:
		l.say(c, opcodeText, []byte(enginePong))
	case engineOpen:
		hello := []byte(connectPacket)
		if len(c.channels) > 0 {
			hello = fmt.Appendf(hello, `{"pid":%q,"offset":%q}`, c.channels[0].name, c.cursor)
		}
		l.say(c, opcodeText, hello)
	case engineClose:
		l.end(c, errClosed)
	case engineNoop:
	default:
		l.unreadable(c, errUnknown, text)
	}
}

func (socketIO) packet(l *loop, c *Client, text []byte) {
	kind := byte(0)
	if len(text) > 1 {
		kind = text[1]
	}
	switch kind {
	case socketEvent:
		end := l.marks(c, text)
		if end == 0 {
			l.unreadable(c, errNoMark, text)
		} else if l.fleet.o.Recover {
			c.cursor = append(c.cursor[:0], textAfter(text[end:], offsetArgument)...)
		}
	case socketConnect:
		if pid := textAfter(text, pidKey); l.fleet.o.Recover && pid != nil {
			c.channels = append(c.channels[:0], channel{name: string(pid)})
		}
		l.welcome(c)
	case socketLeave, socketRefusal:
		l.end(c, fmt.Errorf("refused: %s", bytes.ToValidUTF8(text, nil)))
	default:
		l.unreadable(c, errUnknown, text)
	}
}
