// The connections in a group or role.

import { html, nothing } from "lit";
import { link, Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { when } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/pager.js";
import "../parts/table.js";

const PAGE = 100;

class Group extends Page {
  title() {
    return `${this.params.kind ?? "group"} ${this.params.name ?? ""}`;
  }

  get #which() {
    return told.chosen(this.params, ["kind", "name", "hub"]);
  }

  found() {
    this.data = undefined;
    this.#look();
  }

  #look = () => this.load(() => hub.call("Members", { ...this.#which, limit: PAGE }));

  #more() {
    this.load(async () => told.grown(this.data, await hub.call("Members", { ...this.#which, limit: PAGE, after: this.data.next })));
  }

  render() {
    const { kind, name, hub: of } = this.params;
    return html`
      <div class="head">
        <h1>${name} ${told.chip(kind, kind === "role" ? "accent" : "")}</h1>
        <div class="tools">
          <a class="button" href=${link("log", { hub: of, recipient: `${kind}/${name}` })}>Its events</a>
          <button class="button" @click=${this.#look}>${icon("refresh")}Refresh</button>
        </div>
      </div>
      <div class="stack">${this.state()} ${this.data ? this.#members(this.data, of) : nothing}</div>`;
  }

  #members({ items, total, next }, of) {
    return html`<section class="card">
      <h2>${told.count(total, "connection")}</h2>
      <c-table .caption=${"Connections in it"} .rows=${items}
        .empty=${"No connection is in it now. Members that are away are not listed here: a user's page says what it is a member of."}
        .columns=${[
          { key: "user", label: "User", wide: true, render: ({ user }) => told.user(user, of) },
          { key: "connection", label: "Connection", render: ({ connection }) => told.connection(connection) },
          { key: "transport", label: "Transport" },
          { key: "began", label: "Began", render: ({ began }) => when(began) },
        ]}></c-table>
      <c-pager .next=${next} .matched=${total} .shown=${items.length} .busy=${this.busy} @more=${this.#more}></c-pager>
    </section>`;
  }
}

customElements.define("c-group", Group);
