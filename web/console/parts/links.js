// The links of an event. Somebody else has made them: only what leads to a page
// of the web becomes a link, never javascript: or data:. Relative ones belong to
// the application that shows the event, not to this page.

const MOST = 11; // one of its own and ten actions

/** [{label, href}] of the payload of an event, a JSON text. */
export function links(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    return [];
  }
  const actions = Array.isArray(event?.actions) ? event.actions : [];
  return [{ label: "Open its link", link: event?.link }, ...actions]
    .map((action) => ({ label: String(action?.label || action?.link || ""), href: web(action?.link) }))
    .filter(({ label, href }) => label && href)
    .slice(0, MOST);
}

/** The address if it is one of the web, else empty. */
export function web(address) {
  if (typeof address !== "string") return "";
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : "";
  } catch {
    return "";
  }
}
