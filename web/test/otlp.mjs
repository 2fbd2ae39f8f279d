// An emitter that traces itself, as one with an OpenTelemetry SDK does, in
// OTLP/HTTP with JSON.

import { randomBytes } from "node:crypto";

const KINDS = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };

const hex = (bytes) => randomBytes(bytes).toString("hex");
const nanoseconds = (ms) => `${BigInt(Math.round(ms * 1000)) * 1000n}`;
const attributesOf = (values) => Object.entries(values).map(([key, value]) => ({
  key, value: typeof value === "number" ? { intValue: `${value}` } : typeof value === "boolean" ? { boolValue: value } : { stringValue: value },
}));

/** A new span: {traceId, spanId, parentSpanId, name, kind, start, end, attributes, failed: why}; times in milliseconds. */
export const span = (of) => ({ traceId: hex(16), spanId: hex(8), kind: "internal", start: Date.now(), end: Date.now(), attributes: {}, ...of });

/** What a request that belongs to the span carries (W3C Trace Context). */
export const traceparent = ({ traceId, spanId }) => `00-${traceId}-${spanId}-01`;

/** Sends spans of a service to an OTLP/HTTP endpoint such as http://127.0.0.1:4318. */
export async function exportSpans(endpoint, service, spans) {
  const scopeSpans = [{
    scope: { name: "tests" },
    spans: spans.map(({ start, end, kind, attributes, failed, ...rest }) => ({
      ...rest, kind: KINDS[kind], startTimeUnixNano: nanoseconds(start), endTimeUnixNano: nanoseconds(end), attributes: attributesOf(attributes),
      ...(failed && { status: { code: 2, message: failed } }),
    })),
  }];
  const response = await fetch(`${endpoint}/v1/traces`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ resourceSpans: [{ resource: { attributes: attributesOf({ "service.name": service }) }, scopeSpans }] }),
  });
  const answer = await response.text();
  if (!response.ok || JSON.parse(answer || "{}").partialSuccess?.rejectedSpans) throw new Error(`export: ${response.status} ${answer}`);
}

/**
 * Emits an event over HTTP within a span, and exports that span.
 *
 * @param {{url: string}} server  @param {string} endpoint  of OTLP/HTTP
 * @param {string} bearer  @param {object} event
 * @param {{service: string, name: string, attributes?: object}} of
 * @returns {Promise<object>} the span, and the receipt: {…, receipt: {id, position}}
 */
export async function emitTraced(server, endpoint, bearer, event, { service, ...of }) {
  const own = span({ kind: "producer", ...of });
  const response = await fetch(`${server.url}/v1/notifications`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${bearer}`, traceparent: traceparent(own) },
    body: JSON.stringify(event),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`publish: ${response.status} ${answer}`);
  await exportSpans(endpoint, service, [{ ...own, end: Date.now() }]);
  return { ...own, receipt: JSON.parse(answer) };
}
