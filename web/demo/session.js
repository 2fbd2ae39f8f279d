// Signing in as one of the people of the development server.

import { learn } from "./clock.js";

/** A token is good for an hour; it is renewed well before. */
const RENEW_AFTER_MS = 50 * 60 * 1000;

/** The people one can be: [{id, name, email, roles}]. */
export async function people() {
  const response = await fetch("/dev/users", { cache: "no-store" });
  if (!response.ok) throw new Error(await refusal(response));
  return response.json();
}

/** One person and their tokens. */
export class Session {
  #token = null;
  #at = 0;
  /** Why the server hands out no token to this person, or empty. */
  refused = "";

  constructor(user) {
    this.user = user;
  }

  /** A token that is good for now. The stock client asks for it on every connect. */
  token = async () => {
    // The clock of the machine may be wrong, and sleep may pass unseen: a
    // connection that is lost asks for a new token too (forget).
    if (this.#token && performance.now() - this.#at < RENEW_AFTER_MS) return this.#token;
    const asked = Date.now();
    const response = await fetch("/dev/token", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user: this.user.id }),
      cache: "no-store",
    });
    if (!response.ok) throw await this.#refusal(response);
    learn(response.headers.get("Date"), asked, Date.now());
    const { token } = await response.json();
    this.refused = "";
    this.#at = performance.now();
    return (this.#token = token);
  };

  forget() {
    this.#token = null;
  }

  /** A server that is starting says 503: that passes. What it refuses, it will refuse again. */
  async #refusal(response) {
    const why = await refusal(response);
    if (response.status < 500) this.refused = why;
    return new Error(why);
  }
}

async function refusal(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error || response.statusText;
  } catch {
    return text.trim() || `The server answered ${response.status}.`;
  }
}
