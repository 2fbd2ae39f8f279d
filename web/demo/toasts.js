// Toasts tell what has just come. All they say is in the feed as well, and they
// never take the focus.

import { $, clip, copy, count, say, setIcon, spoken } from "./dom.js";

/** More than so many within the window become one. */
const MOST = 3;
const WINDOW_MS = 3000;
/** How long a toast stays, unless somebody looks at it. */
const STAY_MS = 7000;
/** How often the count of a burst is read out at most. */
const COUNT_MS = 1000;

export class Toasts {
  #bell;
  #calm;
  #urgent;
  #voice = new Voice($("toasts-spoken"));

  constructor(bell) {
    this.#bell = bell;
    this.#calm = new Stack($("toasts-status"), STAY_MS, bell.open);
    // What is critical stays until it is dismissed.
    this.#urgent = new Stack($("toasts-alert"), 0, bell.open);
    bell.onopen = () => this.#clear(); // it is all in the feed
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) this.#dismiss(event);
    });
  }

  add(item) {
    if (item.severity === "critical") this.#urgent.add(item);
    else if (this.#bell.isOpen()) this.#voice.add(item);
    else this.#calm.add(item);
  }

  /** What was taken back is not told any more. */
  recalled(id) {
    this.#calm.recalled(id);
    this.#urgent.recalled(id);
  }

  #clear() {
    this.#calm.clear();
    this.#urgent.clear();
  }

  /** Escape takes the toast one is in, or the newest; in the feed it closes that. */
  #dismiss(event) {
    if ($("feed").contains(event.target)) return;
    const own = event.target.closest?.(".toast");
    for (const stack of [this.#calm, this.#urgent]) {
      if (own ? stack.dismiss(own) : stack.dismissNewest()) return;
    }
  }
}

/** Where the feed is open a toast would only lie in the way: what is new is read out. */
class Voice {
  #region;
  #items = [];
  #timer = 0;

  constructor(region) {
    this.#region = region;
  }

  add(item) {
    this.#items.push(item);
    this.#timer ||= setTimeout(() => this.#speak(), this.#region.textContent ? WINDOW_MS : 0);
  }

  #speak() {
    const [first, ...more] = this.#items;
    this.#region.textContent = more.length ? count(more.length + 1, "new notification") : `New: ${clip(first.title)}`;
    this.#items = [];
    this.#timer = 0;
  }
}

/** The toasts of one live region. */
class Stack {
  #region;
  #stay;
  #open;
  #toasts = new Map(); // element → timer
  #recent = []; // {item, at, element} within the window
  #burst = null; // the toast that stands for many

  constructor(region, stay, open) {
    this.#region = region;
    this.#stay = stay;
    this.#open = open;
    for (const [event, act] of [["mouseenter", "pause"], ["mouseleave", "resume"], ["focusin", "pause"], ["focusout", "resume"]]) {
      region.addEventListener(event, () => this[act]());
    }
  }

  add(item) {
    const now = performance.now();
    if (this.#burst && now - this.#burst.last < WINDOW_MS) return this.#more(item, now);
    this.#burst = null;
    this.#recent = this.#recent.filter(({ at }) => now - at < WINDOW_MS);
    this.#recent.push({ item, at: now, element: null });
    if (this.#recent.length > MOST) return this.#begin(now);
    const element = this.#show(item.severity, item.severityName, clip(item.title), clip(item.body));
    element.dataset.id = item.id;
    this.#recent.at(-1).element = element;
  }

  /** The toasts of the window make room for one that counts them. */
  #begin(now) {
    for (const { element } of this.#recent) this.dismiss(element);
    const items = this.#recent.map(({ item }) => item);
    this.#recent = [];
    const element = this.#show("bell", "", "", "");
    this.#burst = { element, items, last: now, timer: 0 };
    this.#count();
  }

  #more(item, now) {
    const burst = this.#burst;
    burst.items.push(item);
    burst.last = now;
    if (!burst.element.isConnected) burst.element = this.#show("bell", "", "", "");
    this.#schedule(burst.element);
    burst.timer ||= setTimeout(() => { burst.timer = 0; this.#count(burst); }, COUNT_MS);
  }

  #count({ element, items } = this.#burst) {
    const missed = items.every(({ replayed }) => replayed);
    const critical = items.every(({ severity }) => severity === "critical");
    const kind = critical ? "new critical notification" : "new notification";
    say(element.querySelector(".toast-title"), missed ? `${count(items.length, "notification")} while you were away` : count(items.length, kind));
    say(element.querySelector(".toast-body"), "All of them are in the feed.");
  }

  #show(icon, kind, title, body) {
    const element = copy("t-toast");
    element.dataset.severity = icon;
    setIcon(element, icon);
    const main = element.querySelector(".toast-main");
    main.querySelector(".toast-title").textContent = title;
    if (kind) main.prepend(spoken(`${kind}: `));
    main.querySelector(".toast-body").textContent = body;
    element.querySelector(".toast-close").setAttribute("aria-label", title ? `Dismiss: ${title}` : "Dismiss");
    element.querySelector(".toast-close").addEventListener("click", () => this.dismiss(element));
    main.addEventListener("click", () => {
      this.dismiss(element);
      this.#open();
    });
    this.#region.prepend(element);
    this.#schedule(element);
    return element;
  }

  #schedule(element) {
    clearTimeout(this.#toasts.get(element));
    const looked = this.#region.matches(":hover, :focus-within");
    this.#toasts.set(element, this.#stay && !looked ? setTimeout(() => this.dismiss(element), this.#stay) : 0);
  }

  pause() {
    for (const [element, timer] of this.#toasts) {
      clearTimeout(timer);
      this.#toasts.set(element, 0);
    }
  }

  /** Whoever looked has the whole time again. */
  resume() {
    for (const element of this.#toasts.keys()) this.#schedule(element);
  }

  dismiss(element) {
    if (!this.#toasts.has(element)) return false;
    clearTimeout(this.#toasts.get(element));
    this.#toasts.delete(element);
    if (element.contains(document.activeElement)) $("bell").focus(); // it must be somewhere
    element.remove();
    return true;
  }

  dismissNewest() {
    const [newest] = [...this.#toasts.keys()].slice(-1);
    return newest ? this.dismiss(newest) : false;
  }

  /** A burst keeps its count: it says what has come. */
  recalled(id) {
    for (const element of [...this.#toasts.keys()]) if (element.dataset.id === id) this.dismiss(element);
  }

  clear() {
    for (const element of [...this.#toasts.keys()]) this.dismiss(element);
  }
}
