// How the connection is, as text and icon.

import { $, say, setIcon } from "./dom.js";

/** What passes sooner is not announced. */
const ANNOUNCE_AFTER_MS = 2000;

const ICONS = { connecting: "connecting", live: "live", reconnecting: "connecting", offline: "offline" };
const SPOKEN = {
  connecting: "Connecting",
  live: "You are connected",
  reconnecting: "The connection was lost. Reconnecting",
  offline: "You are offline",
};

export const describe = ({ name, attempt }) => ({
  connecting: attempt ? `Connecting, attempt ${attempt + 1}` : "Connecting",
  live: "Live",
  reconnecting: `Reconnecting, attempt ${attempt}`,
  offline: "Offline",
})[name];

export function showState(connection) {
  const pill = $("state");
  let timer;
  let announced = "live"; // that it works is news only after it did not
  const show = () => {
    const { name, reason } = connection.state;
    pill.dataset.state = name;
    pill.title = reason;
    setIcon(pill, ICONS[name]);
    say(pill.querySelector(".state-text"), describe(connection.state));
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (name === announced) return;
      announced = name;
      $("state-spoken").textContent = reason ? `${SPOKEN[name]}: ${reason}` : SPOKEN[name];
    }, ANNOUNCE_AFTER_MS);
  };
  connection.addEventListener("state", show);
  show();
}
