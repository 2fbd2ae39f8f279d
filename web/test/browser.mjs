// A browser for the tests, and the demo page as a person sees it.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, afterEach, before, beforeEach } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { publish, startServer, token } from "./server.mjs";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** How long anything on the page may take. */
const WITHIN = 15_000;

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});

/**
 * What the tests of one file have in common, called inside of their describe: a
 * server for each test, for inboxes are kept there, a token of an admin (root),
 * and people, each with a browser of their own, who leave after the test and
 * must have had nothing to complain of.
 */
export function stage() {
  const on = {
    people: [],
    async person(options) {
      const one = await person(browser, on.server, options);
      on.people.push(one);
      return one;
    },
    /** Somebody with a browser of their own, signed in. */
    async comes(name, options) {
      const one = await on.person(options);
      return (await one.open()).signIn(name);
    },
    /** Somebody with two tabs. Each is a device of its own. */
    async twice(name, options) {
      const one = await on.person(options);
      const tabs = [await one.open(), await one.open()];
      for (const tab of tabs) await tab.signIn(name);
      return tabs;
    },
    /** An event of root's. */
    send: (recipient, title, rest = {}) => publish(on.server, on.root, { recipient, title, ...rest }),
    /** Several for one recipient, in order. */
    sendAll: (recipient, titles) => publish(on.server, on.root, titles.map((title) => ({ recipient, title }))),
  };
  let browser;
  before(async () => { browser = await launch(); });
  after(() => browser?.close());
  beforeEach(async () => {
    on.people.length = 0;
    on.server = await startServer();
    on.root = token(on.server.data, "root", ["admin"]);
  });
  afterEach(async () => {
    for (const one of on.people) await one.close();
    await on.server.stop();
    for (const { complaints } of on.people) assert.deepEqual(complaints, []);
  });
  return on;
}

/**
 * A person at a browser of their own. complaints collects what must not
 * happen in any of its pages, those that links open too: violations of the
 * content security policy, errors of scripts, errors on the console, dialogs
 * of the browser.
 */
export async function person(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(WITHIN);
  const complaints = [];
  context.on("weberror", (error) => complaints.push(`error: ${error.error().message}`));
  context.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()} ${message.location().url}`));
  context.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  await context.exposeBinding("complain", (_, text) => complaints.push(text));
  await context.addInitScript(() => {
    window.toasted = []; // the titles of all toasts there ever were
    const toasts = ({ addedNodes }) => [...addedNodes].filter((node) => node.matches?.(".toast"));
    new MutationObserver((changes) => {
      for (const toast of changes.flatMap(toasts)) window.toasted.push(toast.querySelector(".toast-title").textContent);
    }).observe(document, { childList: true, subtree: true });
    document.addEventListener("securitypolicyviolation", (e) => window.complain(`CSP ${e.violatedDirective}: ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  const open = async () => {
    const page = await context.newPage();
    await page.goto(server.url);
    return new Demo(page, server);
  };
  return { context, complaints, open, close: () => context.close() };
}

/** The demo page. */
export class Demo {
  constructor(page, server) {
    this.page = page;
    this.server = server;
  }

  async signIn(name) {
    await this.page.getByRole("button", { name }).click();
    await this.state("Live");
    return this;
  }

  /** Waits for the state of the connection. */
  async state(text) {
    await this.page.locator("#state", { hasText: text }).waitFor();
  }

  /** Opens the feed unless it is open. */
  async feed() {
    const bell = this.page.locator("#bell");
    if (await bell.getAttribute("aria-expanded") === "false") await bell.click();
    return this.page.locator("#feed");
  }

  item(title) {
    return this.page.locator(".item", { has: this.page.getByRole("heading", { name: title, exact: true, includeHidden: true }) });
  }

  /** The titles in the feed, newest first, whether it is open or not. */
  titles() {
    return this.page.locator(".item-title").allTextContents();
  }

  /** Waits until the feed has so many items, and returns their titles. */
  async has(count) {
    await eventually(async () => assert.equal(await this.page.locator(".item").count(), count));
    return this.titles();
  }

  /** Waits until the feed shows these, newest first; "• " stands before what is unread. */
  shows(...want) {
    return eventually(async () => {
      const items = await this.page.locator(".item").evaluateAll((all) => all.map((e) => (e.hasAttribute("data-unread") ? "• " : "") + e.querySelector(".item-title").textContent));
      assert.deepEqual(items, want);
    });
  }

  /** Chooses what the feed shows: Inbox, Unread, Read, Archived, Everything. */
  async view(name) {
    await this.page.locator("#filter-view").selectOption({ label: name });
  }

  /** The toast of that title, while it is there. */
  toast(title) {
    return this.page.locator(".toast", { hasText: title });
  }

  /** Waits until there was a toast for each of these, and returns the titles of all there were. */
  async toasted(...titles) {
    return eventually(async () => {
      const all = await this.page.evaluate(() => window.toasted);
      for (const title of titles) assert.ok(all.includes(title), `no toast for ${title} among ${all}`);
      return all;
    });
  }

  /** Opens the settings of alerts. */
  async settings() {
    await this.feed();
    await this.page.getByRole("button", { name: "Mutes and quiet hours" }).click();
  }

  /** Presses a button of an item: Mark as read, Archive, Mute, Recall and so on. */
  async press(title, button) {
    await this.item(title).getByRole("button", { name: new RegExp(`(^|\\. )${button}: `) }).click();
  }

  /** to: Myself, A person, A role, A group, Everyone. fields: of the parts that are folded, by their ids. */
  async emit({ to = "Myself", key, title, body, severity, times, ...fields }) {
    const form = this.page.locator("#emit");
    for (const [id, value] of Object.entries(fields)) {
      const field = this.page.locator(`#${id}`);
      await field.evaluate((e) => { e.closest("details").open = true; });
      await (await field.evaluate((e) => e.tagName === "SELECT") ? field.selectOption(value) : field.fill(value));
    }
    await form.getByRole("radio", { name: to }).check({ force: true });
    if (key) await this.page.locator("#key").fill(key);
    await form.getByRole("textbox", { name: "Title" }).fill(title);
    if (body !== undefined) await form.getByRole("textbox", { name: "Text" }).fill(body);
    if (severity) await form.getByRole("radio", { name: severity }).check({ force: true });
    if (times) await form.getByRole("combobox", { name: "How many" }).selectOption(times);
    await form.getByRole("button", { name: "Send" }).click();
  }

  /** Waits until the bell says so, and, if it is given, how much is new. */
  async bell(name, isNew) {
    await this.page.locator(`#bell[aria-label="Notifications, ${name}"]`).waitFor({ state: "attached" });
    if (isNew !== undefined) await eventually(async () => assert.equal(await this.page.locator("#bell-new").textContent(), isNew));
  }

  screenshot(name) {
    return picture(this.page, name);
  }
}

const artifacts = fileURLToPath(new URL("../../artifacts/", import.meta.url));

/** A picture of a page, to look at: artifacts/NAME.png. */
export async function picture(page, name, options) {
  mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: `${artifacts}${name}.png`, ...options });
}

/** Repeats a check until it passes; its last failure is the test's. */
export async function eventually(check, within = WITHIN) {
  const end = performance.now() + within;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await new Promise((resolve) => { setTimeout(resolve, 25); });
  }
}
