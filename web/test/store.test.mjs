// The inbox and the preferences of the demo page without a browser: what they make
// of what the server answers and tells.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Inbox, readChanged } from "../demo/inbox.js";
import { read } from "../demo/notification.js";
import { Preferences } from "../demo/preferences.js";

const SIZE = 50;

/** An inbox, and a server of one user. asked are the calls of hub methods. */
function meet() {
  const server = { entries: [], state: 1, end: 0, asked: [], hold: null };
  const counts = () => {
    const unread = server.entries.filter(({ state }) => state === "unseen" || state === "seen");
    return { unseen: unread.filter(({ state }) => state === "unseen").length, unread: unread.length };
  };
  const version = () => ({ position: server.end, state: server.state });
  server.add = (title, more) => {
    const position = ++server.end;
    const n = { id: `id-${position}`, position, title, recipient: "user/ann", type: "t", severity: "info", ...more };
    server.entries = server.entries.filter((e) => !n.collapseKey || e.state === "read" || e.collapseKey !== n.collapseKey || e.recipient !== n.recipient);
    server.entries.unshift({ state: "unseen", ...n });
    return n;
  };
  server.told = (...changed) => readChanged({ counts: counts(), version: version(), changed });
  const inbox = new Inbox(async (method, ...args) => {
    server.asked.push([method, ...args]);
    if (method !== "Inbox") return { counts: counts(), version: version() };
    const [{ before, limit, states, severities, types }] = args;
    const found = server.entries.filter((e) => e.position < (before ? Number(before) : Infinity) && states.includes(e.state)
      && (!severities || severities.includes(e.severity)) && (!types || e.type.startsWith(types[0].slice(0, -1))));
    const items = found.slice(0, limit).map((e) => ({ ...e }));
    const answer = { items, next: found.length > limit ? String(items.at(-1).position) : undefined, counts: counts(), version: version() };
    await server.hold;
    return answer;
  });
  server.settle = async () => {
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    await new Promise((resolve) => { setTimeout(resolve, 20); }); // what comes in a burst is told after 16 ms
  };
  return { server, inbox, shown: () => inbox.items.map(({ title, state }) => `${title} ${state}`) };
}

async function begin(...titles) {
  const both = meet();
  for (const title of titles) both.server.add(title);
  both.inbox.connected();
  await both.server.settle();
  both.server.asked.length = 0;
  return both;
}

test("what is done on any device is applied without asking again", async () => {
  const { server, inbox, shown } = await begin("a", "b", "c", "d");
  for (const [change, want] of [
    [{ kind: "allSeen", upTo: 2 }, ["d unseen", "c unseen", "b seen", "a seen"]],
    [{ kind: "read", positions: [1, 4] }, ["d read", "c unseen", "b seen", "a read"]],
    [{ kind: "unread", positions: [4] }, ["d seen", "c unseen", "b seen", "a read"]],
    [{ kind: "archived", positions: [2, 3] }, ["d seen", "a read"]],
    [{ kind: "allRead", upTo: 4 }, ["d read", "a read"]],
    [{ kind: "seen", positions: [99] }, ["d read", "a read"]],
  ]) {
    server.state++;
    inbox.changed(server.told(change));
    assert.deepEqual(shown(), want, JSON.stringify(change));
  }
  await server.settle();
  assert.deepEqual(server.asked, []);
});

test("what only the server can know is asked", async () => {
  for (const [kind, of] of [["unarchived", { positions: [2] }], ["unread", { positions: [2] }], ["joined", { group: "ops" }], ["preferences", {}], ["reload", {}]]) {
    const { server, inbox, shown } = await begin("a", "b", "c");
    server.entries[1].state = "archived";
    server.state++;
    inbox.changed(server.told({ kind: "archived", positions: [2] }));
    assert.deepEqual(shown(), ["c unseen", "a unseen"]);
    server.entries[1].state = "read";
    server.state++;
    inbox.changed(server.told({ kind, ...of }));
    await server.settle();
    assert.deepEqual(shown(), ["c unseen", "b read", "a unseen"], kind);
    assert.equal(server.asked.length, 1, kind);
  }
});

test("the filter decides what stays and what is asked for", async () => {
  const { server, inbox, shown } = await begin("a", "b");
  inbox.show({ view: "archived" });
  await server.settle();
  assert.deepEqual(shown(), []);
  server.entries[0].state = "archived";
  server.state++;
  inbox.changed(server.told({ kind: "archived", positions: [2] }));
  await server.settle();
  assert.deepEqual(shown(), ["b archived"], "it has come into the archive");
  server.state++;
  inbox.changed(server.told({ kind: "unarchived", positions: [2] }));
  assert.deepEqual(shown(), []);

  inbox.show({ view: "all", severity: "critical", type: "disk" });
  await server.settle();
  assert.deepEqual(server.asked.at(-1), ["Inbox", { states: ["unseen", "seen", "read", "archived"], severities: ["critical"], types: ["disk*"], limit: SIZE }]);
  inbox.hear(read(server.add("c", { type: "disk.full" })));
  inbox.hear(read(server.add("d", { type: "disk.full", severity: "critical" })));
  await server.settle();
  assert.deepEqual(shown(), ["d unseen"]);
});

test("of two counts the newer one stays", async () => {
  const { server, inbox } = await begin("a");
  const says = (position, state, unread) => inbox.changed(readChanged({ counts: { unseen: 0, unread }, version: { position, state }, changed: [] }));
  server.end = 9;
  for (const [position, state, unread, want] of [
    [5, 4, 7, 7], [5, 4, 6, 6], [4, 4, 1, 6], [5, 3, 1, 6], [4, 5, 8, 8], [5, 4, 1, 1],
  ]) {
    says(position, state, unread);
    assert.equal(inbox.counts.unread, want, `${position} ${state}`);
  }
});

test("a page that was overtaken by a change is asked for again", async () => {
  const { server, inbox, shown } = await begin("a", "b");
  let release;
  server.hold = new Promise((resolve) => { release = resolve; });
  inbox.show({ view: "all" });
  server.hold = null;
  server.entries[0].state = "read";
  server.state++;
  inbox.changed(server.told({ kind: "read", positions: [2] }));
  release();
  await server.settle();
  assert.deepEqual(shown(), ["b read", "a unseen"]);
  assert.equal(server.asked.length, 2);
});

test("what is muted comes with the next page; what lies behind it stays", async () => {
  const { server, inbox, shown } = await begin(...Array.from({ length: 60 }, (_, i) => `e${i}`));
  assert.equal(inbox.items.length, SIZE);
  await inbox.older();
  assert.equal(inbox.items.length, 60);
  assert.equal(inbox.more, false);
  server.add("quiet", { muted: true });
  inbox.changed(server.told());
  await server.settle();
  assert.equal(inbox.items.length, 61);
  assert.equal(inbox.items[0].muted, true);
  assert.equal(inbox.items.at(-1).title, "e0");

  for (let i = 0; i < 2 * SIZE; i++) server.add(`gap ${i}`);
  inbox.changed(server.told());
  await server.settle();
  assert.equal(inbox.items.length, SIZE, "what lies behind a gap is loaded again by and by");
  await inbox.older();
  assert.equal(new Set(shown()).size, 2 * SIZE);
});

test("a page that knows of a change before it is told does not keep it from what lies behind", async () => {
  const { server, inbox } = await begin(...Array.from({ length: 60 }, (_, i) => `e${i}`));
  await inbox.older();
  server.entries.at(-1).state = "read";
  server.entries[0].state = "read";
  server.state++;
  inbox.hear(read({ ...server.add("new"), replayed: true })); // has the newest page loaded
  await server.settle();
  assert.deepEqual([inbox.items.at(-1).state, inbox.items[1].state], ["unseen", "read"]);
  inbox.changed(server.told({ kind: "read", positions: [1, 60] }));
  assert.deepEqual([inbox.items.at(-1).state, inbox.items[1].state], ["read", "read"]);
});

test("an arrival is shown at once, and only once", async () => {
  const { server, inbox, shown } = await begin("a");
  const n = read(server.add("b"));
  inbox.hear(n);
  inbox.hear(n);
  await server.settle();
  assert.deepEqual(shown(), ["b unseen", "a unseen"]);
  inbox.changed(server.told());
  await server.settle();
  assert.deepEqual(shown(), ["b unseen", "a unseen"]);
});

test("of one collapse key the latest is left, and what was read", async () => {
  const { server, inbox, shown } = await begin();
  inbox.hear(read(server.add("a", { collapseKey: "k" })));
  server.entries[0].state = "read";
  server.state++;
  inbox.changed(server.told({ kind: "read", positions: [1] }));
  await server.settle();
  for (const title of ["b", "c"]) inbox.hear(read(server.add(title, { collapseKey: "k" })));
  inbox.hear(read(server.add("other", { collapseKey: "k", recipient: "role/sales" })));
  await server.settle();
  assert.deepEqual(shown(), ["other unseen", "c unseen", "a read"]);
});

test("what is replayed is as the server knows it", async () => {
  const { server, inbox, shown } = await begin();
  const n = server.add("b", { state: undefined });
  server.entries[0].state = "read";
  inbox.hear(read({ ...n, replayed: true }));
  await server.settle();
  assert.deepEqual(shown(), ["b read"]);
  assert.equal(inbox.items[0].replayed, true);
});

test("what came for a group is in the inbox of a durable member only", async () => {
  const { server, inbox } = await begin();
  inbox.hear(read(server.add("kept", { recipient: "group/ops" })));
  inbox.hear(read({ id: "live", position: ++server.end, title: "live", recipient: "group/chat" }));
  await server.settle();
  assert.deepEqual(inbox.items.map(({ title, passing }) => `${title} ${passing}`), ["live true", "kept false"]);
  inbox.recalled("live");
  inbox.recalled("id-1");
  assert.deepEqual(inbox.items, []);
});

test("everything up to the newest shown is read with one call, and seen with one", async () => {
  const { server, inbox } = await begin("a", "b", "c");
  await inbox.readAll();
  assert.deepEqual(server.asked, [["MarkAllRead", 3]]);
  inbox.seeAll();
  inbox.seeAll();
  assert.deepEqual(server.asked, [["MarkAllRead", 3], ["MarkAllSeen", 3]]);
  await inbox.mark("archived", inbox.items[1]);
  assert.deepEqual(server.asked.at(-1), ["Archive", [2]]);
});

test("what expires goes away by itself", async () => {
  const { server, inbox, shown } = await begin("stays");
  inbox.hear(read(server.add("goes", { expiresAt: new Date(Date.now() + 50).toISOString() })));
  await new Promise((resolve) => { inbox.addEventListener("change", resolve, { once: true }); });
  assert.equal(shown().length, 2);
  await new Promise((resolve) => { inbox.addEventListener("change", resolve, { once: true }); });
  assert.deepEqual(shown(), ["stays unseen"]);
});

test("preferences: the newest answer stays; what somebody else has changed is learnt from a refusal", async () => {
  const answers = [
    { mutes: [{ type: "order.*" }, { group: "ops", until: "2000-01-01T00:00:00Z" }, { group: "ops", until: "2999-01-01T00:00:00Z" }], version: 5 },
    { version: 4 },
    new Error("HubException: Somebody else has changed this meanwhile. Load it again."),
    { quietHours: { from: "22:00" }, version: 9 },
  ];
  const asked = [];
  const preferences = new Preferences(async (method, ...args) => {
    asked.push([method, ...args]);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  });
  await preferences.load();
  await preferences.load();
  assert.deepEqual(preferences.mutes, [{ type: "order.*" }, { group: "ops", until: "2999-01-01T00:00:00Z" }], "what is over is no mute");
  const of = (type, recipient) => preferences.mutesOf(read({ type, recipient })).length;
  assert.deepEqual([of("order.lost", "everyone"), of("orders", "everyone"), of("x", "group/ops"), of("x", "role/ops"), of("order.", "group/ops")], [1, 0, 1, 0, 2]);

  await assert.rejects(preferences.setQuietHours(null), /Somebody else/);
  assert.deepEqual(asked.slice(-2), [["SetPreferences", { mutes: [{ type: "order.*" }, { group: "ops", until: "2999-01-01T00:00:00Z" }], version: 5 }], ["Preferences"]]);
  assert.deepEqual([preferences.mutes, preferences.quietHours], [[], { from: "22:00" }]);
});
