// The inbox on several devices of one user: the same everywhere, whatever
// happens in between, and the same as a model that the test keeps.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";

import { HubConnectionState } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

import { publish, token } from "../test/server.mjs";
import { ask, cleanUp, connect, dropped, eventually, hears, live, natsRequest, plug, start, until, within } from "./client.mjs";

const OFTEN = Array(1000).fill(20); // delays of an impatient reconnect
const STATES = ["unseen", "seen", "read", "archived"];
const SEVERITIES = ["info", "success", "warning", "critical"];

const made = []; // data directories, for servers that are started again
function dir() {
  made.push(mkdtempSync(join(tmpdir(), "tidings-e2e-")));
  return made.at(-1);
}
afterEach(async () => {
  await cleanUp();
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

const title = (n) => n.title;
const unread = (client) => client.told.at(-1)?.counts.unread;

/** The tokens of a test: of an emitter and administrator, and of a user. */
const tokens = (data, ...roles) => ({ root: token(data, "root", ["admin", "emitter"]), ann: token(data, "ann", roles) });

/** Connects a device that has asked for its inbox, and so is told of what arrives. */
async function device(url, bearer, name, options = {}) {
  const client = await connect(url, bearer, { query: `device=${name}`, delays: OFTEN, ...options });
  await live(client);
  await client.connection.invoke("Counts");
  return client;
}

/** All items of an inbox, newest first, page by page. */
async function pages(turn) {
  const all = [];
  for (let before = ""; ;) {
    const { items, next } = await turn(before);
    all.push(...items);
    if (!next) return all;
    before = next;
  }
}
const overHub = (client, limit, states = STATES) => pages((before) => client.connection.invoke("Inbox", { before, limit, states }));
const overHTTP = (server, bearer, limit) => pages((before) =>
  ask(server, bearer, `GET /v1/inbox?limit=${limit}&before=${encodeURIComponent(before)}&${STATES.map((s) => `state=${s}`).join("&")}`));

/** Items with their times as numbers: MessagePack has a type for them, JSON has texts. */
const timed = (items) => items.map((n) => ({ ...n, createdAt: Number(new Date(n.createdAt)), ...(n.expiresAt && { expiresAt: Number(new Date(n.expiresAt)) }) }));

/** Of items what a model knows. */
const compared = (items) => items.map(({ id, position, severity, state, muted = false }) => ({ id, position, severity, state, muted }));

/** Counts items by their states, as the counters of an inbox do. */
function recount(items) {
  const tally = () => ({ unseen: 0, unread: 0 });
  const counts = { ...tally(), severities: Object.fromEntries(SEVERITIES.map((s) => [s, tally()])) };
  for (const { state, severity } of items) {
    for (const t of [counts, counts.severities[severity]]) {
      t.unseen += state === "unseen";
      t.unread += state === "unseen" || state === "seen";
    }
  }
  return counts;
}

/** The last InboxChanged that a client hears says this. What expires is told within a second. */
const told = (client, want, name) => eventually(() => {
  const { counts, version } = client.told.at(-1);
  assert.deepEqual({ counts, version }, want, `InboxChanged of ${name}`);
});

/** Calls, and calls again what was answered with "try again", as a client does. */
const patiently = async (call) => {
  for (const deadline = Date.now() + 10_000; ;) {
    try {
      return await call();
    } catch (error) {
      if (!/The log is not available. Try again./.test(error.message) || Date.now() > deadline) throw error;
    }
  }
};
const once = (call) => call();

/** Numbers from a seed: mulberry32. */
function dice(seed) {
  const next = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  return {
    below,
    chance: (p) => next() < p,
    of: (list) => list[below(list.length)],
    some: (list, most) => list.map((x) => [next(), x]).sort(([a], [b]) => a - b).slice(0, 1 + below(most)).map(([, x]) => x),
  };
}

/**
 * What the inbox of ann has to be: the guide once more, without any of its
 * shortcuts. Ann has the role sales from the beginning, and is a member of the
 * group ops now and then.
 */
function model() {
  const events = new Map(); // by position
  const expiring = []; // positions of what expires soon
  let readUpTo = 0;
  let since = null; // the end of the log when ann became a member
  const mutes = new Set();

  const covers = (e) => {
    switch (e.recipient) {
      case "group/ops": return since !== null && (e.position > since || e.membersAt === "read");
      case "user/ann": case "role/sales": case "everyone": return true;
      default: return false;
    }
  };
  const state = (e) => (e.archived ? "archived" : e.read ? "read" : e.seen ? "seen" : "unseen");
  const replacedBy = (e) => Math.min(...[...events.values()]
    .filter((o) => o.collapseKey && o.collapseKey === e.collapseKey && o.recipient === e.recipient && o.position > e.position)
    .map((o) => o.position));
  const shows = (e, now) => covers(e) && !e.recalled && now < e.expires
    && (replacedBy(e) === Infinity || e.archived || (e.read && readUpTo < replacedBy(e)));
  const silenced = (e) => e.severity !== "critical"
    && (mutes.has(`type ${e.type}`) || mutes.has(`type ${e.type.split(".")[0]}.*`) || (mutes.has("group ops") && e.recipient === "group/ops"));

  const marks = {
    seen: (e) => { e.seen = true; },
    read: (e) => { e.seen = e.read = true; },
    unread: (e) => { if (state(e) !== "unseen") Object.assign(e, { seen: true, read: false, archived: false }); },
    archive: (e) => { e.archived = true; },
    unarchive: (e) => { e.archived = false; },
  };
  return {
    mutes,
    expiring,
    emitted(e, { id, position }, by) {
      const expires = e.ttl ? by + e.ttl * 1000 : Infinity; // or some milliseconds before
      if (e.ttl) expiring.push(position);
      events.set(position, { severity: "info", ...e, id, position, expires, seen: false, read: false, archived: false, recalled: false });
    },
    recalled(id) { for (const e of events.values()) if (e.id === id) e.recalled = true; },
    mark(kind, chosen) {
      for (const { position } of chosen) {
        const e = events.get(position);
        if (kind !== "seen" || state(e) === "unseen") marks[kind](e);
      }
    },
    markAll(kind, upTo) {
      for (const e of events.values()) if (e.position <= upTo) marks[kind](e);
      if (kind === "read") readUpTo = Math.max(readUpTo, upTo);
    },
    joined(end) { since ??= end; },
    left() { since = null; },
    /** Items as far as they are compared, newest first. */
    items: (now = Date.now()) => [...events.values()].filter((e) => shows(e, now)).sort((a, b) => b.position - a.position)
      .map((e) => ({ id: e.id, position: e.position, severity: e.severity, state: state(e), muted: silenced(e) })),
    /** What may be marked: what is shown and does not expire meanwhile. */
    lasting: () => [...events.values()].filter((e) => shows(e, Date.now() + 60_000)),
    /** When the last one expires that will soon. */
    quiet: () => Math.max(0, ...[...events.values()].map((e) => e.expires).filter((t) => t < Date.now() + 60_000)),
  };
}

const METHODS = { seen: "MarkSeen", read: "MarkRead", unread: "MarkUnread", archive: "Archive", unarchive: "Unarchive" };

/**
 * A user with three devices, an emitter and a model; everything that may happen
 * to them is a method. With two nodes the tab, the phone and HTTP are on the
 * second one, and that is the one that is killed.
 */
async function household(seed, nodes) {
  const data = dir();
  let first = await start({ data, nats: "127.0.0.1:0" });
  const another = (http) => start({ data, http, args: ["--nats", `nats://${first.nats}`] });
  let server = nodes === 2 ? await another() : first;
  const { root, ann } = tokens(data, "sales");
  const wire = await plug(server.http);
  const d = dice(seed);
  const m = model();
  let end = 0; // of the log
  let away = false; // the phone

  const devices = {
    laptop: await device(first.url, ann, "laptop"),
    tab: await device(server.url, ann, "tab", { protocol: new MessagePackHubProtocol() }),
    phone: await device(wire.url, ann, "phone", { stateful: true }),
  };
  const everyone = Object.values(devices);
  const online = () => everyone.filter((c) => c !== devices.phone || !away);

  // What a client keeps of all it is told: the newer one, as the guide says.
  const keep = (client, { counts, version }) => {
    const old = client.kept?.version;
    const older = old && version.position <= old.position && version.state <= old.state
      && (version.position < old.position || version.state < old.state);
    if (!older) client.kept = { counts, version };
  };
  for (const client of everyone) client.connection.on("InboxChanged", (c) => keep(client, c));
  const call = nodes === 1 ? once : patiently;
  const over = (what, body) => call(() => ask(server, ann, what, body));
  const invoke = async (client, method, ...args) => {
    const answer = await call(() => within(`answer to ${method}`, client.connection.invoke(method, ...args)));
    if (answer?.version?.position !== undefined) keep(client, answer);
    return answer;
  };
  const counts = (node = server) => ask(node, ann, "GET /v1/inbox/counts");

  /** Waits until the nodes have read what is stored: an inbox shows what its node has read. */
  const read = async () => {
    for (const node of [first, server]) await until(`${end} read by the node`, async () => (await counts(node)).version.position >= end);
  };

  const event = () => ({
    recipient: d.of(["user/ann", "user/ann", "user/ann", "role/sales", "role/sales", "group/ops", "group/ops", "everyone", "everyone", "user/bob", "role/other", "group/lunch"]),
    type: d.of(["order.new", "order.late", "disk.full"]),
    severity: d.of(SEVERITIES),
    // Nothing that replaces another event expires: after a restart what it replaced would be back, as the guide says.
    ...(d.chance(0.4) ? { collapseKey: d.of(["a", "b", "c"]) } : d.chance(0.15) && { ttl: 1 }),
    ...(d.chance(0.1) && { membersAt: "read" }),
  });

  const steps = {
    async emit() {
      const events = Array.from({ length: 1 + d.below(3) }, event);
      if (events.at(-1).ttl) events.push({ recipient: "user/bob", type: "order.new" }); // the newest does not expire: see the test of that
      const receipts = await publish(first, root, events);
      events.forEach((e, i) => m.emitted(e, receipts[i], Date.now()));
      end = Math.max(end, ...receipts.map((r) => r.position));
    },
    async mark(of = m.lasting()) {
      if (of.length === 0) return;
      const kind = d.of(Object.keys(METHODS));
      const chosen = d.some(of, 4);
      const ids = chosen.map((e) => (d.chance(0.5) ? e.id : e.position));
      const client = d.of(online());
      if (d.chance(0.25)) await over(`POST /v1/inbox/${kind}`, { ids });
      else await invoke(client, METHODS[kind], ids);
      m.mark(kind, chosen);
    },
    async markAll() {
      const kind = d.of(["seen", "seen", "read"]);
      const client = d.of(online());
      let [upTo, place] = d.chance(0.3) || end === 0 ? [null, end] : Array(2).fill(1 + d.below(end));
      if (d.chance(0.3)) {
        const { items: [newest] } = await invoke(client, "Inbox", { limit: 1 });
        if (newest) [upTo, place] = [newest.cursor, newest.position];
      }
      if (d.chance(0.25)) await over(`POST /v1/inbox/all-${kind}`, { upTo });
      else await invoke(client, kind === "seen" ? "MarkAllSeen" : "MarkAllRead", upTo);
      m.markAll(kind, place);
    },
    async mute() {
      const [by, name] = d.of([["type", "order.*"], ["type", "disk.full"], ["group", "ops"]]);
      const add = d.chance(0.5);
      const client = d.of(online());
      if (d.chance(0.25)) await (add ? over("POST /v1/preferences/mutes", { [by]: name }) : over(`DELETE /v1/preferences/mutes?${by}=${name}`));
      else await invoke(client, add ? "Mute" : "Unmute", { [by]: name });
      m.mutes[add ? "add" : "delete"](`${by} ${name}`);
    },
    async recall() {
      const lasting = m.lasting();
      if (lasting.length === 0) return;
      const { id } = d.of(lasting);
      const { position } = await ask(server, root, `DELETE /v1/notifications/${id}`);
      m.recalled(id);
      end = Math.max(end, position);
    },
    async member() {
      if (d.chance(0.6)) {
        await ask(server, root, "PUT /v1/groups/ops/members/ann");
        m.joined(end);
      } else {
        await ask(server, root, "DELETE /v1/groups/ops/members/ann");
        m.left();
      }
    },
    async phone() {
      const { phone } = devices;
      if (away) {
        await phone.connection.start();
        await invoke(phone, "Counts");
        away = false;
        return;
      }
      // The stock client does not survive all that may happen while it comes back
      // with another socket: stopped, it never ends; cut, it forgets what it was asked.
      await invoke(phone, "Counts");
      away = d.chance(0.5);
      if (away) await phone.connection.stop();
      else wire.cut();
    },
    /** Several at the same moment, of which none minds the order. */
    async burst() {
      const [here, there] = [[], []];
      for (const e of m.lasting()) (d.chance(0.5) ? here : there).push(e);
      await Promise.all([steps.emit(), steps.mark(here), steps.mark(there), steps.mute(), steps.emit()]);
    },
  };

  async function kill() {
    // A node for which something expires while it starts may never be ready: not in here.
    for (const position of m.expiring.splice(0)) await dropped(first, position);
    const connected = online().filter((client) => nodes === 1 || client !== devices.laptop).map((client) => [client, client.ids.length]);
    await server.kill9();
    if (nodes === 2) server = await another(server.http);
    else first = server = await start({ data, http: server.http, nats: server.nats });
    for (const [client, before] of connected) {
      await until("connected again", () => client.ids.length > before && client.connection.state === HubConnectionState.Connected);
      await invoke(client, "Counts");
    }
  }

  /** The inbox is what the model says: for counters, as any device is told. */
  async function agrees(what) {
    const client = d.of(online());
    await eventually(async () => { // what expires just now
      const { counts: got } = await invoke(client, "Counts");
      assert.deepEqual(got, recount(m.items()), `Counts ${what}`);
    }, 5000).catch(async (error) => {
      assert.deepEqual(compared(await overHub(client, 200)), m.items(), `items ${what}`); // it says more
      throw error;
    });
  }

  /** In the end everybody has to say the same. */
  async function agree() {
    if (away) await steps.phone();
    await until("all expired", () => Date.now() > m.quiet());
    const last = await publish(first, root, { recipient: "user/ann" });
    m.emitted({ recipient: "user/ann", type: "notification" }, last);
    end = last.position;
    await read();
    const want = m.items();
    const { version } = await counts();
    for (const [name, client] of Object.entries(devices)) {
      await told(client, { counts: recount(want), version }, name);
      assert.deepEqual(compared(await overHub(client, 7)), want, `items of ${name}`);
      const answer = await invoke(client, "Counts");
      assert.deepEqual(answer, { counts: recount(want), version }, `Counts of ${name}`);
      assert.deepEqual(client.kept, answer, `what ${name} keeps`);
      for (const [i, { version: v }] of client.told.entries()) {
        const before = client.told[i - 1]?.version;
        assert.ok(!before || (v.position >= before.position && v.state >= before.state), `${name}: ${JSON.stringify(v)} after ${JSON.stringify(before)}`);
      }
    }
    assert.deepEqual(await counts(), { counts: recount(want), version }, "GET /v1/inbox/counts");
    const whole = timed(await overHTTP(server, ann, 50));
    assert.deepEqual(timed(await overHub(devices.laptop, 50)), whole, "pages in JSON");
    assert.deepEqual(timed(await overHub(devices.tab, 200)), whole, "pages in MessagePack");
    return { items: want.length, states: Object.fromEntries(STATES.map((s) => [s, want.filter((i) => i.state === s).length])), version };
  }

  return {
    /** A number of random steps, with the server killed before two of them. */
    async live(n) {
      const often = { emit: 25, mark: 30, markAll: 6, mute: 5, recall: 6, member: 6, phone: 8, burst: 14 };
      const names = Object.entries(often).flatMap(([name, times]) => Array(times).fill(name));
      const kills = [Math.floor(n / 3) + d.below(10), Math.floor(2 * n / 3) + d.below(10)];
      const done = [];
      for (let i = 0; i < n; i++) {
        if (kills.includes(i)) {
          await kill();
          await agrees(`after the kill before step ${i}, and ${done.slice(-5)}`);
        }
        done.push(d.of(names));
        await within(`end of step ${i}, ${done.slice(-5)},`, steps[done.at(-1)]());
        await read();
        if (i % 5 === 4) await agrees(`after step ${i}: ${done.slice(-5)}`);
      }
    },
    agree,
  };
}

// The same seeds give the same steps, but for what the clock does: SEEDS=1,2,3.
const seeds = process.env.SEEDS?.split(",").map(Number) ?? Array.from({ length: 3 }, () => Math.floor(Math.random() * 2 ** 31));
for (const [nodes, seed] of [...seeds.map((one) => [1, one]), [2, seeds[0]]]) {
  test(`three devices agree with each other and with a model after random steps and two kills (seed ${seed}, nodes: ${nodes})`, async (t) => {
    const h = await household(seed, nodes);
    await h.live(nodes === 1 ? 150 : 100);
    t.diagnostic(`seed ${seed}: ${JSON.stringify(await h.agree())}`);
  });
}

/** Two devices of ann on a server of their own, one in each encoding. */
async function twoDevices(options = {}, ...roles) {
  const server = await start(options);
  const { root, ann } = tokens(server.data, ...roles);
  const laptop = await device(server.url, ann, "laptop");
  const tab = await device(server.url, ann, "tab", { protocol: new MessagePackHubProtocol() });
  const emit = (events) => publish(server, root, events);
  return { server, root, ann, laptop, tab, both: [laptop, tab], emit };
}

const many = (n, e) => Array.from({ length: n }, (_, i) => ({ ...e, title: `${i}` }));

/** Whether a client was told that somebody did this to that position. */
const toldOf = (client, kind, position) => client.told.some(({ changed }) => changed.some((c) => c.kind === kind && c.positions?.includes(position)));

/**
 * Two clients mark the same and other items, all at the same moment; then both
 * have to say the same of each.
 */
async function race({ one, other, emit, over, call = once }) {
  const sent = await emit(many(60, { recipient: "user/ann" }));
  const invoke = (client, method, id) => call(() => client.connection.invoke(method, [id]));
  await Promise.all(sent.flatMap(({ id, position }, i) => [
    i < 40 && invoke(one, "MarkRead", id),
    i >= 20 && i < 55 && invoke(other, "MarkRead", position),
    i % 5 === 0 && call(() => over("POST /v1/inbox/read", { ids: [id, sent[(i + 1) % 60].id] })),
    i % 6 === 0 && invoke(one, "Archive", id),
    i % 6 === 1 && invoke(other, "Archive", position),
    i % 7 === 0 && invoke(other, "MarkSeen", id),
  ].filter(Boolean)));
  const want = sent.map(({ position }, i) => {
    const read = i < 55 || i % 5 < 2;
    return { position, state: i % 6 < 2 ? "archived" : read ? "read" : i % 7 === 0 ? "seen" : "unseen" };
  }).reverse();
  const answer = await over("GET /v1/inbox/counts");
  for (const [name, client] of Object.entries({ one, other })) {
    const items = (await overHub(client, 200)).filter((n) => n.position >= sent[0].position);
    assert.deepEqual(items.map(({ position, state }) => ({ position, state })), want, `items of ${name}`);
    assert.deepEqual(await client.connection.invoke("Counts"), answer, `Counts of ${name}`);
    await told(client, answer, name);
  }
  assert.deepEqual(answer.counts, recount(await overHub(one, 200)));
}

test("two devices mark many items at the same moment, and nothing is lost", async () => {
  const { server, ann, laptop, tab, emit } = await twoDevices();
  await race({ one: laptop, other: tab, emit, over: (what, body) => ask(server, ann, what, body) });
});

test("two nodes of one log: what is done on one is heard on the other, and both end the same", async () => {
  const first = await start({ nats: "127.0.0.1:0" });
  const second = await start({ data: first.data, args: ["--nats", `nats://${first.nats}`] }); // the same secret
  const { root, ann } = tokens(first.data);
  const here = await device(first.url, ann, "laptop");
  const there = await device(second.url, ann, "tab", { protocol: new MessagePackHubProtocol() });
  const emit = (events) => publish(first, root, events);

  const [a, b] = await emit(many(2, { recipient: "user/ann" }));
  for (const client of [here, there]) await until("heard", () => client.heard.length === 2);
  await here.connection.invoke("MarkRead", [a.id]);
  await until("the reading heard on the other node", () => toldOf(there, "read", a.position) && unread(there) === 1);
  await there.connection.invoke("Archive", [b.position]);
  await until("the archiving heard on the first node", () => toldOf(here, "archived", b.position) && unread(here) === 0);
  await ask(second, ann, "POST /v1/inbox/unread", { ids: [a.id] });
  for (const client of [here, there]) await until("the unreading heard", () => toldOf(client, "unread", a.position) && unread(client) === 1);

  await race({ one: here, other: there, emit, over: (what, body) => ask(second, ann, what, body), call: patiently });
  await here.stop();
  await there.stop();
  assert.equal(await second.stop(), 0);
});

test("a node that is a moment behind the other one refuses no mark, and lets nobody read what was before", async () => {
  const first = await start({ nats: "127.0.0.1:0" });
  const second = await start({ data: first.data, args: ["--nats", `nats://${first.nats}`] });
  const { root, ann } = tokens(first.data);
  const wrong = { read: 0, allRead: 0, member: 0 };
  const refused = (name, what, body) => ask(second, ann, what, body).catch(() => { wrong[name]++; });
  for (let i = 0; i < 40; i++) {
    const one = await publish(first, root, { recipient: "user/ann" });
    await refused("read", "POST /v1/inbox/read", { ids: [one.id] });
    const { position: upTo } = await publish(first, root, { recipient: "user/ann" });
    await refused("allRead", "POST /v1/inbox/all-read", { upTo });
    const before = await publish(first, root, { recipient: `group/g${i}` });
    await ask(second, root, `PUT /v1/groups/g${i}/members/ann`);
    await until("read", async () => (await ask(second, ann, "GET /v1/inbox/counts")).version.position >= before.position);
    const { items } = await ask(second, ann, "GET /v1/inbox?limit=1&state=unseen");
    wrong.member += items.some((n) => n.id === before.id);
  }
  assert.deepEqual(wrong, { read: 0, allRead: 0, member: 0 }, "of 40 times");
});

test("of marks at the same moment on two nodes none is refused", async () => {
  const first = await start({ nats: "127.0.0.1:0" });
  const second = await start({ data: first.data, args: ["--nats", `nats://${first.nats}`] });
  const { root, ann } = tokens(first.data);
  const sent = await publish(first, root, many(400, { recipient: "user/ann" }));
  await until("read", async () => (await ask(second, ann, "GET /v1/inbox/counts")).version.position >= 400);
  const refused = [];
  while (sent.length > 0) {
    await Promise.all(sent.splice(0, 8).map(({ id }, k) =>
      ask(k % 2 ? first : second, ann, "POST /v1/inbox/read", { ids: [id] }).catch((error) => refused.push(error.message))));
  }
  assert.deepEqual(refused, [], "of 400");
});

test("10,000 missed events: a page at once, and all read is one change", async (t) => {
  const server = await start({ nats: "127.0.0.1:0" });
  const { root, ann } = tokens(server.data);
  const first = await device(server.url, ann, "laptop");
  await first.stop();
  let last;
  for (let i = 0; i < 10; i++) last = (await publish(server, root, many(1000, { recipient: i % 2 ? "everyone" : "user/ann", body: "x".repeat(200) }))).at(-1);

  const begin = performance.now();
  const back = await connect(server.url, ann, { query: "device=laptop" });
  const connected = performance.now();
  const page = await back.connection.invoke("Inbox", {});
  const done = performance.now();
  t.diagnostic(`10,000 missed: connected in ${Math.round(connected - begin)} ms, the first page ${Math.round(done - connected)} ms later`);
  assert.ok(done - connected < 3000, "the first page takes less than 3 s");
  assert.deepEqual([page.items.length, page.counts.unread, page.counts.unseen], [50, 10_000, 10_000]);
  assert.equal(page.items[0].position, last.position);

  const stored = async () => (await natsRequest(server.nats, "$JS.API.STREAM.INFO.TIDINGS_STATE")).state.messages;
  const before = await stored();
  const read = performance.now();
  const { counts } = await back.connection.invoke("MarkAllRead", null);
  t.diagnostic(`all read in ${Math.round(performance.now() - read)} ms`);
  assert.deepEqual([counts.unread, counts.unseen], [0, 0]);
  assert.equal(await stored(), before + 1);
  const change = (await ask(server, ann, "GET /v1/export")).changes.at(-1);
  assert.deepEqual([change.kind, change.upTo], ["allRead", last.position]);
  await hears(back, last.position);
  assert.equal(back.heard.length, 10_000);
  assert.ok((await overHub(back, 200)).every((n) => n.state === "read"));
});

test("what is scheduled survives a kill and comes once; what is canceled never comes", async () => {
  const data = dir();
  const { server, root, ann, both, emit } = await twoDevices({ data });
  const due = Date.now() + 2000;
  const at = (later, id) => ({ recipient: "user/ann", id, title: id, notBefore: new Date(due + later).toISOString() });
  const receipts = await emit([at(0, "kept"), at(0, "canceled"), at(700, "behind")]);
  assert.deepEqual(receipts.map((r) => Date.parse(r.scheduledFor)), [due, due, due + 700]);
  assert.deepEqual(await ask(server, root, "DELETE /v1/notifications/canceled"), { id: "canceled", canceled: true });
  const ids = both.map((client) => client.ids.length);
  await server.kill9();
  const again = await start({ data, http: server.http });
  await Promise.all(both.map((client, i) => until("connected again", () => client.ids.length > ids[i])));
  for (const client of both) {
    await until("what was scheduled heard", () => client.heard.some((n) => n.title === "kept"));
    assert.ok(Date.now() >= due, "not before its time");
    await until("what is behind heard", () => client.heard.some((n) => n.title === "behind"));
    assert.deepEqual(client.heard.map(title), ["kept", "behind"]);
  }
  const { items } = await ask(again, ann, "GET /v1/inbox");
  assert.deepEqual(items.map(title), ["behind", "kept"]);
});

test("what is recalled is taken back on all devices and gone from the inbox", async () => {
  const { server, root, ann, both, emit } = await twoDevices();
  const [wrong, right] = await emit([{ recipient: "user/ann", title: "wrong", severity: "warning" }, { recipient: "user/ann", title: "right" }]);
  for (const client of both) await hears(client, right.position);
  const recall = await ask(server, root, `DELETE /v1/notifications/${wrong.id}`);
  assert.equal(recall.canceled, false);
  for (const client of both) {
    await until("the recall heard", () => client.recalled.length === 1);
    assert.deepEqual([client.recalled[0].recalls, client.recalled[0].position], [wrong.id, recall.position]);
    assert.deepEqual((await overHub(client, 200)).map(title), ["right"]);
    await until("told", () => unread(client) === 1);
    assert.deepEqual(client.told.at(-1).counts.severities.warning, { unseen: 0, unread: 0 });
  }
  assert.deepEqual((await ask(server, ann, "GET /v1/inbox")).items.map(title), ["right"]);
  const late = await connect(server.url, ann, { query: "replay=all" });
  await hears(late, right.position);
  assert.deepEqual(late.heard.map(title), ["right"], "a replay leaves it out");
});

test("of 200 events with one key a device that was away hears the last", async () => {
  const { ann, server, laptop, tab, emit } = await twoDevices();
  await tab.stop();
  const sent = await emit(many(200, { recipient: "user/ann", collapseKey: "build" }));
  await hears(laptop, sent.at(-1).position);
  assert.equal(laptop.heard.length, 200, "who is there hears them all");
  const back = await device(server.url, ann, "tab");
  const { position: next } = await emit({ recipient: "user/ann", title: "next" });
  await hears(back, next);
  assert.deepEqual(back.heard.map(title), ["199", "next"]);
  const { items, counts } = await back.connection.invoke("Inbox", {});
  assert.deepEqual([items.map(title), counts.unread], [["next", "199"], 2]);
});

/** The time of the clock in a zone, such as "07:05", so many minutes from now. */
const clock = (zone, minutes) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }).format(Date.now() + minutes * 60_000);

test("in quiet hours nothing is heard but what is critical; the inbox has it all", async () => {
  const { server, ann, both, emit } = await twoDevices();
  const hours = { from: clock("Asia/Kolkata", -60), to: clock("Asia/Kolkata", 60) };
  const quiet = (zone) => ask(server, ann, "PUT /v1/preferences", { quietHours: { ...hours, zone } });
  await quiet("Asia/Kolkata");
  const sent = await emit([{ recipient: "user/ann", title: "quiet" }, { recipient: "everyone", title: "loud", severity: "critical" }]);
  for (const client of both) {
    await hears(client, sent[1].position);
    assert.deepEqual(client.heard.map(title), ["loud"]);
    const { items, counts } = await client.connection.invoke("Inbox", {});
    assert.deepEqual(items.map((n) => [n.title, n.muted ?? false]), [["loud", false], ["quiet", true]]);
    assert.equal(counts.unread, 2);
    await until("told", () => unread(client) === 2);
  }
  await quiet("UTC"); // where the clock says something else
  const { position } = await emit({ recipient: "user/ann", title: "by day" });
  for (const client of both) {
    await hears(client, position);
    assert.deepEqual(client.heard.map(title), ["loud", "by day"]);
  }
});

test("what is muted is not heard on any device until it is unmuted", async () => {
  const { server, ann, laptop, both, emit } = await twoDevices();
  const order = (name, rest) => ({ recipient: "user/ann", type: "order.shipped", title: name, ...rest });
  await laptop.connection.invoke("Mute", { type: "order.*" });
  const { position: first } = (await emit([order("muted"), order("critical", { severity: "critical" }), order("other", { type: "orders" })])).at(-1);
  for (const client of both) {
    await hears(client, first);
    assert.deepEqual(client.heard.map(title), ["critical", "other"]);
    await until("the mute told", () => client.told.some(({ changed }) => changed.some((c) => c.kind === "preferences")));
  }
  assert.deepEqual((await ask(server, ann, "GET /v1/preferences")).mutes, [{ type: "order.*" }]);
  await ask(server, ann, "DELETE /v1/preferences/mutes?type=order.*");
  const { position: second } = await emit(order("heard"));
  for (const client of both) {
    await hears(client, second);
    assert.deepEqual(client.heard.map(title), ["critical", "other", "heard"]);
  }
});

test("a role that is taken back tells nothing more at once; a newer token gives it again", async () => {
  const { server, root, ann, both, emit } = await twoDevices({}, "sales");
  const [before] = await emit([{ recipient: "role/sales", title: "before" }]);
  for (const client of both) await hears(client, before.position);
  await ask(server, root, "DELETE /v1/users/ann/roles/sales");
  const [, mine] = await emit([{ recipient: "role/sales", title: "secret" }, { recipient: "user/ann", title: "mine" }]);
  for (const client of both) {
    await hears(client, mine.position);
    assert.deepEqual(client.heard.map(title), ["before", "mine"]);
    assert.deepEqual((await overHub(client, 200)).map(title), ["mine"]);
    await until("told", () => client.told.some(({ changed }) => changed.some((c) => c.kind === "revoked")) && unread(client) === 1);
  }
  assert.deepEqual((await ask(server, ann, "GET /v1/inbox")).items.map(title), ["mine"]);
  const old = await connect(server.url, ann, { query: "replay=all" });
  await hears(old, mine.position);
  assert.deepEqual(old.heard.map(title), ["mine"], "nor is it replayed");

  // Tokens say the second in which they were made: one of a later second counts.
  const second = Math.floor(Date.now() / 1000);
  await until("another second", () => Math.floor(Date.now() / 1000) > second);
  const promoted = await device(server.url, token(server.data, "ann", ["sales"]), "phone");
  const { position } = await emit({ recipient: "role/sales", title: "again" });
  await hears(promoted, position);
  assert.deepEqual((await overHub(promoted, 200)).map(title), ["again", "mine"], "from now on");
});

test("a node is the same after a kill when the newest event has expired meanwhile", async () => {
  const data = dir();
  let server = await start({ data, nats: "127.0.0.1:0" });
  const { root, ann } = tokens(data);
  const [, short] = await publish(server, root, [{ recipient: "user/ann", title: "stays" }, { recipient: "user/ann", title: "expires", ttl: 1 }]);
  const counts = () => ask(server, ann, "GET /v1/inbox/counts");
  await until("expired", async () => (await counts()).counts.unread === 1);
  const before = await counts();
  await dropped(server, short.position);
  await server.kill9();
  server = await start({ data, http: server.http });
  assert.equal((await ask(server, root, "GET /v1/explain?user=ann&id=none")).outcome, "unknown", "it has read all there is to read");
  assert.deepEqual((await counts()).counts, before.counts);
});
