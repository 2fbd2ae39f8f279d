// Which part of the inbox is shown: {view, severity, type}.

/** The views and the states they show. */
export const VIEWS = {
  inbox: ["unseen", "seen", "read"],
  unread: ["unseen", "seen"],
  read: ["read"],
  archived: ["archived"],
  all: ["unseen", "seen", "read", "archived"],
};

/** Everything that is not archived. */
export const EVERYTHING = { view: "inbox", severity: "", type: "" };

export const states = ({ view }) => VIEWS[view];

/** The filter as the server wants it. A type is the beginning of types. */
export const query = (filter) => ({
  states: states(filter),
  ...(filter.severity && { severities: [filter.severity] }),
  ...(filter.type && { types: [`${filter.type}*`] }),
});

/** Does an item pass the filter? */
export const passes = (filter, item) => states(filter).includes(item.state)
  && (!filter.severity || item.severity === filter.severity)
  && item.type.startsWith(filter.type);
