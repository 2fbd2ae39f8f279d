// The device is this tab: the server keeps its place in the log and its groups
// under that name. A device has one connection at a time.

import { tab } from "./storage.js";

/** How long the page before a reload may take to let go of its device. */
const RELEASE_MS = 1000;

/**
 * The id of this tab's device. A duplicated tab starts with a copy of the
 * original's storage; two connections must not move one cursor, so the copy is
 * told apart by a lock that the original holds, and becomes a device of its own.
 */
export async function device() {
  const id = tab.read("device");
  if (id && await hold(id)) return { id, copied: false };
  const fresh = crypto.randomUUID();
  tab.write("device", fresh);
  await hold(fresh);
  return { id: fresh, copied: Boolean(id) };
}

/** Holds the device until the page is gone. False if another page does. */
function hold(id) {
  if (!navigator.locks) return Promise.resolve(true);
  const forever = new Promise(() => {});
  return new Promise((resolve) => {
    const granted = () => { resolve(true); return forever; };
    navigator.locks
      .request(`tidings/device/${id}`, { signal: AbortSignal.timeout(RELEASE_MS) }, granted)
      .catch((error) => resolve(error.name !== "TimeoutError"));
  });
}
