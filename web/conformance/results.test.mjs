// §5 Client results: the server asks one client and waits for the answer.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cells, connect, everywhere, until } from "./matrix.mjs";
import { Peer } from "./raw.mjs";
import { server } from "./suite.mjs";

const LONG = 10_000;
const ask = (id, to, question, timeout = LONG) => ({ type: 1, invocationId: id, target: "Ask", arguments: [to, question, timeout] });
const question = (peer, text) => peer.take(`question ${text}`, (m) => m.type === 1 && m.target === "Ask" && (!text || m.arguments[0] === text));

describe("Ask", { concurrency: 10 }, () => {
  everywhere("null is the caller: ok: and its result", async (cell) => {
    const client = await connect(server, cell, { on: { Ask: (q) => `re ${q}` } });
    assert.equal(await client.invoke("Ask", null, "ünï 😀", LONG), "ok:re ünï 😀");
    await client.stop();
  });

  everywhere("another connection is asked, and nobody else", async (cell) => {
    const asked = [];
    const handler = (name) => (q) => { asked.push(name); return Promise.resolve(`${name} ${q}`); };
    const [one, two, three] = await Promise.all(["one", "two", "three"].map((name) => connect(server, cell, { on: { Ask: handler(name) } })));
    assert.equal(await one.invoke("Ask", two.id, "q", LONG), "ok:two q");
    assert.deepEqual(asked, ["two"]);
    await Promise.all([one, two, three].map((c) => c.stop()));
  });

  test("every cell asks every cell", async () => {
    const all = await Promise.all(cells.map((cell) => connect(server, cell, { on: { Ask: async (q) => `${q} to ${cell}` } })));
    for (const from of all) {
      const answers = await Promise.all(all.map((to) => from.invoke("Ask", to.id, `from ${from.cell}`, LONG)));
      assert.deepEqual(answers, all.map((to) => `ok:from ${from.cell} to ${to.cell}`));
    }
    await Promise.all(all.map((c) => c.stop()));
  });

  everywhere("an error of the client: error: and its own message", async (cell) => {
    const client = await connect(server, cell, { on: { Ask: () => { throw new Error("my own trouble"); } } });
    const answer = await client.invoke("Ask", null, "q", LONG);
    assert.match(answer, /^error:.*my own trouble/);
    await client.stop();
  });

  everywhere("no handler: error: with the client's own message", async (cell) => {
    const client = await connect(server, cell);
    assert.match(await client.invoke("Ask", null, "q", LONG), /^error:.*Client didn't provide a result\./);
    await client.stop();
  });

  everywhere("a result of a wrong type: error:", async (cell) => {
    for (const wrong of [42, true, ["x"], { a: 1 }]) {
      const client = await connect(server, cell, { on: { Ask: () => wrong } });
      assert.match(await client.invoke("Ask", null, "q", LONG), /^error:./);
      assert.equal(await client.invoke("Add", 1, 2), 3, "the connection lives");
      await client.stop();
    }
  });

  everywhere("an empty result is a result", async (cell) => {
    const client = await connect(server, cell, { on: { Ask: () => "" } });
    assert.equal(await client.invoke("Ask", null, "q", LONG), "ok:");
    await client.stop();
  });

  everywhere("unknown connection: error:, at once", async (cell) => {
    const client = await connect(server, cell, { on: { Ask: () => "wrong one" } });
    const began = performance.now();
    assert.match(await client.invoke("Ask", "no such connection", "q", LONG), /^error:./);
    assert.ok(performance.now() - began < LONG / 2, "it has not waited for the timeout");
    await client.stop();
  });

  everywhere("disconnect while waiting: error:, without waiting for the timeout", async (cell) => {
    const one = await connect(server, cell);
    let asked;
    const [two, heard] = [await connect(server, cell, { on: { Ask: () => new Promise(() => asked()) } }), new Promise((resolve) => { asked = resolve; })];
    const began = performance.now();
    const answer = one.invoke("Ask", two.id, "q", 30_000);
    await heard;
    await two.stop();
    assert.match(await answer, /^error:./);
    assert.ok(performance.now() - began < 15_000, "it has not waited for the timeout");
    await one.stop();
  });

  everywhere("timeout: error:, and an answer that comes later is ignored", async (cell) => {
    const peer = await Peer.open(server, cell);
    const began = performance.now();
    await peer.send(ask("1", null, "late", 300));
    const q = await question(peer, "late");
    assert.match((await peer.completion("1")).result, /^error:./);
    assert.ok(performance.now() - began >= 299, "it has waited");
    await peer.send({ type: 3, invocationId: q.invocationId, result: "too late" });
    assert.equal((await peer.call("2", "Add", 1, 2)).result, 3);
    await peer.send(ask("3", null, "again"));
    const again = await question(peer, "again");
    assert.notEqual(again.invocationId, q.invocationId);
    await peer.send({ type: 3, invocationId: again.invocationId, result: "in time" });
    assert.equal((await peer.completion("3")).result, "ok:in time");
    peer.wire.reset();
  });

  everywhere("on the wire: an invocation with an id and no stream ids", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(ask("1", null, "q"));
    const { text, ...q } = await question(peer, "q");
    assert.equal(typeof q.invocationId, "string");
    assert.ok(q.invocationId);
    assert.deepEqual(q, { type: 1, invocationId: q.invocationId, target: "Ask", arguments: ["q"] });
    await peer.send({ type: 3, invocationId: q.invocationId, error: "raw trouble" });
    assert.match((await peer.completion("1")).result, /^error:.*raw trouble/);
    peer.wire.reset();
  });

  everywhere("a completion without a result is a failure", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(ask("1", null, "q"));
    const q = await question(peer, "q");
    await peer.send({ type: 3, invocationId: q.invocationId });
    const { result } = await peer.completion("1");
    assert.match(result, /^(error:.|ok:$)/); // the official server takes it for null
    peer.wire.reset();
  });

  everywhere("the answer of another connection does not count", async (cell) => {
    const [one, two] = await Promise.all([Peer.open(server, cell), Peer.open(server, cell)]);
    await one.send(ask("1", null, "q"));
    const q = await question(one, "q");
    await two.send({ type: 3, invocationId: q.invocationId, result: "forged" });
    assert.equal((await two.call("fence", "Add", 1, 2)).result, 3);
    assert.ok(!one.log.some((m) => m.type === 3), "the forged answer is ignored");
    await one.send({ type: 3, invocationId: q.invocationId, result: "genuine" });
    assert.equal((await one.completion("1")).result, "ok:genuine");
    one.wire.reset();
    two.wire.reset();
  });

  everywhere("the ids of client results do not meet those of the client", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(ask("1", null, "q"));
    const q = await question(peer, "q");
    // An upload of the same name: its end is the upload's, not the answer.
    await peer.send({ type: 1, invocationId: "sum", target: "Sum", arguments: [], streamIds: ["up"] }, { type: 2, invocationId: "up", item: 7 }, { type: 3, invocationId: "up" });
    assert.equal((await peer.completion("sum")).result, 7);
    await peer.send({ type: 3, invocationId: q.invocationId, result: "a" });
    assert.equal((await peer.completion("1")).result, "ok:a");
    peer.wire.reset();
  });
});

describe("waiting for a client result", { concurrency: 10 }, () => {
  everywhere("does not stop the same connection's other messages from being handled", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(ask("ask", null, "q"));
    const q = await question(peer, "q");
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    assert.equal((await peer.call("2", "Recall")).result, null);
    await peer.send({ type: 4, invocationId: "s", target: "Count", arguments: [3, 0] });
    await peer.completion("s");
    assert.ok(!peer.log.some((m) => m.type === 3 && m.invocationId === "ask"), "it still waits");
    await peer.send({ type: 3, invocationId: q.invocationId, result: "a" });
    assert.equal((await peer.completion("ask")).result, "ok:a");
    peer.wire.reset();
  });

  everywhere("by the stock client: a handler that calls the server before it answers", async (cell) => {
    const client = await connect(server, cell, { on: { Ask: async (q) => `${q} ${await client.invoke("Add", 20, 22)}` } });
    assert.equal(await client.invoke("Ask", null, "it is", LONG), "ok:it is 42");
    await client.stop();
  });

  everywhere("several at once on one connection, answered in another order", async (cell) => {
    const peer = await Peer.open(server, cell);
    const names = ["a", "b", "c", "d", "e"];
    await peer.send(...names.map((name) => ask(name, null, name)));
    const questions = [];
    for (const name of names) questions.push(await question(peer, name));
    assert.equal(new Set(questions.map((q) => q.invocationId)).size, names.length);
    await peer.send(...questions.reverse().map((q) => ({ type: 3, invocationId: q.invocationId, result: q.arguments[0] })));
    for (const name of names) assert.equal((await peer.completion(name)).result, `ok:${name}`);
    peer.wire.reset();
  });

  everywhere("two clients ask each other at the same moment", async (cell) => {
    const [one, two] = await Promise.all([1, 2].map((n) => connect(server, cell, { on: { Ask: () => `from ${n}` } })));
    assert.deepEqual(await Promise.all([one.invoke("Ask", two.id, "q", LONG), two.invoke("Ask", one.id, "q", LONG)]), ["ok:from 2", "ok:from 1"]);
    await Promise.all([one.stop(), two.stop()]);
  });

  everywhere("afterwards invocations run one at a time again, in order", async (cell) => {
    const client = await connect(server, cell, { on: { Ask: () => "a" } });
    const order = [];
    const note = (name) => () => order.push(name);
    await Promise.all([client.invoke("Ask", null, "q", LONG), client.invoke("Ask", null, "q", LONG)]);
    await Promise.all([client.invoke("Sleep", 150).then(note("sleep")), client.invoke("Add", 1, 2).then(note("add"))]);
    assert.deepEqual(order, ["sleep", "add"]);
    await client.stop();
  });

  everywhere("the asker goes while it waits: nothing breaks", async (cell) => {
    let asked;
    const heard = new Promise((resolve) => { asked = resolve; });
    let answer;
    const target = await connect(server, cell, { on: { Ask: () => new Promise((resolve) => { answer = resolve; asked(); }) } });
    const asker = await connect(server, cell);
    const lost = asker.invoke("Ask", target.id, "q", LONG).catch(() => "lost");
    await heard;
    await asker.stop();
    await lost;
    answer("to nobody");
    assert.equal(await target.invoke("Add", 1, 2), 3);
    await until("the asker is gone", async () => (await target.invoke("ConnectionState", asker.id)) === "closed");
    await target.stop();
  });
});
