// For how long something is muted.

import { now } from "./clock.js";

const HOUR_MS = 3_600_000;
const MORNING = 8; // o'clock

/** {key, label, until()}: until when, in milliseconds; null = for ever. */
export const SPANS = [
  { key: "hour", label: "For 1 hour", until: () => now() + HOUR_MS },
  { key: "tomorrow", label: "Until tomorrow", until: () => morning(now()) },
  { key: "ever", label: "For ever", until: () => null },
];

/** The next day, at eight by the clock of this machine. */
function morning(ms) {
  const day = new Date(ms);
  day.setDate(day.getDate() + 1);
  return day.setHours(MORNING, 0, 0, 0);
}

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** "until 3 May 2026, 08:00", "for ever". */
export const span = (until) => (until ? `until ${format.format(until)}` : "for ever");
