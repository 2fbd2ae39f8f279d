// Why somebody has, or has not, got an event: every question of the guide, asked
// of a real server.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { bin, publish, startServer, token } from "../test/server.mjs";
import { ask, cleanUp, connect, dropped, eventually, hears, live, natsPublish, start, until } from "./client.mjs";

let server;
let root;
before(async () => {
  server = await startServer({ nats: "127.0.0.1:0" });
  root = token(server.data, "root", ["admin", "emitter"]);
});
after(() => server.stop());
afterEach(cleanUp);

const emit = (events) => publish(server, root, events);
const explain = (user, id) => ask(server, root, `GET /v1/explain?user=${user}&id=${encodeURIComponent(id)}`);
/** What became of the one event of an id that was stored. */
async function told(user, id) {
  const { outcome, events } = await explain(user, id);
  assert.deepEqual([outcome, events?.length], ["stored", 1], id);
  return events[0];
}
/** Whether a user was a recipient, and by what, or why not. */
async function recipient(user, id) {
  const { addressed, by, why } = await told(user, id);
  assert.equal(addressed, by !== undefined && why === undefined);
  return by ?? why;
}
const comes = async (user, roles, query, options) => {
  const client = await connect(server.url, token(server.data, user, roles), { query, ...options });
  await live(client);
  return client;
};
const member = (what, group, user) => ask(server, root, `${what} /v1/groups/${group}/members/${user}`);

/** A time that an explanation tells lies between two moments of this test. */
function between(from, time, to = Date.now()) {
  const t = Date.parse(time);
  assert.ok(t >= from && t <= to, `${time} is not between ${new Date(from).toISOString()} and ${new Date(to).toISOString()}`);
}

test("whether it was accepted", async () => {
  const shop = token(server.data, "shop", ["emitter"]);
  const begin = Date.now();
  await publish(server, shop, { id: "accepted", recipient: "user/ann" });
  assert.equal((await explain("ann", "accepted")).outcome, "stored");

  await assert.rejects(publish(server, shop, { id: "refused", recipient: "everyone" }), /403/);
  await eventually(async () => { // the audit is written soon
    const { outcome, reason, audit } = await explain("ann", "refused");
    assert.equal(outcome, "refused");
    assert.match(reason, /not allowed to emit to this recipient: everyone/);
    const [{ at, ...record }] = audit;
    between(begin, at);
    assert.deepEqual(record, { action: "refused", by: "shop", via: "http", hub: "notifications", recipient: "everyone", id: "refused", reason });
  });

  await assert.rejects(publish(server, shop, { id: "wrong", recipient: "user/ann", severity: "loud" }), /422/);
  for (const id of ["wrong", "never heard of"]) {
    const { outcome, reason, events } = await explain("ann", id);
    assert.deepEqual([outcome, events], ["unknown", undefined], id);
    assert.match(reason, /never accepted here/);
  }
});

test("why the log could not read it", async () => {
  await natsPublish(server.nats, "tidings.log.notifications.user.ann", '{"title":5}', { "Nats-Msg-Id": "broken" });
  await natsPublish(server.nats, "tidings.log.notifications.user.ann", '{"title":', { "Nats-Msg-Id": "no-json" });
  const { position } = await emit({ recipient: "user/ann" });
  for (const [id, place, why] of [["broken", position - 2, /title: want a string, got 5/], ["no-json", position - 1, /./]]) {
    await eventually(async () => {
      const { outcome, reason, rejections } = await explain("ann", id);
      assert.equal(outcome, "rejected");
      assert.match(reason, why);
      assert.deepEqual(rejections.map((r) => [r.position, r.reason]), [[place, reason]]);
    });
  }
});

test("whether it waits for its time, was canceled, or has come", async () => {
  const notBefore = new Date(Date.now() + 3600_000).toISOString();
  await emit([{ id: "waits", recipient: "user/ann", notBefore }, { id: "canceled", recipient: "user/ann", notBefore }]);
  const waits = await explain("ann", "waits");
  assert.deepEqual([waits.outcome, Date.parse(waits.scheduledFor), waits.events], ["scheduled", Date.parse(notBefore), undefined]);
  await ask(server, root, "DELETE /v1/notifications/canceled");
  await eventually(async () => {
    const { outcome, audit } = await explain("ann", "canceled");
    assert.equal(outcome, "canceled");
    assert.deepEqual(audit.map((r) => [r.action, r.by]), [["scheduled", "root"], ["canceled", "root"]]);
  });

  const due = Date.now() + 500;
  await emit({ id: "comes", recipient: "user/ann", notBefore: new Date(due).toISOString() });
  assert.equal((await explain("ann", "comes")).outcome, "scheduled");
  await eventually(async () => between(due, (await told("ann", "comes")).stored));
});

test("where and when it was stored, and what it is", async () => {
  const begin = Date.now();
  const { position } = await emit({ id: "stored", recipient: "user/ann", type: "order.shipped", severity: "warning", source: "/shop" });
  const { stored, ...rest } = await told("ann", "stored");
  between(begin, stored);
  assert.deepEqual(rest, {
    position, recipient: "user/ann", type: "order.shipped", severity: "warning", emitter: "root", source: "/shop",
    addressed: true, by: "user/ann", status: "unseen",
  });
});

test("whether the user was a recipient then, and by what", async () => {
  await member("PUT", "staff", "bea");
  const bea = await comes("bea", ["sales"], "device=laptop");
  await bea.connection.invoke("JoinGroup", "lunch");
  await emit([
    { id: "by-user", recipient: "user/bea" }, { id: "by-role", recipient: "role/sales" }, { id: "by-group", recipient: "group/staff" },
    { id: "by-device", recipient: "group/lunch" }, { id: "by-all", recipient: "everyone" },
  ]);
  assert.equal(await recipient("bea", "by-user"), "user/bea");
  assert.equal(await recipient("bea", "by-role"), "role/sales");
  assert.equal(await recipient("bea", "by-group"), "group/staff");
  assert.equal(await recipient("bea", "by-all"), "everyone");
  await eventually(async () => assert.equal(await recipient("bea", "by-device"), "group/lunch (joined by device laptop)"));

  // What has changed since then changes nothing.
  await member("DELETE", "staff", "bea");
  await ask(server, root, "DELETE /v1/users/bea/roles/sales");
  assert.equal(await recipient("bea", "by-group"), "group/staff");
  assert.equal(await recipient("bea", "by-role"), "role/sales");
});

test("why the user was no recipient then", async () => {
  await member("PUT", "staff", "cid");
  await member("DELETE", "staff", "cid");
  await emit([
    { id: "of-another", recipient: "user/dan" }, { id: "role-never", recipient: "role/board" }, { id: "role-later", recipient: "role/night" },
    { id: "group-left", recipient: "group/staff" }, { id: "group-later", recipient: "group/chess" },
  ]);
  await comes("cid", ["night"]);
  await member("PUT", "chess", "cid");
  assert.match(await recipient("cid", "of-another"), /for another user/);
  assert.match(await recipient("cid", "role-never"), /never come with the role board/);
  assert.match(await recipient("cid", "role-later"), /never come with the role night|role night for the first time after/);
  assert.match(await recipient("cid", "group-left"), /no member of staff/);
  assert.match(await recipient("cid", "group-later"), /member of chess after|no member of chess/);
  assert.equal(await recipient("dan", "of-another"), "user/dan", "who was one is told so");

  await emit([{ id: "role-now", recipient: "role/night" }, { id: "role-revoked", recipient: "role/night" }]);
  await ask(server, root, "DELETE /v1/users/cid/roles/night");
  await emit({ id: "role-gone", recipient: "role/night" });
  assert.equal(await recipient("cid", "role-now"), "role/night");
  assert.match(await recipient("cid", "role-gone"), /night had been taken back/);

  await ask(server, root, "PUT /v1/groups/shift/members/cid?ttl=1");
  await emit({ id: "term-before", recipient: "group/shift" });
  await until("the end of the membership", async () => !(await ask(server, root, "GET /v1/users/cid/groups")).groups.shift);
  await emit({ id: "term-after", recipient: "group/shift" });
  assert.equal(await recipient("cid", "term-before"), "group/shift");
  assert.match(await recipient("cid", "term-after"), /membership of shift had ended/);
});

test("whether it was muted, by what was set then", async () => {
  const eve = await comes("eve", [], "device=laptop");
  await eve.connection.invoke("Mute", { type: "order.*" });
  const [, , last] = await emit([
    { id: "muted", recipient: "user/eve", type: "order.new" }, { id: "too-important", recipient: "user/eve", type: "order.lost", severity: "critical" },
    { id: "of-another-type", recipient: "user/eve", type: "disk.full" },
  ]);
  await hears(eve, last.position);
  await eve.connection.invoke("Unmute", { type: "order.*" });
  assert.equal((await told("eve", "muted")).muted, "type order.*");
  for (const id of ["too-important", "of-another-type"]) assert.equal((await told("eve", id)).muted, undefined);
  await eventually(async () => {
    assert.deepEqual((await told("eve", "muted")).connections.map((c) => [c.device, c.connected, c.outcome]), [["laptop", true, "muted"]]);
    assert.deepEqual((await told("eve", "too-important")).connections.map((c) => c.outcome), ["sent"]);
  });
});

test("whether it was replaced, recalled or has expired", async () => {
  const begin = Date.now();
  const [old, young] = await emit([
    { id: "old", recipient: "user/fay", collapseKey: "k" }, { id: "young", recipient: "user/fay", collapseKey: "k" },
    { id: "oops", recipient: "user/fay" }, { id: "short", recipient: "user/fay", ttl: 1 },
  ]);
  assert.ok(old.position < young.position);
  assert.equal((await told("fay", "old")).collapsedInto, young.position);
  assert.equal((await told("fay", "young")).collapsedInto, undefined);

  const recall = await ask(server, root, "DELETE /v1/notifications/oops");
  assert.equal((await told("fay", "oops")).recalledBy, recall.position);
  await eventually(async () => assert.deepEqual((await explain("fay", "oops")).audit.map((r) => [r.action, r.by]), [["recalled", "root"]]));

  between(begin + 1000, (await told("fay", "short")).expiresAt, Date.now() + 1000);
  await eventually(async () => assert.equal((await told("fay", "short")).expired, true));
});

test("which connections and devices were sent it, and have acknowledged it", async () => {
  const begin = Date.now();
  const laptop = await comes("gus", [], "device=laptop");
  const tab = await comes("gus", [], "device=tab", { stateful: true });
  const plain = await comes("gus", []);
  const all = [laptop, tab, plain];
  const { position } = await emit({ id: "sent", recipient: "user/gus" });
  for (const client of all) await hears(client, position);
  const part = (client, device) => ({ connection: client.ids[0], ...(device && { device }), connected: true, outcome: "sent" });
  const parts = ({ connections = [] }) => connections.map(({ began, ended, node, transport, ...rest }) => {
    between(begin, began);
    assert.equal(transport, "WebSockets");
    return rest;
  });
  await eventually(async () => assert.deepEqual(parts(await told("gus", "sent")), [part(laptop, "laptop"), part(tab, "tab"), part(plain)]));

  // The laptop says so; of the tab the protocol itself does, within a second.
  await laptop.connection.invoke("Ack", laptop.heard[0].cursor);
  await eventually(async () => {
    const { devices, pending } = await told("gus", "sent");
    assert.deepEqual(devices.map((d) => [d.device, d.sent, d.acknowledged]), [["laptop", true, true], ["tab", true, true]]);
    for (const { acknowledgedBy } of devices) between(begin, acknowledgedBy);
    assert.equal(pending, undefined);
  });

  await Promise.all(all.map((client) => client.stop()));
  await eventually(async () => {
    const { connections } = await told("gus", "sent");
    for (const { ended } of connections) between(begin, ended);
    assert.deepEqual(connections.map((c) => [c.outcome, c.acknowledged ?? false]), [["sent", true], ["sent", true], ["sent", false]]);
  });
});

test("what a device that is away will hear, and that it has heard it", async () => {
  const first = await comes("hal", [], "device=phone");
  await first.stop();
  await eventually(async () => {
    const { connections } = await ask(server, root, "GET /v1/users/hal/export");
    assert.ok(connections.every((c) => c.ended), "its end is on record");
  });
  const { position } = await emit({ id: "missed", recipient: "user/hal" });
  await eventually(async () => {
    const away = await told("hal", "missed");
    assert.deepEqual(away.devices, [{ device: "phone", sent: false, acknowledged: false }]);
    assert.deepEqual(away.connections, undefined, "nothing was connected");
    assert.deepEqual(away.pending, ["device phone hears of it when it comes back"]);
  });

  const back = await comes("hal", [], "device=phone");
  await hears(back, position);
  await eventually(async () => {
    const { connections, devices, pending } = await told("hal", "missed");
    assert.deepEqual(connections.map((c) => [c.connection, c.device, c.connected, c.outcome]), [[back.ids[0], "phone", false, "sent"]]);
    assert.deepEqual(devices, [{ device: "phone", sent: true, acknowledged: false }]);
    assert.equal(pending, undefined);
  });
  await back.connection.invoke("Ack", back.heard[0].cursor);
  await eventually(async () => assert.equal((await told("hal", "missed")).devices[0].acknowledged, true));
});

test("when and on which device it was seen, read and put away", async () => {
  const laptop = await comes("ida", [], "device=laptop");
  const phone = await comes("ida", [], "device=phone");
  const begin = Date.now();
  const { position } = await emit({ id: "done", recipient: "user/ida" });
  await hears(laptop, position);
  await laptop.connection.invoke("MarkSeen", ["done"]);
  await phone.connection.invoke("MarkRead", [position]);
  await ask(server, token(server.data, "ida"), "POST /v1/inbox/unread", { ids: ["done"] });
  await ask(server, root, "POST /v1/users/ida/inbox/archive", { ids: ["done"] });
  await laptop.connection.invoke("Unarchive", ["done"]);
  await phone.connection.invoke("MarkAllRead", null);
  const { status, acts } = await told("ida", "done");
  assert.equal(status, "read");
  let last = begin;
  for (const { at } of acts) {
    between(last, at);
    last = Date.parse(at);
  }
  assert.deepEqual(acts.map(({ at, ...rest }) => rest), [
    { status: "seen", kind: "seen", device: "laptop" },
    { status: "read", kind: "read", device: "phone" },
    { status: "seen", kind: "unread" },
    { status: "archived", kind: "archived", by: "root" },
    { status: "seen", kind: "unarchived", device: "laptop" },
    { status: "read", kind: "allRead", device: "phone" },
  ]);
});

test("everybody may ask about their own, and about nothing else", async () => {
  await emit([{ id: "own", recipient: "user/jan" }, { id: "foreign", recipient: "user/kim" }]);
  const jan = token(server.data, "jan");
  const own = await ask(server, jan, "GET /v1/explain?id=own");
  assert.deepEqual([own.user, own.outcome, own.events[0].by, own.audit], ["jan", "stored", "user/jan", undefined]);
  assert.equal((await ask(server, jan, "GET /v1/explain?id=foreign")).outcome, "unknown", "what is for others is not there");
  await assert.rejects(ask(server, jan, "GET /v1/explain?user=kim&id=foreign"), { status: 403 });
  await assert.rejects(ask(server, "", "GET /v1/explain?id=own"), { status: 401 });
});

/** A server that can be killed and started again, as what explains. */
async function mortal() {
  const data = mkdtempSync(join(tmpdir(), "tidings-e2e-"));
  after(() => rmSync(data, { recursive: true, force: true }));
  const one = { data, server: await start({ data, nats: "127.0.0.1:0" }), root: token(data, "root", ["admin", "emitter"]), ann: token(data, "ann") };
  one.again = async () => {
    await one.server.kill9();
    one.server = await start({ data, http: one.server.http });
  };
  one.explain = (id) => ask(one.server, one.root, `GET /v1/explain?user=ann&id=${id}`);
  return one;
}

test("after a kill it tells what was acknowledged, and makes up nothing about who was connected", async () => {
  const one = await mortal();
  const laptop = await connect(one.server.url, one.ann, { query: "device=laptop" });
  const tab = await connect(one.server.url, one.ann, { query: "device=tab", delays: Array(1000).fill(20) });
  await Promise.all([live(laptop), live(tab)]);
  const { position } = await publish(one.server, one.root, { id: "before", recipient: "user/ann" });
  await Promise.all([hears(laptop, position), hears(tab, position)]);
  await laptop.connection.invoke("Ack", laptop.heard[0].cursor);
  await laptop.stop(); // what its device has is written then
  const parts = async (id) => (await one.explain(id)).events[0].connections.map((c) => [c.device, c.connection, c.connected, c.outcome, c.acknowledged ?? false]);
  const left = ["laptop", laptop.ids[0], true, "sent", true];
  await eventually(async () => assert.deepEqual(await parts("before"), [left, ["tab", tab.ids[0], true, "sent", false]]));

  await one.again();
  await until("connected again", () => tab.ids.length === 2);
  assert.deepEqual((await parts("before")).slice(0, 2), [left, ["tab", tab.ids[0], true, "unknown", false]]);
  const [{ devices }] = (await one.explain("before")).events;
  assert.deepEqual([devices[0].device, devices[0].sent, devices[0].acknowledged], ["laptop", true, true]);

  const { position: next } = await publish(one.server, one.root, { id: "after", recipient: "user/ann" });
  await hears(tab, next);
  await eventually(async () => assert.deepEqual((await parts("after")).filter(([, , , outcome]) => outcome !== "unknown"), [["tab", tab.ids[1], true, "sent", false]], "and nothing is made up of a connection that died with its node"));
});

test("of what has expired and left the log it does not say that it was never accepted", async () => {
  const one = await mortal();
  const [{ position }] = await publish(one.server, one.root, [{ id: "short", recipient: "user/ann", ttl: 1 }, { recipient: "user/ann" }]);
  await eventually(async () => assert.equal((await one.explain("short")).events[0].expired, true));
  await dropped(one.server, position);
  await one.again();
  const { outcome, reason } = await one.explain("short");
  assert.equal(outcome, "unknown");
  assert.match(reason, /does not hold it any more|left the retention/);
});

test("the command line tells the same", async () => {
  const lea = await comes("lea", [], "device=laptop");
  const { position } = await emit({ id: "asked", recipient: "user/lea", type: "order.shipped" });
  await hears(lea, position);
  await lea.connection.invoke("MarkRead", ["asked"]);
  await eventually(async () => assert.equal((await told("lea", "asked")).connections?.[0].outcome, "sent"));
  const run = (...args) => execFileSync(bin, ["explain", "--user", "lea", "--id", "asked", "--url", server.url, ...args], {
    encoding: "utf8", env: { PATH: process.env.PATH, TIDINGS_TOKEN: root },
  });
  const text = run();
  for (const part of [
    /^asked for user lea in hub notifications: stored$/m,
    new RegExp(`^stored at \\S+, position ${position}, for user/lea \\(order.shipped, info\\)$`, "m"),
    /^ {2}the user was a recipient as user\/lea; it is read$/m,
    new RegExp(`^ {2}connection ${lea.ids[0]} of device laptop, \\S+ to …: sent$`, "m"),
    /^ {2}device laptop: sent/m,
    /^ {2}read at \S+ on device laptop$/m,
  ]) assert.match(text, part);
  assert.deepEqual(JSON.parse(run("--json")), await explain("lea", "asked"));
});
