//go:build linux

package fleet

import (
	"bytes"
	"errors"
)

// Dialect is how a server is spoken to behind the WebSocket handshake. Its zero
// value speaks to none.
type Dialect struct{ speaker }

// speaker is a dialect. It keeps nothing: what it remembers is in the client.
type speaker interface {
	// opened is called when the WebSocket is open.
	opened(l *loop, c *Client)
	// message hears a message, which is valid until it returns.
	message(l *loop, c *Client, text []byte)
}

// SignalRJSON is SignalR with the JSON protocol. A client is welcome when the
// hub has said Resumed.
func SignalRJSON() Dialect { return Dialect{signalRJSON{}} }

// SignalRMessagePack is SignalR with the MessagePack protocol.
func SignalRMessagePack() Dialect { return Dialect{signalRPack{}} }

// Raw is a server whose messages are the payloads of events, and nothing else.
func Raw() Dialect { return Dialect{raw{}} }

// Centrifuge is Centrifuge's bidirectional JSON protocol, with subscriptions
// made by the server.
func Centrifuge() Dialect { return Dialect{centrifuge{}} }

// SocketIO is Socket.IO 5 over Engine.IO 4, main namespace; an event has the
// payload as its first argument.
func SocketIO() Dialect { return Dialect{socketIO{}} }

var (
	errNoMark  = errors.New("an event without a mark")
	errRecord  = errors.New("a record that is not whole")
	errUnknown = errors.New("a message that nobody knows")
)

// A payload is {"m":"<mark>"}.
const (
	payloadHead = `{"m":"`
	payloadTail = `"}`
	markKey     = `"m":"`
)

type raw struct{}

func (raw) opened(l *loop, c *Client) { l.welcome(c) }

func (raw) message(l *loop, c *Client, text []byte) {
	if !bytes.HasPrefix(text, []byte(payloadHead)) {
		l.unreadable(c, errNoMark, text)
		return
	}
	m, err := parseMark(text[len(payloadHead):])
	switch {
	case err != nil:
		l.unreadable(c, err, text)
	case string(text[len(payloadHead)+m.size:]) != payloadTail:
		l.unreadable(c, errTruncated, text)
	default:
		l.hear(c, m)
	}
}

// marks hears all marks in a JSON text, and returns where the last ends, 0 if
// there is none. A mark holds no quote and no backslash, so a quote ends it.
func (l *loop) marks(c *Client, text []byte) int {
	end := 0
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], '@')
		if i < 0 {
			return end
		}
		i += from
		from = i + 1
		if !bytes.HasSuffix(text[:i], []byte(markKey)) {
			continue // of a name
		}
		end = from
		m, err := parseMark(text[i:])
		if err == nil && (i+m.size == len(text) || text[i+m.size] != '"') {
			err = errTruncated
		}
		if err != nil {
			l.unreadable(c, err, text[i:])
			continue
		}
		from = i + m.size
		end = from
		l.hear(c, m)
	}
}

// textAfter is the text that begins behind a key, until a quote; nil for none.
// It is for texts without escapes.
func textAfter(record []byte, key string) []byte {
	i := bytes.Index(record, []byte(key))
	if i < 0 {
		return nil
	}
	record = record[i+len(key):]
	if i = bytes.IndexByte(record, '"'); i < 0 {
		return nil
	}
	return record[:i]
}

// numberAfter is the number behind a key.
func numberAfter(record []byte, key string) (uint64, bool) {
	i := bytes.Index(record, []byte(key))
	if i < 0 {
		return 0, false
	}
	var n uint64
	record = record[i+len(key):]
	for i = 0; i < len(record) && record[i]-'0' < 10; i++ {
		n = 10*n + uint64(record[i]-'0')
	}
	return n, i > 0
}
