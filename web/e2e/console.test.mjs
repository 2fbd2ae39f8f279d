// From an alert to its emitter in two clicks: with nothing but the program, and
// with a collector between.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../test/browser.mjs";
import { office } from "../test/operator.mjs";
import { emitTraced } from "../test/otlp.mjs";
import { startServer, token } from "../test/server.mjs";
import { free, startCollector } from "./collector.mjs";

const PUBLISH = "publish tidings.log.notifications.user.{key}";
const DELIVER = "deliver order.shipped";

describe("two clicks", { timeout: 120_000 }, () => {
  const on = office(null);

  /**
   * An emitter emits; Ann has the alert before her, and two clicks later an
   * operator has the emitter's span. Returns that span.
   */
  async function reached(server, endpoint) {
    const one = await on.person({ at: server });
    let clicks = 0;
    await one.context.exposeBinding("clicked", () => { clicks++; });
    await one.context.addInitScript(() => document.addEventListener("click", (e) => e.isTrusted && window.clicked(), true));
    const ann = await (await one.open()).signIn("Ann");
    await ann.feed();

    const shop = token(server.data, "shop", ["emitter"]);
    const emitted = await emitTraced(server, endpoint, shop, { id: "e1", recipient: "user/ann", title: "Order 4127 has been shipped", type: "order.shipped" }, {
      service: "shop", name: "ship order", attributes: { "shop.order": 4127, "shop.carrier": "DHL" },
    });
    const alert = ann.item("Order 4127 has been shipped");
    await alert.waitFor();
    await eventually(async () => { // an operator comes when it has happened
      const kept = await (await fetch(`http://${server.ops}/v1/traces/${emitted.traceId}`)).json();
      for (const name of ["ship order", PUBLISH, DELIVER]) assert.ok(kept.some?.((span) => span.name === name), name);
    });

    clicks = 0;
    const opened = one.context.waitForEvent("page");
    await alert.getByRole("link", { name: "Trace: Order 4127 has been shipped" }).click();
    const page = await opened;
    const emitter = page.getByRole("treeitem", { name: /^ship order, shop, emitter, / });
    await emitter.click();
    await page.getByRole("heading", { name: "ship order", level: 2 }).waitFor();
    const details = page.locator(".details");
    for (const [name, value] of [["Service", "shop"], ["Kind", "producer"], ["shop.order", "4127"], ["shop.carrier", "DHL"]]) {
      const fact = details.locator("dl > div", { has: page.getByText(name, { exact: true }) });
      assert.match(await fact.locator("dd").textContent(), new RegExp(`^${value}\\b`), name);
    }
    await eventually(() => assert.equal(clicks, 2, "one on the alert, one on the span"));

    assert.equal(new URL(page.url()).host, server.ops);
    assert.match(page.url(), new RegExp(`#/trace/${emitted.traceId}`));
    const levels = await page.getByRole("treeitem").evaluateAll((rows) => rows.map((row) => [row.getAttribute("aria-label").split(", ")[0], row.ariaLevel]));
    assert.deepEqual(levels, [["ship order", "1"], ["POST /v1/notifications", "2"], [PUBLISH, "3"], [DELIVER, "4"]]);
    await on.leave();
    return emitted;
  }

  test("with nothing but the program", async () => {
    const server = await startServer();
    try {
      await reached(server, `http://${server.ops}`);
    } finally {
      await server.stop();
    }
  });

  test("with a collector, which knows the same trace", { skip: process.env.TIDINGS_NO_COLLECTOR === "1" && "TIDINGS_NO_COLLECTOR is set" }, async () => {
    const ops = await free();
    const collector = await startCollector({ ops });
    const server = await startServer({
      ops, env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_TRACES_SAMPLER: "always_on", OTEL_BSP_SCHEDULE_DELAY: "50", OTEL_METRIC_EXPORT_INTERVAL: "500" },
    });
    try {
      const { traceId, spanId } = await reached(server, collector.endpoint);
      await eventually(() => {
        const names = new Map(collector.spans().filter((span) => span.traceId === traceId).map((span) => [span.name, span]));
        assert.deepEqual([...names].map(([name, { service }]) => `${service}: ${name}`).sort(), [
          "shop: ship order", `tidings: ${DELIVER}`, "tidings: POST /v1/notifications", `tidings: ${PUBLISH}`,
        ].sort());
        assert.equal(names.get("ship order").spanId, spanId);
        assert.equal(names.get(DELIVER).parentSpanId, names.get(PUBLISH).spanId);
      });
      await eventually(() => assert.ok(collector.metrics().some((name) => name.startsWith("notify.")), "metrics come, too"));
      await eventually(() => assert.deepEqual([...new Set(collector.passedOn().map(({ service }) => service))], ["shop"], "a node is not sent its own spans"));
    } finally {
      await server.stop();
      await collector.stop();
    }
  });
});
