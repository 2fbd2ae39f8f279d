// Errors of the server, in words for people.

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
  if (/not in the 'Connected' [Ss]tate|not in the OPEN state/.test(text)) return "You are offline, so it was not sent. Try again when you are back.";
  if (/underlying connection|WebSocket closed|Server timeout|closed with an error/.test(text)) {
    return "The connection was lost before the answer came. Send it again: it will not be stored twice.";
  }
  return "The server could not do that. Its log says why.";
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
