package protocol_test

import (
	"testing"
	"time"

	"tidings/hub/protocol"
)

func benchmarkPayload() payload {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	child := payload{Text: new("child"), Count: 7, At: at}
	return payload{Text: new("a text of some length"), Count: 123456, Ratio: 0.5, Flag: true, Tags: []string{"one", "two", "three"}, Data: []byte("some bytes"), At: at, Child: &child}
}

func benchmarkDecode(b *testing.B, codec protocol.Codec) {
	b.Helper()
	record, err := codec.Append(nil, &protocol.Invocation{InvocationID: "12", Target: "SendToSelf", Arguments: []any{benchmarkPayload(), 1}})
	if err != nil {
		b.Fatal(err)
	}
	body, _, err := codec.Split(record, len(record))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkAppend(b *testing.B, codec protocol.Codec, argument any) {
	b.Helper()
	m := &protocol.Invocation{Target: "ReceiveNotification", Arguments: []any{argument}}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Append(buf, m); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkBind[T any](b *testing.B, codec protocol.Codec, value any) {
	b.Helper()
	raw, err := codec.AppendValue(nil, value)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var into T
		if err := codec.Bind(raw, &into); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONDecode(b *testing.B)        { benchmarkDecode(b, protocol.JSON()) }
func BenchmarkMessagePackDecode(b *testing.B) { benchmarkDecode(b, protocol.MessagePack()) }

func BenchmarkJSONAppendStruct(b *testing.B) {
	benchmarkAppend(b, protocol.JSON(), benchmarkPayload())
}

func BenchmarkMessagePackAppendStruct(b *testing.B) {
	benchmarkAppend(b, protocol.MessagePack(), benchmarkPayload())
}

func BenchmarkJSONAppendEncoded(b *testing.B) {
	encoded, _ := protocol.Encode(benchmarkPayload())
	benchmarkAppend(b, protocol.JSON(), encoded)
}

func BenchmarkMessagePackAppendEncoded(b *testing.B) {
	encoded, _ := protocol.Encode(benchmarkPayload())
	benchmarkAppend(b, protocol.MessagePack(), encoded)
}

func BenchmarkMessagePackAppendTranscoded(b *testing.B) {
	encoded, _ := protocol.Encode(benchmarkPayload(), protocol.JSON())
	benchmarkAppend(b, protocol.MessagePack(), encoded)
}

func BenchmarkJSONBindInt(b *testing.B) { benchmarkBind[int32](b, protocol.JSON(), 42) }

func BenchmarkMessagePackBindInt(b *testing.B) { benchmarkBind[int32](b, protocol.MessagePack(), 42) }

func BenchmarkJSONBindString(b *testing.B) {
	benchmarkBind[string](b, protocol.JSON(), "a text of some length")
}

func BenchmarkMessagePackBindString(b *testing.B) {
	benchmarkBind[string](b, protocol.MessagePack(), "a text of some length")
}

func BenchmarkJSONBindStruct(b *testing.B) {
	benchmarkBind[payload](b, protocol.JSON(), benchmarkPayload())
}

func BenchmarkMessagePackBindStruct(b *testing.B) {
	benchmarkBind[payload](b, protocol.MessagePack(), benchmarkPayload())
}

func BenchmarkJSONBindAny(b *testing.B) { benchmarkBind[any](b, protocol.JSON(), benchmarkPayload()) }

func BenchmarkMessagePackBindAny(b *testing.B) {
	benchmarkBind[any](b, protocol.MessagePack(), benchmarkPayload())
}

func BenchmarkJSONBindValue(b *testing.B) {
	benchmarkBind[protocol.Value](b, protocol.JSON(), benchmarkPayload())
}

func BenchmarkMessagePackBindValue(b *testing.B) {
	benchmarkBind[protocol.Value](b, protocol.MessagePack(), benchmarkPayload())
}
