// The bell: how much is unread, whether something is new, and the way to the feed.

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
    const { unread, unseen } = inbox.counts;
    badge.hidden = unread === 0;
    say(badge, unread > MOST_SHOWN ? `${MOST_SHOWN}+` : String(unread));
    badge.toggleAttribute("data-unseen", unseen > 0);
    $("bell-dot").hidden = unseen === 0;
    say($("bell-new"), unseen === 0 ? "" : `${unseen} new`);
    button.setAttribute("aria-label", unread === 0 ? "Notifications, all read" : `Notifications, ${count(unread, "unread", "unread")}`);
    document.title = unread === 0 ? "Tidings" : `(${badge.textContent}) Tidings`;
    see();
  };
  /** What is in the open feed of a page that is looked at has been seen. */
  const see = () => {
    if (bell.isOpen() && document.visibilityState === "visible") inbox.seeAll();
  };
  const reveal = (open) => {
    feed.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    document.body.toggleAttribute("data-feed", open);
    tab.write("feed", open);
    see();
  };
  const toggle = (open) => {
    reveal(open);
    if (open) bell.onopen();
    (open ? $("feed-title") : button).focus();
  };

  button.addEventListener("click", () => toggle(feed.hidden));
  $("feed-close").addEventListener("click", () => toggle(false));
  feed.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) toggle(false);
  });
  document.addEventListener("visibilitychange", see);
  inbox.addEventListener("change", show);
  reveal(tab.read("feed") === true);
  show();
  return bell;
}
