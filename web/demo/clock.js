// Times are the server's. The clock of this machine may be wrong, so what the
// server says the time is counts.

const TELLS_FROM_MS = 2000; // the Date header has whole seconds
let skew = 0;

/** Learns the server's time from the Date header of an answer. */
export function learn(header, asked, answered) {
  const server = Date.parse(header ?? "");
  if (Number.isNaN(server)) return;
  const off = server + 500 - (asked + answered) / 2;
  skew = Math.abs(off) < TELLS_FROM_MS ? 0 : off;
}

export const now = () => Date.now() + skew;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const STEPS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];

/** "just now", "3 min. ago". The emitter's clock may be ahead: that is "just now", too. */
export function ago(time) {
  const age = now() - time;
  const step = STEPS.find(([, ms]) => age >= ms);
  return step ? relative.format(-Math.floor(age / step[1]), step[0]) : "just now";
}

/** "in 9 sec.", "in 3 hr.", "now". */
export function until(time) {
  const left = time - now();
  const [unit, ms] = STEPS.find(([, size]) => left >= size) ?? ["second", 1000];
  return left > 0 ? relative.format(Math.max(Math.round(left / ms), 1), unit) : "now";
}

/** The whole date and time. */
export const date = (time) => exact.format(time);
