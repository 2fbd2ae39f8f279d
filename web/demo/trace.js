// A trace begins where something begins: at the form.

const hex = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A new, sampled traceparent (W3C Trace Context, version 00). */
export const traceparent = () => `00-${hex(16)}-${hex(8)}-01`;
