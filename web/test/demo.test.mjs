// The demo page, as people use it, against the real server.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, stage } from "./browser.mjs";
import { publish } from "./server.mjs";

describe("demo page", { timeout: 600_000 }, () => {
  const on = stage();

  const { comes, send } = on;

  test("signing in says who one is and what one hears", async () => {
    const ann = await comes("Ann");
    assert.equal(await ann.page.getByRole("heading", { level: 1 }).textContent(), "Hello, Ann");
    assert.deepEqual(await ann.page.locator("#hears .chip-text").allTextContents(), ["ann", "emitter", "sales", "everyone"]);
    assert.match(await ann.page.locator("#hood-connection").textContent(), /…/);
    await ann.bell("all read");

    await ann.page.reload();
    await ann.state("Live");
    assert.equal(await ann.page.getByRole("heading", { level: 1 }).textContent(), "Hello, Ann", "remembered for the tab");

    const other = await on.people[0].open();
    await other.signIn("Bob");
    assert.equal(await other.page.getByRole("heading", { level: 1 }).textContent(), "Hello, Bob", "another tab, another person");

    await ann.page.getByRole("button", { name: "Switch user" }).click();
    await ann.page.getByRole("heading", { name: "Sign in to Tidings" }).waitFor();
  });

  test("alerts reach whom they are for, and nobody else", async () => {
    const ann = await comes("Ann");
    const bob = await comes("Bob");
    await bob.page.locator("#join-name").fill("night shift");
    await bob.page.getByRole("button", { name: "Join group" }).click();
    await bob.page.locator("#hears .chip", { hasText: "night shift" }).waitFor();

    await ann.emit({ to: "Myself", title: "a note to myself" });
    await ann.emit({ to: "A person", key: "bob", title: "to bob" });
    await ann.emit({ to: "A role", key: "sales", title: "to sales" });
    await ann.emit({ to: "A role", key: "ops", title: "to ops" });
    await ann.emit({ to: "A group", key: "night shift", title: "to the night shift" });
    await send("everyone", "to all");

    assert.deepEqual(await ann.has(3), ["to all", "to sales", "a note to myself"]);
    assert.deepEqual(await bob.has(4), ["to all", "to the night shift", "to ops", "to bob"]);
    const feed = await bob.feed();
    assert.deepEqual(await feed.locator(".item-chips .chip:first-child").allTextContents(), ["Everyone", "Group night shift", "Role ops", "Just you"]);
    assert.deepEqual(await bob.item("to the night shift").locator(".chip").allTextContents(), ["Group night shift", "Only here"], "no inbox keeps what this connection alone has joined");

    await bob.page.getByRole("button", { name: "Leave the group night shift" }).click();
    await bob.page.locator("#hears .chip", { hasText: "night shift" }).waitFor({ state: "detached" });
    await ann.emit({ to: "A group", key: "night shift", title: "nobody is there" });
    await ann.emit({ to: "A person", key: "bob", title: "the last word" });
    assert.equal((await bob.has(5))[0], "the last word");
  });

  test("the bell counts, the feed is read", async () => {
    const cleo = await comes("Cleo");
    await send("user/cleo", "with all", {
      severity: "warning", body: "one\ntwo", type: "disk.filling", source: "db-2", link: "/disks", data: { used: 0.91 },
      actions: [{ label: "Handbook", link: "https://example.com/handbook" }, { label: "Method", method: "Restart" }],
    });
    await send("user/cleo", "plain");
    await cleo.has(2);
    await cleo.bell("2 unread");
    assert.equal(await cleo.page.title(), "(2) Tidings");

    await cleo.feed();
    const item = cleo.item("with all");
    assert.equal(await item.locator(".item-icon").textContent(), "Warning");
    assert.equal(await item.locator("time").textContent(), "just now");
    assert.deepEqual(await item.locator(".chip").allTextContents(), ["Just you", "disk.filling", "from db-2"]);
    assert.deepEqual(await item.locator(".item-links").getByRole("link").evaluateAll((links) => links.map((a) => [a.firstChild.data, a.getAttribute("href")])), [
      ["Open", `${on.server.url}/disks`], ["Handbook", "https://example.com/handbook"],
    ]);
    assert.match(await item.getByRole("link", { name: "Trace: with all" }).getAttribute("href"), /^\/dev\/trace\/[0-9a-f]{32}$/);
    await item.getByText("Data", { exact: true }).click();
    assert.equal(await item.locator("pre").textContent(), '{\n  "used": 0.91\n}');

    await item.getByRole("button", { name: "Mark as read" }).click();
    await cleo.bell("1 unread");
    await cleo.page.getByRole("button", { name: "Mark all as read" }).click();
    await cleo.bell("all read");
    await item.getByRole("button", { name: "Mark as unread" }).click();

    await cleo.page.reload();
    await cleo.state("Live");
    await cleo.bell("1 unread");
    assert.deepEqual(await cleo.has(2), ["plain", "with all"]);
  });

  test("a long feed is loaded by and by, the badge ends at 99+", async () => {
    const cleo = await comes("Cleo");
    await publish(on.server, on.root, Array.from({ length: 120 }, (_, i) => ({ recipient: "user/cleo", title: `n${i}`, collapseKey: i < 3 ? "same" : undefined })));
    await cleo.page.locator("#badge", { hasText: "99+" }).waitFor();
    await cleo.bell("118 unread");
    await cleo.page.reload();
    await cleo.has(50);
    await cleo.feed();
    await cleo.page.getByRole("button", { name: "Load more" }).scrollIntoViewIfNeeded();
    await cleo.has(100);
    await cleo.page.getByRole("button", { name: "Load more" }).scrollIntoViewIfNeeded();
    const titles = await cleo.has(118);
    assert.deepEqual([titles[0], titles.at(-1)], ["n119", "n2"], "of one collapse key the latest is left");
  });

  test("toasts: polite, urgent, a burst, dismissed by Escape", async () => {
    const cleo = await comes("Cleo");
    const polite = cleo.page.locator("#toasts-status");
    const urgent = cleo.page.locator("#toasts-alert");
    assert.equal(await polite.getAttribute("role"), "status");
    assert.equal(await urgent.getAttribute("role"), "alert");

    await send("user/cleo", "soft");
    await send("user/cleo", "hard", { severity: "critical" });
    await polite.getByText("soft").waitFor();
    await urgent.getByText("hard").waitFor();
    await cleo.page.keyboard.press("Escape");
    await polite.getByText("soft").waitFor({ state: "detached" });
    await cleo.page.keyboard.press("Escape");
    await urgent.getByText("hard").waitFor({ state: "detached" });

    await publish(on.server, on.root, Array.from({ length: 12 }, (_, i) => ({ recipient: "user/cleo", title: `burst ${i}` })));
    await polite.getByText(/^1[23] new notifications$/).waitFor();
    assert.equal(await polite.locator(".toast").count(), 1);
    await polite.getByRole("button", { name: /new notifications/ }).click();
    await cleo.page.locator("#feed").waitFor();
    await polite.locator(".toast").waitFor({ state: "detached" });
  });

  test("a toast goes away by itself, but not while somebody looks at it", async () => {
    const one = await on.person();
    await one.context.clock.install();
    const cleo = await (await one.open()).signIn("Cleo");
    await send("user/cleo", "look at me");
    await cleo.page.locator(".toast").waitFor();
    await cleo.page.locator(".toast").hover();
    await one.context.clock.fastForward(60_000);
    assert.equal(await cleo.page.locator(".toast").count(), 1);
    await cleo.page.mouse.move(5, 5);
    await one.context.clock.fastForward(8_000);
    await cleo.page.locator(".toast").waitFor({ state: "detached" });
  });

  test("what one may not do is said in words, at the form", async () => {
    const cleo = await comes("Cleo");
    await cleo.emit({ to: "Everyone", title: "Attention" });
    const problem = cleo.page.locator("#emit-problem");
    await problem.getByText("You are not allowed to send to everyone. It was not sent.").waitFor();
    assert.equal(await problem.getAttribute("role"), "alert");

    await cleo.emit({ to: "Myself", title: "a note" });
    await cleo.page.locator("#emit-answer", { hasText: /^Stored at position \d+\.$/ }).waitFor();
    assert.equal(await problem.textContent(), "");
    assert.deepEqual(await cleo.has(1), ["a note"]);
  });

  test("the form says what is wrong with it", async () => {
    const cleo = await comes("Cleo");
    const { page } = cleo;
    await cleo.emit({ to: "A person", title: "" });
    assert.equal(await page.locator("#key-problem").textContent(), "Say who it is for.");
    assert.equal(await page.locator("#title-problem").textContent(), "Give it a title.");
    assert.equal(await page.evaluate(() => document.activeElement.id), "key");

    await page.getByText("Type, link and data").click();
    await page.getByLabel("Link").fill("javascript:alert(1)");
    await page.getByLabel("Data, as JSON").fill("{");
    await cleo.emit({ to: "Myself", title: "x" });
    assert.match(await page.locator("#link-problem").textContent(), /^A link begins with/);
    assert.match(await page.locator("#data-problem").textContent(), /^This is no JSON/);

    await page.getByLabel("Link").fill("");
    await page.getByLabel("Data, as JSON").fill("");
    await cleo.emit({ to: "Myself", title: "x", body: "é".repeat(16_300) });
    assert.match(await page.locator("#title-problem").textContent(), /too long/);
    await cleo.emit({ to: "Myself", title: "x", body: "", times: "20" });
    await page.locator("#emit-answer", { hasText: "Stored 20 events" }).waitFor();
    assert.equal((await cleo.has(20))[0], "x (20 of 20)");
  });

  test("dropped for ten seconds: all is replayed, once, in order", async () => {
    const ann = await comes("Ann");
    await send("user/ann", "before");
    await ann.has(1);
    await ann.emit({ title: "traced" });
    await ann.page.locator("#hood-trace", { hasText: "…" }).waitFor();
    await ann.page.getByRole("button", { name: "Drop my connection" }).click();
    await ann.state("Reconnecting, attempt");
    await ann.page.locator("#drop-clock", { hasText: "more seconds" }).waitFor();
    const titles = Array.from({ length: 20 }, (_, i) => `missed ${i + 1}`);
    await publish(on.server, on.root, titles.map((title, i) => ({ recipient: ["user/ann", "role/sales", "everyone"][i % 3], title })));
    await ann.emit({ title: "impossible" });
    await ann.page.locator("#emit-problem", { hasText: "You are offline" }).waitFor();

    await ann.state("Live");
    assert.deepEqual(await ann.has(22), [...titles.toReversed(), "traced", "before"]);
    assert.equal(await ann.page.locator(".item .replayed").count(), 20);
    assert.equal(await ann.item("before").locator(".replayed").count(), 0);
    await ann.page.locator("#drop-result", { hasText: "20 events replayed, nothing missed" }).waitFor();
    assert.equal(await ann.page.locator("#hood-replayed").textContent(), "20 events");
    await ann.page.locator("#toasts-status", { hasText: "20 notifications while you were away" }).waitFor();

    await send("user/ann", "after");
    assert.equal((await ann.has(23))[0], "after");
    assert.equal(await ann.item("after").locator(".replayed").count(), 0);
  });

  test("reloaded while events are emitted: nothing is missing, nothing is there twice", async () => {
    const ann = await comes("Ann");
    const titles = Array.from({ length: 60 }, (_, i) => `event ${i + 1}`);
    let emitted = 0;
    const emitting = (async () => {
      for (const title of titles) {
        await send("user/ann", title);
        emitted++;
      }
    })();
    for (const at of [10, 25, 40]) {
      await eventually(() => assert.ok(emitted >= at));
      await ann.page.reload();
      await ann.state("Live");
    }
    await emitting;
    await ann.bell("60 unread");
    await ann.feed();
    await ann.page.getByRole("button", { name: "Load more" }).scrollIntoViewIfNeeded();
    assert.deepEqual(await ann.has(60), titles.toReversed());
  });

  test("a duplicated tab is a device of its own", async () => {
    const ann = await comes("Ann");
    const [copy] = await Promise.all([
      on.people[0].context.waitForEvent("page"),
      ann.page.evaluate(() => { window.open(window.location.href); }), // its session storage is a copy
    ]);
    await copy.locator("#state", { hasText: "Live" }).waitFor();
    assert.equal(await copy.getByRole("heading", { level: 1 }).textContent(), "Hello, Ann");
    const id = (page) => page.locator("#hood-device").getAttribute("title");
    assert.notEqual(await id(copy), await id(ann.page));
    const device = await id(ann.page);
    await ann.page.reload();
    await ann.state("Live");
    assert.equal(await id(ann.page), device, "but a reloaded one stays what it is");
  });

  test("metric cards get values; a flood of them is throttled", async () => {
    const ann = await comes("Ann");
    const bob = await comes("Bob");
    for (const name of ["ActiveConnections", "EventsPerSecond", "HeapBytes", "Goroutines"]) {
      await ann.page.locator(`[data-metric=${name}] output`, { hasText: /^[\d.,]+$/ }).waitFor();
      assert.match(await ann.page.locator(`[data-metric=${name}] .chart`).getAttribute("aria-label"), /: the last \d+ values? lies? between /);
    }
    await ann.page.getByRole("button", { name: "Send 100 at once" }).click();
    for (const { page } of [ann, bob]) await page.locator("[data-metric=Demo] output", { hasText: /^100$/ }).waitFor();
    const [, sent, heard] = /^Sent (\d+), heard (\d+):/.exec(await ann.page.locator("#metric-tally").textContent());
    assert.equal(sent, "100");
    assert.ok(Number(heard) >= 1 && Number(heard) < 20, `heard ${heard} of 100`);

    await ann.page.locator("#metric-value").focus();
    await ann.page.keyboard.press("Home");
    await bob.page.locator("[data-metric=Demo] output", { hasText: /^0$/ }).waitFor();
  });

  test("the theme is that of the system until one is chosen", async () => {
    const ann = await comes("Ann", { colorScheme: "dark" });
    const paper = () => ann.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await paper();
    await ann.page.getByRole("button", { name: "Use the light theme" }).click();
    assert.notEqual(await paper(), dark);
    await ann.page.reload();
    await ann.page.getByRole("button", { name: "Use the dark theme" }).click();
    assert.equal(await paper(), dark);
  });

  test("by keyboard alone: sign in, emit, open the bell, close it", async () => {
    const one = await on.person();
    const cleo = await one.open();
    const { keyboard } = cleo.page;
    const focused = () => cleo.page.evaluate(() => {
      const e = document.activeElement;
      if (e === document.body) return "";
      return e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent.trim() ?? e.textContent.trim();
    });
    const tabTo = async (name) => {
      for (let i = 0; i < 60; i++) {
        if (name.test(await focused())) return;
        await keyboard.press("Tab");
      }
      assert.fail(`nothing called ${name} can be reached`);
    };
    await cleo.page.getByRole("button", { name: "Cleo" }).waitFor();
    await tabTo(/Cleo Costa/);
    await keyboard.press("Enter");
    await cleo.state("Live");
    await tabTo(/^Title/);
    await keyboard.type("typed");
    await tabTo(/^Info/);
    await keyboard.press("ArrowRight");
    await keyboard.press("ArrowRight");
    await tabTo(/^Send$/);
    await keyboard.press("Enter");
    assert.deepEqual(await cleo.has(1), ["typed"]);
    assert.equal(await focused(), "Send", "a toast does not take the focus");

    await cleo.bell("1 unread");
    await cleo.page.keyboard.press("Control+Home");
    await tabTo(/^Notifications, 1 unread/);
    await keyboard.press("Space");
    assert.equal(await focused(), "Notifications");
    await tabTo(/^Unread. Mark as read: typed/);
    await keyboard.press("Enter");
    await cleo.bell("all read");
    assert.equal(await cleo.item("typed").locator(".item-icon").textContent(), "Warning");
    await keyboard.press("Escape");
    assert.equal(await focused(), "Notifications, all read", "back at the bell");
    assert.equal(await cleo.page.locator("#feed").isVisible(), false);
  });
});
