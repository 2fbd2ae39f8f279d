// §5 Calling clients: CallMe, groups, and every selector of Broadcast, over
// clients of all transports and encodings at once.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { cells, connect, connectAll, everywhere, failure, until } from "./matrix.mjs";
import { Peer } from "./raw.mjs";
import { AUTH, mint } from "./server.mjs";
import { server } from "./suite.mjs";

let texts = 0;

/** Broadcasts, and tells which of some clients have heard it, and how often. */
async function heardBy(all, from, selector, names) {
  const text = `${selector} ${++texts}`;
  const done = await from.invoke("Broadcast", selector, names, text);
  assert.equal(done ?? null, null, "no result");
  // A message of the same sender behind it: whoever has it has all before.
  const fence = `fence ${texts}`;
  await from.invoke("Broadcast", "all", [], fence);
  await until(`${fence} heard`, () => all.every((client) => client.messages.some((m) => m.text === fence)));
  const heard = [];
  for (const client of all) {
    const mine = client.messages.filter((m) => m.text === text);
    for (const m of mine) assert.deepEqual(m, { text, from: from.id });
    if (mine.length) heard.push(client);
    if (selector === "groups") assert.ok(mine.length <= names.length, "once per group, or once");
    else assert.ok(mine.length <= 1, `${selector}: heard ${mine.length} times`);
  }
  return heard;
}

const ids = (clients) => clients.map((client) => client.id);
const sorted = (clients) => ids(clients).sort();

describe("CallMe and groups", { concurrency: 10 }, () => {
  everywhere("CallMe(method, args) calls that client method with those arguments", async (cell) => {
    const heard = [];
    const client = await connect(server, cell, { on: { Anything: (...args) => heard.push(args) } });
    const calls = [[], [null], [1, "two", [3.5, { four: null }], true], [[]], ["ünï 😀"]];
    for (const args of calls) assert.equal((await client.invoke("CallMe", "Anything", args)) ?? null, null);
    await until("all heard", () => heard.length === calls.length);
    assert.deepEqual(heard, calls);
    await client.stop();
  });

  everywhere("CallMe: the name is the exact one", async (cell) => {
    const peer = await Peer.open(server, cell);
    await peer.call("1", "CallMe", "ODD name.ünï", [1]);
    const call = await peer.take("the call", (m) => m.type === 1 && m.target !== "Welcome");
    assert.deepEqual([call.target, call.arguments, call.invocationId], ["ODD name.ünï", [1], undefined]);
    peer.wire.reset();
  });

  everywhere("JoinGroup twice is once; LeaveGroup ends it; strangers leave without an error", async (cell) => {
    const [one, two] = await Promise.all([connect(server, cell), connect(server, cell)]);
    const group = `group of ${cell}`;
    await one.invoke("LeaveGroup", group);
    await one.invoke("JoinGroup", group);
    await one.invoke("JoinGroup", group);
    const heard = async () => {
      const text = `${cell} ${++texts}`;
      await two.invoke("Broadcast", "group", [group], text);
      await two.invoke("Broadcast", "clients", [one.id, two.id], `${text} fence`);
      await until("fence", () => [one, two].every((c) => c.messages.some((m) => m.text === `${text} fence`)));
      return [one, two].map((c) => c.messages.filter((m) => m.text === text).length);
    };
    assert.deepEqual(await heard(), [1, 0]);
    await two.invoke("JoinGroup", group);
    assert.deepEqual(await heard(), [1, 1]);
    await one.invoke("LeaveGroup", group);
    assert.deepEqual(await heard(), [0, 1]);
    await one.invoke("LeaveGroup", group);
    await Promise.all([one.stop(), two.stop()]);
  });

  test("the names of groups are exact", async () => {
    const client = await connect(server);
    await client.invoke("JoinGroup", "Case");
    for (const name of ["case", "Case ", "Cas"]) await client.invoke("Broadcast", "group", [name], name);
    await client.invoke("Broadcast", "group", ["Case"], "exact");
    await until("exact", () => client.messages.length > 0);
    assert.deepEqual(client.messages, [{ text: "exact", from: client.id }]);
    await client.stop();
  });

  everywhere("messages of one sender to one connection keep their order", async (cell) => {
    const [from, to] = await Promise.all([connect(server), connect(server, cell)]);
    const count = 200;
    for (let i = 0; i < count; i++) void from.send("Broadcast", "client", [to.id], String(i));
    await until("all heard", () => to.messages.length === count);
    assert.deepEqual(to.messages.map((m) => m.text), Array.from({ length: count }, (_, i) => String(i)));
    await Promise.all([from.stop(), to.stop()]);
  });

  everywhere("membership ends with the connection", async (cell) => {
    const [one, two] = await Promise.all([connect(server, cell), connect(server, cell)]);
    await one.invoke("JoinGroup", `gone ${cell}`);
    await one.stop();
    await two.invoke("Broadcast", "group", [`gone ${cell}`], "to nobody");
    await two.invoke("Broadcast", "caller", [], "fence");
    await until("fence", () => two.messages.length > 0);
    assert.deepEqual(two.messages.map((m) => m.text), ["fence"]);
    await two.stop();
  });

  everywhere("an unknown selector is an error", async (cell) => {
    const client = await connect(server, cell);
    await failure(client.invoke("Broadcast", "everyone", [], "x"));
    await client.stop();
  });
});

describe("Broadcast on the main hub", () => {
  let all;
  let by;
  before(async () => {
    by = await connectAll(server);
    all = [...by.values()];
    const [a, b, c, d] = all;
    await Promise.all([a, b, c].map((client) => client.invoke("JoinGroup", "red")));
    await Promise.all([c, d].map((client) => client.invoke("JoinGroup", "blue")));
  });

  for (const cell of cells) {
    test(`every selector [from ${cell}]`, async () => {
      const [a, b, c, d, e] = all;
      const from = by.get(String(cell));
      const others = all.filter((client) => client !== from);
      const without = (...some) => all.filter((client) => !some.includes(client));
      for (const [selector, names, meant] of [
        ["all", [], all],
        ["allExcept", ids([b, e]), without(b, e)],
        ["allExcept", [], all],
        ["allExcept", [from.id, "no such id"], others],
        ["caller", [], [from]],
        ["others", [], others],
        ["client", [d.id], [d]],
        ["client", ["no such id"], []],
        ["clients", ids([a, c, e]), [a, c, e]],
        ["clients", [b.id, "no such id"], [b]],
        ["clients", [], []],
        ["group", ["red"], [a, b, c]],
        ["group", ["no such group"], []],
        ["groups", ["red", "blue"], [a, b, c, d]],
        ["groups", ["blue", "no such group"], [c, d]],
        ["groups", [], []],
        ["groupExcept", ["red", b.id, "no such id"], [a, c]],
        ["groupExcept", ["red"], [a, b, c]],
        ["groupExcept", ["no such group", a.id], []],
        ["othersInGroup", ["red"], [a, b, c].filter((client) => client !== from)],
        ["othersInGroup", ["blue"], [c, d].filter((client) => client !== from)],
        ["othersInGroup", ["no such group"], []],
        ["user", ["ann"], []], // nobody has a name here
        ["users", ["ann", "bob"], []],
      ]) {
        assert.deepEqual(sorted(await heardBy(all, from, selector, names)), sorted(meant), `${selector} ${names}`);
      }
    });
  }

  test("who has left is not selected and is no error", async () => {
    const late = await connect(server);
    await late.invoke("JoinGroup", "red");
    await late.stop();
    assert.deepEqual(sorted(await heardBy(all, all[0], "client", [late.id])), []);
    assert.deepEqual(sorted(await heardBy(all, all[0], "group", ["red"])), sorted(all.slice(0, 3)));
  });
});

describe("Broadcast on the authorised hub", () => {
  test("user and users: every connection of them, over all transports and encodings", async () => {
    const names = ["ann", "bob", "ann", "zoë@example.com", "ann"];
    const all = await Promise.all(cells.map((cell, i) => connect(server, cell, { hub: AUTH, token: mint({ sub: names[i] }) })));
    const of = (...some) => all.filter((_, i) => some.includes(names[i]));
    for (const from of [all[0], all[1]]) {
      for (const [selector, who, meant] of [
        ["user", ["ann"], of("ann")],
        ["user", ["bob"], of("bob")],
        ["user", ["zoë@example.com"], of("zoë@example.com")],
        ["user", ["Ann"], []],
        ["user", ["nobody"], []],
        ["users", ["bob", "zoë@example.com"], of("bob", "zoë@example.com")],
        ["users", ["ann", "nobody"], of("ann")],
        ["users", [], []],
        ["all", [], all],
        ["others", [], all.filter((client) => client !== from)],
      ]) {
        assert.deepEqual(sorted(await heardBy(all, from, selector, who)), sorted(meant), `${selector} ${who}`);
      }
    }
    await Promise.all(all.map((client) => client.stop()));
  });

  test("the two hubs are two: what one sends the other does not hear", async () => {
    const [here, there] = await Promise.all([connect(server), connect(server, undefined, { hub: AUTH, token: mint({ sub: "ann" }) })]);
    await Promise.all([here, there].map((client) => client.invoke("JoinGroup", "same name")));
    await here.invoke("Broadcast", "all", [], "here");
    await here.invoke("Broadcast", "group", ["same name"], "here");
    await here.invoke("Broadcast", "client", [there.id], "here");
    await there.invoke("Broadcast", "all", [], "there");
    await until("both heard", () => there.messages.length === 1 && here.messages.length === 2);
    assert.deepEqual(there.messages, [{ text: "there", from: there.id }]);
    assert.deepEqual(here.messages.map((m) => m.text), ["here", "here"]);
    await Promise.all([here.stop(), there.stop()]);
  });
});
