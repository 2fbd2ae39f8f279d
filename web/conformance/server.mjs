// Starts the conformance program for one file of tests, and ends it.
//
//   const server = await startConformance();
//   const bearer = mint({ sub: "ann", role: ["admin"] });
//   await server.stop();
//
// The program is $CONFORMANCE_BIN, by default bin/conformance in the root of
// the repository. With $CONFORMANCE_URL the suite talks to a server that is
// there already, whoever made it, as long as it keeps the contract.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The program under test. */
export const bin = process.env.CONFORMANCE_BIN ?? fileURLToPath(new URL("../../bin/conformance", import.meta.url));

export const MAIN = "/hubs/conformance";
export const AUTH = "/hubs/conformance-auth";
export const REDIRECT = "/hubs/conformance-redirect";

const SECRET = "conformance-secret-key-0123456789abcdef";
const READY = /^conformance ready http=(\S+)$/;
const READY_WITHIN = 30_000;
const STOP_WITHIN = 20_000;

/**
 * @typedef {object} Server
 * @property {string} url   "http://HOST:PORT"
 * @property {string} host  "HOST:PORT"
 * @property {() => string} log                  what it wrote to standard error
 * @property {() => Promise<number|null>} stop   SIGTERM; the exit code
 */

/** Starts the program on a port of its own choice and waits until it is ready. @returns {Promise<Server>} */
export async function startConformance() {
  if (process.env.CONFORMANCE_URL) {
    const url = process.env.CONFORMANCE_URL.replace(/\/$/, "");
    return { url, host: new URL(url).host, log: () => "", stop: async () => 0 };
  }
  const child = spawn(bin, ["-http", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  const lastResort = () => child.kill("SIGKILL");
  process.once("exit", lastResort);
  exited.then(() => process.removeListener("exit", lastResort));
  const log = [];
  child.stderr.setEncoding("utf8").on("data", (text) => log.push(text));
  try {
    const host = await within(READY_WITHIN, readyLine(child, exited), "the server was not ready in time");
    return {
      url: `http://${host}`, host,
      log: () => log.join(""),
      async stop() {
        child.kill("SIGTERM");
        try {
          return await within(STOP_WITHIN, exited, "the server did not stop in time");
        } catch (error) {
          child.kill("SIGQUIT"); // a Go program then says where it is stuck
          await within(5000, exited, "").catch(() => child.kill("SIGKILL"));
          throw new Error(`${error.message}\n${log.join("")}`, { cause: error });
        }
      },
    };
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    throw new Error(`${error.message}\n${log.join("")}`, { cause: error });
  }
}

async function readyLine(child, exited) {
  const found = new Promise((resolve) => createInterface({ input: child.stdout }).on("line", (line) => {
    const match = READY.exec(line);
    if (match) resolve(match[1]);
  }));
  const ended = exited.then((why) => Promise.reject(new Error(`the server ended before it was ready: ${why?.message ?? why}`)));
  return Promise.race([found, ended]);
}

async function within(ms, promise, problem) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(problem)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The whole second that lies at least so many seconds ahead, as `exp` has it. */
export const inSeconds = (n) => Math.ceil(Date.now() / 1000 + n);

/** Signs claims as the contract says; good for an hour unless `exp` says otherwise. */
export function mint(claims, { secret = SECRET, alg = "HS256" } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg, typ: "JWT" })}.${part({ exp: inSeconds(3600), ...claims })}`;
  if (alg === "none") return `${signed}.`;
  return `${signed}.${createHmac(`sha${alg.slice(2)}`, secret).update(signed).digest("base64url")}`;
}
