// Whatever somebody puts into an event, a name, a span or a message of the log,
// the console shows it as text.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../test/browser.mjs";
import { office } from "../test/operator.mjs";
import { emitTraced, exportSpans, span } from "../test/otlp.mjs";
import { token } from "../test/server.mjs";
import { ask, cleanUp, connect, live, natsPublish } from "./client.mjs";

const RUN = "window.broken=1";
const SCRIPT = `<script>${RUN}</script>`;
const IMAGE = `<img src=x onerror="${RUN}">`;
const SVG = `<svg/onload=${RUN}>`;
const FRAME = `<iframe srcdoc="<script>parent.broken=1</script>"></iframe>`;
const QUOTES = `'"><b onmouseover='${RUN}'>`;
const TEMPLATE = `\${${RUN}}{{constructor.constructor('${RUN}')()}}<!--?lit$0$--><?lit$0$>`;
const ADDRESS = `javascript:${RUN}`;
const TURNED = "invoice-\u202Efdp.exe";
const CONTROL = "\u0001\u0008\u000b\u001b[31m\u007f\u0085\u2028";

const USER = `u ${IMAGE}/..?#&%2e${QUOTES}`;
const EMITTER = `e ${SVG}${TURNED}`;
const ROLE = `r ${SCRIPT}`;
const GROUP = `g ${FRAME}/${TEMPLATE}`;
const DEVICE = `d ${IMAGE}`;
const ID = `i ${SVG}/?#${QUOTES}`;
const TYPE = `t ${IMAGE}${TEMPLATE}`;
const SOURCE = `s ${SCRIPT}${ADDRESS}`;
const TITLE = `${SCRIPT}${IMAGE}${SVG}${FRAME}${QUOTES}${TEMPLATE}${ADDRESS}${TURNED}${CONTROL}`;
const WHY = `because ${IMAGE}${TEMPLATE}`;
const KEY = "<svg/onload=alert(1)>"; // of a subject: without dots and spaces
const SPAN = { service: `w ${SVG}`, name: `n ${IMAGE}${TEMPLATE}`, failed: `f ${SCRIPT}` };
const REJECTED = { id: `x${ID}`, severity: SCRIPT, title: TITLE, link: ADDRESS };

/** How an id stands in an address: each part of it by itself. */
const at = (id) => id.split("/").map(encodeURIComponent).join("/");

describe("hostile texts", { timeout: 180_000 }, () => {
  const on = office();
  let world;
  let desk;
  after(cleanUp);

  before(async () => {
    const emitter = token(on.server.data, EMITTER, ["emitter", "admin"]);
    const endpoint = `http://${on.server.ops}`;
    await ask(on.server, on.root, `PUT /v1/groups/${encodeURIComponent(GROUP)}/members/${encodeURIComponent(USER)}`);
    const client = await connect(on.server.url, token(on.server.data, USER, [ROLE]), { query: `device=${encodeURIComponent(DEVICE)}` });
    await live(client);
    await client.connection.invoke("JoinGroup", GROUP);
    await client.connection.invoke("Mute", { group: GROUP });
    await client.connection.invoke(`x ${IMAGE}`).catch(() => {}); // a method that is none
    const event = {
      type: TYPE, source: SOURCE, title: TITLE, body: (TITLE + "\n").repeat(1000).slice(0, 55_000), link: `https://example.com/?q=${encodeURIComponent(SCRIPT)}`,
      actions: [{ label: IMAGE, link: `//example.com/${encodeURIComponent(QUOTES)}` }, { label: TURNED, method: SVG }],
      data: { [IMAGE]: SCRIPT, link: ADDRESS, "__proto__": { [SVG]: [TEMPLATE, CONTROL] } }, collapseKey: `k ${IMAGE}`,
    };
    const attributes = {
      [`a ${IMAGE}`]: SCRIPT, "url.full": ADDRESS, "rpc.method": SVG, "messaging.message.id": ID, "notify.event.type": TYPE, "notify.connection.id": IMAGE,
      "notify.hub": SCRIPT, "notify.stream.seq": SVG, "long": FRAME.repeat(50), "link": `data:text/html,${SCRIPT}`,
    };
    const traced = await emitTraced(on.server, endpoint, emitter, { ...event, id: ID, recipient: `user/${USER}` }, { ...SPAN, attributes });
    await ask(on.server, emitter, "POST /v1/notifications", { ...event, id: `2${ID}`, recipient: `group/${GROUP}`, body: "" });
    await exportSpans(endpoint, SPAN.service, [span({ name: SPAN.name, kind: "server", attributes: { [QUOTES]: ADDRESS }, failed: SPAN.failed, parentSpanId: "0123456789abcdef" })]);
    for (const link of [ADDRESS, ` ${ADDRESS}`, "JaVaScRiPt:x", `data:text/html,${SCRIPT}`, "vbscript:x"]) {
      await assert.rejects(ask(on.server, emitter, "POST /v1/notifications", { recipient: "user/ann", link }), { status: 422 }, link);
    }
    const subject = "tidings.log.notifications.user.ann";
    await natsPublish(on.server.nats, subject, JSON.stringify(REJECTED), { "Nats-Msg-Id": REJECTED.id, "X-From": SCRIPT });
    await natsPublish(on.server.nats, `tidings.log.notifications.user.${KEY}`, `{"link":"${ADDRESS}"}`);
    await natsPublish(on.server.nats, subject, `${SCRIPT}${IMAGE}`);
    desk = await on.operator("rejected", { stays: true });
    await eventually(async () => {
      await desk.button("Refresh").click();
      assert.equal(await desk.page.locator("tbody tr").count(), 3);
    });
    world = { ...traced, client, event };
  });

  /** A page shows texts as they are, and nothing that somebody has smuggled in. */
  async function shows(path, ...texts) {
    const picture = { connections: "connections", log: "log", logs: "logs", audit: "audit", [`user/${at(USER)}`]: "user", [`trace/${world.traceId}?span=${world.spanId}`]: "trace" }[path];
    await desk.open(path);
    await eventually(async () => {
      const words = await desk.words();
      for (const text of texts) assert.ok(words.includes(text), `${path} does not say ${JSON.stringify(text)} but ${words.slice(0, 2000)}`);
    });
    assert.deepEqual(await desk.foreign(), [], path);
    if (picture) await desk.picture(`hostile-${picture}`, { fullPage: true });
  }

  test("every page shows them as text", async () => {
    const [connection] = world.client.ids;
    const { position } = world.receipt;
    await shows("connections", USER, DEVICE);
    await shows(`connections?user=${encodeURIComponent(USER)}&text=${encodeURIComponent(IMAGE)}`, IMAGE);
    await shows(`connection/${connection}`, USER, ROLE, GROUP, DEVICE);
    await shows("users", USER, ROLE);
    await shows(`user/${at(USER)}`, USER, ROLE, GROUP, DEVICE, TITLE, TYPE, `Mutes the group ${GROUP}`);
    await shows(`user/${at(USER)}?explain=${encodeURIComponent(ID)}`, ID, EMITTER, `user/${USER}`);
    await shows(`user/${at(USER)}?explain=${encodeURIComponent(`2${ID}`)}`, GROUP, "It was muted for");
    await shows(`user/${at(SVG)}?explain=${encodeURIComponent(IMAGE)}`, SVG);
    await shows("groups", ROLE, GROUP);
    await shows(`group/group/${at(GROUP)}`, GROUP, USER);
    await shows(`group/role/${at(ROLE)}`, ROLE, USER);
    await shows(`group/${at(SVG)}/${at(IMAGE)}`, IMAGE);
    await shows("log", TITLE, TYPE, EMITTER, `user/${USER}`, `group/${GROUP}`);
    await shows(`log?text=${encodeURIComponent(IMAGE)}&type=${encodeURIComponent(TYPE)}`, TITLE);
    await shows(`event/${position}`, TITLE, TYPE, SOURCE, EMITTER, ID);
    await shows(`event?id=${encodeURIComponent(ID)}`, TITLE);
    await shows(`event?id=${encodeURIComponent(IMAGE)}`, IMAGE);
    await shows("traces", SPAN.name, SPAN.service);
    await shows(`traces?text=${encodeURIComponent(SCRIPT)}`, SPAN.name);
    await shows(`trace/${world.traceId}?span=${world.spanId}`, SPAN.name, SPAN.service, `a ${IMAGE}`, ADDRESS, SVG, TYPE, ID, FRAME.repeat(10));
    await shows(`trace/${at(IMAGE)}`, IMAGE);
    await shows(`connection/${at(IMAGE)}`);
    await shows("logs", KEY, "event rejected");
    await shows(`logs?text=${encodeURIComponent(KEY)}`, KEY);
    await shows(`audit?id=${encodeURIComponent(ID)}`, ID, EMITTER);
    await shows("rejected", KEY, REJECTED.id, SCRIPT);
    for (const [row, ...texts] of [[0, `${SCRIPT}${IMAGE}`], [1, ADDRESS, KEY], [2, SCRIPT, ADDRESS, REJECTED.id]]) {
      await desk.open("rejected");
      await desk.page.locator("tbody a").nth(row).click();
      await desk.page.getByRole("heading", { name: "Rejected message" }).waitFor();
      await shows(new URL(desk.page.url()).hash.slice(2), ...texts);
    }
    for (const nowhere of [IMAGE, `user/${SCRIPT}`, `log?${SVG}`]) await shows(encodeURI(nowhere));
    await shows("nodes");
  });

  test("what leads to them are links that lead to them", async () => {
    await desk.open("connections");
    await desk.page.getByRole("link", { name: USER, exact: true }).click();
    await eventually(async () => assert.equal(await desk.heading().textContent(), USER));
    await desk.page.getByRole("link", { name: GROUP, exact: true }).first().click();
    await eventually(async () => assert.ok((await desk.heading().textContent()).startsWith(GROUP)));
    await desk.page.getByRole("link", { name: "Its events" }).click();
    await desk.page.getByRole("link", { name: `group/${GROUP}`, exact: true }).first().waitFor();
    await desk.open(`event/${world.receipt.position}`);
    const links = await desk.page.locator("c-payload a").evaluateAll((all) => all.map((a) => [a.protocol, a.host, a.target, a.rel]));
    assert.deepEqual(links, [["https:", "example.com", "_blank", "noopener noreferrer"]], "a relative one is none of this page");
  });

  test("what comes while one looks", async () => {
    await desk.open("log");
    await ask(on.server, on.root, "POST /v1/notifications", { recipient: "user/ann", type: TYPE, title: `now ${TITLE}`, source: SOURCE });
    await desk.page.getByText(`now ${SCRIPT}`).waitFor();
    assert.deepEqual(await desk.foreign(), []);
  });

  test("what an operator writes", async () => {
    await desk.open(`user/${at(USER)}`);
    await desk.signIn(/Root/);
    await desk.act("Trace…", "Trace", { Why: WHY });
    await desk.says("is traced until");
    assert.deepEqual(await desk.foreign(), []);
    await shows("audit", USER, WHY, "traced");
    await shows("users", USER);
    await desk.open(`user/${at(USER)}`);
    await desk.act("Erase…", "Erase for good", { "Type the user id again": SVG, Why: WHY });
    await desk.dialog().getByRole("alert").getByText("That is not the id of this user.").waitFor();
    assert.deepEqual(await desk.foreign(), []);
  });
});
