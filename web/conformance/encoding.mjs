// The two encodings of hub messages, written for the tests: from and to the
// objects that the JSON form has, so that one test serves both.

import assert from "node:assert/strict";
import { decode, encode } from "@msgpack/msgpack";

/** The end of a JSON record, and of every handshake. */
export const END = "\x1e";

export const json = {
  name: "json",
  opcode: 1,
  /** @returns {Buffer} one record; a string is taken for its text */
  record: (m) => Buffer.from((typeof m === "string" ? m : JSON.stringify(m)) + END),
  /** All messages of what the server sent at once, which must be whole. */
  parse(data) {
    const text = data.toString("utf8");
    assert.ok(text.endsWith(END), `whole records: ${text.slice(-100)}`);
    return text.slice(0, -1).split(END).map((record) => ({ ...JSON.parse(record), text: record }));
  },
};

export const messagepack = {
  name: "messagepack",
  opcode: 2,
  /** @returns {Buffer} one record; an array or bytes are taken for its body */
  record(m) {
    const body = m instanceof Uint8Array ? m : encode(Array.isArray(m) ? m : arrayOf(m));
    return Buffer.concat([prefix(body.length), body]);
  },
  parse(data) {
    const messages = [];
    for (let at = 0; at < data.length;) {
      let length = 0;
      let scale = 1;
      for (let more = true; more; scale *= 128) {
        assert.ok(at < data.length, "a whole length");
        more = data[at] >= 128;
        length += (data[at++] & 127) * scale;
      }
      assert.ok(at + length <= data.length, "whole records");
      messages.push(messageOf(decode(data.subarray(at, at + length))));
      at += length;
    }
    return messages;
  },
};

export const encodings = { json, messagepack };

/** The length before a MessagePack record. */
export function prefix(length) {
  const bytes = [];
  do {
    bytes.push((length & 127) | (length > 127 ? 128 : 0));
    length = Math.floor(length / 128);
  } while (length > 0);
  return Buffer.from(bytes);
}

function arrayOf(m) {
  const headers = m.headers ?? {};
  switch (m.type) {
    case 1: return [1, headers, m.invocationId ?? null, m.target, m.arguments, m.streamIds ?? []];
    case 2: return [2, headers, m.invocationId, m.item];
    case 3:
      if (m.error !== undefined) return [3, headers, m.invocationId, 1, m.error];
      return m.result === undefined ? [3, headers, m.invocationId, 2] : [3, headers, m.invocationId, 3, m.result];
    case 4: return [4, headers, m.invocationId, m.target, m.arguments, m.streamIds ?? []];
    case 5: return [5, headers, m.invocationId];
    case 7: return [7, m.error ?? null, m.allowReconnect ?? false];
    case 8:
    case 9: return [m.type, m.sequenceId];
    default: return [m.type];
  }
}

function messageOf(a) {
  assert.ok(Array.isArray(a), "a message is an array");
  const [type] = a;
  const some = (o) => Object.fromEntries(Object.entries(o).filter(([, value]) => value !== undefined));
  switch (type) {
    case 1:
    case 4:
      assert.equal(a.length, 6, "an invocation has six elements");
      return some({ type, invocationId: a[2] ?? undefined, target: a[3], arguments: a[4] });
    case 2:
      assert.equal(a.length, 4, "an item has four elements");
      return { type, invocationId: a[2], item: a[3] };
    case 3:
      assert.equal(a.length, a[3] === 2 ? 4 : 5, "elements of a completion");
      return some({ type, invocationId: a[2], error: a[3] === 1 ? a[4] : undefined, result: a[3] === 3 ? a[4] : undefined });
    case 5: return { type, invocationId: a[2] };
    case 6:
      assert.equal(a.length, 1, "a ping has one element");
      return { type };
    case 7:
      assert.equal(a.length, 3, "a close has three elements");
      return some({ type, error: a[1] ?? undefined, allowReconnect: a[2] || undefined });
    case 8:
    case 9: return { type, sequenceId: a[1] };
    default: throw new Error(`the server sent a message of type ${type}`);
  }
}
