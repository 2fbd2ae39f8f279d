// Where one is lives in the hash, filters included, so that every view can be
// linked to: #/connections?user=ann, #/group/role/ops.
//
// The last part of a path takes what is left of it, so ids may hold slashes.
// Write ids as they are: link encodes them.
//
//   link("user/ann smith")                  "#/user/ann%20smith"
//   link("log", {type: "order.shipped"})    "#/log?type=order.shipped"
//   parse("#/group/role/ops?after=x")       {route: "group", params: {kind: "role", name: "ops", after: "x"}}

/**
 * The pages by the first part of their path. parts names what follows in it; a
 * page finds those and the query in its params. one is the page of one thing,
 * where its path only begins with that of all. What has a label is in the
 * navigation; under says which entry of it a page belongs to.
 */
export const routes = {
  overview: { tag: "c-overview", label: "Overview", icon: "overview", parts: [] },
  connections: { tag: "c-connections", label: "Connections", icon: "plug", parts: [] },
  connection: { tag: "c-connection", under: "connections", parts: ["id"] },
  users: { tag: "c-users", label: "Users", icon: "user", parts: [] },
  user: { tag: "c-user", under: "users", parts: ["user"] },
  groups: { tag: "c-groups", label: "Groups", icon: "group", parts: [] },
  group: { tag: "c-group", under: "groups", parts: ["kind", "name"] },
  log: { tag: "c-log", label: "Event log", icon: "log", parts: [] },
  event: { tag: "c-event", under: "log", parts: ["position"] },
  rejected: { tag: "c-rejected", one: "c-reject", label: "Rejected", icon: "rejected", parts: ["seq"] },
  traces: { tag: "c-traces", label: "Traces", icon: "traces", parts: [] },
  trace: { tag: "c-trace", under: "traces", parts: ["id"] },
  nodes: { tag: "c-nodes", label: "Nodes", icon: "nodes", parts: [] },
  logs: { tag: "c-logs", label: "Server logs", icon: "logs", parts: [] },
  audit: { tag: "c-audit", label: "Audit", icon: "role", parts: [] },
};

export const home = "overview";

/** Makes a link of a path such as "user/ann" and of what goes into the query. Empty values are left out. */
export function link(path, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  const at = String(path).split("/").map(encodeURIComponent).join("/");
  return `#/${at}${query.size ? `?${query}` : ""}`;
}

/** What a hash says: {route, params}. Of one that says nothing known, the route is null. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [first, ...rest] = path.split("/").map(decode);
  const route = first === "" ? home : first;
  if (!Object.hasOwn(routes, route)) return { route: null, params: {} };
  const { parts } = routes[route];
  const named = parts.map((name, i) => [name, i < parts.length - 1 ? rest[i] : rest.slice(i).join("/")]);
  return { route, params: { ...Object.fromEntries(new URLSearchParams(query)), ...Object.fromEntries(named.filter(([, value]) => value)) } };
}

/** The element that is the page of what parse has found. */
export function tagOf({ route, params }) {
  const { tag, one, parts } = routes[route];
  return one && params[parts[0]] ? one : tag;
}

/** Goes there. Where one already is, nothing happens. */
export function navigate(path, params) {
  window.location.hash = link(path, params);
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}
