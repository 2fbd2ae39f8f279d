// Groups and roles that have connections.

import { html, nothing } from "lit";
import { link, navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { number } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/field.js";
import "../parts/pager.js";
import "../parts/table.js";

const PAGE = 100;
const FIELDS = [
  { name: "text", label: "Name" },
  { name: "kind", label: "Kind", type: "select", options: [["", "Roles and groups"], ["role", "Roles"], ["group", "Groups"]] },
  { name: "hub", label: "Hub", hint: "notifications" },
];

class Groups extends Page {
  title() {
    return "Groups";
  }

  get #filters() {
    return told.chosen(this.params, FIELDS.map(({ name }) => name));
  }

  found() {
    this.load(() => hub.call("Groups", { ...this.#filters, limit: PAGE }));
  }

  #more() {
    this.load(async () => told.grown(this.data, await hub.call("Groups", { ...this.#filters, limit: PAGE, after: this.data.next })));
  }

  render() {
    return html`
      <div class="head"><h1>Groups and roles</h1></div>
      <div class="stack">
        <c-filters .fields=${FIELDS} .values=${this.params} @change=${({ detail }) => navigate("groups", detail)}></c-filters>
        ${this.state()}
        ${this.data ? this.#list(this.data) : nothing}
      </div>`;
  }

  #list({ items, matched, next }) {
    const { hub: of } = this.params;
    const empty = Object.keys(this.#filters).length > 0
      ? "No role or group of that kind and name has a connection."
      : "No role or group has a connection. A connection is in the roles of its token, in the groups it has joined (JoinGroup), and in those an administrator has put its user into.";
    return html`<section class="card">
      <c-table .caption=${"Groups and roles"} .rows=${items} .empty=${empty} .columns=${[
        { key: "name", label: "Name", wide: true, render: ({ kind, name }) => html`<a href=${link(`group/${kind}/${name}`, { hub: of })}>${name}</a>` },
        { key: "kind", label: "Kind", render: ({ kind }) => told.chip(kind, kind === "role" ? "accent" : "") },
        { key: "connections", label: "Connections", align: "end", render: ({ connections }) => number(connections) },
        { key: "log", label: "", render: ({ kind, name }) => html`<a href=${link("log", { hub: of, recipient: `${kind}/${name}` })}>events</a>` },
      ]}></c-table>
      <c-pager .next=${next} .matched=${matched} .shown=${items.length} .busy=${this.busy} @more=${this.#more}></c-pager>
    </section>`;
  }
}

customElements.define("c-groups", Groups);
