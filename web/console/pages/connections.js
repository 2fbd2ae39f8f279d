// Who is connected to this node.

import { html, nothing } from "lit";
import { navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { behind, close, phase } from "../parts/connectionrow.js";
import "../parts/field.js";
import { icon } from "../parts/icon.js";
import "../parts/pager.js";
import "../parts/table.js";
import { bytes, ms, number } from "../parts/time.js";
import * as told from "../parts/told.js";
import { traceUser, untraceUser } from "../parts/useracts.js";

const FILTERS = ["user", "role", "group", "text", "transport", "hub"];

class Connections extends Page {
  title() {
    return "Connections";
  }

  found() {
    this.#look();
  }

  #look = () => this.load(() => hub.call("Connections", told.chosen(this.params, FILTERS)));

  #more(before) {
    this.load(async () => told.grown(this.data, await hub.call("Connections", { ...told.chosen(this.params, FILTERS), before })));
  }

  render() {
    return html`<div class="stack">
      <div class="head">
        <h1>Connections</h1>
        <button class="button" type="button" ?disabled=${this.busy} @click=${this.#look}>${icon("refresh")}Refresh</button>
      </div>
      <c-filters .fields=${fields()} .values=${this.params} @change=${({ detail }) => navigate("connections", detail)}></c-filters>
      ${this.state()}
      ${this.data ? this.#list() : nothing}
    </div>`;
  }

  #list() {
    const { items, matched, total, next } = this.data;
    const empty = total ? `None of the ${number(total)} connections is like that. Ids, roles and groups are compared exactly.` : "Nobody is connected to this node.";
    return html`<div>
      <c-table .caption=${"Connections, newest first"} .rows=${items} .empty=${empty} .columns=${this.#columns()}></c-table>
      <c-pager .next=${next} .matched=${matched} .shown=${items.length} .busy=${this.busy} @more=${({ detail }) => this.#more(detail)}></c-pager>
    </div>`;
  }

  #columns() {
    return [
      { key: "id", label: "Connection", render: ({ id }) => told.connection(id) },
      { key: "user", label: "User", wide: true, render: ({ user, hub: of, traced }) => html`${told.user(user, of)} ${traced ? told.chip("traced", "info") : nothing}` },
      { key: "phase", label: "Phase", render: ({ phase: name }) => phase(name) },
      { key: "behind", label: "Behind", render: ({ behind: n }) => behind(n) },
      { key: "queuedBytes", label: "Queue", align: "end", render: ({ queuedBytes, queuedFrames }) => (queuedFrames ? `${number(queuedFrames)}, ${bytes(queuedBytes)}` : html`<span class="muted">empty</span>`) },
      { key: "ageMs", label: "Age", align: "end", render: ({ ageMs }) => ms(ageMs) },
      { key: "transport", label: "Transport" },
      { key: "device", label: "Device", narrow: true, render: ({ device }) => told.or(device, html`<span class="mono" title=${device}>${device}</span>`) },
      { key: "acts", label: "", render: (connection) => this.#acts(connection) },
    ];
  }

  #acts(connection) {
    const { id, user, traced } = connection;
    const [does, act] = traced ? ["Stop tracing", untraceUser] : ["Trace", traceUser];
    return html`
      <button class="button small" type="button" aria-label="Close connection ${id}" @click=${() => close(connection, this.#look)}>Close…</button>
      ${user ? html`<button class="button small" type="button" aria-label="${does} ${user}" @click=${async () => { if (await act({ user }) !== undefined) this.#look(); }}>${does}…</button>` : nothing}`;
  }
}

const fields = () => [
  { name: "user", label: "User" },
  { name: "role", label: "Role" },
  { name: "group", label: "Group" },
  { name: "text", label: "Any id holds" },
  { name: "transport", label: "Transport", type: "select", options: [["", "Any"], "WebSockets", ["ServerSentEvents", "Server-Sent Events"], ["LongPolling", "Long polling"]] },
  ...(hub.who?.hubs.length > 1 ? [{ name: "hub", label: "Hub", type: "select", options: hub.who.hubs.map((name, i) => [i ? name : "", name]) }] : []),
];

customElements.define("c-connections", Connections);
