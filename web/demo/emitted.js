// What this tab has emitted, and what of it waits for its time.

import { now } from "./clock.js";
import { tab } from "./storage.js";

const MOST = 500;

/** A "change" event tells of every change. */
export class Emitted extends EventTarget {
  /** What waits: {id, title, recipient, due}, the next first. */
  waiting;
  #ids;
  #key;

  constructor(userId) {
    super();
    this.#key = `emitted/${userId}`;
    const kept = tab.read(this.#key);
    this.#ids = new Set(Array.isArray(kept?.ids) ? kept.ids : []);
    this.waiting = Array.isArray(kept?.waiting) ? kept.waiting : [];
  }

  has({ id }) {
    return this.#ids.has(id);
  }

  /** An event is being emitted: it may be heard before the server has answered. */
  add({ id }) {
    this.#ids.add(id);
    if (this.#ids.size > MOST) this.#ids.delete(this.#ids.values().next().value);
    this.#keep();
  }

  wait(entry) {
    this.waiting = [...this.waiting.filter(({ id }) => id !== entry.id), entry].sort((a, b) => a.due - b.due).slice(-MOST);
    this.#keep();
  }

  /** It waits no longer. */
  over(id) {
    if (!this.waiting.some((entry) => entry.id === id)) return;
    this.waiting = this.waiting.filter((entry) => entry.id !== id);
    this.#keep();
  }

  /** What was due by then has gone to its recipients, whom this page may not be among. */
  settle(grace) {
    for (const { id, due } of this.waiting) if (due + grace < now()) this.over(id);
  }

  #keep() {
    tab.write(this.#key, { ids: [...this.#ids], waiting: this.waiting });
    this.dispatchEvent(new Event("change"));
  }
}
