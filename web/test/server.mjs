// Starts the real server for a test, and ends it.
//
//   const server = await startServer();
//   const ann = token(server.data, "ann", ["emitter"]);
//   await publish(server, ann, { recipient: "user/bob", title: "Hello" });
//   await server.stop();
//
// The program is $TIDINGS_BIN, by default bin/tidings in the root of the
// repository. It is one process, ended by its own pid: by stop, by kill9, or at
// the latest when the test process exits.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The program under test. */
export const bin = process.env.TIDINGS_BIN ?? fileURLToPath(new URL("../../bin/tidings", import.meta.url));

const READY = /^tidings ready http=(\S+) ops=(\S+) nats=(\S+) position=(\d+)$/;
const READY_WITHIN = 30_000;
const STOP_WITHIN = 40_000; // a little more than the server's own --drain-timeout

/**
 * @typedef {object} Server
 * @property {string} url       "http://HOST:PORT", for browsers and emitters
 * @property {string} http      "HOST:PORT" of the same
 * @property {string} ops       "HOST:PORT" for operators: /readyz, /metrics
 * @property {string} nats      "HOST:PORT" of the embedded NATS server, or "off"
 * @property {number} position  end of the log when it was ready
 * @property {string} data      its data directory
 * @property {number} pid
 * @property {() => string} log                    what it wrote to standard error
 * @property {() => Promise<number|null>} stop     SIGTERM; the exit code. Removes a data directory it made itself
 * @property {() => Promise<void>} kill9           SIGKILL; the data directory stays while the test runs, so that it can be started again
 */

/**
 * Starts `tidings serve --dev` and waits until it is ready. Ports of its own
 * choice and a new data directory, unless told otherwise; to start a server
 * again after kill9, give the `data` and the `http` of the old one.
 *
 * @param {{args?: string[], data?: string, http?: string, ops?: string, nats?: string, env?: object}} [o]
 * @returns {Promise<Server>}
 */
export async function startServer({ args = [], data, http = "127.0.0.1:0", ops = "127.0.0.1:0", nats = "off", env = {} } = {}) {
  const dir = data ?? mkdtempSync(join(tmpdir(), "tidings-test-"));
  const child = spawn(
    bin,
    ["serve", "--dev", "--http", http, "--ops", ops, "--nats-listen", nats, "--data", dir, ...args],
    { env: { ...environment(), ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const exited = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  const lastResort = () => child.kill("SIGKILL");
  process.once("exit", lastResort);
  exited.then(() => process.removeListener("exit", lastResort));

  const log = [];
  child.stderr.setEncoding("utf8").on("data", (text) => log.push(text));
  const removeData = () => data ?? rmSync(dir, { recursive: true, force: true });
  process.once("exit", removeData);
  try {
    const ready = await within(READY_WITHIN, readyLine(child, exited), "the server was not ready in time");
    return {
      url: `http://${ready[1]}`, http: ready[1], ops: ready[2], nats: ready[3], position: Number(ready[4]),
      data: dir, pid: child.pid,
      log: () => log.join(""),
      async stop() {
        child.kill("SIGTERM");
        const code = await within(STOP_WITHIN, exited, "the server did not stop in time");
        removeData();
        process.removeListener("exit", removeData);
        return code;
      },
      async kill9() {
        child.kill("SIGKILL");
        await exited;
      },
    };
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    removeData();
    throw new Error(`${error.message}\n${log.join("")}`, { cause: error });
  }
}

/** The environment without the settings of a server that the developer may have, and without TIDINGS_BIN. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_")));
}

/** Waits for the one line that says where the server listens. */
async function readyLine(child, exited) {
  const lines = createInterface({ input: child.stdout });
  const found = new Promise((resolve) => lines.on("line", (line) => READY.test(line) && resolve(READY.exec(line))));
  const ended = exited.then((why) => Promise.reject(new Error(`the server ended before it was ready: ${why?.message ?? why}`)));
  return Promise.race([found, ended]);
}

async function within(ms, promise, problem) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(problem)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * A token that the server on this data directory accepts, good for a day.
 *
 * @param {string} data  @param {string} user  @param {string[]} [roles]
 */
export function token(data, user, roles = []) {
  const args = ["token", "--data", data, "--user", user, ...roles.flatMap((role) => ["--role", role])];
  return execFileSync(bin, args, { encoding: "utf8", env: environment() }).trim();
}

/**
 * Emits one event, or an array of up to 1,000 in order, over HTTP.
 *
 * @param {Server} server  @param {string} bearer  @param {object|object[]} events  each with a recipient
 * @returns {Promise<{id: string, position: number}|{id: string, position: number}[]>} once they are stored, or scheduled
 */
export async function publish(server, bearer, events) {
  const response = await fetch(`${server.url}/v1/notifications`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${bearer}` },
    body: JSON.stringify(events),
  });
  if (response.status !== 200 && response.status !== 202) throw new Error(`publish: ${response.status} ${await response.text()}`);
  return response.json();
}
