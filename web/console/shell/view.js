// Shows the page that the hash means. Another page begins at its top and has the
// focus; one whose filters change stays as it is.

import { html, nothing, render } from "lit";
import { hub } from "../hub.js";
import { askWho } from "../parts/signin.js";
import { link, parse, routes, tagOf } from "../router.js";

const NAME = "Tidings console";

const $ = (id) => document.getElementById(id);

export function showView() {
  let { hash } = window.location;
  window.addEventListener("hashchange", () => {
    const another = subject(parse(hash)) !== subject(parse(window.location.hash));
    ({ hash } = window.location);
    show(parse(hash));
    if (another) begin();
  });
  // Not a link of the hash: that is taken for the pages.
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("main").focus();
  });
  hub.onState(refuse);
  show(parse(hash));
}

/** Which page it is, and of what: filters do not count. */
const subject = ({ route, params }) => JSON.stringify([route, ...(routes[route]?.parts ?? []).map((part) => params[part])]);

function show(found) {
  const there = $("page").firstElementChild;
  if (there?.dataset.subject === subject(found)) {
    there.params = found.params;
    return;
  }
  const page = found.route ? pageOf(found) : nowhere();
  page.dataset.subject = subject(found);
  $("page").replaceChildren(page);
}

function pageOf(found) {
  const page = document.createElement(tagOf(found));
  page.params = found.params;
  page.addEventListener("titled", () => title(page.title()));
  return page;
}

function nowhere() {
  title("Nothing here");
  const said = document.createElement("div");
  render(html`<h1>There is nothing here</h1><p>The address names no page of the console. <a href=${link("overview")}>To the overview</a></p>`, said);
  return said;
}

function title(text) {
  const whole = text ? `${text} – ${NAME}` : NAME;
  if (whole === document.title) return;
  document.title = whole;
  $("main").setAttribute("aria-label", text);
}

function begin() {
  window.scrollTo(0, 0);
  $("main").focus({ preventScroll: true });
}

/** Whoever is not let in is told so, above what cannot be shown. */
function refuse() {
  render(hub.state !== "offline" ? nothing : html`<div class="refused" role="alert">
    <p>${hub.reason}</p>
    <button class="button" type="button" @click=${askWho}>Sign in</button>
  </div>`, $("notice"));
}
