// What every page of the console is.
//
//   class Users extends Page {
//     static properties = { mine: { state: true } }; // beside those of Page
//     title() { return "Users"; }
//     found() { this.load(() => hub.call("User", { user: this.params.user })); }
//     render() { return html`<h1>Users</h1> ${this.state()} … ${this.data?.items}`; }
//   }

import { html, LitElement, nothing } from "lit";
import { hub } from "./hub.js";
import { sheet } from "./sheet.js";

export { link, navigate } from "./router.js";

export class Page extends LitElement {
  static styles = [sheet];

  static properties = {
    params: { attribute: false },
    busy: { state: true },
    error: { state: true },
    data: { state: true },
  };

  #asked = 0;
  #again = null;
  #known = null;

  constructor() {
    super();
    /** What the hash says: parts of the path and the query. Set by the program, also when only they change. */
    this.params = {};
    this.busy = false;
    /** Why the last load failed, or empty. */
    this.error = "";
    /** What the last load found. */
    this.data = undefined;
    // A controller, so that pages need not think of super.
    let off;
    this.addController({
      hostConnected: () => { off = hub.onState(() => this.#stateChanged()); },
      hostDisconnected: () => off(),
      hostUpdate: () => this.#paramsChanged(),
      hostUpdated: () => this.dispatchEvent(new Event("titled")),
    });
  }

  /** What the page is called, for the title of the window. */
  title() {
    return "";
  }

  /** Called before the page is first shown and whenever the params have changed: the place to load. */
  found() {}

  /**
   * Runs fn, which asks the server. What it returns becomes this.data, unless
   * that is undefined; if it fails, this.error says why. A load that has been
   * overtaken by another is dropped. Resolves to what fn returned, or to
   * undefined if it failed or was dropped.
   */
  async load(fn) {
    const mine = ++this.#asked;
    this.busy = true;
    this.#again = null;
    try {
      const data = await fn();
      if (mine !== this.#asked) return undefined;
      if (data !== undefined) this.data = data;
      this.error = "";
      this.busy = false;
      return data;
    } catch (error) {
      if (mine !== this.#asked) return undefined;
      this.error = error.message;
      this.#again = fn;
      this.busy = false;
      return undefined;
    }
  }

  /** Why the last load failed, or that one is under way and nothing is here yet. */
  state() {
    if (this.error) return html`<p class="error" role="alert">${this.error}</p>`;
    return this.busy && this.data === undefined ? html`<p class="muted">Loading…</p>` : nothing;
  }

  #paramsChanged() {
    if (this.params === this.#known) return;
    this.#known = this.params;
    this.found();
  }

  /** What failed is asked again when the server is there again, or somebody has signed in. */
  #stateChanged() {
    this.requestUpdate(); // what may be done depends on who is there
    if (hub.state === "live" && this.#again) this.load(this.#again);
  }
}
