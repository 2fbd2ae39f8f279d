// The stock client over every transport and encoding.

import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpTransportType, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { until } from "../e2e/client.mjs";
import { atEnd } from "./raw.mjs";
import { MAIN } from "./server.mjs";

export { until };

/** What goes together. Server-Sent Events carry text only. */
export const cells = [
  ["WebSockets", "json"], ["WebSockets", "messagepack"], ["ServerSentEvents", "json"], ["LongPolling", "json"], ["LongPolling", "messagepack"],
].map(([transport, encoding]) => ({ transport, encoding, toString: () => `${transport} ${encoding}` }));

export const [WS_JSON] = cells;

/** Those to run: all, or the ones that $CONFORMANCE_CELLS names, such as "WebSockets json,LongPolling json". */
const wanted = cells.filter((cell) => !process.env.CONFORMANCE_CELLS || process.env.CONFORMANCE_CELLS.split(",").includes(String(cell)));

/** One test per cell. */
export function everywhere(name, body) {
  for (const cell of wanted) test(`${name} [${cell}]`, () => body(cell));
}

/**
 * Connects a stock client and waits until it is welcome.
 *
 * @param {Server} server
 * @param {{transport: string, encoding: string}} [cell]
 * @param {object} [o]
 * @param {string} [o.hub]
 * @param {string|(() => string)} [o.token]
 * @param {number[]} [o.delays]    of the automatic reconnect; none = no reconnect
 * @param {boolean} [o.stateful]   stateful reconnect
 * @param {string} [o.url]         of a plug in front of the server
 * @param {object} [o.on]          client methods
 * @param {object} [o.more]        options of withUrl
 */
export async function connect(server, cell = WS_JSON, { hub = MAIN, token, delays, stateful, url = server.url, on = {}, more = {} } = {}) {
  const builder = new HubConnectionBuilder()
    .withUrl(url + hub, {
      transport: HttpTransportType[cell.transport],
      ...(token && { accessTokenFactory: () => (typeof token === "function" ? token() : token) }),
      ...more,
    })
    .withKeepAliveInterval(1000) // the server gives a client five seconds
    .configureLogging(LogLevel.None);
  if (cell.encoding === "messagepack") builder.withHubProtocol(new MessagePackHubProtocol());
  if (delays) builder.withAutomaticReconnect(delays);
  if (stateful) builder.withStatefulReconnect();
  const connection = builder.build();
  const client = { connection, cell, welcomes: [], messages: [], reconnects: 0 };
  connection.on("Welcome", (...args) => client.welcomes.push(args));
  connection.on("Message", (text, from) => client.messages.push({ text, from }));
  for (const [name, handler] of Object.entries(on)) connection.on(name, handler);
  connection.onreconnected(() => client.reconnects++);
  client.closed = new Promise((resolve) => connection.onclose((error) => resolve(error ?? null)));
  client.invoke = (...args) => connection.invoke(...args);
  client.send = (...args) => connection.send(...args);
  client.stream = (...args) => connection.stream(...args);
  client.stop = () => connection.stop();
  atEnd(`the client of ${cell}`, () => connection.state !== HubConnectionState.Disconnected && connection.stop());
  await connection.start();
  client.id = connection.connectionId;
  await until("welcome", () => client.welcomes.length > 0);
  return client;
}

/** One client per cell, by the cell's name. */
export async function connectAll(server, o) {
  const all = await Promise.all(wanted.map((cell) => connect(server, cell, o)));
  return new Map(all.map((client) => [String(client.cell), client]));
}

/** All items of a stream; one that fails rejects with its error and the items before. */
export function items(stream, onItem = () => {}) {
  const all = [];
  return new Promise((resolve, reject) => {
    stream.subscribe({
      next: (item) => { all.push(item); onItem(item, all); },
      complete: () => resolve(all),
      error: (error) => reject(Object.assign(error, { items: all })),
    });
  });
}

/** The message of the error of a call that must fail; the stock client adds nothing to it. */
export async function failure(promise) {
  const error = await promise.then((value) => assert.fail(`succeeded with ${JSON.stringify(value)}`), (e) => e);
  if (error.code === "ERR_ASSERTION") throw error;
  return error.message;
}

/** Waits until the server says so of a connection. */
export const becomes = (watcher, id, state) => {
  const wanted = [].concat(state);
  return until(`${id} ${wanted}`, async () => wanted.includes(await watcher.invoke("ConnectionState", id)));
};

/** Bytes and times as the encoding has them, and back. */
export const bytesFor = (cell, data) => (cell.encoding === "json" ? Buffer.from(data).toString("base64") : new Uint8Array(data));
export const bytesOf = (cell, value) => {
  assert.ok(cell.encoding === "json" ? typeof value === "string" : value instanceof Uint8Array, `bytes: ${typeof value}`);
  return cell.encoding === "json" ? Buffer.from(value, "base64") : Buffer.from(value);
};
export const timeFor = (cell, text) => (cell.encoding === "json" ? text : new Date(text));
export const timeOf = (cell, value) => {
  if (cell.encoding === "json") assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  else assert.ok(value instanceof Date, `a time: ${value}`);
  return new Date(value).getTime();
};
