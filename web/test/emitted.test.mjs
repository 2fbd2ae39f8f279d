// What somebody emits on the demo page may wait, expire, be replaced, and be taken
// back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stage } from "./browser.mjs";
import { publish, token } from "./server.mjs";

describe("what was emitted", { timeout: 600_000 }, () => {
  const on = stage();
  const { comes, twice, send } = on;

  test("what is scheduled is listed, can be canceled, and arrives when it is due", async () => {
    const cleo = await comes("Cleo");
    const { page } = cleo;
    const rows = page.locator("#scheduled .row");
    await cleo.emit({ title: "in an hour", when: "3600" });
    await page.locator("#emit-answer", { hasText: /^Scheduled for / }).waitFor();
    await rows.getByText(/To cleo, in (1 hr|\d+ min)\./).waitFor();
    await cleo.emit({ title: "in a minute", when: "60" });
    await rows.nth(1).waitFor();
    assert.deepEqual(await rows.locator(".scheduled-title").allTextContents(), ["in a minute", "in an hour"], "the next first");

    await page.reload();
    await cleo.state("Live");
    for (const title of ["in an hour", "in a minute"]) {
      await rows.getByRole("button", { name: `Cancel: ${title}` }).click();
      await page.locator("#emit-answer", { hasText: `Canceled: ${title}` }).waitFor();
    }
    await page.locator("#scheduled").waitFor({ state: "hidden" });

    const soon = new Date(Date.now() + 3000);
    const local = new Date(soon.getTime() - soon.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    await cleo.emit({ title: "soon", when: "at", at: local });
    await cleo.shows("• soon");
    await cleo.toasted("soon");
    await page.locator("#scheduled").waitFor({ state: "hidden" });
  });

  test("the server says what is wrong with the time of an event", async () => {
    const cleo = await comes("Cleo");
    await cleo.emit({ title: "late", when: "at", at: "2020-01-01T10:00:00" });
    await cleo.page.locator("#at-problem", { hasText: "Has passed already" }).waitFor();
    assert.equal(await cleo.page.evaluate(() => document.activeElement.id), "at");
    await cleo.emit({ title: "when?", at: "" });
    await cleo.page.locator("#at-problem", { hasText: "Say on which day" }).waitFor();
    await cleo.emit({ title: "next year", at: `${new Date().getFullYear() + 3}-01-01T10:00:00` });
    await cleo.page.locator("#at-problem", { hasText: "Is more than a year ahead" }).waitFor();
    assert.equal(await cleo.page.locator("#scheduled").isVisible(), false);
  });

  test("what expires goes away, what is collapsed is replaced, in every tab", async () => {
    const [here, there] = await twice("Cleo");
    await here.emit({ title: "first", collapse: "k" });
    await there.shows("• first");
    await here.emit({ title: "second", collapse: "k" });
    for (const tab of [here, there]) await tab.shows("• second");
    await here.emit({ title: "short-lived", collapse: "", expires: "10" });
    await Promise.all([here, there].map((tab) => tab.shows("• short-lived", "• second")));
    for (const tab of [here, there]) {
      await tab.shows("• second");
      await tab.bell("1 unread");
    }
  });

  test("whoever has emitted something takes it back, in all tabs, toasts and all", async () => {
    const [here, there] = await twice("Cleo");
    await send("user/cleo", "of somebody else");
    await here.emit({ title: "a mistake", severity: "Critical" });
    for (const tab of [here, there]) {
      await tab.shows("• a mistake", "• of somebody else");
      await tab.toast("a mistake").waitFor();
    }
    await there.page.locator("#badge", { hasText: "2" }).waitFor();
    await here.page.keyboard.press("Escape");
    await here.feed();
    assert.equal(await here.item("of somebody else").getByRole("button", { name: /^Recall/ }).count(), 0);
    assert.equal(await there.item("a mistake").locator(".item-recall").isVisible(), false, "it was not emitted in that tab");
    await here.press("a mistake", "Recall");
    for (const tab of [here, there]) {
      await tab.shows("• of somebody else");
      await tab.bell("1 unread");
      await tab.toast("a mistake").waitFor({ state: "detached" });
    }
    await there.page.reload();
    await there.shows("• of somebody else");
  });

  test("an admin takes back what others have emitted", async () => {
    const root = await comes("Ruth");
    const ann = await comes("Ann");
    await publish(on.server, token(on.server.data, "shop", ["emitter"]), { recipient: "role/ops", title: "wrong" });
    await publish(on.server, on.root, { recipient: "everyone", title: "for all" });
    await root.shows("• for all", "• wrong");
    await ann.shows("• for all");
    await root.feed();
    await root.press("for all", "Recall");
    await root.shows("• wrong");
    await ann.shows();
    await ann.bell("all read");
  });
});
