// Why did somebody (not) get an event: the sentence first, then what it was
// found out from.

import { css, html, LitElement, nothing } from "lit";
import { sheet } from "../sheet.js";
import { link } from "../router.js";
import { accepted, connectionWords, deviceWords, facts, toCome } from "./outcome.js";
import { ms, now } from "./time.js";
import * as told from "./told.js";
import "./table.js";

export class Explanation extends LitElement {
  static properties = { of: { attribute: false } };

  static styles = [sheet, css`
    :host { display: block; }
    .verdict { margin: 0 0 4px; font-size: 1.25rem; line-height: 1.35; font-weight: 620; letter-spacing: -.01em; overflow-wrap: anywhere; }
    .findings { display: grid; margin-top: 14px; }
    h3 + .findings { margin-top: 0; }
    .finding { display: grid; grid-template-columns: 13rem minmax(0, 1fr); gap: 2px 20px; padding: 8px 0; border-top: 1px solid var(--line); }
    .finding dt { color: var(--soft); overflow-wrap: anywhere; }
    .finding dd { padding-inline-start: 1.4em; overflow-wrap: anywhere; }
    [data-tone] > .tone::before { content: "•"; display: inline-block; width: 1.4em; margin-inline-start: -1.4em; font-weight: 900; }
    [data-tone="good"] > .tone::before { content: "✓"; color: var(--success); }
    [data-tone="bad"] > .tone::before { content: "✗"; color: var(--critical); }
    [data-tone="warn"] > .tone::before { content: "!"; color: var(--warning); }
    [data-tone="quiet"] > .tone::before { color: var(--soft); }
    h3 { margin: 18px 0 6px; font-size: .9375rem; }
    @media (max-width: 42em) { .finding { grid-template-columns: 1fr; } }
  `];

  constructor() {
    super();
    this.of = null;
  }

  render() {
    if (!this.of) return nothing;
    const { verdict, events = [], rejections = [], audit = [] } = this.of;
    const [only] = events.length === 1 ? events : [];
    return html`
      ${verdict ? html`<p class="verdict">${verdict}</p>` : nothing}
      <dl class="findings">${this.#finding(accepted(this.of, told.date))} ${only ? this.#findings(only) : nothing}</dl>
      ${rejections.length > 0 ? html`<p><a href=${link("rejected")}>What the log could not read</a> has the message itself.</p>` : nothing}
      ${only ? this.#rest(only) : events.map((event) => html`<h3>The one at position ${told.position(event.position)}</h3>
        <dl class="findings">${this.#findings(event)}</dl> ${this.#rest(event)}`)}
      ${audit.length > 0 ? html`<h3>On record</h3><ul>${audit.map(recordLine)}</ul>` : nothing}`;
  }

  #findings(event) {
    const { devices = [] } = event;
    return [
      ...facts(event, { user: this.of.user, date: told.date, now: now() }),
      ...devices.map((device) => ({ name: `Device ${device.device}`, ...deviceWords(device, event, told.date) })),
    ].map((fact) => this.#finding(fact));
  }

  #rest(event) {
    const { connections = [] } = event;
    const pending = toCome(event);
    return html`
      ${connections.length > 0 ? this.#connections(connections) : nothing}
      ${pending.length > 0 ? html`<h3>Still to come</h3><ul>${pending.map((what) => html`<li>${what}</li>`)}</ul>` : nothing}`;
  }

  #finding({ name, text, tone, position }) {
    return html`<div class="finding"><dt>${name}</dt><dd data-tone=${tone}><span class="tone" aria-hidden="true"></span>${text}${
      position ? html` <a href=${link(`event/${position}`)}>Look at it</a>` : nothing}</dd></div>`;
  }

  #connections(connections) {
    return html`<h3>Its connections</h3>
      <c-table .caption=${"What each connection had to do with it"} .rows=${connections} .columns=${[
        { key: "connection", label: "Connection", render: ({ connection, ended }) => (ended ? html`<span class="mono">${connection}</span>` : told.connection(connection)) },
        { key: "device", label: "Device", render: ({ device }) => told.or(device) },
        { key: "transport", label: "Transport", render: ({ transport }) => told.or(transport) },
        { key: "began", label: "From, to", render: ({ began, ended }) => html`${told.date(began)}, ${ended ? `for ${ms(Date.parse(ended) - Date.parse(began))}` : "still there"}` },
        { key: "outcome", label: "What became of it there", wide: true, render: (part) => connectionWords(part).text },
      ]}></c-table>`;
  }
}

const recordLine = ({ at, action, by, via, reason, note }) => html`<li>${told.date(at)}: ${action}${by ? ` by ${by}` : ""}${via ? ` (${via})` : ""}${
  reason ? `: ${reason}` : ""}${note ? html` <span class="muted">${note}</span>` : nothing}</li>`;

customElements.define("c-explanation", Explanation);
