package notifications

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// extension is the event field that a CloudEvents extension attribute maps to;
// attribute names are lower-case only (CloudEvents 1.0, "Naming Conventions").
func extension(attribute string) string {
	switch attribute {
	case "collapsekey":
		return "collapseKey"
	case "expiresat":
		return "expiresAt"
	case "notbefore":
		return "notBefore"
	case "membersat":
		return "membersAt"
	case "recipient", "target", "title", "body", "severity", "link", "ttl", "recalls", "traceparent", "tracestate":
		return attribute
	default:
		return ""
	}
}

// extensions are all attributes that extension knows.
func extensions() []string {
	return []string{
		"recipient", "target", "title", "body", "severity", "link", "ttl", "recalls", "traceparent", "tracestate",
		"collapsekey", "expiresat", "notbefore", "membersat",
	}
}

// decodeCloudEvent reads the structured mode (CloudEvents JSON format).
func decodeCloudEvent(fields map[string]json.RawMessage, now time.Time) (Event, error) {
	d := draft{event: new(Event)}
	if err := d.setAttributes(fields); err != nil {
		return Event{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field := extension(name)
		if field == "" {
			continue
		}
		if _, err := d.set(field, number(field, fields[name])); err != nil {
			return Event{}, err
		}
	}
	var err error
	if d.event.Data, err = cloudData(fields); err != nil {
		return Event{}, err
	}
	return d.finish(now)
}

// setAttributes reads what every CloudEvent has.
func (d *draft) setAttributes(fields map[string]json.RawMessage) error {
	var version string
	for _, a := range []struct {
		name string
		into *string
	}{{"specversion", &version}, {"id", &d.event.ID}, {"source", &d.event.Source}, {"type", &d.event.Type}} {
		if fields[a.name] == nil {
			return invalid(a.name, "a CloudEvent needs this attribute")
		}
		if err := decode(a.name, fields[a.name], a.into, "a string"); err != nil {
			return err
		}
		if *a.into == "" {
			return invalid(a.name, "a CloudEvent needs this attribute, and not empty")
		}
	}
	if !strings.HasPrefix(version, "1.") {
		return invalid("specversion", "want 1.0, got "+strconv.Quote(clip(version)))
	}
	if raw, has := fields["time"]; has {
		return decodeTime("time", raw, &d.event.CreatedAt)
	}
	return nil
}

// number lets a ttl be a string, too: CloudEvents has integers, but most
// senders write extensions as strings.
func number(field string, raw json.RawMessage) json.RawMessage {
	var text string
	if field == "ttl" && json.Unmarshal(raw, &text) == nil {
		return json.RawMessage(text)
	}
	return raw
}

func cloudData(fields map[string]json.RawMessage) (json.RawMessage, error) {
	encoded, has := fields["data_base64"]
	if !has {
		return fields["data"], nil
	}
	var data []byte
	if err := decode("data_base64", encoded, &data, "a base64 string"); err != nil {
		return nil, err
	}
	return dataOf("", data), nil
}

// dataOf is the data of an event made of bytes of some content type: JSON as
// it is, text as a string, anything else as base64.
func dataOf(contentType string, data []byte) json.RawMessage {
	isJSON := contentType == "" || strings.Contains(contentType, "json")
	switch {
	case len(data) == 0:
		return nil
	case isJSON && json.Valid(data) && utf8.Valid(data):
		return data
	case utf8.Valid(data):
		text, err := json.Marshal(string(data))
		if err == nil {
			return text
		}
	}
	return json.RawMessage(`"` + base64.StdEncoding.EncodeToString(data) + `"`)
}

// readBinaryCloudEvent reads the binary mode: attributes in ce- headers, the
// data as payload.
func (s Stored) readBinaryCloudEvent() (Event, error) {
	fields := map[string]json.RawMessage{}
	for _, name := range append([]string{"specversion", "id", "source", "type", "time"}, extensions()...) {
		if value := s.Header("ce-" + name); value != "" {
			value = attributeValue(value)
			text, err := json.Marshal(value)
			if err != nil || !utf8.ValidString(value) {
				return Event{}, invalid(name, "not UTF-8")
			}
			fields[name] = text
		}
	}
	e, err := decodeCloudEvent(fields, s.At)
	if err != nil {
		return Event{}, err
	}
	e.Data = dataOf(s.Header("content-type"), s.Payload)
	return e, nil
}

// attributeValue decodes the value of a header (CloudEvents 1.0, "HTTP Header
// Values"): quotes around it are taken away, and what is percent-encoded is
// decoded. A percent sign that encodes nothing stays.
func attributeValue(header string) string {
	if n := len(header); n > 1 && header[0] == '"' && header[n-1] == '"' {
		header = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(header[1 : n-1])
	}
	var b strings.Builder
	for i := 0; i < len(header); i++ {
		if header[i] == '%' && i+2 < len(header) {
			if c, err := strconv.ParseUint(header[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(header[i])
	}
	return b.String()
}

// DecodeBinaryCloudEvent reads a CloudEvent whose attributes are headers,
// strictly, for the doors.
func DecodeBinaryCloudEvent(header func(string) string, payload []byte, now time.Time) (Event, error) {
	return Stored{Header: header, Payload: payload, At: now}.readBinaryCloudEvent()
}
