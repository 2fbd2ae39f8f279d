// Times, durations, sizes and numbers as people read them. Times are the
// server's: the clock of this machine may be wrong.

import { html } from "lit";
import { AsyncDirective, directive } from "lit/async-directive.js";

const TELLS_FROM_MS = 2000; // what passes between asking and hearing is no skew
const FRESHEN_EVERY_MS = 10_000;

let skew = 0;

/** Learns what time it is for the server. */
export function learn(iso, heard = Date.now()) {
  const off = Date.parse(iso) - heard;
  if (!Number.isNaN(off)) skew = Math.abs(off) < TELLS_FROM_MS ? 0 : off;
}

/** The server's time, in milliseconds. */
export const now = () => Date.now() + skew;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000], ["second", 1000]];

/** "just now", "3 min. ago"; "in 2 hr." of what is yet to come. For an age in milliseconds. */
export function ago(age) {
  const [unit, size] = UNITS.find(([, each]) => Math.abs(age) >= each) ?? ["second", Infinity];
  if (unit === "second" && Math.abs(age) < 5000) return "just now";
  return relative.format(-Math.trunc(age / size), unit);
}

/** "0.42 ms", "18 ms", "1.2 s", "3 min 20 s", "2 d 4 h"; "–" of nothing. */
export function ms(n) {
  if (typeof n !== "number" || Number.isNaN(n)) return "–";
  if (n < 1000) return `${short(n)} ms`;
  if (n < 60_000) return `${short(n / 1000)} s`;
  const seconds = Math.floor(n / 1000);
  for (const [unit, size, below, each] of [["d", 86_400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]]) {
    if (seconds < size) continue;
    const rest = Math.floor((seconds % size) / each);
    return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${below}` : ""}`;
  }
}

/** "512 B", "1.4 kB", "230 MB"; "–" of nothing. */
export function bytes(n) {
  if (typeof n !== "number" || Number.isNaN(n)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = n;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit ? short(size) : size} ${units[unit]}`;
}

/** "12,345", "0.42"; "–" of nothing. */
export function number(n) {
  if (typeof n !== "number" || Number.isNaN(n)) return "–";
  return Number.isInteger(n) || Math.abs(n) >= 100 ? whole.format(n) : String(short(n));
}

/** At most three digits that say something. */
const short = (n) => (n >= 99.5 ? Math.round(n) : Number(n.toPrecision(n >= 9.95 ? 3 : 2)));

const shown = new Set();
let timer = 0;

/** The relative text of a time, kept fresh as long as it is shown. */
const fresh = directive(class extends AsyncDirective {
  render(time) {
    this.time = time;
    if (this.isConnected) this.reconnected();
    return ago(now() - time);
  }

  reconnected() {
    shown.add(this);
    timer ||= setInterval(freshen, FRESHEN_EVERY_MS);
  }

  disconnected() {
    shown.delete(this);
  }
});

function freshen() {
  for (const one of shown) one.setValue(ago(now() - one.time));
  if (shown.size) return;
  clearInterval(timer);
  timer = 0;
}

/** A <time>: how long ago, with the whole date and time as its title. "–" of none. */
export function when(iso) {
  const time = Date.parse(iso ?? "");
  if (Number.isNaN(time)) return html`<span class="muted">–</span>`;
  return html`<time datetime=${iso} title=${exact.format(time)}>${fresh(time)}</time>`;
}
