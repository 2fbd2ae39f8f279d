//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
)

// calls are invocations of Echo in one encoding, and the answers to them. Both
// are written out here by hand: whoever calls must not share the mistakes of
// the server, nor cost as much as it.
type calls interface {
	// protocol is the name in the handshake, and opcode the kind of frame.
	protocol() (name string, opcode byte)
	// next is the first record, and what follows it.
	next(records []byte) (record, rest []byte, err error)
	// kind is the type of a message.
	kind(record []byte) int
	// call appends the record of a call, and answer what its answer must be,
	// without what frames it. The server passes a value on as it came.
	call(dst []byte, id int) []byte
	answer(dst []byte, id int) []byte
}

// The types of messages (HubProtocol).
const (
	kindCompletion = 3
	kindClose      = 7
)

var errCut = errors.New("a record without an end")

type jsonCalls struct{}

const jsonArgument = `{"id":4711,"title":"your order has been shipped","price":19.9,"open":true,"tags":["new","express"]}`

func (jsonCalls) protocol() (name string, opcode byte) { return "json", finalText }

func (jsonCalls) next(records []byte) (record, rest []byte, err error) {
	record, rest, whole := bytes.Cut(records, []byte{ends})
	if !whole {
		return nil, nil, errCut
	}
	return record, rest, nil
}

func (jsonCalls) kind(record []byte) int {
	kind, _ := number(record, `"type":`)
	return int(kind) //nolint:gosec // a small number
}

func (jsonCalls) call(dst []byte, id int) []byte {
	dst = append(dst, `{"type":1,"invocationId":"`...)
	dst = strconv.AppendInt(dst, int64(id), 10)
	return append(dst, `","target":"Echo","arguments":[`+jsonArgument+"]}\x1e"...)
}

func (jsonCalls) answer(dst []byte, id int) []byte {
	dst = append(dst, `{"type":3,"invocationId":"`...)
	dst = strconv.AppendInt(dst, int64(id), 10)
	return append(dst, `","result":`+jsonArgument+"}"...)
}

type packCalls struct{}

// packArgument is jsonArgument: a map of five, an integer of 16 bits, a text,
// a float of 64, true, and an array of two texts.
const packArgument = "\x85" +
	"\xa2id" + "\xcd\x12\x67" +
	"\xa5title" + "\xbbyour order has been shipped" +
	"\xa5price" + "\xcb\x40\x33\xe6\x66\x66\x66\x66\x66" +
	"\xa4open" + "\xc3" +
	"\xa4tags" + "\x92" + "\xa3new" + "\xa7express"

func (packCalls) protocol() (name string, opcode byte) { return "messagepack", finalBinary }

func (packCalls) next(records []byte) (record, rest []byte, err error) {
	length, n := binary.Uvarint(records)
	if n <= 0 || length == 0 || length > uint64(len(records[n:])) {
		return nil, nil, errCut
	}
	return records[n:][:length], records[n:][length:], nil
}

// kind is the first element of the array.
func (packCalls) kind(record []byte) int {
	if len(record) < 2 {
		return 0
	}
	return int(record[1])
}

func (packCalls) call(dst []byte, id int) []byte {
	var body [256]byte
	b := appendPackID(append(body[:0], "\x96\x01\x80"...), id)
	b = append(b, "\xa4Echo\x91"+packArgument+"\x90"...)
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (packCalls) answer(dst []byte, id int) []byte {
	dst = appendPackID(append(dst, "\x95\x03\x80"...), id)
	return append(dst, "\x03"+packArgument...)
}

// appendPackID appends a text of less than 32 bytes.
func appendPackID(dst []byte, id int) []byte {
	text := strconv.Itoa(id)
	return append(append(dst, 0xa0|byte(len(text))), text...) //nolint:gosec // an integer is no longer than 20
}
