// Signing in: with a token, or in development as one of the people there are.

import { html, LitElement, nothing } from "lit";
import { hub } from "../hub.js";
import { sheet } from "../sheet.js";
import { say } from "./say.js";

/** Opens the dialog. Resolves when it is closed. */
export function askWho() {
  const dialog = document.createElement("c-sign-in");
  document.body.append(dialog);
  return dialog.over.finally(() => dialog.remove());
}

class SignIn extends LitElement {
  static styles = [sheet];
  static properties = { people: { state: true }, busy: { state: true }, error: { state: true } };

  constructor() {
    super();
    this.people = [];
    this.busy = false;
    this.error = "";
    this.over = new Promise((resolve) => { this.end = resolve; });
  }

  async firstUpdated() {
    this.renderRoot.querySelector("dialog").showModal();
    this.people = await people();
  }

  render() {
    return html`<dialog aria-labelledby="title" @close=${() => this.end()}>
      <h2 id="title">Sign in</h2>
      <p class="muted">Anyone on this machine may look. Who acts must be somebody who may manage this server.</p>
      ${this.people.length ? this.#choice() : nothing}
      <form @submit=${this.#submit}>
        <label class="field">Token
          <input class="mono" name="token" type="password" required autocomplete="off" spellcheck="false" autofocus>
        </label>
        <p class="hint">It is kept for this tab only. <span class="mono">tidings token --user root --role admin</span> makes one on the server.</p>
        <p class="error" role="alert">${this.error}</p>
        <div class="tools end">
          <button class="button" type="button" @click=${this.#close}>Cancel</button>
          <button class="button primary" type="submit" ?disabled=${this.busy}>Sign in</button>
        </div>
      </form>
    </dialog>`;
  }

  #choice() {
    return html`<div class="stack">
      <p>This is a development server. Be one of its people:</p>
      <div class="tools" role="group" aria-label="People">
        ${this.people.map(({ id, name, roles }) => html`<button class="button" type="button" ?disabled=${this.busy} @click=${() => this.#take(() => tokenOf(id))}>
          ${name} <span class="hint">${roles.join(", ")}</span>
        </button>`)}
      </div>
    </div>`;
  }

  #submit(event) {
    event.preventDefault();
    const token = new FormData(event.target).get("token").trim();
    this.#take(() => token);
  }

  async #take(find) {
    this.busy = true;
    this.error = "";
    try {
      await hub.signIn(await find());
      this.#close();
      say(hub.who.mayAct ? `You are signed in as ${hub.who.user}.` : `You are signed in as ${hub.who.user}, who may look, but not act.`);
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

/** The people of a development server; any other has none. */
async function people() {
  try {
    const response = await fetch("/console/dev/users", { cache: "no-store" });
    return response.ok ? await response.json() : [];
  } catch {
    return [];
  }
}

async function tokenOf(user) {
  const response = await fetch("/console/dev/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
    cache: "no-store",
  });
  if (!response.ok) throw new Error(`The server gave no token: it answered ${response.status}.`);
  return (await response.json()).token;
}

customElements.define("c-sign-in", SignIn);
