// What one span says: of when, of what, and what it leads to.

import { html, nothing } from "lit";
import { link } from "../router.js";
import { exact } from "./waterfall.js";
import { ms } from "./time.js";
import * as told from "./told.js";

/** What attributes lead to. */
const WAYS = {
  "messaging.message.id": (value, { "notify.hub": hub }) => told.eventId(value, hub === "notifications" ? "" : hub),
  "notify.stream.seq": (value) => told.position(value),
  "notify.connection.id": (value) => told.connection(value),
  "enduser.id": (value) => told.user(value),
  "rpc.method": (value) => html`<a href=${link("traces", { method: value })}>${value}</a>`,
  "notify.event.type": (value) => html`<a href=${link("log", { type: value })}>${value}</a>`,
};

/** row is one of the waterfall; trace the id of the trace that is open. */
export function details(row, { trace, begin }) {
  const { span, missing, early, emitter } = row;
  const fact = (name, value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`
    <dl class="facts">
      ${fact("Service", html`${span.service}${emitter ? html` ${told.chip("emitter", "info")}` : nothing}`)}
      ${fact("Kind", span.kind)}
      ${fact("Status", span.failed ? html`${told.chip("failed", "critical")} ${span.status ?? ""}` : span.status || "ok")}
      ${fact("Took", ms(span.durationMs))}
      ${fact("Began", html`${told.date(span.start)}<br><span class="muted">${ms(exact(span.start) - begin)} after the first</span>`)}
      ${fact("Span id", html`<span class="mono">${span.spanId}</span>`)}
      ${missing ? fact("Caused by", html`<span class="mono">${missing}</span><br><span class="muted">a span that is not kept here</span>`) : nothing}
      ${early > 0 ? fact("Clock", `It begins ${ms(early)} before what caused it: the clocks of the two machines differ.`) : nothing}
      ${span.traceId && span.traceId !== trace ? fact("Trace", html`${told.trace(span.traceId, span.spanId, "of a trace of its own")}`) : nothing}
    </dl>
    ${links(span.links ?? [], trace)}
    ${attributes(span.attributes ?? {})}`;
}

const links = (all, trace) => (all.length > 0 ? html`<h3>Linked to</h3>
  <ul class="links">${all.map(({ traceId, spanId }) => html`<li><a class="mono" href=${link(`trace/${traceId}`, { span: spanId })}>${traceId === trace ? `span ${spanId}` : `trace ${traceId}`}</a></li>`)}</ul>` : nothing);

function attributes(all) {
  const names = Object.keys(all).sort();
  if (names.length === 0) return html`<p class="muted">It has no attributes.</p>`;
  return html`<h3>Attributes</h3>
    <dl class="facts">${names.map((name) => html`<div><dt>${name}</dt><dd class="mono">${value(name, all)}</dd></div>`)}</dl>`;
}

function value(name, all) {
  const plain = all[name];
  if (Object.hasOwn(WAYS, name) && plain) return WAYS[name](plain, all);
  return typeof plain === "object" ? JSON.stringify(plain) : String(plain);
}
