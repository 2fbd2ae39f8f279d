// A real OpenTelemetry collector (bin/collector, by `make collector`) with the
// configuration that we ship, of which a test changes what it must: where it
// listens, that nothing is left out, and that what it gathers goes into files.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const path = (of) => fileURLToPath(new URL(`../../${of}`, import.meta.url));
const READY = /Everything is ready/;
const READY_WITHIN = 20_000;

/** An address of this machine that was free a moment ago. */
export async function free() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return `127.0.0.1:${port}`;
}

/**
 * Starts it and waits until it takes spans.
 *
 * @param {{ops: string}} to  the operators' listener that it passes spans of others on to
 * @returns {Promise<{endpoint: string, spans: () => object[], passedOn: () => object[], metrics: () => string[], stop: () => Promise<void>}>}
 *   spans are those of all, as they came, with their service; passedOn those that went to the listener
 */
export async function startCollector({ ops }) {
  const dir = mkdtempSync(join(tmpdir(), "tidings-collector-"));
  const [http, grpc] = [await free(), await free()];
  const file = (name) => ({ path: join(dir, name), flush_interval: "50ms" });
  writeFileSync(join(dir, "test.yaml"), JSON.stringify({ // which is YAML
    receivers: { otlp: { protocols: { http: { endpoint: http }, grpc: { endpoint: grpc } } } },
    processors: { tail_sampling: { decision_wait: "1s", policies: [{ name: "all", type: "always_sample" }] }, batch: { timeout: "20ms" } },
    exporters: { "file/all": file("all"), "file/passed-on": file("passed-on"), "file/metrics": file("metrics") },
    service: {
      telemetry: { metrics: { level: "none" } }, // else it listens for Prometheus
      pipelines: {
        traces: { exporters: ["file/all"] },
        "traces/console": { exporters: ["otlp_http/console", "file/passed-on"] },
        metrics: { exporters: ["file/metrics"] },
      },
    },
  }));
  const child = spawn(path("bin/collector"), ["--config", path("deploy/observability/collector.yaml"), "--config", join(dir, "test.yaml")], {
    env: { PATH: process.env.PATH, TIDINGS_OPS: `http://${ops}`, TIDINGS_TOKEN: "" }, stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  const lastResort = () => child.kill("SIGKILL");
  process.once("exit", lastResort);
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    process.removeListener("exit", lastResort);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await ready(child, ended);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    endpoint: `http://${http}`,
    spans: () => spansIn(join(dir, "all")),
    passedOn: () => spansIn(join(dir, "passed-on")),
    metrics: () => lines(join(dir, "metrics")).flatMap(({ resourceMetrics }) => resourceMetrics).flatMap(({ scopeMetrics }) => scopeMetrics).flatMap(({ metrics }) => metrics).map(({ name }) => name),
    stop,
  };
}

/** What it logs is its last word if it ends before it is ready. */
async function ready(child, ended) {
  let log = "";
  let timer;
  const up = new Promise((resolve) => {
    child.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
      if (READY.test(log)) resolve();
    });
  });
  const down = ended.then((why) => Promise.reject(new Error(`the collector ended before it was ready: ${why?.message ?? why}\n${log}`)));
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`the collector was not ready in time\n${log}`)), READY_WITHIN); });
  await Promise.race([up, down, late]).finally(() => clearTimeout(timer));
}

/** The whole lines of a file of the collector; the last one may be a part. */
function lines(file) {
  const text = readFileSync(file, "utf8");
  return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

function spansIn(file) {
  return lines(file).flatMap(({ resourceSpans }) => resourceSpans).flatMap(({ resource, scopeSpans }) => {
    const service = resource.attributes.find(({ key }) => key === "service.name").value.stringValue;
    return scopeSpans.flatMap(({ spans }) => spans).map((one) => ({ ...one, service }));
  });
}
