// §5 and §6 Stateful reconnect: nothing is lost and nothing comes twice. First
// the stock client behind a plug that is pulled again and again, then the wire
// by hand.
//
// $CONFORMANCE_CUTS says how often the plug is pulled (40), $CONFORMANCE_SEED
// when and how; the seed is printed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HubConnectionState, Subject } from "@microsoft/signalr";
import { becomes, connect, items, until } from "./matrix.mjs";
import { plug, styles } from "./plug.mjs";
import { negotiate, Peer, upgrade } from "./raw.mjs";
import { server, watcher } from "./suite.mjs";

const CUTS = Number(process.env.CONFORMANCE_CUTS ?? 40);
const SEED = Number(process.env.CONFORMANCE_SEED ?? Date.now() % 1_000_000_007);

/** Random numbers from a seed (mulberry32). */
function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, below: (n) => Math.floor(next() * n), of: (list) => list[Math.floor(next() * list.length)] };
}

const upTo = (n, from = 0) => Array.from({ length: n }, (_, i) => i + from);
const WS = (encoding) => ({ transport: "WebSockets", encoding });

/** Keeps calls and streams of every kind in flight; each is checked when it is over. */
function traffic(client) {
  let going = true;
  const done = { calls: 0, downs: 0, ups: 0, both: 0, naps: 0 };
  const repeat = async (kind, once) => {
    for (let i = 0; going; i++) {
      await once(i);
      done[kind]++;
    }
  };
  const feed = async (subject, n) => {
    for (const i of upTo(n)) {
      subject.next(i);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    subject.complete();
  };
  const all = Promise.all([
    repeat("calls", async (i) => assert.equal(await client.invoke("Add", i, 1), i + 1)),
    repeat("naps", async () => assert.equal(await client.invoke("Sleep", 15), 15)),
    repeat("downs", async () => assert.deepEqual(await items(client.stream("Count", 40, 2)), upTo(40))),
    repeat("ups", async () => {
      const subject = new Subject();
      const sum = client.invoke("Sum", subject);
      await feed(subject, 20);
      assert.equal(await sum, 190);
    }),
    repeat("both", async () => {
      const subject = new Subject();
      const doubled = items(client.stream("DoubleAll", subject));
      await feed(subject, 20);
      assert.deepEqual(await doubled, upTo(20).map((i) => 2 * i));
    }),
  ]);
  all.catch(() => {}); // stop tells
  return { done, stop: async () => { going = false; await all; } };
}

/** Conditions that fail at once when the client has lost its connection. */
function whileAlive(client, wire) {
  let lost;
  void client.closed.then((error) => { lost = error ?? new Error("closed"); });
  return (condition) => () => {
    if (lost) throw new Error(`the connection was lost after cut ${wire.cuts} (${wire.last}): ${lost.message} ${wire.refused}`);
    return condition();
  };
}

/**
 * Pulls the plug. What happens is one of: cut now, cut amid the next bytes of
 * one side, cut now and again amid the Sequence of one side.
 */
async function pull(wire, random) {
  const cuts = wire.cuts;
  const style = random.of(styles);
  const how = random.below(4);
  let wanted = 1;
  if (how < 2) {
    wire.pull(style);
  } else if (how === 2) {
    wire.pullAmid(random.of(["up", "down"]), random.next(), style);
  } else {
    wanted = 2;
    wire.pullNext(random.of(["up", "down"]), random.next(), random.of(styles));
    wire.pull(style);
  }
  await until("cut", () => wire.cuts >= cuts + wanted);
  return wanted;
}

describe("the stock client behind a plug", { concurrency: 6 }, () => {
  for (const [i, encoding] of ["json", "messagepack"].entries()) {
    test(`that is pulled ${CUTS} times: all once, all in order [${encoding}]`, { timeout: 60_000 + CUTS * 1000 }, async (t) => {
      const seed = SEED + i;
      t.diagnostic(`CONFORMANCE_SEED=${SEED} CONFORMANCE_CUTS=${CUTS}`);
      const random = seeded(seed);
      const wire = await plug(server.host);
      const ticks = [];
      const client = await connect(server, WS(encoding), { url: wire.url, stateful: true, on: { Tick: (n) => ticks.push(n) } });
      const alive = whileAlive(client, wire);
      const { id } = client;

      const total = CUTS * 25 + 100; // ticks: a cut waits for at most 25
      await client.invoke("StartTicks", total, 3);
      let recorded = 0;
      let recording = true;
      const recorder = (async () => {
        while (recording) {
          for (let n = random.below(4); n > 0; n--) void client.send("Record", ++recorded).catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, random.below(6)));
        }
      })();
      const flow = traffic(client);
      const other = await connect(server);
      let told = 0;
      const teller = (async () => {
        while (recording) {
          assert.equal((await other.invoke("Broadcast", "client", [id], String(told++))) ?? null, null);
          // The stock client acknowledges once a second, so that it can be told
          // 100,000 bytes a second for long, and no more.
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();

      for (let cuts = 0; cuts < CUTS;) {
        const mark = ticks.length + random.below(25);
        await until("progress", alive(() => ticks.length >= Math.min(mark, total) && wire.live()));
        await new Promise((resolve) => setTimeout(resolve, random.below(4))); // so that it is not always right behind a tick
        cuts += await pull(wire, random);
      }
      recording = false;
      await Promise.all([recorder, teller]);
      await flow.stop();
      const list = await client.invoke("Recorded");
      await until("all ticks heard", alive(() => ticks.length >= total), 60_000);
      assert.equal(await client.invoke("Add", 1, 2), 3);
      assert.deepEqual(list, upTo(recorded, 1), `seed ${seed}: every record once, in order`);
      assert.deepEqual(ticks, upTo(total), `seed ${seed}: every tick once, in order`);
      await until("all of the other heard", alive(() => client.messages.length >= told));
      assert.deepEqual(client.messages.map((m) => m.text), upTo(told).map(String), `seed ${seed}: every message of another client once, in order`);
      assert.deepEqual(client.welcomes, [[id]], `seed ${seed}: Welcome exactly once`);
      assert.equal(client.connection.connectionId, id);
      assert.equal(await client.invoke("ConnectionId"), id);
      assert.equal(await client.invoke("ConnectionState", id), "connected");
      assert.equal(client.connection.state, HubConnectionState.Connected);
      assert.ok(recorded > 0 && Object.values(flow.done).every((n) => n > 0), JSON.stringify(flow.done));
      t.diagnostic(`${wire.cuts} cuts ${JSON.stringify(wire.byStyle)}, ${recorded} records, ${total} ticks, ${told} of another, ${JSON.stringify(flow.done)}`);
      await Promise.all([client.stop(), other.stop()]);
      await becomes(watcher, id, "closed");
      await wire.close();
    });
  }

  for (const style of styles) {
    test(`each way to cut by itself: ${style}`, async () => {
      const wire = await plug(server.host);
      const ticks = [];
      const client = await connect(server, WS("json"), { url: wire.url, stateful: true, on: { Tick: (n) => ticks.push(n) } });
      await client.invoke("StartTicks", 200, 2);
      for (let n = 1; n <= 5; n++) {
        const mark = ticks.length;
        await until("ticks", () => ticks.length >= Math.min(mark + 10, 200));
        void client.send("Record", n);
        const nap = client.invoke("Sleep", 50);
        assert.ok(wire.pull(style));
        assert.equal(await nap, 50, "a call in flight");
      }
      await until("all ticks", () => ticks.length >= 200);
      assert.deepEqual(ticks, upTo(200));
      assert.deepEqual(await client.invoke("Recorded"), upTo(5, 1));
      assert.equal(client.welcomes.length, 1);
      await client.stop();
    });
  }

  for (const encoding of ["json", "messagepack"]) {
    test(`cut again behind the Sequence, after the client's Ack timer has gone off [${encoding}]`, async () => {
      // See "an Ack that comes between the Sequence …" below for what is at stake.
      const wire = await plug(server.host);
      const ticks = [];
      const client = await connect(server, WS(encoding), { url: wire.url, stateful: true, on: { Tick: (n) => ticks.push(n) } });
      const alive = whileAlive(client, wire);
      await client.invoke("StartTicks", 400, 10);
      for (let round = 1; round <= 2; round++) {
        const mark = ticks.length;
        await until("ticks", alive(() => ticks.length >= Math.min(mark + 20, 400)));
        wire.holdNext(1200, "reset"); // the timer is set for a second
        wire.pull("reset");
        await until("cut twice", alive(() => wire.cuts === 2 * round));
      }
      await until("all ticks", alive(() => ticks.length >= 400));
      assert.deepEqual(ticks, upTo(400));
      await client.stop();
    });
  }

  test("answers beyond the buffer limit, while the plug is pulled", async () => {
    const wire = await plug(server.host);
    const client = await connect(server, WS("messagepack"), { url: wire.url, stateful: true });
    const alive = whileAlive(client, wire);
    const random = seeded(SEED);
    for (let round = 0; round < 3; round++) {
      const texts = upTo(4).map((i) => client.invoke("MakeText", 40_000 + i));
      for (const side of ["down", "up", "down"]) {
        const { cuts } = wire;
        await until("open", alive(() => wire.live()));
        wire.pullAmid(side, random.next(), random.of(styles));
        if (side === "up") void client.send("Record", round);
        else void client.invoke("Add", 1, 2).catch(() => {});
        await until("cut", alive(() => wire.cuts > cuts));
      }
      assert.deepEqual((await Promise.all(texts)).map((text) => text.length), upTo(4, 40_000));
    }
    assert.deepEqual(await client.invoke("Recorded"), upTo(3));
    await client.stop();
  });

  test("groups, items and what others send outlast a cut", async () => {
    const wire = await plug(server.host);
    const [client, other] = await Promise.all([connect(server, WS("messagepack"), { url: wire.url, stateful: true }), connect(server)]);
    await client.invoke("JoinGroup", "kept");
    await client.invoke("Remember", "kept, too");
    assert.ok(wire.pull("half-open"));
    for (const [selector, names] of [["group", ["kept"]], ["client", [client.id]], ["clients", [other.id, client.id]]]) await other.invoke("Broadcast", selector, names, selector);
    await until("all heard", () => client.messages.length === 3);
    assert.deepEqual(client.messages.map((m) => m.text), ["group", "client", "clients"]);
    assert.equal(await client.invoke("Recall"), "kept, too");
    await Promise.all([client.stop(), other.stop()]);
  });
});

// The wire by hand

const sequence = (n) => ({ type: 9, sequenceId: n });
const ack = (n) => ({ type: 8, sequenceId: n });
const record = (n) => ({ type: 1, target: "Record", arguments: [n] });
const counted = (m) => m.type >= 1 && m.type <= 5;

/** A connection with stateful reconnect that has taken its Welcome, message 1. */
async function stateful(encoding = "json") {
  const peer = await Peer.open(server, { encoding, stateful: true, version: 2 });
  await peer.send({ type: 6 });
  await peer.welcome();
  return peer;
}

/** Cuts a connection and comes back. */
async function back(peer, first, ...more) {
  peer.wire.reset();
  const again = await Peer.resume(peer);
  await again.send(sequence(first), ...more);
  return again;
}

const isSequence = (m) => m.type === 9;
const isAck = (m) => m.type === 8;

describe("stateful reconnect on the wire", { concurrency: 12 }, () => {
  for (const encoding of ["json", "messagepack"]) {
    test(`the first message on a resumed socket is Sequence, with the number of the first that follows [${encoding}]`, async () => {
      const peer = await stateful(encoding);
      for (const id of ["1", "2", "3"]) await peer.call(id, "Add", 1, 2); // messages 2, 3, 4
      const again = await back(peer, 4);
      await again.take("completion 3", (m) => m.type === 3 && m.invocationId === "3");
      const [first, ...rest] = again.log;
      assert.deepEqual([first.type, first.sequenceId], [9, 1]);
      assert.deepEqual(rest.filter(counted).map((m) => m.target ?? m.invocationId), ["Welcome", "1", "2", "3"], "all that is not acknowledged, in order");
      again.wire.reset();
    });

    test(`what is acknowledged is not sent again [${encoding}]`, async () => {
      const peer = await stateful(encoding);
      for (const id of ["1", "2", "3"]) await peer.call(id, "Add", 1, 2);
      await peer.send(ack(3));
      await peer.call("4", "Add", 1, 2); // so that the Ack was read
      const again = await back(peer, 5);
      await again.completion("4");
      assert.deepEqual([again.log[0].type, again.log[0].sequenceId], [9, 4]);
      assert.deepEqual(again.log.slice(1).filter(counted).map((m) => m.invocationId), ["3", "4"]);
      again.wire.reset();
    });

    test(`with nothing outstanding the number is that of the next message [${encoding}]`, async () => {
      const peer = await stateful(encoding);
      for (const id of ["1", "2"]) await peer.call(id, "Add", 1, 2); // messages 2, 3
      await peer.send(ack(3), record(1));
      await peer.take("Ack of the record", (m) => isAck(m) && m.sequenceId === 3); // so the Ack before it was read
      const again = await back(peer, 4);
      await again.take("Sequence", isSequence);
      assert.deepEqual([again.log[0].type, again.log[0].sequenceId], [9, 4]);
      await again.call("3", "Add", 1, 2);
      assert.deepEqual(again.log.filter(counted).map((m) => m.invocationId), ["3"]);
      again.wire.reset();
    });

    test(`duplicates from the client are ignored, and acknowledged [${encoding}]`, async () => {
      const peer = await stateful(encoding);
      await peer.send(record(1), record(2));
      await peer.call("r", "Recorded"); // message 3 of the client
      const again = await back(peer, 1, record(1), record(2), { type: 1, invocationId: "r", target: "Recorded", arguments: [] }, record(3));
      const { sequenceId } = await again.take("Ack of 4", (m) => isAck(m) && m.sequenceId >= 4);
      assert.equal(sequenceId, 4);
      assert.deepEqual((await again.call("s", "Recorded")).result, [1, 2, 3]);
      assert.equal(again.log.filter((m) => m.type === 3 && m.invocationId === "r").length, 1, "answered once: the old answer again");
      again.wire.reset();
    });
  }

  test("duplicates alone are acknowledged, too", async () => {
    const peer = await stateful();
    await peer.send(record(1), record(2));
    await peer.take("Ack of 2", (m) => isAck(m) && m.sequenceId === 2);
    const again = await back(peer, 1, record(1), record(2));
    await again.take("Ack of 2, again", (m) => isAck(m) && m.sequenceId === 2);
    again.wire.reset();
  });

  test("the server acknowledges what is new, and counts invocations, items, completions and cancellations only", async () => {
    const peer = await stateful();
    await peer.send({ type: 6 }, record(1), { type: 6 }, { type: 5, invocationId: "nobody" }, { type: 3, invocationId: "nobody" }, { type: 2, invocationId: "nobody", item: 1 },
      ack(1), { type: 4, invocationId: "s", target: "Count", arguments: [1, 0] });
    const { sequenceId } = await peer.take("Ack of 5", (m) => isAck(m) && m.sequenceId >= 5);
    assert.equal(sequenceId, 5);
    peer.wire.reset();
  });

  test("messages of an unknown type are not counted", async () => {
    const peer = await stateful();
    await peer.send({ type: 42 }, record(1), { type: 0 });
    const again = await back(peer, 2, record(2));
    await again.call("r", "Recorded").then(({ result }) => assert.deepEqual(result, [1, 2]));
    again.wire.reset();
  });

  test("the Sequence of the client and what follows may come in frames of their own", async () => {
    const peer = await stateful();
    await peer.send(record(1));
    await peer.call("1", "Recorded");
    peer.wire.reset();
    const again = await Peer.resume(peer);
    await again.take("Sequence", isSequence);
    await again.send(sequence(3));
    await again.send(record(2));
    assert.deepEqual((await again.call("2", "Recorded")).result, [1, 2]);
    again.wire.reset();
  });

  test("the Sequence of the server does not wait for that of the client", async () => {
    const peer = await stateful();
    peer.wire.reset();
    const again = await Peer.resume(peer);
    await again.take("Sequence", isSequence);
    assert.equal(again.log[0].type, 9);
    again.wire.reset();
  });

  test("a record that was cut is discarded, on both sides", async () => {
    const peer = await stateful();
    const whole = peer.encoding.record(record(1));
    await peer.bytes(whole.subarray(0, 25));
    const again = await back(peer, 1, record(1));
    assert.deepEqual((await again.call("r", "Recorded")).result, [1]);
    again.wire.reset();
  });

  test("coming back many times, without a word", async () => {
    let peer = await stateful();
    for (let i = 0; i < 30; i++) peer = await back(peer, 1);
    assert.deepEqual((await peer.call("r", "Recorded")).result, []);
    assert.equal(peer.log.filter((m) => m.target === "Welcome").length, 1);
    peer.wire.reset();
  });

  for (const [name, n] of [["0", 0], ["-1", -1], ["one above the expected number", 3], ["far above it", 1000]]) {
    test(`a Sequence of ${name} ends the connection`, async () => {
      const peer = await stateful();
      await peer.send(record(1));
      await peer.take("Ack of 1", (m) => isAck(m) && m.sequenceId === 1);
      const again = await back(peer, n, record(99));
      await again.ended;
      await becomes(watcher, peer.id, ["closed", "failed"]);
      assert.equal((await upgrade(peer.url)).status, 404);
    });
  }

  test("the expected number itself, and 1, are right", async () => {
    for (const n of [1, 2]) {
      const peer = await stateful();
      await peer.send(record(1));
      await peer.take("Ack of 1", (m) => isAck(m) && m.sequenceId === 1);
      const again = await back(peer, n, ...(n === 1 ? [record(1)] : []), record(2));
      assert.deepEqual((await again.call("r", "Recorded")).result, [1, 2], String(n));
      again.wire.reset();
    }
  });

  test("an Ack that makes no sense is ignored", async () => {
    const peer = await stateful();
    await peer.call("1", "Add", 1, 2);
    for (const n of [0, -5, 1000, 2 ** 40]) await peer.send(ack(n));
    await peer.call("2", "Add", 1, 2);
    const again = await back(peer, 3);
    await again.take("Sequence", isSequence);
    const { sequenceId } = again.log[0];
    assert.equal(sequenceId, 1, "as if nothing had been acknowledged");
    assert.equal((await again.call("3", "Add", 1, 2)).result, 3);
    again.wire.reset();
  });

  test("an Ack that comes between the Sequence and the messages that are sent again must not hide them from the stock client", async () => {
    // Its Ack timer may have been set before the cut. On the new socket it then
    // acknowledges all it has ever heard, though it counts from the Sequence
    // on. Cut again before it has heard the rest, it takes a Sequence beyond its
    // count for the end: "Sequence ID greater than amount of messages we've
    // received." So the next Sequence must not go beyond the last one.
    const peer = await stateful();
    for (const id of ["1", "2", "3"]) await peer.call(id, "Add", 1, 2);
    const again = await back(peer, 4, ack(4), record(1));
    const { sequenceId } = await again.take("Sequence", isSequence);
    assert.equal(sequenceId, 1);
    await again.take("Ack of the record", (m) => isAck(m) && m.sequenceId === 4); // so the Ack before it was read
    const third = await back(again, 5);
    assert.equal((await third.take("Sequence", isSequence)).sequenceId, 1, "the stock client has counted to 1");
    assert.equal((await third.call("4", "Add", 1, 2)).result, 3);
    await third.send(ack(5), record(2)); // of a message that is new on this socket: so all before it were heard
    await third.take("Ack of the record", (m) => isAck(m) && m.sequenceId === 6);
    const fourth = await back(third, 7);
    assert.equal((await fourth.take("Sequence", isSequence)).sequenceId, 6);
    fourth.wire.reset();
  });

  test("an Ack of less than before changes nothing", async () => {
    const peer = await stateful();
    for (const id of ["1", "2", "3"]) await peer.call(id, "Add", 1, 2);
    await peer.send(ack(3), ack(1));
    await peer.call("4", "Add", 1, 2);
    const again = await back(peer, 5);
    await again.completion("4");
    assert.equal(again.log[0].sequenceId, 4);
    again.wire.reset();
  });

  test("a new socket takes over from one that the server believes alive", async () => {
    const peer = await stateful();
    await peer.send(record(1));
    await peer.call("1", "Recorded");
    const again = await Peer.resume(peer); // the old socket is there and says nothing
    await again.send(sequence(3), record(2));
    assert.deepEqual((await again.call("2", "Recorded")).result, [1, 2]);
    await peer.ended;
    assert.ok(!peer.log.some((m) => m.type === 7), "the old socket is not told goodbye as if it were over");
    assert.equal(await watcher.invoke("ConnectionState", peer.id), "connected");
    again.wire.reset();
  });

  test("what the old socket says after a take-over is not heard", async () => {
    const peer = await stateful();
    const half = peer.encoding.record(record(1));
    await peer.bytes(half.subarray(0, 20));
    const again = await Peer.resume(peer);
    await again.send(sequence(1));
    await again.take("Sequence", isSequence);
    void peer.bytes(half.subarray(20));
    await again.send(record(2));
    assert.deepEqual((await again.call("r", "Recorded")).result, [2]);
    again.wire.reset();
  });

  test("a call that runs while the socket is cut is answered on the next one", async () => {
    const peer = await stateful();
    await peer.send({ type: 4, invocationId: "s", target: "Count", arguments: [1, 0] }, { type: 1, invocationId: "nap", target: "Sleep", arguments: [1500] });
    await peer.completion("s"); // so both, which came together, have been read
    const again = await back(peer, 3);
    assert.ok(!again.log.some((m) => m.invocationId === "nap"), "it still runs");
    assert.equal((await again.completion("nap")).result, 1500);
    again.wire.reset();
  });

  test("what is sent while nobody is attached is kept, in order", async () => {
    const peer = await stateful();
    await peer.send({ type: 1, target: "StartTicks", arguments: [50, 2] });
    await peer.take("a tick", (m) => m.target === "Tick");
    peer.wire.reset();
    await new Promise((resolve) => setTimeout(resolve, 300)); // ticks go on meanwhile
    const again = await Peer.resume(peer);
    await again.send(sequence(2));
    await again.take("the last tick", (m) => m.target === "Tick" && m.arguments[0] === 49);
    assert.deepEqual(again.log.filter((m) => m.target === "Tick").map((m) => m.arguments[0]), upTo(50));
    again.wire.reset();
  });

  test("404 when the connection is gone: nobody came back within the disconnect timeout", async () => {
    const peer = await stateful();
    peer.wire.reset();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.equal(await watcher.invoke("ConnectionState", peer.id), "connected", "it is waited for");
    await becomes(watcher, peer.id, ["closed", "failed"]);
    assert.equal((await upgrade(peer.url)).status, 404);
  });

  for (const [name, leave] of [
    ["the client's Close", (peer) => peer.send({ type: 7 })],
    ["a close frame", (peer) => peer.wire.close(1000)],
    ["AbortMe", (peer) => peer.send({ type: 1, target: "AbortMe", arguments: [] })],
    ["CloseMe", (peer) => peer.send({ type: 1, target: "CloseMe", arguments: [null, true] })],
    ["a protocol violation", (peer) => peer.send("garbage")],
  ]) {
    test(`404 when the connection is gone: ${name} is not waited for`, async () => {
      const peer = await stateful();
      await leave(peer);
      await peer.ended;
      const began = performance.now();
      await becomes(watcher, peer.id, name === "a protocol violation" ? "failed" : "closed");
      assert.ok(performance.now() - began < 3500, "at once, not after the disconnect timeout");
      assert.equal((await upgrade(peer.url)).status, 404);
    });
  }

  test("Close messages and Pings are not counted and not sent again", async () => {
    const peer = await stateful();
    await peer.take("a ping", (m) => m.type === 6);
    const again = await back(peer, 1);
    await again.call("1", "Add", 1, 2);
    assert.deepEqual(again.log.filter(counted).map((m) => m.target ?? m.invocationId), ["Welcome", "1"]);
    again.wire.reset();
  });

  test("version 1 of the handshake on such a negotiation switches it off", async () => {
    const peer = await Peer.open(server, { stateful: true, version: 1 });
    await peer.welcome();
    await peer.send(record(1));
    await peer.call("1", "Recorded");
    assert.equal((await upgrade(peer.url)).status, 409, "no take-over");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // when an Ack would have come
    assert.ok(!peer.log.some((m) => m.type === 8 || m.type === 9), "no Ack, no Sequence");
    peer.wire.reset();
    const began = performance.now();
    await becomes(watcher, peer.id, "failed");
    assert.ok(performance.now() - began < 3500, "nobody is waited for");
    assert.equal((await upgrade(peer.url)).status, 404);
  });

  test("version 2 of the handshake without such a negotiation is an ordinary connection", async () => {
    const peer = await Peer.open(server, { version: 2 });
    await peer.welcome();
    await peer.call("1", "Add", 1, 2);
    assert.equal((await upgrade(peer.url)).status, 409);
    await new Promise((resolve) => setTimeout(resolve, 1500)); // when an Ack would have come
    assert.ok(!peer.log.some((m) => m.type === 8 || m.type === 9), "no Ack, no Sequence");
    peer.wire.reset();
    await becomes(watcher, peer.id, "failed");
  });

  test("with another transport it is an ordinary connection", async () => {
    for (const transport of ["ServerSentEvents", "LongPolling"]) {
      const peer = await Peer.open(server, { transport, stateful: true });
      await peer.welcome();
      assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
      peer.wire.reset();
    }
  });

  test("the token of another connection resumes that one only; the id resumes none", async () => {
    const peer = await stateful();
    const id = new URL(peer.url);
    id.searchParams.set("id", peer.id);
    assert.equal((await upgrade(String(id))).status, 404);
    const fresh = await negotiate(server, { query: "negotiateVersion=1&useStatefulReconnect=true" });
    assert.equal((await upgrade(peer.url.replace(/id=.*/, `id=${fresh.connectionId}`))).status, 404);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });
});

describe("after the handshake of version 2", { concurrency: 12 }, () => {
  for (const encoding of ["json", "messagepack"]) {
    test(`messages are held back until the client's first record, or for about half a second [${encoding}]`, async () => {
      const [silent, quick] = await Promise.all([1, 2].map(() => Peer.open(server, { encoding, stateful: true, version: 2, handshake: false })));
      const hello = `{"protocol":"${encoding}","version":2}\x1e`;
      const order = [];
      const shaken = performance.now();
      const all = [silent, quick].map(async (peer, i) => {
        await peer.shake(hello);
        assert.deepEqual(peer.answer, {});
        assert.deepEqual(peer.log, [], "nothing shares the frame of the answer");
        if (i === 1) await peer.send({ type: 6 });
        await peer.welcome();
        order.push(i);
        return performance.now() - shaken;
      });
      const [waited] = await Promise.all(all);
      assert.deepEqual(order, [1, 0], "the one that speaks hears first");
      assert.ok(waited > 250 && waited < 3000, `held for ${Math.round(waited)} ms`);
      silent.wire.reset();
      quick.wire.reset();
    });
  }

  test("any record will do", async () => {
    const peer = await Peer.open(server, { stateful: true, version: 2 });
    await peer.send(record(1));
    await peer.welcome();
    assert.deepEqual((await peer.call("r", "Recorded")).result, [1]);
    peer.wire.reset();
  });

  test("a socket that is cut before the first record is resumed like any", async () => {
    const peer = await Peer.open(server, { stateful: true, version: 2 });
    const again = await back(peer, 1, record(1));
    await again.welcome();
    assert.equal(again.log[0].sequenceId, 1);
    assert.deepEqual((await again.call("r", "Recorded")).result, [1]);
    again.wire.reset();
  });
});

describe("the buffer limit of 100000 bytes", { concurrency: 6 }, () => {
  const text = (id, n = 60_000) => ({ type: 1, invocationId: id, target: "MakeText", arguments: [n] });
  const has = (peer, id) => peer.log.some((m) => m.type === 3 && m.invocationId === id);

  for (const encoding of ["json", "messagepack"]) {
    test(`without Acks the server holds the third MakeText(60000) back; an Ack releases it; nobody else waits [${encoding}]`, async () => {
      const peer = await stateful(encoding);
      await peer.send(ack(1), text("1"), text("2"), text("3"));
      await peer.completion("1");
      await peer.completion("2");
      // Others are served, and their messages to this one do not hold them up.
      const other = await connect(server, WS(encoding));
      const began = performance.now();
      for (let i = 0; i < 30; i++) {
        await other.invoke("Broadcast", "clients", [peer.id, other.id], `while held ${i}`);
        assert.equal(await other.invoke("Add", i, 1), i + 1);
      }
      await until("heard", () => other.messages.length === 30);
      assert.ok(performance.now() - began < 10_000, "the sender was not held up");
      await peer.take("a ping meanwhile", (m) => m.type === 6);
      assert.ok(!has(peer, "3"), "the third is held back");
      assert.ok(!peer.log.some((m) => m.target === "Message"), "and all behind it");
      await peer.send(ack(2));
      assert.equal((await peer.completion("3")).result.length, 60_000);
      await peer.send(ack(4));
      await peer.take("what others have sent", (m) => m.target === "Message" && m.arguments[0] === "while held 29");
      assert.deepEqual(peer.log.filter((m) => m.target === "Message").map((m) => m.arguments[0]), upTo(30).map((i) => `while held ${i}`));
      peer.wire.reset();
      await other.stop();
    });
  }

  test("what is held back comes on the next socket, too, behind what is sent again", async () => {
    const peer = await stateful();
    await peer.send(text("1"), text("2"), text("3"));
    await peer.completion("2");
    const again = await back(peer, 4);
    await again.completion("1");
    await again.completion("2");
    await again.send(ack(3));
    await again.completion("3");
    assert.deepEqual(again.log.filter(counted).map((m) => m.target ?? m.invocationId), ["Welcome", "1", "2", "3"]);
    again.wire.reset();
  });

  test("the server goes on to acknowledge what a held-back client says", async () => {
    const peer = await stateful();
    await peer.send(text("1"), text("2"), text("3"));
    await peer.completion("2");
    await peer.send(record(1), record(2));
    await peer.take("Ack of the held-back", (m) => isAck(m) && m.sequenceId >= 3);
    peer.wire.reset();
  });

  test("a stream to the client waits, and goes on after an Ack, whole", async () => {
    const peer = await stateful();
    await peer.send(text("1"), text("2"));
    await peer.completion("2");
    await peer.send({ type: 4, invocationId: "s", target: "Count", arguments: [100, 0] });
    await peer.take("a ping", (m) => m.type === 6);
    assert.ok(!peer.log.some((m) => m.type === 2), "no item while held back");
    await peer.send(ack(3));
    await peer.completion("s");
    assert.deepEqual(peer.log.filter((m) => m.type === 2).map((m) => m.item), upTo(100));
    peer.wire.reset();
  });

  test("the stock client, which acknowledges, hears far more than the limit", async () => {
    const client = await connect(server, WS("messagepack"), { stateful: true });
    const texts = await Promise.all(upTo(6).map(() => client.invoke("MakeText", 40_000)));
    assert.ok(texts.every((t) => t.length === 40_000));
    assert.equal((await client.invoke("MakeText", 1 << 20)).length, 1 << 20);
    assert.equal(await client.invoke("Add", 1, 2), 3);
    await client.stop();
  });
});
