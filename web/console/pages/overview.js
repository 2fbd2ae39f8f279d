// How the node is, second by second.

import { css, html, nothing } from "lit";
import { Page } from "../base.js";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import "../parts/chart.js";
import "../parts/table.js";
import { CHARTS, columns, MOST, NUMBERS, rows, troubles } from "./figures.js";

const COLUMNS = [
  { key: "title", label: "Picture" },
  { key: "label", label: "Figure", wide: true },
  { key: "now", label: "Now", align: "end" },
  { key: "least", label: "Lowest", align: "end" },
  { key: "most", label: "Highest", align: "end" },
];

class Overview extends Page {
  static styles = [Page.styles, css`
    .health { display: grid; gap: 6px; padding: 10px 14px; border-radius: var(--radius-small); font-weight: 550; }
    .health li { display: flex; gap: 8px; align-items: flex-start; }
    .health .icon { margin-top: 3px; }
    .health[data-tone="success"] { background: var(--success-wash); color: var(--success); }
    .health[data-tone="warning"] { background: var(--warning-wash); color: var(--warning); }
    .health[data-tone="critical"] { background: var(--critical-wash); color: var(--critical); }
    .numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(9rem, 100%), 1fr)); gap: 10px; }
    .numbers > div { display: flex; flex-direction: column; min-width: 0; padding: 11px 15px 12px; border: 1px solid var(--line); border-radius: 12px; background: var(--card); box-shadow: var(--shadow); }
    .numbers dt { font-size: .8125rem; color: var(--soft); }
    .numbers dd { font-size: 1.5rem; line-height: 1.3; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
    .numbers small { font-size: .7812rem; font-weight: 400; letter-spacing: 0; color: var(--soft); white-space: nowrap; }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); gap: 12px; }
    .charts .card { padding: 13px 14px 8px 16px; }
    details c-table { margin-top: 10px; }
    @media (max-width: 34.9375em) {
      .numbers { grid-template-columns: 1fr 1fr; }
    }
  `];

  #samples = [];
  #stop = null;

  title() {
    return "Overview";
  }

  connectedCallback() {
    super.connectedCallback();
    this.#stop = hub.stream("Watch", {}, {
      begin: () => {
        this.#samples = [];
        this.error = "";
      },
      next: (sample) => {
        this.#samples.push(sample);
        if (this.#samples.length > MOST) this.#samples.shift();
        this.requestUpdate();
      },
      error: (error) => { this.error = error.message; },
    });
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#stop();
  }

  render() {
    const latest = this.#samples.at(-1);
    return html`<div class="stack">
      <h1>Overview</h1>
      ${this.state()}
      ${this.#health()}
      <dl class="numbers">${NUMBERS.map(({ label, unit, of }) => html`<div>
        <dt>${label}</dt><dd>${latest ? of(latest) : "–"} ${unit ? html`<small>${unit}</small>` : nothing}</dd>
      </div>`)}</dl>
      ${latest ? this.#pictures() : nothing}
    </div>`;
  }

  /** What is wrong, in words; it is read out when it changes. */
  #health() {
    const found = troubles(this.#samples);
    const away = hub.state !== "live";
    const said = away ? [{ tone: "warning", text: "There is no connection to the server: what is shown is from before." }]
      : found.length ? found
      : this.#samples.length ? [{ tone: "success", text: "All is well: nothing lags, and there was no error in the last minute." }] : [];
    return html`<div role="status">${said.length ? html`<ul class="health" data-tone=${said[0].tone}>
      ${said.map(({ tone, text }) => html`<li>${icon(tone)}<span>${text}</span></li>`)}
    </ul>` : html`<p class="muted">Waiting for the first figures…</p>`}</div>`;
  }

  #pictures() {
    return html`
      <div class="charts">${CHARTS.map(({ title, unit, format, whole, lines }) => html`<div class="card">
        <c-chart .title=${title} .unit=${unit} .format=${format} .whole=${whole} .series=${lines} .data=${columns(this.#samples, lines)}></c-chart>
      </div>`)}</div>
      <details>
        <summary>The same as a table</summary>
        <c-table .caption=${"Figures of the last five minutes"} .columns=${COLUMNS} .rows=${rows(this.#samples)}></c-table>
      </details>`;
  }
}

customElements.define("c-overview", Overview);
