// Muting from an item: its type, or its group, for a while or for ever. Opens
// below the item, one at a time.

import { $, clip, copy, say } from "./dom.js";
import { muteName } from "./preferences.js";
import { span, SPANS } from "./spans.js";
import { words } from "./words.js";

/** How long what was done is told. */
const SAY_MS = 7000;

export class MuteMenu {
  #preferences;
  #open = null; // {menu, opener}
  #said = 0;

  constructor(preferences) {
    this.#preferences = preferences;
  }

  /** Opens the menu of an item, or closes it. */
  toggle(item, element) {
    const opener = element.querySelector(".item-mute");
    const again = this.#open?.opener === opener;
    this.#close();
    if (again) return;
    const menu = copy("t-mute-menu");
    menu.setAttribute("aria-label", `Mute: ${clip(item.title)}`);
    menu.querySelector(".mute-rows").append(...this.#rows(item));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // it closes this, not the feed
      this.#close();
      opener.focus();
    });
    opener.setAttribute("aria-expanded", "true");
    element.querySelector(".item-main").append(menu);
    this.#open = { menu, opener };
    menu.querySelector("button").focus();
    menu.scrollIntoView({ block: "nearest" });
  }

  #close() {
    this.#open?.menu.remove();
    this.#open?.opener.setAttribute("aria-expanded", "false");
    this.#open = null;
  }

  #rows(item) {
    const muted = this.#preferences.mutesOf(item);
    const wanted = [{ type: item.type }];
    if (item.recipient.kind === "group") wanted.push({ group: item.recipient.key });
    const is = (what) => ({ type, group }) => type === what.type && group === what.group;
    return [
      ...muted.map((mute) => this.#row(`Muted: ${muteName(mute)}, ${span(Date.parse(mute.until))}`, [["Unmute", () => this.#unmute(mute)]])),
      ...wanted.filter((what) => !muted.some(is(what))).map((what) => this.#row(
        what.type ? `This type, ${what.type}` : `This group, ${what.group}`,
        SPANS.map(({ label, until }) => [label, () => this.#mute(what, until())]),
      )),
    ];
  }

  #row(title, buttons) {
    const row = copy("t-mute-row");
    row.querySelector("legend").textContent = title;
    row.querySelector(".mute-buttons").append(...buttons.map(([label, act]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button small";
      button.textContent = label;
      button.addEventListener("click", act);
      return button;
    }));
    return row;
  }

  #mute(what, until) {
    return this.#do(() => this.#preferences.mute(what, until), "mute this", `Muted ${span(until)}: ${muteName(what)}.`);
  }

  #unmute(mute) {
    return this.#do(() => this.#preferences.unmute(mute), "unmute this", `No longer muted: ${muteName(mute)}.`);
  }

  #say(text) {
    clearTimeout(this.#said);
    say($("feed-said"), text);
    this.#said = setTimeout(() => say($("feed-said"), ""), SAY_MS);
  }

  async #do(act, may, done) {
    const { menu, opener } = this.#open;
    try {
      await act();
      this.#say(done);
      if (this.#open?.menu === menu) this.#close();
      opener.focus();
    } catch (error) {
      say(menu.querySelector(".problem"), words(error, may));
    }
  }
}
