// The inbox of the demo page is that of the server: what somebody does in one
// tab shows in all of them, and after a reload.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, stage } from "./browser.mjs";
import { publish } from "./server.mjs";

describe("inbox", { timeout: 600_000 }, () => {
  const on = stage();
  const { comes, twice, send, sendAll } = on;

  test("two tabs stay in step: read, unread, archived, all read", async () => {
    const [here, there] = await twice("Cleo");
    await sendAll("user/cleo", ["one", "two", "three"]);
    for (const tab of [here, there]) await tab.shows("• three", "• two", "• one");
    await here.feed();

    await here.press("two", "Mark as read");
    for (const tab of [here, there]) {
      await tab.shows("• three", "two", "• one");
      await tab.bell("2 unread");
    }
    await there.feed();
    await there.press("two", "Mark as unread");
    for (const tab of [here, there]) await tab.shows("• three", "• two", "• one");

    await here.press("three", "Archive");
    for (const tab of [here, there]) {
      await tab.shows("• two", "• one");
      await tab.bell("2 unread");
    }
    await there.view("Archived");
    await there.shows("three");
    await there.press("three", "Take out of the archive");
    await here.shows("• three", "• two", "• one");
    await there.page.getByText("The archive is empty").waitFor();

    await here.page.getByRole("button", { name: "Mark all as read" }).click();
    for (const tab of [here, there]) await tab.bell("all read");
    await here.shows("three", "two", "one");
    await there.view("Read");
    await there.shows("three", "two", "one");
  });

  test("what was done while a tab was away shows when it is back", async () => {
    const [here, there] = await twice("Cleo");
    await sendAll("user/cleo", ["one", "two"]);
    for (const tab of [here, there]) await tab.shows("• two", "• one");
    await there.page.getByRole("button", { name: "Drop my connection" }).click();
    await there.state("Reconnecting");
    await there.feed();
    await there.press("two", "Mark as read");
    await there.page.locator("#feed-problem", { hasText: "You are offline" }).waitFor();
    await here.feed();
    await here.press("one", "Mark as read");
    await here.press("two", "Archive");
    await send("user/cleo", "three");
    await here.shows("• three", "one");
    await there.state("Live");
    await there.shows("• three", "one");
    await there.bell("1 unread");
  });

  test("the bell tells what is new until somebody has looked, in every tab, and after a reload", async () => {
    const [here, there] = await twice("Cleo");
    await sendAll("user/cleo", ["one", "two"]);
    for (const tab of [here, there]) {
      await tab.bell("2 unread", "2 new");
      await tab.page.locator("#bell-dot").waitFor();
    }
    await there.page.reload();
    await there.bell("2 unread", "2 new");

    await here.feed();
    for (const tab of [here, there]) {
      await tab.bell("2 unread", "");
      await tab.page.locator("#bell-dot").waitFor({ state: "hidden" });
    }
    await here.press("one", "Mark as read");
    for (const tab of [here, there]) await tab.bell("1 unread");
    await there.page.reload();
    await there.bell("1 unread");
    assert.equal(await there.page.title(), "(1) Tidings");
    await there.bell("1 unread", "");

    await send("user/cleo", "three");
    await there.shows("• three", "• two", "one");
    await here.page.bringToFront(); // of two tabs one is looked at
    await there.bell("2 unread", "");
  });

  test("filters by state, severity and type, also for what comes", async () => {
    const cleo = await comes("Cleo");
    await publish(on.server, on.root, [
      { recipient: "user/cleo", title: "a", type: "order.shipped" },
      { recipient: "user/cleo", title: "b", type: "order.lost", severity: "critical" },
      { recipient: "role/sales", title: "c", type: "disk.full", severity: "warning" },
    ]);
    await cleo.shows("• c", "• b", "• a");
    await cleo.feed();
    const type = cleo.page.getByLabel("Type begins with");
    const severity = cleo.page.getByLabel("Severity", { exact: true }).and(cleo.page.locator("select"));

    await type.fill("order");
    await cleo.shows("• b", "• a");
    await severity.selectOption("Critical");
    await cleo.shows("• b");
    await publish(on.server, on.root, [
      { recipient: "user/cleo", title: "d", type: "order.late" },
      { recipient: "user/cleo", title: "e", type: "disk.gone", severity: "critical" },
      { recipient: "user/cleo", title: "f", type: "order.gone", severity: "critical" },
    ]);
    await cleo.shows("• f", "• b");
    await type.fill("nothing.*");
    await cleo.page.getByText("Nothing of that kind").waitFor();
    await type.fill("");
    await cleo.shows("• f", "• e", "• b");
    await severity.selectOption("Any severity");

    await cleo.view("Unread");
    await cleo.shows("• f", "• e", "• d", "• c", "• b", "• a");
    await cleo.press("e", "Mark as read");
    await cleo.shows("• f", "• d", "• c", "• b", "• a");
    await cleo.view("Read");
    await cleo.shows("e");
    await cleo.press("e", "Archive");
    await cleo.page.getByText("Nothing read").waitFor();
    await cleo.view("Everything");
    await cleo.shows("• f", "e", "• d", "• c", "• b", "• a");
    await cleo.view("Inbox");
    await cleo.shows("• f", "• d", "• c", "• b", "• a");
  });

  test("120 notifications come page by page, and are read with one call", async () => {
    await publish(on.server, on.root, Array.from({ length: 120 }, (_, i) => ({ recipient: "user/cleo", title: `n${i}` })));
    const [cleo, other] = await twice("Cleo");
    await cleo.bell("120 unread");
    await cleo.has(50);
    await cleo.feed();
    const more = cleo.page.getByRole("button", { name: "Load more" });
    await more.scrollIntoViewIfNeeded();
    await cleo.has(100);
    await cleo.press("n60", "Archive"); // of the second page
    await cleo.has(99);
    await more.scrollIntoViewIfNeeded();
    const titles = await cleo.has(119);
    assert.deepEqual(titles, Array.from({ length: 120 }, (_, i) => `n${119 - i}`).filter((title) => title !== "n60"));
    await more.waitFor({ state: "hidden" });

    const calls = [];
    await cleo.page.exposeBinding("called", (_, text) => calls.push(text));
    await cleo.page.evaluate(() => {
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = function sent(data) {
        window.called(String(data));
        return send.call(this, data);
      };
    });
    await cleo.page.getByRole("button", { name: "Mark all as read" }).click();
    for (const tab of [cleo, other]) await tab.bell("all read");
    assert.equal(await cleo.page.locator(".item[data-unread]").count(), 0);
    await eventually(() => assert.equal(calls.filter((text) => text.includes("MarkAllRead")).length, 1));
    assert.equal(calls.filter((text) => text.includes('"Inbox"')).length, 0, "nothing was loaded again");
  });

  test("by keyboard: the focus stays in the list, Escape closes one thing at a time", async () => {
    const cleo = await comes("Cleo");
    await sendAll("user/cleo", ["one", "two", "three"]);
    await cleo.shows("• three", "• two", "• one");
    await cleo.feed();
    const { page } = cleo;
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent);
    await cleo.item("two").getByRole("button", { name: /^Archive/ }).focus();
    await page.keyboard.press("Enter");
    await cleo.shows("• three", "• one");
    await eventually(async () => assert.equal(await focused(), "Archive: one"));

    await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(), "Mute: one");
    await page.keyboard.press("Enter");
    await eventually(async () => assert.equal(await focused(), "For 1 hour"));
    await page.keyboard.press("Escape");
    assert.equal(await focused(), "Mute: one");
    assert.equal(await page.locator(".mute-menu").count(), 0);

    await page.getByRole("button", { name: "Mutes and quiet hours" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "What raises no alert");
    await page.keyboard.press("Escape");
    assert.equal(await focused(), "Mutes and quiet hours");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("#feed").isVisible(), false);
    assert.equal(await focused(), "Notifications, 2 unread");
  });
});
