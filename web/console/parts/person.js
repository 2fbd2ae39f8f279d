// What is kept of a user, in parts of a page: templates, and the words for them.

import { html, nothing } from "lit";
import { link } from "../router.js";
import { ms, number, when } from "./time.js";
import * as told from "./told.js";
import "./table.js";

const DAYS = { mon: "Mondays", tue: "Tuesdays", wed: "Wednesdays", thu: "Thursdays", fri: "Fridays", sat: "Saturdays", sun: "Sundays" };

/** "On Mondays and Fridays from 22:00 to 07:00, Europe/Berlin." */
export function quiet(hours) {
  if (!hours) return "There are no quiet hours.";
  const days = (hours.days ?? []).map((day) => DAYS[day] ?? day);
  const on = days.length > 0 ? `On ${new Intl.ListFormat("en").format(days)}` : "Every day";
  return `${on} from ${hours.from} to ${hours.to}, ${hours.zone}.`;
}

/** "events of type order.*", "everything", "the group ops". */
export function muteName({ type, group }) {
  if (group) return `the group ${group}`;
  return type === "*" ? "everything" : `events of type ${type}`;
}

/** "up to date", "12 positions behind". */
export const behindWords = (behind) => (behind > 0 ? `${number(behind)} ${behind === 1 ? "position" : "positions"} behind` : "up to date");

export const counts = ({ unseen, unread }) => html`<dl class="facts">
  <div><dt>Unseen</dt><dd>${number(unseen)}</dd></div>
  <div><dt>Unread</dt><dd>${number(unread)}</dd></div>
</dl>`;

export const memberships = ({ roles, groups }) => html`<ul class="plain">
  ${roles.map(({ name, since }) => html`<li>role <a href=${link(`group/role/${name}`)}>${name}</a> ${sinceWords(since)}</li>`)}
  ${groups.map(({ name, since, until }) => html`<li>group <a href=${link(`group/group/${name}`)}>${name}</a> ${sinceWords(since)}${until ? html`<span class="muted">, until ${told.date(until)}</span>` : nothing}</li>`)}
  ${roles.length + groups.length === 0 ? html`<li class="muted">None. Roles are known once the user has come with a token that has them; groups are given by an administrator.</li>` : nothing}
</ul>`;

/** A membership counts from a position. */
const sinceWords = (since) => (since ? html`<span class="muted">from position ${since}</span>` : nothing);

export const silence = ({ mutes, quietHours }) => html`<ul class="plain">
  ${mutes.map((mute) => html`<li>Mutes ${muteName(mute)} ${mute.until ? `until ${told.date(mute.until)}` : "for ever"}.</li>`)}
  ${mutes.length === 0 ? html`<li>Nothing is muted.</li>` : nothing}
  <li>${quiet(quietHours)}</li>
</ul>`;

export const devices = ({ devices: all }) => html`<c-table .caption=${"Devices"} .rows=${all}
  .empty=${"No device is known. A client that connects with ?device=ID has its place in the log kept here."}
  .columns=${[
    { key: "device", label: "Device", render: ({ device }) => html`<span class="mono">${device}</span>` },
    { key: "behind", label: "Acknowledged", render: acknowledged },
    { key: "position", label: "Up to", align: "end", render: ({ position }) => told.position(position) },
    { key: "sent", label: "Sent up to", align: "end", render: ({ sent }) => told.position(sent) },
    { key: "ackedAt", label: "Last acknowledged", render: ({ ackedAt }) => when(ackedAt) },
    { key: "groups", label: "In groups", render: ({ groups }) => told.chips(groups) },
  ]}></c-table>`;

/** A device that has never acknowledged anything is told everything that comes, and nothing again. */
function acknowledged({ position, behind }) {
  if (!position) return told.chip("nothing yet");
  return told.chip(behindWords(behind), behind > 0 ? "warning" : "success");
}

export const connections = ({ connections: all }) => html`<c-table .caption=${"Live connections"} .rows=${all}
  .empty=${"Not connected. What is told now is kept in the inbox, and devices hear of it when they come back."}
  .columns=${[
    { key: "id", label: "Connection", render: ({ id }) => told.connection(id) },
    { key: "phase", label: "Phase", render: ({ phase }) => told.chip(phase, { live: "success", lagging: "warning", "catching up": "warning" }[phase]) },
    { key: "behind", label: "Behind", render: ({ behind }) => behindWords(behind) },
    { key: "device", label: "Device", render: ({ device }) => told.or(device) },
    { key: "transport", label: "Transport" },
    { key: "began", label: "Began", render: ({ began }) => when(began) },
  ]}></c-table>`;

export const visits = ({ visits: all }) => html`<c-table .caption=${"Visits"} .rows=${all}
  .empty=${"No visit is kept. Each connection of the user is noted when it has begun."}
  .columns=${[
    { key: "began", label: "Began", render: ({ began }) => when(began) },
    { key: "lasted", label: "Lasted", align: "end", render: ({ began, ended }) => (ended ? ms(Date.parse(ended) - Date.parse(began)) : "still there") },
    { key: "reason", label: "Ended because", render: ({ reason }) => told.or(reason) },
    { key: "device", label: "Device", render: ({ device }) => told.or(device) },
    { key: "transport", label: "Transport" },
    { key: "sent", label: "Sent up to", align: "end", render: ({ sent }) => told.position(sent) },
    { key: "acknowledged", label: "Acknowledged", align: "end", render: ({ acknowledged }) => told.position(acknowledged) },
    { key: "node", label: "Node", render: ({ node }) => told.or(node) },
  ]}></c-table>`;

const TONES = { unseen: "accent", seen: "info" };

/** explain(id) is the address of the explanation. */
export const inbox = (page, explain) => html`<c-table .caption=${"Inbox, newest first"} .rows=${page.items}
  .empty=${"The inbox is empty. What is emitted to the user, or to a role or group of the user, comes here."}
  .columns=${[
    { key: "position", label: "Position", align: "end", render: ({ position }) => told.position(position) },
    { key: "status", label: "Status", render: ({ status, muted }) => html`${told.chip(status, TONES[status])} ${muted ? told.chip("muted", "warning") : nothing}` },
    { key: "title", label: "Title", wide: true, render: ({ title, body, id }) => html`<span title=${body ?? ""}>${title || id}</span>` },
    { key: "severity", label: "Severity", render: ({ severity }) => told.severity(severity) },
    { key: "type", label: "Type" },
    { key: "recipient", label: "Recipient", render: ({ recipient }) => told.recipient(recipient) },
    { key: "createdAt", label: "Made", render: ({ createdAt }) => when(createdAt) },
    { key: "explain", label: "", render: ({ id }) => html`<a href=${explain(id)} aria-label=${`Explain ${id}`}>explain</a>` },
  ]}></c-table>`;
