// Errors of the server, in words for people.

const OFFLINE = /not in the 'Connected' [Ss]tate|not in the OPEN state/;
const LOST = /underlying connection|WebSocket closed|Server timeout|closed with an error/;
const LIMIT = /Maximum message size|at most \d+ are allowed/;

/**
 * What went wrong with an invocation. may is what the person tried, such as
 * "emit to everyone".
 */
export function words(error, may) {
  const text = String(error?.message ?? error);
  const own = /HubException: (.*)$/s.exec(text)?.[1];
  if (/because user is unauthorized/.test(text)) return `You are not allowed to ${may}. It was not sent.`;
  if (own && LIMIT.test(own)) return `That is too long: ${own}.`;
  if (own) return sentence(own);
  if (OFFLINE.test(text)) return "You are offline, so it was not sent. Try again when you are back.";
  if (LOST.test(text)) return "The connection was lost before the answer came. Send it again: it will not be stored twice.";
  return "The server could not do that. Its log says why.";
}

/** Was there no connection, or is there none any more? */
export const lost = ({ message }) => OFFLINE.test(message) || LOST.test(message);

/** The field that an error names and what is wrong with it: {field: "quietHours.zone", reason: "Want …"}, or null. */
export function fault(error) {
  const [, field, reason] = /HubException: invalid \w+: ([\w.[\]]+): (.*)$/s.exec(String(error?.message ?? error)) ?? [];
  return field ? { field, reason: sentence(reason) } : null;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
