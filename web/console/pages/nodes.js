// All nodes that answer, asked every few seconds.

import { html, nothing } from "lit";
import { Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import "../parts/table.js";
import { bytes, number, when } from "../parts/time.js";
import * as told from "../parts/told.js";

const LOOK_EVERY_MS = 3000;

class Nodes extends Page {
  #timer = 0;

  title() {
    return "Nodes";
  }

  found() {
    this.#look();
  }

  connectedCallback() {
    super.connectedCallback();
    this.#timer = setInterval(() => {
      if (hub.state === "live" && !this.busy) this.#look();
    }, LOOK_EVERY_MS);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#timer);
  }

  #look = () => this.load(() => hub.call("Nodes"));

  render() {
    return html`<div class="stack">
      <h1>Nodes</h1>
      <p class="muted">All nodes that share this log and have just answered. They share nothing else: each has connections of its own.</p>
      ${this.state()}
      ${this.data ? html`<c-table .caption=${"Nodes"} .rows=${this.data.items} .columns=${COLUMNS}></c-table>` : nothing}
    </div>`;
  }
}

const COLUMNS = [
  { key: "node", label: "Node", render: ({ node, self, version }) => html`<span class="mono">${node}</span> ${self ? told.chip("this one", "accent") : nothing}<div class="hint">${version}</div>` },
  { key: "ready", label: "State", render: state },
  { key: "connections", label: "Connections", align: "end", render: ({ connections }) => number(connections) },
  { key: "users", label: "Users", align: "end", render: ({ users }) => number(users) },
  { key: "position", label: "Position", align: "end", render: ({ position }) => number(position) },
  { key: "lag", label: "Lag", align: "end", render: ({ lag }) => number(lag) },
  { key: "load", label: "Load", align: "end", render: ({ load }) => `${Math.round(load * 100)} %` },
  { key: "cpu", label: "Cores", align: "end", render: ({ cpu }) => number(cpu) },
  { key: "heapBytes", label: "Heap / resident", align: "end", render: ({ heapBytes, rssBytes }) => `${bytes(heapBytes)} / ${bytes(rssBytes)}` },
  { key: "goroutines", label: "Goroutines", align: "end", render: ({ goroutines }) => number(goroutines) },
  { key: "started", label: "Started", render: ({ started }) => when(started) },
];

function state({ ready, reasons, natsConnected }) {
  const why = [...reasons, ...(natsConnected ? [] : ["NATS is not reached"])];
  return html`<span class="chip" data-tone=${ready ? "success" : "critical"}>${icon(ready ? "success" : "critical")}${ready ? "ready" : "not ready"}</span>${why.map((one) => html`<div class="hint">${one}</div>`)}`;
}

customElements.define("c-nodes", Nodes);
