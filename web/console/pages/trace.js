// One trace: its spans as a waterfall, what the chosen one says, and the log
// lines of it.

import { css, html, nothing } from "lit";
import { link, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { web } from "../parts/links.js";
import { details } from "../parts/spandetails.js";
import { ms, when } from "../parts/time.js";
import * as told from "../parts/told.js";
import { opening, rows } from "../parts/waterfall.js";
import { eventOf, look } from "./tracelook.js";
import "../parts/spans.js";
import "../parts/table.js";

/** Spans are told when they have ended, and by emitters seconds later: a trace that is empty is asked for again. */
const AGAIN_MS = 2000;
const TRIES = 5;

const LEVELS = { ERROR: "critical", WARN: "warning", INFO: "info" };

class Trace extends Page {
  static properties = { ...Page.properties, chosen: { state: true } };

  static styles = [Page.styles, css`
    .both { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; align-items: start; }
    @media (min-width: 72em) {
      .both { grid-template-columns: minmax(0, 1fr) 23rem; }
      .details { position: sticky; top: 76px; max-height: calc(100vh - 92px); overflow-y: auto; }
    }
    .details h2 { overflow-wrap: anywhere; }
    .details h3 { margin: 14px 0 4px; }
    .details .facts dt { flex: 0 1 auto; min-width: 6rem; overflow-wrap: anywhere; }
    .links { display: grid; gap: 4px; }
    .id { display: block; margin-top: 2px; font-weight: 400; letter-spacing: 0; color: var(--soft); }
  `];

  #timer = 0;

  constructor() {
    super();
    /** The row whose details are shown. */
    this.chosen = null;
  }

  title() {
    return `Trace ${this.#rows[0]?.span.name ?? this.params.id ?? ""}`;
  }

  get #rows() {
    return this.data?.drawn.rows ?? [];
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  found() {
    if (this.data) this.#choose(this.params.span);
    else this.#look(TRIES);
  }

  async #look(tries = 0) {
    clearTimeout(this.#timer);
    const found = await this.load(async () => {
      const trace = await look(this.params.id, this.params.event);
      return { ...trace, drawn: rows(trace.spans) };
    });
    if (!found) return;
    this.#choose(this.chosen?.span.spanId ?? this.params.span);
    if (found.spans.length === 0 && tries > 0 && this.isConnected) this.#timer = setTimeout(() => this.#look(tries - 1), AGAIN_MS);
  }

  #choose(spanId) {
    this.chosen = this.#rows[opening(this.#rows, spanId)] ?? null;
  }

  /** The address follows, so that it can be passed on; going back leads to the page before. */
  async #show({ detail: { row, focus } }) {
    this.chosen = row;
    window.history.replaceState(null, "", link(`trace/${this.params.id}`, { event: this.params.event, span: row.span.spanId }));
    if (!focus) return;
    await this.updateComplete;
    this.renderRoot.querySelector("#chosen").focus();
  }

  #back(event) {
    if (event.key === "Escape") this.renderRoot.querySelector("c-waterfall").focus();
  }

  render() {
    const { id } = this.params;
    const { data } = this;
    const event = data && (this.params.event || eventOf(data.spans));
    return html`
      <div class="head">
        <h1>${this.#rows[0]?.span.name ?? "Trace"}<span class="id mono">${id}</span></h1>
        <div class="tools">
          ${event ? html`<a class="button" href=${link("event", { id: event })}>${icon("log")}The event</a>` : nothing}
          ${elsewhere(id)}
          <button class="button" @click=${() => this.#look()}>${icon("refresh")}Refresh</button>
        </div>
      </div>
      <div class="stack">
        ${this.state()}
        ${data ? this.#all(data, id) : nothing}
      </div>`;
  }

  #all(data, id) {
    const list = this.#rows;
    if (list.length === 0) return html`<section class="card"><p class="empty">${none()}</p></section>${data.logs.length > 0 ? logs(data.logs) : nothing}`;
    const begin = list.reduce((first, { start }) => Math.min(first, start), Infinity);
    const end = list.reduce((last, row) => Math.max(last, row.end), -Infinity);
    return html`
      <p class="hint">${told.count(list.length, "span")} in ${ms(end - begin)}, began ${when(list[0].span.start)}.
        ${list.some(({ emitter }) => emitter) ? nothing : "The emitter has sent no spans of its own: it can, to /v1/traces of this listener (OTLP over HTTP)."}
        ${data.merged ? "What emitted it through the hub is a trace of its own, drawn here with it." : nothing}</p>
      <div class="both">
        <section class="card" aria-label="Waterfall"><c-waterfall .drawn=${data.drawn} .selected=${this.chosen?.span.spanId ?? ""} @choose=${this.#show}></c-waterfall></section>
        ${this.chosen ? html`<section class="card details" aria-labelledby="chosen" @keydown=${this.#back}>
          <h2 id="chosen" tabindex="-1">${this.chosen.span.name}</h2>
          ${details(this.chosen, { trace: id, begin })}
        </section>` : nothing}
      </div>
      ${others(data.others)}
      ${logs(data.logs)}`;
  }
}

/** Where another tool shows it, if the server was told of one. */
function elsewhere(id) {
  const href = web(hub.who?.traceLink?.replaceAll("{trace_id}", encodeURIComponent(id)));
  return href ? html`<a class="button" href=${href} target="_blank" rel="noopener noreferrer">${icon("link")}Open in ${new URL(href).host}</a>` : nothing;
}

function none() {
  if (hub.who?.spansKept === false) return "No spans are kept: the node was started with --span-bytes 0.";
  return "No span of this trace is kept: they are older than what is kept, of another node, or have not ended yet.";
}

const others = (items) => (items.length > 0 ? html`<section class="card"><h2>Other traces of the same event</h2>
  <c-table .caption=${"Other traces of the same event"} .rows=${items} .columns=${[
    { key: "name", label: "Begins with", wide: true, render: ({ traceId, name }) => html`<a href=${link(`trace/${traceId}`)}>${name}</a>` },
    { key: "start", label: "Began", render: ({ start }) => when(start) },
    { key: "spans", label: "Spans", align: "end" },
    { key: "durationMs", label: "Took", align: "end", render: ({ durationMs }) => ms(durationMs) },
  ]}></c-table></section>` : nothing);

const logs = (items) => html`<section class="card"><h2>Log lines</h2>
  <c-table .caption=${"Log lines of this trace"} .rows=${items}
    .empty=${hub.who?.logsKept === false ? "No log lines are kept by this node." : "No log line belongs to this trace."}
    .columns=${[
      { key: "at", label: "At", render: ({ at }) => when(at) },
      { key: "level", label: "Level", render: ({ level }) => told.chip(level, LEVELS[level]) },
      { key: "message", label: "Message", wide: true, render: ({ message, attributes }) => html`${message} <span class="muted mono">${pairs(attributes)}</span>` },
    ]}></c-table></section>`;

const pairs = (attributes = {}) => Object.entries(attributes).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`).join(" ");

customElements.define("c-trace", Trace);
