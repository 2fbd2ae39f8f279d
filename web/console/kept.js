// What the browser keeps. Storage may be blocked or full: then it is kept as
// long as the page, and nothing else changes.

class Kept {
  #store;
  #here = new Map();

  /** store names one of the window's: it throws when it is blocked. */
  constructor(store) {
    this.#store = store;
  }

  read(key) {
    if (this.#here.has(key)) return this.#here.get(key);
    try {
      return window[this.#store].getItem(name(key)) ?? "";
    } catch {
      return "";
    }
  }

  /** An empty value is forgotten. */
  write(key, value) {
    this.#here.set(key, value);
    try {
      if (value) window[this.#store].setItem(name(key), value);
      else window[this.#store].removeItem(name(key));
    } catch {
      // then it is kept here
    }
  }
}

const name = (key) => `tidings/console/${key}`;

/** Kept for this tab. */
export const tab = new Kept("sessionStorage");

/** Kept for this browser. */
export const browser = new Kept("localStorage");
