// <c-waterfall> draws the spans of a trace: a tree on the left, bars on the
// right. Arrow keys move, Enter chooses; "choose" says which row, {row, focus}.
//
//   <c-waterfall .drawn=${rows(data.spans)} .selected=${spanId} @choose=${…}></c-waterfall>

import { css, html, LitElement, nothing } from "lit";
import { classMap } from "lit/directives/class-map.js";
import { sheet } from "../sheet.js";
import { place } from "./place.js";
import { ms } from "./time.js";
import { inSight, layout, MOST, moved, opening, ownRows, reveal, ROW } from "./waterfall.js";

const TICKS = [0, 25, 50, 75, 100];
const INDENT = 14; // px a level
const DEEPEST = 12; // levels that are indented: names must stay readable

export class Waterfall extends LitElement {
  static properties = {
    drawn: { attribute: false }, selected: { attribute: false },
    active: { state: true }, top: { state: true }, height: { state: true }, aligned: { state: true },
  };

  static styles = [sheet, css`
    :host { --names: minmax(9rem, 44%); container-type: inline-size; }
    .axis, .row { display: grid; grid-template-columns: var(--names) minmax(0, 1fr); }
    .axis { padding-inline-end: 64px; border-bottom: 1px solid var(--line); color: var(--soft); font-size: .75rem; font-variant-numeric: tabular-nums; }
    .ticks { position: relative; height: 22px; }
    .ticks span { position: absolute; translate: -50% 0; white-space: nowrap; }
    .ticks span:first-child { translate: 0 0; }
    .ticks span:last-child { translate: -100% 0; }
    .scroll { max-height: 70vh; overflow: auto; border: 0; border-radius: 6px; background: none; }
    .row { height: 28px; align-items: center; padding-inline-end: 64px; cursor: pointer; border-radius: 5px; font-size: .8438rem; }
    .row:hover { background: var(--sunk); }
    .row.selected { background: var(--accent-wash); }
    .scroll:focus-visible .row.active { outline: 2px solid var(--accent); outline-offset: -2px; }
    .name { display: flex; align-items: center; gap: 6px; min-width: 0; padding-inline: 6px 10px; }
    .name .text { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .name .service { flex: none; max-width: 40%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); font-size: .7812rem; }
    .name .chip { flex: none; min-height: 18px; padding: 0 7px; font-size: .7188rem; }
    .name::before { content: ""; flex: none; width: 8px; height: 8px; border-radius: 3px; background: var(--of); }
    .row { --of: var(--success); }
    .row.own { --of: var(--accent); }
    .row.emitter { --of: var(--info); }
    .row.failed { --of: var(--critical); }
    .lane { position: relative; height: 100%; background: linear-gradient(var(--line), var(--line)) 25% 0 / 1px 100% no-repeat, linear-gradient(var(--line), var(--line)) 50% 0 / 1px 100% no-repeat, linear-gradient(var(--line), var(--line)) 75% 0 / 1px 100% no-repeat; }
    [data-text]::after { content: attr(data-text); }
    .bar { position: absolute; top: 9px; height: 10px; min-width: 3px; border-radius: 3px; background: var(--of); }
    .took { position: absolute; top: 5px; padding-inline: 6px; font-size: .75rem; line-height: 18px; color: var(--soft); white-space: nowrap; font-variant-numeric: tabular-nums; }
    .foot { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 16px; padding-top: 8px; }
    @container (max-width: 38rem) {
      :host { --names: minmax(0, 60%); }
      .axis, .row { grid-template-columns: minmax(0, 58%) minmax(0, 1fr); padding-inline-end: 52px; }
      .ticks span:not(:first-child, :last-child) { display: none; }
      .name .service { display: none; }
    }
  `];

  constructor() {
    super();
    this.drawn = { rows: [], left: 0 };
    this.selected = "";
    this.active = 0;
    this.top = 0;
    this.height = 0;
    this.aligned = false;
  }

  willUpdate(changed) {
    if (changed.has("drawn") || changed.has("selected")) this.active = opening(this.drawn.rows, this.selected);
  }

  updated(changed) {
    if (changed.has("drawn") || changed.has("selected")) this.#show();
  }

  get #scroll() {
    return this.renderRoot.querySelector(".scroll");
  }

  /** Brings the active row into sight. */
  #show() {
    const scroll = this.#scroll;
    if (!scroll) return;
    this.height = scroll.clientHeight;
    scroll.scrollTop = reveal({ index: this.active, top: scroll.scrollTop, height: scroll.clientHeight });
  }

  render() {
    const { rows: list, left } = this.drawn;
    if (list.length === 0) return nothing;
    const { length, bars } = layout(list, this.aligned);
    const { from, to } = inSight({ count: list.length, top: this.top, height: this.height });
    const own = ownRows(list);
    const early = list.filter((row) => row.early > 0);
    const clocks = early.some(({ span, parent }) => span.service !== parent.span.service);
    return html`
      <div class="axis" aria-hidden="true"><span></span><div class="ticks">${TICKS.map((at) => html`<span ${place({ left: `${at}%` })}>${ms(length * at / 100)}</span>`)}</div></div>
      <div class="scroll" role="tree" tabindex="0" aria-label="Spans" aria-activedescendant=${`row-${this.active}`} @keydown=${this.#key} @scroll=${this.#scrolled}>
        <div role="none" ${place({ paddingTop: `${from * ROW}px`, paddingBottom: `${(list.length - to) * ROW}px` })}>
          ${list.slice(from, to).map((row, i) => this.#row(row, from + i, bars[from + i], own(row)))}
        </div>
      </div>
      <div class="foot">
        ${clocks ? html`<label class="check"><input type="checkbox" .checked=${this.aligned} @change=${(e) => { this.aligned = e.target.checked; }}>Align the clocks</label>` : nothing}
        ${early.length > 0 ? html`<span class="hint">${early.length === 1 ? "A span begins before what caused it" : `${early.length} spans begin before what caused them`}: the clocks of their machines differ.</span>` : nothing}
        ${left > 0 ? html`<span class="hint">The first ${MOST} spans are drawn; ${left} are left out.</span>` : nothing}
      </div>`;
  }

  /** Its label says all of it, in order; what is drawn beside the name is drawn only. */
  #row(row, index, { left, width }, own) {
    const { span, parent, depth, emitter, nth, of } = row;
    const chosen = span.spanId === this.selected;
    return html`<div id=${`row-${index}`} class=${classMap({ row: true, own, emitter, failed: Boolean(span.failed), selected: chosen, active: index === this.active })}
      role="treeitem" aria-level=${depth + 1} aria-posinset=${nth} aria-setsize=${of} aria-selected=${chosen ? "true" : "false"}
      aria-label=${`${span.name}, ${span.service}${emitter ? ", emitter" : ""}${span.failed ? ", failed" : ""}, ${ms(span.durationMs)}`}
      @click=${() => this.#choose(index, false)}>
      <div class="name" ${place({ paddingInlineStart: `${6 + Math.min(depth, DEEPEST) * INDENT}px` })} title=${`${span.name} – ${span.service}`}>
        ${emitter && (!parent?.emitter || span.kind === "producer") ? html`<span class="chip" data-tone="info" data-text="emitter"></span>` : nothing}
        ${span.failed ? html`<span class="chip" data-tone="critical" data-text="failed"></span>` : nothing}
        <span class="text">${span.name}</span>${parent?.span.service === span.service ? nothing : html`<span class="service" data-text=${span.service}></span>`}
      </div>
      <div class="lane">
        <span class="bar" ${place({ left: `${left}%`, width: `${width}%` })}></span>
        <span class="took" data-text=${ms(span.durationMs)} ${place({ left: `${left + width}%` })}></span>
      </div>
    </div>`;
  }

  #scrolled() {
    if (this.drawn.rows.length === 0) return;
    this.top = this.#scroll.scrollTop;
    this.height = this.#scroll.clientHeight;
  }

  #key(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#choose(this.active, true);
      return;
    }
    const to = moved(event.key, { active: this.active, count: this.drawn.rows.length, page: Math.max(Math.floor(this.height / ROW) - 1, 1) });
    if (to < 0) return;
    event.preventDefault();
    this.active = to;
    this.#show();
  }

  #choose(index, focus) {
    this.active = index;
    this.dispatchEvent(new CustomEvent("choose", { detail: { row: this.drawn.rows[index], focus } }));
  }

  focus() {
    this.#scroll?.focus();
  }
}

customElements.define("c-waterfall", Waterfall);
