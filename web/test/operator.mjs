// The console as an operator sees it, and what all of its pages are held to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before } from "node:test";
import { eventually, launch, person, picture } from "./browser.mjs";
import { publish, startServer, token } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ALL = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
export const COLOURS = { runOnly: { type: "rule", values: ["color-contrast"] } };
export const REST = { ...ALL, rules: { "color-contrast": { enabled: false } } };

/**
 * What the tests of one file have in common, called inside of their describe: a
 * server, unless options is null, a token of an admin (root), and people, each
 * with a browser of their own, who leave after the test unless they stay, and
 * must have had nothing to complain of.
 */
export function office(options = {}) {
  const people = [];
  const staying = [];
  const on = {
    people,
    /**
     * Somebody with a browser. at says which server it looks at, stays that it is
     * there for all tests.
     */
    async person({ at = on.server, stays = false, ...rest } = {}) {
      const one = await person(browser, at, { reducedMotion: "reduce", ...rest });
      (stays ? staying : people).push(one);
      return one;
    },
    /** Somebody at a page of the console. */
    async operator(path, rest) {
      const one = await on.person(rest);
      return new Desk(await one.context.newPage(), rest?.at ?? on.server).open(path);
    },
    /** Somebody at the demo page, signed in. */
    async comes(name, rest) {
      const one = await on.person(rest);
      return (await one.open()).signIn(name);
    },
    /** All leave, before a server ends that they look at; not those who stay. */
    async leave() {
      const leaving = people.splice(0);
      for (const one of leaving) await one.close();
      for (const { complaints } of [...leaving, ...staying]) assert.deepEqual(complaints.splice(0), []);
    },
    /** Emits as root; returns what publish does. */
    send: (events) => publish(on.server, on.root, events),
  };
  let browser;
  before(async () => {
    browser = await launch();
    if (!options) return;
    on.server = await startServer({ nats: "127.0.0.1:0", ...options });
    on.root = token(on.server.data, "root", ["admin"]);
  });
  afterEach(() => on.leave());
  after(async () => {
    await browser?.close();
    await on.server?.stop();
  });
  return on;
}

/** The console in a window. */
export class Desk {
  constructor(page, server) {
    this.page = page;
    this.server = server;
  }

  /** Opens a page of the console, such as "user/ann?explain=e1", and waits until it has what it asked for. */
  async open(path = "overview") {
    await this.page.goto(`http://${this.server.ops}/console/#/${path}`);
    return this.settled();
  }

  async settled() {
    await this.page.locator("#bar .state", { hasText: "Live" }).waitFor();
    await this.page.locator("#page h1").first().waitFor();
    await eventually(async () => assert.equal(await this.page.getByText(/^(Loading|Looking)…$/).count(), 0));
    return this;
  }

  heading() {
    return this.page.locator("#page h1").first();
  }

  button(name) {
    return this.page.locator("#page").getByRole("button", { name });
  }

  dialog() {
    return this.page.getByRole("dialog");
  }

  /** Waits for a line that says what was done. */
  says(text) {
    return this.page.locator("#said", { hasText: text }).waitFor();
  }

  /** As one of the people of a development server. */
  async signIn(name) {
    await this.page.locator("#bar").getByRole("button", { name: "Sign in" }).click();
    await this.dialog().getByRole("button", { name }).click();
    await this.dialog().waitFor({ state: "detached" });
    await this.page.locator("#bar").getByRole("button", { name: "Sign out" }).waitFor();
  }

  /** Presses a button of the page, fills the dialog that asks, by labels, and confirms. */
  async act(button, confirm, fields) {
    await this.button(button).first().click();
    await this.fill(confirm, fields);
  }

  async fill(confirm, fields = {}) {
    for (const [label, value] of Object.entries(fields)) await this.dialog().getByLabel(label).fill(value);
    await this.dialog().getByRole("button", { name: confirm, exact: true }).click();
  }

  /** All that the page says, the values of its fields included. */
  words() {
    return this.page.evaluate(() => {
      const said = [];
      const read = (node) => {
        if (node.nodeType === Node.TEXT_NODE) said.push(node.data);
        if (node.nodeType !== Node.ELEMENT_NODE || node.matches("style, script")) return;
        if (node.matches("input, textarea")) said.push(node.value);
        for (const child of node.shadowRoot?.childNodes ?? node.childNodes) read(child);
      };
      read(document.body);
      return said.join("");
    });
  }

  /** What nobody but the console itself may have made: programs, frames, pictures, handlers, links to anything but pages. */
  foreign() {
    return this.page.evaluate(() => {
      const found = [];
      const look = (root) => {
        for (const e of root.querySelectorAll("*")) {
          if (e.matches("script, iframe, frame, object, embed, img, image, video, audio, base, meta, link, math, foreignObject, marquee")) found.push(e.outerHTML.slice(0, 100));
          for (const { name, value } of e.attributes) {
            if (/^on/i.test(name) || (/^(href|src|srcset|action|formaction|xlink:href|data|ping|poster)$/i.test(name) && !/^(https?:\/\/|#)/.test(value))) found.push(`${e.localName} ${name}=${value.slice(0, 100)}`);
          }
          if (e.shadowRoot) look(e.shadowRoot);
        }
      };
      look(document.body);
      if (window.broken !== undefined) found.push("a program of somebody else has run");
      return found;
    });
  }

  /**
   * No violation of WCAG 2.2 AA, and of what axe-core holds good beyond it: of
   * all of it, of COLOURS only, or of the REST. Colours take it half of its time.
   */
  async accessible(what, rules = ALL) {
    if (!await this.page.evaluate(() => "axe" in window)) await this.page.evaluate(axe); // as an expression: the page lets no foreign script in
    const { violations } = await this.page.evaluate((options) => window.axe.run(document, options), rules);
    assert.deepEqual(violations.map(({ id, nodes }) => `${what} ${id}: ${nodes.map(({ html, any, all, none }) => `${html.slice(0, 300)} ${[...any, ...all, ...none][0]?.message ?? ""}`).join("\n  ")}`), []);
  }

  /** By how many pixels the page is wider than its window. */
  beyond() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  }

  picture(name, options) {
    return picture(this.page, `console-${name}`, options);
  }
}
