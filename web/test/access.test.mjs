// The demo page is for everybody: axe-core, layout, and pictures to look at.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { eventually, stage } from "./browser.mjs";
import { publish } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Something of everything. */
const EVENTS = [
  { recipient: "everyone", title: "Maintenance on Sunday", body: "The console is read-only from 02:00 to 04:00 UTC.", type: "maintenance", source: "ops/calendar" },
  { recipient: "user/ann", title: "Bob commented on your draft", body: "“I like the second paragraph. Could we say it in half the words?”", type: "comment.added", link: "/drafts/12" },
  { recipient: "role/sales", severity: "success", title: "Order 4127 has been shipped", body: "It arrives on Thursday between 9 and 12.", type: "order.shipped", data: { order: 4127, carrier: "DHL", parcels: 2 } },
  { recipient: "role/emitter", severity: "warning", title: "Disk of db-2 is 91 % full", body: "At this rate it is full in six hours.\n".repeat(6), type: "disk.filling", data: { host: "db-2", used: 0.91 } },
  { recipient: "user/ann", severity: "critical", title: "Payments are failing", body: "37 of the last 40 card payments were declined by the gateway.", type: "payment.failing", actions: [{ label: "Status page", link: "https://status.example.com" }] },
];

describe("demo page, for everybody", { timeout: 600_000 }, () => {
  const on = stage();

  async function somebody(options) {
    const one = await on.person({ reducedMotion: "reduce", ...options });
    return one.open();
  }

  /** No violation of WCAG 2.2 AA, and of what axe-core holds good beyond it. */
  async function accessible({ page }) {
    await page.evaluate(axe); // as an expression: the page lets no foreign script in
    const { violations } = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: "tag", values } }), RULES);
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html} ${any[0]?.message ?? ""}`).join("\n  ")}`), []);
  }

  for (const colorScheme of ["light", "dark"]) {
    test(`signing in, ${colorScheme}`, async () => {
      const ann = await somebody({ colorScheme });
      await ann.page.getByRole("button", { name: "Ann" }).waitFor();
      await accessible(ann);
      await ann.screenshot(`sign-in-${colorScheme}`);
    });

    test(`signed in, ${colorScheme}`, async () => {
      const ann = await somebody({ colorScheme });
      await ann.signIn("Ann");
      await accessible(ann); // before anything has come
      await (await ann.feed()).getByText("Nothing yet").waitFor();
      await ann.screenshot(`empty-${colorScheme}`);
      await ann.page.locator("#feed-close").click();

      await publish(on.server, on.root, EVENTS);
      await ann.has(EVENTS.length);
      await ann.page.locator(".toast").first().waitFor();
      await ann.page.locator("[data-metric=HeapBytes]:not([data-waiting])").waitFor();
      await accessible(ann);
      await ann.screenshot(`toasts-${colorScheme}`);

      const feed = await ann.feed();
      await ann.item("Order 4127 has been shipped").getByText("Data", { exact: true }).click();
      await feed.getByRole("button", { name: "Show all" }).click();
      await ann.item("Maintenance on Sunday").getByRole("button", { name: "Mark as read" }).click();
      await accessible(ann);
      await ann.page.locator("#feed-scroll").evaluate((e) => { e.scrollTop = 0; });
      await ann.page.mouse.move(0, 0);
      await ann.screenshot(`page-${colorScheme}`);

      await ann.emit({ title: "Stand-up", when: "3600", expires: "3600", collapse: "stand-up" });
      await ann.page.locator("#scheduled .row").waitFor();
      await ann.press("Order 4127 has been shipped", "Mute");
      await accessible(ann);
      await ann.screenshot(`mute-${colorScheme}`);
      await ann.page.getByRole("button", { name: "For ever" }).click();
      await ann.item("Order 4127 has been shipped").locator(".chip", { hasText: "Muted" }).waitFor();
      await accessible(ann);
      await ann.settings();
      await ann.page.locator("#quiet").getByLabel("No alerts at certain hours").check();
      await ann.page.locator("#quiet-zone").fill("Mars");
      await ann.page.locator("#quiet").getByRole("button", { name: "Save" }).click();
      await ann.page.getByText("Want a time zone").waitFor();
      await accessible(ann);
      await ann.screenshot(`settings-${colorScheme}`);
    });

    test(`in trouble, ${colorScheme}`, async () => {
      const ann = await somebody({ colorScheme });
      await ann.signIn("Ann");
      await ann.emit({ to: "Everyone", title: "" });
      await ann.page.getByText("Give it a title.").waitFor();
      await ann.emit({ to: "Everyone", title: "Attention" });
      await ann.page.getByText("You are not allowed").waitFor();
      await ann.page.getByRole("button", { name: "Drop my connection" }).click();
      await ann.state("Reconnecting");
      await accessible(ann);
      await ann.screenshot(`trouble-${colorScheme}`);
      const spoken = ann.page.locator("#state-spoken");
      await spoken.getByText("The connection was lost. Reconnecting").waitFor();
      assert.equal(await spoken.getAttribute("role"), "status");
    });
  }

  for (const [width, height] of [[360, 740], [390, 844], [768, 1024], [1024, 768], [1440, 900], [1920, 1080]]) {
    test(`nothing lies beyond a window of ${width} px`, async () => {
      const ann = await somebody({ viewport: { width, height } });
      await ann.signIn("Ann");
      await publish(on.server, on.root, EVENTS);
      await ann.has(EVENTS.length);
      await eventually(async () => assert.deepEqual(await beyond(ann.page), []));
      if (width === 390) await ann.screenshot("page-390");
      await ann.feed();
      await eventually(async () => assert.deepEqual(await beyond(ann.page), []));
      if (width === 390) await ann.screenshot("feed-390");
      await ann.press("Disk of db-2 is 91 % full", "Mute");
      await eventually(async () => assert.deepEqual(await beyond(ann.page), []));
      await ann.settings();
      await ann.page.locator("#quiet").getByLabel("No alerts at certain hours").check();
      await eventually(async () => assert.deepEqual(await beyond(ann.page), []));
      if (width === 390) await ann.screenshot("settings-390");
      await ann.page.locator("#feed-close").click();
      await ann.emit({ title: "T".repeat(200), when: "at", at: "2030-01-01T10:00", expires: "60", collapse: "k" });
      await ann.emit({ title: "T".repeat(200), when: "3600" });
      await ann.page.locator("#scheduled .row").waitFor();
      await eventually(async () => assert.deepEqual(await beyond(ann.page), []));
    });
  }

  test("at 200 % and with large text all can be reached", async () => {
    const ann = await somebody({ viewport: { width: 640, height: 512 } });
    await ann.signIn("Ann");
    await ann.page.evaluate(() => document.documentElement.style.setProperty("font-size", "200%"));
    await eventually(async () => assert.deepEqual(await beyond(ann.page), []));
  });
});

/** What sticks out of the window at the side, or out of its card. */
function beyond(page) {
  return page.evaluate(() => {
    const wide = [...document.querySelectorAll("body *")].filter((e) => {
      const box = e.getBoundingClientRect();
      if (!box.width || e.closest(".sr-only, .skip, .sprite, .chart, input[type=radio]")) return false;
      const card = e.closest(".card, .item, .toast")?.getBoundingClientRect();
      return box.right > window.innerWidth + 1 || box.left < -1 || (card && box.right > card.right + 1);
    });
    return wide.map((e) => `${e.tagName} ${e.id || e.className}: ${e.textContent.slice(0, 40)}`);
  });
}
