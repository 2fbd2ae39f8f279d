// Bundles the pages into dist/, which is embedded into the program: the demo
// page into dist/ itself, the console into dist/console/. Each is index.html,
// NAME-HASH.js, NAME-HASH.css, and a .gz beside each.

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { licences } from "./licences.mjs";

const here = new URL("./", import.meta.url);
const dist = new URL("dist/", here);

/** By name: the folder that a page goes into. It comes from the folder of its name. */
const pages = { demo: dist, console: new URL("console/", dist) };

/** Removes what an earlier build made; the placeholder for builds without pages stays. */
async function clean() {
  for (const name of await readdir(dist)) {
    if (name !== ".gitkeep") await rm(new URL(name, dist), { recursive: true });
  }
}

/** Returns the names of the bundles: {js: "demo-HASH.js", css: "demo-HASH.css"}. */
async function bundle(page, into) {
  const { metafile } = await build({
    absWorkingDir: here.pathname,
    entryPoints: [{ in: `${page}/app.js`, out: page }, { in: `${page}/${page}.css`, out: page }],
    entryNames: "[name]-[hash]",
    outdir: into.pathname,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome123", "firefox121", "safari17.5"], // as the pages need: light-dark(), :has()
    legalComments: "inline",
    banner: { js: licences[page] },
    metafile: true,
    logLevel: "warning",
  });
  return Object.fromEntries(Object.keys(metafile.outputs).map((path) => [path.split(".").pop(), basename(path)]));
}

async function writePage(page, into, { js, css }) {
  const source = await readFile(new URL(`${page}/index.html`, here), "utf8");
  const linked = source.replace("./app.js", `./${js}`).replace(`./${page}.css`, `./${css}`).replaceAll(/^\s+/gm, "");
  if (!linked.includes(js) || !linked.includes(css)) throw new Error(`${page}/index.html links neither ./app.js nor ./${page}.css`);
  await writeFile(new URL("index.html", into), linked);
  return ["index.html", js, css];
}

async function pack(into, names) {
  for (const name of names) {
    const plain = await readFile(new URL(name, into));
    const packed = gzipSync(plain, { level: 9 });
    await writeFile(new URL(`${name}.gz`, into), packed);
    console.log(`${name.padEnd(24)} ${String(plain.length).padStart(7)} bytes, ${packed.length} packed`);
  }
}

await clean();
for (const [page, into] of Object.entries(pages)) {
  await mkdir(into, { recursive: true });
  await pack(into, await writePage(page, into, await bundle(page, into)));
}
