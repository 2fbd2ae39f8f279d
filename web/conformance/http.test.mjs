// §6 HTTP statuses, with the texts of the official server, in every situation
// of the three transports.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { becomes, connect } from "./matrix.mjs";
import { ask, attach, endAll, forget, negotiate, Peer, post, upgrade } from "./raw.mjs";
import { MAIN, startConformance } from "./server.mjs";

let server;
let watcher;
let hub;
before(async () => {
  server = await startConformance();
  hub = server.url + MAIN;
  watcher = await connect(server);
});
after(async () => {
  await endAll();
  assert.equal(await server.stop(), 0, server.log());
});

const SSE = { Accept: "text/event-stream" };
const NO_ID = [400, "Connection ID required"];
const UNKNOWN = [404, "No Connection with that ID"];
const CHANGED = [400, "Cannot change transports mid-connection"];
const hello = '{"protocol":"json","version":1}\x1e';

/** Status and text of a refusal, which is text/plain when there is a text. */
async function refusal(response) {
  const { status, text, headers } = await response;
  if (text) assert.match(headers["content-type"] ?? "", /^text\/plain\b/);
  return [status, text];
}

async function tokenOf() {
  const { connectionToken } = await negotiate(server);
  forget(`${hub}?id=${connectionToken}`);
  return connectionToken;
}

describe("id missing", { concurrency: 8 }, () => {
  for (const [name, send] of [
    ["poll", () => ask(hub)], ["Server-Sent Events", () => ask(hub, { headers: SSE })], ["POST", () => post(hub, { body: "x" })], ["DELETE", () => ask(hub, { method: "DELETE" })],
    ["an empty id", () => ask(`${hub}?id=`)],
  ]) {
    test(`400 Connection ID required: ${name}`, async () => assert.deepEqual(await refusal(send()), NO_ID));
  }
});

describe("id unknown", { concurrency: 8 }, () => {
  const unknown = (what) => {
    test(`404 No Connection with that ID: poll, ${what.name}`, async () => assert.deepEqual(await refusal(ask(`${hub}?id=${await what.id()}`)), UNKNOWN));
    test(`404: Server-Sent Events, ${what.name}`, async () => assert.deepEqual(await refusal(ask(`${hub}?id=${await what.id()}`, { headers: SSE })), UNKNOWN));
    test(`404: POST, ${what.name}`, async () => assert.deepEqual(await refusal(post(`${hub}?id=${await what.id()}`, { body: hello })), UNKNOWN));
    test(`404: DELETE, ${what.name}`, async () => assert.deepEqual(await refusal(ask(`${hub}?id=${await what.id()}`, { method: "DELETE" })), UNKNOWN));
    test(`404 as the answer to the upgrade: WebSocket, ${what.name}`, async () => assert.equal((await upgrade(`${hub}?id=${await what.id()}`)).status, 404));
  };
  unknown({ name: "never negotiated", id: async () => "AAAAAAAAAAAAAAAAAAAAAA" });
  unknown({ name: "the id in place of the token", id: async () => (await negotiate(server)).connectionId });
  unknown({
    name: "the id of a connection that is live",
    id: async () => {
      const peer = await Peer.open(server);
      await peer.welcome();
      return peer.id;
    },
  });
  unknown({
    name: "a connection that has ended",
    id: async () => {
      const peer = await Peer.open(server);
      await peer.welcome();
      await peer.send({ type: 7 });
      await peer.ended;
      await becomes(watcher, peer.id, "closed");
      return new URL(peer.url).searchParams.get("id");
    },
  });
});

describe("WebSockets", { concurrency: 8 }, () => {
  test("409, empty: a second WebSocket, and the first one lives", async () => {
    const peer = await Peer.open(server);
    const { status, text } = await upgrade(peer.url);
    assert.deepEqual([status, text], [409, ""]);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });

  test("405 for POST", async () => {
    const peer = await Peer.open(server);
    assert.deepEqual(await refusal(post(peer.url, { body: hello })), [405, "POST requests are not allowed for WebSocket connections."]);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });

  test("400 for DELETE", async () => {
    const peer = await Peer.open(server);
    assert.deepEqual(await refusal(ask(peer.url, { method: "DELETE" })), [400, "Cannot terminate this connection using the DELETE endpoint."]);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });

  test("400 for changing transport: a poll, an event stream", async () => {
    const peer = await Peer.open(server);
    assert.deepEqual(await refusal(ask(peer.url)), CHANGED);
    assert.deepEqual(await refusal(ask(peer.url, { headers: SSE })), CHANGED);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });

  test("a token is good for one connection: 404 or 409 once it was used and the socket broke", async () => {
    const peer = await Peer.open(server);
    await peer.welcome();
    peer.wire.reset();
    await becomes(watcher, peer.id, "failed");
    assert.equal((await upgrade(peer.url)).status, 404);
  });
});

describe("Server-Sent Events", { concurrency: 8 }, () => {
  test("the answer: type, no caching, no transformation, and a comment before anything else", async () => {
    const id = await tokenOf();
    const response = await new Promise((resolve, reject) => {
      request(`${hub}?id=${id}`, { agent: false, headers: SSE }, resolve).once("error", reject).end();
    });
    assert.equal(response.statusCode, 200);
    assert.match(response.headers["content-type"], /^text\/event-stream\b/);
    assert.match(response.headers["cache-control"], /no-cache/);
    assert.match(response.headers["content-encoding"] ?? "identity", /^identity$/);
    const first = await new Promise((resolve) => response.once("data", resolve));
    assert.match(first.toString(), /^:.*\r?\n/);
    response.destroy();
  });

  test("POST is the other half: 200, also in parts", async () => {
    const peer = await Peer.open(server, { transport: "ServerSentEvents" });
    const record = '{"type":1,"invocationId":"1","target":"Add","arguments":[1,2]}\x1e';
    for (const part of [record.slice(0, 20), record.slice(20)]) assert.equal((await post(peer.url, { body: part })).status, 200);
    assert.equal((await peer.completion("1")).result, 3);
    peer.wire.reset();
  });

  test("409: a second event stream, and the first one lives", async () => {
    const peer = await Peer.open(server, { transport: "ServerSentEvents" });
    const { status, text } = await ask(peer.url, { headers: SSE });
    assert.deepEqual([status, text], [409, ""]);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });

  test("400 for DELETE", async () => {
    const peer = await Peer.open(server, { transport: "ServerSentEvents" });
    assert.deepEqual(await refusal(ask(peer.url, { method: "DELETE" })), [400, "Cannot terminate this connection using the DELETE endpoint."]);
    peer.wire.reset();
  });

  test("400 for changing transport: a poll, a WebSocket", async () => {
    const peer = await Peer.open(server, { transport: "ServerSentEvents" });
    assert.deepEqual(await refusal(ask(peer.url)), CHANGED);
    assert.deepEqual(await refusal(upgrade(peer.url)), CHANGED);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3);
    peer.wire.reset();
  });

  test("the end of the stream ends the connection: POST is 404", async () => {
    const peer = await Peer.open(server, { transport: "ServerSentEvents" });
    await peer.welcome();
    peer.wire.reset();
    await becomes(watcher, peer.id, ["closed", "failed"]);
    assert.deepEqual(await refusal(post(peer.url, { body: "x" })), UNKNOWN);
  });

  test("other values of Accept beside it", async () => {
    const wire = await attach("ServerSentEvents", `${hub}?id=${await tokenOf()}`, { headers: { Accept: "text/html, text/event-stream;q=0.9" } });
    assert.match(wire.headers["content-type"], /^text\/event-stream\b/);
    wire.reset();
  });
});

/** A connection over long polling whose polls the test makes: shaken hands, Welcome taken. */
async function polled() {
  const { connectionToken, connectionId } = await negotiate(server);
  const url = `${hub}?id=${connectionToken}`;
  forget(url);
  const first = await ask(url);
  assert.deepEqual([first.status, first.text], [200, ""], "the first poll is empty");
  assert.equal((await post(url, { body: hello })).status, 200);
  for (let text = ""; !text.includes('"Welcome"');) text += (await ask(url)).text;
  return { url, id: connectionId };
}

const invoke = (url, id, target, ...args) => post(url, { body: `${JSON.stringify({ type: 1, invocationId: id, target, arguments: args })}\x1e` });

describe("long polling", { concurrency: 30 }, () => {
  test("the first poll: 200, empty, at once", async () => {
    const began = performance.now();
    const first = await ask(`${hub}?id=${await tokenOf()}`);
    assert.deepEqual([first.status, first.body.length], [200, 0]);
    assert.ok(performance.now() - began < 2000);
  });

  test("data: 200, application/octet-stream, not to be cached", async () => {
    const { url } = await polled();
    await invoke(url, "1", "Add", 1, 2);
    const { status, text, headers } = await ask(url);
    assert.equal(status, 200);
    assert.match(headers["content-type"], /^application\/octet-stream\b/);
    assert.match(headers["cache-control"] ?? "", /no-cache|no-store/);
    assert.deepEqual(JSON.parse(text.slice(0, -1)).result, 3);
  });

  test("a poll waits for data", async () => {
    const { url } = await polled();
    const poll = ask(url);
    await invoke(url, "1", "Sleep", 300);
    assert.equal(JSON.parse((await poll).text.slice(0, -1)).result, 300);
  });

  test("a poll without data: 200, empty, after three seconds; the connection lives", async () => {
    const { url } = await polled();
    const began = performance.now();
    const { status, text } = await ask(url);
    const took = performance.now() - began;
    assert.deepEqual([status, text], [200, ""]);
    assert.ok(took > 2500 && took < 6000, `after ${Math.round(took)} ms, of 3000`);
    const again = ask(url);
    await invoke(url, "1", "Add", 1, 2);
    assert.match((await again).text, /"result":3/);
  });

  test("no pings: nothing but timeouts comes to an idle client", async () => {
    const { url } = await polled();
    assert.equal((await ask(url)).text, "");
    assert.equal((await ask(url)).text, "");
  });

  test("a newer poll takes the place of the older, which ends with 204; the connection lives", async () => {
    const { url } = await polled();
    const older = ask(url);
    await new Promise((resolve) => setTimeout(resolve, 100)); // so that it is the older
    const newer = ask(url);
    const { status, text } = await older;
    assert.deepEqual([status, text], [204, ""]);
    await invoke(url, "1", "Add", 1, 2);
    assert.match((await newer).text, /"result":3/);
  });

  test("polls displace each other many times, and nothing is lost", async () => {
    const { url } = await polled();
    const texts = [];
    const polls = [];
    for (let i = 0; i < 20; i++) {
      polls.push(ask(url).then(({ status, text }) => {
        assert.ok(status === 204 || status === 200, String(status));
        texts.push(text);
      }));
      await invoke(url, String(i), "Add", i, 0);
    }
    const results = () => texts.join("").split("\x1e").filter(Boolean).map((text) => JSON.parse(text).result);
    while (results().length < 20) {
      const { status, text } = await ask(url);
      assert.equal(status, 200);
      texts.push(text);
    }
    await Promise.all(polls);
    assert.deepEqual(results().sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i));
  });

  test("202 for DELETE: the pending poll ends with 204, and later requests are 404", async () => {
    const { url, id } = await polled();
    const poll = ask(url);
    await new Promise((resolve) => setTimeout(resolve, 100)); // so that it is pending
    const { status, text } = await ask(url, { method: "DELETE" });
    assert.deepEqual([status, text], [202, ""]);
    let pending = await poll;
    if (pending.status === 200) {
      assert.equal(JSON.parse(pending.text.slice(0, -1)).type, 7, "a last Close");
      pending = await ask(url);
    }
    assert.ok([204, 404].includes(pending.status), String(pending.status));
    await becomes(watcher, id, "closed");
    assert.deepEqual(await refusal(ask(url)), UNKNOWN);
    assert.deepEqual(await refusal(post(url, { body: "x" })), UNKNOWN);
    assert.deepEqual(await refusal(ask(url, { method: "DELETE" })), UNKNOWN);
  });

  test("202 for DELETE without a pending poll", async () => {
    const { url, id } = await polled();
    assert.equal((await ask(url, { method: "DELETE" })).status, 202);
    await becomes(watcher, id, "closed");
  });

  test("204 ends polling after the server has ended the connection", async () => {
    const { url } = await polled();
    await invoke(url, "1", "CloseMe", "bye", false);
    const texts = [];
    let last;
    do {
      last = await ask(url);
      texts.push(last.text);
    } while (last.status === 200);
    assert.equal(last.status, 204);
    assert.match(texts.join(""), /"error":"bye"/);
    assert.deepEqual(await refusal(ask(url)), UNKNOWN);
  });

  test("400 for changing transport: an event stream, a WebSocket", async () => {
    const { url } = await polled();
    assert.deepEqual(await refusal(ask(url, { headers: SSE })), CHANGED);
    assert.deepEqual(await refusal(upgrade(url)), CHANGED);
    await invoke(url, "1", "Add", 1, 2);
    assert.match((await ask(url)).text, /"result":3/);
  });

  test("POST: 200, whatever its content type", async () => {
    const { url } = await polled();
    for (const [i, type] of ["text/plain;charset=UTF-8", "application/octet-stream", undefined].entries()) {
      const response = await post(url, { body: `{"type":1,"invocationId":"${i}","target":"Add","arguments":[1,2]}\x1e`, headers: type ? { "Content-Type": type } : {} });
      assert.equal(response.status, 200);
    }
    let text = "";
    while (text.split("\x1e").length < 4) text += (await ask(url)).text;
    assert.equal(text.match(/"result":3/g).length, 3);
  });

  test("POST of nothing", async () => {
    const { url } = await polled();
    assert.equal((await post(url)).status, 200);
    await invoke(url, "1", "Add", 1, 2);
    assert.match((await ask(url)).text, /"result":3/);
  });

  test("query values that nobody knows are ignored", async () => {
    const { url } = await polled();
    await post(`${url}&tenant=7`, { body: '{"type":1,"invocationId":"1","target":"Add","arguments":[1,2]}\x1e' });
    assert.match((await ask(`${url}&_=${Date.now()}`)).text, /"result":3/);
  });

  test("the disconnect timeout: without a poll for five seconds it is over", async () => {
    const { url, id } = await polled();
    const began = performance.now();
    assert.equal(await watcher.invoke("ConnectionState", id), "connected");
    await becomes(watcher, id, ["closed", "failed"]);
    const took = performance.now() - began;
    assert.ok(took > 4000 && took < 12_000, `after ${Math.round(took)} ms, of 5000`);
    assert.deepEqual(await refusal(ask(url)), UNKNOWN);
  });

  test("a client that polls now and then lives on, though it never pings", async () => {
    const { url } = await polled();
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2500)); // half the disconnect timeout
      await invoke(url, String(i), "Add", 1, 2);
      assert.match((await ask(url)).text, /"result":3/);
    }
  });

  test("a negotiated connection waits for its transport for the disconnect timeout, and is gone then", async () => {
    const [early, late] = await Promise.all([tokenOf(), tokenOf()]);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assert.equal((await ask(`${hub}?id=${early}`)).status, 200);
    await new Promise((resolve) => setTimeout(resolve, 6000));
    assert.deepEqual(await refusal(ask(`${hub}?id=${late}`)), UNKNOWN);
  });

  test("names of query values are matched without regard to case", async () => {
    assert.equal((await ask(`${hub}?ID=${await tokenOf()}`)).status, 200);
  });
});
