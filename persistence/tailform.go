package persistence

import (
	"encoding/binary"
	"math"
	"time"

	"tidings/notifications"
)

// An event in the tail is its length in four bytes, four times of eight, and its
// texts, each behind its length: those of texts, the data, and the actions behind
// their number. It is written and read by the same process only.
const entryHead = 4 + 4*8

// never is a time that is not set.
const never = math.MinInt64

// texts are those of an event, in the order in which they are kept.
func texts(e *notifications.Entry) [18]*string {
	ev := &e.Event
	return [...]*string{
		&e.Hub, (*string)(&ev.Recipient.Kind), &ev.Recipient.Key, &ev.Emitter, &ev.ID, &ev.Type, &ev.Source, &ev.Target, &ev.Title, &ev.Body,
		(*string)(&ev.Severity), &ev.Link, &ev.CollapseKey, &ev.Recalls, &ev.ReplayOf, (*string)(&ev.MembersAt), &ev.TraceParent, &ev.TraceState,
	}
}

func times(e *notifications.Entry) [4]*time.Time {
	return [...]*time.Time{&e.Stored, &e.Event.CreatedAt, &e.Event.ExpiresAt, &e.Event.NotBefore}
}

// appendEntry appends an event, whose times are of whole milliseconds and UTC.
func appendEntry(b []byte, e *notifications.Entry) []byte {
	begin := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, t := range times(e) {
		ms := int64(never)
		if !t.IsZero() {
			ms = t.UnixMilli()
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(ms)) //nolint:gosec // read back the same way
	}
	for _, text := range texts(e) {
		b = append(binary.AppendUvarint(b, uint64(len(*text))), *text...)
	}
	b = append(binary.AppendUvarint(b, uint64(len(e.Event.Data))), e.Event.Data...)
	b = binary.AppendUvarint(b, uint64(len(e.Event.Actions)))
	for _, a := range e.Event.Actions {
		for _, text := range []string{a.Label, a.Link, a.Method} {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	binary.LittleEndian.PutUint32(b[begin:], uint32(len(b)-begin)) //nolint:gosec // events are small
	return b
}

// entryBytes is the length of an event that lies at the beginning of b.
func entryBytes(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }

// readEntry makes an event of what lies at the beginning of b, in three pieces
// of memory that share nothing with it.
func readEntry(b []byte, p notifications.Position) *notifications.Entry {
	e := &notifications.Entry{Position: p}
	for i, t := range times(e) {
		if ms := int64(binary.LittleEndian.Uint64(b[4+8*i:])); ms != never { //nolint:gosec // it was one
			*t = time.UnixMilli(ms).UTC()
		}
	}
	r := textReader{bytes: b[entryHead:entryBytes(b)]}
	r.text = string(r.bytes)
	for _, text := range texts(e) {
		*text = r.next()
	}
	if data := r.next(); data != "" {
		e.Event.Data = []byte(data)
	}
	if n := r.number(); n > 0 {
		e.Event.Actions = make([]notifications.Action, n)
		for i := range e.Event.Actions {
			e.Event.Actions[i] = notifications.Action{Label: r.next(), Link: r.next(), Method: r.next()}
		}
	}
	return e
}

// isFor tells whether the event at the beginning of b is for somebody.
func isFor(b []byte, a address) bool {
	r := textReader{bytes: b[entryHead:entryBytes(b)]}
	for _, want := range []string{a.hub, string(a.recipient.Kind), a.recipient.Key} {
		n := r.number()
		if string(r.bytes[r.at:r.at+n]) != want {
			return false
		}
		r.at += n
	}
	return true
}

// textReader reads texts behind their lengths; text says the same as bytes.
type textReader struct {
	bytes []byte
	text  string
	at    int
}

func (r *textReader) number() int {
	n, width := binary.Uvarint(r.bytes[r.at:])
	r.at += width
	return int(n) //nolint:gosec // it was one
}

func (r *textReader) next() string {
	n := r.number()
	r.at += n
	return r.text[r.at-n : r.at]
}
