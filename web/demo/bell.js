// The bell: how much is unread, and the way to the feed.

import { $, count, say } from "./dom.js";
import { tab } from "./storage.js";

const MOST_SHOWN = 99;

/** The bell: {open(), isOpen(), onopen}. */
export function hangBell(inbox) {
  const button = $("bell");
  const badge = $("badge");
  const feed = $("feed");
  const bell = { open: () => toggle(true), isOpen: () => !feed.hidden, onopen: () => {} };

  const show = () => {
    const n = inbox.unread;
    badge.hidden = n === 0;
    say(badge, n > MOST_SHOWN ? `${MOST_SHOWN}+` : String(n));
    button.setAttribute("aria-label", n === 0 ? "Notifications, all read" : `Notifications, ${count(n, "unread", "unread")}`);
    document.title = n === 0 ? "Tidings" : `(${badge.textContent}) Tidings`;
  };
  const reveal = (open) => {
    feed.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    document.body.toggleAttribute("data-feed", open);
    tab.write("feed", open);
  };
  const toggle = (open) => {
    reveal(open);
    if (open) bell.onopen();
    (open ? $("feed-title") : button).focus();
  };

  button.addEventListener("click", () => toggle(feed.hidden));
  $("feed-close").addEventListener("click", () => toggle(false));
  feed.addEventListener("keydown", (event) => event.key === "Escape" && toggle(false));
  inbox.addEventListener("change", show);
  reveal(tab.read("feed") === true);
  show();
  return bell;
}
