// Tells the server up to where this tab has everything. Only the newest cursor
// matters, so one acknowledgement is under way at most.

export class Acks {
  acked = "";
  #invoke;
  #next = "";
  #busy = false;

  /** invoke(cursor) tells the server. */
  constructor(invoke) {
    this.#invoke = invoke;
  }

  /** The cursor of something that has been shown and kept. */
  async push(cursor) {
    this.#next = cursor;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#next) await this.#send();
    this.#busy = false;
  }

  async #send() {
    const cursor = this.#next;
    this.#next = "";
    try {
      await this.#invoke(cursor);
      this.acked = cursor;
    } catch {
      // The connection is gone. What was not acknowledged is replayed and
      // acknowledged then.
    }
  }
}
