// An event as it is, to read and to copy, and the links in it.

import { css, html, LitElement, nothing } from "lit";
import { sheet } from "../sheet.js";
import { links } from "./links.js";
import { say } from "./say.js";

export class Payload extends LitElement {
  static properties = { text: { attribute: false }, label: {} };

  static styles = [sheet, css`
    :host { display: block; }
    .head { margin-bottom: 8px; }
    .links { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px; }
  `];

  constructor() {
    super();
    this.text = "";
    this.label = "Payload";
  }

  render() {
    const found = links(this.text);
    return html`
      <div class="head"><h2>${this.label}</h2><button class="button small" @click=${this.#copy}>Copy</button></div>
      <pre class="code-block" tabindex="0" role="region" aria-label=${this.label}>${this.text}</pre>
      ${found.length > 0 ? html`<ul class="links">${found.map(({ label, href }) => html`<li>
        <a class="button small" href=${href} target="_blank" rel="noopener noreferrer" title=${href}>${label} ↗</a></li>`)}</ul>` : nothing}`;
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.text);
      say("Copied.");
    } catch { // not allowed, or no secure context: one can still copy by hand
      const range = document.createRange();
      range.selectNodeContents(this.renderRoot.querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      say("Selected: the browser does not let this page copy.");
    }
  }
}

customElements.define("c-payload", Payload);
