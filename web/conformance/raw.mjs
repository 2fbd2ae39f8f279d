// Clients by hand, for what the stock client never does: HTTP requests one by
// one, a WebSocket whose frames the test writes itself, and the halves of
// Server-Sent Events and long polling.
//
//   const peer = await Peer.open(server, { transport: "LongPolling", encoding: "messagepack" });
//   await peer.send({ type: 1, invocationId: "1", target: "Add", arguments: [1, 2] });
//   const { result } = await peer.completion("1");

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { breakOff } from "../test/net.mjs";
import { encodings, END } from "./encoding.mjs";
import { MAIN } from "./server.mjs";

const PATIENCE = 15_000;

const open = new Map(); // what a test has not ended: functions that do, and what it is

/** Ends what tests have left open; for after. What does not end is an error. */
export async function endAll() {
  const ends = [...open].map(async ([end, what]) => {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what} did not end`)), PATIENCE); });
    await Promise.race([Promise.resolve(end()).catch(() => {}), late]).finally(() => clearTimeout(timer)); // most have ended already
  });
  open.clear();
  await Promise.all(ends);
}

/** Makes endAll end something, too. */
export const atEnd = (what, end) => open.set(end, what);

// HTTP

/**
 * One request, on a connection of its own.
 *
 * @param {string} url
 * @param {{method?: string, headers?: object, body?: string|Buffer, signal?: AbortSignal}} [o]
 * @returns {Promise<{status: number, headers: object, body: Buffer, text: string}>}
 */
export function ask(url, { method = "GET", headers = {}, body, signal } = {}) {
  return new Promise((resolve, reject) => {
    const r = request(url, { method, agent: false, signal, headers: { ...headers, ...lengthOf(method, body) } }, async (response) => {
      try {
        resolve(await answer(response));
      } catch (error) {
        reject(error);
      }
    });
    r.once("error", reject);
    r.once("upgrade", (response, socket) => {
      socket.destroy();
      reject(new Error(`${url} was upgraded`));
    });
    r.end(body);
  });
}

const lengthOf = (method, body) => (method === "POST" ? { "Content-Length": Buffer.byteLength(body ?? "") } : {});

async function answer(response) {
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  return { status: response.statusCode, headers: response.headers, body, text: body.toString() };
}

/** Has a long-polling connection ended by endAll. */
export const forget = (url, headers = {}) => open.set(() => ask(url, { method: "DELETE", headers }), `DELETE ${url}`);

export const post = (url, o = {}) => ask(url, { method: "POST", ...o });

/** The header, or nothing without a token. */
export const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/** Negotiates; the answer as an object. */
export async function negotiate(server, { hub = MAIN, query = "negotiateVersion=1", token } = {}) {
  const response = await post(`${server.url}${hub}/negotiate?${query}`, { headers: bearer(token) });
  assert.equal(response.status, 200, response.text);
  return JSON.parse(response.text);
}

// WebSocket

/**
 * Opens a WebSocket. What was refused is the answer of the server, with its
 * status; what was opened is a Socket, with status 101.
 */
export function upgrade(url, { headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const r = request(url, {
      agent: false,
      headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": randomBytes(16).toString("base64"), ...headers },
    });
    r.once("error", reject);
    r.once("response", (response) => answer(response).then(resolve, reject));
    r.once("upgrade", (response, socket, head) => {
      assert.equal(response.statusCode, 101);
      resolve(new Socket(socket, head));
    });
    r.end();
  });
}

/** A WebSocket whose frames are written by hand. What it is sent waits until `onmessage` is set. */
export class Socket {
  status = 101;
  #pending = Buffer.alloc(0);
  #parts = []; // of a fragmented message
  #opcode = 0;
  #early = [];
  #receive;
  #code;

  constructor(socket, head) {
    this.socket = socket;
    this.ended = new Promise((resolve) => socket.once("close", () => resolve({ code: this.#code ?? 1006 })));
    socket.on("error", () => {}); // close follows
    socket.on("data", (data) => this.#read(data));
    if (head.length) this.#read(head);
    open.set(() => socket.destroy(), "a WebSocket");
  }

  /** @param {(data: Buffer, opcode: number) => void} receive  gets every whole message */
  set onmessage(receive) {
    this.#receive = receive;
    for (const message of this.#early.splice(0)) receive(...message);
  }

  /** Sends one message in one frame. */
  send(data, opcode = typeof data === "string" ? 1 : 2) {
    return this.write(frame(opcode, data));
  }

  /** Sends bytes as they are, in one write. */
  write(...bytes) {
    return new Promise((resolve) => this.socket.write(Buffer.concat(bytes), () => resolve())); // a broken socket shows in ended
  }

  /** Says goodbye as WebSockets do. */
  close(code = 1000) {
    return this.send(Buffer.from([code >> 8, code & 255]), 8);
  }

  /** Breaks the connection. */
  reset() {
    breakOff(this.socket);
  }

  #read(data) {
    this.#pending = Buffer.concat([this.#pending, data]);
    for (let f = parseFrame(this.#pending); f; f = parseFrame(this.#pending)) {
      this.#pending = this.#pending.subarray(f.size);
      this.#take(f);
    }
  }

  #take({ fin, opcode, payload }) {
    if (opcode === 8) {
      if (this.#code === undefined) {
        this.#code = payload.length ? payload.readUInt16BE(0) : 1005;
        this.socket.end(frame(8, payload));
      }
      return;
    }
    if (opcode === 9) return void this.socket.write(frame(10, payload));
    if (opcode === 10) return;
    if (opcode) this.#opcode = opcode;
    this.#parts.push(payload);
    if (!fin) return;
    const message = [Buffer.concat(this.#parts.splice(0)), this.#opcode];
    if (this.#receive) this.#receive(...message);
    else this.#early.push(message);
  }
}

/** One masked frame. */
export function frame(opcode, data, { fin = true } = {}) {
  const payload = Buffer.from(data);
  const n = payload.length;
  const length = n < 126 ? Buffer.from([0x80 | n]) : n < 65536 ? Buffer.from([0xfe, n >> 8, n & 255]) : Buffer.from([0xff, 0, 0, 0, 0, n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
  const mask = randomBytes(4);
  for (let i = 0; i < n; i++) payload[i] ^= mask[i & 3];
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode]), length, mask, payload]);
}

function parseFrame(b) {
  if (b.length < 2) return null;
  assert.equal(b[1] & 0x80, 0, "a server does not mask");
  let [length, at] = [b[1] & 127, 2];
  if (length === 126) [length, at] = [b.length < 4 ? Infinity : b.readUInt16BE(2), 4];
  else if (length === 127) [length, at] = [b.length < 10 ? Infinity : Number(b.readBigUInt64BE(2)), 10];
  if (b.length < at + length) return null;
  return { fin: b[0] >= 0x80, opcode: b[0] & 15, payload: b.subarray(at, at + length), size: at + length };
}

// The two other transports, with the same face as a Socket

/** The halves of Server-Sent Events. */
export class Events {
  #early = [];
  #receive;
  first = ""; // the text before the first event

  constructor(url, headers, response) {
    this.url = url;
    this.headers = response.headers;
    this.status = response.statusCode;
    this.credentials = headers;
    this.posts = Promise.resolve();
    this.ended = new Promise((resolve) => response.once("close", () => resolve({})));
    let text = "";
    response.setEncoding("utf8").on("error", () => {}).on("data", (more) => {
      text += more;
      for (let m; (m = /\r\n\r\n|\n\n|\r\r/.exec(text));) {
        this.#event(text.slice(0, m.index));
        text = text.slice(m.index + m[0].length);
      }
    });
    open.set(() => response.destroy(), "an event stream");
    this.reset = () => response.destroy();
  }

  /** Opens the receive half; a refusal is the answer of the server. */
  static open(url, { headers = {} } = {}) {
    return new Promise((resolve, reject) => {
      const r = request(url, { agent: false, headers: { Accept: "text/event-stream", ...headers } }, (response) => {
        if (response.statusCode === 200) resolve(new Events(url, headers, response));
        else answer(response).then(resolve, reject);
      });
      r.once("error", reject);
      r.end();
    });
  }

  set onmessage(receive) {
    this.#receive = receive;
    for (const message of this.#early.splice(0)) receive(...message);
  }

  send(data) {
    return (this.posts = postAll(this, data));
  }

  #event(block) {
    const lines = block.split(/\r\n|\n|\r/).filter((line) => line && !line.startsWith(":"));
    if (!lines.length) return;
    const data = lines.map((line) => {
      assert.match(line, /^data: ?/);
      return line.replace(/^data: ?/, "");
    }).join("\n");
    if (this.#receive) this.#receive(Buffer.from(data), 1);
    else this.#early.push([Buffer.from(data), 1]);
  }
}

async function postAll(wire, data) {
  await wire.posts;
  const { status } = await post(wire.url, { body: data, headers: wire.credentials }).catch(() => ({ status: 0 }));
  return status; // 404 once the connection has ended; tests that care look
}

/** The halves of long polling: polls as long as it is let. */
export class Polling {
  #early = [];
  #receive;

  constructor(url, headers) {
    this.url = url;
    this.status = 200;
    this.credentials = headers;
    this.posts = Promise.resolve();
    this.aborted = new AbortController();
    forget(url, headers);
    this.reset = () => this.aborted.abort();
    this.ended = this.#run();
  }

  /** Makes the first poll; a refusal is the answer of the server. */
  static async open(url, { headers = {} } = {}) {
    const first = await ask(url, { headers });
    if (first.status !== 200) return first;
    assert.equal(first.body.length, 0, "the first poll is empty");
    return new Polling(url, headers);
  }

  set onmessage(receive) {
    this.#receive = receive;
    for (const message of this.#early.splice(0)) receive(message);
  }

  send(data) {
    return (this.posts = postAll(this, data));
  }

  async #run() {
    for (;;) {
      let response;
      try {
        response = await ask(this.url, { headers: this.credentials, signal: this.aborted.signal });
      } catch (error) {
        return { status: 0, error };
      }
      if (response.status !== 200) return { status: response.status, text: response.text };
      if (!response.body.length) continue;
      if (this.#receive) this.#receive(response.body);
      else this.#early.push(response.body);
    }
  }
}

const wires = {
  WebSockets: (url, o) => upgrade(url, o),
  ServerSentEvents: (url, o) => Events.open(url, o),
  LongPolling: (url, o) => Polling.open(url, o),
};

/** Attaches a transport; a refusal is the answer of the server. */
export const attach = (transport, url, o) => wires[transport](url, o);

// The hub protocol

/** One end of a hub connection. Everything the server says is in `log`. */
export class Peer {
  log = [];
  answer; // to the handshake
  #taken = new Set();
  #waiting = new Set();

  constructor(wire, encoding, at) {
    Object.assign(this, { wire, encoding }, at);
    this.over = false;
    this.ended = wire.ended.then((how) => {
      this.over = true;
      this.#wake();
      return how;
    });
  }

  /**
   * Negotiates, attaches a transport and shakes hands.
   *
   * @param {Server} server
   * @param {object} [o]
   * @param {string} [o.transport]  @param {string} [o.encoding]  @param {string} [o.hub]  @param {string} [o.token]
   * @param {number} [o.version]     of the handshake
   * @param {boolean} [o.stateful]   asks for stateful reconnect
   * @param {boolean} [o.handshake]  false leaves it to the test
   */
  static async open(server, { transport = "WebSockets", encoding = "json", hub = MAIN, token, version = 1, stateful = false, handshake = true } = {}) {
    const negotiated = await negotiate(server, { hub, token, query: `negotiateVersion=1${stateful ? "&useStatefulReconnect=true" : ""}` });
    const peer = await Peer.over(`${server.url}${hub}?id=${negotiated.connectionToken}`, { transport, encoding, token, version, handshake });
    peer.id = negotiated.connectionId;
    return peer;
  }

  /** Attaches a transport at a URL and shakes hands, unless told otherwise. */
  static async over(url, { transport = "WebSockets", encoding = "json", token, version = 1, handshake = true } = {}) {
    const wire = await attach(transport, url, { headers: bearer(token) });
    assert.equal(wire.status, transport === "WebSockets" ? 101 : 200, wire.text);
    const peer = new Peer(wire, encodings[encoding], { url, token, transport });
    wire.onmessage = (data, opcode) => peer.#hear(data, opcode);
    if (handshake) {
      await peer.shake(`{"protocol":"${encoding}","version":${version}}${END}`);
      assert.deepEqual(peer.answer, {});
    }
    return peer;
  }

  /** Comes back on a new socket, as stateful reconnect does: no handshake. */
  static async resume(old) {
    const wire = await upgrade(old.url, { headers: bearer(old.token) });
    assert.equal(wire.status, 101, wire.text);
    const peer = new Peer(wire, old.encoding, { url: old.url, token: old.token, id: old.id, transport: old.transport, answer: {} });
    wire.onmessage = (data, opcode) => peer.#hear(data, opcode);
    return peer;
  }

  /** Sends a handshake and waits for the answer. */
  async shake(text) {
    await this.wire.send(this.transport === "WebSockets" && this.encoding.name === "json" ? text : Buffer.from(text));
    return this.answered();
  }

  async answered() {
    await this.#until("answer to the handshake", () => this.answer);
    return this.answer;
  }

  /** Sends messages, in one frame or one POST. */
  send(...messages) {
    return this.bytes(Buffer.concat(messages.map((m) => this.encoding.record(m))));
  }

  bytes(data) {
    return this.transport === "WebSockets" ? this.wire.send(data, this.encoding.opcode) : this.wire.send(data);
  }

  /** Calls a method and waits for its completion. */
  async call(id, target, ...args) {
    await this.send({ type: 1, invocationId: id, target, arguments: args });
    return this.completion(id);
  }

  /** What no test has taken, but for pings. */
  get inbox() {
    return this.log.filter((m) => m.type !== 6 && !this.#taken.has(m));
  }

  /** Takes the first message that is meant, once, and waits for it. */
  async take(what, wanted, patience = PATIENCE) {
    let seen = 0;
    return this.#until(what, () => {
      for (; seen < this.log.length; seen++) {
        const m = this.log[seen];
        if (this.#taken.has(m) || !wanted(m)) continue;
        this.#taken.add(m);
        return m;
      }
      return undefined;
    }, patience);
  }

  completion(id) {
    return this.take(`completion of ${id}`, (m) => m.type === 3 && m.invocationId === id);
  }

  welcome() {
    return this.take("Welcome", (m) => m.type === 1 && m.target === "Welcome");
  }

  /** The Close message, and then the end of the transport. */
  async closed() {
    const close = await this.take("Close", (m) => m.type === 7);
    await this.ended;
    const { text, ...rest } = close;
    return rest;
  }

  #hear(data, opcode) {
    try {
      this.#parse(data, opcode);
    } catch (error) {
      this.fault ??= error; // whoever waits is told
    }
    this.#wake();
  }

  #parse(data, opcode) {
    if (this.answer === undefined) {
      const end = data.indexOf(0x1e);
      assert.ok(end >= 0, `the answer to the handshake is whole: ${data}`);
      this.answer = JSON.parse(data.subarray(0, end).toString());
      this.opcodes = [opcode];
      data = data.subarray(end + 1);
    } else {
      this.opcodes?.push(opcode);
    }
    if (data.length) {
      const messages = this.encoding.parse(data);
      this.log.push(...messages);
    }
  }

  #wake() {
    for (const look of [...this.#waiting]) look();
  }

  #until(what, find, patience = PATIENCE) {
    return new Promise((resolve, reject) => {
      let timer;
      const done = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const look = () => {
        const found = find();
        if (this.fault) done(reject, this.fault);
        else if (found) done(resolve, found);
        else if (this.over) done(reject, new Error(`no ${what}: the connection has ended; heard ${this.#tail()}`));
      };
      timer = setTimeout(() => done(reject, new Error(`no ${what} within ${patience} ms; heard ${this.#tail()}`)), patience);
      this.#waiting.add(look);
      look();
    });
  }

  #tail() {
    return JSON.stringify(this.log.slice(-5), (_, value) => (typeof value === "bigint" ? String(value) : value));
  }
}
