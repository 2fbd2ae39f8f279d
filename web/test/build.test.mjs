// What `npm run build` leaves in dist/, and what is committed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url));
const dist = readdirSync(new URL("../dist/", import.meta.url));

test("the page and its bundles are there, each beside its packed form", () => {
  assert.equal(dist.length, 7, dist.join(" "));
  for (const name of [".gitkeep", "index.html"]) assert.ok(dist.includes(name), name);
  for (const name of dist.filter((n) => n.endsWith(".gz"))) {
    assert.deepEqual(gunzipSync(read(`dist/${name}`)), read(`dist/${name.slice(0, -3)}`));
  }
});

test("the page refers to its bundles by hash and holds nothing inline", () => {
  const page = read("dist/index.html").toString();
  for (const kind of ["js", "css"]) {
    const [name] = page.match(new RegExp(`/demo-[A-Z0-9]{8}\\.${kind}`));
    assert.ok(dist.includes(name.slice(1)), name);
  }
  assert.doesNotMatch(page, /<style|<script(?! type="module" src=)|\sstyle=|\son[a-z]+=|javascript:/i);
});

test("the bundle is small, has no source map and names the licence it must", () => {
  const js = dist.find((name) => name.endsWith(".js"));
  assert.ok(read(`dist/${js}.gz`).length < 40_000);
  const text = read(`dist/${js}`).toString();
  assert.doesNotMatch(text, /sourceMappingURL/);
  assert.match(text, /@microsoft\/signalr.*MIT/);
});

test("no file of the page makes markup of text", () => {
  for (const name of readdirSync(new URL("../demo/", import.meta.url)).filter((n) => n.endsWith(".js"))) {
    assert.doesNotMatch(read(`demo/${name}`).toString(), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
  }
});

test("what is committed names no registry", () => {
  assert.doesNotMatch(read("package-lock.json").toString(), /"resolved"|registry/);
  const { devDependencies } = JSON.parse(read("package.json"));
  for (const version of Object.values(devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
});
