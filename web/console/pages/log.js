// The log, newest first, and what comes into it as it comes.

import { css, html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { number, when } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/field.js";
import "../parts/pager.js";

const PAGE = 100;
const MOST = 500; // lines kept while it is followed

const FIELDS = [
  { name: "text", label: "Text or id", hint: "title, type, source, id" },
  { name: "recipient", label: "Recipient", hint: "user/ann, everyone" },
  { name: "type", label: "Type", hint: "order.*" },
  { name: "emitter", label: "Emitter" },
  { name: "severity", label: "Severity", type: "select", options: [["", "Any"], "info", "success", "warning", "critical"] },
  { name: "hub", label: "Hub", hint: "any" },
];
const NAMES = [...FIELDS.map(({ name }) => name), "user"];

class Log extends Page {
  static properties = { ...Page.properties, paused: { state: true }, skipped: { state: true }, broken: { state: true } };

  static styles = [Page.styles, css`
    td.cut { max-width: 13rem; overflow: hidden; text-overflow: ellipsis; }
    tr.dim td { color: var(--soft); }
  `];

  #stop = () => {};
  #early = null; // what is heard while a page is asked for, which may not have it

  constructor() {
    super();
    this.paused = false;
    /** How many lines came too fast to be shown. */
    this.skipped = 0;
    this.broken = "";
  }

  title() {
    return "Event log";
  }

  get #filters() {
    return told.chosen(this.params, NAMES);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#stop();
  }

  found() {
    this.data = undefined;
    this.#begin();
  }

  /** The stream begins before the page is asked for, so that nothing is between the two. */
  #begin() {
    this.#stop();
    this.#stop = () => {};
    this.broken = "";
    if (!this.paused) {
      this.#stop = hub.stream("Tail", this.#filters, {
        begin: () => this.#look(),
        next: (piece) => this.#hear(piece),
        error: (error) => { this.broken = error.message; },
      });
    }
    if (this.paused || hub.state !== "live") this.#look(); // else begin does
  }

  #look() {
    this.#early = [];
    this.skipped = 0;
    return this.load(async () => {
      const page = await hub.call("Log", { ...this.#filters, limit: PAGE });
      const items = merged(this.#early ?? [], page.items);
      this.#early = null;
      return { ...page, items };
    });
  }

  #more() {
    this.load(async () => {
      const page = await hub.call("Log", { ...this.#filters, limit: PAGE, before: this.data.next });
      return { ...page, items: merged(this.data.items, page.items) };
    });
  }

  #hear({ lines, skipped }) {
    this.skipped += skipped;
    if (this.#early) this.#early = merged(lines, this.#early).slice(0, MOST);
    if (this.data) this.data = cut({ ...this.data, items: merged(lines, this.data.items) }, this.data.items.length);
  }

  #pause() {
    this.paused = !this.paused;
    if (this.paused) this.#stop();
    else this.#begin();
  }

  render() {
    return html`
      <div class="head">
        <h1>Event log</h1>
        <div class="tools">
          <span class="hint" role="status">${this.#how()}</span>
          <button class="button" @click=${this.#pause}>${this.paused ? "Follow" : "Pause"}</button>
          <button class="button" @click=${this.#begin}>${icon("refresh")}Refresh</button>
        </div>
      </div>
      <div class="stack">
        <c-filters .fields=${FIELDS} .values=${this.params} @change=${({ detail }) => navigate("log", detail)}></c-filters>
        ${this.params.user ? html`<p class="hint">Only events for ${told.user(this.params.user)}. <a href="#/log">All events</a></p>` : nothing}
        ${this.state()}
        ${this.broken ? html`<p class="error">It is not followed: ${this.broken}</p>` : nothing}
        ${this.data ? this.#list(this.data) : nothing}
      </div>`;
  }

  #how() {
    if (this.paused) return "Paused.";
    return this.skipped ? `Live. ${number(this.skipped)} came too fast to be shown: refresh to see them.` : "Live.";
  }

  #list({ items, next, first, last, searchedTo }) {
    return html`<section class="card">
      <div role="log" aria-live="off" aria-label="Events, newest first">
        ${items.length > 0 ? table(items) : html`<p class="empty">${this.#nothing({ next, searchedTo, last })}</p>`}
      </div>
      <c-pager .next=${next} .shown=${items.length} .busy=${this.busy} @more=${this.#more}></c-pager>
      <p class="hint">${last ? `The log holds positions ${number(first)} to ${number(Math.max(last, items[0]?.position ?? 0))}. Searched down to ${number(searchedTo)}.` : ""}</p>
    </section>`;
  }

  #nothing({ next, searchedTo, last }) {
    if (!last) return "The log is empty. What is emitted – POST /v1/notifications, or tidings publish – appears here at once.";
    if (next) return `Nothing like that from the end of the log down to position ${number(searchedTo)}. There is more to search.`;
    return "No event of the log is like that.";
  }
}

/** No more lines than there may be, or than somebody has asked for. What is dropped is the next page. */
function cut(data, had) {
  const most = Math.max(MOST, had);
  if (data.items.length <= most) return data;
  const items = data.items.slice(0, most);
  return { ...data, items, next: items.at(-1).position };
}

/** Two lists, both newest first, as one; each event once. */
function merged(some, others) {
  const known = new Map([...others, ...some].map((line) => [line.position, line]));
  return [...known.values()].sort((a, b) => b.position - a.position);
}

/** A table of its own: lines come up to 200 times a second, so a row that is there stays what it is. */
const table = (items) => html`<div class="scroll" role="region" tabindex="0" aria-label="Events">
  <table>
    <thead><tr><th scope="col" class="end">Position</th><th scope="col">Stored</th><th scope="col">Recipient</th><th scope="col">Type</th><th scope="col" class="wide">Title</th><th scope="col">Severity</th><th scope="col">Emitter</th><th scope="col"><span class="sr-only">Trace</span></th></tr></thead>
    <tbody>${repeat(items, ({ position }) => position, line)}</tbody>
  </table>
</div>`;

const line = (of) => html`<tr class=${of.expired ? "dim" : ""}>
  <td class="end">${told.position(of.position)}</td>
  <td>${when(of.stored)}</td>
  <td class="cut" title=${of.recipient}>${told.recipient(of.recipient, of.hub === "notifications" ? "" : of.hub)}</td>
  <td class="cut" title=${of.type}>${of.type}</td>
  <td class="wide">${told.or(of.title)} ${flags(of)}</td>
  <td>${told.severity(of.severity)}</td>
  <td class="cut" title=${of.emitter || of.source || ""}>${told.or(of.emitter || of.source)}</td>
  <td>${told.trace(of.traceId)}</td>
</tr>`;

const flags = ({ expired, recalls, replayOf }) => html`${expired ? told.chip("expired", "warning") : nothing} ${recalls ? told.chip(`recalls ${recalls}`) : nothing} ${
  replayOf ? told.chip(`replay of ${replayOf}`, "accent") : nothing}`;

customElements.define("c-log", Log);
