// "Drop my connection": really cuts the sockets of this tab, and says what the
// log replayed when they were back.

import { $, count, say } from "./dom.js";
import { isPulled, pull } from "./plug.js";

const CUT_MS = 10_000;
const TICK_MS = 250;
/** From this attempt on the waits are long enough to be cut short. */
const LONG_WAIT = 3;
/** Replay has ended when nothing of it has come for so long. */
const QUIET_MS = 600;

export function offerDrop(connections) {
  const [notifications] = connections;
  let dropped = false;
  let replayed = 0;
  let quiet;

  $("drop").addEventListener("click", async () => {
    if (isPulled()) return;
    dropped = true;
    clearTimeout(quiet);
    say($("drop-result"), "");
    const stop = countDown();
    await pull(CUT_MS);
    stop();
    offerToHurry();
    if (notifications.state.name !== "live") say($("drop-clock"), "The sockets may open again. Waiting for the next attempt.");
  });
  $("connect-now").addEventListener("click", () => {
    $("drop").focus(); // this button goes away
    for (const connection of connections) connection.hurry();
  });

  const offerToHurry = () => {
    const { name, attempt } = notifications.state;
    $("connect-now").hidden = isPulled() || (name !== "offline" && attempt < LONG_WAIT);
  };
  const report = () => {
    if (!dropped || notifications.state.name !== "live") return;
    dropped = false;
    $("drop-clock").hidden = true;
    say($("drop-result"), replayed ? `Back. ${count(replayed, "event")} replayed, nothing missed.` : "Back. Nothing was sent meanwhile.");
  };
  const settle = () => {
    clearTimeout(quiet);
    quiet = setTimeout(report, QUIET_MS);
  };
  notifications.addEventListener("state", () => {
    offerToHurry();
    if (notifications.state.name === "live") settle();
  });

  return {
    resumed() {
      replayed = 0;
    },
    heard(item) {
      if (!item.replayed) return;
      replayed++;
      settle();
    },
  };
}

/** Shows the time that is left. Returns how to end it. */
function countDown() {
  const until = performance.now() + CUT_MS;
  const button = $("drop");
  button.setAttribute("aria-disabled", "true"); // not disabled: it may have the focus
  say($("drop-text"), "Connection is cut");
  $("drop-progress").hidden = $("drop-clock").hidden = false;
  const tick = () => {
    const left = Math.max(0, until - performance.now()) / 1000;
    $("drop-progress").value = left;
    say($("drop-clock"), `Cut for ${Math.ceil(left)} more seconds`);
  };
  tick();
  const timer = setInterval(tick, TICK_MS);
  return () => {
    clearInterval(timer);
    button.removeAttribute("aria-disabled");
    say($("drop-text"), "Drop my connection for 10 s");
    $("drop-progress").hidden = true;
  };
}
