// Errors in words for people.

const OFFLINE = /not in the 'Connected' [Ss]tate|not in the OPEN state/;
const LOST = /underlying connection|WebSocket closed|Server timeout|closed with an error|connection being closed/;

/** Why an invocation failed, fit to be shown. */
export function words(error) {
  const text = String(error?.message ?? error);
  const own = /HubException: (.*)$/s.exec(text)?.[1];
  if (own) return sentence(own);
  if (/because user is unauthorized/.test(text)) return "You are not allowed to do that.";
  if (OFFLINE.test(text)) return "There is no connection to the server. It is being made again.";
  if (LOST.test(text)) return "The connection was lost before the answer came. If this was to change something, look whether it has.";
  return "The server could not do that. Its log says why.";
}

/** Does the server want a token, or another one? The client of SignalR tells so in a text only. */
export const refused = (error) => /status code[^']*'40[13]'/i.test(String(error?.message ?? error));

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
