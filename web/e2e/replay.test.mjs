// What was missed: cut sockets, killed servers, stalled readers, and every way
// to say where one stands.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";

import { HttpTransportType } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

import { publish, token } from "../test/server.mjs";
import { cleanUp, connect, hears, live, plug, start, until } from "./client.mjs";

afterEach(cleanUp);

const OFTEN = Array(1000).fill(20); // delays of an impatient reconnect
const dir = () => mkdtempSync(join(tmpdir(), "tidings-e2e-"));

/** Emits events for a user until told to stop; returns those acknowledged. */
function emitting(server, to, { batch = 5, pause = 5 } = {}) {
  const bearer = token(server.data, "shop", ["emitter"]);
  const acknowledged = [];
  let going = true;
  const run = (async () => {
    for (let i = 0; going; i++) {
      const events = Array.from({ length: batch }, (_, k) => ({ recipient: to, title: `${i}.${k}`, data: { i, k } }));
      try {
        acknowledged.push(...await publish(server, bearer, events));
      } catch {
        // Not acknowledged: nothing was promised.
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  })();
  return { acknowledged, stop: async () => { going = false; await run; return acknowledged.map((r) => r.position); } };
}

for (const form of ["device", "cursor"]) {
  test(`sockets are cut while events flow: nothing missing, nothing twice, in order (${form})`, async () => {
    const server = await start();
    const wire = await plug(server.http);
    const ann = await connect(wire.url, token(server.data, "ann"), {
      query: form === "device" ? "device=d1" : "", acks: form === "device", delays: OFTEN,
    });
    await live(ann);
    if (form === "cursor") {
      // The stock client takes another URL while it reconnects.
      ann.connection.onreconnecting(() => {
        const cursor = ann.heard.at(-1)?.cursor ?? ann.resumed.at(-1).cursor;
        ann.connection.baseUrl = `${wire.url}/hubs/notifications?cursor=${cursor}`;
      });
    }
    const flow = emitting(server, "user/ann");
    for (let cuts = 1; cuts <= 15; cuts++) {
      const mark = ann.heard.length;
      await until("hearing", () => ann.heard.length > mark + 20);
      wire.cut();
      await until("reconnected", () => ann.reconnects >= cuts);
    }
    const log = await flow.stop();
    await hears(ann, log.at(-1));
    if (form === "cursor") {
      assert.deepEqual(ann.positions(), log);
    } else {
      // The acknowledgement of what was heard last may be lost with the socket:
      // then it is told again, by the same id, and the client passes it over.
      assert.deepEqual([...new Set(ann.positions())].sort((a, b) => a - b), log);
      const fresh = ann.positions().filter((p, i, all) => p > Math.max(0, ...all.slice(0, i)));
      assert.deepEqual(fresh, log, "what is new is heard in the order of the log");
    }
    assert.ok(ann.heard.some((n) => n.replayed) && ann.heard.some((n) => !n.replayed), "some replayed, some live");
    assert.ok(ann.resumed.every((r) => !r.truncated), "nothing was truncated");
    await ann.stop();
    await wire.close();
    assert.equal(await server.stop(), 0);
  });
}

test("a device with stateful reconnect hears each event once, though it never calls Ack", async () => {
  const server = await start();
  const wire = await plug(server.http);
  const ann = token(server.data, "ann");
  const device = await connect(wire.url, ann, { query: "device=d1", stateful: true });
  await live(device);
  const flow = emitting(server, "user/ann");
  for (let cuts = 1; cuts <= 15; cuts++) {
    const mark = device.heard.length;
    await until("hearing", () => device.heard.length > mark + 20);
    wire.cut();
  }
  const log = await flow.stop();
  await hears(device, log.at(-1));
  assert.deepEqual(device.positions(), log, "all, once, in order");
  assert.equal(device.ids.length, 1, "it was one connection all the time");
  assert.equal(device.reconnects, 0);
  await new Promise((resolve) => setTimeout(resolve, 2500)); // the client acknowledges within a second
  await device.stop();
  const away = (await publish(server, token(server.data, "shop", ["emitter"]), [1, 2].map((n) => ({ recipient: "user/ann", title: `${n}` })))).map((r) => r.position);
  const back = await connect(server.url, ann, { query: "device=d1", stateful: true });
  await hears(back, away.at(-1));
  assert.deepEqual(back.positions(), away, "the protocol's acknowledgements have moved the device on");
});

for (const [name, transport, protocol] of [
  ["WebSockets, MessagePack", HttpTransportType.WebSockets, new MessagePackHubProtocol()],
  ["Server-Sent Events", HttpTransportType.ServerSentEvents],
  ["long polling", HttpTransportType.LongPolling],
  ["long polling, MessagePack", HttpTransportType.LongPolling, new MessagePackHubProtocol()],
]) {
  test(`what was missed and what comes, over ${name}`, async () => {
    const server = await start();
    const [ann, shop] = [token(server.data, "ann"), token(server.data, "shop", ["emitter"])];
    const emit = async (title) => (await publish(server, shop, { recipient: "user/ann", title, data: { amount: 1.5, items: [1, null] } })).position;
    const first = await connect(server.url, ann, { query: "device=d1", transport, protocol });
    await live(first);
    await first.stop();
    const missed = [await emit("one"), await emit("two")];
    const back = await connect(server.url, ann, { query: "device=d1", transport, protocol });
    await hears(back, missed.at(-1));
    const later = await emit("three");
    await hears(back, later);
    assert.deepEqual(back.positions(), [...missed, later]);
    assert.deepEqual(back.heard.map((n) => [n.title, n.data, n.replayed ?? false]), ["one", "two", "three"].map((title) => [title, { amount: 1.5, items: [1, null] }, title !== "three"]));
    assert.equal(typeof await back.connection.invoke("SendToSelf", { title: "four" }), "number");
    await back.stop();
    assert.equal(await server.stop(), 0);
  });
}

test("the server is killed while events are emitted: what was acknowledged is heard", async () => {
  const data = dir();
  let server = await start({ data });
  const { http } = server;
  const bearer = token(data, "ann");
  const ann = await connect(server.url, bearer, { query: "device=d1", acks: true, delays: OFTEN });
  await live(ann);
  const acknowledged = [];
  for (let round = 1; round <= 3; round++) {
    const flow = emitting(server, "user/ann");
    await until("some acknowledged", () => flow.acknowledged.length > 100);
    await server.kill9();
    await flow.stop();
    acknowledged.push(...flow.acknowledged);
    server = await start({ data, http });
    await until("reconnected", () => ann.reconnects >= round);
  }
  const last = Math.max(...acknowledged.map((r) => r.position));
  await hears(ann, last);
  const ids = new Set(ann.heard.map((n) => n.id));
  assert.deepEqual(acknowledged.filter((r) => !ids.has(r.id)), [], "every acknowledged event was heard");
  assert.ok(ann.resumed.every((r) => !r.truncated), "nothing was truncated");
  await ann.stop();

  // And a client that was never there hears the same log.
  const late = await connect(server.url, bearer, { query: "replay=all" });
  await hears(late, last);
  const all = late.positions();
  assert.deepEqual(all, [...all].sort((a, b) => a - b));
  assert.equal(new Set(late.heard.map((n) => n.id)).size, late.heard.length, "each once");
  const kept = new Set(late.heard.map((n) => n.id));
  assert.deepEqual(acknowledged.filter((r) => !kept.has(r.id)), [], "every acknowledged event is in the log");
  await late.stop();
  assert.equal(await server.stop(), 0);
});

test("a reader that stalls hurts only itself, and is complete afterwards", async () => {
  const server = await start({ args: ["--send-timeout", "20s"] });
  const wire = await plug(server.http);
  const slow = await connect(wire.url, token(server.data, "ann"));
  const fast = await connect(server.url, token(server.data, "ann"));
  const other = await connect(server.url, token(server.data, "bob"));
  await Promise.all([slow, fast, other].map(live));
  wire.clog();
  const bearer = token(server.data, "shop", ["emitter"]);
  const log = [];
  const big = "x".repeat(20_000);
  for (let i = 0; i < 60; i++) {
    const receipts = await publish(server, bearer, Array.from({ length: 20 }, (_, k) => ({ recipient: "user/ann", title: `${i}.${k}`, body: big })));
    log.push(...receipts.map((r) => r.position));
  }
  const { position: last } = await publish(server, bearer, { recipient: "user/bob", title: "undisturbed" });
  await hears(other, last);
  await hears(fast, log.at(-1));
  assert.deepEqual(fast.positions(), log);
  assert.ok(slow.heard.length < log.length / 2, `the stalled reader has heard ${slow.heard.length} of ${log.length}`);
  const metrics = await (await fetch(`http://${server.ops}/metrics`)).text();
  assert.match(metrics, /notify_connections_lagging 1\b/);
  wire.unclog();
  await hears(slow, log.at(-1));
  assert.deepEqual(slow.positions(), log);
  await until("no longer lagging", async () => /notify_connections_lagging 0\b/.test(await (await fetch(`http://${server.ops}/metrics`)).text()));
  await Promise.all([slow, fast, other].map((client) => client.stop()));
  await wire.close();
  await server.stop();
});

test("a reader that takes nothing for long is cut, comes back and is complete", async () => {
  const server = await start({ args: ["--send-timeout", "1s"] });
  const wire = await plug(server.http);
  const slow = await connect(wire.url, token(server.data, "ann"), { query: "device=d1", acks: true, delays: OFTEN });
  await live(slow);
  wire.clog();
  const bearer = token(server.data, "shop", ["emitter"]);
  const log = [];
  for (let i = 0; i < 30; i++) {
    const receipts = await publish(server, bearer, Array.from({ length: 20 }, (_, k) => ({ recipient: "user/ann", title: `${i}.${k}`, body: "x".repeat(20_000) })));
    log.push(...receipts.map((r) => r.position));
  }
  await until("cut", async () => /signalr_server_active_connections\{[^}]*\} 0\b/.test(await (await fetch(`http://${server.ops}/metrics`)).text()));
  wire.unclog();
  await hears(slow, log.at(-1));
  assert.deepEqual([...new Set(slow.positions())].sort((a, b) => a - b), log);
  await slow.stop();
  await wire.close();
  await server.stop();
});

test("cursor, device and replay say where a client stands", async () => {
  const server = await start();
  const bearer = token(server.data, "shop", ["emitter"]);
  const ann = token(server.data, "ann");
  const emit = async (n) => (await publish(server, bearer, Array.from({ length: n }, (_, i) => ({ recipient: "user/ann", title: `${i}` })))).map((r) => r.position);
  const visit = async (query, last) => {
    const client = await connect(server.url, ann, { query });
    await live(client);
    if (last) await hears(client, last);
    else await client.connection.invoke("SendToSelf", "end").then((p) => hears(client, p));
    await client.stop();
    return client;
  };
  const first = await emit(10);
  const stored = new Date();
  const mid = await until("a later millisecond", () => new Date() > stored && new Date());
  await until("another one", () => new Date() > mid);
  const second = await emit(5);
  const all = [...first, ...second];

  const fresh = await visit("", 0);
  assert.equal(fresh.heard.length, 1, "nothing is known: from now on");
  assert.deepEqual([fresh.resumed[0].replaying, fresh.resumed[0].truncated], [false, false]);

  const everything = await visit("replay=all", 16);
  assert.deepEqual(everything.positions(), [...all, 16]);
  assert.ok(everything.heard.every((n) => n.replayed));
  assert.equal(everything.resumed[0].replaying, true);
  assert.deepEqual((await visit("replay=last:3", 16)).positions(), [14, 15, 16]);
  assert.deepEqual((await visit(`replay=since:${encodeURIComponent(mid.toISOString())}`, 16)).positions(), [...second, 16]);

  const { cursor } = everything.heard[7];
  assert.deepEqual((await visit(`cursor=${cursor}`, 16)).positions(), [9, 10, ...second, 16]);
  assert.deepEqual((await visit(`replay=all&cursor=${cursor}`, 16)).positions(), [9, 10, ...second, 16], "a cursor is stronger");

  const device = await connect(server.url, ann, { query: "device=phone", acks: true });
  await live(device);
  await device.connection.invoke("JoinGroup", "g");
  const [acked] = await emit(1);
  await hears(device, acked);
  await device.connection.invoke("Ack", device.heard.at(-1).cursor);
  await device.stop();
  const away = await emit(2);
  const group = (await publish(server, bearer, { recipient: "group/g", title: "to the group" })).position;
  const back = await visit("device=phone", group);
  assert.deepEqual(back.positions(), [...away, group], "what was missed, of the groups of the device, too");
  assert.deepEqual((await visit("device=tablet", 0)).heard.length, 1, "another device knows nothing");

  for (const [query, status] of [["replay=never", "replay"], ["replay=last:0", "replay"], ["replay=since:yesterday", "replay"], ["device=" + "x".repeat(200), "device"]]) {
    await assert.rejects(connect(server.url, ann, { query }), new RegExp(status), query);
  }
  await server.stop();
});

test("truncation is never silent", async () => {
  const data = dir();
  let server = await start({ data, args: ["--max-bytes", "256KiB"] });
  let bearer = token(data, "shop", ["emitter"]);
  const ann = token(data, "ann");
  await publish(server, bearer, { recipient: "user/ann", title: "first" });
  const before = await connect(server.url, ann, { query: "replay=all" });
  await hears(before, 1);
  await before.stop();
  const { cursor } = before.heard[0];
  for (let i = 0; i < 20; i++) {
    await publish(server, bearer, Array.from({ length: 20 }, () => ({ recipient: "user/ann", body: "x".repeat(1000) })));
  }
  const gone = await until("truncated", async () => {
    // A server that has not noticed yet sends the client away when it does.
    const client = await connect(server.url, ann, { query: `cursor=${cursor}`, delays: OFTEN });
    await hears(client, 401);
    await client.stop();
    return client.resumed.at(-1).truncated && client;
  });
  const { first } = gone.resumed.at(-1);
  assert.ok(first > 2, `first position: ${first}`);
  assert.ok(gone.heard[0].position >= first);
  assert.deepEqual(gone.positions(), Array.from({ length: gone.heard.length }, (_, i) => gone.heard[0].position + i), "what is left, without a gap");
  for (const foreign of ["garbage", cursor.slice(0, -1) + (cursor.endsWith("A") ? "B" : "A")]) {
    const client = await connect(server.url, ann, { query: `cursor=${foreign}` });
    await live(client);
    assert.equal(client.resumed[0].truncated, true, foreign);
    await client.stop();
  }
  assert.equal(await server.stop(), 0);

  // A log that was made anew is another log.
  const secret = token(data, "ann");
  server = await start();
  const fresh = token(server.data, "ann");
  assert.notEqual(secret, fresh);
  bearer = token(server.data, "shop", ["emitter"]);
  await publish(server, bearer, { recipient: "user/ann", title: "in another log" });
  const other = await connect(server.url, fresh, { query: `cursor=${cursor}` });
  await hears(other, 1);
  assert.equal(other.resumed[0].truncated, true);
  await other.stop();
  await server.stop();
});

test("SIGTERM sends everybody away so that they come back, and exits with 0", async () => {
  const data = dir();
  let server = await start({ data });
  const { http } = server;
  const clients = await Promise.all(Array.from({ length: 20 }, (_, i) =>
    connect(server.url, token(data, "ann"), { query: `device=d${i}`, acks: true, delays: OFTEN })));
  await Promise.all(clients.map(live));
  assert.equal(await server.stop(), 0);
  server = await start({ data, http });
  const { position } = await publish(server, token(data, "shop", ["emitter"]), { recipient: "user/ann", title: "after" });
  await Promise.all(clients.map((client) => hears(client, position)));
  assert.ok(clients.every((client) => client.heard.length === 1));
  await Promise.all(clients.map((client) => client.stop()));
  await server.stop();
});
