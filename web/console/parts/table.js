// <c-table> shows rows. It has no shadow root, so that what a page puts into its
// cells looks as that page says.
//
//   <c-table .caption=${"Connections"} .rows=${items} .empty=${"Nobody is connected."}
//     .columns=${[{ key: "user", label: "User", render: ({ user }) => html`…` }, { key: "behind", label: "Behind", align: "end" }]}></c-table>
//
// align is "end" for numbers; the one column that is wide takes the room there
// is and breaks its lines; one that is narrow cuts its text off. Without render a cell shows row[key]. As long as rows
// is null or undefined nothing is shown: a page says itself that it is loading.

import { html, LitElement, nothing } from "lit";

class Table extends LitElement {
  static properties = {
    columns: { attribute: false },
    rows: { attribute: false },
    empty: { attribute: false },
    caption: { attribute: false },
  };

  constructor() {
    super();
    this.columns = [];
    this.rows = undefined;
    this.empty = "There is nothing here.";
    this.caption = "";
  }

  createRenderRoot() {
    return this;
  }

  render() {
    if (!this.rows) return nothing;
    if (this.rows.length === 0) return html`<p class="empty">${this.empty}</p>`;
    return html`
      <div class="scroll" role="region" tabindex="0" aria-label=${this.caption}>
        <table>
          <caption class="sr-only">${this.caption}</caption>
          <thead><tr>${this.columns.map((column) => html`<th scope="col" class=${classes(column)}>${column.label || html`<span class="sr-only">Actions</span>`}</th>`)}</tr></thead>
          <tbody>${this.rows.map((row) => html`<tr>${this.columns.map((column) => html`<td class=${classes(column)}>${cell(column, row)}</td>`)}</tr>`)}</tbody>
        </table>
      </div>`;
  }
}

const classes = ({ align, wide, narrow }) => [(align === "end" || align === "right") && "end", wide && "wide", narrow && "narrow"].filter(Boolean).join(" ");

const cell = ({ key, render }, row) => (render ? render(row) : row[key] ?? html`<span class="muted">–</span>`);

customElements.define("c-table", Table);
