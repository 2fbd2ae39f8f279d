// What the browser keeps. Storage may be blocked or full: then it is kept as
// long as the page, and nothing else changes.

const kept = { session: new Map(), local: new Map() };

function store(kind) {
  try {
    return kind === "session" ? window.sessionStorage : window.localStorage;
  } catch {
    return null; // blocked
  }
}

function read(kind, key) {
  if (kept[kind].has(key)) return kept[kind].get(key);
  try {
    return JSON.parse(store(kind)?.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** Returns whether it will be there after a reload. */
function write(kind, key, value) {
  kept[kind].set(key, value);
  try {
    store(kind).setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Kept for this tab. */
export const tab = {
  read: (key) => read("session", `tidings/${key}`),
  write: (key, value) => write("session", `tidings/${key}`, value),
};

/** Kept for this browser. */
export const browser = {
  read: (key) => read("local", `tidings/${key}`),
  write: (key, value) => write("local", `tidings/${key}`, value),
};
