// The list of what this tab has scheduled, each with a way to cancel it.

import { date, until } from "./clock.js";
import { $, arrange, clip, copy, say } from "./dom.js";
import { takeBack, whyNot } from "./takeback.js";

const TICK_MS = 1000;
/** What was due so long ago is not waited for: this page may never hear of it. */
const GRACE_MS = 3000;

export function showScheduled(emitted, session) {
  const rows = new Map(); // id → element
  let timer = 0;

  const show = () => {
    const wanted = new Set(emitted.waiting.map(({ id }) => id));
    for (const [id, row] of rows) {
      if (wanted.has(id)) continue;
      if (row.contains(document.activeElement)) $("send-title").focus(); // it must be somewhere
      row.remove();
      rows.delete(id);
    }
    arrange($("scheduled-list"), emitted.waiting.map((entry) => {
      const row = rows.get(entry.id) ?? make(entry);
      rows.set(entry.id, row);
      return row;
    }));
    $("scheduled").hidden = rows.size === 0;
    clearInterval(timer);
    if (rows.size > 0) timer = setInterval(tick, TICK_MS);
    tick();
  };
  const tick = () => {
    for (const entry of emitted.waiting) say(rows.get(entry.id).querySelector("time"), until(entry.due));
    emitted.settle(GRACE_MS);
  };
  const make = (entry) => {
    const row = copy("t-scheduled");
    const time = row.querySelector("time");
    time.dateTime = new Date(entry.due).toISOString();
    time.title = date(entry.due);
    row.querySelector(".scheduled-title").textContent = clip(entry.title);
    row.querySelector(".scheduled-to").textContent = entry.to;
    const cancel = row.querySelector("button");
    cancel.setAttribute("aria-label", `Cancel: ${clip(entry.title)}`);
    cancel.addEventListener("click", async () => {
      say($("scheduled-problem"), "");
      try {
        const canceled = await takeBack(session, entry.id);
        emitted.over(entry.id);
        say($("emit-answer"), canceled ? `Canceled: ${clip(entry.title)}` : `It had been sent already, and was taken back: ${clip(entry.title)}`);
      } catch (error) {
        say($("scheduled-problem"), whyNot(error));
      }
    });
    return row;
  };
  emitted.addEventListener("change", show);
  show();
}
