// Which part of the inbox is shown, as the person chooses it.

import { $ } from "./dom.js";

/** How long somebody types before the server is asked. */
const TYPING_MS = 250;

export function offerFilters(inbox) {
  const form = $("filters");
  const { view, severity, type } = form.elements;
  let timer = 0;
  const choose = () => {
    clearTimeout(timer);
    const chosen = { view: view.value, severity: severity.value, type: type.value.trim().replace(/\*+$/, "") };
    if (Object.entries(chosen).every(([name, value]) => inbox.filter[name] === value)) return;
    inbox.show(chosen);
    $("feed-scroll").scrollTop = 0;
  };
  form.addEventListener("change", choose);
  type.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(choose, TYPING_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    choose();
  });
}
