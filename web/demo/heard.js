// What this tab was told already: what was shown but not yet acknowledged comes
// again, and must not be announced again.

import { tab } from "./storage.js";

const MOST = 5000;

export class Heard {
  #ids;
  #key;

  constructor(userId) {
    this.#key = `heard/${userId}`;
    const kept = tab.read(this.#key);
    this.#ids = new Set(Array.isArray(kept) ? kept : []);
  }

  /** False if it was heard before. */
  add({ id }) {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > MOST) this.#ids.delete(this.#ids.values().next().value);
    return true;
  }

  /** Keeps it over a reload. */
  keep() {
    tab.write(this.#key, [...this.#ids]);
  }
}
