// One event: what it says, where it came from, and whom it reached.

import { css, html, nothing } from "lit";
import { link, navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { records } from "../parts/records.js";
import { bytes, ms, number, when } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/payload.js";
import "../parts/table.js";

class OneEvent extends Page {
  static styles = [Page.styles, css`
    .why .field { flex: 1 1 12rem; max-width: 24rem; }
    .side { display: grid; gap: 16px; align-content: start; min-width: 0; }
    .columns { grid-template-columns: minmax(0, 1fr); }
    @media (min-width: 64em) { .columns { grid-template-columns: minmax(0, 1fr) minmax(0, 26rem); } }
  `];

  title() {
    return this.data?.line.title || `Event ${this.params.position ?? this.params.id ?? ""}`;
  }

  found() {
    this.data = undefined;
    this.#look();
  }

  #look = () => {
    const { position, id, hub: of } = this.params;
    return this.load(() => hub.call("Event", position ? { position: Number(position) } : { id, ...(of && { hub: of }) }));
  };

  render() {
    const { data } = this;
    const { position, id } = this.params;
    return html`
      <div class="head">
        <h1>${data ? data.line.title || data.line.type : position ? `Event ${position}` : id}</h1>
        <div class="tools">
          ${data?.traceId ? html`<a class="button primary" href=${link(`trace/${data.traceId}`, { event: data.line.id })}>${icon("traces")}Open its trace</a>` : nothing}
          <button class="button" @click=${this.#look}>${icon("refresh")}Refresh</button>
        </div>
      </div>
      <div class="stack">
        ${this.state()}
        ${this.error && id ? html`<p class="hint">An event that is scheduled, was refused or could not be read is not in the log. <a href=${link("audit", { id })}>What is on record about it</a></p>` : nothing}
        ${data ? this.#all(data) : nothing}
      </div>`;
  }

  #all(data) {
    return html`
      ${fate(data)}
      <div class="columns">
        <section class="card"><c-payload .text=${data.payload}></c-payload></section>
        <div class="side">
          <section class="card"><h2>Its place</h2>${facts(data)}</section>
          ${this.#whyCard(data.line)}
        </div>
      </div>
      <section class="card"><h2>Deliveries</h2>${deliveries(data.deliveries)}</section>
      <section class="card"><h2>On record</h2>${records(data.audit, "Nothing is on record about it. Emissions, refusals, recalls and replays are.")}</section>`;
  }

  #whyCard({ id, hub: of }) {
    const ask = (event) => {
      event.preventDefault();
      const user = new FormData(event.target).get("user").trim();
      if (user) navigate(`user/${user}`, { hub: of === hub.who?.hubs?.[0] ? "" : of, explain: id });
    };
    return html`<section class="card why">
      <h2>Why did somebody (not) get it?</h2>
      <form class="filters" @submit=${ask}>
        <label class="field">User id <input class="input" name="user" required autocomplete="off" spellcheck="false"></label>
        <button class="button">Explain</button>
      </form>
    </section>`;
  }
}

/** What has become of it, if it does not hold any more. */
function fate({ recalledBy, collapsedBy, line: { expired, replayOf, recalls, hub: of } }) {
  const [, original] = /\/(\d+)$/.exec(replayOf ?? "") ?? [];
  const all = [
    recalledBy && html`${told.chip("recalled", "warning")} It was taken back by the event at position ${told.position(recalledBy)}.`,
    collapsedBy && html`${told.chip("replaced", "warning")} The event at position ${told.position(collapsedBy)} has its collapse key and took its place.`,
    expired && html`${told.chip("expired", "warning")} It is not delivered any more.`,
    recalls && html`${told.chip("recall", "accent")} It takes back ${told.eventId(recalls, of)}.`,
    original && html`${told.chip("replay", "accent")} It repeats the event at position ${told.position(original)}.`,
  ].filter(Boolean);
  return all.map((one) => html`<p>${one}</p>`);
}

function facts({ line, traceId }) {
  const row = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts">
    ${row("Position", html`<span class="mono">${line.position}</span>`)}
    ${row("Id", html`<span class="mono">${line.id}</span>`)}
    ${row("Hub", line.hub)}
    ${row("Recipient", told.recipient(line.recipient))}
    ${row("Type", html`<a href=${link("log", { type: line.type })}>${line.type}</a>`)}
    ${row("Severity", told.severity(line.severity))}
    ${row("Emitter", line.emitter ? html`<a href=${link("log", { emitter: line.emitter })}>${line.emitter}</a>` : told.or(""))}
    ${row("Source", told.or(line.source))}
    ${row("Stored", html`${told.date(line.stored)}, ${when(line.stored)}`)}
    ${row("Trace", traceId ? html`<span class="mono">${told.trace(traceId, "", traceId)}</span>` : "none")}
  </dl>`;
}

const deliveries = (all) => html`<c-table .caption=${"Deliveries of this event"} .rows=${all}
  .empty=${hub.who?.spansKept ? "No delivery of it is among the spans that are kept: it is older than they are, or no node has delivered it yet." : "Deliveries are told from spans, and no spans are kept: the node was started with --span-bytes 0."}
  .columns=${[
    { key: "at", label: "At", render: ({ at }) => when(at) },
    { key: "node", label: "Node", wide: true },
    { key: "connections", label: "Sent to", align: "end", render: (d) => outcome(d) },
    { key: "deferred", label: "Behind", align: "end", render: ({ deferred }) => number(deferred) },
    { key: "muted", label: "Muted", align: "end", render: ({ muted }) => number(muted) },
    { key: "failed", label: "Failed", align: "end", render: ({ failed }) => (failed ? told.chip(number(failed), "critical") : "0") },
    { key: "bytes", label: "Size", align: "end", render: (d) => bytes(d.bytes) },
    { key: "p50Ms", label: "p50", align: "end", render: ({ p50Ms }) => ms(p50Ms) },
    { key: "p99Ms", label: "p99", align: "end", render: ({ p99Ms }) => ms(p99Ms) },
    { key: "maxMs", label: "Slowest", align: "end", render: ({ maxMs }) => ms(maxMs) },
    { key: "span", label: "Span", render: ({ traceId, spanId }) => told.trace(traceId, spanId, "span") },
  ]}></c-table>`;

const outcome = ({ connections, offline, expired }) => html`${number(connections)} ${offline ? told.chip("nobody there", "warning") : nothing}${
  expired ? told.chip("expired", "warning") : nothing}`;

customElements.define("c-event", OneEvent);
