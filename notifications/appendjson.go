package notifications

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// AppendJSON appends the notification as encoding/json writes it, without
// escaping for HTML. Every delivery begins with it, and every event of a replay:
// without reflection it costs a quarter.
func (n *Notification) AppendJSON(b []byte) ([]byte, error) {
	b = appendText(append(b, `{"id":`...), n.ID)
	b = strconv.AppendUint(append(b, `,"position":`...), uint64(n.Position), 10)
	b = appendText(append(b, `,"cursor":`...), n.Cursor)
	b = appendText(append(b, `,"recipient":`...), n.Recipient)
	if n.Replayed {
		b = append(b, `,"replayed":true`...)
	}
	b = appendText(append(b, `,"type":`...), n.Type)
	b = appendField(b, `,"source":`, n.Source)
	b = appendField(b, `,"title":`, n.Title)
	b = appendField(b, `,"body":`, n.Body)
	if len(n.Data) > 0 {
		b = appendCompact(append(b, `,"data":`...), n.Data)
	}
	b = appendText(append(b, `,"severity":`...), string(n.Severity))
	b = appendField(b, `,"link":`, n.Link)
	b, err := appendActions(b, n.Actions)
	if err != nil {
		return nil, err
	}
	b = appendField(b, `,"collapseKey":`, n.CollapseKey)
	b = appendField(b, `,"recalls":`, n.Recalls)
	b = appendField(b, `,"replayOf":`, n.ReplayOf)
	if b, err = appendTimeField(b, `,"expiresAt":`, n.ExpiresAt); err != nil {
		return nil, err
	}
	if b, err = appendTime(append(b, `,"createdAt":`...), n.CreatedAt); err != nil {
		return nil, err
	}
	b = appendField(b, `,"traceparent":`, n.TraceParent)
	return append(b, '}'), nil
}

// AppendJSON appends the form an event has in the log: what encoding/json makes
// of it without escaping for HTML, and without its recipient, which the place
// says.
func (e *Event) AppendJSON(b []byte) ([]byte, error) {
	begin := len(b)
	b = appendField(b, `,"id":`, e.ID)
	b = appendField(b, `,"type":`, e.Type)
	b = appendField(b, `,"source":`, e.Source)
	b = appendField(b, `,"target":`, e.Target)
	b = appendField(b, `,"title":`, e.Title)
	b = appendField(b, `,"body":`, e.Body)
	if len(e.Data) > 0 {
		b = appendCompact(append(b, `,"data":`...), e.Data)
	}
	b = appendField(b, `,"severity":`, string(e.Severity))
	b = appendField(b, `,"link":`, e.Link)
	b, err := appendActions(b, e.Actions)
	if err != nil {
		return nil, err
	}
	b = appendField(b, `,"collapseKey":`, e.CollapseKey)
	b = appendField(b, `,"recalls":`, e.Recalls)
	b = appendField(b, `,"replayOf":`, e.ReplayOf)
	if b, err = appendTimeField(b, `,"expiresAt":`, e.ExpiresAt); err != nil {
		return nil, err
	}
	if b, err = appendTimeField(b, `,"notBefore":`, e.NotBefore); err != nil {
		return nil, err
	}
	b = appendField(b, `,"membersAt":`, string(e.MembersAt))
	if b, err = appendTimeField(b, `,"createdAt":`, e.CreatedAt); err != nil {
		return nil, err
	}
	b = appendField(b, `,"traceparent":`, e.TraceParent)
	b = appendField(b, `,"tracestate":`, e.TraceState)
	if len(b) == begin {
		return append(b, `{}`...), nil
	}
	b[begin] = '{' // where the comma of the first field is
	return append(b, '}'), nil
}

// appendField appends a field that is left out when it is empty.
func appendField(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(append(b, name...), text)
}

func appendTimeField(b []byte, name string, t time.Time) ([]byte, error) {
	if t.IsZero() {
		return b, nil
	}
	return appendTime(append(b, name...), t)
}

func appendActions(b []byte, actions []Action) ([]byte, error) {
	if len(actions) == 0 {
		return b, nil
	}
	return appendSlowly(append(b, `,"actions":`...), actions)
}

// appendText appends a string. One that needs no escapes, which is nearly all
// of them, is copied.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
			escaped, err := appendSlowly(b, text)
			if err != nil {
				return b // a string can always be encoded
			}
			return escaped
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

func appendSlowly(b []byte, value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...), nil
}

// appendCompact appends JSON that has been checked, without the space between
// its tokens.
func appendCompact(b []byte, data json.RawMessage) []byte {
	if bytes.IndexByte(data, ' ') < 0 && bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\t') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return append(b, data...)
	}
	text := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			b = append(b, c)
			i++
			if i == len(data) {
				return b // it has been checked
			}
			b = append(b, data[i])
		case !text && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
		default:
			text = text != (c == '"')
			b = append(b, c)
		}
	}
	return b
}

// appendTime is time.Time.MarshalJSON.
func appendTime(b []byte, t time.Time) ([]byte, error) {
	if _, offset := t.Zone(); t.Year() < 0 || t.Year() >= 10_000 || offset != 0 {
		text, err := t.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("time: %w", err)
		}
		return append(b, text...), nil
	}
	b = t.AppendFormat(append(b, '"'), time.RFC3339Nano)
	return append(b, '"'), nil
}
