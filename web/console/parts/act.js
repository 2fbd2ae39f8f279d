// Asks before anything is done: what, why, and with which particulars. Whatever
// is done is put on record with the reason.
//
//   await act({
//     title: "Close this connection?", text: "Its client comes back by itself.", confirm: "Close", danger: true,
//     fields: [{ name: "minutes", label: "Minutes", type: "number", value: "15", required: true }],
//     run: ({ why, minutes }) => hub.call("CloseConnection", { id, why }),
//     done: (result) => "The connection was closed.",
//   })
//
// Resolves to what run returned, or to undefined if it was called off. A run
// that fails leaves the dialog open, with the error in it. Without done, run
// says itself what was done.

import { html, LitElement, nothing } from "lit";
import { hub } from "../hub.js";
import { sheet } from "../sheet.js";
import { one } from "./field.js";
import { said, say } from "./say.js";
import { askWho } from "./signin.js";

const WHY_MAX = 500;

export function act(what) {
  const dialog = document.createElement("c-act");
  dialog.what = what;
  document.body.append(dialog);
  return dialog.over.finally(() => dialog.remove());
}

class Act extends LitElement {
  static styles = [sheet];
  static properties = { what: { attribute: false }, busy: { state: true }, error: { state: true } };

  constructor() {
    super();
    this.busy = false;
    this.error = "";
    this.over = new Promise((resolve) => { this.end = resolve; });
    let off;
    this.addController({
      hostConnected: () => { off = hub.onState(() => this.requestUpdate()); },
      hostDisconnected: () => off(),
    });
  }

  firstUpdated() {
    this.renderRoot.querySelector("dialog").showModal();
  }

  render() {
    const { title, text, fields = [], confirm, danger } = this.what;
    const may = hub.who?.mayAct ?? false;
    return html`<dialog aria-labelledby="title" aria-describedby="text" @close=${() => this.end(this.result)}>
      <h2 id="title">${title}</h2>
      <p id="text" class="muted">${text}</p>
      <form @submit=${this.#submit}>
        ${may ? nothing : this.#stranger()}
        <fieldset class="stack" ?disabled=${!may}>
          ${fields.map((field) => one(field, field.value ?? ""))}
          <label class="field">Why
            <textarea name="why" rows="2" required maxlength=${WHY_MAX} aria-describedby="why-hint" ?autofocus=${fields.length === 0}></textarea>
          </label>
          <p id="why-hint" class="hint">It is put on record with your name.</p>
        </fieldset>
        <p class="error" role="alert">${this.error}</p>
        <div class="tools end">
          <button class="button" type="button" @click=${this.#close}>Cancel</button>
          <button class="button ${danger ? "danger" : "primary"}" type="submit" ?disabled=${!may || this.busy}>${confirm}</button>
        </div>
      </form>
    </dialog>`;
  }

  /** Why there is nothing to be done here, and what helps. */
  #stranger() {
    const why = hub.who?.user
      ? `${hub.who.user} may look, but not act. Sign in as somebody who may manage this server.`
      : "Anyone on this machine may look. To act, sign in as somebody who may manage this server.";
    return html`<div class="stack">
      <p>${why}</p>
      <div><button class="button" type="button" @click=${this.#signIn}>Sign in</button></div>
    </div>`;
  }

  async #signIn() {
    await askWho();
    await this.updateComplete;
    this.renderRoot.querySelector("input, textarea").focus(); // the button may be gone
  }

  async #submit(event) {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]));
    if (!values.why) {
      this.error = "Say why.";
      return;
    }
    const before = said();
    this.busy = true;
    this.error = "";
    try {
      this.result = await this.what.run(values);
      this.#close();
      if (this.what.done) say(this.what.done(this.result));
      else if (said() === before) say(`${this.what.title.replace(/\?$/, "")}: done.`);
    } catch (error) {
      this.error = error.message;
    } finally {
      this.busy = false;
    }
  }

  #close() {
    this.renderRoot.querySelector("dialog").close();
  }
}

customElements.define("c-act", Act);
