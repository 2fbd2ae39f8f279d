// What stands around the pages of the console: where one is, who one is, what is
// asked before something is done, and what happens when the server goes away.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "./browser.mjs";
import { office } from "./operator.mjs";
import { startServer } from "./server.mjs";

describe("the console", { timeout: 240_000 }, () => {
  const on = office();

  /** The browser tells of each 401. Those are what a test is about. */
  const refusedAsMeant = () => on.people.forEach((one) => one.complaints.splice(0, Infinity, ...one.complaints.filter((text) => !text.includes("401"))));

  test("where one is: title, focus, navigation, and the way back", async () => {
    const desk = await on.operator("overview");
    const { page } = desk;
    await page.getByRole("link", { name: "Connections", exact: true }).click();
    await eventually(async () => assert.equal(await page.title(), "Connections – Tidings console"));
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    assert.equal(await page.locator("[aria-current=page]").textContent(), "Connections");
    const filters = page.getByRole("search");
    await filters.getByLabel("User").fill("nobody & nowhere");
    await filters.getByLabel("User").press("Enter");
    await page.getByText("Nobody is connected to this node.").waitFor();
    assert.equal(new URL(page.url()).hash, "#/connections?user=nobody+%26+nowhere");
    await page.reload();
    await desk.settled();
    assert.equal(await filters.getByLabel("User").inputValue(), "nobody & nowhere");
    await filters.getByRole("button", { name: "Clear" }).click();
    await eventually(async () => assert.equal(new URL(page.url()).hash, "#/connections"));
    assert.equal(await filters.getByLabel("User").inputValue(), "");
    await page.goBack();
    await eventually(async () => assert.equal(await filters.getByLabel("User").inputValue(), "nobody & nowhere"));
    await desk.open("nowhere/at/all");
    await page.getByRole("link", { name: "To the overview" }).click();
    await eventually(async () => assert.equal(await desk.heading().textContent(), "Overview"));
  });

  test("a stranger is told why not, signs in on the spot, and says why", async () => {
    await on.comes("Ann");
    const desk = await on.operator("connections");
    await desk.button("Trace ann").click();
    const ask = desk.dialog().filter({ hasText: "Trace ann" });
    await ask.getByText("To act, sign in").waitFor();
    assert.ok(await ask.getByRole("button", { name: "Trace", exact: true }).isDisabled());
    await ask.getByRole("button", { name: "Sign in" }).click();
    const signIn = desk.dialog().filter({ hasText: "Token" });
    await signIn.getByLabel("Token").fill("no.such.token");
    await signIn.getByRole("button", { name: "Sign in" }).click();
    await signIn.getByText("does not take this token").waitFor();
    await signIn.getByRole("button", { name: /Cleo/ }).click();
    await ask.getByText("cleo may look, but not act").waitFor();
    await ask.getByRole("button", { name: "Sign in" }).click();
    await signIn.getByRole("button", { name: /Root/ }).click();
    await signIn.waitFor({ state: "detached" });
    await ask.getByLabel("Why").fill("   ");
    await ask.getByRole("button", { name: "Trace", exact: true }).click();
    await ask.getByText("Say why.").waitFor();
    await ask.getByLabel("Why").fill("a test of the console");
    await ask.getByRole("button", { name: "Trace", exact: true }).click();
    await desk.says("ann is traced until");
    await desk.open("audit");
    await desk.page.getByText("a test of the console").first().waitFor();
    await desk.page.locator("#bar").getByRole("button", { name: "Sign out" }).click();
    await desk.says("You are signed out.");
    await desk.page.locator("#bar").getByRole("button", { name: "Sign in" }).waitFor();
    refusedAsMeant();
  });

  test("who is not let in signs in, and what was asked for comes", async () => {
    const one = await on.person();
    const page = await one.context.newPage();
    // As a server does that is asked from another machine.
    await page.route("**/console/hub/negotiate*", (route) => (route.request().headers().authorization ? route.continue() : route.fulfill({ status: 401 })));
    await page.goto(`http://${on.server.ops}/console/#/nodes`);
    await page.locator("#bar .state", { hasText: "Offline" }).waitFor();
    const refused = page.locator("#notice").getByRole("alert");
    await refused.getByText("Sign in.").waitFor();
    await refused.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("dialog").getByRole("button", { name: /Root/ }).click();
    await page.getByText("this one").waitFor();
    await refused.waitFor({ state: "detached" });
    refusedAsMeant();
  });

  test("light and dark: what is chosen stays, and charts follow", async () => {
    const desk = await on.operator("overview", { colorScheme: "light" });
    const { page } = desk;
    const chart = page.locator("c-chart canvas").first();
    await chart.waitFor();
    const line = page.locator("c-chart .legend path").first();
    const light = await line.evaluate((e) => getComputedStyle(e).stroke);
    const before = await chart.evaluate((e) => e.toDataURL());
    await page.getByRole("button", { name: "Use the dark theme" }).click();
    assert.notEqual(await line.evaluate((e) => getComputedStyle(e).stroke), light);
    assert.notEqual(await chart.evaluate((e) => e.toDataURL()), before);
    await page.reload();
    await desk.settled();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.getByText("The same as a table").click();
    await page.getByRole("cell", { name: "Resident" }).waitFor();
  });

  test("a server that comes back is watched again", async () => {
    const server = await startServer();
    const desk = await on.operator("overview", { at: server });
    const { page } = desk;
    await page.getByText("All is well").waitFor();
    await server.kill9();
    await page.locator("#bar .state", { hasText: "Reconnecting" }).waitFor();
    await page.getByText("what is shown is from before").waitFor();
    const again = await startServer({ data: server.data, http: server.http, ops: server.ops });
    await page.getByText("All is well").waitFor();
    await desk.open("connections");
    await page.getByText("Nobody is connected to this node.").waitFor();
    await again.stop();
    for (const one of on.people) one.complaints.length = 0; // the browser tells of each attempt that failed
  });
});
