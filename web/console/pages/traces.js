// Traces, newest first.

import { css, html, nothing, svg } from "lit";
import { link, navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { ms, when } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/field.js";
import "../parts/table.js";

const MOST = 100;
const FIELDS = [
  { name: "text", label: "Name or attribute", hint: "of any span" },
  { name: "method", label: "Hub method", hint: "NotificationHub/…" },
  { name: "user", label: "User" },
  { name: "event", label: "Event id" },
  { name: "service", label: "Service" },
  { name: "leastMs", label: "At least, ms", type: "number" },
  { name: "failed", label: "Failed only", type: "checkbox" },
];
const WIDE = 120; // of a bar, in units of its drawing

class Traces extends Page {
  static styles = [Page.styles, css`
    .hint { margin-top: 10px; }
    .bar { display: inline-block; width: 120px; height: 8px; vertical-align: middle; margin-inline-start: 8px; }
    .bar rect { fill: var(--accent); }
    .bar .ground { fill: var(--sunk); }
    .bar[data-failed] rect:last-child { fill: var(--critical); }
  `];

  title() {
    return "Traces";
  }

  get #question() {
    const { leastMs, failed, ...texts } = told.chosen(this.params, FIELDS.map(({ name }) => name));
    return { ...texts, ...(Number(leastMs) > 0 && { leastMs: Number(leastMs) }), ...(failed && { failed: true }) };
  }

  found() {
    this.#look();
  }

  #look = () => this.load(() => hub.call("Traces", { ...this.#question, limit: MOST }));

  render() {
    return html`
      <div class="head"><h1>Traces</h1><div class="tools"><button class="button" @click=${this.#look}>${icon("refresh")}Refresh</button></div></div>
      <div class="stack">
        <c-filters .fields=${FIELDS} .values=${this.params} @change=${({ detail }) => navigate("traces", detail)}></c-filters>
        ${this.state()}
        ${this.data ? this.#list(this.data) : nothing}
      </div>`;
  }

  #list({ items, kept }) {
    const longest = Math.max(...items.map(({ durationMs }) => durationMs), 0);
    const { event } = this.params;
    return html`<section class="card">
      <c-table .caption=${"Traces, newest first"} .rows=${items} .empty=${this.#nothing(kept)} .columns=${[
        { key: "name", label: "Begins with", wide: true, render: ({ traceId, name }) => html`<a href=${link(`trace/${traceId}`, { event })}>${name}</a>` },
        { key: "services", label: "Services", render: ({ services }) => services.join(", ") },
        { key: "spans", label: "Spans", align: "end" },
        { key: "failed", label: "Failed", align: "end", render: ({ failed }) => (failed ? told.chip(String(failed), "critical") : html`<span class="muted">0</span>`) },
        { key: "start", label: "Began", render: ({ start }) => when(start) },
        { key: "durationMs", label: "Took", align: "end", render: (trace) => html`${ms(trace.durationMs)}${bar(trace, longest)}` },
      ]}></c-table>
      ${items.length > 0 ? html`<p class="hint">Bars are logarithmic. ${items.length === MOST ? `These are the newest ${MOST}: narrow them to see older ones.` : nothing}</p>` : nothing}
    </section>`;
  }

  #nothing(kept) {
    if (!kept) return "No spans are kept: the node was started with --span-bytes 0.";
    if (Object.keys(this.#question).length > 0) return "No trace that is kept has such a span.";
    return "No trace yet. Every emission, invocation and delivery makes spans; emitters send theirs to /v1/traces of this listener (OTLP over HTTP).";
  }
}

/** Compared with the longest of the list, from a hundredth of a millisecond on: one that waits for seconds must not hide what the others do. */
const share = (durationMs, longest) => (longest > 0 ? Math.log1p(durationMs * 100) / Math.log1p(longest * 100) : 0);

const bar = ({ durationMs, failed }, longest) => html`<svg class="bar" viewBox="0 0 ${WIDE} 8" preserveAspectRatio="none" aria-hidden="true" ?data-failed=${failed > 0}>${svg`
  <rect class="ground" width=${WIDE} height="8" rx="3"/><rect width=${Math.max(share(durationMs, longest) * WIDE, 2)} height="8" rx="3"/>`}</svg>`;

customElements.define("c-traces", Traces);
