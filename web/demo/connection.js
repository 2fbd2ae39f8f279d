// A connection to a hub that is there, or on its way back.

import { HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
import { through } from "./plug.js";

/** Until it works: at once, then slower. */
const DELAYS = [0, 2000, 10_000, 30_000];
const SPREAD = 0.1; // a server that was restarted is not met by everybody in the same instant

const delay = (attempt) => {
  const ms = DELAYS[Math.min(attempt, DELAYS.length - 1)];
  return ms + Math.random() * SPREAD * ms;
};

/**
 * Its state is one of
 *   connecting              for the first time
 *   live
 *   reconnecting, attempt n
 *   offline, reason         and it stays so until start
 *
 * A "state" event tells of every change.
 */
export class Connection extends EventTarget {
  state = { name: "connecting", attempt: 0, reason: "" };
  #hub;
  #session;
  #wanted = false;
  #retry = 0;

  /** handlers: client methods by name. */
  constructor(url, session, handlers) {
    super();
    this.#session = session;
    this.#hub = new HubConnectionBuilder()
      .withUrl(url, { accessTokenFactory: session.token, ...through() })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (context) => this.#next(context.previousRetryCount) })
      .configureLogging(LogLevel.None) // the page itself says what is wrong
      .build();
    for (const [method, handler] of Object.entries(handlers)) this.#hub.on(method, handler);
    this.#hub.onreconnecting(() => session.forget());
    this.#hub.onreconnected(() => this.#become("live"));
    this.#hub.onclose((error) => this.#closed(error));
  }

  /** The stock client does not repeat a first attempt that fails, so this does. */
  async start() {
    this.#wanted = true;
    for (let attempt = 0; this.#wanted; attempt++) {
      this.#become("connecting", attempt);
      try {
        await this.#hub.start();
        this.#become("live");
        return;
      } catch (error) {
        if (!this.#wanted) return;
        if (this.#session.refused) return this.#become("offline", 0, this.#session.refused);
        this.#session.forget();
        await this.#pause(delay(attempt + 1));
      }
    }
  }

  async stop() {
    this.#wanted = false;
    clearTimeout(this.#retry);
    await this.#hub.stop();
  }

  /** Does not wait for the next attempt. */
  async hurry() {
    if (this.state.name === "live") return;
    await this.stop();
    await this.start();
  }

  invoke(method, ...args) {
    return this.#hub.invoke(method, ...args);
  }

  /** Sends without waiting for an answer. */
  send(method, ...args) {
    return this.#hub.send(method, ...args);
  }

  get connected() {
    return this.#hub.state === HubConnectionState.Connected;
  }

  #next(retries) {
    if (this.#session.refused) return null;
    this.#become("reconnecting", retries + 1);
    return delay(retries);
  }

  /** After stop it never ends, and so neither does the start that waits. */
  #pause(ms) {
    return new Promise((resolve) => { this.#retry = setTimeout(resolve, ms); });
  }

  #closed(error) {
    if (this.#wanted) this.#become("offline", 0, this.#session.refused || error?.message || "The server has ended the connection.");
  }

  #become(name, attempt = 0, reason = "") {
    this.state = { name, attempt, reason };
    this.dispatchEvent(new Event("state"));
  }
}
