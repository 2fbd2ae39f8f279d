// Takes back an event: one that waits for its time is canceled, one that was
// stored is recalled from everybody it was for. Whoever may emit to its
// recipient may do that.

/** True if it was canceled, so that nobody has heard it. session: of who takes it back. */
export async function takeBack(session, id) {
  const response = await fetch(`/v1/notifications/${encodeURIComponent(id)}`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${await session.token()}` },
    cache: "no-store",
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail || `The server answered ${response.status}.`);
  return answer.canceled === true;
}

/** Why it could not be taken back, for people. */
export function whyNot(error) {
  if (error instanceof TypeError) return "The server cannot be reached. Try again."; // of fetch
  const { message } = error;
  return `It was not taken back: ${message}${/[.!?]$/.test(message) ? "" : "."}`;
}
