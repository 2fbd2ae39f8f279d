// The feed: everything this tab was told, newest first.

import { $, chip, clip, copy, setIcon, spoken } from "./dom.js";
import { ago, date } from "./clock.js";

const PAGE = 50;
const REFRESH_MS = 30_000;
/** A text longer than this, or with more lines, is folded. */
const LONG = 280;
const LONG_LINES = 4;

export function showFeed(inbox) {
  const list = $("feed-list");
  const shown = new Map(); // item → element
  let limit = PAGE;

  // Elements stay where they are while what is around them changes: focus and
  // unfolded parts must not be lost to an arrival.
  const show = () => {
    const items = inbox.items.slice(0, limit);
    const wanted = new Set(items);
    for (const [item, element] of shown) {
      if (wanted.has(item)) continue;
      element.remove();
      shown.delete(item);
    }
    let next = list.firstElementChild;
    for (const item of items) {
      const element = shown.get(item) ?? make(item, inbox);
      shown.set(item, element);
      if (element === next) next = element.nextElementSibling;
      else list.insertBefore(element, next);
      showRead(element, item);
    }
    const more = inbox.items.length - items.length;
    $("feed-more").hidden = more === 0;
    $("feed-more").textContent = `Load more (${more})`;
    $("feed-empty").hidden = items.length > 0;
    $("read-all").disabled = inbox.unread === 0;
  };

  $("feed-more").addEventListener("click", () => {
    const first = limit;
    limit += PAGE;
    show();
    list.children[first]?.querySelector(".item-read").focus();
  });
  $("read-all").addEventListener("click", () => {
    inbox.readAll();
    $("feed-title").focus(); // the button is of no use any more
  });
  setInterval(() => shown.forEach((element, item) => showTime(element, item)), REFRESH_MS);
  inbox.addEventListener("change", show);
  show();
}

function make(item, inbox) {
  const element = copy("t-item");
  const part = (name) => element.querySelector(`.item-${name}`);
  element.dataset.id = item.id;
  element.dataset.severity = item.severity;
  setIcon(element, item.severity);
  part("icon").append(spoken(item.severityName));
  part("title").textContent = item.title;
  showTime(element, item);
  showBody(part("body"), part("unfold"), item.body);
  part("chips").append(...chips(item));
  part("links").append(...item.links.map(anchor));
  part("data").hidden = !item.data;
  const data = part("data").querySelector("pre");
  data.textContent = item.data;
  data.setAttribute("aria-label", `Data of ${clip(item.title)}`);
  part("read").addEventListener("click", () => inbox.mark(item, !item.unread));
  return element;
}

function showTime(element, item) {
  const time = element.querySelector("time");
  if (item.createdAt === null) return;
  time.dateTime = new Date(item.createdAt).toISOString();
  time.title = date(item.createdAt);
  time.textContent = ago(item.createdAt);
}

function showBody(body, unfold, text) {
  const long = text.length > LONG || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
  body.hidden = !text;
  body.textContent = text;
  body.classList.toggle("folded", long);
  unfold.hidden = !long;
  unfold.addEventListener("click", () => {
    const folded = body.classList.toggle("folded");
    body.classList.toggle("unfolded", !folded);
    body.tabIndex = folded ? -1 : 0; // it scrolls
    unfold.setAttribute("aria-expanded", String(!folded));
    unfold.textContent = folded ? "Show all" : "Show less";
  });
}

function chips(item) {
  const all = [chip(item.recipient.kind, item.recipient.name)];
  if (item.replayed) {
    const replayed = chip("replay", "Replayed");
    replayed.classList.add("replayed");
    replayed.title = "You were away when it was sent; the log had it.";
    all.push(replayed);
  }
  if (item.type && item.type !== "notification" && item.type !== item.title) all.push(plain(item.type));
  if (item.source) all.push(plain(`from ${item.source}`));
  return all;
}

function plain(text) {
  const element = document.createElement("li");
  element.className = "chip plain";
  element.textContent = clip(text);
  element.title = text;
  return element;
}

function anchor({ label, href }) {
  const element = document.createElement("a");
  element.className = "button small";
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
  element.textContent = clip(label);
  element.append(spoken(" (opens a new tab)"));
  return element;
}

function showRead(element, item) {
  const button = element.querySelector(".item-read");
  element.toggleAttribute("data-unread", item.unread);
  const label = item.unread ? `Unread. Mark as read: ${clip(item.title)}` : `Read. Mark as unread: ${clip(item.title)}`;
  if (button.getAttribute("aria-label") === label) return;
  button.setAttribute("aria-label", label);
  button.title = item.unread ? "Mark as read" : "Mark as unread";
}
