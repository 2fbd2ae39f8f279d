// The figures of a node over the last minutes: what is drawn of them, and what
// is wrong with them. Nothing here knows of the page.

import { bytes, ms, number } from "../parts/time.js";

/** How much is shown: five minutes. */
export const MOST = 300;

/**
 * What goes into one picture, and of each line: the key in a sample, its name,
 * its colour. Of what is whole there are no halves on the axis.
 */
export const CHARTS = [
  { title: "Connections", whole: true, lines: [["connections", "Connections", "--accent"], ["users", "Users", "--info"], ["groups", "Roles and groups", "--warning"]] },
  { title: "Deliveries", whole: true, unit: "per second", lines: [["sent", "Sent", "--success"], ["deferred", "Deferred", "--warning"], ["muted", "Muted", "--info"], ["expired", "Expired", "--critical"]] },
  { title: "From stored to the last socket", format: ms, lines: [["p50Ms", "Half within (p50)", "--accent"], ["p99Ms", "99 % within (p99)", "--warning"]] },
  { title: "Event log", whole: true, unit: "per second", lines: [["appended", "Stored here", "--accent"], ["events", "Read", "--info"], ["lag", "Lag, in positions", "--critical"]] },
  { title: "Asked by clients", whole: true, unit: "per second", lines: [["invocations", "Invocations", "--accent"], ["replays", "Replays", "--info"], ["replayed", "Events replayed", "--success"]] },
  { title: "Trouble", whole: true, unit: "per second", lines: [["errors", "Errors", "--critical"], ["dropped", "Dropped", "--warning"], ["lagging", "Connections catching up", "--info"]] },
  { title: "Memory", format: bytes, lines: [["heapBytes", "Heap", "--accent"], ["rssBytes", "Resident", "--info"]] },
  { title: "Traffic", unit: "per second", format: bytes, lines: [["sentBytes", "Sent", "--accent"]] },
  { title: "Processor", lines: [["cpu", "Cores used", "--accent"], ["load", "Load, of 1", "--warning"]] },
].map((chart) => ({ format: number, unit: "", whole: false, ...chart, lines: chart.lines.map(([key, label, stroke]) => ({ key, label, stroke })) }));

/** The large numbers above the pictures. */
export const NUMBERS = [
  { label: "Connections", of: ({ connections }) => number(connections) },
  { label: "Users", of: ({ users }) => number(users) },
  { label: "Deliveries", unit: "per second", of: ({ sent }) => number(sent) },
  { label: "Delivered within", unit: "p99", of: ({ p99Ms }) => ms(p99Ms) },
  { label: "Position", of: ({ position }) => number(position) },
  { label: "Lag", unit: "positions", of: ({ lag }) => number(lag) },
];

/** Samples as a chart wants them: times, and a row of values for each line. */
export const columns = (samples, lines) => [
  samples.map(({ at }) => Date.parse(at) / 1000),
  ...lines.map(({ key }) => samples.map((sample) => sample[key] ?? null)),
];

/** The same figures as rows of a table. */
export function rows(samples) {
  return CHARTS.flatMap(({ title, unit, format, lines }) => lines.map(({ key, label }) => {
    const values = samples.map((sample) => sample[key]).filter((value) => typeof value === "number");
    const least = values.length ? Math.min(...values) : undefined;
    const most = values.length ? Math.max(...values) : undefined;
    const perSecond = unit && !STOCKS.has(key) ? ` ${unit}` : "";
    return { title, label: `${label}${perSecond}`, now: format(samples.at(-1)?.[key]), least: format(least), most: format(most) };
  }));
}

/** What is counted as it stands, though it is drawn beside what happens in a second. */
const STOCKS = new Set(["lag", "lagging"]);

const SUDDEN_S = 5; // what passes sooner is no trouble
const RECENT_S = 60;
const LATE_MS = 1000;
const FULL = 0.9;

/**
 * What is wrong, worst first, in sentences for people: [{tone, text}]. Empty if
 * nothing is.
 */
export function troubles(samples) {
  const lasting = samples.slice(-SUDDEN_S);
  const recent = samples.slice(-RECENT_S);
  const least = (key) => (lasting.length < SUDDEN_S ? 0 : Math.min(...lasting.map((sample) => sample[key] ?? 0)));
  const sum = (key) => recent.reduce((total, sample) => total + (sample[key] ?? 0), 0);
  const late = median(lasting.map(({ p99Ms }) => p99Ms).filter((value) => value !== null && value !== undefined));
  return [
    least("lag") > 0 && { tone: "critical", text: `This node is ${many(least("lag"), "position")} behind the end of the log and does not come up with it.` },
    least("load") >= FULL && { tone: "critical", text: `It works at ${Math.round(least("load") * 100)} % of what it can do.` },
    sum("errors") > 0 && { tone: "critical", text: `${many(sum("errors"), "error")} in the last minute: see the server logs and what was rejected.` },
    sum("dropped") > 0 && { tone: "warning", text: `${many(sum("dropped"), "live message")} dropped in the last minute, because somebody was too slow for them.` },
    least("lagging") > 0 && { tone: "warning", text: `${many(least("lagging"), "connection")} ${least("lagging") === 1 ? "is" : "are"} catching up with the log instead of hearing it live.` },
    late > LATE_MS && { tone: "warning", text: `Deliveries are slow: one in a hundred takes longer than ${ms(late)}.` },
  ].filter(Boolean);
}

const many = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

const median = (values) => (values.length ? values.toSorted((a, b) => a - b)[values.length >> 1] : 0);
