// The state of the connection for ears: only what lasts is announced.

import { hub } from "../hub.js";

const ANNOUNCE_AFTER_MS = 2000;
const SPOKEN = {
  connecting: "Connecting",
  live: "You are connected",
  reconnecting: "The connection was lost. Reconnecting",
  offline: "You are offline",
};

export function speakState() {
  let timer = 0;
  let announced = "live"; // that it works is news only after it did not
  hub.onState(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (hub.state === announced) return;
      announced = hub.state;
      document.getElementById("state-spoken").textContent = `${SPOKEN[hub.state]}. ${hub.reason}`;
    }, ANNOUNCE_AFTER_MS);
  });
}
