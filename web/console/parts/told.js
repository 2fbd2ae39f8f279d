// What events and records name, as links to where more is said of it.

import { html, nothing } from "lit";
import { link } from "../router.js";
import { icon } from "./icon.js";

const NOTHING = html`<span class="muted">–</span>`;
const SEVERITIES = ["info", "success", "warning", "critical"];

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** "24 Nov 2026, 22:40:48", for sentences. */
export const date = (iso) => (Number.isNaN(Date.parse(iso ?? "")) ? "at an unknown time" : exact.format(Date.parse(iso)));

/** "1 event", "12 events". */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

export const user = (id, hub) => (id ? html`<a href=${link(`user/${id}`, { hub })}>${id}</a>` : html`<span class="muted">nobody</span>`);

/** "user/ann", "group/ops": leads to the user or to the members. Everyone has no page. */
export function recipient(text, hub) {
  const [, kind, key] = /^(user|role|group)\/(.+)$/s.exec(text ?? "") ?? [];
  if (!kind) return text || NOTHING;
  return html`<a href=${link(kind === "user" ? `user/${key}` : `group/${kind}/${key}`, { hub })}>${text}</a>`;
}

export const position = (n) => (n ? html`<a class="mono" href=${link(`event/${n}`)}>${n}</a>` : NOTHING);

export const eventId = (id, hub) => (id ? html`<a class="mono" href=${link("event", { id, hub })}>${id}</a>` : NOTHING);

export const trace = (id, span, text = "trace") => (id ? html`<a href=${link(`trace/${id}`, { span })}>${text}</a>` : nothing);

export const connection = (id) => (id ? html`<a class="mono" href=${link(`connection/${id}`)}>${id}</a>` : NOTHING);

export function severity(name) {
  if (!name) return NOTHING;
  return SEVERITIES.includes(name) ? html`<span class="chip" data-severity=${name}>${icon(name)}${name}</span>` : chip(name);
}

/** tone: accent, info, success, warning, critical, or none. */
export const chip = (text, tone = "") => html`<span class="chip" data-tone=${tone}>${text}</span>`;

/** Texts, each in a chip; "–" of none. */
export const chips = (texts) => (texts?.length ? html`<span class="chips">${texts.map((text) => chip(text))}</span>` : NOTHING);

/** What is said where there is something. */
export const or = (value, shown = value) => (value ? shown : NOTHING);

/** The page behind what is shown, put there. */
export const grown = (shown, page, key = "items") => ({ ...page, [key]: [...shown[key], ...page[key]] });

/** The filters that are in the hash, of these names. */
export const chosen = (params, names) => Object.fromEntries(names.filter((name) => params[name]).map((name) => [name, params[name]]));
