// Light or dark: as the system has it, until the person says otherwise.

import { $ } from "./dom.js";
import { browser } from "./storage.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");

export function offerThemes() {
  const button = $("theme");
  const chosen = browser.read("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  const label = () => {
    const other = current() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Use the ${other} theme`);
    button.title = `Use the ${other} theme`;
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    browser.write("theme", document.documentElement.dataset.theme);
    label();
  });
  dark.addEventListener("change", label);
  label();
}
