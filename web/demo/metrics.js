// The dashboard: metrics of the server and of whoever sends some. They are live
// only: nothing of them is stored or replayed.

import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { $, clip, copy, count, say } from "./dom.js";
import { describe } from "./state.js";
import { words } from "./words.js";

const DASHBOARD = "demo";
const OWN = "Demo";
const BURST = 100;
const MOST_CARDS = 12;

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const METRICS = {
  ActiveConnections: { label: "Connections", unit: "open" },
  EventsPerSecond: { label: "Events", unit: "per second" },
  HeapBytes: { label: "Heap", unit: "MiB", scale: 2 ** -20 },
  Goroutines: { label: "Goroutines", unit: "running" },
  [OWN]: { label: "Demo", unit: "shared by all" },
};

export function showMetrics(session) {
  const cards = new Map();
  const tally = { sent: 0, heard: 0 };
  const joined = { count: 0 };
  $("metrics").replaceChildren();
  for (const name of Object.keys(METRICS)) cards.set(name, new Card(name));

  const connection = new Connection("/hubs/analytics", session, {
    UserJoined: () => {
      joined.count++;
      tell();
    },
    ReceiveMetric: (metric) => {
      const name = String(metric?.name ?? "");
      const value = Number(metric?.value);
      if (!name || !Number.isFinite(value)) return;
      if (!cards.has(name) && cards.size < MOST_CARDS) cards.set(name, new Card(name));
      cards.get(name)?.push(value);
      if (name === OWN) heard(tally);
    },
  });
  const tell = () => {
    const { name } = connection.state;
    $("metrics").toggleAttribute("data-stale", name !== "live");
    const others = joined.count > 1 ? `, ${count(joined.count - 1, "other tab")} joined since` : "";
    say($("dashboard"), name === "live" ? `Every 5 seconds${others}` : describe(connection.state));
  };
  connection.addEventListener("state", () => {
    if (connection.state.name === "live") {
      joined.count = 0;
      connection.invoke("JoinDashboard", DASHBOARD).catch(() => {}); // gone again: the next time
    }
    tell();
  });
  offerMetric(connection, tally);
  tell();
  return connection;
}

class Card {
  #element = copy("t-metric");
  #chart = new Chart(this.#element.querySelector(".chart"));
  #known;

  constructor(name) {
    this.#known = METRICS[name] ?? { label: clip(name), unit: "" };
    this.#element.dataset.metric = name;
    this.#element.querySelector(".metric-name").textContent = this.#known.label;
    this.#element.querySelector(".metric-unit").textContent = this.#known.unit;
    this.#element.querySelector(".chart").setAttribute("aria-label", `${this.#known.label}: no value yet`);
    $("metrics").append(this.#element);
  }

  push(value) {
    const { label, unit, scale = 1 } = this.#known;
    this.#element.toggleAttribute("data-waiting", false);
    say(this.#element.querySelector(".metric-value"), number.format(value * scale));
    this.#chart.push(value * scale, label, (v) => `${number.format(v)} ${unit}`.trim());
  }
}

function offerMetric(connection, tally) {
  const slider = $("metric-value");
  const send = (value) => {
    tally.sent++;
    say($("metric-problem"), "");
    connection.send("SendMetric", OWN, value).catch((error) => say($("metric-problem"), words(error, "send a metric")));
    showTally(tally);
  };
  slider.addEventListener("input", () => {
    $("metric-now").textContent = slider.value;
    send(Number(slider.value));
  });
  $("metric").addEventListener("submit", (event) => {
    event.preventDefault();
    send(Number(slider.value));
  });
  $("metric-burst").addEventListener("click", () => {
    for (let i = 1; i <= BURST; i++) send(i);
    slider.value = $("metric-now").textContent = String(BURST);
  });
}

function heard(tally) {
  tally.heard++;
  if (tally.sent) showTally(tally);
}

const showTally = ({ sent, heard: n }) => say($("metric-tally"), `Sent ${sent}, heard ${n}: at most ten a second, and always the latest.`);
