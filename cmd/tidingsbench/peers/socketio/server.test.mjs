import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { WebSocket } from "ws";

/** Starts the server on a free port, and ends it after the test. */
async function start(t, env = {}) {
  const server = spawn(process.execPath, [new URL("server.mjs", import.meta.url).pathname], {
    env: { ...process.env, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(async () => {
    server.kill("SIGINT");
    const [code] = await once(server, "exit");
    assert.equal(code, 0);
  });
  const [line] = await once(createInterface(server.stdout), "line");
  const [, version, address] = line.match(/^ready name=socketio version=(4\.8\.\d+) http=(127\.0\.0\.1:\d+)$/);
  return { address, version };
}

/** Connects a client that speaks Engine.IO 4 and Socket.IO 5 by hand. */
async function connect(t, address, query, hello = "40") {
  const socket = new WebSocket(`ws://${address}/socket.io/?EIO=4&transport=websocket&${query}`);
  t.after(() => socket.terminate());
  const said = [];
  let heard = () => {};
  socket.on("message", (message) => {
    said.push(message.toString());
    heard();
  });
  const hear = async () => {
    while (said.length === 0) await new Promise((resolve) => (heard = resolve));
    return said.shift();
  };
  await once(socket, "open");
  assert.match(await hear(), /^0\{"sid":.*"pingInterval":25000/);
  socket.send(hello);
  return { hear, socket };
}

async function publish(address, body) {
  const response = await fetch(`http://${address}/publish`, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
}

test("events reach who hears them, in order", async (t) => {
  const { address, version } = await start(t);
  assert.deepEqual(await (await fetch(`http://${address}/who`)).json(), { name: "socketio", version });
  const one = await connect(t, address, "user=1&channels=role/x,role/y");
  const two = await connect(t, address, "user=2&channels=role/y");
  for (const { hear } of [one, two]) assert.match(await hear(), /^40\{"sid":/);

  const all = ["everyone", "user/1", "role/x", "user/2", "role/y", "nobody", "everyone"];
  const { status, answer } = await publish(address, all.map((to, i) => ({ to, data: { m: `${i}` } })));
  assert.deepEqual([status, answer], [200, { accepted: 7 }]);
  for (const m of [0, 1, 2, 4, 6]) assert.equal(await one.hear(), `42["n",{"m":"${m}"}]`);
  for (const m of [0, 3, 4, 6]) assert.equal(await two.hear(), `42["n",{"m":"${m}"}]`);

  for (const bad of [null, {}, [{ to: "everyone" }], [{ data: {} }], [{ to: "everyone", data: { m: "no" } }, {}]]) {
    assert.equal((await publish(address, bad)).status, 400);
  }
  await publish(address, [{ to: "everyone", data: { m: "good" } }]);
  assert.equal(await one.hear(), `42["n",{"m":"good"}]`);
});

test("with recovery, who comes back hears what it missed", async (t) => {
  const { address } = await start(t, { RECOVERY: "1" });
  const before = await connect(t, address, "user=1");
  const { pid } = JSON.parse((await before.hear()).slice(2));
  await publish(address, [{ to: "user/1", data: { m: "heard" } }]);
  const [, , offset] = JSON.parse((await before.hear()).slice(2));
  before.socket.terminate();
  await once(before.socket, "close");
  await new Promise((resolve) => setTimeout(resolve, 100)); // until the server has noticed
  await publish(address, [{ to: "user/1", data: { m: "missed" } }]);

  const after = await connect(t, address, "user=1", `40${JSON.stringify({ pid, offset })}`);
  assert.match(await after.hear(), /^42\["n",\{"m":"missed"\},"/);
  assert.match(await after.hear(), /^40\{"sid":/);
});
