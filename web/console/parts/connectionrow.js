// What connections are called, and what can be done about one.

import { html } from "lit";
import { hub } from "../hub.js";
import { act } from "./act.js";
import * as told from "./told.js";

const TONES = { live: "success", lagging: "warning", "catching up": "info", joined: "info", closing: "" };

/** Where it is: joined, catching up, live, lagging, closing. */
export const phase = (name) => told.chip(name, TONES[name] ?? "");

/** How many positions it has yet to be sent. */
export const behind = (n) => (n ? told.count(n, "position") : html`<span class="muted">up to date</span>`);

/** Ends a connection; done is called if it was. */
export const close = ({ id, user }, done) => act({
  title: "Close this connection?",
  text: `${user || "Somebody without a name"} is on connection ${id}. Its client comes back by itself and misses nothing.`,
  confirm: "Close it",
  danger: true,
  async run({ why }) {
    await hub.call("CloseConnection", { id, why });
    done();
  },
  done: () => `The connection of ${user || "somebody"} was closed.`,
});
