// Every page of the console, with something on it: for everybody (axe-core), in
// light and dark, in a narrow window, with the keyboard, and as pictures to look
// at.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { HttpTransportType } from "@microsoft/signalr";
import { cleanUp, connect, hears, live, natsPublish, until } from "../e2e/client.mjs";
import { eventually } from "./browser.mjs";
import { COLOURS, office, REST } from "./operator.mjs";
import { emitTraced, exportSpans, span } from "./otlp.mjs";
import { publish, token } from "./server.mjs";

const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 390, height: 844 };

/** A path of each page, and something that it must say. */
const PAGES = {
  connections: () => ["connections", "laptop"],
  connection: ({ connection }) => [`connection/${connection}`, "WebSockets"],
  users: () => ["users", "Traced users"],
  user: () => ["user/ann?explain=disk", "Why did ann (not) get it?"],
  groups: () => ["groups", "deploys"],
  group: () => ["group/group/deploys", "Its events"],
  log: () => ["log", "Payments are failing"],
  event: ({ order }) => [`event/${order.receipt.position}`, "order.shipped"],
  traces: () => ["traces", "ship order"],
  trace: ({ order }) => [`trace/${order.traceId}`, "ship order"],
  rejected: () => ["rejected", "title: want a string"],
  reject: ({ seq }) => [`rejected/${seq}`, "Put it right"],
  nodes: () => ["nodes", "this one"],
  logs: () => ["logs", "event rejected"],
  audit: () => ["audit", "via console"],
  overview: () => ["overview", "Delivered within"],
};

describe("the pages of the console", { timeout: 240_000 }, () => {
  const on = office();
  const world = {};
  let desk;
  after(cleanUp);

  before(async () => {
    const bearer = (user, ...roles) => token(on.server.data, user, roles);
    const endpoint = `http://${on.server.ops}`;
    const comes = async (user, roles, query, options) => {
      const client = await connect(on.server.url, bearer(user, ...roles), { query, ...options });
      await live(client);
      return client;
    };
    const laptop = await comes("ann", ["sales"], "device=laptop", { acks: true });
    await comes("ann", ["sales"], "device=phone", { transport: HttpTransportType.ServerSentEvents });
    const bob = await comes("bob", ["ops"], "device=bob-at-home", { transport: HttpTransportType.LongPolling });
    const cleo = await comes("cleo.costa-with-a-long-name@subsidiary.example.com", ["ops", "sales", "editors", "night-shift"], "");
    for (const client of [bob, cleo, laptop]) await client.connection.invoke("JoinGroup", "deploys");
    for (let i = 1; i <= 12; i++) await cleo.connection.invoke("JoinGroup", `project-${i}`);
    await laptop.connection.invoke("Mute", { type: "disk.*" });
    await laptop.connection.invoke("Nonsense").catch(() => {});

    const order = await emitTraced(on.server, endpoint, bearer("shop", "emitter"), {
      recipient: "user/ann", severity: "success", title: "Order 4127 has been shipped", body: "It arrives on Thursday between 9 and 12.", type: "order.shipped", source: "/shop/orders",
      link: "https://shop.example/orders/4127", actions: [{ label: "Track the parcel", link: "https://dhl.example/4127" }], data: { order: 4127, carrier: "DHL", parcels: 2 },
    }, { service: "shop", name: "ship order", attributes: { "shop.order": 4127, "shop.carrier": "DHL" } });
    const charge = span({ name: "charge card", kind: "server", start: Date.now() - 1240, failed: "the gateway declined it", attributes: { "card.network": "visa" } });
    await exportSpans(endpoint, "payments", [charge, span({ name: "POST /v2/charges", kind: "client", traceId: charge.traceId, parentSpanId: charge.spanId, start: charge.start + 30, failed: "402" })]);
    const [maintenance, , , disk] = await publish(on.server, on.root, [
      { recipient: "everyone", title: "Maintenance on Sunday", body: "The console is read-only from 02:00 to 04:00 UTC.", type: "maintenance", id: "maintenance" },
      { recipient: "role/sales", title: "Now", type: "stand-up", ttl: 1 },
      { recipient: "group/deploys", title: "api v412 is out", type: "deploy.done", source: "ci/main" },
      { recipient: "user/ann", severity: "warning", title: "Disk of db-2 is 91 % full", body: "At this rate it is full in six hours.\n".repeat(6), type: "disk.filling", id: "disk" },
      { recipient: "group/project-7", severity: "critical", title: "Payments are failing", body: "37 of the last 40 card payments were declined.", type: "payment.failing" },
    ]);
    await hears(laptop, maintenance.position);
    await fetch(`${on.server.url}/v1/notifications/maintenance`, { method: "DELETE", headers: { Authorization: `Bearer ${on.root}` } });
    await publish(on.server, bearer("mallory"), { recipient: "everyone", title: "Buy now" }).catch(() => {}); // is refused
    await natsPublish(on.server.nats, "tidings.log.notifications.user.ann", '{"id": "o-1", "title": 5, "data": {"order": 1}}', { "Nats-Msg-Id": "o-1", "X-From": "legacy-erp" });
    await natsPublish(on.server.nats, "tidings.log.notifications.role.sales", '{"title": "cut o');
    await until("muted", async () => {
      const { events } = await (await fetch(`${on.server.url}/v1/explain?user=ann&id=${disk.id}`, { headers: { Authorization: `Bearer ${on.root}` } })).json();
      return events[0].connections?.length === 2;
    });

    desk = await on.operator("connections?user=bob", { colorScheme: "light", stays: true });
    await desk.signIn(/Root/);
    await desk.act(/^Close/, "Close it", { Why: "does not answer, ticket 4711" });
    await desk.says("was closed");
    await desk.open("user/ann");
    await desk.act("Trace…", "Trace", { Why: "says that alerts come late, ticket 4712" });
    await desk.says("is traced until");
    await desk.open("rejected");
    await eventually(async () => {
      await desk.button("Refresh").click();
      assert.equal(await desk.page.locator("tbody tr").count(), 2);
    });
    await desk.page.locator("tbody a").last().click();
    await desk.page.getByLabel("Put it right").waitFor();
    await desk.page.locator("#bar").getByRole("button", { name: "Sign out" }).click();
    Object.assign(world, { order, connection: laptop.ids[0], seq: /\d+$/.exec(desk.page.url())[0] });
  });

  /** Opens one of the pages and waits for what it must say. */
  async function at(name) {
    const [path, text] = PAGES[name](world);
    await desk.open(path);
    await desk.page.locator("#page").getByText(text).first().waitFor();
    if (name === "overview") await desk.page.locator("canvas").first().waitFor();
  }

  for (const name of Object.keys(PAGES)) {
    test(`${name}: for everybody, by day and night, in a narrow window`, async () => {
      await desk.page.setViewportSize(WIDE);
      await desk.page.emulateMedia({ colorScheme: "light" });
      await at(name);
      await desk.accessible(`${name}, light`);
      await desk.picture(`${name}-light`, { fullPage: true });
      await desk.page.emulateMedia({ colorScheme: "dark" });
      await desk.accessible(`${name}, dark`, COLOURS);
      await desk.picture(`${name}-dark`, { fullPage: true });
      await desk.page.emulateMedia({ colorScheme: "light" });
      await desk.page.setViewportSize(NARROW);
      await eventually(async () => assert.ok(await desk.beyond() <= 0, `${name} is ${await desk.beyond()} px too wide`));
      await desk.accessible(`${name}, narrow`, REST);
      await desk.picture(`${name}-narrow`, { fullPage: true });
    });
  }

  for (const name of ["connections", "user", "log", "trace", "reject"]) {
    test(`${name}: the keyboard reaches whatever can be operated`, async () => {
      await desk.page.setViewportSize(WIDE);
      const { page } = desk;
      await at(name);
      if (name === "log") await page.getByRole("button", { name: "Pause" }).click(); // so that it stays as it is
      const expected = await page.evaluate(() => {
        window.wanted = [];
        window.reached = new Set();
        const look = (root) => {
          for (const e of root.querySelectorAll("*")) {
            if (e.matches("a[href], button:enabled, input:enabled, select:enabled, textarea:enabled, summary, [tabindex='0']") && e.checkVisibility()) window.wanted.push(e);
            if (e.shadowRoot) look(e.shadowRoot);
          }
        };
        look(document.body);
        return window.wanted.length;
      });
      assert.ok(expected > 15, `${expected}`);
      for (let i = 0; i < expected + 5; i++) {
        await page.keyboard.press("Tab");
        await page.evaluate(() => {
          let at = document.activeElement;
          while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
          window.reached.add(at);
        });
      }
      const missed = await page.evaluate(() => window.wanted.filter((e) => !window.reached.has(e)).map((e) => e.outerHTML.slice(0, 120)));
      assert.deepEqual(missed, []);
    });
  }

  test("the keyboard opens rows, moves in a trace, and closes dialogs", async () => {
    const { page } = desk;
    await at("connections");
    const close = desk.button(/^Close/).first();
    await close.focus();
    await page.keyboard.press("Enter");
    await desk.dialog().waitFor();
    await page.keyboard.press("Escape");
    await desk.dialog().waitFor({ state: "detached" });
    assert.ok(await close.evaluate((e) => e.getRootNode().activeElement === e), "the focus is where it was");
    await page.locator("#bar").getByRole("button", { name: "Sign in" }).press("Enter");
    await desk.dialog().waitFor();
    await page.keyboard.press("Escape");
    await desk.dialog().waitFor({ state: "detached" });

    await page.locator("tbody").getByRole("link", { name: "ann", exact: true }).first().press("Enter");
    await eventually(async () => assert.equal(await desk.heading().textContent(), "ann"));
    assert.equal(await page.evaluate(() => document.activeElement.id), "main", "another page has the focus");
    await page.goBack();
    await eventually(async () => assert.equal(await desk.heading().textContent(), "Connections"));

    await desk.open(PAGES.trace(world)[0]);
    const tree = page.getByRole("tree");
    await tree.focus();
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    const chosen = page.getByRole("heading", { level: 2, name: "deliver order.shipped" });
    await chosen.waitFor();
    await eventually(async () => assert.ok(await chosen.evaluate((e) => e.getRootNode().activeElement === e), "its details have the focus"));
    await page.keyboard.press("Escape");
    await eventually(async () => assert.ok(await tree.evaluate((e) => e.getRootNode().activeElement === e), "and the tree again"));
  });
});
