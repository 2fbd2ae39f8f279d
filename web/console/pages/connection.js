// One connection, looked at every two seconds as long as it lives.

import { html, nothing } from "lit";
import { link, Page } from "../base.js";
import { hub } from "../hub.js";
import { behind, close, phase } from "../parts/connectionrow.js";
import { bytes, ms, number, when } from "../parts/time.js";
import * as told from "../parts/told.js";
import { traceUser, untraceUser } from "../parts/useracts.js";

const LOOK_EVERY_MS = 2000;

class Connection extends Page {
  #timer = 0;

  title() {
    return this.data?.user ? `Connection of ${this.data.user}` : "Connection";
  }

  found() {
    this.#look();
  }

  connectedCallback() {
    super.connectedCallback();
    this.#timer = setInterval(() => {
      if (hub.state === "live" && !this.busy && !this.error) this.#look();
    }, LOOK_EVERY_MS);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#timer);
  }

  #look = () => this.load(() => hub.call("Connection", { id: this.params.id }));

  render() {
    return html`<div class="stack">
      <div class="head">
        <h1>${this.title()}</h1>
        ${this.data && !this.error ? this.#acts(this.data) : nothing}
      </div>
      ${this.state()}
      ${this.error && this.data ? html`<p class="muted">This is how it was last seen. A client that comes back has another connection: see <a href=${link("connections", { user: this.data.user })}>those of ${this.data.user || "everybody"}</a>.</p>` : nothing}
      ${this.data ? this.#facts(this.data) : nothing}
    </div>`;
  }

  #acts(connection) {
    const { user, traced } = connection;
    const [does, act] = traced ? ["Stop tracing", untraceUser] : ["Trace", traceUser];
    return html`<div class="tools">
      ${user ? html`<button class="button" type="button" @click=${async () => { if (await act({ user }) !== undefined) this.#look(); }}>${does} ${user}…</button>` : nothing}
      <button class="button danger" type="button" @click=${() => close(connection, this.#look)}>Close…</button>
    </div>`;
  }

  #facts(c) {
    return html`<div class="columns">
      <section class="card" aria-labelledby="who"><h2 id="who">Who</h2>${facts([
        ["User", told.user(c.user, c.hub)],
        ["Device", told.or(c.device, html`<span class="mono">${c.device}</span>`)],
        ["Roles", members("role", c.roles, c.hub)],
        ["Groups", members("group", c.groups, c.hub, c.groupCount)],
        ["Traced", c.traced ? html`${told.chip("traced", "info")} <a href=${link("traces", { user: c.user })}>Traces of ${c.user}</a>` : "No"],
      ])}</section>
      <section class="card" aria-labelledby="how"><h2 id="how">How it does</h2>${facts([
        ["Phase", phase(c.phase)],
        ["Position", told.position(c.position)],
        ["Behind", behind(c.behind)],
        ["Waits to be sent", c.queuedFrames ? `${told.count(c.queuedFrames, "message")}, ${bytes(c.queuedBytes)}` : "Nothing"],
        ["Heard from", when(c.heard)],
      ])}</section>
      <section class="card" aria-labelledby="what"><h2 id="what">What it is</h2>${facts([
        ["Connection", html`<span class="mono">${c.id}</span>`],
        ["Hub", c.hub],
        ["Transport", c.transport],
        ["Protocol", c.protocol],
        ["Began", html`${when(c.began)}`],
        ["Age", ms(c.ageMs)],
      ])}</section>
    </div>`;
  }
}

const facts = (rows) => html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** Roles or groups as links to their members; of many, how many more there are. */
function members(kind, names, of, count = names.length) {
  if (!names.length) return html`<span class="muted">none</span>`;
  return html`${names.map((name) => html`<a class="chip" href=${link(`group/${kind}/${name}`, { hub: of })}>${name}</a> `)}${count > names.length ? `and ${number(count - names.length)} more` : ""}`;
}

customElements.define("c-connection", Connection);
