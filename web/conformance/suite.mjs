// What every file of tests has: the conformance program, and stock clients that
// are connected to it. Each file is a process of its own.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { connect, connectAll } from "./matrix.mjs";
import { endAll } from "./raw.mjs";
import { startConformance } from "./server.mjs";

/** The program under test. */
export let server;
/** A client that looks on. */
export let watcher;

let clients;

/** The client of a cell that its tests share. */
export const client = (cell) => clients.get(String(cell));

before(async () => {
  server = await startConformance();
  [watcher, clients] = await Promise.all([connect(server), connectAll(server)]);
});
after(async () => {
  await endAll();
  assert.equal(await server.stop(), 0, server.log());
});
