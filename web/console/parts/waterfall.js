// Spans as a tree, and where their bars are. Nothing here knows of the page.
//
// Spans come from many machines, and whoever sends them chooses their ids and
// times. So a parent may be missing, a child may begin before its parent, and
// spans may be each other's parents: a tree comes out all the same.

/** No more spans than these are drawn. */
export const MOST = 2000;
/** Up to so many rows all are drawn, beyond only those in sight. */
export const ALL = 200;
/** The height of a row in pixels. */
export const ROW = 28;

const OWN = "tidings";
const SPARE = 12; // rows drawn above and below those in sight
const NOISE = 0.001; // milliseconds: less than a number can tell of a date

/** A time in milliseconds, with the digits that Date drops: spans last microseconds. */
export function exact(iso) {
  const beyond = /\.\d{3}(\d+)/.exec(iso)?.[1];
  return Date.parse(iso) + (beyond ? Number(`0.${beyond}`) : 0);
}

/**
 * The rows of a trace, a parent before its children, siblings as they began:
 *   {span, start, end, depth, parent: its row or null, of: siblings, nth,
 *    missing: the id of a parent that is not there, early: by how many ms it
 *    began before its parent, emitter: is it the emitter's?}
 * The tree that the emitter is in is the first. left is how many spans were too many.
 */
export function rows(spans) {
  const all = nodes(spans);
  cut(all);
  for (const node of all) node.parent?.children.push(node);
  const roots = all.filter(({ parent }) => !parent);
  const list = flat(roots);
  markEmitter(list);
  const first = new Set(list.filter(({ emitter }) => emitter).map(rootOf));
  const sorted = [...roots.filter((root) => first.has(root)), ...roots.filter((root) => !first.has(root))];
  return { rows: flat(sorted), left: Math.max(spans.length - MOST, 0) };
}

function nodes(spans) {
  const known = new Map();
  const node = (span) => {
    const start = exact(span.start);
    return { span, start, end: start + (span.durationMs || 0), parent: null, children: [], depth: 0, nth: 1, of: 1, missing: "", early: 0, emitter: false };
  };
  const all = spans.map(node).sort((a, b) => a.start - b.start || (a.span.spanId < b.span.spanId ? -1 : 1)).slice(0, MOST);
  for (const one of all) if (!known.has(one.span.spanId)) known.set(one.span.spanId, one);
  for (const [id, one] of known) {
    const { parentSpanId } = one.span;
    const parent = parentSpanId === id ? undefined : known.get(parentSpanId);
    one.parent = parent ?? null;
    one.missing = parent || !parentSpanId || parentSpanId === id ? "" : parentSpanId;
    one.early = parent && parent.start - one.start > NOISE ? parent.start - one.start : 0;
  }
  return [...known.values()];
}

/** Makes a root of the earliest of those that are each other's parents. */
function cut(all) {
  const done = new Set();
  for (const from of all) {
    const path = new Set();
    let node = from;
    while (node && !done.has(node) && !path.has(node)) {
      path.add(node);
      node = node.parent;
    }
    if (node && path.has(node)) open(node);
    for (const seen of path) done.add(seen);
  }
}

function open(inside) {
  let earliest = inside;
  for (let node = inside.parent; node !== inside; node = node.parent) if (node.start < earliest.start) earliest = node;
  earliest.parent = null;
  earliest.early = 0;
}

/** Without recursion: a chain of 2,000 spans is a legitimate trace. */
function flat(roots) {
  const list = [];
  const stack = [];
  const push = (siblings, depth) => {
    for (let i = siblings.length - 1; i >= 0; i--) stack.push(Object.assign(siblings[i], { depth, nth: i + 1, of: siblings.length }));
  };
  push(roots, 0);
  while (stack.length > 0) {
    const node = stack.pop();
    list.push(node);
    push(node.children, node.depth + 1);
  }
  return list;
}

function rootOf(node) {
  let root = node;
  while (root.parent) root = root.parent;
  return root;
}

/**
 * The emitter's spans are those of other services that nothing of ours came
 * before. An emitter that sends no spans is known by where its event went into
 * the log: the producer.
 */
function markEmitter(list) {
  const own = ownServices(list);
  const after = new Set(); // rows of ours, and what came of them
  for (const row of list) {
    if (own.has(row.span.service) || after.has(row.parent)) after.add(row);
    else row.emitter = true;
  }
  if (list.some(({ emitter }) => emitter)) return;
  for (const row of list) row.emitter = row.span.kind === "producer";
}

/** The server may have been given another name (OTEL_SERVICE_NAME); what it says of spans it alone says. */
function ownServices(list) {
  const own = new Set([OWN]);
  for (const { span } of list) {
    if (Object.keys(span.attributes ?? {}).some((key) => key.startsWith("notify."))) own.add(span.service);
  }
  return own;
}

/** Is a row of one of the services of this server? For its colour. */
export const ownRows = (list) => {
  const own = ownServices(list);
  return ({ span }) => own.has(span.service);
};

/**
 * Where the bars are, in % of the whole: {begin, length, bars: [{left, width}]}
 * with begin and length in milliseconds. aligned: the clock of a service whose
 * spans begin before what caused them is put forward by as much.
 */
export function layout(list, aligned = false) {
  const shifts = aligned ? clocks(list) : new Map();
  const starts = list.map((row) => row.start + (shifts.get(row) ?? 0));
  let [begin, end] = [Infinity, -Infinity];
  for (const [i, row] of list.entries()) {
    begin = Math.min(begin, starts[i]);
    end = Math.max(end, starts[i] + row.end - row.start);
  }
  if (list.length === 0) return { begin: 0, length: 0, bars: [] };
  const length = end - begin;
  const share = (ms) => (length > 0 ? ms / length * 100 : 0);
  const bars = list.map((row, i) => ({ left: share(starts[i] - begin), width: length > 0 ? share(row.end - row.start) : 100 }));
  return { begin, length, bars };
}

/** By how many milliseconds each row is moved: rows of one service have one clock, as far as is known. */
function clocks(list) {
  const shifts = new Map();
  const byService = new Map();
  for (const row of list) {
    const { parent, span: { service } } = row;
    const before = parent ? shifts.get(parent) : 0;
    const known = byService.get(service) ?? 0;
    const shift = parent && parent.span.service === service ? before : Math.max(known, parent ? parent.start + before - row.start : 0);
    shifts.set(row, shift);
    byService.set(service, shift);
  }
  return shifts;
}

/** The rows to draw, from inclusive, to exclusive. */
export function inSight({ count, top = 0, height = 0 }) {
  if (count <= ALL) return { from: 0, to: count };
  const from = Math.max(Math.floor(top / ROW) - SPARE, 0);
  return { from: Math.min(from, count), to: Math.min(Math.ceil((top + height) / ROW) + SPARE, count) };
}

/** Where to scroll so that a row is in sight; top if it is already. */
export function reveal({ index, top, height }) {
  const at = index * ROW;
  if (at < top) return at;
  return at + ROW > top + height ? at + ROW - height : top;
}

/** The row that a key leads to, or -1 if it leads nowhere. */
export function moved(key, { active, count, page = 10 }) {
  const last = count - 1;
  const to = { ArrowUp: active - 1, ArrowDown: active + 1, Home: 0, End: last, PageUp: active - page, PageDown: active + page }[key];
  return to === undefined || count === 0 ? -1 : Math.min(Math.max(to, 0), last);
}

/** The row that is chosen when a trace is opened: the one asked for, else the emitter's, else the first. */
export const opening = (list, wanted) => {
  const asked = wanted ? list.findIndex(({ span }) => span.spanId === wanted) : -1;
  if (asked >= 0) return asked;
  return Math.max(list.findIndex(({ emitter }) => emitter), 0);
};
