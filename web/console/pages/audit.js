// What was done, by whom and why.

import { css, html, nothing } from "lit";
import { navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { records } from "../parts/records.js";
import * as told from "../parts/told.js";
import "../parts/field.js";

const MOST = 200;
const FIELDS = [
  { name: "user", label: "User", hint: "by, or about" },
  { name: "id", label: "Event id" },
  { name: "looks", label: "With looks at users", type: "checkbox" },
];

class Audit extends Page {
  static styles = [Page.styles, css`
    .hint { margin-top: 10px; }
  `];

  title() {
    return "Audit";
  }

  get #filters() {
    return told.chosen(this.params, ["user", "id"]);
  }

  found() {
    this.#look();
  }

  #look = () => this.load(() => hub.call("Audit", { ...this.#filters, looks: Boolean(this.params.looks), limit: MOST }));

  render() {
    const filtered = Object.keys(this.#filters).length > 0;
    return html`
      <div class="head"><h1>Audit</h1><div class="tools"><button class="button" @click=${this.#look}>${icon("refresh")}Refresh</button></div></div>
      <div class="stack">
        <c-filters .fields=${FIELDS} .values=${this.params} @change=${({ detail }) => navigate("audit", detail)}></c-filters>
        ${this.state()}
        ${this.data ? this.#list(this.data.items, filtered) : nothing}
      </div>`;
  }

  #list(items, filtered) {
    return html`<section class="card">
      ${records(items, filtered ? "Nothing is on record about that." : "Nothing is on record. Refusals, recalls, memberships and what operators do here are put on record.")}
      <p class="hint">${items.length === MOST ? `These are of the newest ${MOST} records: narrow them by a user or an id to see older ones. ` : ""}${
        this.params.looks ? "" : "Looks at users are left out: there are many. "}${filtered ? "" : "What was merely emitted is left out: the event log has it."}</p>
    </section>`;
  }
}

customElements.define("c-audit", Audit);
