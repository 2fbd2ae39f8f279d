// What raises no alert for this person. The server keeps it, and tells every tab
// and device when it changes.

import { now } from "./clock.js";

/** A "change" event tells of every change. */
export class Preferences extends EventTarget {
  mutes = []; // {type or group, until?}
  quietHours = null; // {from, to, zone, days?}
  #version = 0;
  #ask;

  /** ask(method, ...args) invokes a hub method. */
  constructor(ask) {
    super();
    this.#ask = ask;
  }

  /** The connection is there. */
  connected() {
    this.#version = 0;
    return this.load();
  }

  /** The next time, if it cannot be done now. */
  load() {
    return this.#adopt("Preferences").catch(() => {});
  }

  /** what: {type} or {group}. until: a time in milliseconds, or null for ever. */
  mute(what, until) {
    return this.#adopt("Mute", { ...what, ...(until && { until: new Date(until).toISOString() }) });
  }

  unmute({ type, group }) {
    return this.#adopt("Unmute", type ? { type } : { group });
  }

  /** null = none. It fails if somebody else has changed something meanwhile; what that was is here then. */
  async setQuietHours(quietHours) {
    const version = this.#version;
    try {
      await this.#adopt("SetPreferences", { mutes: this.mutes, version, ...(quietHours && { quietHours }) });
    } catch (error) {
      await this.load();
      throw error;
    }
  }

  /** The mutes because of which an item raises no alert. */
  mutesOf(item) {
    return this.mutes.filter(({ type, group }) => (type ? matches(type, item.type) : item.recipient.kind === "group" && item.recipient.key === group));
  }

  async #adopt(method, ...args) {
    const { mutes, quietHours, version } = await this.#ask(method, ...args) ?? {};
    if (!(version >= this.#version)) return; // an older answer
    this.mutes = (Array.isArray(mutes) ? mutes : []).map(readMute).filter(({ until }) => !until || Date.parse(until) > now());
    this.quietHours = quietHours ?? null;
    this.#version = version;
    this.dispatchEvent(new Event("change"));
  }
}

const readMute = ({ type, group, until }) => ({ ...(type ? { type: String(type) } : { group: String(group) }), ...(until && { until: String(until) }) });

/** "order.*" is every type that begins with "order.". */
const matches = (pattern, type) => (pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern);

/** "order.shipped", "the group ops". */
export const muteName = ({ type, group }) => (type ? type : `the group ${group}`);
