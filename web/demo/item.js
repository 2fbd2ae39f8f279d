// One notification in the feed. What it says never changes; how far somebody has
// come with it does.

import { chip, clip, copy, setIcon, spoken } from "./dom.js";
import { ago, date } from "./clock.js";
import { unread } from "./status.js";

/** A text longer than this, or with more lines, is folded. */
const LONG = 280;
const LONG_LINES = 4;

/** acts: {mark(kind, item), mute(item, element), recall(item)}, called when somebody asks for it. */
export function makeItem(item, acts) {
  const element = copy("t-item");
  const part = (name) => element.querySelector(`.item-${name}`);
  element.dataset.severity = item.severity;
  setIcon(element, item.severity);
  part("icon").append(spoken(item.severityName));
  part("title").textContent = item.title;
  showTime(element, item);
  showBody(part("body"), part("unfold"), item.body);
  part("links").append(...item.links.map(anchor));
  part("data").hidden = !item.data;
  const data = part("data").querySelector("pre");
  data.textContent = item.data;
  data.setAttribute("aria-label", `Data of ${clip(item.title)}`);
  showTrace(part("trace"), item);
  part("read").addEventListener("click", () => acts.mark(unread(item) ? "read" : "unread", item));
  part("archive").addEventListener("click", () => acts.mark(item.state === "archived" ? "unarchived" : "archived", item));
  part("mute").addEventListener("click", () => acts.mute(item, element));
  part("recall").addEventListener("click", () => acts.recall(item));
  return element;
}

/** Shows what can change. mayRecall: may this person take it back, as far as the page knows? */
export function showItem(element, item, mayRecall) {
  const part = (name) => element.querySelector(`.item-${name}`);
  const is = [item.state, item.muted, item.replayed, item.passing, mayRecall].join();
  if (element.dataset.is === is) return;
  element.dataset.is = is;
  const archived = item.state === "archived";
  element.toggleAttribute("data-unread", unread(item));
  element.toggleAttribute("data-archived", archived);
  part("chips").replaceChildren(...chips(item));
  part("read").hidden = part("archive").hidden = item.passing;
  part("recall").hidden = !mayRecall;
  label(part("read"), unread(item) ? "Mark as read" : "Mark as unread", item, unread(item) ? "Unread. " : "Read. ");
  label(part("archive"), archived ? "Take out of the archive" : "Archive", item);
  setIcon(part("archive"), archived ? "unarchive" : "archive");
  label(part("mute"), "Mute", item);
  label(part("recall"), "Recall", item);
}

function label(button, does, { title }, is = "") {
  button.setAttribute("aria-label", `${is}${does}: ${clip(title)}`);
  button.title = does;
}

export function showTime(element, item) {
  const time = element.querySelector("time");
  if (item.createdAt === null) return;
  time.dateTime = new Date(item.createdAt).toISOString();
  time.title = date(item.createdAt);
  time.textContent = ago(item.createdAt);
}

/** The way of an alert to the console, where its trace is; the server knows where that is. */
function showTrace(element, item) {
  element.hidden = !item.trace;
  if (!item.trace) return;
  element.href = `/dev/trace/${item.trace}`;
  element.title = "Trace";
  element.setAttribute("aria-label", `Trace: ${clip(item.title)} (opens the console in a new tab)`);
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
  if (item.replayed) all.push(flag("replay", "Replayed", "replayed", "You were away when it was sent; the log had it."));
  if (item.muted) all.push(flag("mute", "Muted", "muted-flag", "It raised no alert: you have muted its type or its group, or it came in quiet hours."));
  if (item.passing) all.push(flag("passing", "Only here", "passing", "It came for a group that this tab alone has joined: no inbox keeps it."));
  if (item.type && item.type !== "notification" && item.type !== item.title) all.push(plain(item.type));
  if (item.source) all.push(plain(`from ${item.source}`));
  return all;
}

function flag(icon, text, name, title) {
  const element = chip(icon, text);
  element.classList.add(name);
  element.title = title;
  return element;
}

function plain(text) {
  const element = document.createElement("li");
  element.className = "chip plain";
  element.textContent = clip(text);
  element.title = text;
  return element;
}

function anchor({ label: text, href }) {
  const element = document.createElement("a");
  element.className = "button small";
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
  element.textContent = clip(text);
  element.append(spoken(" (opens a new tab)"));
  return element;
}
