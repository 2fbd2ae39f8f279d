// <c-pager> says how much of what was found is shown, and offers more. It fires
// "more" with next as its detail.
//
//   <c-pager .next=${data.next} .matched=${data.matched} .shown=${data.items.length} @more=${…}></c-pager>

import { html, LitElement, nothing } from "lit";
import { number } from "./time.js";

class Pager extends LitElement {
  static properties = {
    next: { attribute: false },
    matched: { attribute: false },
    shown: { attribute: false },
    busy: { attribute: false },
  };

  createRenderRoot() {
    return this;
  }

  render() {
    return html`<div class="pager">
      ${this.next ? html`<button class="button small" type="button" ?disabled=${this.busy} @click=${this.#more}>Show more</button>` : nothing}
      <span class="hint">${how(this)}</span>
    </div>`;
  }

  #more() {
    this.dispatchEvent(new CustomEvent("more", { detail: this.next }));
  }
}

/** "50 of 1,204 shown", "all 3 shown". */
export function how({ shown, matched, next }) {
  if (shown === undefined) return "";
  if (matched === undefined) return next ? `${number(shown)} shown, there are more` : `${number(shown)} shown`;
  return shown < matched ? `${number(shown)} of ${number(matched)} shown` : shown > 1 ? `All ${number(shown)} shown` : "";
}

customElements.define("c-pager", Pager);
