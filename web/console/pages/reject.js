// One rejected message: why, what it was, and the way to put it right.

import { css, html, nothing } from "lit";
import { link, Page } from "../base.js";
import { hub } from "../hub.js";
import { act } from "../parts/act.js";
import { check } from "../parts/json.js";
import { bytes, when } from "../parts/time.js";
import * as told from "../parts/told.js";

class Reject extends Page {
  static properties = { ...Page.properties, text: { state: true }, checked: { state: true }, stored: { state: true } };

  static styles = [Page.styles, css`
    .reason { margin-bottom: 10px; font-size: 1.125rem; line-height: 1.4; font-weight: 600; color: var(--critical); overflow-wrap: anywhere; }
    textarea { min-height: 14rem; font: .8125rem/1.55 var(--mono); tab-size: 2; }
    .card .tools, .card details, textarea { margin-top: 10px; }
    .facts { max-width: 46rem; }
    .good { color: var(--success); font-size: .875rem; }
    .bad { color: var(--critical); font-size: .875rem; }
  `];

  constructor() {
    super();
    this.text = "";
    /** What the last check has found, until the text is changed. */
    this.checked = null;
    /** The receipt of what was emitted instead. */
    this.stored = null;
  }

  title() {
    return `Rejected ${this.params.seq ?? ""}`;
  }

  found() {
    this.checked = this.stored = null;
    this.load(async () => {
      const one = await hub.call("RejectedOne", { seq: Number(this.params.seq) });
      this.text = one.binary ? "" : one.payload;
      return one;
    });
  }

  render() {
    return html`
      <div class="head"><h1>Rejected message</h1><div class="tools"><a class="button" href=${link("rejected")}>All of them</a></div></div>
      <div class="stack">
        ${this.state()}
        ${this.data ? html`
          <section class="card"><p class="reason">${this.data.reason}</p>${facts(this.data)}</section>
          ${this.#repair(this.data)}
          ${headers(this.data.headers)}` : nothing}
      </div>`;
  }

  #repair(one) {
    const wrong = this.checked && !this.checked.ok;
    return html`<section class="card">
      <h2 id="right">Put it right</h2>
      <p class="hint">${one.binary ? "What came is no text. Write the event that it should have been, as JSON." : "This is what came. Change it to the event that it should have been."}
        ${one.recipient ? html`It goes to ${told.recipient(one.recipient)} unless it names another recipient.` : "Its subject does not say whom it is for: give it a recipient, such as user/ann."}</p>
      <textarea class="input" spellcheck="false" aria-labelledby="right" aria-describedby="checked" aria-invalid=${wrong ? "true" : "false"} .value=${this.text}
        @input=${(e) => { this.text = e.target.value; this.checked = null; }}></textarea>
      <div id="checked" role="status">${verdict(this.checked)}${this.stored ? receipt(this.stored) : nothing}</div>
      <div class="tools">
        <button class="button" @click=${this.#check}>Check</button>
        <button class="button primary" @click=${this.#emit}>Emit again…</button>
        ${one.binary || this.text === one.payload ? nothing : html`<button class="button quiet" @click=${() => { this.text = one.payload; this.checked = null; }}>As it came</button>`}
      </div>
      ${one.binary ? html`<details><summary>What came, in base64</summary><pre class="code-block">${one.payload}</pre></details>` : nothing}
    </section>`;
  }

  /** Shows where it is no JSON. */
  async #check() {
    this.checked = examine(this.text);
    if (this.checked.ok) return true;
    await this.updateComplete;
    const area = this.renderRoot.querySelector("textarea");
    area.focus();
    area.setSelectionRange(this.checked.at, Math.min(this.checked.at + 1, this.text.length));
    return false;
  }

  async #emit() {
    if (!await this.#check()) return;
    const { seq } = this.data;
    const receipt = await act({
      title: "Emit it again",
      text: "The event as it is written here goes into the log and to its recipients now. The rejected message stays where it is.",
      confirm: "Emit",
      run: ({ why }) => hub.call("Reemit", { seq, event: this.text, why }),
      done: ({ position, duplicate }) => (duplicate ? `It was there already, at position ${position}.` : `Stored at position ${position}.`),
    });
    if (receipt) this.stored = receipt;
  }
}

/** An event is an object; the rest of what it must be the server says. */
function examine(text) {
  const checked = check(text);
  const { value } = checked;
  if (checked.ok && (typeof value !== "object" || value === null || Array.isArray(value))) {
    return { ok: false, at: 0, line: 1, column: 1, reason: "an event is an object, { … }" };
  }
  return checked;
}

function verdict(checked) {
  if (!checked) return nothing;
  if (checked.ok) return html`<p class="good">Well-formed JSON. Whether it is an event the server says when it is emitted.</p>`;
  return html`<p class="bad">Line ${checked.line}, column ${checked.column}: ${checked.reason}.</p>`;
}

const receipt = ({ position, duplicate, id }) => html`<p class="good">${duplicate ? "An event of this id was there already," : "Stored"} at position ${told.position(position)}, with the id ${told.eventId(id)}.</p>`;

function facts(one) {
  const row = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts">
    ${row("Came", html`${told.date(one.at)}, ${when(one.at)}`)}
    ${row("Subject", html`<span class="mono">${one.subject}</span>`)}
    ${row("Recipient", told.recipient(one.recipient))}
    ${row("Id", told.or(one.id, html`<span class="mono">${one.id}</span>`))}
    ${row("Position", html`${one.position} <span class="muted">of log ${one.epoch}; it stays empty</span>`)}
    ${row("Size", bytes(one.bytes))}
  </dl>`;
}

function headers(all) {
  const names = Object.keys(all ?? {}).sort();
  return names.length > 0 ? html`<section class="card"><h2>Its headers</h2>
    <dl class="facts">${names.map((name) => html`<div><dt>${name}</dt><dd class="mono">${[all[name]].flat().join(", ")}</dd></div>`)}</dl></section>` : nothing;
}

customElements.define("c-reject", Reject);
