// Looks for a trace and for what belongs to it. Who emits through a hub is a
// client, which is not trusted to be the parent of what the server does: then
// the emission is a trace of its own that is linked to the event's. It belongs
// into the same picture; later deliveries, which are linked as well, do not.

import { hub } from "../hub.js";
import { rows } from "../parts/waterfall.js";

const MOST = 20; // other traces of the event
const MERGED = 3;

/** {spans, logs, merged: are there spans of another trace, others: [summary]}. event is its id, if that is known. */
export async function look(id, event) {
  const { spans, logs } = await hub.call("Trace", { id });
  const about = event || eventOf(spans);
  if (!about) return { spans, logs, merged: false, others: [] };
  const { items } = await hub.call("Traces", { event: about, limit: MOST });
  const others = items.filter(({ traceId }) => traceId !== id);
  if (rows(spans).rows.some(({ emitter }) => emitter)) return { spans, logs, merged: false, others };
  const emissions = (await Promise.all(others.slice(-MERGED).map(({ traceId }) => emission(traceId, id)))).filter((found) => found.length > 0);
  const merged = new Set(emissions.flat().map(({ traceId }) => traceId));
  return { spans: [...spans, ...emissions.flat()], logs, merged: merged.size > 0, others: others.filter(({ traceId }) => !merged.has(traceId)) };
}

/** The spans of a trace if it emitted what the trace of that id is about. */
async function emission(traceId, id) {
  const { spans } = await hub.call("Trace", { id: traceId });
  const emitted = spans.some(({ kind, links = [] }) => kind === "producer" && links.some((link) => link.traceId === id));
  return emitted ? spans.map((span) => ({ ...span, traceId })) : [];
}

/** The id of the event that spans are about, or empty. */
export const eventOf = (spans) => spans.map(({ attributes }) => attributes?.["messaging.message.id"]).find(Boolean) ?? "";
