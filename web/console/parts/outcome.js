// What an explanation says, in words. The server finds out what became of an
// event for a user; these are sentences for each of its findings.

/** What became of an event on one connection, by the outcomes of a connection. */
const PARTS = {
  sent: { text: "It was sent", tone: "good" },
  "began behind it": { text: "Not sent: the connection began after it and asked for nothing older, or its client had it already", tone: "quiet" },
  "not a member": { text: "Not sent: the connection was not one of those it is for, because it had no such role or had not joined the group", tone: "bad" },
  muted: { text: "Passed over: the user had muted it, so it raised no alert; the inbox has it", tone: "warn" },
  expired: { text: "Not sent: it had expired by then", tone: "bad" },
  recalled: { text: "Not sent: it had been taken back by then", tone: "warn" },
  collapsed: { text: "Not sent: a later event had replaced it by then", tone: "warn" },
  "not sent": { text: "Not sent: the connection was behind, because it was slow or broke off, and ended before its turn", tone: "bad" },
  pending: { text: "Not sent yet: the connection is lagging behind and is being caught up from the log", tone: "warn" },
  unknown: { text: "Not known: it was a connection of another node, which has not said how far it came", tone: "quiet" },
};

/** {text, tone} of what became of an event on a connection. */
export function connectionWords({ outcome, acknowledged }) {
  const { text, tone } = Object.hasOwn(PARTS, outcome) ? PARTS[outcome] : { text: String(outcome), tone: "quiet" };
  if (outcome !== "sent") return { text: `${text}.`, tone };
  return acknowledged ? { text: `${text}, and acknowledged.`, tone } : { text: `${text}; it has not been acknowledged.`, tone: "quiet" };
}

/** {text, tone} of what is known of an event on a device. */
export function deviceWords({ device, sent, acknowledged, acknowledgedBy }, { pending = [], muted: by }, date) {
  if (acknowledged) return { text: `It was sent, and acknowledged by ${date(acknowledgedBy)} at the latest.`, tone: "good" };
  if (sent) return { text: "It was sent; the device has not acknowledged it.", tone: "quiet" };
  const comes = pending.some((what) => what.startsWith(`device ${device} `));
  if (comes) return { text: "Not sent yet: the device hears of it when it comes back.", tone: "warn" };
  return by ? { text: "It was not sent, because it was muted; the inbox has it.", tone: "warn" } : { text: "It was not sent.", tone: "bad" };
}

/** {name, text, tone} of whether an event was accepted at all. */
export function accepted({ outcome, reason, scheduledFor, events = [] }, date) {
  const name = "Was it accepted?";
  const because = reason ? `: ${reason}` : "";
  switch (outcome) {
    case "stored": {
      const [{ position, stored, emitter, recipient }] = events;
      const times = events.length > 1 ? `, and ${events.length - 1} more of the same id` : "";
      return { name, text: `Yes. It was stored at position ${position}, ${date(stored)}${emitter ? `, by ${emitter}` : ""}, for ${recipient}${times}.`, tone: "good" };
    }
    case "scheduled": return { name, text: `Yes, but it is not due before ${date(scheduledFor)}.`, tone: "warn" };
    case "canceled": return { name, text: "It was scheduled, and canceled before it was due.", tone: "bad" };
    case "rejected": return { name, text: `No. It came to the log, and the log could not read it${because}.`, tone: "bad" };
    case "refused": return { name, text: `No. It was refused when it was emitted${because}.`, tone: "bad" };
    default: return { name, text: `Nothing is known of it${because}.`, tone: "bad" };
  }
}

/** The facts of one stored event, in the order in which one asks for them: [{name, text, tone, position?}]. */
export function facts(event, { user, date, now }) {
  const all = [addressed(event, user)];
  if (!event.addressed) return all; // the rest is not kept of it
  all.push(muted(event), gone(event, date, now), connected(event, user), progress(event, user, date));
  return all;
}

function addressed({ addressed: is, by, why, recipient }, user) {
  const name = `Was it for ${user}?`;
  if (!is) return { name, text: `No: ${why || `it was for ${recipient}`}.`, tone: "bad" };
  return { name, text: by && by !== `user/${user}` ? `Yes, by ${by}.` : "Yes.", tone: "good" };
}

function muted({ muted: by }) {
  const name = "Was it muted?";
  return by ? { name, text: `Yes, by ${by}: it raised no alert. The inbox has it.`, tone: "warn" } : { name, text: "No.", tone: "good" };
}

function gone({ expired, expiresAt, recalledBy, collapsedInto }, date, now) {
  const name = "Does it still hold?";
  const reasons = [];
  if (recalledBy) reasons.push(`it was taken back by the event at position ${recalledBy}`);
  if (collapsedInto) reasons.push(`the event at position ${collapsedInto} replaced it`);
  if (expired) reasons.push(`it expired ${date(expiresAt)}`);
  if (reasons.length > 0) return { name, text: `No: ${reasons.join("; ")}.`, tone: "warn", position: recalledBy || collapsedInto };
  const ends = expiresAt && Date.parse(expiresAt) > now ? ` It expires ${date(expiresAt)}.` : "";
  return { name, text: `Yes.${ends}`, tone: "good" };
}

function connected({ connections = [], devices = [] }, user) {
  const name = `Was ${user} connected?`;
  const then = connections.filter((part) => part.connected).length;
  if (then > 0) return { name, text: `Yes, with ${then === 1 ? "one connection" : `${then} connections`} when it was stored.`, tone: "good" };
  const later = connections.length > 0 ? ` ${connections.length === 1 ? "One connection" : `${connections.length} connections`} came later.` : "";
  const kept = devices.length === 0 && connections.length === 0 ? " No device of this user is known, so nothing is told later; the inbox has it." : "";
  return { name, text: `No: ${user} was offline when it was stored, as far as is kept.${later}${kept}`, tone: "warn" };
}

const STATUS = { unseen: "It has not been seen yet.", seen: "It has been seen, not read.", read: "It has been read.", archived: "It has been archived." };

function progress({ status, acts = [] }, user, date) {
  const last = acts.at(-1);
  const where = last?.device ? ` on ${last.device}` : "";
  const who = last?.by && last.by !== user ? ` by ${last.by}` : "";
  const when = last ? ` Last change: ${last.status}, ${date(last.at)}${where}${who}.` : "";
  return { name: "How far is it?", text: (STATUS[status] ?? String(status ?? "Not known.")) + when, tone: status === "unseen" ? "quiet" : "good" };
}

/** What is still to come, but for the devices, which say it themselves. */
export const toCome = ({ pending = [] }) => pending.filter((what) => !what.startsWith("device "));
