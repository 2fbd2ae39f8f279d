// The navigation, and where in it one is.

import { html, nothing, render } from "lit";
import { icon } from "../parts/icon.js";
import { link, parse, routes } from "../router.js";

const entries = Object.entries(routes).filter(([, { label }]) => label);

export function showNavigation() {
  window.addEventListener("hashchange", draw);
  draw();
}

function draw() {
  const { route } = parse(window.location.hash);
  const here = routes[route]?.under ?? route;
  const nav = document.getElementById("nav");
  render(html`<ul>${entries.map(([name, entry]) => html`<li>
    <a href=${link(name)} aria-current=${name !== here ? nothing : name === route ? "page" : "true"}>${icon(entry.icon)}${entry.label}</a>
  </li>`)}</ul>`, nav);
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}
