// What the server has logged. It can be followed: then it is asked again and
// again, and what is new is read out.

import { css, html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import "../parts/field.js";
import * as told from "../parts/told.js";

const FILTERS = ["level", "text"];
const LOOK_EVERY_MS = 2000;
const MOST = 200;

const FIELDS = [
  { name: "level", label: "Level, at least", type: "select", options: [["", "Any"], ["warn", "Warning"], ["error", "Error"]] },
  { name: "text", label: "Text" },
];
const TONES = { error: "critical", warn: "warning", warning: "warning", info: "info" };

class Logs extends Page {
  static properties = { following: { state: true } };

  static styles = [Page.styles, css`
    .lines { display: grid; border: 1px solid var(--line); border-radius: var(--radius-small); background: var(--card); }
    .lines li { display: grid; grid-template-columns: 8rem 4.5rem minmax(0, 1fr); gap: 2px 10px; align-items: baseline; padding: 6px 12px; font-size: .8438rem; }
    .lines li + li { border-top: 1px solid var(--line); }
    .shown > .hint { margin-top: 8px; }
    .lines .chip { justify-self: start; }
    .message { font-weight: 550; overflow-wrap: anywhere; }
    .attributes { color: var(--soft); font: .7812rem/1.5 var(--mono); overflow-wrap: anywhere; }
    @media (max-width: 34.9375em) {
      .lines li { grid-template-columns: 1fr auto; }
      .text { grid-column: 1 / -1; }
    }
  `];

  #timer = 0;

  constructor() {
    super();
    this.following = false;
  }

  title() {
    return "Server logs";
  }

  found() {
    this.#look();
  }

  connectedCallback() {
    super.connectedCallback();
    this.#timer = setInterval(() => {
      if (this.following && hub.state === "live" && !this.busy) this.#look();
    }, LOOK_EVERY_MS);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#timer);
  }

  #look = () => this.load(() => hub.call("Logs", { ...told.chosen(this.params, FILTERS), limit: MOST }));

  render() {
    return html`<div class="stack">
      <div class="head">
        <h1>Server logs</h1>
        <div class="tools">
          <label class="check"><input type="checkbox" .checked=${this.following} @change=${this.#follow}>Follow</label>
          <button class="button" type="button" ?disabled=${this.busy} @click=${this.#look}>${icon("refresh")}Refresh</button>
        </div>
      </div>
      <c-filters .fields=${FIELDS} .values=${this.params} @change=${({ detail }) => navigate("logs", detail)}></c-filters>
      ${this.state()}
      ${this.data ? this.#list(this.data) : nothing}
    </div>`;
  }

  #follow(event) {
    this.following = event.target.checked;
    if (this.following) this.#look();
  }

  #list({ items, kept }) {
    if (!kept) return html`<p class="empty">This node keeps no log lines for the console. They are where it writes them: on its standard error.</p>`;
    if (items.length === 0) return html`<p class="empty">No line that is kept is like that.</p>`;
    return html`<div class="shown">
      <div role=${this.following ? "log" : "region"} aria-label="Log lines, newest first"><ol class="lines">${repeat(items, key, line)}</ol></div>
      <p class="hint">${told.count(items.length, "line")}, newest first${items.length === MOST ? ". There are more: narrow them down" : ""}.</p>
    </div>`;
  }
}

/** What is new is to be put before what is there: only that is read out. */
const key = ({ at, message, spanId }) => `${at} ${spanId} ${message}`;

function line({ at, level, message, attributes, traceId, spanId }) {
  const name = String(level).toLowerCase();
  return html`<li>
    <time class="muted" datetime=${at}>${moment.format(Date.parse(at))}</time>
    ${told.chip(name, TONES[name] ?? "")}
    <span class="text">
      <span class="message">${message}</span> ${traceId ? told.trace(traceId, spanId) : nothing}
      <span class="attributes">${Object.entries(attributes ?? {}).map(([key, value]) => `${key}=${plain(value)} `)}</span>
    </span>
  </li>`;
}

const moment = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

customElements.define("c-logs", Logs);
