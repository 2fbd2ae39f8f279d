// Who hears what: the stock client, every kind of recipient, every door.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, afterEach, before, test } from "node:test";
import { bin, publish, startServer, token } from "../test/server.mjs";
import { cleanUp, connect, hears, live, natsPublish, start, until } from "./client.mjs";

let server;
let emitter;
before(async () => {
  server = await startServer({ nats: "127.0.0.1:0" });
  emitter = token(server.data, "shop", ["emitter", "admin"]);
});
after(() => server.stop());
afterEach(cleanUp);

test("each recipient reaches those it names, on every device, and only them", async () => {
  const who = {
    ann1: await connect(server.url, token(server.data, "ann", ["sales"])),
    ann2: await connect(server.url, token(server.data, "ann", ["sales"]), { skip: true }),
    bob: await connect(server.url, token(server.data, "bob", ["ops", "sales"])),
    zoe: await connect(server.url, token(server.data, "zoe")),
  };
  await Promise.all(Object.values(who).map(live));
  await who.zoe.connection.invoke("JoinGroup", "news/1 x");
  const [personal, role, group, everyone] = await publish(server, emitter, [
    { recipient: "user/ann", title: "personal", data: { n: 1, html: "<b>&amp;</b>", nested: [null, true] }, severity: "critical", link: "/orders/1" },
    { recipient: "role/sales", title: "role" },
    { recipient: "group/news/1 x", title: "group" },
    { recipient: "everyone", title: "everyone" },
  ]);
  await Promise.all(Object.values(who).map((client) => hears(client, everyone.position)));
  const titles = (client) => client.heard.map((n) => n.title);
  assert.deepEqual(titles(who.ann1), ["personal", "role", "everyone"]);
  assert.deepEqual(titles(who.ann2), ["personal", "role", "everyone"]);
  assert.deepEqual(titles(who.bob), ["role", "everyone"]);
  assert.deepEqual(titles(who.zoe), ["group", "everyone"]);
  assert.deepEqual(who.ann1.positions(), [personal.position, role.position, everyone.position]);
  assert.equal(who.zoe.heard[0].recipient, "group/news/1 x");
  assert.equal(who.zoe.heard[0].position, group.position);
  const { cursor, createdAt, traceparent, ...first } = who.ann1.heard[0];
  assert.deepEqual(first, {
    id: personal.id, position: personal.position, recipient: "user/ann", type: "notification", severity: "critical",
    title: "personal", data: { n: 1, html: "<b>&amp;</b>", nested: [null, true] }, link: "/orders/1",
  });
  assert.ok(cursor && !Number.isNaN(Date.parse(createdAt)), "a cursor and a time");

  await who.zoe.connection.invoke("LeaveGroup", "news/1 x");
  await publish(server, emitter, { recipient: "group/news/1 x", title: "left" });
  const { position: last } = await publish(server, emitter, { recipient: "everyone", title: "last" });
  await hears(who.zoe, last);
  assert.deepEqual(titles(who.zoe), ["group", "everyone", "last"]);
  await Promise.all(Object.values(who).map((client) => client.stop()));
});

test("hub methods emit for those who may, and say so to those who may not", async () => {
  const ann = await connect(server.url, token(server.data, "ann", ["emitter"]));
  const bob = await connect(server.url, token(server.data, "bob", ["ops"]));
  const root = await connect(server.url, token(server.data, "root", ["admin"]));
  await Promise.all([ann, bob, root].map(live));
  await bob.connection.invoke("JoinGroup", "g");
  const positions = [
    await ann.connection.invoke("SendPersonalNotification", "bob", "a string is a body"),
    await ann.connection.invoke("broadcastToRole", "ops", { title: "to the role", severity: "warning" }),
    await ann.connection.invoke("BroadcastToGroup", "g", { title: "to the group" }),
    await root.connection.invoke("BroadcastToAll", { title: "to all", type: "system.notice" }),
    await bob.connection.invoke("SendToSelf", { body: "to self" }),
  ];
  await hears(bob, positions.at(-1));
  assert.deepEqual(bob.positions(), positions);
  assert.equal(bob.heard[0].body, "a string is a body");
  for (const [client, method, ...args] of [
    [bob, "SendPersonalNotification", "ann", "x"], [bob, "BroadcastToRole", "ops", "x"], [bob, "BroadcastToGroup", "g", "x"],
    [bob, "BroadcastToAll", "x"], [ann, "BroadcastToAll", "x"],
  ]) {
    await assert.rejects(client.connection.invoke(method, ...args), { message: `Failed to invoke '${method}' because user is unauthorized` });
  }
  await assert.rejects(ann.connection.invoke("Nonsense"), /Failed to invoke 'Nonsense' due to an error on the server. HubException: Method does not exist./);
  await assert.rejects(ann.connection.invoke("SendPersonalNotification", "bob"), /Failed to invoke 'SendPersonalNotification' due to an error on the server./);
  await assert.rejects(ann.connection.invoke("SendToSelf", { titel: "x" }), /HubException: invalid event: titel: no such field; did you mean "title"\?/);
  await Promise.all([ann, bob, root].map((client) => client.stop()));
});

test("who has no good token is told before any upgrade", async () => {
  for (const [name, bad] of [
    ["none", ""],
    ["garbage", "garbage"],
    ["expired", execFileSync(bin, ["token", "--data", server.data, "--user", "ann", "--ttl", "1ns"], { encoding: "utf8" }).trim()],
    ["of another secret", execFileSync(bin, ["token", "--secret", "x".repeat(32), "--user", "ann"], { encoding: "utf8" }).trim()],
  ]) {
    await assert.rejects(connect(server.url, bad), /Status code '401'/, name);
    await assert.rejects(connect(server.url, bad, { skip: true }), Error, name);
    const response = await fetch(`${server.url}/hubs/notifications/negotiate?negotiateVersion=1`, {
      method: "POST", headers: bad ? { Authorization: `Bearer ${bad}` } : {},
    });
    assert.equal(response.status, 401, name);
    assert.match(response.headers.get("www-authenticate"), bad ? /^Bearer realm="tidings", error="invalid_token", error_description="[a-z ]+"$/ : /^Bearer realm="tidings"$/, name);
  }
});

test("every door reaches the right browsers, and only them", async () => {
  const ann = await connect(server.url, token(server.data, "ann@example.com"));
  const bob = await connect(server.url, token(server.data, "bob"));
  await Promise.all([ann, bob].map(live));
  const subject = execFileSync(bin, ["subject", "user", "ann@example.com"], { encoding: "utf8" }).trim();
  assert.equal(subject, "tidings.log.notifications.user.ann=40example=2Ecom");
  await natsPublish(server.nats, subject, '{"title":"nats pub"}');
  await natsPublish(server.nats, subject, '{"temperature":21.5}');
  await natsPublish(server.nats, subject, "{broken");
  await natsPublish(server.nats, subject, "21.5", {
    "ce-specversion": "1.0", "ce-id": "ce1", "ce-source": "/sensors", "ce-type": "temperature.read", "ce-title": "CloudEvent",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  });
  const cli = (...args) => JSON.parse(execFileSync(bin, ["publish", "--to", "user/ann@example.com", ...args], { encoding: "utf8" }));
  cli("--title", "CLI over NATS", "--nats", `nats://${server.nats}`);
  cli("--title", "CLI over HTTP", "--data-json", '{"a":[1]}', "--url", server.url, "--token", emitter);
  const curl = execFileSync("curl", [
    "-sS", `${server.url}/v1/notifications`, "-H", `Authorization: Bearer ${emitter}`, "-d", '{"recipient":"user/ann@example.com","title":"curl"}',
  ], { encoding: "utf8" });
  await hears(ann, JSON.parse(curl).position);
  assert.deepEqual(ann.heard.map((n) => n.title ?? n.data), [
    "nats pub", { temperature: 21.5 }, "CloudEvent", "CLI over NATS", "CLI over HTTP", "curl",
  ]);
  const cloud = ann.heard[2];
  assert.deepEqual([cloud.id, cloud.source, cloud.type, cloud.data], ["ce1", "/sensors", "temperature.read", 21.5]);
  assert.match(cloud.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-/);
  assert.deepEqual(bob.heard, []);
  await until("counted as rejected", async () => /notify_log_rejected_total 1\b/.test(await (await fetch(`http://${server.ops}/metrics`)).text()));
  await Promise.all([ann.stop(), bob.stop()]);
});

test("an idempotency key stores once, an id too, and an array is answered event by event", async () => {
  const post = (body, headers = {}) => fetch(`${server.url}/v1/notifications`, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", Authorization: `Bearer ${emitter}`, ...headers },
  });
  const once = await (await post({ recipient: "user/ann" }, { "Idempotency-Key": "k1" })).json();
  const again = await (await post({ recipient: "user/ann" }, { "Idempotency-Key": "k1" })).json();
  assert.deepEqual(again, { ...once, duplicate: true });
  const [a, b] = await (await post([{ recipient: "user/ann", id: "x1" }, { recipient: "user/ann", id: "x1" }])).json();
  assert.deepEqual(b, { ...a, duplicate: true });
  const bad = await post([{ recipient: "user/ann" }, { recipient: "user/ann", severity: "loud" }]);
  assert.equal(bad.status, 422);
  assert.equal(bad.headers.get("content-type"), "application/problem+json");
  const problem = await bad.json();
  assert.deepEqual(problem.errors, [{ field: "severity", index: 1, detail: 'want info, success, warning or critical, got "loud"' }]);
});

test("the live hub throttles metrics and keeps the latest", async () => {
  const ann = await connect(server.url, token(server.data, "ann"), { hub: "analytics" });
  const bob = await connect(server.url, token(server.data, "bob"), { hub: "analytics" });
  const joined = [];
  const values = [];
  ann.connection.on("UserJoined", (id) => joined.push(id));
  bob.connection.on("ReceiveMetric", (m) => m.name === "load" && values.push(m));
  await ann.connection.invoke("JoinDashboard", "main");
  await bob.connection.invoke("JoinDashboard", "main");
  await until("both seen to join", () => joined.length === 2);
  for (let i = 1; i <= 200; i++) await ann.connection.invoke("SendMetric", "load", i);
  await until("the latest value heard", () => values.at(-1)?.value === 200);
  assert.ok(values.length < 100, `200 values in a row became ${values.length}`);
  assert.ok(!Number.isNaN(Date.parse(values[0].timestamp)));
  await Promise.all([ann.stop(), bob.stop()]);
});

test("no token and no payload reaches the log or the metrics", async () => {
  const quiet = await start({ nats: "127.0.0.1:0", args: ["--log-level", "debug"] });
  const ann = token(quiet.data, "ann", ["emitter"]);
  const secret = "the-text-of-an-alert";
  const client = await connect(quiet.url, ann);
  await live(client);
  await client.connection.invoke("SendToSelf", { title: secret, data: { secret } });
  await publish(quiet, ann, { recipient: "user/ann", title: secret });
  await natsPublish(quiet.nats, "tidings.log.notifications.user.ann", `{broken ${secret}`);
  await assert.rejects(client.connection.invoke("SendToSelf", { [secret]: 1 }));
  await assert.rejects(client.connection.invoke(secret));
  await assert.rejects(connect(quiet.url, `${ann}x`));
  await fetch(`${quiet.url}/hubs/notifications?id=none&access_token=${ann}`, { headers: { Accept: "text/event-stream" } });
  await fetch(`${quiet.url}/v1/notifications?access_token=${ann}`, { method: "POST", body: `{"${secret}"`, headers: { Authorization: `Bearer ${ann}` } });
  await client.stop();
  const metrics = await until("counted", async () => {
    const text = await (await fetch(`http://${quiet.ops}/metrics`)).text();
    return /notify_log_rejected_total 1\b/.test(text) && text;
  });
  await quiet.stop();
  for (const text of [quiet.log(), metrics]) {
    assert.ok(!text.includes(ann) && !text.includes(ann.split(".")[2]), "a token");
    assert.ok(!text.includes(secret), `a payload: ${text.split("\n").find((line) => line.includes(secret))}`);
  }
});
