// A plug between the stock client and a server, which is pulled in every way a
// network has. It cuts WebSockets only, and only those that are open: a client
// comes back once, at once, and takes a socket that cannot be opened for the
// end.

import { connect, createServer } from "node:net";
import { breakOff } from "../test/net.mjs";
import { atEnd } from "./raw.mjs";

const HEAD_END = Buffer.from("\r\n\r\n");

/** One connection through the plug. */
class Pair {
  open = false; // the answer to its upgrade has been passed on
  cut = false;
  plan; // what to do with the next bytes

  constructor(near, host, port, wire) {
    this.near = near;
    this.far = connect(port, host);
    this.wire = wire;
    this.head = Buffer.alloc(0);
    this.far.on("data", (data) => this.#down(data));
    near.on("data", (data) => this.#up(data));
    for (const socket of [near, this.far]) socket.on("error", () => {}).on("close", () => this.#closed(socket));
  }

  #closed(socket) {
    if (this.cut) return;
    this.wire.pairs.delete(this);
    const other = socket === this.near ? this.far : this.near;
    other.end();
    other.destroySoon();
  }

  /** From the client. */
  #up(data) {
    if (this.cut) return;
    if (this.open && this.plan?.up !== undefined) return this.#partly(this.far, data, this.plan.up);
    this.far.write(data);
  }

  /** From the server. */
  #down(data) {
    if (this.cut) return;
    if (!this.open) {
      data = this.#upgrading(data);
      if (!data.length) return;
    }
    if (this.plan?.hold !== undefined) return this.#first(data);
    if (this.plan?.down !== undefined) return this.#partly(this.near, data, this.plan.down);
    this.near.write(data);
  }

  /** Passes the head of the answer on, by itself. */
  #upgrading(data) {
    this.head = Buffer.concat([this.head, data]);
    const end = this.head.indexOf(HEAD_END);
    if (end < 0) return Buffer.alloc(0);
    const [head, rest] = [this.head.subarray(0, end + 4), this.head.subarray(end + 4)];
    this.near.write(head);
    this.open = /^HTTP\/1\.1 101 /.test(head.toString("latin1"));
    this.head = Buffer.alloc(0);
    if (this.open) this.wire.opened(this);
    else this.near.write(rest);
    if (!/^HTTP\/1\.1 (101|200) /.test(head.toString("latin1"))) this.wire.refused.push(head.toString("latin1").split("\r\n")[0]);
    return this.open ? rest : Buffer.alloc(0);
  }

  /** Passes a part of some bytes on, then cuts. */
  #partly(to, data, share) {
    const part = data.subarray(0, Math.floor(share * (data.length + 1)));
    const { style } = this.plan;
    if (!part.length) return this.end(style);
    this.cut = true; // nothing more passes
    to.write(part, () => this.end(style));
  }

  /** Passes the first frame on and no more, and cuts after a while. The other direction is open. */
  #first(data) {
    if (this.passed) return;
    this.head = Buffer.concat([this.head, data]);
    const [size, at] = this.head.length < 4 ? [Infinity, 0] : this.head[1] < 126 ? [this.head[1], 2] : [this.head.readUInt16BE(2), 4];
    if (this.head.length < at + size) return;
    this.passed = true;
    this.near.write(this.head.subarray(0, at + size));
    setTimeout(() => !this.cut && this.end(this.plan.style), this.plan.hold);
  }

  /** Cuts: how the two ends learn of it is the style. */
  end(style) {
    this.cut = true;
    this.wire.pairs.delete(this);
    switch (style) {
      case "reset":
        breakOff(this.near);
        breakOff(this.far);
        break;
      case "close":
        this.near.destroy();
        this.far.destroy();
        break;
      case "half-open": // the server is not told, and what it sends vanishes
        breakOff(this.near);
        this.wire.ghosts.add(this.far);
        this.far.on("close", () => this.wire.ghosts.delete(this.far));
        break;
      case "stalled": // the server is not told, and nobody reads what it sends
        breakOff(this.near);
        this.far.pause();
        this.wire.ghosts.add(this.far);
        this.far.on("close", () => this.wire.ghosts.delete(this.far));
        break;
      default:
        throw new Error(`no such cut: ${style}`);
    }
    this.wire.cuts++;
    this.wire.last = `${style} ${this.plan ? JSON.stringify(this.plan) : "at once"}`;
    this.wire.byStyle[style] = (this.wire.byStyle[style] ?? 0) + 1;
  }
}

export const styles = ["reset", "close", "half-open", "stalled"];

/** @param {string} target "HOST:PORT" */
export async function plug(target) {
  const at = target.lastIndexOf(":");
  const [host, port] = [target.slice(0, at), Number(target.slice(at + 1))];
  const wire = { pairs: new Set(), ghosts: new Set(), cuts: 0, byStyle: {}, last: "", refused: [], next: undefined, opened };
  const listener = createServer((near) => {
    near.setNoDelay();
    wire.pairs.add(new Pair(near, host, port, wire));
  });

  function opened(pair) {
    pair.plan = wire.next;
    wire.next = undefined;
  }

  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  wire.url = `http://127.0.0.1:${listener.address().port}`;

  /** The WebSocket that is open, if there is one. */
  wire.live = () => [...wire.pairs].find((pair) => pair.open && !pair.cut);

  /** Cuts the open WebSocket; false if there is none. */
  wire.pull = (style) => {
    const pair = wire.live();
    if (!pair) return false;
    pair.end(style);
    return true;
  };

  /** Cuts the open WebSocket in the middle of what comes next from one side. */
  wire.pullAmid = (side, share, style) => {
    const pair = wire.live();
    if (!pair) return false;
    pair.plan = { [side]: share, style };
    return true;
  };

  /** Cuts the WebSocket that is opened next, amid the first bytes of one side: the Sequence. */
  wire.pullNext = (side, share, style) => { wire.next = { [side]: share, style }; };

  /** Lets nothing but the first frame of the server through on the WebSocket that is opened next, and cuts it after some milliseconds. */
  wire.holdNext = (hold, style) => { wire.next = { hold, style }; };

  wire.close = () => {
    for (const { near, far } of wire.pairs) {
      near.destroy();
      far.destroy();
    }
    for (const ghost of wire.ghosts) ghost.destroy();
    return new Promise((resolve) => listener.close(resolve));
  };
  atEnd("the plug", wire.close);
  return wire;
}
