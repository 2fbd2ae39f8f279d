// Under the hood: what the page knows of its place in the log.

import { $, count, say } from "./dom.js";

const NOTHING = "–";
const SHORT = 14;

const shorten = (text) => (text.length > SHORT ? `${text.slice(0, 6)}…${text.slice(-6)}` : text);

function show(id, value, whole = value) {
  say($(`hood-${id}`), value || NOTHING);
  $(`hood-${id}`).title = whole || "";
}

export const hood = {
  connection: (id) => show("connection", shorten(id), id),
  device: (id) => show("device", shorten(id), id),
  cursor: (cursor) => show("cursor", shorten(cursor), cursor),
  acked: (cursor) => show("acked", shorten(cursor), cursor),
  inbox: ({ position, state }) => show("inbox", position || state ? `position ${position}, change ${state}` : ""),
  replayed: (n) => show("replayed", count(n, "event")),
  /** Positions of a new log begin again, so the latest counts, not the highest. */
  heard: (item) => {
    show("position", String(item.position));
    hood.cursor(item.cursor);
    if (item.trace) show("trace", shorten(item.trace), item.trace);
  },
};
