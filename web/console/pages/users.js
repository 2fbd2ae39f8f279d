// Users: who is connected, whom the operators trace, and the way to anybody else.

import { css, html, nothing } from "lit";
import { link, navigate, Page } from "../base.js";
import { hub } from "../hub.js";
import { when } from "../parts/time.js";
import * as told from "../parts/told.js";
import "../parts/pager.js";
import "../parts/table.js";

const PAGE = 200; // connections, as many as are given at once

class Users extends Page {
  static properties = { ...Page.properties, typed: { state: true } };

  static styles = [Page.styles, css`
    .find .field { flex: 1 1 14rem; max-width: 24rem; }
  `];

  constructor() {
    super();
    this.typed = "";
  }

  title() {
    return "Users";
  }

  found() {
    this.load(() => this.#ask());
  }

  async #ask() {
    const [connections, traced] = await Promise.all([hub.call("Connections", { limit: PAGE }), hub.call("Traced", {})]);
    return { ...connections, traced: traced.items };
  }

  #more() {
    this.load(async () => ({ ...told.grown(this.data, await hub.call("Connections", { limit: PAGE, before: this.data.next })), traced: this.data.traced }));
  }

  render() {
    return html`
      <div class="head"><h1>Users</h1></div>
      <div class="stack">
        <form class="filters find" role="search" @submit=${this.#open}>
          <label class="field">User id
            <input class="input" name="user" autocomplete="off" spellcheck="false" .value=${this.typed} @input=${(e) => { this.typed = e.target.value; }} aria-describedby="about"></label>
          <button class="button primary">Open</button>
        </form>
        <p id="about" class="hint">Any user, connected or not. What is typed narrows the list, too.</p>
        ${this.state()}
        ${this.data ? html`${this.#list()} ${this.#traced()}` : nothing}
      </div>`;
  }

  #open(event) {
    event.preventDefault();
    if (this.typed.trim()) navigate(`user/${this.typed.trim()}`);
  }

  #list() {
    const typed = this.typed.trim().toLowerCase();
    const users = byUser(this.data.items).filter(({ user }) => user.toLowerCase().includes(typed));
    return html`<section class="card">
      <h2>Connected now</h2>
      <c-table .caption=${"Users with connections"} .rows=${users}
        .empty=${typed ? "Nobody of that name is in the list. Press Open to look at a user who is away." : "Nobody is connected. Whoever opens a connection to a hub is listed here."}
        .columns=${[
          { key: "user", label: "User", render: ({ user }) => told.user(user) },
          { key: "connections", label: "Connections", align: "end", render: ({ user, connections }) => html`<a href=${link("connections", { user })}>${connections.length}</a>` },
          { key: "roles", label: "Roles", render: ({ roles }) => told.chips(roles) },
          { key: "transports", label: "Transports", render: ({ transports }) => transports.join(", ") },
          { key: "behind", label: "Behind", align: "end", render: ({ behind }) => (behind ? told.count(behind, "position") : html`<span class="muted">up to date</span>`) },
          { key: "began", label: "Newest connection", render: ({ began }) => when(began) },
        ]}></c-table>
      ${this.data.next ? html`<p class="hint">Of the newest connections:</p>
        <c-pager .next=${this.data.next} .matched=${this.data.matched} .shown=${this.data.items.length} .busy=${this.busy} @more=${this.#more}></c-pager>` : nothing}
    </section>`;
  }

  #traced() {
    return html`<section class="card">
      <h2>Traced users</h2>
      <c-table .caption=${"Users whom operators trace"} .rows=${this.data.traced}
        .empty=${"Nobody is traced. Open a user and choose “Trace”: for some minutes every delivery to that user has a span of its own."}
        .columns=${[
          { key: "user", label: "User", render: ({ user }) => told.user(user) },
          { key: "until", label: "Ends", render: ({ until }) => when(until) },
          { key: "traces", label: "", render: ({ user }) => html`<a href=${link("traces", { user })}>traces</a>` },
        ]}></c-table>
    </section>`;
  }
}

/** Connections, newest first, by whom they are: sorted by user. */
function byUser(connections) {
  const users = new Map();
  for (const { user = "", roles, transport, behind, began } of connections) {
    const one = users.get(user) ?? { user, connections: [], roles: [], transports: [], behind: 0, began };
    one.connections.push(transport);
    one.roles = [...new Set([...one.roles, ...roles])];
    one.transports = [...new Set([...one.transports, transport])];
    one.behind = Math.max(one.behind, behind ?? 0);
    users.set(user, one);
  }
  return [...users.values()].sort((a, b) => a.user.localeCompare(b.user));
}

customElements.define("c-users", Users);
