// The parts of the demo page that need no browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Acks } from "../demo/acks.js";
import { ago, learn, until } from "../demo/clock.js";
import { read, recipient, safeLink } from "../demo/notification.js";
import { traceparent } from "../demo/trace.js";
import { fault, words } from "../demo/words.js";

const BASE = "https://tidings.example/page";

test("only links to pages are links", () => {
  for (const [link, want] of [
    ["https://example.com/a", "https://example.com/a"],
    ["http://example.com", "http://example.com/"],
    ["/orders/41", "https://tidings.example/orders/41"],
    ["?a=b", "https://tidings.example/page?a=b"],
    ["//example.com/x", "https://example.com/x"],
    ["javascript:alert(1)", ""],
    [" java\nscript:alert(1)", ""],
    ["data:text/html,x", ""],
    ["vbscript:x", ""],
    ["blob:https://tidings.example/1", ""],
    ["http://[", ""],
    ["", ""],
  ]) assert.equal(safeLink(link, BASE), want, link);
});

test("a recipient is named for people", () => {
  for (const [text, want] of [
    ["user/ann", { kind: "user", key: "ann", name: "Just you" }],
    ["role/sales", { kind: "role", key: "sales", name: "Role sales" }],
    ["group/g/1 x", { kind: "group", key: "g/1 x", name: "Group g/1 x" }],
    ["everyone", { kind: "everyone", key: "", name: "Everyone" }],
    ["planet/mars", { kind: "everyone", key: "", name: "planet/mars" }],
    ["toString/x", { kind: "everyone", key: "", name: "toString/x" }],
  ]) assert.deepEqual(recipient(text), want);
});

test("whatever comes can be read", () => {
  for (const n of [{}, { title: 1, body: null, severity: "loud", actions: {}, createdAt: "x", traceparent: 5 }]) {
    const item = read(n);
    assert.equal(item.title, "Notification");
    assert.equal(item.severity, "info");
    assert.equal(item.createdAt, null);
    assert.deepEqual(item.links, []);
  }
  assert.equal(read({ traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }).trace, "4bf92f3577b34da6a3ce929d0e0e4736");
  assert.match(traceparent(), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test("errors are told in words", () => {
  for (const [text, want] of [
    ["Failed to invoke 'BroadcastToAll' because user is unauthorized", "You are not allowed to send to everyone. It was not sent."],
    ["An unexpected error occurred invoking 'X' on the server. HubException: invalid event: link: is no URL", "Invalid event: link: is no URL."],
    ["An unexpected error occurred invoking 'X' on the server. HubException: The log is not available. Try again.", "The log is not available. Try again."],
    ["Cannot send data if the connection is not in the 'Connected' State.", "You are offline, so it was not sent. Try again when you are back."],
    ["Invocation canceled due to the underlying connection being closed.", "The connection was lost before the answer came. Send it again: it will not be stored twice."],
    ["WebSocket closed with status code: 4000 (plug pulled).", "The connection was lost before the answer came. Send it again: it will not be stored twice."],
    ["An unexpected error occurred invoking 'X' on the server.", "The server could not do that. Its log says why."],
  ]) assert.equal(words(new Error(text), "send to everyone"), want);
  assert.match(words("WebSocket is not in the OPEN state", "send"), /offline/);
});

test("a fault names its field", () => {
  const of = (text) => fault(new Error(`An unexpected error occurred invoking 'X' on the server. HubException: ${text}`));
  assert.deepEqual(of('invalid request: quietHours.zone: want a time zone such as "Europe/Berlin", got "x"'), { field: "quietHours.zone", reason: 'Want a time zone such as "Europe/Berlin", got "x".' });
  assert.deepEqual(of("invalid event: notBefore: has passed already; leave it out to emit at once"), { field: "notBefore", reason: "Has passed already; leave it out to emit at once." });
  assert.deepEqual(of("invalid request: mutes[3]: wants either a type or a group"), { field: "mutes[3]", reason: "Wants either a type or a group." });
  for (const text of ["The log is not available. Try again.", "invalid event: has 70000 bytes, at most 65536 are allowed"]) assert.equal(of(text), null);
});

test("one acknowledgement at a time, always the newest", async () => {
  const sent = [];
  let answer;
  const acks = new Acks((cursor) => {
    sent.push(cursor);
    return new Promise((resolve, reject) => { answer = { resolve, reject }; });
  });
  const done = acks.push("1");
  for (const cursor of ["2", "3", "4"]) acks.push(cursor);
  assert.deepEqual(sent, ["1"]);
  answer.resolve();
  await new Promise(setImmediate);
  assert.deepEqual(sent, ["1", "4"]);
  answer.reject(new Error("gone"));
  await done;
  assert.equal(acks.acked, "1");
  acks.push("5");
  assert.deepEqual(sent, ["1", "4", "5"]);
});

test("ages are by the server's clock", () => {
  const now = Date.now();
  assert.equal(ago(now + 3_600_000), "just now");
  assert.equal(ago(now - 59_000), "just now");
  assert.equal(ago(now - 61_000), "1 min. ago");
  assert.equal(ago(now - 25 * 3_600_000), "yesterday");
  learn(new Date(now + 7_260_000).toUTCString(), now, now);
  assert.equal(ago(now), "2 hr. ago");
  assert.equal(until(now + 7_260_000 + 5 * 60_000), "in 5 min.");
  assert.equal(until(now), "now");
  learn("no date", now, now);
  learn(new Date(now).toUTCString(), now, now);
  assert.equal(ago(now), "just now");
});
