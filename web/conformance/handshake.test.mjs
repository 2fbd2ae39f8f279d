// The handshake: its variants, its refusals (§4), and what comes right behind it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { END } from "./encoding.mjs";
import { cells, until } from "./matrix.mjs";
import { frame, Peer } from "./raw.mjs";
import { MAIN } from "./server.mjs";
import { server, watcher } from "./suite.mjs";

const unshaken = (cell) => Peer.open(server, { ...cell, handshake: false });
const hello = (cell, version = 1) => `{"protocol":"${cell.encoding}","version":${version}}${END}`;

/** The connection was refused: the transport has ended and no hub has seen it. */
async function refused(peer) {
  await peer.ended;
  assert.deepEqual(peer.log, []);
  assert.equal(await watcher.invoke("ConnectionState", peer.id), "unknown");
}

describe("a handshake that succeeds is answered with {}", { concurrency: 10 }, () => {
  for (const cell of cells) {
    test(`in one piece [${cell}]`, async () => {
      const peer = await unshaken(cell);
      assert.deepEqual(await peer.shake(hello(cell)), {});
      await peer.welcome();
      peer.wire.reset();
    });

    test(`in pieces [${cell}]`, async () => {
      const peer = await unshaken(cell);
      const text = hello(cell);
      for (const piece of [text.slice(0, 1), text.slice(1, 17), text.slice(17, -1)]) await peer.wire.send(Buffer.from(piece));
      assert.equal(peer.answer, undefined);
      assert.deepEqual(await peer.shake(END), {});
      await peer.welcome();
      peer.wire.reset();
    });

    test(`with records right behind it, after the Welcome [${cell}]`, async () => {
      const peer = await unshaken(cell);
      const records = ["1", "2"].map((id) => peer.encoding.record({ type: 1, invocationId: id, target: "Add", arguments: [1, 2] }));
      await peer.wire.send(Buffer.concat([Buffer.from(hello(cell)), ...records]));
      await peer.completion("2");
      assert.deepEqual(peer.log.filter((m) => m.type !== 6).map((m) => [m.target, m.invocationId, m.result].filter((x) => x !== undefined)), [["Welcome"], ["1", 3], ["2", 3]]);
      peer.wire.reset();
    });

    test(`with half a record right behind it [${cell}]`, async () => {
      const peer = await unshaken(cell);
      const record = peer.encoding.record({ type: 1, invocationId: "1", target: "Add", arguments: [1, 2] });
      await peer.wire.send(Buffer.concat([Buffer.from(hello(cell)), record.subarray(0, 9)]));
      await peer.welcome();
      await peer.wire.send(record.subarray(9));
      assert.equal((await peer.completion("1")).result, 3);
      peer.wire.reset();
    });
  }

  for (const [name, text] of [
    ["white space", '\r\n {\t"protocol" : "json" ,\n "version" : 1 } '],
    ["unknown properties", '{"extra":{"a":[1,2]},"version":1,"more":null,"protocol":"json"}'],
    ["version 2 without stateful reconnect", '{"protocol":"json","version":2}'],
  ]) {
    test(`with ${name}`, async () => {
      const peer = await unshaken(cells[0]);
      assert.deepEqual(await peer.shake(text + END), {});
      await peer.welcome();
      peer.wire.reset();
    });
  }

  test("in a text frame for MessagePack, and in a binary frame for JSON", async () => {
    for (const cell of [cells[0], cells[1]]) {
      const peer = await unshaken(cell);
      await peer.wire.send(hello(cell), cell.encoding === "json" ? 2 : 1);
      assert.deepEqual(await peer.answered(), {});
      await peer.welcome();
      peer.wire.reset();
    }
  });

  test("in a fragmented WebSocket message", async () => {
    const peer = await unshaken(cells[0]);
    const text = hello(cells[0]);
    await peer.wire.write(frame(1, text.slice(0, 5), { fin: false }));
    await peer.wire.write(frame(9, "ping between"), frame(0, text.slice(5, 6), { fin: false }));
    await peer.wire.write(frame(0, text.slice(6)));
    assert.deepEqual(await peer.answered(), {});
    peer.wire.reset();
  });

  test("the answer and all that follows have the kind of the encoding: text or binary", async () => {
    for (const [cell, kind] of [[cells[0], 1], [cells[1], 2]]) {
      const peer = await Peer.open(server, cell);
      await peer.call("1", "Add", 1, 2);
      assert.ok(peer.opcodes.length >= 2 && peer.opcodes.every((opcode) => opcode === kind), `${cell}: ${peer.opcodes}`);
      peer.wire.reset();
    }
  });

  test("nothing is written before the answer", async () => {
    const peer = await unshaken(cells[0]);
    const early = [];
    peer.wire.onmessage = (data) => early.push(data.toString());
    await new Promise((resolve) => setTimeout(resolve, 1500)); // longer than a keep-alive interval
    assert.deepEqual(early, []);
    peer.wire.reset();
  });
});

describe("a handshake that is refused", { concurrency: 10 }, () => {
  for (const cell of cells) {
    test(`unknown hub protocol [${cell}]`, async () => {
      const peer = await unshaken(cell);
      assert.deepEqual(await peer.shake(`{"protocol":"smoke","version":1}${END}`), { error: "The protocol 'smoke' is not supported." });
      await refused(peer);
    });

    for (const version of [3, 9]) {
      test(`protocol version ${version} [${cell}]`, async () => {
        const peer = await unshaken(cell);
        assert.deepEqual(await peer.shake(hello(cell, version)), { error: `The server does not support version ${version} of the '${cell.encoding}' protocol.` });
        await refused(peer);
      });
    }

    test(`no complete handshake in time: nothing at all [${cell}]`, async () => {
      const began = Date.now();
      const peer = await unshaken(cell);
      assert.deepEqual(await peer.answered(), { error: "Handshake was canceled." });
      const took = Date.now() - began;
      assert.ok(took >= 1900 && took < 4500, `after ${took} ms, of 2000`);
      await refused(peer);
    });
  }

  test("no complete handshake in time: a part of one", async () => {
    const peer = await unshaken(cells[0]);
    await peer.wire.send('{"protocol":"json","vers');
    assert.deepEqual(await peer.answered(), { error: "Handshake was canceled." });
    await refused(peer);
  });

  test("no complete handshake in time: all but the end", async () => {
    const peer = await unshaken(cells[0]);
    await peer.wire.send(hello(cells[0]).slice(0, -1));
    assert.deepEqual(await peer.answered(), { error: "Handshake was canceled." });
    await refused(peer);
  });

  for (const [name, text] of [
    ["no JSON", "hello"], ["nothing", ""], ["an open object", '{"protocol":"json","version":1'], ["an array", '["json",1]'], ["a string", '"json"'], ["null", "null"],
    ["no protocol", '{"version":1}'], ["no version", '{"protocol":"json"}'], ["neither", "{}"],
    ["a protocol that is no string", '{"protocol":1,"version":1}'], ["a protocol that is null", '{"protocol":null,"version":1}'],
    ["a version that is no number", '{"protocol":"json","version":"1"}'], ["a version that is no integer", '{"protocol":"json","version":1.5}'],
    ["a version that is null", '{"protocol":"json","version":null}'], ["a hub message", '{"type":1,"target":"Add","arguments":[1,2]}'], ["a ping", '{"type":6}'],
  ]) {
    test(`unreadable handshake: ${name}`, async () => {
      const peer = await unshaken(cells[0]);
      const { error, ...rest } = await peer.shake(text + END);
      assert.ok(error.startsWith("An unexpected error occurred during connection handshake."), error);
      assert.deepEqual(rest, {});
      await refused(peer);
    });
  }

  for (const cell of [cells[2], cells[3]]) {
    test(`unreadable handshake [${cell}]`, async () => {
      const peer = await unshaken(cell);
      const { error } = await peer.shake(`hello${END}`);
      assert.ok(error.startsWith("An unexpected error occurred during connection handshake."), error);
      await refused(peer);
    });
  }

  test("a handshake without end that is longer than the message limit", async () => {
    const peer = await unshaken(cells[0]);
    await peer.wire.send(`{"protocol":"${"x".repeat(40_000)}`);
    const { error } = await peer.answered();
    assert.match(error, /^(Handshake was canceled\.$|An unexpected error occurred during connection handshake\.)/);
    await refused(peer);
  });

  test("a hub message in MessagePack", async () => {
    const peer = await unshaken(cells[1]);
    await peer.wire.send(Buffer.from([2, 0x91, 6, 0x1e]));
    const { error } = await peer.answered();
    assert.ok(error.startsWith("An unexpected error occurred during connection handshake."), error);
    await refused(peer);
  });

  test("binary protocol over Server-Sent Events", async () => {
    const peer = await unshaken(cells[2]);
    assert.deepEqual(await peer.shake(`{"protocol":"messagepack","version":1}${END}`), {
      error: "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format.",
    });
    await refused(peer);
  });

  test("the stock client does not even try MessagePack over Server-Sent Events", async () => {
    const connection = new HubConnectionBuilder().withUrl(server.url + MAIN, { transport: HttpTransportType.ServerSentEvents })
      .withHubProtocol(new MessagePackHubProtocol()).configureLogging(LogLevel.None).build();
    await assert.rejects(connection.start(), /'ServerSentEvents' does not support Binary\./);
  });

  test("records behind a refused handshake are not handled", async () => {
    const peer = await unshaken(cells[0]);
    await peer.wire.send(`{"protocol":"smoke","version":1}${END}{"type":1,"target":"Broadcast","arguments":["all",[],"from nowhere"]}${END}`);
    await refused(peer);
    await watcher.invoke("Broadcast", "caller", [], "fence");
    await until("fence", () => watcher.messages.some((m) => m.text === "fence"));
    assert.ok(!watcher.messages.some((m) => m.text === "from nowhere"));
  });
});
