// Records of the audit: who did what, about whom, and why.

import { html, nothing } from "lit";
import { when } from "./time.js";
import * as told from "./told.js";
import "./table.js";

const TONES = { refused: "critical", erased: "critical", recalled: "warning", canceled: "warning", revoked: "warning", closed: "warning", replayed: "accent", emitted: "success" };

/** A table of them, newest first as they come. */
export const records = (items, empty) => html`<c-table .caption=${"Records"} .rows=${items} .empty=${empty} .columns=${[
  { key: "at", label: "When", render: ({ at }) => when(at) },
  { key: "action", label: "What", render: ({ action }) => told.chip(action, TONES[action]) },
  { key: "by", label: "By", render: ({ by, via }) => html`${told.or(by)}${via ? html` <span class="muted">via ${via}</span>` : nothing}` },
  { key: "about", label: "About", render: about },
  { key: "id", label: "Event", render: ({ id, hub }) => told.or(id, told.eventId(id, hub)) },
  { key: "position", label: "Position", align: "end", render: ({ position }) => told.position(position) },
  { key: "why", label: "Why", wide: true, render: ({ reason, note }) => told.or(reason || note, [reason, note].filter(Boolean).join(" – ")) },
]}></c-table>`;

function about({ recipient, user, hub }) {
  if (recipient) return html`${told.recipient(recipient, hub)}${user && recipient !== `user/${user}` ? html`, ${told.user(user, hub)}` : nothing}`;
  return told.or(user, told.user(user, hub));
}
