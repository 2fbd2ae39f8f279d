// A small line of the last values.

const POINTS = 60;
/** A line that begins is as long as if it had so many values. */
const FIRST_POINTS = 12;
const WIDTH = 120;
const HEIGHT = 32;
const MARGIN = 3;

export class Chart {
  values = [];
  #svg;

  constructor(svg) {
    this.#svg = svg;
  }

  /** format makes a value readable, for the text that stands for the picture. */
  push(value, name, format) {
    this.values.push(value);
    if (this.values.length > POINTS) this.values.shift();
    const low = Math.min(...this.values);
    const high = Math.max(...this.values);
    const points = this.values.map((v, i) => `${this.#x(i)} ${y(v, low, high)}`).join("L");
    const line = this.values.length > 1 ? `M${points}` : `M${points}h0`;
    this.#svg.querySelector(".chart-line").setAttribute("d", line);
    this.#svg.querySelector(".chart-area").setAttribute("d", `M${points}V${HEIGHT}H${this.#x(0)}Z`);
    this.#svg.setAttribute("aria-label",
      `${name}: the last ${this.values.length} values lie between ${format(low)} and ${format(high)}; the latest is ${format(value)}.`);
  }

  /** The latest is at the right. */
  #x(i) {
    const step = WIDTH / (Math.max(this.values.length, FIRST_POINTS) - 1);
    return round(WIDTH - (this.values.length - 1 - i) * step);
  }
}

/** A line that does not move runs through the middle. */
const y = (value, low, high) => round(high === low ? HEIGHT / 2 : HEIGHT - MARGIN - ((value - low) / (high - low)) * (HEIGHT - 2 * MARGIN));

const round = (n) => Math.round(n * 10) / 10;
