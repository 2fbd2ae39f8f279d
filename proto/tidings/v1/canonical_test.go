package tidingsv1_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tidings/notifications"
	tidingsv1 "tidings/proto/tidings/v1"
)

var (
	now     = time.Date(2026, 1, 2, 15, 4, 5, 678e6, time.UTC)
	created = time.Date(2026, 1, 1, 8, 0, 0, 123e6, time.UTC)
	later   = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
)

const (
	traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceState  = "vendor=a:1"
)

// single is an event with one field set, in both worlds.
type single struct {
	message *tidingsv1.Event
	want    notifications.Event
}

// singles has every field of the message by its JSON name.
func singles() map[string]single {
	return map[string]single{
		"id":          {&tidingsv1.Event{Id: "e-1"}, notifications.Event{ID: "e-1"}},
		"recipient":   {&tidingsv1.Event{Recipient: "group/g/1 x"}, notifications.Event{Recipient: notifications.ToGroup("g/1 x")}},
		"type":        {&tidingsv1.Event{Type: "order.shipped"}, notifications.Event{Type: "order.shipped"}},
		"source":      {&tidingsv1.Event{Source: "shop"}, notifications.Event{Source: "shop"}},
		"target":      {&tidingsv1.Event{Target: "OrderShipped"}, notifications.Event{Target: "OrderShipped"}},
		"title":       {&tidingsv1.Event{Title: "Schönes <b>\n"}, notifications.Event{Title: "Schönes <b>\n"}},
		"body":        {&tidingsv1.Event{Body: "on its way"}, notifications.Event{Body: "on its way"}},
		"data":        {&tidingsv1.Event{Data: structpb.NewNullValue()}, notifications.Event{Data: json.RawMessage("null")}},
		"severity":    {&tidingsv1.Event{Severity: "critical"}, notifications.Event{Severity: notifications.Critical}},
		"link":        {&tidingsv1.Event{Link: "/orders/7?a=1&b=2"}, notifications.Event{Link: "/orders/7?a=1&b=2"}},
		"createdAt":   {&tidingsv1.Event{CreatedAt: timestamppb.New(created)}, notifications.Event{CreatedAt: created}},
		"traceparent": {&tidingsv1.Event{Traceparent: traceParent}, notifications.Event{TraceParent: traceParent}},
		"actions": {
			&tidingsv1.Event{Actions: []*tidingsv1.Action{{Label: "Track", Link: "/track"}, {Label: "Mute", Method: "Mute"}}},
			notifications.Event{Actions: []notifications.Action{{Label: "Track", Link: "/track"}, {Label: "Mute", Method: "Mute"}}},
		},
		"collapseKey": {&tidingsv1.Event{CollapseKey: "order-7"}, notifications.Event{CollapseKey: "order-7"}},
		"recalls":     {&tidingsv1.Event{Recalls: "e-0"}, notifications.Event{Recalls: "e-0"}},
		"replayOf":    {&tidingsv1.Event{ReplayOf: "notifications/41"}, notifications.Event{ReplayOf: "notifications/41"}},
		"expiresAt":   {&tidingsv1.Event{ExpiresAt: timestamppb.New(later)}, notifications.Event{ExpiresAt: later}},
		"ttl":         {&tidingsv1.Event{Ttl: new(2.5)}, notifications.Event{CreatedAt: now, ExpiresAt: now.Add(2500 * time.Millisecond)}},
		"notBefore":   {&tidingsv1.Event{NotBefore: timestamppb.New(created)}, notifications.Event{NotBefore: created}},
		"membersAt":   {&tidingsv1.Event{MembersAt: "read"}, notifications.Event{MembersAt: notifications.Read}},
		"tracestate":  {&tidingsv1.Event{Tracestate: traceState}, notifications.Event{TraceState: traceState}},
	}
}

// full has every field set but ttl, which expiresAt excludes.
func full(tb testing.TB) (*tidingsv1.Event, notifications.Event) {
	tb.Helper()
	e := &tidingsv1.Event{}
	for name, s := range singles() {
		if name != "ttl" {
			proto.Merge(e, s.message)
		}
	}
	var err error
	if e.Data, err = structpb.NewValue(map[string]any{"order": 7, "paid": true, "lines": []any{"a", 1.5, nil}}); err != nil {
		tb.Fatal(err)
	}
	return e, notifications.Event{
		ID: "e-1", Recipient: notifications.ToGroup("g/1 x"), Type: "order.shipped", Source: "shop", Target: "OrderShipped",
		Title: "Schönes <b>\n", Body: "on its way", Data: json.RawMessage(`{"lines":["a",1.5,null],"order":7,"paid":true}`),
		Severity: notifications.Critical, Link: "/orders/7?a=1&b=2",
		Actions:     []notifications.Action{{Label: "Track", Link: "/track"}, {Label: "Mute", Method: "Mute"}},
		CollapseKey: "order-7", Recalls: "e-0", ReplayOf: "notifications/41", ExpiresAt: later, NotBefore: created, MembersAt: notifications.Read, CreatedAt: created,
		TraceParent: traceParent, TraceState: traceState,
	}
}

func encode(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	payload, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return payload
}

// canonical fails the test unless the payload is an event.
func canonical(t *testing.T, payload []byte) []byte {
	t.Helper()
	text, err := tidingsv1.CanonicalJSON(payload)
	if err != nil {
		t.Fatalf("CanonicalJSON(%x) = %v", payload, err)
	}
	return text
}

func TestFullEvent(t *testing.T) {
	message, want := full(t)
	for _, f := range names() {
		if f != "ttl" && !message.ProtoReflect().Has(message.ProtoReflect().Descriptor().Fields().ByJSONName(f)) {
			t.Errorf("full() does not set %s", f)
		}
	}
	text := canonical(t, encode(t, message))
	got, err := notifications.DecodeEvent(text, now)
	if err != nil {
		t.Fatalf("DecodeEvent(%s) = %v", text, err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", text, diff)
	}
	if err := got.Validate(notifications.Limits{}); err != nil {
		t.Errorf("Validate() = %v", err)
	}
}

// TestJSONIsProtoJSON goes the other way round: what package notifications
// writes is what any protobuf library reads as an Event.
func TestJSONIsProtoJSON(t *testing.T) {
	want, event := full(t)
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	var got tidingsv1.Event
	if err := protojson.Unmarshal(text, &got); err != nil {
		t.Fatalf("protojson.Unmarshal(%s) = %v", text, err)
	}
	if !proto.Equal(want, &got) {
		t.Errorf("protojson.Unmarshal(%s)\n got %v\nwant %v", text, &got, want)
	}
}

// TestEachField: a strict door knows every field, and a lenient reader does
// not take an event with only that field for mere data.
func TestEachField(t *testing.T) {
	for name, s := range singles() {
		t.Run(name, func(t *testing.T) {
			text := canonical(t, encode(t, s.message))
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(text, &fields); err != nil || len(fields) != 1 || fields[name] == nil {
				t.Fatalf("CanonicalJSON = %s (%v), want the field %s only", text, err, name)
			}
			got, err := notifications.DecodeEvent(text, now)
			if err != nil {
				t.Fatalf("DecodeEvent(%s) = %v", text, err)
			}
			if diff := gocmp.Diff(s.want, got); diff != "" {
				t.Errorf("DecodeEvent(%s) (-want +got):\n%s", text, diff)
			}
			readBack(t, text, s.want)
		})
	}
}

// readBack reads the text as if it had been published to a subject.
func readBack(t *testing.T, text []byte, want notifications.Event) {
	t.Helper()
	stored := notifications.Stored{
		Recipient: notifications.ToUser("ann"), Header: func(string) string { return "" }, Payload: text, At: now, ID: "log-1",
	}
	want.Recipient = stored.Recipient
	want.ID = cmp.Or(want.ID, stored.ID)
	want.Complete(now, func() string { return stored.ID })
	got, err := notifications.ReadEvent(stored)
	if err != nil {
		t.Fatalf("ReadEvent(%s) = %v", text, err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("ReadEvent(%s) (-want +got):\n%s", text, diff)
	}
}

// names are the JSON names of the message, sorted.
func names() []string {
	var all []string
	fields := (&tidingsv1.Event{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		all = append(all, fields.Get(i).JSONName())
	}
	slices.Sort(all)
	return all
}

// TestFieldsAreTheSame holds rule 5 of event.proto, and that no test here has
// forgotten a field.
func TestFieldsAreTheSame(t *testing.T) {
	if diff := gocmp.Diff(names(), jsonNames(reflect.TypeFor[notifications.Event](), "ttl")); diff != "" {
		t.Errorf("event.proto and notifications.Event (-proto +notifications):\n%s", diff)
	}
	if diff := gocmp.Diff(names(), slices.Sorted(maps.Keys(singles()))); diff != "" {
		t.Errorf("event.proto and singles() (-proto +singles):\n%s", diff)
	}
	action := (&tidingsv1.Action{}).ProtoReflect().Descriptor().Fields()
	var got []string
	for i := range action.Len() {
		got = append(got, action.Get(i).JSONName())
	}
	slices.Sort(got)
	if diff := gocmp.Diff(got, jsonNames(reflect.TypeFor[notifications.Action]())); diff != "" {
		t.Errorf("event.proto and notifications.Action (-proto +notifications):\n%s", diff)
	}
}

// jsonNames are the names a struct has in JSON, and those it is read from but
// never written to; sorted.
func jsonNames(of reflect.Type, readOnly ...string) []string {
	all := readOnly
	for field := range of.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func TestData(t *testing.T) {
	for _, test := range []struct {
		name, data, want string
	}{
		{"largest safe integer", `9007199254740991`, `9007199254740991`},
		{"integer beyond 2^53 is rounded", `9007199254740993`, `9007199254740992`},
		{"64-bit integer is rounded", `9223372036854775807`, `9223372036854776000`},
		{"large integer as a string is kept", `"9223372036854775807"`, `"9223372036854775807"`},
		{"fraction loses its zeros", `1.50`, `1.5`},
		{"object loses its order", `{"b": 1, "a": [true, null, ""]}`, `{"a":[true,null,""],"b":1}`},
		{"empty object", `{}`, `{}`},
		{"null", `null`, `null`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var data structpb.Value
			if err := protojson.Unmarshal([]byte(test.data), &data); err != nil {
				t.Fatal(err)
			}
			got := canonical(t, encode(t, &tidingsv1.Event{Data: &data}))
			if want := `{"data":` + test.want + `}`; string(got) != want {
				t.Errorf("data %s: got %s, want %s", test.data, got, want)
			}
			// The JSON form keeps what is written.
			e, err := notifications.DecodeEvent([]byte(`{"data":`+test.data+`}`), now)
			if err != nil || string(e.Data) != test.data {
				t.Errorf("DecodeEvent: data %s, %v; want %s", e.Data, err, test.data)
			}
		})
	}
}

// TestTTLZeroIsNoAbsence: a computed ttl of 0 must not become "never expires".
func TestTTLZeroIsNoAbsence(t *testing.T) {
	for ttl, want := range map[float64]string{0: `{"ttl":0}`, math.Inf(1): `{"ttl":"Infinity"}`} {
		text := canonical(t, encode(t, &tidingsv1.Event{Ttl: &ttl}))
		if string(text) != want {
			t.Errorf("ttl %v: got %s, want %s", ttl, text, want)
		}
		if _, err := notifications.DecodeEvent(text, now); err == nil {
			t.Errorf("DecodeEvent(%s): no error", text)
		}
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	message, _ := full(t)
	known := encode(t, message)
	newer := protowire.AppendTag(nil, 13, protowire.BytesType)
	newer = protowire.AppendString(newer, "from the future")
	newer = append(newer, known...)
	newer = protowire.AppendTag(newer, 2000, protowire.Fixed64Type)
	newer = protowire.AppendFixed64(newer, 1)
	if got, want := canonical(t, newer), canonical(t, known); string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDeterministic(t *testing.T) {
	message, _ := full(t)
	want := canonical(t, encode(t, message))
	for range 100 {
		if got := canonical(t, encode(t, message)); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// secret must not be found in an error.
const secret = "hunter2"

func TestNoEvent(t *testing.T) {
	for _, test := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"empty", nil, "none of its fields is set"},
		{"only unknown fields", protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), secret), "none of its fields is set"},
		{"text", []byte(secret), "cannot parse"},
		{"JSON", []byte(`{"title":"` + secret + `"}`), "cannot parse"},
		{"not UTF-8", protowire.AppendString(protowire.AppendTag(nil, 6, protowire.BytesType), secret+"\xff"), "invalid UTF-8"},
		{"data without a kind", encode(t, &tidingsv1.Event{Title: secret, Data: &structpb.Value{}}), "google.protobuf.Value"},
		{"data not a number", encode(t, &tidingsv1.Event{Data: structpb.NewNumberValue(math.NaN())}), "google.protobuf.Value"},
		{"data infinite", encode(t, &tidingsv1.Event{Data: structpb.NewNumberValue(math.Inf(-1))}), "google.protobuf.Value"},
		{"time out of range", encode(t, &tidingsv1.Event{ExpiresAt: &timestamppb.Timestamp{Seconds: 1 << 50}}), "expiresAt is no time"},
		{"negative nanoseconds", encode(t, &tidingsv1.Event{NotBefore: &timestamppb.Timestamp{Nanos: -1}}), "notBefore is no time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := tidingsv1.CanonicalJSON(test.payload)
			if err == nil {
				t.Fatalf("CanonicalJSON(%x) = %s, want an error", test.payload, text)
			}
			if text != nil {
				t.Errorf("text %s beside the error %v", text, err)
			}
			if !strings.HasPrefix(err.Error(), "not a tidings.v1.Event: ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %q, want %q after the prefix and nothing of the payload", err, test.want)
			}
		})
	}
}

// TestTruncated cuts a full event at every byte: the rest is either refused or,
// between two fields, a smaller event.
func TestTruncated(t *testing.T) {
	message, _ := full(t)
	payload := encode(t, message)
	ends := map[int]bool{}
	for end := 0; end < len(payload); {
		_, _, n := protowire.ConsumeField(payload[end:])
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		end += n
		ends[end] = true
	}
	for n := range payload {
		text, err := tidingsv1.CanonicalJSON(payload[:n])
		if (err == nil) != ends[n] {
			t.Errorf("the first %d bytes: %s, %v; want an error: %v", n, text, err, !ends[n])
		}
	}
}

func TestIsProtobuf(t *testing.T) {
	for contentType, want := range map[string]bool{
		tidingsv1.ContentType:                                         true,
		"application/x-protobuf":                                      true,
		"Application/ProtoBuf":                                        true,
		"APPLICATION/X-PROTOBUF; messageType=tidings.v1.Event":        true,
		` application/protobuf ;proto="tidings.v1.Event"; charset=x `: true,
		"application/protobuf;":                                       true,
		"":                                                            false,
		";":                                                           false,
		"application/json":                                            false,
		"application/protobuf+json":                                   false,
		"application/protobuffer":                                     false,
		"text/plain; a=application/protobuf":                          false,
		"application/cloudevents+protobuf":                            false,
	} {
		if got := tidingsv1.IsProtobuf(contentType); got != want {
			t.Errorf("IsProtobuf(%q) = %v, want %v", contentType, got, want)
		}
	}
}
