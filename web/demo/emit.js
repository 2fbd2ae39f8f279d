// The form that emits. What it sends comes back from the log, like everybody
// else's: at once, or when it is due.

import { date, now } from "./clock.js";
import { $, count, say } from "./dom.js";
import { recipient, safeLink } from "./notification.js";
import { traceparent } from "./trace.js";
import { fault, words } from "./words.js";

/** What the server takes in one message, less the envelope. */
const MOST_BYTES = 32 * 1024 - 512;

const RECIPIENTS = {
  self: { method: "SendToSelf", may: "send to yourself" },
  user: { method: "SendPersonalNotification", key: "Person", wanted: "Say who it is for.", may: "send to a person" },
  role: { method: "BroadcastToRole", key: "Role", wanted: "Say which role it is for.", may: "send to a role" },
  group: { method: "BroadcastToGroup", key: "Group", wanted: "Say which group it is for.", may: "send to a group" },
  everyone: { method: "BroadcastToAll", may: "send to everyone" },
};

/** Where the form says what the server finds wrong with a field of the event. */
const FIELDS = { title: "title", link: "link", data: "data", type: "type", collapseKey: "collapse", expiresAt: "expires", notBefore: "at", recipient: "key" };

const EXAMPLES = [
  { name: "Order", severity: "success", title: "Order 4127 has been shipped", body: "It arrives on Thursday between 9 and 12.", type: "order.shipped", link: "/?order=4127", data: { order: 4127, carrier: "DHL", parcels: 2 } },
  { name: "Disk", severity: "warning", title: "Disk of db-2 is 91 % full", body: "At this rate it is full in six hours.", type: "disk.filling", data: { host: "db-2", used: 0.91 } },
  { name: "Payment", severity: "critical", title: "Payments are failing", body: "37 of the last 40 card payments were declined by the gateway.", type: "payment.failing", link: "https://status.example.com/payments" },
  { name: "Comment", severity: "info", title: "Bob commented on your draft", body: "“I like the second paragraph. Could we say it in half the words?”", type: "comment.added" },
];

/** user emits; people and groups() are suggested; emitted remembers what this tab has emitted. */
export function offerForm(connection, user, { people, groups, emitted }) {
  const form = $("emit");
  const draft = { id: crypto.randomUUID() };
  const suggest = () => {
    const kind = form.elements.to.value;
    const { key } = RECIPIENTS[kind];
    $("key-field").hidden = !key;
    if (key) $("key-label").textContent = key;
    const known = {
      user: people.map(({ id, name }) => [id, name]),
      role: [...new Set(people.flatMap(({ roles }) => roles))].map((role) => [role, ""]),
      group: groups().map((group) => [group, ""]),
    }[kind] ?? [];
    $("key-list").replaceChildren(...known.map(([value, label]) => new Option(label, value)));
  };
  $("to").addEventListener("change", () => {
    form.elements.key.value = "";
    suggest();
    clear();
  });
  $("when").addEventListener("change", () => {
    $("at-field").hidden = $("when").value !== "at";
    clear();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.ariaBusy !== "true") submit(connection, form, { user, draft, emitted });
  });
  // What is changed is another event, so it gets another id.
  form.addEventListener("input", () => { draft.id = crypto.randomUUID(); });
  offerExamples(form);
  showTerminal();
  suggest();
}

/** Returns when the server has answered. */
async function submit(connection, form, { user, draft, emitted }) {
  clear();
  const kind = form.elements.to.value;
  const { method, key, may } = RECIPIENTS[kind];
  const event = read(form);
  if (!event) return $("emit").querySelector("[aria-invalid]")?.focus();
  const args = key ? [form.elements.key.value.trim()] : [];
  const events = numbered(event, Number(form.elements.times.value), draft.id);
  for (const one of events) emitted.add(one);
  form.ariaBusy = "true";
  try {
    const positions = await Promise.all(events.map((e) => connection.invoke(method, ...args, e)));
    draft.id = crypto.randomUUID();
    const to = recipient({ self: `user/${user.id}`, everyone: kind }[kind] ?? `${kind}/${args[0]}`);
    const waiting = events.filter((_, i) => !positions[i]).map(({ id, title }) => ({ id, title, to: to.kind === "user" ? `To ${to.key}` : to.name, due: Date.parse(event.notBefore) }));
    for (const entry of waiting) emitted.wait(entry);
    say($("emit-answer"), waiting.length ? `Scheduled for ${date(waiting[0].due)}.` : answer(positions));
  } catch (error) {
    refused(form, error, may);
  } finally {
    form.ariaBusy = "false";
  }
}

/** What the server finds wrong is said beside the field, if the form has it. */
function refused(form, error, may) {
  const wrong = fault(error);
  const name = FIELDS[wrong?.field];
  if (!name) return say($("emit-problem"), words(error, may));
  problem(form, name === "at" && $("at-field").hidden ? "when" : name, wrong.reason);
  form.querySelector("[aria-invalid]").focus();
}

/** Each has an id of its own. To send the same again after a lost answer stores nothing twice. */
const numbered = (event, times, id) => Array.from({ length: times }, (_, i) => ({
  ...event,
  id: `${id}-${i + 1}`,
  traceparent: traceparent(),
  title: times > 1 ? `${event.title} (${i + 1} of ${times})` : event.title,
}));

const answer = (positions) => (positions.length === 1
  ? `Stored at position ${positions[0]}.`
  : `Stored ${count(positions.length, "event")}, positions ${Math.min(...positions)} to ${Math.max(...positions)}.`);

/** The event in the form, or null after saying what is wrong with it. */
function read(form) {
  const value = (name) => form.elements[name].value.trim();
  const event = { title: value("title"), severity: form.elements.severity.value };
  for (const name of ["body", "type", "link"]) if (value(name)) event[name] = value(name);
  if (value("collapse")) event.collapseKey = value("collapse");
  const { key, wanted } = RECIPIENTS[form.elements.to.value];
  const wrong = [];
  if (key && !value("key")) wrong.push(["key", wanted]);
  if (!event.title) wrong.push(["title", "Give it a title."]);
  if (event.link && !safeLink(event.link)) wrong.push(["link", "A link begins with https://, http:// or /."]);
  const due = dueAt(form);
  if (Number.isNaN(due)) wrong.push(["at", "Say on which day and at what time."]);
  else if (due) event.notBefore = new Date(due).toISOString();
  if (value("expires")) event.expiresAt = new Date((due || now()) + 1000 * Number(value("expires"))).toISOString();
  if (value("data")) {
    try {
      event.data = JSON.parse(value("data"));
    } catch (error) {
      wrong.push(["data", `This is no JSON: ${error.message}`]);
    }
  }
  if (!wrong.length && new TextEncoder().encode(JSON.stringify(event)).length > MOST_BYTES) {
    wrong.push(["title", "That is too long: a browser may send 32 KiB at once."]);
  }
  for (const [name, text] of wrong) problem(form, name, text);
  return wrong.length ? null : event;
}

/** When it is to be sent, in milliseconds; 0 = now, NaN = the form does not say. */
function dueAt(form) {
  const { when, at } = form.elements;
  if (when.value === "at") return Date.parse(at.value); // a time of the clock of this machine
  return when.value ? now() + 1000 * Number(when.value) : 0;
}

function problem(form, name, text) {
  form.elements[name].setAttribute("aria-invalid", "true");
  form.elements[name].closest("details")?.setAttribute("open", "");
  say($(`${name}-problem`), text);
}

function clear() {
  for (const field of $("emit").querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const problem of $("emit").querySelectorAll(".problem, .answer")) problem.textContent = "";
}

function offerExamples(form) {
  $("examples").replaceChildren(...EXAMPLES.map(({ name, severity, data, ...fields }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "text-button";
    button.textContent = name;
    button.addEventListener("click", () => {
      clear();
      for (const field of ["title", "body", "type", "link"]) form.elements[field].value = fields[field] ?? "";
      form.elements.data.value = data ? JSON.stringify(data) : "";
      form.elements.severity.value = severity;
      form.dispatchEvent(new Event("input"));
      form.elements.title.focus();
    });
    return button;
  }));
}

function showTerminal() {
  $("terminal").textContent = [
    "export TIDINGS_TOKEN=$(tidings token --user root --role admin)",
    `tidings publish --url ${window.location.origin} \\`,
    "  --to user/ann --title 'Hello from a terminal'",
  ].join("\n");
}
