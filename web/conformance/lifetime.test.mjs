// §5 Lifetime; §6 order, keep-alive, client timeout, Close messages, records in
// any pieces, and message types nobody knows.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HubConnectionState } from "@microsoft/signalr";
import { messagepack } from "./encoding.mjs";
import { becomes, cells, connect, everywhere, items, until } from "./matrix.mjs";
import { ask, frame, Peer } from "./raw.mjs";
import { startConformance } from "./server.mjs";
import { server, watcher } from "./suite.mjs";

const sockets = cells.filter((cell) => cell.transport === "WebSockets");
const pushed = cells.filter((cell) => cell.transport !== "LongPolling");
const add = (id) => ({ type: 1, invocationId: id, target: "Add", arguments: [1, 2] });

describe("on connect", { concurrency: 10 }, () => {
  everywhere("the server calls Welcome(connectionId) before it handles any message", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(add("1"));
    await peer.completion("1");
    const [first] = peer.log.filter((m) => m.type !== 6);
    assert.deepEqual([first.type, first.target, first.arguments, first.invocationId], [1, "Welcome", [peer.id], undefined]);
    assert.equal(peer.log.filter((m) => m.target === "Welcome").length, 1);
    peer.wire.reset();
  });

  everywhere("it is connected: ConnectionState", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    assert.equal(await watcher.invoke("ConnectionState", peer.id), "connected");
    assert.equal((await peer.call("1", "ConnectionState", peer.id)).result, "connected");
    peer.wire.reset();
  });
});

describe("ConnectionState", { concurrency: 10 }, () => {
  test("unknown if never seen", async () => {
    for (const id of ["never seen", "", "AAAAAAAAAAAAAAAAAAAAAA"]) assert.equal(await watcher.invoke("ConnectionState", id), "unknown");
  });

  everywhere("closed after the client has stopped", async (cell) => {
    const client = await connect(server, cell);
    const { id } = client;
    await client.stop();
    await becomes(watcher, id, "closed");
  });

  for (const cell of sockets) {
    test(`failed after the socket broke [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.welcome();
      peer.wire.reset();
      await becomes(watcher, peer.id, "failed");
    });

    test(`closed after a close frame [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.welcome();
      await peer.wire.close(1000);
      await peer.ended;
      await becomes(watcher, peer.id, "closed");
    });
  }

  test("an event stream that breaks ends the connection", async () => {
    const peer = await Peer.open(server, { transport: "ServerSentEvents" });
    await peer.welcome();
    peer.wire.reset();
    await becomes(watcher, peer.id, ["closed", "failed"]);
  });

  everywhere("the disconnect handler runs exactly once per connection", async (cell) => {
    const all = await Promise.all(Array.from({ length: 5 }, () => Peer.open(server, cell)));
    await Promise.all(all.map((peer) => peer.welcome()));
    for (const [i, peer] of all.entries()) {
      // Ends in several ways at once.
      if (i % 2) void peer.send({ type: 7 });
      void peer.send({ type: 1, target: "AbortMe", arguments: [] });
      if (cell.transport === "LongPolling") void ask(peer.url, { method: "DELETE" });
      else if (i % 3 === 0) setImmediate(() => peer.wire.reset());
    }
    await Promise.all(all.map((peer) => becomes(watcher, peer.id, ["closed", "failed"])));
    await new Promise((resolve) => setTimeout(resolve, 1500)); // a sweep later
    // The program says "disconnected twice" if it ever is.
    for (const peer of all) assert.match(await watcher.invoke("ConnectionState", peer.id), /^(closed|failed)$/);
    all.forEach((peer) => peer.wire.reset());
  });
});

describe("AbortMe", { concurrency: 10 }, () => {
  everywhere("ends the connection for good: the client does not come back", async (cell) => {
    const client = await connect(server, cell, { delays: [0, 0, 0] });
    const { id } = client;
    await client.invoke("AbortMe").catch(() => {}); // the answer may come before the end, or not
    await client.closed;
    assert.equal(client.connection.state, HubConnectionState.Disconnected);
    assert.equal(client.reconnects, 0);
    await becomes(watcher, id, "closed");
  });

  everywhere("a Close message may precede the end, without allowReconnect and without an error", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 1, target: "AbortMe", arguments: [] });
    await peer.ended;
    for (const m of peer.log.filter((x) => x.type === 7)) assert.deepEqual([m.error, m.allowReconnect ?? false], [undefined, false]);
  });
});

describe("CloseMe(error, allowReconnect)", { concurrency: 10 }, () => {
  for (const [error, allowReconnect] of [[null, false], [null, true], ["bye – ünï", false], ["bye", true]]) {
    everywhere(`sends a Close with exactly these fields, then ends: ${error}, ${allowReconnect}`, async (cell) => {
      const peer = await Peer.open(server, cell);
      await peer.send({ type: 1, target: "CloseMe", arguments: [error, allowReconnect] });
      const close = await peer.closed();
      assert.deepEqual({ error: null, allowReconnect: false, ...close }, { type: 7, error, allowReconnect });
      assert.equal(peer.log.at(-1).type, 7, "the last message");
      const how = await peer.ended;
      if (cell.transport === "WebSockets") assert.equal(how.code, 1000, "a clean end");
      if (cell.transport === "LongPolling") assert.equal(how.status, 204, "a clean end");
      await becomes(watcher, peer.id, error === null ? "closed" : ["closed", "failed"]);
    });
  }

  everywhere("with allowReconnect the stock client comes back, as another connection", async (cell) => {
    const client = await connect(server, cell, { delays: [0, 0, 0] });
    const { id } = client;
    await client.send("CloseMe", null, true);
    await until("back", () => client.reconnects === 1 && client.welcomes.length === 2);
    assert.notEqual(client.connection.connectionId, id);
    assert.equal(await client.invoke("Add", 1, 2), 3);
    await client.stop();
  });

  everywhere("without allowReconnect the stock client closes, with the error", async (cell) => {
    const client = await connect(server, cell, { delays: [0, 0, 0] });
    await client.send("CloseMe", "bye", false);
    assert.equal((await client.closed)?.message, "Server returned an error on close: bye");
    assert.equal(client.reconnects, 0);
  });

  everywhere("without allowReconnect and error the stock client closes without one", async (cell) => {
    const client = await connect(server, cell, { delays: [0, 0, 0] });
    await client.send("CloseMe", null, false);
    assert.equal(await client.closed, null);
    assert.equal(client.reconnects, 0);
  });
});

describe("a Close message from the client", { concurrency: 10 }, () => {
  everywhere("ends the connection without an error", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    await peer.send({ type: 7 });
    await peer.ended;
    await becomes(watcher, peer.id, "closed");
  });

  test("as the stock client writes it in MessagePack", async () => {
    const peer = await Peer.open(server, { encoding: "messagepack" });
    await peer.welcome();
    await peer.bytes(messagepack.record([7, null]));
    await peer.ended;
    await becomes(watcher, peer.id, "closed");
  });

  everywhere("comes after what was said before it", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    await peer.send({ type: 1, target: "Broadcast", arguments: ["client", [watcher.id], `last words ${cell}`] }, { type: 7 });
    await until("last words", () => watcher.messages.some((m) => m.text === `last words ${cell}`));
    await peer.ended;
    await becomes(watcher, peer.id, "closed");
  });
});

describe("invocations of one connection", { concurrency: 10 }, () => {
  everywhere("are handled one at a time, in order of arrival", async (cell) => {
    const peer = await Peer.open(server, cell);
    const naps = [200, 0, 120, 0, 60, 0];
    const began = performance.now();
    await peer.send(...naps.map((ms, i) => ({ type: 1, invocationId: String(i), target: "Sleep", arguments: [ms] })));
    await peer.completion("5");
    assert.ok(performance.now() - began >= 379, "one at a time");
    assert.deepEqual(peer.log.filter((m) => m.type === 3).map((m) => m.invocationId), ["0", "1", "2", "3", "4", "5"]);
    peer.wire.reset();
  });

  everywhere("those without an id, too", async (cell) => {
    const peer = await Peer.open(server, cell);
    const n = 100;
    await peer.send(...Array.from({ length: n }, (_, i) => ({ type: 1, target: "Record", arguments: [i] })));
    assert.deepEqual((await peer.call("1", "Recorded")).result, Array.from({ length: n }, (_, i) => i));
    peer.wire.reset();
  });

  everywhere("many that wait hold nothing up for ever", async (cell) => {
    const client = await connect(server, cell);
    const all = [client.invoke("Sleep", 200), ...Array.from({ length: 300 }, (_, i) => client.invoke("Add", i, i))];
    assert.deepEqual(await Promise.all(all), [200, ...Array.from({ length: 300 }, (_, i) => 2 * i)]);
    await client.stop();
  });

  test("do not wait for those of another connection", async () => {
    const [one, two] = await Promise.all([Peer.open(server), Peer.open(server)]);
    await one.send({ type: 1, invocationId: "nap", target: "Sleep", arguments: [1500] });
    await two.call("1", "Add", 1, 2);
    assert.ok(!one.log.some((m) => m.type === 3));
    one.wire.reset();
    two.wire.reset();
  });
});

describe("keep-alive and client timeout", { concurrency: 30 }, () => {
  const WELL = 7200; // longer than the client timeout and two sweeps

  for (const cell of pushed) {
    test(`the server pings a silent connection every second or so [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.welcome();
      const began = performance.now();
      for (let i = 0; i < 3; i++) await peer.take("a ping", (m) => m.type === 6, 3500);
      const took = performance.now() - began;
      assert.ok(took > 1500 && took < 7000, `three pings in ${Math.round(took)} ms`);
      peer.wire.reset();
    });

    test(`a client that never pings is left alone [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.call("1", "Add", 1, 2);
      await new Promise((resolve) => setTimeout(resolve, WELL)); // it is silence that is tested
      assert.equal((await peer.call("2", "Add", 1, 2)).result, 3);
      peer.wire.reset();
    });

    test(`a client that has pinged once and is silent then is sent away [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.welcome();
      const began = performance.now();
      await peer.send({ type: 6 });
      await peer.ended;
      const took = performance.now() - began;
      assert.ok(took > 4500 && took < 12_000, `after ${Math.round(took)} ms, of 5000`);
      const close = peer.log.find((m) => m.type === 7);
      if (close) assert.equal(close.error, "Connection closed with an error.");
      await becomes(watcher, peer.id, "failed");
    });

    test(`any message counts as life [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.send({ type: 6 });
      for (const m of [{ type: 5, invocationId: "nobody" }, { type: 3, invocationId: "nobody" }, add("2")]) {
        await new Promise((resolve) => setTimeout(resolve, 2500)); // half the timeout of silence
        await peer.send(m);
      }
      await peer.completion("2");
      peer.wire.reset();
    });

    test(`a client is not sent away while its method runs [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.send({ type: 6 }, { type: 1, invocationId: "nap", target: "Sleep", arguments: [WELL] });
      assert.equal((await peer.completion("nap")).result, WELL);
      peer.wire.reset();
    });
  }

  everywhere("the stock client stays connected while it has nothing to say", async (cell) => {
    const client = await connect(server, cell, { delays: [0] });
    const { id } = client;
    await new Promise((resolve) => setTimeout(resolve, WELL));
    assert.equal(client.connection.connectionId, id);
    assert.equal(await client.invoke("Add", 1, 2), 3);
    await client.stop();
  });
});

describe("records come in any pieces", { concurrency: 10 }, () => {
  everywhere("several records in one frame or POST", async (cell) => {
    const peer = await Peer.open(server, cell);
    const ids = Array.from({ length: 50 }, (_, i) => String(i));
    await peer.send({ type: 6 }, ...ids.map(add), { type: 6 });
    for (const id of ids) assert.equal((await peer.completion(id)).result, 3);
    peer.wire.reset();
  });

  everywhere("one record over several frames or POSTs, down to single bytes", async (cell) => {
    const peer = await Peer.open(server, cell);
    const record = Buffer.concat([peer.encoding.record(add("1")), peer.encoding.record(add("2"))]);
    const step = cell.transport === "WebSockets" ? 1 : 17;
    for (let at = 0; at < record.length; at += step) await peer.bytes(record.subarray(at, at + step));
    assert.equal((await peer.completion("1")).result, 3);
    assert.equal((await peer.completion("2")).result, 3);
    peer.wire.reset();
  });

  everywhere("cuts at every place between two frames or POSTs", async (cell) => {
    const peer = await Peer.open(server, cell);
    const record = Buffer.concat([peer.encoding.record(add("a")), peer.encoding.record(add("b"))]);
    for (let at = 1; at < record.length; at += cell.transport === "WebSockets" ? 1 : 11) {
      await peer.bytes(record.subarray(0, at));
      await peer.bytes(record.subarray(at));
      await peer.completion("a");
      await peer.completion("b");
    }
    peer.wire.reset();
  });

  for (const cell of sockets) {
    test(`a fragmented WebSocket message, with a ping between [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      const record = Buffer.concat([peer.encoding.record(add("1")), peer.encoding.record(add("2"))]);
      const { opcode } = peer.encoding;
      await peer.wire.write(frame(opcode, record.subarray(0, 3), { fin: false }), frame(0, record.subarray(3, 3), { fin: false }));
      await peer.wire.write(frame(9, "still there?"));
      await peer.wire.write(frame(0, record.subarray(3, 20), { fin: false }), frame(0, record.subarray(20)));
      await peer.completion("1");
      await peer.completion("2");
      peer.wire.reset();
    });

    test(`the bytes of frames in any pieces [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      const bytes = frame(peer.encoding.opcode, peer.encoding.record(add("1")));
      for (const byte of bytes) await peer.wire.write(Buffer.from([byte]));
      await peer.completion("1");
      peer.wire.reset();
    });

    test(`the kind of a frame does not matter, text or binary [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      // A text frame must be UTF-8, which this record is in both encodings.
      for (const [id, opcode] of [["1", 2], ["2", cell.encoding === "json" ? 1 : 2]]) {
        await peer.wire.send(peer.encoding.record(add(id)), opcode);
        await peer.completion(id);
      }
      peer.wire.reset();
    });
  }

  test("an empty frame is nothing", async () => {
    for (const cell of sockets) {
      const peer = await Peer.open(server, cell);
      await peer.bytes(Buffer.alloc(0));
      await peer.send(add("1"));
      await peer.completion("1");
      peer.wire.reset();
    }
  });

  everywhere("what the server sends at once holds whole records, however much it is", async (cell) => {
    const peer = await Peer.open(server, cell); // whose parser takes whole records only
    await peer.send(...Array.from({ length: 20 }, (_, i) => ({ type: 1, invocationId: `t${i}`, target: "MakeText", arguments: [(i % 4) * 30_000] })));
    await peer.send({ type: 4, invocationId: "s", target: "Count", arguments: [500, 0] });
    for (let i = 0; i < 20; i++) assert.equal((await peer.completion(`t${i}`)).result.length, (i % 4) * 30_000);
    await peer.completion("s");
    peer.wire.reset();
  });

  everywhere("an answer of 1 MiB", async (cell) => {
    const client = await connect(server, cell);
    assert.equal((await client.invoke("MakeText", 1 << 20)).length, 1 << 20);
    await client.stop();
  });
});

describe("messages of an unknown type", { concurrency: 10 }, () => {
  everywhere("are ignored, and the messages after them are handled", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    for (const type of [0, 10, 11, 99, 127, 128, 1000, -1]) {
      const strange = cell.encoding === "json" ? { type, target: 5, anything: [null] } : [type, "anything", null];
      await peer.send(strange, add(String(type)));
      assert.equal((await peer.completion(String(type))).result, 3, `type ${type}`);
    }
    await peer.send(...(cell.encoding === "json" ? [{ type: 42 }, { type: 43, invocationId: 1 }] : [[42], [43, {}, 1]]), add("end"));
    await peer.completion("end");
    assert.deepEqual(peer.inbox, []);
    peer.wire.reset();
  });
});

describe("what is legal though rare", { concurrency: 10 }, () => {
  test("JSON: any order of properties, unknown ones, white space, headers", async () => {
    const peer = await Peer.open(server);
    await peer.send('{"arguments":[1,2],"target":"Add","invocationId":"1","type":1}');
    await peer.completion("1");
    await peer.send('{"type":1,"more":{"type":2},"target":"Add","arguments":[1,2],"invocationId":"2","error":"x"}');
    await peer.completion("2");
    await peer.send(' \r\n{ "type" :\t1 , "target":"Add","arguments": [ 1 , 2 ],"invocationId":"3","headers":{"a":"b","c":""}, "streamIds":[] } \n');
    await peer.completion("3");
    await peer.send('{"type":1,"target":"\\u0041dd","\\u0061rguments":[1,2],"invocationId":"4"}');
    await peer.completion("4");
    peer.wire.reset();
  });

  test("MessagePack: five elements, trailing elements, any width, headers", async () => {
    const peer = await Peer.open(server, { encoding: "messagepack" });
    await peer.send([1, {}, "1", "Add", [1, 2]]);
    await peer.completion("1");
    await peer.send([1, { a: "b", c: "" }, "2", "Add", [1, 2], [], "more", { and: "more" }]);
    await peer.completion("2");
    await peer.send([6, "more"], [5, {}, "nobody", 1], [3, {}, "nobody", 2, "more"], [2, {}, "nobody", 1, "more"]);
    // array16, type as uint32, map32, str8, str16, array32 with int64 and uint16
    await peer.send(Buffer.from([
      0xdc, 0, 6, 0xce, 0, 0, 0, 1, 0xdf, 0, 0, 0, 0, 0xd9, 1, 0x33, 0xda, 0, 3, 0x41, 0x64, 0x64,
      0xdd, 0, 0, 0, 2, 0xd3, 0, 0, 0, 0, 0, 0, 0, 1, 0xcd, 0, 2, 0xdc, 0, 0,
    ]));
    assert.equal((await peer.completion("3")).result, 3);
    peer.wire.reset();
  });

  test("MessagePack: a length of more bytes than need be", async () => {
    const peer = await Peer.open(server, { encoding: "messagepack" });
    const record = messagepack.record(add("1"));
    await peer.bytes(Buffer.concat([Buffer.from([record[0] | 128, 0x80, 0]), record.subarray(1)]));
    assert.equal((await peer.completion("1")).result, 3);
    peer.wire.reset();
  });
});

test("a server that is told to stop ends its connections and exits with 0", { skip: process.env.CONFORMANCE_URL && "the server is another's" }, async () => {
  const own = await startConformance();
  const clients = await Promise.all(cells.map((cell) => connect(own, cell)));
  const streams = clients.map((client) => items(client.stream("EndlessTicks", 20)).catch(() => {}));
  assert.equal(await own.stop(), 0, own.log());
  await Promise.all([...clients.map((client) => client.closed), ...streams]);
});
