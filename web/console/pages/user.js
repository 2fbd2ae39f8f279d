// One user: why they did or did not get something, what is kept of them, and
// what can be done about it.

import { css, html, nothing } from "lit";
import { link, navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import * as person from "../parts/person.js";
import * as told from "../parts/told.js";
import * as acts from "../parts/useracts.js";
import "../parts/explanation.js";
import "../parts/pager.js";

const PAGE = 50;

class User extends Page {
  static properties = {
    ...Page.properties, inbox: { state: true }, explanation: { state: true }, explaining: { state: true }, problem: { state: true },
  };

  static styles = [Page.styles, css`
    .plain { display: grid; gap: 5px; font-size: .875rem; overflow-wrap: anywhere; }
    .explain .field { flex: 1 1 16rem; max-width: 30rem; }
    .answer > * { margin-top: 14px; }
    .three { grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); align-items: stretch; }
  `];

  #whom = "";

  constructor() {
    super();
    this.#forget();
  }

  #forget() {
    this.data = undefined;
    this.inbox = { items: [] };
    this.explanation = null;
    this.explaining = "";
    this.problem = "";
  }

  title() {
    return this.params.user ?? "User";
  }

  /** The user, and the hub if the hash names one. */
  get #who() {
    const { user, hub: of } = this.params;
    return { user, ...(of && { hub: of }) };
  }

  found() {
    const whom = JSON.stringify(this.#who);
    if (whom !== this.#whom) {
      this.#whom = whom;
      this.#forget();
      this.#look();
    }
    if (this.params.explain !== this.explaining) this.#explain(this.params.explain);
  }

  #look = () => this.load(async () => {
    const [user, inbox] = await Promise.all([hub.call("User", this.#who), hub.call("UserInbox", { ...this.#who, limit: PAGE })]);
    this.inbox = inbox;
    return user;
  });

  #more() {
    this.load(async () => {
      const page = await hub.call("UserInbox", { ...this.#who, limit: PAGE, before: this.inbox.next });
      this.inbox = told.grown(this.inbox, page);
    });
  }

  /** Beside load: it is another question, and neither waits for the other. */
  async #explain(id = "") {
    this.explaining = id;
    this.explanation = null;
    this.problem = "";
    if (!id) return;
    const mine = () => this.explaining === id;
    try {
      const answer = await hub.call("Explain", { ...this.#who, id });
      if (mine()) this.explanation = answer;
    } catch (error) {
      if (mine()) this.problem = error.message;
    }
  }

  #ask(event) {
    event.preventDefault();
    const id = new FormData(event.target).get("id").trim();
    if (id === this.explaining) this.#explain(id); // again: something may have happened
    else navigate(`user/${this.params.user}`, { hub: this.params.hub, explain: id });
  }

  render() {
    const { user } = this.params;
    return html`
      <div class="head"><h1>${user}</h1>${this.#actions()}</div>
      <div class="stack">
        ${this.data?.traced ? html`<p>${told.chip("traced", "info")} Every delivery has a span, until ${told.date(this.data.tracedUntil)}. <a href=${link("traces", { user })}>Traces</a></p>` : nothing}
        ${this.#whyCard(user)}
        ${this.state()}
        ${this.data ? this.#kept(this.data) : nothing}
      </div>`;
  }

  #actions() {
    const does = (what) => async () => { if (await what(this.#who) !== undefined) this.#look(); };
    const { traced } = this.data ?? {};
    return html`<div class="tools">
      <button class="button" @click=${this.#look}>${icon("refresh")}Refresh</button>
      <button class="button" @click=${does(acts.replay)}>Replay…</button>
      <button class="button" @click=${does(traced ? acts.untraceUser : acts.traceUser)}>${traced ? "Stop tracing…" : "Trace…"}</button>
      <button class="button danger" @click=${does(acts.erase)}>Erase…</button>
    </div>`;
  }

  #whyCard(user) {
    const id = this.params.explain ?? "";
    return html`<section class="card" aria-labelledby="why">
      <h2 id="why">Why did ${user} (not) get it?</h2>
      <form class="filters explain" @submit=${this.#ask}>
        <label class="field">Event id <input class="input" name="id" required autocomplete="off" spellcheck="false" .value=${id}></label>
        <button class="button primary">Explain</button>
        ${this.explanation?.outcome === "stored" ? html`<a class="button" href=${link("event", { id, hub: this.params.hub })}>The event</a>` : nothing}
      </form>
      <div class="answer" aria-live="polite">
        ${this.problem ? html`<p class="error">${this.problem}</p>` : nothing}
        ${id && !this.explanation && !this.problem ? html`<p class="muted">Looking…</p>` : nothing}
        ${this.explanation ? html`<c-explanation .of=${this.explanation}></c-explanation>` : nothing}
      </div>
    </section>`;
  }

  #kept(data) {
    if (!data.known && this.inbox.items.length === 0) {
      return html`<p class="empty">Nothing is kept of this user: nobody of this id has connected, and nothing was emitted to it. Ids are compared exactly.</p>`;
    }
    const explain = (id) => link(`user/${this.params.user}`, { hub: this.params.hub, explain: id });
    return html`
      <div class="columns three">
        <section class="card"><h2>Notifications</h2>${person.counts(data.counts)}</section>
        <section class="card"><h2>Roles and groups</h2>${person.memberships(data)}</section>
        <section class="card"><h2>What raises no alert</h2>${person.silence(data)}</section>
      </div>
      <section class="card"><h2>Connections</h2>${person.connections(data)}</section>
      <section class="card"><h2>Devices</h2>${person.devices(data)}</section>
      <section class="card"><h2>Inbox</h2>${person.inbox(this.inbox, explain)}
        <c-pager .next=${this.inbox.next} .shown=${this.inbox.items.length} .busy=${this.busy} @more=${this.#more}></c-pager></section>
      <section class="card"><h2>Visits</h2>${person.visits(data)}</section>`;
  }
}

customElements.define("c-user", User);
