// What an operator does, and what becomes of it: on the demo page of Ann, in the
// log, and on record.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../test/browser.mjs";
import { office } from "../test/operator.mjs";
import { token } from "../test/server.mjs";
import { ask, cleanUp, natsPublish } from "./client.mjs";

describe("acting in the console", { timeout: 180_000 }, () => {
  const on = office();
  let ann;
  let desk;
  after(cleanUp);
  before(async () => {
    ann = await on.comes("Ann", { stays: true });
    desk = await on.operator("overview", { stays: true });
  });

  /** A message of that id comes that is no event, and its page is opened. */
  const reject = async (id, payload) => {
    await natsPublish(on.server.nats, "tidings.log.notifications.user.ann", payload, { "Nats-Msg-Id": id });
    await desk.open("rejected");
    await eventually(async () => {
      await desk.button("Refresh").click();
      assert.equal(await desk.page.locator("tbody tr", { hasText: id }).count(), 1);
    });
    await desk.page.locator("tbody tr", { hasText: id }).getByRole("link").click();
    await desk.page.getByLabel("Put it right").waitFor();
  };

  /** Waits until the newest alerts on the page of Ann are these. */
  const hears = (...titles) => eventually(async () => assert.deepEqual((await ann.titles()).slice(0, titles.length), titles));

  /** A dialog that wants a reason does nothing without one. */
  async function wantsWhy(confirm, fields = {}) {
    await desk.fill(confirm, { ...fields, Why: "" });
    assert.ok(await desk.dialog().getByLabel("Why").evaluate((e) => e.matches(":invalid")), "the field is required");
    await desk.fill(confirm, { Why: "  " });
    await desk.dialog().getByText("Say why.").waitFor();
  }

  test("without signing in every act explains that", async () => {
    await reject("five", '{"title": 5}');
    const explains = async (button, confirm) => {
      await desk.button(button).first().click();
      await desk.dialog().getByText("Anyone on this machine may look. To act, sign in as somebody who may manage this server.").waitFor();
      assert.ok(await desk.dialog().getByRole("button", { name: confirm, exact: true }).isDisabled(), confirm);
      assert.ok(await desk.dialog().getByLabel("Why").isDisabled());
      await desk.page.keyboard.press("Escape");
      await desk.dialog().waitFor({ state: "detached" });
    };
    await desk.page.getByLabel("Put it right").fill('{"title": "5"}');
    await explains("Emit again…", "Emit");
    await desk.open("connections");
    await explains(/^Close/, "Close it");
    await explains(/^Trace/, "Trace");
    await desk.page.locator("tbody").getByRole("link").first().click();
    await explains(/^Close/, "Close it");
    await desk.open("user/ann");
    await explains("Trace…", "Trace");
    await explains("Replay…", "Replay");
    await explains("Erase…", "Erase for good");

    // Somebody who may only look is told that.
    await desk.signIn(/Cleo/);
    await desk.button("Erase…").click();
    await desk.dialog().getByText("cleo may look, but not act.").waitFor();
    assert.ok(await desk.dialog().getByRole("button", { name: "Erase for good" }).isDisabled());
    await desk.page.keyboard.press("Escape");
    await desk.page.locator("#bar").getByRole("button", { name: "Sign out" }).click();
    await desk.signIn(/Root/); // from now on
  });

  test("a connection is closed, and its page comes back by itself", async () => {
    await desk.open("connections?user=ann");
    const row = desk.page.locator("tbody tr").first();
    const id = await row.getByRole("link").first().textContent();
    await desk.button(/^Close/).first().click();
    await wantsWhy("Close it");
    assert.ok(await ann.page.locator("#state", { hasText: "Live" }).isVisible());
    await desk.fill("Close it", { Why: "closing: ticket 1" });
    await desk.says("The connection of ann was closed.");
    await eventually(async () => {
      await desk.button("Refresh").click();
      const ids = await desk.page.locator("tbody tr td:first-child").allTextContents();
      assert.equal(ids.length, 1);
      assert.notEqual(ids[0].trim(), id.trim(), "another connection");
    });
    await ann.state("Live");
    await on.send({ recipient: "user/ann", title: "after it" });
    await hears("after it");
    await desk.open(`connection/${id.trim()}`);
    await desk.page.getByText("There is no such connection on this node, or not any more.").waitFor();
  });

  test("a user is traced: each delivery has a span of its own", async () => {
    await desk.open("user/ann");
    await desk.button("Trace…").click();
    await wantsWhy("Trace");
    await desk.fill("Trace", { Minutes: "61", Why: "tracing: ticket 2" });
    await desk.dialog().getByRole("alert").getByText("1 to 60 minutes").waitFor();
    await desk.fill("Trace", { Minutes: "5" });
    await desk.says(/^ann is traced until /);
    await desk.button("Stop tracing…").waitFor();

    const { id } = await on.send({ recipient: "user/ann", title: "traced" });
    await hears("traced");
    await desk.open(`event?id=${id}`);
    await eventually(async () => {
      await desk.button("Refresh").click();
      await desk.page.getByRole("link", { name: "Open its trace" }).waitFor({ timeout: 500 });
    });
    await desk.page.getByRole("link", { name: "Open its trace" }).click();
    const rows = desk.page.getByRole("treeitem");
    await eventually(async () => {
      await desk.button("Refresh").click();
      const levels = await rows.evaluateAll((all) => all.map((row) => Number(row.ariaLevel)));
      assert.equal(Math.max(...levels), 4, "below the delivery, the connection");
    });
    await rows.last().click();
    await desk.page.locator(".details").getByText("notify.connection.id").waitFor();

    await desk.open("users");
    await desk.page.locator("section", { hasText: "Traced users" }).getByRole("link", { name: "ann", exact: true }).waitFor();
    await desk.open("connections?user=ann");
    await desk.act("Stop tracing ann", "Stop tracing", { Why: "traced enough: ticket 2" });
    await desk.says("ann is not traced any more.");
    await desk.button("Trace ann").waitFor();
    assert.equal(await desk.page.locator("tbody").getByText("traced").count(), 0);
  });

  test("what was missed is replayed from a position", async () => {
    const [{ position }] = await on.send([{ recipient: "user/ann", title: "one" }, { recipient: "user/ann", title: "two" }, { recipient: "role/sales", title: "three" }]);
    await hears("three", "two", "one");
    await desk.open("user/ann");
    await desk.button("Replay…").click();
    await wantsWhy("Replay", { "After position": `${position}` });
    await desk.fill("Replay", { "After position": "", Why: "replaying: ticket 3" });
    await desk.dialog().getByRole("alert").getByText("Say after which position, or since when.").waitFor();
    await desk.fill("Replay", { "After position": `${position}` });
    await desk.says("2 events replayed to ann.");
    await hears("three", "two", "three", "two", "one");
    await desk.open("log?recipient=user/ann");
    await desk.page.getByText(`replay of notifications/${position + 1}`).waitFor();
    await desk.open("user/ann");
    await desk.act("Replay…", "Replay", { "After position": `${position}`, Why: "replaying: ticket 3" });
    await desk.says("0 events replayed to ann (2 had been before"); // within the window of de-duplication
  });

  test("a rejected message is put right and emitted again", async () => {
    await reject("six", '{"title": 6}');
    const text = desk.page.getByLabel("Put it right");
    await text.fill('{"id": "mended", "title": "mended"');
    await desk.button("Emit again…").click();
    await desk.page.getByText("Line 1, column 35: it ends before the } of a {.").waitFor();
    await text.fill('{"id": "mended", "title": 7}');
    await desk.button("Check").click();
    await desk.page.getByText("Well-formed JSON.").waitFor();
    await desk.button("Emit again…").click();
    await wantsWhy("Emit");
    await desk.fill("Emit", { Why: "mending: ticket 4" });
    await desk.dialog().getByRole("alert").getByText("title: want a string, got 7").waitFor();
    await desk.page.keyboard.press("Escape");
    await text.fill('{"id": "mended", "title": "mended"}');
    await desk.act("Emit again…", "Emit", { Why: "mending: ticket 4" });
    await desk.says(/^Stored at position \d+\.$/);
    await hears("mended");
    await desk.page.locator("#page").getByRole("link", { name: /^\d+$/ }).first().click();
    await eventually(async () => assert.equal(await desk.heading().textContent(), "mended"));
  });

  test("what is kept of a user is erased, if the id is typed again", async () => {
    await on.send([{ recipient: "user/zoe", title: "secret" }, { recipient: "user/zoe", title: "secret, too" }]);
    await desk.open("user/zoe");
    await desk.page.getByText("secret, too").waitFor();
    await desk.button("Erase…").click();
    await wantsWhy("Erase for good", { "Type the user id again": "zoe" });
    await desk.fill("Erase for good", { "Type the user id again": "Zoe", Why: "erasing: ticket 5" });
    await desk.dialog().getByRole("alert").getByText("That is not the id of this user.").waitFor();
    assert.equal((await ask(on.server, token(on.server.data, "zoe"), "GET /v1/inbox")).items.length, 2, "nothing was done");
    await desk.fill("Erase for good", { "Type the user id again": "zoe" });
    await desk.says("What was kept of zoe has been erased, with 2 events.");
    await desk.page.getByText("Nothing is kept of this user").waitFor();
    assert.equal((await ask(on.server, token(on.server.data, "zoe"), "GET /v1/inbox")).items.length, 0);
    await desk.open("log?recipient=user/zoe");
    await desk.page.getByText("No event of the log is like that.").waitFor();
  });

  test("who did what to whom and why is on record", async () => {
    await desk.open("audit");
    await eventually(async () => {
      await desk.button("Refresh").click();
      const rows = await desk.page.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].slice(1).map((cell) => cell.innerText.trim())));
      for (const [action, about, why] of [
        ["closed", "ann", "closing: ticket 1"], ["traced", "ann", "tracing: ticket 2"], ["traced", "ann", "traced enough: ticket 2"], ["replayed", "ann", "replaying: ticket 3"],
        ["replayed", "", "mending: ticket 4"], ["erased", "zoe", "erasing: ticket 5"],
      ]) {
        assert.ok(rows.some(([what, by, whom, , , reason]) => what === action && /^root\s+via console$/.test(by) && whom.includes(about) && reason.endsWith(why)), `${action} ${about}: ${why} in ${JSON.stringify(rows)}`);
      }
    });
    await desk.page.getByLabel("User", { exact: true }).fill("zoe");
    await desk.page.keyboard.press("Enter");
    await eventually(async () => {
      const whom = await desk.page.locator("tbody tr td:nth-child(4)").allTextContents();
      assert.ok(whom.length > 0 && whom.every((text) => text.includes("zoe")), `${whom}`);
    });
  });
});
