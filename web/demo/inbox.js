// What this tab has been told, newest first. What is read is known to this tab
// only.

import { tab } from "./storage.js";

/** Grows when items change their form: what was kept in an older one is of no use. */
const FORM = 1;
const MOST = 1000; // in memory
const MOST_KEPT = 200; // over a reload
const MOST_IDS = 5000;
const FRAME_MS = 16;

/** A "change" event tells of every change. */
export class Inbox extends EventTarget {
  items = [];
  #ids;
  #key;
  #soon = 0;

  constructor(userId) {
    super();
    this.#key = `inbox/${FORM}/${userId}`;
    const kept = tab.read(this.#key);
    this.items = Array.isArray(kept?.items) ? kept.items : [];
    this.#ids = new Set(Array.isArray(kept?.ids) ? kept.ids : []);
  }

  get unread() {
    return this.items.reduce((n, item) => n + (item.unread ? 1 : 0), 0);
  }

  /** False if it was here before: what was shown but not yet acknowledged comes again. */
  add(item) {
    if (this.#ids.has(item.id)) return false;
    this.#ids.add(item.id);
    if (this.#ids.size > MOST_IDS) this.#ids.delete(this.#ids.values().next().value);
    if (item.collapseKey) this.#collapse(item);
    this.items.unshift(item);
    if (this.items.length > MOST) this.items.length = MOST;
    this.#tellSoon();
    return true;
  }

  /** A later event of the same key replaces an unread earlier one. */
  #collapse({ collapseKey, recipient }) {
    this.items = this.items.filter((old) => !(old.unread && old.collapseKey === collapseKey
      && old.recipient.kind === recipient.kind && old.recipient.key === recipient.key));
  }

  mark(item, unread) {
    if (item.unread === unread) return;
    item.unread = unread;
    this.#tell();
  }

  readAll() {
    for (const item of this.items) item.unread = false;
    this.#tell();
  }

  /** Keeps it over a reload: as much as the browser takes. */
  keep() {
    const ids = [...this.#ids];
    for (let n = MOST_KEPT; n > 0; n = Math.floor(n / 4)) {
      if (tab.write(this.#key, { ids, items: this.items.slice(0, n) })) return;
    }
  }

  #tell() {
    clearTimeout(this.#soon);
    this.#soon = 0;
    this.dispatchEvent(new Event("change"));
  }

  /** What comes in a burst is told together. */
  #tellSoon() {
    this.#soon ||= setTimeout(() => this.#tell(), FRAME_MS);
  }
}
