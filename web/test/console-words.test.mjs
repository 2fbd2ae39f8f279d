// What the console says of an event, and what it finds in texts, without a page.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check } from "../console/parts/json.js";
import { links, web } from "../console/parts/links.js";
import { accepted, connectionWords, deviceWords, facts } from "../console/parts/outcome.js";

const date = (iso) => iso;
const now = Date.parse("2026-11-24T23:00:00Z");
const words = (event) => Object.fromEntries(facts(event, { user: "ann", date, now }).map(({ name, text }) => [name, text]));

/** A stored event for ann that nothing is wrong with. */
const stored = { position: 7, stored: "T0", recipient: "user/ann", addressed: true, by: "user/ann", status: "unseen", connections: [{ connected: true, outcome: "sent" }] };

describe("an explanation", () => {
  it("says whether it was accepted", () => {
    const text = (x) => accepted(x, date).text;
    assert.equal(text({ outcome: "stored", events: [{ position: 7, stored: "T0", emitter: "shop", recipient: "user/ann" }] }), "Yes. It was stored at position 7, T0, by shop, for user/ann.");
    assert.equal(text({ outcome: "rejected", reason: "invalid event: title: want a string, got 5" }), "No. It came to the log, and the log could not read it: invalid event: title: want a string, got 5.");
    assert.match(text({ outcome: "refused", reason: "not allowed" }), /^No\. It was refused .*: not allowed\.$/);
    assert.match(text({ outcome: "scheduled", scheduledFor: "T9" }), /not due before T9/);
    assert.match(text({ outcome: "canceled" }), /canceled/);
    assert.match(text({ outcome: "unknown", reason: "nothing is kept of this id" }), /^Nothing is known of it: nothing is kept/);
  });

  it("stops at who was no member", () => {
    assert.deepEqual(words({ ...stored, addressed: false, recipient: "group/ops", why: "the user was no member of ops" }), { "Was it for ann?": "No: the user was no member of ops." });
  });

  it("says what muted it", () => {
    assert.equal(words({ ...stored, muted: "type order.*" })["Was it muted?"], "Yes, by type order.*: it raised no alert. The inbox has it.");
    assert.equal(words(stored)["Was it muted?"], "No.");
  });

  it("says what ended it", () => {
    const of = (rest) => words({ ...stored, ...rest })["Does it still hold?"];
    assert.equal(of({}), "Yes.");
    assert.equal(of({ expired: true, expiresAt: "T5" }), "No: it expired T5.");
    assert.equal(of({ recalledBy: 9 }), "No: it was taken back by the event at position 9.");
    assert.equal(of({ collapsedInto: 10, expired: true, expiresAt: "T5" }), "No: the event at position 10 replaced it; it expired T5.");
    assert.equal(of({ expiresAt: "2026-11-25T00:00:00Z" }), "Yes. It expires 2026-11-25T00:00:00Z.");
  });

  it("says who was offline", () => {
    assert.match(words({ ...stored, connections: [] })["Was ann connected?"], /^No: ann was offline/);
    assert.match(words({ ...stored, connections: [{ connected: false }] })["Was ann connected?"], /One connection came later/);
    assert.equal(words(stored)["Was ann connected?"], "Yes, with one connection when it was stored.");
  });

  it("has words for all outcomes of a connection", () => {
    const outcomes = ["sent", "began behind it", "not a member", "muted", "expired", "recalled", "collapsed", "not sent", "pending", "unknown"];
    const texts = outcomes.map((outcome) => connectionWords({ outcome }).text);
    assert.equal(new Set(texts).size, outcomes.length);
    assert.match(connectionWords({ outcome: "not sent" }).text, /slow/);
    assert.match(connectionWords({ outcome: "pending" }).text, /lagging/);
    assert.match(connectionWords({ outcome: "sent", acknowledged: true }).text, /acknowledged\.$/);
    assert.equal(connectionWords({ outcome: "constructor" }).text, "constructor.");
  });

  it("says how far a device is", () => {
    assert.match(deviceWords({ device: "phone", sent: false }, { pending: ["device phone hears of it when it comes back"] }, date).text, /when it comes back/);
    assert.equal(deviceWords({ device: "phone", sent: false }, {}, date).text, "It was not sent.");
    assert.match(deviceWords({ device: "phone", sent: false }, { muted: "quiet hours" }, date).text, /because it was muted/);
    assert.match(deviceWords({ device: "phone", sent: true, acknowledged: true, acknowledgedBy: "T3" }, {}, date).text, /by T3 at the latest/);
  });
});

describe("a text that is no JSON", () => {
  const at = (text) => { const { ok, line, column, reason } = check(text); return ok ? "ok" : `${line}:${column} ${reason}`; };

  it("is JSON", () => {
    for (const text of ['{"a":[1,-2.5e3,"x\\u00e4\\n",true,null,{}]}', "[]", ' "x" ', "0"]) assert.equal(at(text), "ok", text);
  });

  it("says where", () => {
    assert.equal(at('{"title":x}'), "1:10 a value should be here");
    assert.equal(at('{\n  "title": "a",\n  title: 1\n}'), "3:3 a name in double quotes should be here");
    assert.equal(at('{"a":1 "b":2}'), "1:8 a comma or } should be here");
    assert.equal(at('{"a" 1}'), "1:6 a colon should be here");
    assert.equal(at("[1,]"), "1:4 a value should be here");
    assert.equal(at('{"a":"b'), "1:8 it ends inside of a text");
    assert.equal(at('{"a":"b\n"}'), "1:8 the line ends inside of a text");
    assert.equal(at('{"a":"\\x"}'), "1:7 there is no such escape");
    assert.equal(at('{"a":1'), "1:7 it ends before the } of a {");
    assert.equal(at("{} {}"), "1:4 there is more behind the value");
    assert.equal(at(""), "1:1 it ends where a value should be");
    assert.equal(at("[01]"), "1:3 a comma or ] should be here");
    assert.match(at("[".repeat(100_000)), /too deep/);
  });
});

describe("the links of an event", () => {
  it("lead to pages of the web and to nothing else", () => {
    const event = { link: "https://a.example/x", actions: [{ label: "Bad", link: "javascript:alert(1)" }, { label: "Good", link: "http://b.example" }, { label: "Data", link: "data:text/html,x" }, { label: "Own", link: "/orders" }, null] };
    assert.deepEqual(links(JSON.stringify(event)), [{ label: "Open its link", href: "https://a.example/x" }, { label: "Good", href: "http://b.example/" }]);
    assert.deepEqual([links("no JSON"), links("null"), links('{"actions":5}')], [[], [], []]);
    assert.equal(web(undefined), "");
    assert.equal(web(" JAVASCRIPT:alert(1)"), "");
  });
});
