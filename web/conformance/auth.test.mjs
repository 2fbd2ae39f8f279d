// The authorised hub: a valid token on every request (§1, §2), who one is and
// what one may (§5), and what happens when the token expires (§6).

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { HubConnectionState } from "@microsoft/signalr";
import { connect, everywhere, failure, until } from "./matrix.mjs";
import { ask, bearer, endAll, forget, negotiate, Peer, post, upgrade } from "./raw.mjs";
import { AUTH, inSeconds, mint, startConformance } from "./server.mjs";

let server;
let hub;
before(async () => {
  server = await startConformance();
  hub = server.url + AUTH;
});
after(async () => {
  await endAll();
  assert.equal(await server.stop(), 0, server.log());
});

const SSE = { Accept: "text/event-stream" };
const good = () => mint({ sub: "ann" });
const past = (n) => Math.floor(Date.now() / 1000) - n;

/** A token whose payload was changed after it was signed. */
function tampered() {
  const [head, , signature] = good().split(".");
  return [head, mint({ sub: "ann", role: "admin" }).split(".")[1], signature].join(".");
}

const bad = {
  "no token": () => undefined,
  garbage: () => "garbage",
  "a token of another secret": () => mint({ sub: "ann" }, { secret: "another-secret-key-0123456789abcdef-xxxx" }),
  "a token that has expired this second": () => mint({ sub: "ann", exp: past(0) }),
  "a token that expired an hour ago": () => mint({ sub: "ann", exp: past(3600) }),
  "a token without a signature": () => mint({ sub: "ann" }, { alg: "none" }),
  "a token that was tampered with": tampered,
};

const requests = (token) => ({
  negotiate: (h) => post(`${hub}/negotiate?negotiateVersion=1`, { headers: h }),
  "a poll": (h) => ask(`${hub}?id=${token}`, { headers: h }),
  "a poll of an unknown id": (h) => ask(`${hub}?id=unknown`, { headers: h }),
  "a poll without an id": (h) => ask(hub, { headers: h }),
  "an event stream": (h) => ask(`${hub}?id=${token}`, { headers: { ...h, ...SSE } }),
  POST: (h) => post(`${hub}?id=${token}`, { headers: h, body: "x" }),
  DELETE: (h) => ask(`${hub}?id=${token}`, { headers: h, method: "DELETE" }),
  "a WebSocket": (h) => upgrade(`${hub}?id=${token}`, { headers: h }),
  "a WebSocket without an id": (h) => upgrade(hub, { headers: h }),
});

describe("401 on every request without a valid token", { concurrency: 8 }, () => {
  for (const [what, make] of Object.entries(bad)) {
    test(what, async () => {
      const { connectionToken } = await negotiate(server, { hub: AUTH, token: good() });
      forget(`${hub}?id=${connectionToken}`, bearer(good()));
      for (const [name, send] of Object.entries(requests(connectionToken))) {
        assert.equal((await send(bearer(make()))).status, 401, name);
      }
      // The connection that they wanted is still there for its owner.
      assert.equal((await ask(`${hub}?id=${connectionToken}`, { headers: bearer(good()) })).status, 200);
    });
  }

  test("and on those of a connection that is live", async () => {
    const peer = await Peer.open(server, { hub: AUTH, transport: "LongPolling", token: good() });
    await peer.welcome();
    assert.equal((await post(peer.url, { body: "garbage\x1e" })).status, 401);
    assert.equal((await ask(peer.url, { method: "DELETE" })).status, 401);
    assert.equal((await peer.call("1", "Add", 1, 2)).result, 3, "it lives on");
    peer.wire.reset();
  });

  test("in the query value as well", async () => {
    assert.equal((await upgrade(`${hub}?access_token=garbage`)).status, 401);
    assert.equal((await ask(`${hub}?id=x&access_token=${mint({ sub: "ann", exp: past(1) })}`, { headers: SSE })).status, 401);
  });

  test("another scheme is no token", async () => {
    assert.equal((await post(`${hub}/negotiate?negotiateVersion=1`, { headers: { Authorization: "Basic YTpi" } })).status, 401);
  });

  everywhere("the stock client is told", async (cell) => {
    await assert.rejects(connect(server, cell, { hub: AUTH }), /Status code '401'/);
    await assert.rejects(connect(server, cell, { hub: AUTH, token: "garbage" }), /Status code '401'/);
  });
});

describe("a valid token is accepted", { concurrency: 8 }, () => {
  everywhere("by the stock client, and all methods are there", async (cell) => {
    const client = await connect(server, cell, { hub: AUTH, token: good() });
    assert.equal(await client.invoke("Add", 1, 2), 3);
    assert.equal(await client.invoke("Transport"), cell.transport);
    assert.equal(await client.invoke("ConnectionId"), client.id);
    await client.stop();
  });

  everywhere("PresentedToken() is the token", async (cell) => {
    const token = good();
    const client = await connect(server, cell, { hub: AUTH, token });
    assert.equal(await client.invoke("PresentedToken"), token);
    await client.stop();
  });

  for (const transport of ["WebSockets", "ServerSentEvents", "LongPolling"]) {
    test(`in the query value access_token, over ${transport}`, async () => {
      const token = good();
      const { connectionToken } = await negotiate(server, { hub: AUTH, token });
      const peer = await Peer.over(`${hub}?id=${connectionToken}&access_token=${token}`, { transport });
      assert.equal((await peer.call("1", "WhoAmI")).result, "ann");
      assert.equal((await peer.call("2", "PresentedToken")).result, token);
      peer.wire.reset();
    });
  }

  test("in the query value access_token, on negotiate", async () => {
    assert.equal((await post(`${hub}/negotiate?negotiateVersion=1&access_token=${good()}`)).status, 200);
  });

  test("issuer and audience are not checked", async () => {
    for (const claims of [{ iss: "anybody" }, { aud: "anything" }, { iss: "a", aud: ["b", "c"], jti: "d" }]) {
      const { status } = await post(`${hub}/negotiate?negotiateVersion=1`, { headers: bearer(mint({ sub: "ann", ...claims })) });
      assert.equal(status, 200, JSON.stringify(claims));
    }
  });

  test("the scheme is matched without regard to case", async () => {
    assert.equal((await post(`${hub}/negotiate?negotiateVersion=1`, { headers: { Authorization: `bearer ${good()}` } })).status, 200);
  });
});

describe("who one is and what one may", { concurrency: 8 }, () => {
  everywhere("WhoAmI() is sub", async (cell) => {
    for (const sub of ["ann", "zoë@example.com", "auth0|12 34"]) {
      const client = await connect(server, cell, { hub: AUTH, token: mint({ sub }) });
      assert.equal(await client.invoke("WhoAmI"), sub);
      await client.stop();
    }
  });

  everywhere("AdminOnly() with role admin, a string or among others", async (cell) => {
    for (const role of ["admin", ["admin"], ["staff", "admin"]]) {
      const client = await connect(server, cell, { hub: AUTH, token: mint({ sub: "ann", role }) });
      assert.equal(await client.invoke("AdminOnly"), "secret", JSON.stringify(role));
      await client.stop();
    }
  });

  everywhere("AdminOnly(): not allowed by role, with the target as the client wrote it", async (cell) => {
    for (const role of [undefined, "staff", ["staff", "administrator"], "Admin", "admin staff", []]) {
      const client = await connect(server, cell, { hub: AUTH, token: mint({ sub: "ann", ...(role && { role }) }) });
      for (const target of ["AdminOnly", "adminONLY"]) {
        assert.equal(await failure(client.invoke(target)), `Failed to invoke '${target}' because user is unauthorized`, JSON.stringify(role));
      }
      assert.equal(await client.invoke("WhoAmI"), "ann", "the connection lives");
      await client.stop();
    }
  });

  test("AdminOnly() without an invocation id never gets an answer", async () => {
    const peer = await Peer.open(server, { hub: AUTH, token: good() });
    await peer.welcome();
    await peer.send({ type: 1, target: "AdminOnly", arguments: [] });
    await peer.call("1", "Add", 1, 2);
    assert.deepEqual(peer.inbox, []);
    peer.wire.reset();
  });
});

/**
 * How long to sleep so that the poll behind the answer begins before a token
 * expires and is still there then: a poll asks with the token, and lasts for
 * three seconds.
 */
const shortlyBefore = (exp) => Math.max(0, exp * 1000 - Date.now() - 700);

describe("when a token expires", { concurrency: 12 }, () => {
  everywhere("the connection ends with a Close: allowReconnect, no error; not before, and not much later", async (cell) => {
    const exp = inSeconds(2);
    const token = mint({ sub: "ann", exp });
    const peer = await Peer.open(server, { ...cell, hub: AUTH, token });
    await peer.welcome();
    await peer.call("1", "Sleep", shortlyBefore(exp));
    assert.deepEqual(await peer.closed(), { type: 7, allowReconnect: true });
    const late = Date.now() - exp * 1000;
    assert.ok(late >= -50 && late < 4000, `${late} ms after the expiry`);
    const watcher = await connect(server, undefined, { hub: AUTH, token: good() });
    await until("closed", async () => (await watcher.invoke("ConnectionState", peer.id)) === "closed");
    await watcher.stop();
  });

  everywhere("the stock client with automatic reconnect comes back with a new one", async (cell) => {
    const exp = inSeconds(2);
    let token = mint({ sub: "ann", exp });
    const client = await connect(server, cell, { hub: AUTH, token: () => token, delays: [0, 0, 100, 1000] });
    const { id } = client;
    token = good();
    await client.invoke("Sleep", shortlyBefore(exp));
    await until("back", () => client.reconnects === 1 && client.connection.state === HubConnectionState.Connected && client.connection.connectionId !== id);
    assert.equal(await client.invoke("WhoAmI"), "ann");
    await client.stop();
  });

  test("a method that runs is no reason to stay", async () => {
    const peer = await Peer.open(server, { hub: AUTH, token: mint({ sub: "ann", exp: inSeconds(1) }) });
    await peer.send({ type: 4, invocationId: "s", target: "EndlessTicks", arguments: [50] });
    assert.deepEqual(await peer.closed(), { type: 7, allowReconnect: true });
  });

  test("and a token that is good for long: the connection stays", async () => {
    const peer = await Peer.open(server, { hub: AUTH, token: good() });
    await peer.welcome();
    await new Promise((resolve) => setTimeout(resolve, 4000));
    assert.equal((await peer.call("1", "WhoAmI")).result, "ann");
    peer.wire.reset();
  });
});
