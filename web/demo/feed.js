// The feed: what the inbox shows, newest first.

import { $, arrange, say } from "./dom.js";
import { makeItem, showItem, showTime } from "./item.js";

const REFRESH_MS = 30_000;
/** What is further down than this is loaded before somebody gets there. */
const AHEAD = "400px";

const EMPTY = {
  inbox: ["Nothing yet", "What is sent to you, your roles, your groups or everyone appears here. What you miss while you are away, too."],
  unread: ["All read", "There is nothing here that you have not read."],
  read: ["Nothing read", "What you have read appears here."],
  archived: ["The archive is empty", "What you archive appears here."],
  all: ["Nothing yet", "Everything appears here, archived or not."],
};

/** acts: {mark, mute, recall}, see item.js. mayRecall(item) tells whether to offer that. */
export function showFeed(inbox, acts, mayRecall) {
  const list = $("feed-list");
  const shown = new Map(); // item → element

  // Elements stay where they are while what is around them changes: focus and
  // unfolded parts must not be lost to an arrival.
  const show = () => {
    const wanted = new Set(inbox.items);
    const focused = inFocus(list);
    for (const [item, element] of shown) {
      if (wanted.has(item)) continue;
      element.remove();
      shown.delete(item);
    }
    arrange(list, inbox.items.map((item) => {
      const element = shown.get(item) ?? makeItem(item, acts);
      shown.set(item, element);
      showItem(element, item, mayRecall(item));
      return element;
    }));
    if (focused && !focused.element.isConnected) focusNear(list, focused);
    showRest();
  };
  const showRest = () => {
    const { items, counts, filter, more, loading, loaded, problem, failure } = inbox;
    const filtered = filter.severity || filter.type;
    $("feed-empty").hidden = items.length > 0;
    const [title, text] = loaded ? EMPTY[filter.view] : ["One moment", "The server is asked for your inbox."];
    say($("empty-title"), loaded && filtered ? "Nothing of that kind" : title);
    say($("empty-text"), loaded && filtered ? "Another filter may show more." : text);
    $("read-all").disabled = counts.unread === 0 || items.length === 0;
    list.ariaBusy = String(loading);
    say($("feed-problem"), problem || failure);
    const older = $("feed-more");
    older.hidden = !more && !failure;
    say(older, loading ? "Loading…" : failure ? "Try again" : "Load more");
    observer.unobserve(older);
    if (more && !loading && !failure) observer.observe(older); // tells at once if it is in sight
  };
  const older = async () => {
    const first = inbox.items.length;
    const byHand = document.activeElement === $("feed-more");
    await inbox.older();
    if (byHand) list.children[first]?.querySelector("button:not([hidden])")?.focus();
  };
  const observer = new IntersectionObserver(
    (entries) => entries.some(({ isIntersecting }) => isIntersecting) && older(),
    { root: $("feed-scroll"), rootMargin: AHEAD },
  );

  $("feed-more").addEventListener("click", older);
  $("read-all").addEventListener("click", () => {
    inbox.readAll();
    $("feed-title").focus(); // the button is of no use any more
  });
  setInterval(() => shown.forEach((element, item) => showTime(element, item)), REFRESH_MS);
  inbox.addEventListener("change", show);
  show();
}

/** What has the focus in the list: its item, where that is, and the name of the control. */
function inFocus(list) {
  const control = document.activeElement;
  const element = control?.closest(".item");
  if (!element || !list.contains(element)) return null;
  return { element, at: [...list.children].indexOf(element), control: control.classList[0] };
}

/** When an item goes away, the same control of its neighbour has the focus. */
function focusNear(list, { at, control }) {
  const near = list.children[Math.min(at, list.children.length - 1)];
  const same = near?.querySelector(`.${control}:not([hidden])`);
  (same ?? $("feed-title")).focus();
}
