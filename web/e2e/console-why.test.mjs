// Why did ann not get it? The page of a user answers in one sentence, each time
// after it has really happened.

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { eventually } from "../test/browser.mjs";
import { office } from "../test/operator.mjs";
import { token } from "../test/server.mjs";
import { ask, cleanUp, connect, hears, live, natsPublish, plug, until } from "./client.mjs";

describe("why did ann not get it?", { timeout: 120_000 }, () => {
  const on = office({ args: ["--send-timeout", "60s"] });
  afterEach(cleanUp);

  const comes = async (url, query) => {
    const client = await connect(url, token(on.server.data, "ann"), { query });
    await live(client);
    return client;
  };

  /** Asks on the page of the user, and returns its first sentence. */
  async function verdict(desk, id) {
    const field = desk.page.getByLabel("Event id");
    await field.fill(id);
    await field.press("Enter");
    await eventually(() => assert.match(decodeURIComponent(desk.page.url()), new RegExp(`explain=${id}$`)));
    return desk.page.locator(".verdict").textContent();
  }

  /** What is known of connections is written soon: the question is asked again until it is answered so. */
  const answers = (desk, id, sentence) => eventually(async () => assert.match(await verdict(desk, id), sentence));

  test("not a member, muted, offline, expired, rejected", async () => {
    const phone = await comes(on.server.url, "device=phone");
    await phone.connection.invoke("Mute", { type: "ads.*" });
    const [, { position }] = await on.send([
      { id: "stranger", recipient: "group/deploys", title: "Deployed" },
      { id: "muted", recipient: "user/ann", type: "ads.sale", title: "Sale" },
    ]);
    await until("muted", async () => (await ask(on.server, on.root, "GET /v1/explain?user=ann&id=muted")).events[0].connections?.length === 1);
    await phone.stop();
    await until("gone", async () => (await ask(on.server, on.root, "GET /v1/users/ann/export")).connections.every(({ ended }) => ended));
    await on.send([{ id: "away", recipient: "user/ann", title: "Lunch" }, { id: "short", recipient: "user/ann", title: "Now", ttl: 1 }]);
    await natsPublish(on.server.nats, "tidings.log.notifications.user.ann", '{"title": 5}', { "Nats-Msg-Id": "broken" });
    assert.ok(position > 0);

    const desk = await on.operator("user/ann");
    await answers(desk, "stranger", /^It was not for ann: .*no member of .*deploys/);
    await answers(desk, "muted", /^It was muted for ann: type ads\.\*\. It is in the inbox, and raised no alert\.$/);
    await answers(desk, "away", /^ann was offline and has not been sent it\. It is in the inbox, and device phone hears of it when it comes back\.$/);
    await answers(desk, "short", /^It expired at \S+, before ann could be sent it\.$/);
    await answers(desk, "broken", /^It was rejected: .*title: want a string, got 5.*Nobody has heard it\.$/);
    await answers(desk, "never", /^Nothing became of it as far as is known: /);

    // The answer has an address, and what it was found out from is below it.
    await desk.open("user/ann?explain=muted");
    await desk.page.locator(".verdict", { hasText: "It was muted for ann" }).waitFor();
    assert.match(await desk.page.locator("dl.findings").innerText(), /Was it for ann\?\s+.*Yes\.[^]*Was it muted\?\s+.*Yes, by type ads\.\*/);
  });

  test("slow: a client that reads nothing more, and later has it all", async () => {
    const wire = await plug(on.server.http);
    const slow = await comes(wire.url);
    wire.clog();
    const lagging = async () => /notify_connections_lagging 1\b/.test(await (await fetch(`http://${on.server.ops}/metrics`)).text());
    let last;
    await until("lagging", async () => {
      [last] = (await on.send(Array.from({ length: 40 }, (_, i) => ({ recipient: "user/ann", title: `${i}`, body: "x".repeat(20_000) })))).slice(-1);
      return lagging();
    });
    const [{ position }] = await on.send([{ id: "late", recipient: "user/ann", title: "Urgent" }]);
    assert.ok(position > last.position);

    const desk = await on.operator("user/ann?explain=late");
    await answers(desk, "late", /^A connection of ann is too slow: it is behind, and is being sent it from the log\.$/);
    await desk.page.getByText("lagging", { exact: true }).first().waitFor();
    await desk.open("connections?user=ann");
    const row = desk.page.locator("tbody tr", { hasText: "lagging" });
    assert.match(await row.innerText(), /\d+ positions/);

    wire.unclog();
    await hears(slow, position);
    await desk.open("user/ann?explain=late");
    await answers(desk, "late", /^It was sent to ann; no client has acknowledged it yet\.$/);
  });
});
