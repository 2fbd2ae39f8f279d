// The tree of spans and where their bars are, without a page.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ALL, exact, inSight, layout, MOST, moved, opening, reveal, ROW, rows } from "../console/parts/waterfall.js";

const AT = Date.parse("2026-11-24T22:40:48Z");
const iso = (ms) => new Date(AT + ms).toISOString();

/** A span that begins so many milliseconds after the trace. */
const span = (spanId, parentSpanId, start = 0, durationMs = 10, rest = {}) => ({
  spanId, name: spanId, service: "tidings", kind: "internal", start: iso(start), durationMs, ...(parentSpanId && { parentSpanId }), ...rest,
});

/** A trace as text: two spaces a level. */
const drawn = (spans) => rows(spans).rows.map(({ span: { spanId }, depth }) => "  ".repeat(depth) + spanId);

describe("the tree of a trace", () => {
  it("puts a parent before its children, and these in the order in which they began", () => {
    const spans = [span("c", "a", 5), span("b", "a", 2), span("d", "b", 3), span("a")];
    assert.deepEqual(drawn(spans), ["a", "  b", "    d", "  c"]);
  });

  it("says of each row which one it is among how many", () => {
    const list = rows([span("a"), span("b", "a", 1), span("c", "a", 2)]).rows;
    assert.deepEqual(list.map(({ nth, of }) => [nth, of]), [[1, 1], [1, 2], [2, 2]]);
  });

  it("makes a root of a span whose parent is missing, and keeps its id", () => {
    const list = rows([span("a"), span("b", "lost", 3), span("c", "b", 4)]).rows;
    assert.deepEqual(list.map((row) => [row.span.spanId, row.depth, row.missing]), [["a", 0, ""], ["b", 0, "lost"], ["c", 1, ""]]);
  });

  it("keeps a child below a parent that began later by another clock, and says by how much", () => {
    const list = rows([span("early", "late", 0), span("late", "", 40)]).rows;
    assert.deepEqual(list.map((row) => [row.span.spanId, row.depth, row.early]), [["late", 0, 0], ["early", 1, 40]]);
  });

  it("opens circles at their earliest span, and loses nothing", () => {
    const circle = [span("a", "c", 5), span("b", "a", 1), span("c", "b", 3), span("below", "c", 4)];
    assert.deepEqual(drawn(circle), ["b", "  c", "    below", "    a"]);
    assert.deepEqual(drawn([span("self", "self")]), ["self"]);
    assert.deepEqual(drawn([span("x", "y"), span("y", "x", 1), span("into", "y", 2)]).length, 3);
  });

  it("draws a span that came twice once", () => {
    assert.deepEqual(drawn([span("a"), span("a"), span("b", "a", 1)]), ["a", "  b"]);
  });

  it("has no rows without spans", () => {
    assert.deepEqual(rows([]), { rows: [], left: 0 });
    assert.deepEqual(layout([]), { begin: 0, length: 0, bars: [] });
    assert.equal(opening([]), 0);
  });
});

describe("the emitter", () => {
  const of = (service, kind = "internal") => ({ service, kind });
  const emitters = (spans) => rows(spans).rows.filter(({ emitter }) => emitter).map(({ span: { spanId } }) => spanId);

  it("is another service before ours, and its tree comes first", () => {
    const spans = [
      span("deliver", "lost", 0),
      span("checkout", "", 5, 90, of("shop")), span("send", "checkout", 10, 50, of("shop", "client")),
      span("POST", "send", 12, 40, of("tidings", "server")), span("publish", "POST", 13, 9, of("tidings", "producer")),
    ];
    assert.deepEqual(drawn(spans), ["checkout", "  send", "    POST", "      publish", "deliver"]);
    assert.deepEqual(emitters(spans), ["checkout", "send"]);
  });

  it("is where the event went into the log if it sends no spans", () => {
    const spans = [span("deliver", "lost", 0), span("POST", "", 1, 9, of("tidings", "server")), span("publish", "POST", 2, 5, of("tidings", "producer"))];
    assert.deepEqual(drawn(spans), ["POST", "  publish", "deliver"]);
    assert.deepEqual(emitters(spans), ["publish"]);
  });

  it("is no service that was told by ours", () => {
    assert.deepEqual(emitters([span("publish", "", 0, 5, of("tidings", "producer")), span("worker", "publish", 6, 5, of("billing"))]), ["publish"]);
  });

  it("is not this server under another name", () => {
    const spans = [span("shop", "", 0, 9, of("shop")), span("deliver", "shop", 1, 5, { service: "alerts-eu", attributes: { "notify.hub": "notifications" } })];
    assert.deepEqual(emitters(spans), ["shop"]);
  });

  it("is chosen when a trace is opened, unless another span was asked for", () => {
    const list = rows([span("POST"), span("publish", "POST", 1, 5, of("tidings", "producer")), span("deliver", "publish", 7)]).rows;
    assert.equal(opening(list), 1);
    assert.equal(opening(list, "deliver"), 2);
    assert.equal(opening(list, "gone"), 1);
  });
});

describe("the bars", () => {
  const bars = (spans, aligned) => layout(rows(spans).rows, aligned).bars;

  it("are in % of the whole", () => {
    assert.deepEqual(bars([span("a", "", 0, 200), span("b", "a", 50, 100)]), [{ left: 0, width: 100 }, { left: 25, width: 50 }]);
  });

  it("begin with what began first, whoever is whose parent", () => {
    assert.deepEqual(bars([span("late", "", 50, 50), span("early", "late", 0, 50)]), [{ left: 50, width: 50 }, { left: 0, width: 50 }]);
  });

  it("fill the whole if nothing took any time", () => {
    assert.deepEqual(bars([span("a", "", 0, 0)]), [{ left: 0, width: 100 }]);
  });

  it("keep microseconds", () => {
    assert.equal(exact("2026-11-24T22:40:48.123Z"), AT + 123);
    assert.ok(Math.abs(exact("2026-11-24T22:40:48.123456Z") - AT - 123.456) < 0.001);
    assert.equal(exact("2026-11-24T22:40:48Z"), AT);
    const precise = [{ ...span("a", "", 0, 0.1), start: "2026-11-24T22:40:48.0000Z" }, { ...span("b", "a", 0, 0.05), start: "2026-11-24T22:40:48.00005Z" }];
    assert.ok(Math.abs(bars(precise)[1].left - 50) < 1, "in the middle");
  });

  it("of a service whose clock is behind move together when clocks are aligned", () => {
    const ours = { service: "tidings" };
    const spans = [span("shop", "", 1000, 100, { service: "shop" }), span("POST", "shop", 0, 50, ours), span("publish", "POST", 10, 20, ours)];
    assert.deepEqual(bars(spans, true), [{ left: 0, width: 100 }, { left: 0, width: 50 }, { left: 10, width: 20 }]);
    assert.ok(bars(spans)[0].left > 90, "as the clocks say");
  });
});

describe("many spans", () => {
  it("2,000 in a chain, the worst there is, are fast", () => {
    const chain = Array.from({ length: 2000 }, (_, i) => span(`s${i}`, i ? `s${i - 1}` : "", i, 2000));
    const began = performance.now();
    const { rows: list } = rows(chain.toReversed());
    const { bars } = layout(list, true);
    const took = performance.now() - began;
    assert.equal(list.at(-1).depth, 1999);
    assert.equal(bars.length, 2000);
    assert.ok(took < 250, `${took} ms`);
  });

  it("beyond 2,000 the earliest are drawn, and the rest is counted", () => {
    const { rows: list, left } = rows(Array.from({ length: MOST + 5 }, (_, i) => span(`s${i}`, "", i)));
    assert.equal(list.length, MOST);
    assert.equal(left, 5);
  });

  it("up to 200 rows are all drawn, beyond only those in sight", () => {
    assert.deepEqual(inSight({ count: ALL, top: 0, height: 100 }), { from: 0, to: ALL });
    const { from, to } = inSight({ count: 2000, top: 1000 * ROW, height: 20 * ROW });
    assert.ok(from < 1000 && to > 1020 && to - from < 60, `${from} to ${to}`);
    assert.deepEqual(inSight({ count: 2000, top: 0, height: 0 }).from, 0);
    assert.equal(inSight({ count: 2000, top: 1990 * ROW, height: 20 * ROW }).to, 2000);
  });

  it("a row is scrolled to no further than it must be", () => {
    assert.equal(reveal({ index: 5, top: 0, height: 10 * ROW }), 0);
    assert.equal(reveal({ index: 5, top: 6 * ROW, height: 10 * ROW }), 5 * ROW);
    assert.equal(reveal({ index: 20, top: 0, height: 10 * ROW }), 11 * ROW);
  });

  it("keys move among them", () => {
    const of = (key, active) => moved(key, { active, count: 30, page: 10 });
    assert.deepEqual([of("ArrowDown", 0), of("ArrowUp", 0), of("End", 3), of("Home", 3), of("PageDown", 25), of("a", 3)], [1, 0, 29, 0, 29, -1]);
    assert.equal(moved("ArrowDown", { active: 0, count: 0 }), -1);
  });
});
