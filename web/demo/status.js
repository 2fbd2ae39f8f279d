// How far somebody has come with a notification – unseen, seen, read, archived –
// and what the changes that the server tells of make of it.

const MOVES = {
  seen: { from: ["unseen"], to: ["seen"] },
  read: { from: ["unseen", "seen"], to: ["read"] },
  unread: { from: ["read", "archived"], to: ["seen"] },
  archived: { from: ["unseen", "seen", "read"], to: ["archived"] },
  unarchived: { from: ["archived"], to: ["unseen", "seen", "read"] },
};
MOVES.allSeen = MOVES.seen;
MOVES.allRead = MOVES.read;

/** Is a change of this kind one of the states of notifications, and not of what one belongs to or prefers? */
export const moves = (kind) => Object.hasOwn(MOVES, kind);

/** Can a change of this kind bring something among the states that was not there before? */
export const brings = (kind, states) => MOVES[kind].to.some((state) => states.includes(state))
  && MOVES[kind].from.some((state) => !states.includes(state));

/**
 * Applies a change to an item. False if only the server knows what the item is
 * now: what is archived was something before, and may have been that unheard.
 */
export function move(item, kind) {
  const { from, to: [to] } = MOVES[kind];
  switch (kind) {
    case "archived":
      if (item.state !== "archived") [item.beneath, item.state] = [item.state, "archived"];
      return true;
    case "unarchived":
      if (item.state === "archived") [item.state, item.beneath] = [item.beneath, ""];
      return item.state !== "";
    case "unread":
      [item.state, item.beneath] = [to, ""];
      return true;
    default:
      if (from.includes(item.state)) item.state = to;
      if (from.includes(item.beneath)) item.beneath = to;
      return true;
  }
}

export const unread = ({ state }) => state === "unseen" || state === "seen";
