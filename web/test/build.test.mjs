// What `npm run build` leaves in dist/, and what is committed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url));
const list = (folder) => readdirSync(new URL(`../${folder}`, import.meta.url));

for (const { page, folder, files, most, licences } of [
  { page: "demo", folder: "dist/", files: 8, most: 40_000, licences: [/@microsoft\/signalr.*MIT/] },
  { page: "console", folder: "dist/console/", files: 6, most: 90_000, licences: [/@microsoft\/signalr.*MIT/, /uPlot.*MIT/, /lit.*BSD 3-Clause/] },
]) {
  const names = list(folder);

  test(`${page}: the page and its bundles are there, each beside its packed form`, () => {
    assert.equal(names.length, files, names.join(" "));
    assert.ok(names.includes("index.html"));
    for (const name of names.filter((n) => n.endsWith(".gz"))) {
      assert.deepEqual(gunzipSync(read(folder + name)), read(folder + name.slice(0, -3)));
    }
  });

  test(`${page}: the page refers to its bundles by hash and holds nothing inline`, () => {
    const html = read(`${folder}index.html`).toString();
    for (const kind of ["js", "css"]) {
      const [name] = html.match(new RegExp(`\\./${page}-[A-Z0-9]{8}\\.${kind}`));
      assert.ok(names.includes(name.slice(2)), name);
    }
    assert.doesNotMatch(html, /<style|<script(?! type="module" src=)|\sstyle=|\son[a-z]+=|javascript:/i);
  });

  test(`${page}: the bundle is small, has no source map and names the licences it must`, () => {
    const js = names.find((name) => name.endsWith(".js"));
    assert.ok(read(`${folder}${js}.gz`).length < most);
    const code = read(folder + js).toString();
    assert.doesNotMatch(code, /sourceMappingURL/);
    for (const licence of licences) assert.match(code, licence);
  });
}

test("the placeholder for builds without pages stays", () => {
  assert.ok(list("dist/").includes(".gitkeep"));
});

test("no file of the demo page makes markup of text", () => {
  for (const name of list("demo/").filter((n) => n.endsWith(".js"))) {
    assert.doesNotMatch(read(`demo/${name}`).toString(), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
  }
});

test("what is committed names no registry", () => {
  assert.doesNotMatch(read("package-lock.json").toString(), /"resolved"|registry/);
  const { devDependencies } = JSON.parse(read("package.json"));
  for (const version of Object.values(devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
});
