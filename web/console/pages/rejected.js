// What came to the log and could not be read.

import { html, nothing } from "lit";
import { link, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { bytes, when } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/pager.js";
import "../parts/table.js";

const PAGE = 50;

class Rejected extends Page {
  title() {
    return "Rejected";
  }

  found() {
    this.#look();
  }

  #look = () => this.load(() => hub.call("Rejected", { limit: PAGE }));

  #more() {
    this.load(async () => told.grown(this.data, await hub.call("Rejected", { limit: PAGE, before: this.data.next })));
  }

  render() {
    return html`
      <div class="head"><h1>Rejected</h1><div class="tools"><button class="button" @click=${this.#look}>${icon("refresh")}Refresh</button></div></div>
      <div class="stack">
        ${this.state()}
        ${this.data ? list(this.data, this.busy, this.#more) : nothing}
      </div>`;
  }
}

const list = ({ items, next }, busy, more) => html`<section class="card">
  <c-table .caption=${"Rejected messages, newest first"} .rows=${items}
    .empty=${"Nothing was rejected. A message on NATS that is no event – no JSON, a field of the wrong kind, too large – is kept here with the reason and never delivered."}
    .columns=${[
      { key: "reason", label: "Reason", wide: true, render: ({ seq, reason }) => html`<a href=${link(`rejected/${seq}`)}>${reason}</a>` },
      { key: "at", label: "When", render: ({ at }) => when(at) },
      { key: "subject", label: "Subject", render: ({ subject }) => html`<span class="mono">${subject}</span>` },
      { key: "id", label: "Id", render: ({ id }) => told.or(id, html`<span class="mono">${id}</span>`) },
      { key: "position", label: "Position", align: "end" },
      { key: "bytes", label: "Size", align: "end", render: (one) => bytes(one.bytes) },
    ]}></c-table>
  <c-pager .next=${next} .shown=${items.length} .busy=${busy} @more=${more}></c-pager>
</section>`;

customElements.define("c-rejected", Rejected);
