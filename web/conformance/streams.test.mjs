// §5 Streams to the client and from it; §6 what they do not hold up.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Subject } from "@microsoft/signalr";
import { cells, connect, everywhere, failure, items, until } from "./matrix.mjs";
import { Peer } from "./raw.mjs";
import { client, server } from "./suite.mjs";

const upTo = (n) => Array.from({ length: n }, (_, i) => i);

/** A stream to the server that a test feeds. */
function upload(...some) {
  const subject = new Subject();
  return { subject, feed: () => { for (const item of some) subject.next(item); subject.complete(); } };
}

describe("streams to the client", { concurrency: 10 }, () => {
  everywhere("Count(n, delay) is 0 … n-1", async (cell) => {
    assert.deepEqual(await items(client(cell).stream("Count", 5, 0)), upTo(5));
    assert.deepEqual(await items(client(cell).stream("Count", 0, 0)), []);
    assert.deepEqual(await items(client(cell).stream("Count", 3000, 0)), upTo(3000));
  });

  everywhere("Count(n, delay) waits before each item", async (cell) => {
    const began = performance.now();
    assert.deepEqual(await items(client(cell).stream("Count", 4, 60)), upTo(4));
    assert.ok(performance.now() - began >= 235, "it has waited");
  });

  everywhere("Count: items come as they are made, not at the end", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 4, invocationId: "1", target: "Count", arguments: [3, 400] });
    const first = await peer.take("an item", (m) => m.type === 2);
    assert.equal(first.item, 0);
    assert.ok(!peer.log.some((m) => m.type === 3), "the stream goes on");
    await peer.completion("1");
    peer.wire.reset();
  });

  everywhere("Count: its end is a completion without result and error", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 4, invocationId: "s", target: "Count", arguments: [3, 0] });
    const { text, ...completion } = await peer.completion("s");
    assert.deepEqual(completion, { type: 3, invocationId: "s" });
    assert.deepEqual(peer.log.filter((m) => m.type === 2).map(({ invocationId, item }) => [invocationId, item]), [["s", 0], ["s", 1], ["s", 2]]);
    peer.wire.reset();
  });

  everywhere("Count: several at once, each in order", async (cell) => {
    const all = await Promise.all(upTo(10).map((n) => items(client(cell).stream("Count", 20 + n, n))));
    assert.deepEqual(all, upTo(10).map((n) => upTo(20 + n)));
  });

  everywhere("CountThenFail(n, text): n items, then the hub error", async (cell) => {
    for (const n of [0, 1, 20]) {
      await assert.rejects(items(client(cell).stream("CountThenFail", n, "T")), (error) => {
        assert.equal(error.message, "An error occurred on the server while streaming results. HubException: T");
        assert.deepEqual(error.items, upTo(n));
        return true;
      });
    }
  });

  everywhere("FailBeforeStream(text) counts as a failed invocation", async (cell) => {
    await assert.rejects(items(client(cell).stream("FailBeforeStream", "T")), (error) => {
      assert.equal(error.message, "An unexpected error occurred invoking 'FailBeforeStream' on the server. HubException: T");
      assert.deepEqual(error.items, []);
      return true;
    });
  });

  everywhere("EndlessTicks(delay) until cancelled; CancelledStreams() counts those of this connection", async (cell) => {
    const [one, two] = await Promise.all([connect(server, cell), connect(server, cell)]);
    assert.equal(await one.invoke("CancelledStreams"), 0);
    const heard = [[], []];
    const subscriptions = heard.map((list) => one.stream("EndlessTicks", 5).subscribe({ next: (i) => list.push(i), complete() {}, error() {} }));
    await until("ticks", () => heard.every((list) => list.length >= 5));
    for (const list of heard) assert.deepEqual(list, upTo(list.length));
    subscriptions[0].dispose();
    await until("one cancelled", async () => (await one.invoke("CancelledStreams")) === 1);
    const mark = heard[1].length;
    await until("the other goes on", () => heard[1].length > mark + 2);
    subscriptions[1].dispose();
    await until("both cancelled", async () => (await one.invoke("CancelledStreams")) === 2);
    assert.equal(await two.invoke("CancelledStreams"), 0, "another connection");
    await Promise.all([one.stop(), two.stop()]);
  });

  everywhere("a cancelled stream ends with a completion without error, and nothing behind it", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 4, invocationId: "s", target: "EndlessTicks", arguments: [1] });
    await peer.take("the third tick", (m) => m.type === 2 && m.item === 2);
    await peer.send({ type: 5, invocationId: "s" });
    const { text, ...completion } = await peer.completion("s");
    assert.deepEqual(completion, { type: 3, invocationId: "s" });
    assert.equal((await peer.call("1", "CancelledStreams")).result, 1);
    await peer.call("fence", "Sleep", 50);
    const end = peer.log.findIndex((m) => m.type === 3 && m.invocationId === "s");
    assert.ok(!peer.log.slice(end).some((m) => m.type === 2), "no item behind the completion");
    peer.wire.reset();
  });

  everywhere("EndlessTicks without delay overruns nobody: cancelled, and the connection lives", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 4, invocationId: "s", target: "EndlessTicks", arguments: [0] });
    await peer.take("many ticks", (m) => m.type === 2 && m.item === 2000);
    await peer.send({ type: 5, invocationId: "s" });
    await peer.completion("s");
    assert.equal((await peer.call("1", "CancelledStreams")).result, 1);
    const ticks = peer.log.filter((m) => m.type === 2).map((m) => m.item);
    assert.deepEqual(ticks, upTo(ticks.length));
    peer.wire.reset();
  });

  everywhere("EndlessTicks ends when its client is gone: other connections are served", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 4, invocationId: "s", target: "EndlessTicks", arguments: [0] });
    await peer.take("some ticks", (m) => m.type === 2 && m.item === 100);
    peer.wire.reset();
    assert.equal(await client(cell).invoke("Add", 1, 2), 3);
  });

  everywhere("streams to the client do not hold up invocations", async (cell) => {
    const one = await connect(server, cell);
    const heard = [];
    const subscription = one.stream("EndlessTicks", 20).subscribe({ next: (i) => heard.push(i), complete() {}, error() {} });
    await until("ticking", () => heard.length > 0);
    for (let i = 0; i < 5; i++) assert.equal(await one.invoke("Add", i, i), 2 * i);
    const mark = heard.length;
    const nap = one.invoke("Sleep", 400);
    await until("ticks during a call", () => heard.length > mark + 3);
    await nap;
    assert.deepEqual(heard, upTo(heard.length));
    subscription.dispose();
    await one.stop();
  });

  everywhere("a stream begins when the plain invocations before it have run, as on the official server", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 1, invocationId: "nap", target: "Sleep", arguments: [600] }, { type: 4, invocationId: "s", target: "Count", arguments: [3, 0] });
    await peer.completion("s");
    assert.ok(peer.log.some((m) => m.invocationId === "nap"), "in order of arrival");
    peer.wire.reset();
  });
});

describe("streams from the client", { concurrency: 10 }, () => {
  everywhere("Sum(items) is the sum once the client completes", async (cell) => {
    for (const some of [[], [5], [1, -2, 3], Array(60).fill(2)]) {
      const { subject, feed } = upload(...some);
      const sum = client(cell).invoke("Sum", subject);
      feed();
      assert.equal(await sum, some.reduce((a, b) => a + b, 0));
    }
  });

  everywhere("Sum: a stream that the client completes with an error", async (cell) => {
    const subject = new Subject();
    const sum = client(cell).invoke("Sum", subject);
    subject.next(1);
    subject.error(new Error("the client's own trouble"));
    assert.match(await failure(sum), /^An unexpected error occurred invoking 'Sum' on the server\./);
  });

  everywhere("Sum: an item of a wrong kind fails the call, not the connection", async (cell) => {
    const { subject, feed } = upload(1, "two", 3);
    const sum = client(cell).invoke("Sum", subject);
    feed();
    assert.match(await failure(sum), /'Sum'/);
    assert.equal(await client(cell).invoke("Add", 1, 2), 3);
  });

  everywhere("Sum without an invocation id is handled and never answered", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.welcome();
    await peer.send(
      { type: 1, target: "Sum", arguments: [], streamIds: ["u"] }, { type: 2, invocationId: "u", item: 1 }, { type: 3, invocationId: "u" },
      { type: 1, target: "Sum", arguments: [], streamIds: ["v"] }, { type: 3, invocationId: "v", error: "E" },
    );
    await peer.call("fence", "Sleep", 50);
    assert.deepEqual(peer.inbox, []);
    peer.wire.reset();
  });

  everywhere("JoinStreams(a, between, b): streams are bound in order and take no slot among the arguments", async (cell) => {
    const [a, b] = [upload("a", "b", "c"), upload("x", "", "ünï")];
    const joined = client(cell).invoke("JoinStreams", a.subject, "-", b.subject);
    b.feed();
    a.feed();
    assert.equal(await joined, "abc-xünï");
    const [none, neither] = [upload(), upload()];
    const empty = client(cell).invoke("JoinStreams", none.subject, "|", neither.subject);
    none.feed();
    neither.feed();
    assert.equal(await empty, "|");
  });

  everywhere("JoinStreams: the order of streamIds decides, whatever the ids are", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(
      { type: 1, invocationId: "7", target: "JoinStreams", arguments: ["+"], streamIds: ["zz", "7"] },
      { type: 2, invocationId: "7", item: "second" }, { type: 2, invocationId: "zz", item: "first" }, { type: 3, invocationId: "7" }, { type: 3, invocationId: "zz" },
    );
    assert.equal((await peer.completion("7")).result, "first+second");
    peer.wire.reset();
  });

  everywhere("JoinStreams: all of the second stream comes before the first, more than the buffer holds", async (cell) => {
    const peer = await Peer.open(server, cell);
    const all = (id, text) => [...upTo(50).map((i) => ({ type: 2, invocationId: id, item: `${text}${i} ` })), { type: 3, invocationId: id }];
    await peer.send({ type: 1, invocationId: "j", target: "JoinStreams", arguments: ["|"], streamIds: ["a", "b"] });
    await peer.send(...all("b", "b"));
    await peer.send(...all("a", "a"));
    const joined = (text) => upTo(50).map((i) => `${text}${i} `).join("");
    assert.equal((await peer.completion("j")).result, `${joined("a")}|${joined("b")}`);
    peer.wire.reset();
  });

  everywhere("DoubleAll(items): each item doubled, as it arrives", async (cell) => {
    const subject = new Subject();
    const heard = [];
    const all = items(client(cell).stream("DoubleAll", subject), (item) => heard.push(item));
    for (let i = 0; i < 5; i++) {
      subject.next(i);
      await until("doubled", () => heard.length === i + 1);
    }
    subject.complete();
    assert.deepEqual(await all, [0, 2, 4, 6, 8]);
  });

  everywhere("DoubleAll: many items, more than the buffer holds", async (cell) => {
    const { subject, feed } = upload(...upTo(60));
    const all = items(client(cell).stream("DoubleAll", subject));
    feed();
    assert.deepEqual(await all, upTo(60).map((i) => 2 * i));
  });

  everywhere("DoubleAll: many items in one frame or POST", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(
      { type: 4, invocationId: "d", target: "DoubleAll", arguments: [], streamIds: ["u"] },
      ...upTo(2000).map((item) => ({ type: 2, invocationId: "u", item })), { type: 3, invocationId: "u" },
    );
    await peer.completion("d");
    assert.deepEqual(peer.log.filter((m) => m.type === 2).map((m) => m.item), upTo(2000).map((i) => 2 * i));
    peer.wire.reset();
  });

  everywhere("DoubleAll: an upload that fails ends the stream with an error", async (cell) => {
    const subject = new Subject();
    const all = items(client(cell).stream("DoubleAll", subject));
    subject.next(1);
    subject.error(new Error("E"));
    await assert.rejects(all, (error) => {
      assert.match(error.message, /^An error occurred on the server while streaming results\./);
      return true;
    });
    assert.equal(await client(cell).invoke("Add", 1, 2), 3);
  });

  everywhere("streams from the client do not hold up invocations", async (cell) => {
    const one = await connect(server, cell);
    const subject = new Subject();
    const sum = one.invoke("Sum", subject);
    subject.next(1);
    assert.equal(await one.invoke("Add", 1, 2), 3);
    subject.next(2);
    assert.equal(await one.invoke("Add", 3, 4), 7);
    subject.complete();
    assert.equal(await sum, 3);
    await one.stop();
  });

  everywhere("an upload that comes while a plain invocation runs is kept for its turn", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send(
      { type: 1, invocationId: "nap", target: "Sleep", arguments: [600] },
      { type: 1, invocationId: "sum", target: "Sum", arguments: [], streamIds: ["u"] }, { type: 2, invocationId: "u", item: 4 }, { type: 3, invocationId: "u" },
    );
    assert.equal((await peer.completion("sum")).result, 4);
    assert.ok(peer.log.some((m) => m.invocationId === "nap"), "in order of arrival");
    peer.wire.reset();
  });

  everywhere("a stream that is gone with its client harms nobody", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.send({ type: 1, invocationId: "1", target: "Sum", arguments: [], streamIds: ["u"] }, { type: 2, invocationId: "u", item: 4 });
    peer.wire.reset();
    assert.equal(await client(cell).invoke("Add", 1, 2), 3);
  });
});

describe("for ids that nobody waits for", { concurrency: 10 }, () => {
  for (const cell of cells) {
    test(`stream items, completions and cancellations are ignored [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.welcome();
      await peer.send(
        { type: 2, invocationId: "nobody", item: 1 }, { type: 2, invocationId: "nobody", item: { any: ["thing"] } },
        { type: 3, invocationId: "nobody" }, { type: 3, invocationId: "nobody", result: 42 }, { type: 3, invocationId: "nobody", result: null }, { type: 3, invocationId: "nobody", error: "E" },
        { type: 5, invocationId: "nobody" }, { type: 5, invocationId: "s1" },
      );
      assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
      await peer.send({ type: 2, invocationId: "1", item: 1 }, { type: 3, invocationId: "1" }, { type: 5, invocationId: "1" }); // of a call that is over
      assert.equal((await peer.call("2", "Add", 1, 2)).result, 3);
      assert.deepEqual(peer.inbox, []);
      peer.wire.reset();
    });

    test(`items and the end of an upload that is over are ignored [${cell}]`, async () => {
      const peer = await Peer.open(server, cell);
      await peer.send({ type: 1, invocationId: "1", target: "Sum", arguments: [], streamIds: ["u"] }, { type: 2, invocationId: "u", item: 4 }, { type: 3, invocationId: "u" });
      assert.equal((await peer.completion("1")).result, 4);
      await peer.send({ type: 2, invocationId: "u", item: 5 }, { type: 3, invocationId: "u" }, { type: 3, invocationId: "u", error: "E" });
      assert.equal((await peer.call("2", "Add", 1, 2)).result, 3);
      peer.wire.reset();
    });
  }
});
