// Where a text is no JSON (RFC 8259). The browser's own parser says what is
// wrong, but not always where.

/** {ok, value} or {ok: false, reason, at, line, column}; at counts from 0, line and column from 1. */
export function check(text) {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    const { at, reason } = new Reader(text).fault();
    const before = text.slice(0, at).split("\n");
    return { ok: false, reason, at, line: before.length, column: before.at(-1).length + 1 };
  }
}

const DEEPEST = 1000;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = ["true", "false", "null"];

class Reader {
  #text;
  #at = 0;

  constructor(text) {
    this.#text = text;
  }

  /** The first place at which it cannot go on as JSON. */
  fault() {
    try {
      this.#value(0);
      this.#space();
      if (this.#at < this.#text.length) this.#fail("there is more behind the value");
    } catch (error) {
      if (error instanceof Fault) return error;
      throw error;
    }
    return new Fault(this.#at, "it is no JSON"); // the parser found what this did not
  }

  #value(depth) {
    this.#space();
    if (depth > DEEPEST) this.#fail("it is too deep");
    const next = this.#text[this.#at];
    if (next === "{") return this.#list("}", () => this.#member(depth));
    if (next === "[") return this.#list("]", () => this.#value(depth + 1));
    if (next === '"') return this.#string();
    const word = WORDS.find((one) => this.#text.startsWith(one, this.#at));
    if (word) this.#at += word.length;
    else if (!this.#skip(NUMBER)) this.#fail(next === undefined ? "it ends where a value should be" : "a value should be here");
    return undefined;
  }

  #list(end, item) {
    const open = this.#text[this.#at++];
    this.#space();
    if (this.#take(end)) return;
    for (;;) {
      item();
      this.#space();
      if (this.#take(end)) return;
      if (!this.#take(",")) this.#fail(this.#at >= this.#text.length ? `it ends before the ${end} of a ${open}` : `a comma or ${end} should be here`);
    }
  }

  #member(depth) {
    this.#space();
    if (this.#text[this.#at] !== '"') this.#fail("a name in double quotes should be here");
    this.#string();
    this.#space();
    if (!this.#take(":")) this.#fail("a colon should be here");
    this.#value(depth + 1);
  }

  #string() {
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at];
      if (c === '"') {
        this.#at++;
        return;
      }
      if (c < " ") this.#fail(c === "\n" ? "the line ends inside of a text" : "a control character must be written as \\u00XX");
      if (c === "\\") this.#escape();
    }
    this.#fail("it ends inside of a text");
  }

  #escape() {
    if (!/^\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.test(this.#text.slice(this.#at, this.#at + 6))) this.#fail("there is no such escape");
    this.#at++;
  }

  #space() {
    this.#skip(SPACE);
  }

  #skip(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found.length > 0;
  }

  #take(c) {
    if (this.#text[this.#at] !== c) return false;
    this.#at++;
    return true;
  }

  #fail(reason) {
    throw new Fault(this.#at, reason);
  }
}

class Fault extends Error {
  constructor(at, reason) {
    super(reason);
    this.at = at;
    this.reason = reason;
  }
}
