// §6: what a protocol violation is, and §4: what follows; the message limit.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encode } from "@msgpack/msgpack";
import { messagepack, prefix } from "./encoding.mjs";
import { becomes, cells, connect, everywhere } from "./matrix.mjs";
import { Peer, post } from "./raw.mjs";
import { server, watcher } from "./suite.mjs";

const LIMIT = 32768;
const add = (id) => ({ type: 1, invocationId: id, target: "Add", arguments: [1, 2] });

/** Sends bytes and expects what §4 says: the Close message, the end, and no harm to others. */
async function violates(cell, bytes) {
  const peer = await Peer.open(server, cell);
  await peer.welcome();
  await peer.bytes(bytes);
  const { allowReconnect, ...close } = await peer.closed();
  assert.deepEqual(close, { type: 7, error: "Connection closed with an error." });
  assert.ok(allowReconnect === undefined || allowReconnect === true, "no other value is written");
  assert.equal(peer.log.at(-1).type, 7, "nothing behind the Close");
  await becomes(watcher, peer.id, "failed");
}

const text = (s) => Buffer.from(`${s}\x1e`);
const body = (...parts) => messagepack.record(Buffer.concat(parts.map((p) => Buffer.from(p))));

/** Every violation of §6: [what, bytes] per encoding. */
const violations = {
  json: [
    ["an empty record", text("")],
    ["no JSON", text("garbage")],
    ["null", text("null")],
    ["an array", text("[]")],
    ["an array in MessagePack's shape", text('[1,{},"1","Add",[1,2],[]]')],
    ["a string", text('"type"')],
    ["a number", text("6")],
    ["true", text("true")],
    ["an open object", text('{"type":6')],
    ["an open string", text('{"type":6,"a":"b}')],
    ["two objects", text('{"type":6}{"type":6}')],
    ["an object and more", text('{"type":6} x')],
    ["a trailing comma", text('{"type":6,}')],
    ["a comment", text('{"type":6/* */}')],
    ["single quotes", text("{'type':6}")],
    ["a byte order mark", text('\ufeff{"type":6}')],
    ["a control character in a string", text('{"type":6,"a":"\u0001"}')],
    ["no type", text("{}")],
    ["no type, though all else", text('{"invocationId":"1","target":"Add","arguments":[1,2]}')],
    ["type: a string", text('{"type":"1","invocationId":"1","target":"Add","arguments":[1,2]}')],
    ["type: null", text('{"type":null}')],
    ["type: a fraction", text('{"type":1.5}')],
    ["type: true", text('{"type":true}')],
    ["type: an object", text('{"type":{}}')],
    ["type in another case", text('{"Type":6}')],
    ["invocation without target", text('{"type":1,"invocationId":"1","arguments":[]}')],
    ["invocation, target: null", text('{"type":1,"invocationId":"1","target":null,"arguments":[]}')],
    ["invocation, target: a number", text('{"type":1,"invocationId":"1","target":5,"arguments":[]}')],
    ["invocation, target: an array", text('{"type":1,"invocationId":"1","target":["Add"],"arguments":[]}')],
    ["invocation, id: a number", text('{"type":1,"invocationId":1,"target":"Add","arguments":[1,2]}')],
    ["invocation, id: null", text('{"type":1,"invocationId":null,"target":"Add","arguments":[1,2]}')],
    ["invocation, id: an object", text('{"type":1,"invocationId":{},"target":"Add","arguments":[1,2]}')],
    ["invocation without arguments", text('{"type":1,"invocationId":"1","target":"Recall"}')],
    ["invocation, arguments: null", text('{"type":1,"invocationId":"1","target":"Recall","arguments":null}')],
    ["invocation, arguments: an object", text('{"type":1,"invocationId":"1","target":"Recall","arguments":{}}')],
    ["invocation, arguments: a string", text('{"type":1,"invocationId":"1","target":"Recall","arguments":"x"}')],
    ["invocation of an unknown method, arguments: a number", text('{"type":1,"invocationId":"1","target":"Nonsense","arguments":1}')],
    ["invocation, streamIds: a string", text('{"type":1,"invocationId":"1","target":"Sum","arguments":[],"streamIds":"u"}')],
    ["invocation, streamIds: numbers", text('{"type":1,"invocationId":"1","target":"Sum","arguments":[],"streamIds":[1]}')],
    ["invocation, streamIds: an object", text('{"type":1,"invocationId":"1","target":"Sum","arguments":[],"streamIds":{}}')],
    ["invocation, headers: an array", text('{"type":1,"invocationId":"1","target":"Add","arguments":[1,2],"headers":[]}')],
    ["invocation, headers: a string", text('{"type":1,"invocationId":"1","target":"Add","arguments":[1,2],"headers":"x"}')],
    ["invocation, a header: a number", text('{"type":1,"invocationId":"1","target":"Add","arguments":[1,2],"headers":{"a":1}}')],
    ["invocation, a header: an object", text('{"type":1,"invocationId":"1","target":"Add","arguments":[1,2],"headers":{"a":{}}}')],
    ["stream invocation without id", text('{"type":4,"target":"Count","arguments":[1,0]}')],
    ["stream invocation, id: a number", text('{"type":4,"invocationId":1,"target":"Count","arguments":[1,0]}')],
    ["stream invocation without target", text('{"type":4,"invocationId":"1","arguments":[1,0]}')],
    ["stream invocation without arguments", text('{"type":4,"invocationId":"1","target":"Count"}')],
    ["stream invocation, streamIds: numbers", text('{"type":4,"invocationId":"1","target":"DoubleAll","arguments":[],"streamIds":[1]}')],
    ["item without id", text('{"type":2,"item":1}')],
    ["item, id: a number", text('{"type":2,"invocationId":1,"item":1}')],
    ["item, id: null", text('{"type":2,"invocationId":null,"item":1}')],
    ["item, a header: a number", text('{"type":2,"invocationId":"1","item":1,"headers":{"a":1}}')],
    ["completion without id", text('{"type":3,"result":1}')],
    ["completion, id: a number", text('{"type":3,"invocationId":1,"result":1}')],
    ["completion with both result and error", text('{"type":3,"invocationId":"1","result":1,"error":"E"}')],
    ["completion with both error and result, in this order", text('{"type":3,"error":"E","invocationId":"1","result":{"a":[]}}')],
    ["completion, headers: a number", text('{"type":3,"invocationId":"1","headers":1}')],
    ["cancellation without id", text('{"type":5}')],
    ["cancellation, id: a number", text('{"type":5,"invocationId":1}')],
    ["cancellation, id: null", text('{"type":5,"invocationId":null}')],
  ],
  messagepack: [
    ["an empty record", prefix(0)],
    ["nil", body([0xc0])],
    ["a map", body([0x80])],
    ["a map in JSON's shape", messagepack.record(encode({ type: 6 }))],
    ["an integer", body([6])],
    ["a string", body(encode("x"))],
    ["bytes", body(encode(new Uint8Array([6])))],
    ["a byte that is nothing", body([0xc1])],
    ["an empty array", body([0x90])],
    ["type: a string", messagepack.record(["1", {}, "1", "Add", [1, 2], []])],
    ["type: nil", messagepack.record([null])],
    ["type: a float", messagepack.record([6.5])],
    ["type: true", messagepack.record([true])],
    ["type: an array", messagepack.record([[6]])],
    ["an array that is longer than its record", body([0x96, 1, 0x80])],
    ["an array of four thousand million elements", body([0xdd, 0xff, 0xff, 0xff, 0xff, 1])],
    ["a text that is longer than its record", body([0x96, 1, 0x80, 0xa1, 0x31, 0xdb, 0x7f, 0xff, 0xff, 0xff, 0x41])],
    ["arguments of four thousand million elements", body([0x96, 1, 0x80, ...encode("1"), ...encode("Add"), 0xdd, 0xff, 0xff, 0xff, 0xff])],
    ["headers of four thousand million elements", body([0x96, 1, 0xdf, 0xff, 0xff, 0xff, 0xff])],
    ["a byte that is nothing among the arguments", body([0x96, 1, 0x80, ...encode("1"), ...encode("Echo"), 0x91, 0xc1, 0x90])],
    ["invocation of one element", messagepack.record([1])],
    ["invocation of two elements", messagepack.record([1, {}])],
    ["invocation of three elements", messagepack.record([1, {}, "1"])],
    ["invocation of four elements", messagepack.record([1, {}, "1", "Recall"])],
    ["invocation, headers: nil", messagepack.record([1, null, "1", "Add", [1, 2], []])],
    ["invocation, headers: an array", messagepack.record([1, [], "1", "Add", [1, 2], []])],
    ["invocation, headers: a string", messagepack.record([1, "", "1", "Add", [1, 2], []])],
    ["invocation, a header: a number", messagepack.record([1, { a: 1 }, "1", "Add", [1, 2], []])],
    ["invocation, a header: nil", messagepack.record([1, { a: null }, "1", "Add", [1, 2], []])],
    ["invocation, the name of a header: a number", body([0x96, 1, 0x81, 7, 0xa1, 0x61, ...encode("1"), ...encode("Add"), 0x92, 1, 2, 0x90])],
    ["invocation, id: a number", messagepack.record([1, {}, 1, "Add", [1, 2], []])],
    ["invocation, id: true", messagepack.record([1, {}, true, "Add", [1, 2], []])],
    ["invocation, id: bytes", messagepack.record([1, {}, new Uint8Array([0x31]), "Add", [1, 2], []])],
    ["invocation, target: nil", messagepack.record([1, {}, "1", null, [], []])],
    ["invocation, target: a number", messagepack.record([1, {}, "1", 5, [], []])],
    ["invocation, target: an array", messagepack.record([1, {}, "1", ["Add"], [], []])],
    ["invocation, arguments: nil", messagepack.record([1, {}, "1", "Recall", null, []])],
    ["invocation, arguments: a map", messagepack.record([1, {}, "1", "Recall", {}, []])],
    ["invocation, arguments: a string", messagepack.record([1, {}, "1", "Recall", "x", []])],
    ["invocation of an unknown method, arguments: a number", messagepack.record([1, {}, "1", "Nonsense", 1, []])],
    ["invocation, streamIds: a string", messagepack.record([1, {}, "1", "Sum", [], "u"])],
    ["invocation, streamIds: numbers", messagepack.record([1, {}, "1", "Sum", [], [1]])],
    ["invocation, streamIds: a map", messagepack.record([1, {}, "1", "Sum", [], { u: 1 }])],
    ["stream invocation of four elements", messagepack.record([4, {}, "1", "Count"])],
    ["stream invocation, id: nil", messagepack.record([4, {}, null, "Count", [1, 0], []])],
    ["stream invocation, id: a number", messagepack.record([4, {}, 1, "Count", [1, 0], []])],
    ["stream invocation, target: nil", messagepack.record([4, {}, "1", null, [1, 0], []])],
    ["stream invocation, arguments: nil", messagepack.record([4, {}, "1", "Count", null, []])],
    ["stream invocation, streamIds: numbers", messagepack.record([4, {}, "1", "DoubleAll", [], [1]])],
    ["item of three elements", messagepack.record([2, {}, "1"])],
    ["item, id: nil", messagepack.record([2, {}, null, 1])],
    ["item, id: a number", messagepack.record([2, {}, 1, 1])],
    ["item, headers: nil", messagepack.record([2, null, "1", 1])],
    ["completion of three elements", messagepack.record([3, {}, "1"])],
    ["completion, id: nil", messagepack.record([3, {}, null, 2])],
    ["completion, id: a number", messagepack.record([3, {}, 1, 2])],
    ["completion of an unknown kind", messagepack.record([3, {}, "1", 4, 1])],
    ["completion, kind: a string", messagepack.record([3, {}, "1", "3", 1])],
    ["completion with a result that is missing", messagepack.record([3, {}, "1", 3])],
    ["completion with an error that is missing", messagepack.record([3, {}, "1", 1])],
    ["completion with an error that is no string", messagepack.record([3, {}, "1", 1, 5])],
    ["cancellation of two elements", messagepack.record([5, {}])],
    ["cancellation, id: nil", messagepack.record([5, {}, null])],
    ["cancellation, id: a number", messagepack.record([5, {}, 1])],
    ["close of one element", messagepack.record([7])],
    ["a length of six bytes", Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 1])],
    ["a length beyond 2 GiB", Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f])],
  ],
};

describe("a protocol violation ends that connection with a Close and harms no other", { concurrency: 12 }, () => {
  for (const cell of cells.slice(0, 2)) {
    for (const [name, bytes] of violations[cell.encoding]) test(`${name} [${cell}]`, () => violates(cell, bytes));
  }

  for (const cell of cells.slice(2)) {
    // The same parser stands behind the other transports: a sample of each kind.
    for (const [name, bytes] of violations[cell.encoding].filter((_, i) => i % 12 === 1)) test(`${name} [${cell}]`, () => violates(cell, bytes));
  }

  everywhere("what came before it has been handled, what comes behind it is not", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    const bad = cell.encoding === "json" ? text("garbage") : body([0xc1]);
    const says = (words) => peer.encoding.record({ type: 1, target: "Broadcast", arguments: ["client", [watcher.id], words] });
    await peer.bytes(Buffer.concat([says(`before ${cell}`), bad, says(`behind ${cell}`)]));
    await peer.closed();
    await becomes(watcher, peer.id, "failed");
    await watcher.invoke("Broadcast", "caller", [], `fence ${cell}`);
    const heard = watcher.messages.map((m) => m.text).filter((t) => t.endsWith(String(cell)));
    assert.ok(!heard.includes(`behind ${cell}`));
    assert.ok(heard.includes(`before ${cell}`));
  });

  everywhere("the stock client of another connection notices nothing", async (cell) => {
    const client = await connect(server, cell);
    await violates({ transport: "WebSockets", encoding: cell.encoding }, cell.encoding === "json" ? text("garbage") : body([0xc1]));
    assert.equal(await client.invoke("Add", 1, 2), 3);
    assert.equal(client.connection.state, "Connected");
    await client.stop();
  });

  test("after the end of a long-polling connection its POSTs are 404", async () => {
    const peer = await Peer.open(server, { transport: "LongPolling" });
    await peer.welcome();
    await peer.bytes(text("garbage"));
    await peer.closed();
    assert.deepEqual((await peer.ended).status, 204);
    assert.equal((await post(peer.url, { body: text("") })).status, 404);
  });
});

describe("an Ack that makes no sense is ignored", { concurrency: 10 }, () => {
  everywhere("on a connection without stateful reconnect", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    for (const sequenceId of [0, 1, 7, -1, 2 ** 40]) await peer.send({ type: 8, sequenceId });
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    assert.deepEqual(peer.inbox, []);
    peer.wire.reset();
  });
});

/** A record of exactly so many bytes with its framing, which Length answers. */
function sized(encoding, bytes, id = "1") {
  const make = (n) => encoding.record({ type: 1, invocationId: id, target: "Length", arguments: ["x".repeat(n)] });
  const record = make(bytes - (make(bytes - 100).length - (bytes - 100)));
  assert.equal(record.length, bytes);
  return record;
}

describe("the message limit", { concurrency: 6 }, () => {
  everywhere("a record of exactly 32768 bytes is allowed", async (cell) => {
    const peer = await Peer.open(server, cell);
    const record = sized(peer.encoding, LIMIT);
    await peer.bytes(record);
    const { result, error } = await peer.completion("1");
    assert.equal(error, undefined);
    assert.ok(result > LIMIT - 100);
    peer.wire.reset();
  });

  everywhere("one byte more is refused: the Close, the end", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    await peer.bytes(sized(peer.encoding, LIMIT + 1));
    const { allowReconnect, ...close } = await peer.closed();
    assert.deepEqual(close, { type: 7, error: "Connection closed with an error." });
    assert.ok(!peer.log.some((m) => m.type === 3), "it was not handled");
    await becomes(watcher, peer.id, "failed");
  });

  everywhere("a record of any size is refused", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    void peer.bytes(sized(peer.encoding, 300_000));
    const { allowReconnect, ...close } = await peer.closed();
    assert.deepEqual(close, { type: 7, error: "Connection closed with an error." });
    await becomes(watcher, peer.id, "failed");
  });

  everywhere("a record that has not ended is refused when it is too long already", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    const bytes = sized(peer.encoding, 100_000).subarray(0, 40_000);
    for (let at = 0; at < bytes.length; at += 10_000) void peer.bytes(bytes.subarray(at, at + 10_000));
    const { allowReconnect, ...close } = await peer.closed();
    assert.deepEqual(close, { type: 7, error: "Connection closed with an error." });
    await becomes(watcher, peer.id, "failed");
  });

  for (const cell of cells.filter((c) => c.encoding === "messagepack")) {
    test(`a length beyond the limit is refused before its bytes have come [${cell}]`, async () => {
      await violates(cell, Buffer.concat([prefix(LIMIT * 2), Buffer.from([0x96, 1])]));
    });
  }

  everywhere("counts one record: several small ones in one frame may exceed it together", async (cell) => {
    const peer = await Peer.open(server, cell);
    const ids = Array.from({ length: 10 }, (_, i) => String(i));
    await peer.bytes(Buffer.concat(ids.map((id) => sized(peer.encoding, 10_000, id))));
    for (const id of ids) assert.ok((await peer.completion(id)).result > 9000);
    peer.wire.reset();
  });

  everywhere("two records of the limit in one frame", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.bytes(Buffer.concat([sized(peer.encoding, LIMIT, "1"), sized(peer.encoding, LIMIT, "2")]));
    for (const id of ["1", "2"]) assert.ok((await peer.completion(id)).result > LIMIT - 100);
    peer.wire.reset();
  });

  everywhere("a record of the limit in pieces", async (cell) => {
    const peer = await Peer.open(server, cell);
    const record = sized(peer.encoding, LIMIT);
    for (let at = 0; at < record.length; at += 5000) await peer.bytes(record.subarray(at, at + 5000));
    assert.ok((await peer.completion("1")).result > LIMIT - 100);
    peer.wire.reset();
  });
});

describe("what might be a bomb harms nobody", { concurrency: 6 }, () => {
  for (const [name, cell, bytes] of [
    ["JSON of great depth", cells[0], text(`{"type":1,"invocationId":"1","target":"Echo","arguments":[${"[".repeat(15_000)}${"]".repeat(15_000)}]}`)],
    ["JSON objects of great depth", cells[0], text(`{"type":1,"invocationId":"1","target":"EchoTyped","arguments":[${'{"child":'.repeat(3000)}null${"}".repeat(3000)}]}`)],
    ["MessagePack of great depth", cells[1], body([0x96, 1, 0x80, ...encode("1"), ...encode("Echo"), 0x91], Buffer.alloc(30_000, 0x91), [0xc0, 0x90])],
    ["a long name", cells[0], text(`{"type":1,"invocationId":"1","target":"${"x".repeat(30_000)}","arguments":[]}`)],
    ["many stream ids", cells[0], text(`{"type":1,"invocationId":"1","target":"Sum","arguments":[],"streamIds":[${Array.from({ length: 3000 }, (_, i) => `"${i}"`)}]}`)],
  ]) {
    test(name, async () => {
      const peer = await Peer.open(server, cell);
      await peer.welcome();
      await peer.bytes(bytes);
      await peer.take("a completion or a Close", (m) => m.type === 3 || m.type === 7);
      assert.equal(await watcher.invoke("Add", 1, 2), 3);
      peer.wire.reset();
    });
  }
});
