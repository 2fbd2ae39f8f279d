// The bar: which server this is, how the connection is, who is looking.

import { html, nothing, render } from "lit";
import { hub } from "../hub.js";
import { icon } from "../parts/icon.js";
import { say } from "../parts/say.js";
import { askWho } from "../parts/signin.js";
import { link } from "../router.js";
import { otherTheme, theme } from "./theme.js";

const STATES = {
  connecting: ["connecting", "Connecting"],
  live: ["live", "Live"],
  reconnecting: ["connecting", "Reconnecting"],
  offline: ["offline", "Offline"],
};

export function showBar() {
  hub.onState(draw);
  window.addEventListener("theme", draw);
  draw();
}

let wasSignedIn = false;

function draw() {
  tellIfOut();
  const [picture, text] = STATES[hub.state];
  const other = theme() === "dark" ? "light" : "dark";
  render(html`
    <div class="brand">
      <span class="logo">${icon("logo")}</span>
      <a class="brand-name" href=${link("overview")}>Tidings</a>
      <span class="brand-part">console</span>
      ${hub.who ? html`<span class="node" title="This node, and its version">${hub.who.node} · ${hub.who.version}</span>` : nothing}
    </div>
    <div class="bar-end">
      <span class="state" data-state=${hub.state} title=${hub.reason}>${icon(picture)}<span>${text}</span></span>
      <button class="icon-button" type="button" title="Use the ${other} theme" aria-label="Use the ${other} theme" @click=${otherTheme}>${icon("theme")}</button>
      ${who()}
    </div>`, document.getElementById("bar"));
}

function who() {
  if (!hub.signedIn) return html`<button class="button small" type="button" @click=${askWho}>Sign in</button>`;
  return html`
    <span class="me"><b>${hub.who?.user ?? ""}</b>${hub.who && !hub.who.mayAct ? html` <span class="hint">may look</span>` : nothing}</span>
    <button class="button small" type="button" @click=${leave}>Sign out</button>`;
}

/** A token ends by itself, too. */
function tellIfOut() {
  if (wasSignedIn && !hub.signedIn) say("You are signed out: your token is no longer good.");
  wasSignedIn = hub.signedIn && (wasSignedIn || hub.state === "live");
}

async function leave() {
  wasSignedIn = false;
  await hub.signOut();
  say("You are signed out.");
}
