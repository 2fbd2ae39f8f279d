// What the demo page makes of hostile content, a hostile browser and a server
// that comes and goes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, stage } from "./browser.mjs";
import { publish, startServer } from "./server.mjs";

const RECORD_END = "\x1e";
const MARKUP = '<img src=x onerror="window.broken=1"><script>window.broken=1</script><b>bold</b>';

describe("demo page, tried hard", { timeout: 600_000 }, () => {
  const on = stage();

  /** What the browser itself writes to the console when the server is away or refuses. */
  const forgive = (one, pattern) => {
    for (const text of one.complaints) assert.match(text, pattern);
    one.complaints.length = 0;
  };

  /** A person whose hub connection a test can talk into. Returns the page, say(method, argument) and close(). */
  async function overheard() {
    const one = await on.person();
    let socket;
    await one.context.routeWebSocket(/\/hubs\/notifications/, (ws) => {
      socket = ws;
      ws.connectToServer();
    });
    const page = await (await one.open()).signIn("Cleo");
    await page.page.locator("#empty-title", { hasText: "Nothing yet" }).waitFor({ state: "attached" }); // the inbox is there
    const send = (message) => socket.send(JSON.stringify(message) + RECORD_END);
    return {
      page,
      say: (target, argument) => send({ type: 1, target, arguments: [argument] }),
      close: () => send({ type: 7 }), // without allowReconnect
    };
  }

  const widths = (page) => page.evaluate(() => ({
    broken: window.broken,
    beyond: document.documentElement.scrollWidth - window.innerWidth,
    feed: document.querySelector("#feed-scroll").scrollWidth - document.querySelector("#feed-scroll").clientWidth,
  }));

  test("markup is text, and nothing breaks the layout", async () => {
    const one = await on.person({ viewport: { width: 360, height: 740 } });
    const cleo = await (await one.open()).signIn("Cleo");
    await publish(on.server, on.root, [
      { recipient: "user/cleo", title: MARKUP, body: MARKUP, type: "a".repeat(200), source: "s".repeat(400), data: { html: MARKUP, ["k".repeat(500)]: "v".repeat(2000) } },
      { recipient: "user/cleo", title: "T".repeat(5000), body: "W".repeat(60_000 - 5000), severity: "critical" },
      { recipient: "user/cleo", title: "‮txt.exe", body: "\n".repeat(3000), link: "/", actions: [{ label: "L".repeat(3000), link: "https://example.com/" + "p".repeat(1500) }] },
    ]);
    await cleo.has(3);
    await cleo.feed();
    assert.equal(await cleo.page.locator(".item-title").last().textContent(), MARKUP);
    const more = cleo.page.getByRole("button", { name: "Show all" });
    while (await more.count() > 0) await more.first().click();
    for (const data of await cleo.page.locator(".item-data > summary:visible").all()) await data.click();
    assert.equal(JSON.parse(await cleo.page.locator("pre.code-block:visible").first().textContent()).html, MARKUP);
    assert.deepEqual(await widths(cleo.page), { broken: undefined, beyond: 0, feed: 0 });
    const tallest = await cleo.page.locator(".item").evaluateAll((items) => Math.max(...items.map((item) => item.offsetHeight)));
    assert.ok(tallest < 2000, `an item is ${tallest} px tall`);
  });

  test("what a server should never send does no harm", async () => {
    const { page: cleo, say } = await overheard();
    say("ReceiveNotification", {
      id: "evil", position: 1e9, title: "evil", severity: "__proto__", recipient: "constructor/x", createdAt: "yesterday", traceparent: "x", data: null,
      link: "javascript:window.broken=1", actions: [{ label: "go", link: " JaVaScRiPt:window.broken=1" }, { label: "data", link: "data:text/html,x" }, null, 7],
    });
    say("ReceiveNotification", { id: "odd", position: 1e9 + 1, title: { toString: "x" }, body: 7, severity: 3, actions: "none", state: "constructor", muted: "yes" });
    say("ReceiveNotification", null);
    say("ReceiveNotification", { id: "odd", position: 1e9 + 1, title: "twice" });
    say("ReceiveNotification", { id: "nowhere", position: -1, title: "nowhere" });
    say("NotificationRecalled", null);
    say("NotificationRecalled", { recalls: { toString: "x" } });
    for (const changed of [null, {}, { changed: "all" }, { changed: [null, 7, { kind: "__proto__" }, { kind: "read", positions: "all" }, { kind: "allRead", upTo: "yes" }] }]) say("InboxChanged", changed);
    await cleo.has(2);
    const feed = await cleo.feed();
    assert.equal(await feed.getByRole("link").count(), 0);
    assert.equal(await cleo.item("evil").locator(".item-icon").textContent(), "Info");
    assert.equal((await widths(cleo.page)).broken, undefined);
  });

  test("what is gone for good is told", async () => {
    const { page: cleo, say } = await overheard();
    const banner = cleo.page.locator("#gone");
    assert.equal(await banner.textContent(), "");
    say("Resumed", { cursor: "c", replaying: true, truncated: true, first: 4711 });
    await banner.getByText("the log goes back to position 4711 only").waitFor();
    assert.equal(await banner.getAttribute("role"), "alert");
  });

  test("a server that ends the connection for good: one click, and it is back", async () => {
    const { page: cleo, close } = await overheard();
    close();
    await cleo.state("Offline");
    await cleo.page.getByRole("button", { name: "Connect now" }).click();
    await cleo.state("Live");
    await publish(on.server, on.root, { recipient: "user/cleo", title: "back" });
    assert.deepEqual(await cleo.has(1), ["back"]);
  });

  test("storage that is blocked costs only what it would keep", async () => {
    const one = await on.person();
    await one.context.addInitScript(() => {
      for (const name of ["sessionStorage", "localStorage"]) {
        Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
      }
    });
    const cleo = await (await one.open()).signIn("Cleo");
    await cleo.page.getByRole("button", { name: /^Use the (dark|light) theme/ }).click();
    await publish(on.server, on.root, { recipient: "user/cleo", title: "hello" });
    assert.deepEqual(await cleo.has(1), ["hello"]);
    await cleo.page.reload();
    await cleo.page.getByRole("heading", { name: "Sign in to Tidings" }).waitFor();
  });

  test("storage that is full loses nothing", async () => {
    const one = await on.person();
    const cleo = await (await one.open()).signIn("Cleo");
    for (let i = 0; i < 3; i++) {
      await publish(on.server, on.root, Array.from({ length: 60 }, (_, j) => ({ recipient: "user/cleo", title: `${i * 60 + j}`, body: "x".repeat(50_000) })));
    }
    await cleo.bell("180 unread");
    await cleo.page.reload();
    await cleo.bell("180 unread");
    assert.equal((await cleo.has(50))[0], "179");
  });

  test("a clock that is wrong does not make times wrong", async () => {
    const one = await on.person();
    await one.context.clock.install({ time: Date.now() - 5 * 3_600_000 });
    const cleo = await (await one.open()).signIn("Cleo");
    const at = (ms) => new Date(Date.now() + ms).toISOString();
    await publish(on.server, on.root, [
      { recipient: "user/cleo", title: "now" },
      { recipient: "user/cleo", title: "earlier", createdAt: at(-2 * 3_600_000 - 60_000) },
      { recipient: "user/cleo", title: "later", createdAt: at(3_600_000) },
    ]);
    await cleo.has(3);
    assert.deepEqual(await cleo.page.locator(".item-time").allTextContents(), ["just now", "2 hr. ago", "just now"]);
  });

  test("a token that is refused leads back to signing in", async () => {
    const one = await on.person();
    const cleo = await one.open();
    await cleo.page.route("**/dev/token", (route) => route.fulfill({ status: 404, json: { error: "no such demo user" } }));
    await cleo.page.getByRole("button", { name: "Cleo" }).click();
    await cleo.page.locator("#sign-in-problem", { hasText: "Cleo Costa cannot sign in: no such demo user" }).waitFor();
    await cleo.page.unroute("**/dev/token");
    await cleo.signIn("Cleo");
    forgive(one, /status of 404/);
  });

  test("a token that has run out, and a server that is not ready, pass", async () => {
    const one = await on.person();
    const cleo = await one.open();
    const answers = [{ status: 503, body: "The server is reading its log. Try again." }, { status: 200, json: { token: "run.out.token", user: {} } }];
    await cleo.page.route("**/dev/token", (route) => (answers.length ? route.fulfill(answers.shift()) : route.continue()));
    await cleo.signIn("Cleo");
    forgive(one, /status of (503|401)/);
  });

  test("a server that is killed: the page comes back, and nothing is missing", async () => {
    const one = await on.person();
    const cleo = await (await one.open()).signIn("Cleo");
    await publish(on.server, on.root, { recipient: "user/cleo", title: "before" });
    await cleo.has(1);
    await cleo.page.locator("#hood-acked", { hasText: "…" }).waitFor();
    await on.server.kill9();
    await cleo.state("Reconnecting");
    on.server = await startServer({ data: on.server.data, http: on.server.http });
    await publish(on.server, on.root, [{ recipient: "user/cleo", title: "meanwhile" }, { recipient: "role/sales", title: "for sales" }]);
    await cleo.state("Live");
    assert.deepEqual(await cleo.has(3), ["for sales", "meanwhile", "before"]);
    forgive(one, /ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE|WebSocket connection to|status of 503/);
  });
});
