// A notification as the page uses it. It was made by somebody else: nothing of
// it is trusted to have the form it should have.

const SEVERITIES = { info: "Info", success: "Success", warning: "Warning", critical: "Critical" };
const STATES = ["unseen", "seen", "read", "archived"];
const KINDS = {
  user: () => "Just you",
  role: (key) => `Role ${key}`,
  group: (key) => `Group ${key}`,
  everyone: () => "Everyone",
};

export function read(n) {
  const severity = Object.hasOwn(SEVERITIES, n.severity) ? n.severity : "info";
  return {
    id: text(n.id),
    position: Number(n.position) || 0,
    cursor: text(n.cursor),
    recipient: recipient(text(n.recipient)),
    replayed: n.replayed === true,
    severity,
    severityName: SEVERITIES[severity],
    type: text(n.type),
    source: text(n.source),
    title: text(n.title) || text(n.type) || "Notification",
    body: text(n.body),
    data: n.data === undefined ? "" : JSON.stringify(n.data, null, 2),
    links: links(n),
    collapseKey: text(n.collapseKey),
    recalls: text(n.recalls), // the id of what it takes back
    createdAt: time(text(n.createdAt)), // milliseconds, or null
    expiresAt: time(text(n.expiresAt)),
    trace: trace(text(n.traceparent)),
    state: STATES.includes(n.state) ? n.state : "unseen", // what has just come says none
    beneath: "", // of what is archived: what it was before, if that is known
    muted: n.muted === true,
    passing: false, // it came for a group of this connection, and no inbox has it
  };
}

const text = (value) => (typeof value === "string" ? value : "");

function time(value) {
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
}

/** "role/sales" → {kind, key, name: "Role sales"}. */
export function recipient(value) {
  const slash = value.indexOf("/");
  const kind = slash < 0 ? value : value.slice(0, slash);
  const key = slash < 0 ? "" : value.slice(slash + 1);
  if (!Object.hasOwn(KINDS, kind)) return { kind: "everyone", key: "", name: value };
  return { kind, key, name: KINDS[kind](key) };
}

/** Actions that call a method are the application's affair: this page has none, so it shows links only. */
function links(n) {
  const actions = Array.isArray(n.actions) ? n.actions.slice(0, 10) : [];
  return [{ label: "Open", link: n.link }, ...actions]
    .map((action) => ({ label: text(action?.label), href: safeLink(text(action?.link)) }))
    .filter(({ label, href }) => label && href);
}

/** The link if it leads to a page, otherwise empty: no javascript:, no data:. */
export function safeLink(link, base = globalThis.location?.href) {
  if (!link) return "";
  try {
    const url = new URL(link, base);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : "";
  } catch {
    return "";
  }
}

/** The trace id of a traceparent (W3C Trace Context). */
function trace(traceparent) {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent)?.[1] ?? "";
}
