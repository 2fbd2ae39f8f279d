package protocol

import (
	"encoding/json"
	"fmt"
)

// Handshake is the first record of a client. It is JSON text whatever the
// protocol it asks for (HubProtocol, "Overview").
type Handshake struct {
	Protocol string
	Version  int
}

// ParseHandshake reads the record, without its separator. Unknown properties
// are ignored; the error wraps [ErrMalformed].
func ParseHandshake(record []byte) (Handshake, error) {
	var h Handshake
	var hasProtocol, hasVersion bool
	err := members(record, func(name string, value []byte) (err error) {
		switch name {
		case "protocol":
			hasProtocol = true
			h.Protocol, err = stringValue(name, value)
		case "version":
			hasVersion = true
			if err = json.Unmarshal(value, &h.Version); err != nil || string(value) == "null" {
				err = fmt.Errorf("%w: version is no integer", ErrMalformed)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return Handshake{}, err
	case !hasProtocol:
		return Handshake{}, fmt.Errorf("%w: handshake without protocol", ErrMalformed)
	case !hasVersion:
		return Handshake{}, fmt.Errorf("%w: handshake without version", ErrMalformed)
	}
	return h, nil
}

// HandshakeAnswer is the whole record that accepts a client, or refuses it for
// the given reason. It comes before anything else.
func HandshakeAnswer(refusal string) []byte {
	if refusal == "" {
		return []byte("{}\x1e")
	}
	b := appendString([]byte(`{"error":`), refusal)
	return append(b, '}', separator)
}
