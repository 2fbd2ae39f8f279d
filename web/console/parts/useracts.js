// What an operator can do about a user. Each asks for a reason, which is put on
// record, and resolves to what the server answered, or to undefined if it was
// called off.

import { hub } from "../hub.js";
import { act } from "./act.js";
import * as told from "./told.js";

export const replay = ({ user, hub: of }) => act({
  title: `Replay to ${user}`,
  text: `What ${user} could read in that stretch is emitted again, to ${user} alone and with new ids, at most 1,000 events. Say from which position or from when.`,
  confirm: "Replay",
  fields: [
    { name: "after", label: "After position", type: "number" },
    { name: "since", label: "Or since", type: "datetime-local" },
    { name: "until", label: "Until, if not to the end", type: "datetime-local" },
  ],
  async run({ after, since, until, why }) {
    if (!after && !since) throw new Error("Say after which position, or since when.");
    const from = since ? { since: rfc3339(since) } : { after: Number(after) };
    return hub.call("Replay", { user, ...optional({ hub: of, until: until && rfc3339(until) }), ...from, why });
  },
  done: (answer) => replayed(user, answer),
});

const optional = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

/** What a field of date and time holds is in the time zone of this machine. */
const rfc3339 = (local) => new Date(local).toISOString();

function replayed(user, { emitted, duplicates, skipped, to, more }) {
  const rest = [duplicates && `${duplicates} had been before`, skipped && `${skipped} passed over`].filter(Boolean).join(", ");
  return `${told.count(emitted, "event")} replayed to ${user}${rest ? ` (${rest})` : ""}.${more ? ` There is more: go on after position ${to}.` : ""}`;
}

export const traceUser = ({ user }) => act({
  title: `Trace ${user}`,
  text: "Every delivery to this user has a span of its own for so long, on this node.",
  confirm: "Trace",
  fields: [{ name: "minutes", label: "Minutes (1 to 60)", type: "number", value: "15", required: true }],
  run: ({ minutes, why }) => hub.call("TraceUser", { user, minutes: Number(minutes) || 0, why }),
  done: ({ until }) => `${user} is traced until ${told.date(until)}.`,
});

export const untraceUser = ({ user }) => act({
  title: `Stop tracing ${user}`,
  text: "The spans that are kept stay.",
  confirm: "Stop tracing",
  run: ({ why }) => hub.call("UntraceUser", { user, why }),
  done: () => `${user} is not traced any more.`,
});

export const erase = ({ user, hub: of }) => act({
  title: `Erase what is kept of ${user}`,
  text: `Inbox, marks, preferences, devices, memberships and the events for ${user} alone are deleted for good. There is no way back.`,
  confirm: "Erase for good",
  danger: true,
  fields: [{ name: "confirm", label: `Type the user id again: ${user}`, required: true }],
  async run({ confirm, why }) {
    if (confirm !== user) throw new Error("That is not the id of this user.");
    return hub.call("Erase", { user, ...optional({ hub: of }), confirm, why });
  },
  done: ({ events }) => `What was kept of ${user} has been erased, with ${told.count(events, "event")}.`,
});
