// What raises no alert: mutes and quiet hours, as people set them on the demo page.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, stage } from "./browser.mjs";

describe("alerts", { timeout: 600_000 }, () => {
  const on = stage();
  const { comes, twice, send } = on;

  test("a muted type raises no alert, and is in the inbox with a flag; what is critical comes through", async () => {
    const [here, there] = await twice("Cleo");
    await send("user/cleo", "loud", { type: "order.shipped" });
    await here.shows("• loud");
    await here.feed();
    await here.press("loud", "Mute");
    await here.page.getByRole("button", { name: "For 1 hour" }).click();
    await here.page.locator("#feed-said", { hasText: /^Muted until .*: order\.shipped\.$/ }).waitFor();
    await here.page.locator("#feed-close").click();

    await send("user/cleo", "silent", { type: "order.shipped" });
    await send("user/cleo", "urgent", { type: "order.shipped", severity: "critical" });
    await send("user/cleo", "other", { type: "order.lost" });
    for (const tab of [here, there]) {
      await tab.shows("• other", "• urgent", "• silent", "• loud");
      const titles = await tab.toasted("urgent", "other");
      assert.ok(!titles.includes("silent"), String(titles));
      const flags = (title) => tab.item(title).locator(".chip", { hasText: "Muted" }).count();
      assert.deepEqual([await flags("silent"), await flags("urgent"), await flags("other")], [1, 0, 0]);
      await tab.bell("4 unread");
    }

    await there.settings();
    await there.page.locator("#mutes .row", { hasText: "order.shipped" }).waitFor();
    await there.page.getByRole("button", { name: "Unmute order.shipped" }).click();
    await there.page.getByText("Nothing is muted.").waitFor();
    await send("user/cleo", "loud again", { type: "order.shipped" });
    await here.toasted("loud again");
  });

  test("a group is muted from an item, for ever, and unmuted there", async () => {
    const cleo = await comes("Cleo");
    const added = await fetch(`${on.server.url}/v1/groups/ops/members/cleo`, { method: "PUT", headers: { Authorization: `Bearer ${on.root}` } });
    assert.ok(added.ok, String(added.status));
    await send("group/ops", "to the group");
    await cleo.shows("• to the group");
    assert.deepEqual(await cleo.item("to the group").locator(".chip").allTextContents(), ["Group ops"]);
    await cleo.feed();
    const mute = cleo.item("to the group").getByRole("button", { name: /^Mute: / });
    await mute.click();
    assert.equal(await mute.getAttribute("aria-expanded"), "true");
    await cleo.page.getByRole("group", { name: "This group, ops" }).getByRole("button", { name: "For ever" }).click();
    await cleo.item("to the group").locator(".chip", { hasText: "Muted" }).waitFor();
    assert.equal(await mute.getAttribute("aria-expanded"), "false");

    await mute.click();
    await cleo.page.getByRole("group", { name: "Muted: the group ops, for ever" }).getByRole("button", { name: "Unmute" }).click();
    await cleo.item("to the group").locator(".chip", { hasText: "Muted" }).waitFor({ state: "detached" });
  });

  test("mutes are added in the settings; the server says what is wrong with one", async () => {
    const cleo = await comes("Cleo");
    await cleo.settings();
    const form = cleo.page.locator("#mutes-form");
    const problem = cleo.page.locator("#mute-name-problem");
    await form.getByRole("button", { name: "Mute" }).click();
    await problem.getByText("Say which type.").waitFor();
    await form.getByLabel("Its name").fill("or*er");
    await form.getByRole("button", { name: "Mute" }).click();
    await problem.getByText("Wants a type, the beginning of types").waitFor();
    assert.equal(await form.getByLabel("Its name").getAttribute("aria-invalid"), "true");
    await form.getByLabel("Its name").fill("order.*");
    await form.getByLabel("For how long").selectOption("For ever");
    await form.getByRole("button", { name: "Mute" }).click();
    await cleo.page.locator("#mutes .row", { hasText: "order.* for ever" }).waitFor();
    assert.equal(await problem.textContent(), "");
  });

  test("quiet hours: the zone of the browser, errors beside their fields, the same on all devices", async () => {
    const [here, there] = await twice("Cleo", { timezoneId: "Europe/Berlin" });
    for (const tab of [here, there]) {
      await tab.settings();
    }
    const form = here.page.locator("#quiet");
    await form.getByLabel("No alerts at certain hours").check();
    assert.equal(await form.getByLabel("Time zone").inputValue(), "Europe/Berlin");
    const save = form.getByRole("button", { name: "Save" });
    const problem = (name) => here.page.locator(`#quiet-${name}-problem`);

    await form.getByLabel("Time zone").fill("Mars/Olympus");
    await save.click();
    await problem("zone").getByText('Want a time zone such as "Europe/Berlin", got "Mars/Olympus".').waitFor();
    assert.equal(await here.page.evaluate(() => document.activeElement.id), "quiet-zone");
    await form.getByLabel("Time zone").fill("Europe/Paris");
    await form.getByLabel("To", { exact: true }).fill("22:00");
    await save.click();
    await problem("to").getByText("Is the same time as from.").waitFor();
    assert.equal(await problem("zone").textContent(), "");
    await form.getByLabel("From").fill("");
    await save.click();
    await problem("from").getByText("Want a time of the clock").waitFor();
    await form.getByLabel("From").fill("21:30");
    for (const day of ["Sat", "Sun"]) await form.getByLabel(day).uncheck({ force: true });
    await save.click();
    await form.getByText("Saved. It is quiet from 21:30 to 22:00.").waitFor();

    const other = there.page.locator("#quiet");
    await eventually(async () => assert.equal(await other.locator("[name=on]").isChecked(), true));
    const values = await Promise.all(["From", "To", "Time zone"].map((name) => other.getByLabel(name, { exact: true }).inputValue()));
    assert.deepEqual(values, ["21:30", "22:00", "Europe/Paris"]);
    assert.deepEqual(await other.locator("[name=day]:checked").evaluateAll((all) => all.map(({ value }) => value)), ["mon", "tue", "wed", "thu", "fri"]);

    await form.getByLabel("No alerts at certain hours").uncheck();
    await save.click();
    await form.getByText("Saved. There are no quiet hours.").waitFor();
    await eventually(async () => assert.equal(await other.locator("[name=on]").isChecked(), false));
  });

  test("settings that were changed elsewhere meanwhile are not lost", async () => {
    const [here, there] = await twice("Cleo");
    for (const tab of [here, there]) {
      await tab.settings();
    }
    const quiet = (tab) => tab.page.locator("#quiet");
    const save = (tab) => quiet(tab).getByRole("button", { name: "Save" }).click();
    await quiet(here).getByLabel("No alerts at certain hours").check();
    await there.page.getByLabel("Its name").fill("chatter");
    await there.page.locator("#mutes-form").getByRole("button", { name: "Mute" }).click();
    await here.page.locator("#mutes .row", { hasText: "chatter" }).waitFor();
    await save(here);
    await quiet(here).getByText(/^Saved/).waitFor();
    await eventually(async () => assert.equal(await quiet(there).locator("[name=on]").isChecked(), true));
    await there.page.locator("#mutes .row", { hasText: "chatter" }).waitFor();

    await quiet(here).getByLabel("From").fill("20:00");
    await quiet(there).getByLabel("To", { exact: true }).fill("06:00");
    await save(there);
    await quiet(there).getByText(/^Saved/).waitFor();
    await here.page.locator("#mutes").getByRole("button", { name: "Unmute chatter" }).click(); // whose answer tells of both
    await here.page.getByText("Nothing is muted.").waitFor();
    await save(here);
    await quiet(here).getByText("This was changed on another device meanwhile.").waitFor();
    await save(here);
    await quiet(here).getByText("Saved. It is quiet from 20:00 to 07:00.").waitFor();
    await eventually(async () => assert.equal(await quiet(there).getByLabel("From").inputValue(), "20:00"));
  });
});
