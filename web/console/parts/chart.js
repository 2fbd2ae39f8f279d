// <c-chart> draws lines over time. data is that of uPlot: [times, values, …],
// times in seconds since 1970, null where there is no value. Lines differ by
// colour and by dashes. The picture is for eyes only: a sentence says the same.
//
//   <c-chart .title=${"Connections"} .unit=${""} .format=${number} .data=${[[…], […]]}
//     .series=${[{ label: "Connections", stroke: "--accent" }]}></c-chart>

import { css, html, LitElement } from "lit";
import uPlot from "uplot";
import { sheet } from "../sheet.js";
import { number } from "./time.js";

const HEIGHT = 138;
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2]];
const WHOLE = Array.from({ length: 36 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3)); // steps of an axis: 1, 2, 5, 10, …
const SYNC = "console"; // the crosshair stands at the same second in all charts

class Chart extends LitElement {
  static styles = [sheet, css`
    :host { min-width: 0; }
    figure { display: grid; grid-template-columns: minmax(0, 1fr); gap: 6px; }
    figcaption { font-size: .875rem; font-weight: 600; }
    figcaption .hint { font-weight: 400; }
    .legend { display: flex; flex-wrap: wrap; gap: 2px 14px; min-height: 1.3rem; font-size: .7812rem; color: var(--soft); }
    .legend li { display: inline-flex; align-items: center; gap: 6px; }
    .legend svg { width: 20px; height: 3px; flex: none; overflow: visible; stroke-width: 2; }
    .legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
    .plot { height: ${HEIGHT}px; overflow: hidden; }

    /* What uPlot needs (of its uPlot.min.css, MIT). */
    .uplot { width: min-content; font-family: var(--sans); }
    .u-wrap { position: relative; user-select: none; }
    .u-over, .u-under, .u-axis, .u-cursor-x, .u-cursor-y, .u-cursor-pt, .u-select { position: absolute; }
    .u-under { overflow: hidden; }
    .u-cursor-x, .u-cursor-y, .u-cursor-pt { left: 0; top: 0; pointer-events: none; will-change: transform; }
    .u-hz .u-cursor-x { height: 100%; border-right: 1px dashed var(--edge); }
    .u-cursor-pt { border: 0 solid; border-radius: 50%; background-clip: padding-box !important; }
    .u-select { pointer-events: none; }
    .u-off { display: none; }
    canvas { display: block; position: relative; width: 100%; height: 100%; }
  `];

  static properties = {
    title: { attribute: false },
    series: { attribute: false },
    data: { attribute: false },
    unit: { attribute: false },
    format: { attribute: false },
    whole: { attribute: false },
    at: { state: true },
  };

  #plot = null;
  #sized = new ResizeObserver(([{ contentRect }]) => this.#plot?.setSize({ width: Math.floor(contentRect.width), height: HEIGHT }));
  #colors = new Map();
  #themed = () => {
    this.#colors.clear();
    this.#plot?.redraw(false, false);
  };

  constructor() {
    super();
    this.title = "";
    this.series = [];
    this.data = [[]];
    this.unit = "";
    this.format = number;
    /** No fractions on the axis. */
    this.whole = false;
    /** The point under the mouse, or null for the latest. */
    this.at = null;
  }

  connectedCallback() {
    super.connectedCallback();
    window.addEventListener("theme", this.#themed);
    if (this.hasUpdated) this.#draw();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    window.removeEventListener("theme", this.#themed);
    this.#sized.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  render() {
    const at = this.at ?? this.data[0].length - 1;
    return html`<figure>
      <figcaption>${this.title}${this.unit ? html` <span class="hint">${this.unit}</span>` : ""}</figcaption>
      <ul class="legend" aria-hidden="true">${this.series.map(({ label, stroke }, i) => html`<li>
        <svg viewBox="0 0 20 3"><path d="M0 1.5h20" stroke="var(${stroke})" stroke-dasharray=${DASHES[i].join(" ")}/></svg>
        ${label} <b>${this.format(this.data[i + 1]?.[at])}</b></li>`)}
      </ul>
      <div class="plot" aria-hidden="true"></div>
      <span class="probe" hidden></span>
      <p class="sr-only">${summary(this.series, this.data, this.format)}</p>
    </figure>`;
  }

  firstUpdated() {
    this.#draw();
  }

  updated(changed) {
    if (changed.has("data")) this.#plot?.setData(this.data);
  }

  #draw() {
    const at = this.renderRoot.querySelector(".plot");
    this.#plot = new uPlot(this.#options(at.clientWidth), this.data, at);
    this.#sized.observe(at);
  }

  /** A canvas takes no variables: an element that has the colour is asked for it. */
  #color(name) {
    if (!this.#colors.has(name)) {
      const probe = this.renderRoot.querySelector(".probe");
      probe.style.color = `var(${name})`;
      this.#colors.set(name, getComputedStyle(probe).color);
    }
    return this.#colors.get(name);
  }

  #options(width) {
    const color = (name) => () => this.#color(name);
    const axis = { stroke: color("--soft"), font: "11px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: color("--line"), width: 1 } };
    return {
      width: Math.max(width, 1),
      height: HEIGHT,
      padding: [6, 24, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: SYNC }, points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [Math.min(low ?? 0, 0), high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, size: 28, gap: 9, space: 70, values: (_, splits) => splits.map((time) => clock.format(time * 1000)) },
        { ...axis, size: 52, gap: 6, space: 28, ...(this.whole && { incrs: WHOLE }), values: (_, splits) => splits.map((value) => this.format(value)) },
      ],
      series: [{}, ...this.series.map(({ label, stroke }, i) => ({ label, stroke: color(stroke), width: 1.6, dash: DASHES[i], points: dots(color(stroke)) }))],
      hooks: { setCursor: [(plot) => { this.at = plot.cursor.left >= 0 ? plot.cursor.idx : null; }] },
    };
  }
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A value between two that are missing makes no line: it is a dot. */
const dots = (fill) => ({ show: false, size: 4, fill, filter: (plot, series) => lonely(plot.data[series]) });

/** Where there is a value without one beside it. */
export const lonely = (values) => values.flatMap((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []));

/** "Sent: latest 12, lowest 0, highest 40." */
export function summary(series, data, format = number) {
  return series.map(({ label }, i) => {
    const values = (data[i + 1] ?? []).filter((value) => typeof value === "number");
    if (values.length === 0) return `${label}: no values yet.`;
    return `${label}: latest ${format(values.at(-1))}, lowest ${format(Math.min(...values))}, highest ${format(Math.max(...values))}.`;
  }).join(" ");
}

customElements.define("c-chart", Chart);
