// Package tidingsv1 is the stored contract: what the bytes of an event mean,
// for ever. event.proto says it, together with the rules by which it may grow;
// event.pb.go is generated from it, for emitters that want a type.
//
// The server itself works on the canonical JSON form, which is the protojson
// form of an Event and the one that package notifications reads.
// [CanonicalJSON] brings the protobuf form there, at the edge:
//
//	if tidingsv1.IsProtobuf(contentType) {
//		payload, err = tidingsv1.CanonicalJSON(payload)
//	}
package tidingsv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// ContentType says that a payload is the protobuf encoding of an [Event].
const ContentType = "application/protobuf"

// IsProtobuf tells whether a payload of that content type is protobuf:
// application/protobuf or its older name application/x-protobuf, in any case
// and with any parameters (RFC 9110, "Media Type").
func IsProtobuf(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.TrimSpace(mediaType)
	return strings.EqualFold(mediaType, ContentType) || strings.EqualFold(mediaType, "application/x-protobuf")
}

// CanonicalJSON turns the protobuf encoding of an [Event] into its canonical
// JSON, without white space; equal events give equal bytes. Fields that this
// version does not know are passed over, since the emitter may be newer. The
// values are not checked: that is done where the JSON is read.
//
// Bytes that are no Event, or one without any field that is known, are an
// error. Its text is meant for the emitter and shows nothing of the payload.
// The payload is not kept; its size is for the caller to bound, and the JSON
// can be about six times as long.
func CanonicalJSON(payload []byte) ([]byte, error) {
	var e Event
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(payload, &e); err != nil {
		return nil, noEvent(err)
	}
	if err := e.checkTimes(); err != nil {
		return nil, noEvent(err)
	}
	// What can be wrong from here on is data: a Value that is none, or NaN.
	spaced, err := protojson.Marshal(&e)
	if err != nil {
		return nil, noEvent(err)
	}
	var canonical bytes.Buffer
	if err := json.Compact(&canonical, spaced); err != nil {
		return nil, noEvent(err)
	}
	if canonical.String() == "{}" {
		return nil, noEvent(errors.New("none of its fields is set"))
	}
	return canonical.Bytes(), nil
}

// checkTimes does what protojson would do later, but names the field.
func (x *Event) checkTimes() error {
	for _, f := range []struct {
		name string
		time *timestamppb.Timestamp
	}{
		{"createdAt", x.GetCreatedAt()}, {"expiresAt", x.GetExpiresAt()}, {"notBefore", x.GetNotBefore()},
	} {
		if f.time != nil && !f.time.IsValid() {
			return fmt.Errorf("%s is no time of the years 1 to 9999", f.name)
		}
	}
	return nil
}

// noEvent keeps the text of a cause only, without the prefix that the protobuf
// module puts in front of it: "proto:" and a space that varies by design.
func noEvent(cause error) error {
	reason := strings.TrimLeftFunc(strings.TrimPrefix(cause.Error(), "proto:"), unicode.IsSpace)
	return errors.New("not a tidings.v1.Event: " + reason)
}
