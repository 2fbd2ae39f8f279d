// The parts of the console that need no browser.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { columns, rows, troubles } from "../console/pages/figures.js";
import { lonely, summary } from "../console/parts/chart.js";
import { local, read } from "../console/parts/field.js";
import { how } from "../console/parts/pager.js";
import { ago, bytes, ms, number, when } from "../console/parts/time.js";
import { link, parse, routes } from "../console/router.js";
import { refused, words } from "../console/words.js";

const text = (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

test("every page loads and defines its element", async () => {
  await import("../console/pages/index.js");
  for (const { tag, one = tag } of Object.values(routes)) for (const each of [tag, one]) assert.ok(customElements.get(each), each);
});

test("a link comes back as what it was made of", () => {
  for (const [path, query, hash, route, params] of [
    ["overview", {}, "#/overview", "overview", {}],
    ["user/ann smith", {}, "#/user/ann%20smith", "user", { user: "ann smith" }],
    ["user/a/b?c#d", { hub: "x&y" }, "#/user/a/b%3Fc%23d?hub=x%26y", "user", { user: "a/b?c#d", hub: "x&y" }],
    ["group/role/ops/1", { after: "" }, "#/group/role/ops/1", "group", { kind: "role", name: "ops/1" }],
    ["log", { type: "order.*", user: undefined, before: 0 }, "#/log?type=order.*&before=0", "log", { type: "order.*", before: "0" }],
    ["event/123", {}, "#/event/123", "event", { position: "123" }],
    ["rejected", {}, "#/rejected", "rejected", {}],
    ["rejected/7", {}, "#/rejected/7", "rejected", { seq: "7" }],
  ]) {
    assert.equal(link(path, query), hash);
    assert.deepEqual(parse(hash), { route, params });
  }
});

test("whatever is typed into the address is a page or none", () => {
  for (const [hash, route] of [["", "overview"], ["#", "overview"], ["#/", "overview"], ["#/constructor", null], ["#/nowhere/x", null], ["#/user/%E0%A4%A", "user"]]) {
    assert.equal(parse(hash).route, route, hash);
  }
  assert.deepEqual(parse("#/user/ann?user=bob").params, { user: "ann" });
  assert.deepEqual(parse("#/log?text=a?b").params, { text: "a?b" });
});

test("durations, sizes and numbers are short", () => {
  for (const [n, want] of [[0, "0 ms"], [0.4249, "0.42 ms"], [17.93, "17.9 ms"], [999.7, "1000 ms"], [1200, "1.2 s"], [59_900, "59.9 s"], [200_000, "3 min 20 s"], [3_600_000, "1 h"], [187_200_000, "2 d 4 h"], [null, "–"], [undefined, "–"], [NaN, "–"]]) {
    assert.equal(ms(n), want, String(n));
  }
  for (const [n, want] of [[0, "0 B"], [999, "999 B"], [1000, "1 kB"], [1449, "1.4 kB"], [999_999, "1 MB"], [230_400_000, "230 MB"], [undefined, "–"]]) {
    assert.equal(bytes(n), want, String(n));
  }
  for (const [n, want] of [[0, "0"], [12_345, "12,345"], [0.4249, "0.42"], [1234.5, "1,235"], [null, "–"]]) assert.equal(number(n), want, String(n));
});

test("ages are told in words", () => {
  for (const [age, want] of [[0, "just now"], [-3000, "just now"], [12_000, "12 sec. ago"], [61_000, "1 min. ago"], [25 * 3_600_000, "yesterday"], [-2 * 3_600_000, "in 2 hr."]]) {
    assert.equal(ago(age), want);
  }
  assert.match(when("2026-01-02T03:04:05Z").strings.join(""), /<time /);
  assert.match(when("no time").strings.join(""), /–/);
  assert.match(when(undefined).strings.join(""), /–/);
});

test("filters are what says something", () => {
  const fields = [{ name: "type" }, { name: "failed", type: "checkbox" }, { name: "since", type: "datetime-local" }, { name: "leastMs", type: "number" }];
  const of = (values) => read(fields, (name) => values[name]);
  assert.deepEqual(of({ type: " order.* ", failed: true, since: "2026-01-02T03:04", leastMs: "5" }), { type: "order.*", failed: "true", since: new Date("2026-01-02T03:04").toISOString(), leastMs: "5" });
  assert.deepEqual(of({ type: "  ", failed: false, since: "", leastMs: "" }), {});
  assert.deepEqual(of({ type: "", failed: false, since: "soon", leastMs: "" }), {});
  assert.equal(local(new Date("2026-01-02T03:04").toISOString()), "2026-01-02T03:04");
  assert.equal(local("soon"), "");
});

test("a pager says how much there is", () => {
  assert.equal(how({ shown: 50, matched: 1204, next: "x" }), "50 of 1,204 shown");
  assert.equal(how({ shown: 3, matched: 3 }), "All 3 shown");
  assert.equal(how({ shown: 50, next: "x" }), "50 shown, there are more");
  assert.equal(how({ shown: 0, matched: 0 }), "");
});

test("errors are told in words", () => {
  for (const [error, want] of [
    ["An unexpected error occurred invoking 'X' on the server. HubException: there is no such connection", "There is no such connection."],
    ["An unexpected error occurred invoking 'X' on the server.", "The server could not do that. Its log says why."],
    ["Failed to invoke 'X' because user is unauthorized", "You are not allowed to do that."],
    ["Cannot send data if the connection is not in the 'Connected' State.", "There is no connection to the server. It is being made again."],
    ["Invocation canceled due to the underlying connection being closed.", "The connection was lost before the answer came. If this was to change something, look whether it has."],
  ]) assert.equal(words(new Error(error)), want);
  assert.ok(refused(new Error("Failed to complete negotiation with the server: Error: Unauthorized: Status code '401'")));
  assert.ok(!refused(new Error("WebSocket closed with status code: 1006 (no reason given).")));
  assert.ok(!refused(undefined));
});

const second = (values) => ({ at: "2026-01-02T03:04:05Z", connections: 1, lag: 0, lagging: 0, errors: 0, dropped: 0, load: 0.1, p99Ms: null, ...values });
const minute = (values) => Array.from({ length: 60 }, () => second(values));

test("what is wrong is said, and only that", () => {
  const said = (samples) => troubles(samples).map(({ text: words }) => words).join(" ");
  assert.equal(said([]), "");
  assert.equal(said(minute({})), "");
  assert.equal(said([...minute({}), second({ lag: 500 })]), ""); // a burst
  assert.match(said(minute({ lag: 500 })), /^This node is 500 positions behind/);
  assert.match(said([second({ errors: 1 }), ...minute({}).slice(1)]), /^1 error in the last minute/);
  assert.equal(said([second({ errors: 1 }), ...minute({})]), ""); // longer ago
  assert.match(said(minute({ lagging: 1 })), /^1 connection is catching up/);
  assert.match(said(minute({ dropped: 2 })), /^120 live messages dropped/);
  assert.match(said(minute({ p99Ms: 2500 })), /longer than 2.5 s/);
  assert.match(said(minute({ load: 0.95 })), /95 %/);
  assert.equal(troubles(minute({ lagging: 1, errors: 1 }))[0].tone, "critical");
});

test("figures are the same in pictures, in the table and in words", () => {
  const samples = [second({ connections: 4 }), second({ connections: 9 }), second({ connections: 6, p99Ms: 12 })];
  const lines = [{ key: "connections", label: "Connections" }, { key: "p99Ms", label: "p99" }];
  const data = columns(samples, lines);
  assert.deepEqual(data.slice(1), [[4, 9, 6], [null, null, 12]]);
  assert.equal(data[0][0], Date.parse(samples[0].at) / 1000);
  assert.equal(summary(lines, data), "Connections: latest 6, lowest 4, highest 9. p99: latest 12, lowest 12, highest 12.");
  assert.deepEqual(lonely([1, null, 2, 3, null, 4]), [0, 5]);
  assert.deepEqual(lonely([null, null]), []);
  assert.equal(summary(lines, [[]]), "Connections: no values yet. p99: no values yet.");
  assert.deepEqual(rows(samples)[0], { title: "Connections", label: "Connections", now: "6", least: "4", most: "9" });
});

test("the console has the colours of the demo page", () => {
  const colours = (path) => Object.fromEntries([...text(path).matchAll(/^ {2}(--[\w-]+): ([^;]+);/gm)].map(([, name, value]) => [name, value]));
  const [ours, theirs] = [colours("console/palette.css"), colours("demo/demo.css")];
  const own = ["--bar", "--critical-fill"];
  for (const [name, value] of Object.entries(ours)) if (!own.includes(name)) assert.equal(value, theirs[name], name);
});

test("no file of the console makes markup of text, or styles inline", () => {
  const files = readdirSync(new URL("../console/", import.meta.url), { recursive: true }).filter((name) => name.endsWith(".js"));
  assert.ok(files.length > 30);
  for (const name of files) {
    const code = text(`console/${name}`);
    assert.doesNotMatch(code, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|unsafeHTML|unsafeSVG|unsafeStatic/, name);
    assert.doesNotMatch(code, /\sstyle="|style-map|setAttribute\("style"/, name);
  }
});
