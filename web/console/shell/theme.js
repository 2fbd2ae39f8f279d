// Light or dark: as the system has it, until the person says otherwise. Charts
// draw with the colours themselves: a "theme" event of the window tells them.

import { browser } from "../kept.js";

const root = () => document.documentElement;
const system = () => window.matchMedia("(prefers-color-scheme: dark)");

export const theme = () => root().dataset.theme ?? (system().matches ? "dark" : "light");

export function restoreTheme() {
  const chosen = browser.read("theme");
  if (chosen === "light" || chosen === "dark") root().dataset.theme = chosen;
  system().addEventListener("change", tell);
}

export function otherTheme() {
  root().dataset.theme = theme() === "dark" ? "light" : "dark";
  browser.write("theme", theme());
  tell();
}

const tell = () => window.dispatchEvent(new Event("theme"));
