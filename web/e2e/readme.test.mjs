// The snippets of the README are run as they stand there, with the addresses of
// the server under test in place of the default ones; and the examples run.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as signalR from "@microsoft/signalr";
import { startServer, token } from "../test/server.mjs";
import { connect, hears, live, until } from "./client.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const work = mkdtempSync(join(tmpdir(), "tidings-readme-"));

/** The code block behind <!-- tested: name -->. */
function snippet(name) {
  const found = new RegExp(`<!-- tested: ${name} -->\\n\`\`\`[a-z]+\\n([^]*?)\\n\`\`\``).exec(readme);
  assert.ok(found, `README has a snippet ${name}`);
  return found[1];
}

let server;
let ann;
before(async () => {
  server = await startServer({ nats: "127.0.0.1:0" });
  ann = await connect(server.url, token(server.data, "ann"));
  await live(ann);
});
after(async () => {
  await ann.stop();
  await server.stop();
});

const here = (text) => text.replaceAll("127.0.0.1:8080", server.http).replaceAll("127.0.0.1:4222", server.nats);

test("README: curl", async () => {
  const answer = execFileSync("sh", ["-c", here(snippet("curl"))], {
    encoding: "utf8", env: { ...process.env, TOKEN: token(server.data, "shop", ["emitter"]) },
  });
  const { position } = JSON.parse(answer);
  await hears(ann, position);
  assert.equal(ann.heard.at(-1).title, "Order shipped");
});

test("README: nats", async () => {
  // The nats CLI is no part of the tests' installation: this stands for its
  // `pub`, which writes the payload to the subject and nothing else.
  const shim = `#!/bin/sh
[ "$1" = pub ] && [ "$2" = -s ] || exit 2
exec ${process.execPath} --input-type=module -e '
  import { natsPublish } from "${new URL("client.mjs", import.meta.url)}";
  const [url, subject, payload] = process.argv.slice(1);
  await natsPublish(new URL(url).host, subject, payload);
' "$3" "$4" "$5"
`;
  writeFileSync(join(work, "nats"), shim, { mode: 0o755 });
  const before = ann.heard.length;
  execFileSync("sh", ["-c", here(snippet("nats"))], { env: { ...process.env, PATH: work + delimiter + process.env.PATH } });
  await until("heard", () => ann.heard.length > before);
  assert.equal(ann.heard.at(-1).title, "Order shipped");
});

test("README: Go, which is what docs/examples/emit does", async () => {
  const source = readFileSync(join(root, "docs/examples/emit/main.go"), "utf8");
  assert.ok(source.includes(`\t${snippet("go")}\n`), "the line stands in docs/examples/emit/main.go");
  const out = execFileSync("go", ["run", "./docs/examples/emit", "-nats", `nats://${server.nats}`, "-to", "user/ann", "-title", "from Go"], { cwd: root, encoding: "utf8" });
  await hears(ann, Number(out));
  assert.equal(ann.heard.at(-1).title, "from Go");
});

test("README: the stock client", async () => {
  const AsyncFunction = (async () => {}).constructor;
  const shown = [];
  const run = (device) => new AsyncFunction("signalR", "server", "device", "accessTokenFactory", "show", `${snippet("client")}\nreturn connection;`)(
    signalR, server.url, device, () => token(server.data, "ann"), (n) => shown.push(n.title));
  let connection = await run("reader");
  await ann.connection.invoke("SendToSelf", { title: "one" });
  await until("shown", () => shown.includes("one"));
  await until("acknowledged", async () => (await connection.invoke("Ack", ann.heard.at(-1).cursor), true));
  await connection.stop();
  await ann.connection.invoke("SendToSelf", { title: "two" });
  connection = await run("reader");
  await until("replayed", () => shown.includes("two"));
  assert.deepEqual(shown, ["one", "two"]);
  await connection.stop();
});

test("docs/examples/livedashboard: a hub of one's own", async () => {
  const binary = join(work, "livedashboard");
  execFileSync("go", ["build", "-o", binary, "./docs/examples/livedashboard"], { cwd: root });
  const child = spawn(binary, ["-http", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  try {
    const address = await new Promise((resolve) => createInterface({ input: child.stdout }).on("line", (line) => resolve(line.split("http=")[1])));
    const build = () => new signalR.HubConnectionBuilder().withUrl(`http://${address}/hubs/dashboard`).configureLogging(signalR.LogLevel.None).build();
    const [one, two] = [build(), build()];
    const joined = [];
    const metrics = [];
    const connected = [];
    one.on("UserJoined", (id) => joined.push(id));
    one.on("Connected", (id) => connected.push(id));
    one.on("ReceiveMetric", (m) => metrics.push(m));
    await one.start();
    await two.start();
    await one.invoke("JoinDashboard", "main");
    await two.invoke("JoinDashboard", "main");
    await two.invoke("SendMetric", "main", "load", 0.7);
    await until("heard", () => joined.length === 1 && metrics.some((m) => m.name === "load" && m.value === 0.7) && metrics.some((m) => m.name === "Goroutines"));
    assert.deepEqual(connected, [one.connectionId]);
    assert.deepEqual(joined, [two.connectionId]);
    await assert.rejects(two.invoke("SendMetric", "main", "", 1), /HubException: a metric needs a name/);
    await Promise.all([one.stop(), two.stop()]);
  } finally {
    child.kill("SIGINT");
    assert.equal(await exited, 0);
  }
});
