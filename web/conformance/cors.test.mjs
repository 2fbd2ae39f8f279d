// §2 CORS: one origin is allowed, with credentials; no other one is, however
// much it looks like it. WebSockets are not under CORS and check it themselves.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, forget, negotiate, post, upgrade } from "./raw.mjs";
import { AUTH, MAIN, mint, REDIRECT } from "./server.mjs";
import { server } from "./suite.mjs";

const ALLOWED = "https://conformance.example";
const FOREIGN = [
  "https://evil.example", "http://conformance.example", "https://conformance.example.evil", "https://evilconformance.example", "https://sub.conformance.example",
  "https://conformance.example:8443", "https://conformance.example.", "https://conformance.example@evil.example", "https://evil.example/https://conformance.example",
  "https://conformance.exampl", "null", "*", "https://", "conformance.example", "https://evil.example#https://conformance.example",
];

/** May pages of the origin read the answer? */
function readable({ headers }, origin) {
  const allowed = headers["access-control-allow-origin"];
  if (allowed === undefined) return false;
  assert.equal(allowed, origin, "the very origin");
  assert.equal(headers["access-control-allow-credentials"], "true");
  assert.match(headers.vary ?? "", /\bOrigin\b/i, "caches must tell origins apart");
  return true;
}

const requests = [
  ["negotiate", (o) => post(`${server.url}${MAIN}/negotiate?negotiateVersion=1`, o), 200],
  ["the redirecting endpoint", (o) => post(`${server.url}${REDIRECT}/negotiate?negotiateVersion=1`, o), 200],
  ["a first poll", async (o) => {
    const url = `${server.url}${MAIN}?id=${(await negotiate(server)).connectionToken}`;
    forget(url);
    return ask(url, o);
  }, 200],
  ["400", (o) => ask(`${server.url}${MAIN}`, o), 400],
  ["404 of a poll", (o) => ask(`${server.url}${MAIN}?id=unknown`, o), 404],
  ["404 of a POST", (o) => post(`${server.url}${MAIN}?id=unknown`, o), 404],
  ["404 of a DELETE", (o) => ask(`${server.url}${MAIN}?id=unknown`, { ...o, method: "DELETE" }), 404],
  ["404 of an event stream", (o) => ask(`${server.url}${MAIN}?id=unknown`, { headers: { ...o.headers, Accept: "text/event-stream" } }), 404],
  ["401 of negotiate", (o) => post(`${server.url}${AUTH}/negotiate?negotiateVersion=1`, o), 401],
  ["401 of a poll", (o) => ask(`${server.url}${AUTH}?id=unknown`, o), 401],
];

describe("answers", { concurrency: 8 }, () => {
  for (const [name, send, status] of requests) {
    test(`${name}: the allowed origin may read it, with credentials`, async () => {
      const response = await send({ headers: { Origin: ALLOWED } });
      assert.equal(response.status, status);
      assert.ok(readable(response, ALLOWED));
    });

    test(`${name}: no other origin may`, async () => {
      for (const origin of FOREIGN) {
        const response = await send({ headers: { Origin: origin } });
        assert.ok(!readable(response, origin), origin);
      }
    });
  }

  test("without an origin there is nothing to allow", async () => {
    const { headers } = await post(`${server.url}${MAIN}/negotiate?negotiateVersion=1`);
    assert.equal(headers["access-control-allow-origin"], undefined);
  });
});

describe("preflight", { concurrency: 8 }, () => {
  const preflight = (path, origin, method, headers) => ask(server.url + path, {
    method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": method, ...(headers && { "Access-Control-Request-Headers": headers }) },
  });
  const list = (text) => (text ?? "").split(",").map((word) => word.trim().toLowerCase());

  for (const path of [MAIN, AUTH, REDIRECT].flatMap((hub) => [`${hub}/negotiate?negotiateVersion=1`, ...(hub === REDIRECT ? [] : [`${hub}?id=any`])])) {
    test(`allows GET, POST, DELETE, OPTIONS and any header: ${path}`, async () => {
      for (const method of ["GET", "POST", "DELETE", "OPTIONS"]) {
        const asked = "x-requested-with, x-signalr-user-agent, authorization, content-type, x-anything-else";
        const response = await preflight(path, ALLOWED, method, asked);
        assert.ok([200, 204].includes(response.status), String(response.status));
        assert.ok(readable(response, ALLOWED));
        const methods = list(response.headers["access-control-allow-methods"]);
        for (const wanted of ["get", "post", "delete", "options"]) assert.ok(methods.includes(wanted), `${wanted} among ${methods}`);
        const headers = list(response.headers["access-control-allow-headers"]);
        for (const wanted of list(asked)) assert.ok(headers.includes(wanted), `${wanted} among ${headers}; * does not hold with credentials`);
      }
    });

    test(`allows no other origin: ${path}`, async () => {
      for (const origin of FOREIGN) assert.ok(!readable(await preflight(path, origin, "POST", "authorization"), origin), origin);
    });
  }
});

describe("WebSockets of pages", { concurrency: 8 }, () => {
  const open = async (origin) => {
    const { connectionToken } = await negotiate(server);
    const wire = await upgrade(`${server.url}${MAIN}?id=${connectionToken}`, { headers: origin ? { Origin: origin } : {} });
    wire.reset?.();
    return wire.status;
  };

  test("of the allowed origin are let in, and those without one", async () => {
    assert.equal(await open(ALLOWED), 101);
    assert.equal(await open(), 101);
  });

  test("of every other origin are refused, before the upgrade", async () => {
    for (const origin of FOREIGN) assert.equal(await open(origin), 403, origin);
  });

  test("of other origins are refused without an id, too, and with a token", async () => {
    assert.equal((await upgrade(`${server.url}${MAIN}`, { headers: { Origin: "https://evil.example" } })).status, 403);
    const refused = await upgrade(`${server.url}${AUTH}?access_token=${mint({ sub: "ann" })}`, { headers: { Origin: "https://evil.example" } });
    assert.equal(refused.status, 403);
  });
});
