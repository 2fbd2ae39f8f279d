// §1 and §2: the endpoints, what negotiate answers, and where redirection leads.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connect, everywhere } from "./matrix.mjs";
import { ask, attach, negotiate, Peer, post, upgrade } from "./raw.mjs";
import { MAIN, REDIRECT } from "./server.mjs";
import { server } from "./suite.mjs";

const transports = [
  { transport: "WebSockets", transferFormats: ["Text", "Binary"] },
  { transport: "ServerSentEvents", transferFormats: ["Text"] },
  { transport: "LongPolling", transferFormats: ["Text", "Binary"] },
];

describe("negotiate", { concurrency: 8 }, () => {
  test("version 1: an id, a token that is another, and the transports in order", async () => {
    const response = await post(`${server.url}${MAIN}/negotiate?negotiateVersion=1`);
    assert.equal(response.status, 200);
    assert.match(response.headers["content-type"], /^application\/json\b/);
    assert.equal(response.headers["content-length"], String(response.body.length));
    const { connectionId, connectionToken, ...rest } = JSON.parse(response.text);
    assert.deepEqual(rest, { negotiateVersion: 1, availableTransports: transports });
    assert.match(connectionId, /^[\w-]{22}$/);
    assert.match(connectionToken, /^[\w-]{22}$/);
    assert.notEqual(connectionId, connectionToken);
  });

  for (const query of ["", "negotiateVersion=0"]) {
    test(`version 0 (?${query}): no token, the id is the key`, async () => {
      const { connectionId, ...rest } = await negotiate(server, { query });
      assert.deepEqual(rest, { negotiateVersion: 0, availableTransports: transports });
      const wire = await attach("LongPolling", `${server.url}${MAIN}?id=${connectionId}`);
      assert.equal(wire.status, 200);
      wire.reset();
    });
  }

  for (const asked of ["2", "99"]) {
    test(`version ${asked} is answered with version 1`, async () => {
      const answer = await negotiate(server, { query: `negotiateVersion=${asked}` });
      assert.equal(answer.negotiateVersion, 1);
      assert.ok(answer.connectionToken);
    });
  }

  test("version -1 is refused with status 200 and a text", async () => {
    assert.deepEqual(await negotiate(server, { query: "negotiateVersion=-1" }), {
      error: "The client requested version '-1', but the server does not support this version.",
    });
  });

  test("version x is refused with status 200 and a text", async () => {
    const { error, ...rest } = await negotiate(server, { query: "negotiateVersion=x" });
    assert.match(error, /^The client requested (a non-integer protocol version\.|an invalid protocol version 'x')$/);
    assert.deepEqual(rest, {});
  });

  test("stateful reconnect is granted to those who ask for it, and to nobody else", async () => {
    const granted = async (query) => (await negotiate(server, { query })).useStatefulReconnect;
    assert.equal(await granted("negotiateVersion=1&useStatefulReconnect=true"), true);
    assert.equal(await granted("negotiateVersion=1"), undefined);
    assert.equal(await granted("negotiateVersion=1&useStatefulReconnect=false"), undefined);
  });

  test("no id and no token comes twice", async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => negotiate(server)));
    assert.equal(new Set(all.flatMap((n) => [n.connectionId, n.connectionToken])).size, 100);
  });

  test("unknown query values are ignored, and names are matched without regard to case", async () => {
    const answer = await negotiate(server, { query: "tenant=7&NegotiateVersion=1&_=123" });
    assert.equal(answer.negotiateVersion, 1);
  });

  test("a body is no obstacle", async () => {
    const response = await post(`${server.url}${MAIN}/negotiate?negotiateVersion=1`, { body: "x".repeat(100) });
    assert.equal(response.status, 200);
  });

  test("other methods are 405", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const { status } = await ask(`${server.url}${MAIN}/negotiate?negotiateVersion=1`, { method });
      assert.equal(status, 405, method);
    }
    for (const method of ["PUT", "PATCH"]) {
      assert.equal((await ask(`${server.url}${MAIN}?id=x`, { method })).status, 405, method);
    }
  });
});

describe("the main hub is anonymous, over all transports and both encodings", { concurrency: 5 }, () => {
  everywhere("Transport() is the one that was asked for", async (cell) => {
    const client = await connect(server, cell);
    assert.equal(await client.invoke("Transport"), cell.transport);
    assert.equal(await client.invoke("PresentedToken"), null);
    await client.stop();
  });

  test("a client that may choose takes WebSockets", async () => {
    const client = await connect(server, { transport: "None", encoding: "json" });
    assert.equal(await client.invoke("Transport"), "WebSockets");
    await client.stop();
  });

  test("the negotiation can be skipped with WebSockets, by the stock client", async () => {
    const client = await connect(server, undefined, { more: { skipNegotiation: true } });
    assert.equal(client.welcomes[0][0], await client.invoke("ConnectionId"));
    await client.stop();
  });

  test("a WebSocket without an id is a connection of its own", async () => {
    const wire = await upgrade(`${server.url}${MAIN}`);
    assert.equal(wire.status, 101);
    wire.reset();
  });
});

describe("the redirecting endpoint", { concurrency: 8 }, () => {
  test("answers with the main hub on the host that the request named, and a token", async () => {
    for (const host of [server.host, "conformance.test:1234", "conformance.test"]) {
      const response = await post(`${server.url}${REDIRECT}/negotiate?negotiateVersion=1`, { headers: { Host: host } });
      assert.equal(response.status, 200);
      assert.match(response.headers["content-type"], /^application\/json\b/);
      const { url, accessToken, ...rest } = JSON.parse(response.text);
      assert.deepEqual({ url, accessToken }, { url: `http://${host}${MAIN}`, accessToken: "redirect-token" });
      for (const name of ["error", "ProtocolVersion", "connectionId", "connectionToken"]) assert.equal(rest[name], undefined, name);
    }
  });

  test("only negotiates", async () => {
    const get = await ask(`${server.url}${REDIRECT}/negotiate`);
    assert.ok([404, 405].includes(get.status), `GET negotiate: ${get.status}`);
    const other = await upgrade(`${server.url}${REDIRECT}`);
    assert.ok(other.status >= 400, `an upgrade: ${other.status}`);
  });

  everywhere("the client follows and presents redirect-token", async (cell) => {
    const client = await connect(server, cell, { hub: REDIRECT });
    assert.equal(await client.invoke("PresentedToken"), "redirect-token");
    assert.equal(await client.invoke("ConnectionId"), client.id);
    assert.equal(await client.invoke("Transport"), cell.transport);
    await client.stop();
  });

  everywhere("the token of the redirection takes the place of the client's own", async (cell) => {
    const client = await connect(server, cell, { hub: REDIRECT, token: "own-token" });
    assert.equal(await client.invoke("PresentedToken"), "redirect-token");
    await client.stop();
  });
});

describe("PresentedToken is what the connection was made with", { concurrency: 8 }, () => {
  everywhere("by the stock client", async (cell) => {
    const client = await connect(server, cell, { token: "any-token" });
    assert.equal(await client.invoke("PresentedToken"), "any-token");
    await client.stop();
  });

  for (const transport of ["WebSockets", "ServerSentEvents", "LongPolling"]) {
    test(`in the query value access_token, over ${transport}`, async () => {
      const { connectionToken } = await negotiate(server);
      const plain = await Peer.over(`${server.url}${MAIN}?id=${connectionToken}&access_token=query-token`, { transport });
      assert.equal((await plain.call("1", "PresentedToken")).result, "query-token");
      plain.wire.reset();
    });
  }
});
