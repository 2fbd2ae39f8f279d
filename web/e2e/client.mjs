// The stock SignalR client under test, and the plug between it and the server.

import { connect as tcp, createServer } from "node:net";
import { HttpTransportType, HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";

import { breakOff } from "../test/net.mjs";
import { startServer } from "../test/server.mjs";

const PATIENCE = 30_000;

const open = new Set(); // what a test has not ended: functions that do

/** Ends what a test has left open, in reverse; for afterEach. */
export async function cleanUp() {
  for (const end of [...open].reverse()) await within("end", end()).catch(() => {}); // it has ended already
  open.clear();
}

/** Gives up waiting for what may never happen, and says what it was. */
export function within(what, promise, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`no ${what} after ${patience} ms`)), patience); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Starts a server that ends with the test at the latest. */
export async function start(options) {
  const server = await startServer(options);
  open.add(() => server.stop());
  return server;
}

/**
 * Connects a stock client that remembers all it hears.
 *
 * @param {string} url      of the server, or of a plug in front of it
 * @param {string|(() => string)} token
 * @param {object} [o]
 * @param {string} [o.query]      of the hub URL, such as "device=d1"
 * @param {boolean} [o.acks]      acknowledge every event, as a client with a device does
 * @param {number[]} [o.delays]   of the automatic reconnect; none = no reconnect
 * @param {boolean} [o.skip]      skip the negotiation
 * @param {boolean} [o.stateful]  stateful reconnect
 * @param {number} [o.transport]  an HttpTransportType
 * @param {object} [o.protocol]   an IHubProtocol
 */
export async function connect(url, token, { query = "", acks = false, delays, skip = false, hub = "notifications", stateful = false, transport, protocol } = {}) {
  const builder = new HubConnectionBuilder()
    .withUrl(`${url}/hubs/${hub}${query && `?${query}`}`, {
      accessTokenFactory: () => (typeof token === "function" ? token() : token),
      ...(transport && { transport }),
      ...(skip && { skipNegotiation: true, transport: HttpTransportType.WebSockets }),
    })
    .configureLogging(LogLevel.None);
  if (stateful) builder.withStatefulReconnect();
  if (protocol) builder.withHubProtocol(protocol);
  if (delays) builder.withAutomaticReconnect(delays);
  const connection = builder.build();
  const client = { connection, heard: [], recalled: [], told: [], resumed: [], ids: [], reconnects: 0 };
  connection.on("Connected", (id) => client.ids.push(id));
  connection.on("Resumed", (r) => client.resumed.push(r));
  connection.on("ReceiveNotification", (n) => {
    client.heard.push(n);
    if (acks) connection.invoke("Ack", n.cursor).catch(() => {}); // the connection is gone: it will be told again
  });
  connection.on("NotificationRecalled", (n) => client.recalled.push(n));
  connection.on("InboxChanged", (c) => client.told.push(c));
  connection.onreconnected(() => client.reconnects++);
  client.stop = () => connection.stop();
  open.add(client.stop);
  client.positions = () => client.heard.map((n) => n.position);
  await connection.start();
  return client;
}

/** Waits until a condition holds, and says which one did not. */
export async function until(what, condition, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not ${what} after ${patience} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Repeats a check until it passes, and in the end fails as it does. */
export async function eventually(check, patience = 10_000) {
  const deadline = Date.now() + patience;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * Asks the server over HTTP, as the bearer of a token.
 *
 * @param {{url: string}} server  @param {string} bearer
 * @param {string} what  such as "GET /v1/inbox"
 * @param {object} [body]
 * @returns {Promise<any>} the answer; an Error with its status when it is none of 2xx
 */
export async function ask(server, bearer, what, body) {
  const [method, path] = what.split(" ");
  const response = await fetch(server.url + path, {
    method,
    headers: { Authorization: `Bearer ${bearer}`, ...(body && { "Content-Type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw Object.assign(new Error(`${what}: ${response.status} ${text}`), { status: response.status });
  return text && JSON.parse(text);
}

/** Waits until a client has heard a position. */
export const hears = (client, position) =>
  until(`position ${position} heard`, () => client.heard.at(-1)?.position >= position);

/** Waits until a client is connected. */
export const live = (client) => until("live", () => client.connection.state === HubConnectionState.Connected && client.resumed.length > 0);

/**
 * A plug between clients and a server, which can be pulled, or clogged so that
 * nothing more is read from the server.
 *
 * @param {string} target "HOST:PORT"
 */
export async function plug(target) {
  const [host, port] = target.split(":");
  const pairs = new Set();
  let clogged = false;
  const listener = createServer((near) => {
    const far = tcp(Number(port), host);
    const pair = [near, far];
    pairs.add(pair);
    near.pipe(far);
    if (!clogged) far.pipe(near);
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const wire = {
    url: `http://127.0.0.1:${listener.address().port}`,
    /** Cuts every connection. New ones are let through. */
    cut() {
      for (const [near, far] of pairs) {
        breakOff(near);
        breakOff(far);
      }
    },
    /** Reads nothing more from the server. */
    clog() {
      clogged = true;
      for (const [near, far] of pairs) {
        far.unpipe(near);
        far.pause();
      }
    },
    unclog() {
      clogged = false;
      for (const [near, far] of pairs) far.pipe(near);
    },
    close() {
      wire.cut();
      return new Promise((resolve) => listener.close(resolve));
    },
  };
  open.add(wire.close);
  return wire;
}

/** Publishes without any library, as `nats pub` does. */
export const natsPublish = (address, subject, payload, headers = {}) =>
  natsTalk(address, publication(subject, payload, headers), (said) => said.includes("PONG"));

/** Asks without any library, as `nats req` does, and answers with what the JSON of the answer says. */
export async function natsRequest(address, subject, payload = "") {
  const said = await natsTalk(address, `SUB answers.here 1\r\n${publication(`${subject} answers.here`, payload)}`, (text) => /MSG answers.here 1 \d+\r\n.+\r\n/.test(text));
  return JSON.parse(/MSG answers.here 1 \d+\r\n(.+)\r\n/.exec(said)[1]);
}

function publication(subject, payload, headers = {}) {
  const names = Object.entries(headers);
  const block = names.length ? `NATS/1.0\r\n${names.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n` : "";
  const [head, total] = [Buffer.byteLength(block), Buffer.byteLength(block) + Buffer.byteLength(payload)];
  return names.length ? `HPUB ${subject} ${head} ${total}\r\n${block}${payload}\r\n` : `PUB ${subject} ${total}\r\n${payload}\r\n`;
}

/** Says something to a NATS server and listens until it has said enough. */
async function natsTalk(address, words, enough) {
  const [host, port] = address.split(":");
  const socket = tcp(Number(port), host).setEncoding("utf8");
  let said = "";
  socket.on("data", (text) => { said += text; });
  socket.write('CONNECT {"verbose":false,"headers":true,"lang":"none","version":"0"}\r\n');
  socket.write(words);
  socket.write("PING\r\n");
  await until("answered by NATS", () => enough(said));
  socket.destroy();
  return said;
}

/** Waits until NATS has dropped a message of the log, because it has expired. */
export const dropped = ({ nats }, position) => until(`position ${position} dropped`, async () =>
  (await natsRequest(nats, "$JS.API.STREAM.MSG.GET.TIDINGS", JSON.stringify({ seq: position }))).error?.code === 404);
