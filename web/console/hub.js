// The one connection to the server. It is made again for ever, and streams are
// begun again with it.

import { HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { tab } from "./kept.js";
import { learn } from "./parts/time.js";
import { refused, words } from "./words.js";

const URL_OF_HUB = "/console/hub";

/** Until it works: at once, then slower. */
const DELAYS = [0, 1000, 2000, 5000, 10_000];

/** How long a question waits for a connection that is being made. */
const PATIENCE_MS = 15_000;

const delay = (attempt) => DELAYS[Math.min(attempt, DELAYS.length - 1)];

class Hub {
  /**
   * connecting    for the first time, or after somebody signed in or out
   * live
   * reconnecting
   * offline       reason says why; it stays so until somebody signs in
   */
  state = "connecting";
  reason = "";

  /** What the server says of itself and of who is looking (Who), as long as it is live; null before. */
  who = null;

  #connection = null;
  #streams = new Set();
  #listeners = new Set();
  #retry = 0;

  /** Makes the connection. Once, by the program. */
  start() {
    this.#open();
  }

  /**
   * Asks the server. While the connection is being made it waits. It rejects
   * with an Error whose message is fit to be shown.
   */
  async call(method, args = {}) {
    await this.#whenLive();
    try {
      return await this.#connection.invoke(method, args);
    } catch (error) {
      throw new Error(words(error), { cause: error });
    }
  }

  /**
   * Listens to a stream until the function that it returns is called. begin, if
   * given, is called each time it begins, which is after each reconnect, too:
   * what came before is told again or was missed.
   */
  stream(method, args, { next, error, begin }) {
    const stream = { method, args, next, error, begin, subscription: null };
    this.#streams.add(stream);
    if (this.state === "live") this.#begin(stream);
    return () => {
      this.#streams.delete(stream);
      stream.subscription?.dispose();
    };
  }

  /** Calls fn at every change of the state. Returns what ends that. */
  onState(fn) {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** Is somebody signed in, and not just looking? */
  get signedIn() {
    return tab.read("token") !== "";
  }

  /** Makes the connection anew with a token. Rejects if the server does not take it, and goes on without. */
  async signIn(token) {
    tab.write("token", token);
    await this.#open();
    await this.#whenLive().catch(() => {}); // then it went without, and was refused again
    if (!this.signedIn) throw new Error("The server does not take this token.");
  }

  async signOut() {
    tab.write("token", "");
    await this.#open();
  }

  /** Whatever there was is ended first; what it still tells is not heard. */
  async #open() {
    const before = this.#connection;
    const connection = this.#connection = this.#build();
    clearTimeout(this.#retry);
    this.#become("connecting");
    await before?.stop();
    if (connection === this.#connection) await this.#attempt(connection, 0);
  }

  #build() {
    const connection = new HubConnectionBuilder()
      .withUrl(URL_OF_HUB, { accessTokenFactory: () => tab.read("token") })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: ({ previousRetryCount, retryReason }) => (refused(retryReason) ? null : delay(previousRetryCount)) })
      .configureLogging(LogLevel.None) // the page itself says what is wrong
      .build();
    const ours = (then) => (error) => connection === this.#connection && then(error);
    connection.onreconnecting(ours(() => this.#become("reconnecting")));
    connection.onreconnected(ours(() => this.#greet(connection).catch((error) => this.#failed(connection, error, 0))));
    connection.onclose(ours((error) => this.state !== "connecting" && this.#failed(connection, error, 0)));
    return connection;
  }

  async #attempt(connection, attempt) {
    try {
      if (connection.state === HubConnectionState.Disconnected) await connection.start();
      await this.#greet(connection);
    } catch (error) {
      if (connection === this.#connection) this.#failed(connection, error, attempt);
    }
  }

  /** A token that is no longer good is forgotten: without one may still look. */
  #failed(connection, error, attempt) {
    const no = refused(error);
    if (no && !this.signedIn) return this.#become("offline", "The server tells nothing to somebody it does not know. Sign in.");
    if (no) tab.write("token", "");
    this.#become(this.state === "connecting" ? "connecting" : "reconnecting");
    this.#retry = setTimeout(() => this.#attempt(connection, attempt + 1), no ? 0 : delay(attempt + 1));
  }

  async #greet(connection) {
    const who = await connection.invoke("Who", {});
    if (connection !== this.#connection) return;
    clearTimeout(this.#retry);
    learn(who.now);
    this.who = who;
    const waiting = [...this.#streams]; // whoever hears of it may add some, which begin by themselves
    this.#become("live");
    for (const stream of waiting) if (this.#streams.has(stream)) this.#begin(stream);
  }

  #begin(stream) {
    const connection = this.#connection;
    stream.subscription?.dispose();
    stream.begin?.();
    stream.subscription = connection.stream(stream.method, stream.args).subscribe({
      next: stream.next,
      complete: () => {},
      // A connection that is lost fails its streams a moment before it says so. Those begin again.
      error: (error) => queueMicrotask(() => {
        if (connection.state === HubConnectionState.Connected && this.#streams.has(stream)) stream.error?.(new Error(words(error), { cause: error }));
      }),
    });
  }

  #whenLive() {
    if (this.state === "live") return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (then, value) => {
        clearTimeout(timer);
        off();
        then(value);
      };
      const check = () => {
        if (this.state === "live") done(resolve);
        if (this.state === "offline") done(reject, new Error(this.reason));
      };
      const timer = setTimeout(() => done(reject, new Error("The server cannot be reached. It is tried again.")), PATIENCE_MS);
      const off = this.onState(check);
      check();
    });
  }

  #become(state, reason = "") {
    this.state = state;
    this.reason = reason;
    for (const tell of [...this.#listeners]) tell();
  }
}

export const hub = new Hub();
