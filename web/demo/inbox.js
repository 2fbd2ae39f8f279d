// The inbox of this person, as far as it is shown. The server keeps it: what
// somebody does here is asked of the server, and shown when the server tells
// every tab and device of it (InboxChanged).

import { now } from "./clock.js";
import { EVERYTHING, passes, query, states } from "./filter.js";
import { read } from "./notification.js";
import { brings, move, moves } from "./status.js";
import { lost, words } from "./words.js";

const PAGE = 50;
const MOST_AGAIN = 200; // as many as the server gives at once
const MOST = 1000; // of what comes by and by
/** How often a page is asked for again because something was done meanwhile. */
const TRIES = 5;
const SEEN_EVERY_MS = 1000;
const FRAME_MS = 16;
const MOST_MS = 2 ** 31 - 1; // of a timer

const MARKS = {
  read: { method: "MarkRead", may: "mark it as read" },
  unread: { method: "MarkUnread", may: "mark it as unread" },
  archived: { method: "Archive", may: "archive it" },
  unarchived: { method: "Unarchive", may: "take it out of the archive" },
};
const NOWHERE = { position: 0, state: 0 };

/** A "change" event tells of every change. */
export class Inbox extends EventTarget {
  /** What is shown, newest first. */
  items = [];
  counts = { unseen: 0, unread: 0 };
  /** What the counts are made of: the end of the log, and the newest change. */
  version = NOWHERE;
  filter = EVERYTHING;
  /** Has the server answered? Is a page under way? */
  loaded = false;
  loading = false;
  /** Why something could not be done, and why something could not be loaded. */
  problem = "";
  failure = "";

  #ask;
  #held = []; // what the server has in the inbox, newest first
  #next = ""; // asks for what lies behind it; empty = nothing does
  #end = 0; // the position up to which it is complete
  #state = 0; // the change up to which it is right
  #unsure = []; // came for a group: the inbox has it only if the membership is a durable one
  #passing = []; // came for a group that this connection alone has joined
  #replayed = new Set(); // positions
  #seen = { upTo: 0, at: -Infinity, timer: 0 };
  #wanted = ""; // what is to be loaded: "head", "whole", or nothing
  #turn = 0; // grows when answers under way have become useless
  #soon = 0;
  #expiry = 0;

  /** ask(method, ...args) invokes a hub method. */
  constructor(ask) {
    super();
    this.#ask = ask;
  }

  /** Is there more behind what is shown? */
  get more() {
    return this.#next !== "";
  }

  /** The connection is there, and much may have happened without it. */
  connected() {
    this.version = NOWHERE; // of a log that was made anew the numbers begin again
    this.#state = this.#end = this.#seen.upTo = 0;
    this.#anew();
  }

  /** Shows another part of the inbox. */
  show(filter) {
    this.filter = { ...this.filter, ...filter };
    this.#held = [];
    this.#next = "";
    this.#anew();
    this.#tell();
  }

  #anew() {
    this.loaded = false;
    this.#turn++;
    this.#load("whole");
  }

  /** An event has come for this connection. */
  hear(item) {
    if (!item.id || item.position < 1) return; // nobody could do anything with it
    if (item.replayed) this.#replays(item.position);
    const known = [...this.#held, ...this.#unsure, ...this.#passing].find(({ position }) => position === item.position);
    const ofGroup = item.recipient.kind === "group";
    if (known) known.replayed = item.replayed;
    else if (ofGroup) this.#unsure.push(item);
    // What is replayed may have been read on another device: the server knows.
    else if (!item.replayed && this.loaded && passes(this.filter, item)) this.#insert(item);
    if (!known && (ofGroup || item.replayed)) this.#load("head");
    this.#tellSoon();
  }

  #replays(position) {
    this.#replayed.add(position);
    if (this.#replayed.size > MOST) this.#replayed.delete(this.#replayed.values().next().value);
  }

  #insert(item) {
    if (item.collapseKey) this.#held = this.#held.filter((old) => !replaces(item, old));
    this.#held.push(item);
    this.#held.sort(newestFirst);
    if (this.#held.length > MOST) this.#load("whole");
  }

  /** The event of that id was taken back. */
  recalled(id) {
    const others = (list) => list.filter((item) => item.id !== id);
    [this.#held, this.#unsure, this.#passing] = [this.#held, this.#unsure, this.#passing].map(others);
    this.#tell();
  }

  /** Something was done on any device, has come, or has expired. */
  changed({ counts, version, changes }) {
    this.#count({ counts, version });
    const newer = version.state > this.#state;
    this.#state = Math.max(this.#state, version.state);
    if (this.loaded) {
      const unknown = newer && changes.filter((change) => !this.#apply(change)).length > 0;
      if (unknown) this.#load("whole");
      else if (version.position > this.#end) this.#load("head"); // what is muted comes in no other way
    }
    this.#tell();
  }

  /** False if only the server knows what is to be shown after a change. */
  #apply({ kind, positions, upTo }) {
    if (!moves(kind)) return false;
    const meant = this.#held.filter(({ position }) => (upTo ? position <= upTo : positions.includes(position)));
    const clear = meant.filter((item) => move(item, kind)).length === meant.length;
    const all = !upTo && meant.length === positions.length;
    this.#held = this.#held.filter((item) => passes(this.filter, item));
    return clear && (all || !brings(kind, states(this.filter)));
  }

  /** kind: read, unread, archived, unarchived. */
  mark(kind, { position }) {
    return this.#do(MARKS[kind].may, MARKS[kind].method, [position]);
  }

  readAll() {
    return this.#do("mark all as read", "MarkAllRead", this.items[0].position);
  }

  async #do(may, method, ...args) {
    this.problem = "";
    try {
      this.#count(tally(await this.#ask(method, ...args)));
    } catch (error) {
      this.problem = words(error, may);
    }
    this.#tell();
  }

  /** What is shown is in front of somebody's eyes. In a burst that is said once a second. */
  seeAll() {
    const upTo = this.items[0]?.position ?? 0;
    const { at, timer } = this.#seen;
    if (timer || this.counts.unseen === 0 || upTo <= this.#seen.upTo) return;
    const wait = at + SEEN_EVERY_MS - performance.now();
    if (wait > 0) {
      this.#seen.timer = setTimeout(() => { this.#seen.timer = 0; this.seeAll(); }, wait);
      return;
    }
    Object.assign(this.#seen, { upTo, at: performance.now() });
    this.#ask("MarkAllSeen", upTo).then((answer) => {
      this.#count(tally(answer));
      this.#tell();
    }, () => { this.#seen.upTo = 0; }); // the next time
  }

  /** Loads what lies behind what is shown, or what could not be loaded before. */
  async older() {
    if (this.loading) return;
    if (this.#wanted) return this.#catchUp();
    if (!this.#next) return;
    const [turn, next] = [this.#turn, this.#next];
    await this.#busy(async () => {
      const page = await this.#page({ before: next, limit: PAGE }, turn);
      if (!page || this.#next !== next) return;
      this.#held.push(...page.items);
      this.#next = page.next;
    });
    this.#catchUp();
  }

  /** what: "head" = the newest page, what is behind it stays; "whole" = all that is shown. */
  #load(what) {
    if (this.#wanted !== "whole") this.#wanted = what;
    this.#catchUp();
  }

  async #catchUp() {
    while (this.#wanted && !this.loading) {
      const [turn, what] = [this.#turn, this.#wanted];
      this.#wanted = "";
      const limit = what === "head" ? PAGE : Math.min(Math.max(this.#held.length, PAGE), MOST_AGAIN);
      await this.#busy(async () => {
        const page = await this.#page({ limit }, turn);
        if (page) this.#take(page, what);
      });
      if (this.failure) {
        this.#wanted ||= what; // when somebody tries again
        return;
      }
    }
  }

  async #busy(load) {
    const turn = this.#turn;
    this.loading = true;
    this.failure = "";
    this.#tellSoon();
    try {
      await load();
    } catch (error) {
      // When the connection is back everything is loaded anew.
      if (turn === this.#turn && !lost(error)) this.failure = words(error, "see this");
    }
    this.loading = false;
    this.#tell();
  }

  /** A page that is right up to the newest change, or null if it is of no use any more. */
  async #page(part, turn) {
    for (let tries = 1; ; tries++) {
      const page = readPage(await this.#ask("Inbox", { ...query(this.filter), ...part }));
      if (turn !== this.#turn) return null;
      if (page.version.state < this.#state && tries < TRIES) continue;
      this.#count(page);
      for (const item of page.items) item.replayed = this.#replayed.has(item.position);
      return page;
    }
  }

  #take({ items, next, version }, what) {
    const oldest = next ? items.at(-1).position : 0;
    const joins = what === "head" && this.#end >= oldest; // nothing lies between the page and what is behind it
    const newer = this.loaded ? this.#held.filter(({ position }) => position > version.position) : [];
    const older = joins ? this.#held.filter(({ position }) => position < oldest) : [];
    const known = new Map(this.#held.map((item) => [item.position, item]));
    if (!joins || !next) this.#next = next;
    this.#held = [...newer, ...items.map((item) => update(known.get(item.position), item)), ...older];
    this.#end = version.position;
    // What is behind the page may be older than it: changes that are still to be
    // told are applied to both, which does no harm to the page.
    if (!joins) this.#state = Math.max(this.#state, version.state);
    this.loaded = true;
    this.#decide(new Set(items.map(({ position }) => position)), oldest);
  }

  /** What came for a group and is not in the inbox was for this connection. */
  #decide(held, oldest) {
    const decided = (item) => item.position <= this.#end && (held.has(item.position) || (item.position >= oldest && passes(this.filter, item)));
    for (const item of this.#unsure.filter(decided)) {
      if (!held.has(item.position)) this.#passing.push(Object.assign(item, { passing: true, state: "read" }));
    }
    this.#passing.splice(0, this.#passing.length - MOST);
    this.#unsure = this.#unsure.filter((item) => !decided(item)).slice(-MOST);
    if (this.#unsure.some(({ position }) => position > this.#end)) this.#load("head");
  }

  /** Of two counts the newer one stays. */
  #count({ counts, version }) {
    const { position, state } = this.version;
    const older = version.position <= position && version.state <= state && (version.position < position || version.state < state);
    if (!older) [this.counts, this.version] = [counts, version];
  }

  #tell() {
    clearTimeout(this.#soon);
    this.#soon = 0;
    this.#expire();
    this.items = [...this.#held, ...this.#passing.filter((item) => passes(this.filter, item))].sort(newestFirst);
    this.dispatchEvent(new Event("change"));
  }

  /** What comes in a burst is told together. */
  #tellSoon() {
    this.#soon ||= setTimeout(() => this.#tell(), FRAME_MS);
  }

  #expire() {
    const left = (list) => list.filter(({ expiresAt }) => expiresAt === null || expiresAt > now());
    [this.#held, this.#passing] = [left(this.#held), left(this.#passing)];
    const next = Math.min(...this.#held.map(({ expiresAt }) => expiresAt ?? Infinity));
    clearTimeout(this.#expiry);
    if (next < Infinity) this.#expiry = setTimeout(() => this.#tell(), Math.min(next - now(), MOST_MS));
  }
}

/** An item stays the same object as long as it is shown. */
function update(item, fresh) {
  if (item?.id !== fresh.id) return fresh;
  const { state, muted, replayed } = fresh;
  return Object.assign(item, { state, muted, replayed, beneath: state === "archived" ? item.beneath : "" });
}

const newestFirst = (a, b) => b.position - a.position;

/** A later event of the same key replaces an earlier one that was not read. */
const replaces = (item, old) => old.state !== "read" && old.collapseKey === item.collapseKey && old.position < item.position
  && old.recipient.kind === item.recipient.kind && old.recipient.key === item.recipient.key;

const number = (value) => Number(value) || 0;

/** The counters of an answer. Nothing is trusted to have the form it should have. */
function tally(answer) {
  return {
    counts: { unseen: number(answer?.counts?.unseen), unread: number(answer?.counts?.unread) },
    version: { position: number(answer?.version?.position), state: number(answer?.version?.state) },
  };
}

const array = (value) => (Array.isArray(value) ? value : []);

function readPage(answer) {
  return { ...tally(answer), items: array(answer?.items).map(read), next: typeof answer?.next === "string" ? answer.next : "" };
}

/** What InboxChanged says. */
export function readChanged(message) {
  const changes = array(message?.changed).map((change) => ({
    kind: typeof change?.kind === "string" ? change.kind : "", positions: array(change?.positions).map(number), upTo: number(change?.upTo),
  }));
  return { ...tally(message), changes };
}
