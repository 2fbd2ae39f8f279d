// Bundles the demo page into dist/, which is embedded into the program:
// index.html, demo-HASH.js, demo-HASH.css, and a .gz beside each.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = new URL("./", import.meta.url);
const dist = new URL("dist/", here);

const licences = `/*!
Tidings, Apache-2.0. Holds @microsoft/signalr, (c) .NET Foundation and Contributors, MIT licence:
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions: The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
*/`;

/** Removes what an earlier build made; the placeholder for builds without pages stays. */
async function clean() {
  for (const name of await readdir(dist)) {
    if (name !== ".gitkeep") await rm(new URL(name, dist), { recursive: true });
  }
}

/** Returns the names of the bundles: {js: "demo-HASH.js", css: "demo-HASH.css"}. */
async function bundle() {
  const { metafile } = await build({
    absWorkingDir: here.pathname,
    entryPoints: [{ in: "demo/app.js", out: "demo" }, { in: "demo/demo.css", out: "demo" }],
    entryNames: "[name]-[hash]",
    outdir: "dist",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome123", "firefox121", "safari17.5"], // as the page needs: light-dark(), :has()
    legalComments: "inline",
    banner: { js: licences },
    metafile: true,
    logLevel: "warning",
  });
  return Object.fromEntries(Object.keys(metafile.outputs).map((path) => [path.split(".").pop(), basename(path)]));
}

async function writePage({ js, css }) {
  const page = await readFile(new URL("demo/index.html", here), "utf8");
  const linked = page.replace("./app.js", `/${js}`).replace("./demo.css", `/${css}`).replaceAll(/^\s+/gm, "");
  if (!linked.includes(js) || !linked.includes(css)) throw new Error("index.html links neither ./app.js nor ./demo.css");
  await writeFile(new URL("index.html", dist), linked);
  return ["index.html", js, css];
}

async function pack(names) {
  for (const name of names) {
    const plain = await readFile(new URL(name, dist));
    const packed = gzipSync(plain, { level: 9 });
    await writeFile(new URL(`${name}.gz`, dist), packed);
    console.log(`${name.padEnd(24)} ${String(plain.length).padStart(7)} bytes, ${packed.length} packed`);
  }
}

await clean();
await pack(await writePage(await bundle()));
