//go:build linux

package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Texts of the protocol. Replies are told apart by how they begin.
const (
	connectCommand  = `{"id":1,"connect":{}}`
	nothing         = "{}" // a ping, and the answer to it
	connectReply    = `{"id":1,`
	push            = `{"push":`
	pushDisconnect  = `{"push":{"disconnect"`
	channelKey      = `"channel":"`
	offsetKey       = `"offset":`
	publicationsKey = `"publications":[`
)

type centrifuge struct{}

// channel is how far a client has heard a channel.
type channel struct {
	name   string
	epoch  string
	offset uint64
}

func (centrifuge) opened(l *loop, c *Client) {
	hello := []byte(connectCommand)
	if len(c.channels) > 0 {
		type position struct {
			Recover bool   `json:"recover"`
			Offset  uint64 `json:"offset"`
			Epoch   string `json:"epoch"`
		}
		subs := map[string]position{}
		for _, ch := range c.channels {
			subs[ch.name] = position{true, ch.offset, ch.epoch}
		}
		known, err := json.Marshal(subs)
		if err != nil {
			l.end(c, err)
			return
		}
		hello = fmt.Appendf(nil, `{"id":1,"connect":{"subs":%s}}`, known)
	}
	l.send(c, appendFrame(nil, opcodeText, hello))
}

// message implements speaker. Replies are on lines of their own.
func (s centrifuge) message(l *loop, c *Client, text []byte) {
	for len(text) > 0 && c.state != idle {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		switch {
		case bytes.HasPrefix(line, []byte(push)):
			s.push(l, c, line)
		case string(line) == nothing:
			l.say(c, opcodeText, []byte(nothing))
		case bytes.HasPrefix(line, []byte(connectReply)):
			s.connected(l, c, line)
		default:
			l.unreadable(c, errUnknown, line)
		}
	}
}

func (centrifuge) push(l *loop, c *Client, line []byte) {
	end := l.marks(c, line)
	switch {
	case end == 0 && bytes.HasPrefix(line, []byte(pushDisconnect)):
		l.end(c, fmt.Errorf("%s", line))
	case end == 0 && bytes.Contains(line, []byte(`"pub":`)):
		l.unreadable(c, errNoMark, line)
	case end > 0 && l.fleet.o.Recover:
		name := textAfter(line, channelKey)
		offset, ok := numberAfter(line[end:], offsetKey)
		if !ok {
			return // no history
		}
		for i := range c.channels {
			if ch := &c.channels[i]; ch.name == string(name) {
				ch.offset = offset
			}
		}
	}
}

// connected reads the reply to connect, with what was missed: that may be
// long, and is not decoded but searched for marks.
func (centrifuge) connected(l *loop, c *Client, line []byte) {
	var reply struct {
		Error   json.RawMessage `json:"error"`
		Connect struct {
			Subs map[string]struct {
				Epoch        string   `json:"epoch"`
				Offset       uint64   `json:"offset"`
				Publications []uint64 `json:"publications"`
			} `json:"subs"`
		} `json:"connect"`
	}
	if err := json.Unmarshal(withoutPublications(line), &reply); err != nil || reply.Error != nil {
		l.end(c, fmt.Errorf("refused: %.200s", line))
		return
	}
	if l.fleet.o.Recover {
		c.channels = c.channels[:0]
		for name, sub := range reply.Connect.Subs {
			// Where the client asked from, if it missed something: the last of
			// that is where it is now.
			offset := sub.Offset
			if n := len(sub.Publications); n > 0 {
				offset = sub.Publications[n-1]
			}
			if sub.Epoch != "" {
				c.channels = append(c.channels, channel{name, sub.Epoch, offset})
			}
		}
	}
	l.marks(c, line)
	l.welcome(c)
}

// withoutPublications is a reply whose lists of publications hold nothing but
// the offset of their last.
func withoutPublications(line []byte) []byte {
	var short []byte
	for {
		i := bytes.Index(line, []byte(publicationsKey))
		if i < 0 {
			return append(short, line...)
		}
		i += len(publicationsKey)
		short = append(short, line[:i]...)
		line = line[i:]
		list := line[:listEnd(line)]
		line = line[len(list):]
		if at := bytes.LastIndex(list, []byte(offsetKey)); at >= 0 {
			last, _ := numberAfter(list[at:], offsetKey)
			short = strconv.AppendUint(short, last, 10)
		}
	}
}

// listEnd is where a list ends whose opening bracket has been read.
func listEnd(text []byte) int {
	quoted := false
	for i, depth := 0, 1; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[':
			depth++
		case b == ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(text)
}
