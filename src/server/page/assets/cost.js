// Latency and accuracy of a model at each width: two charts over one axis.

import { Chart, ceiling } from "./chart.js";
import { at, say } from "./dom.js";
import { duration, percent, three } from "./numbers.js";

const x = { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], write: String };

let charts = [];
let steps = [];
let accuracies = [];

export function build(pick) {
  const y = { from: 0, to: 1, ticks: [], write: String };
  const make = (id) => new Chart(at(id), { height: 138, x, y: { ...y }, pick });
  charts = [make("cost-accuracy"), make("cost-latency")];
}

/** Draws a model of `/models` with its line of `/profile`. */
export function draw(model, profiled) {
  steps = profiled.steps.map(({ width, latency_us: [[, us]] }) => [width, us / 1000]);
  accuracies = model.accuracy.map(({ width, accuracy }) => [width, accuracy]);
  const [accuracy, latency] = charts;
  Object.assign(accuracy.y, { from: 0, to: 1, ticks: [0, 0.5, 1], write: (share) => `${share * 100} %` });
  const top = ceiling(steps.at(-1)[1]);
  Object.assign(latency.y, { from: 0, to: top, ticks: [0, top / 2, top], write: (ms) => (ms === 0 ? "0" : brief(ms)) });
  accuracy.draw([{ kind: "c1", points: accuracies, filled: true }], `Accuracy: ${ends(accuracies, percent)}`);
  latency.draw([{ kind: "c0", points: steps, filled: true }], `Time for one image: ${ends(steps, duration)}`);
  say(at("cost-caption"), caption(accuracies));
}

export function mark(width) {
  charts.forEach((chart) => chart.mark(width));
}

/** What a width costs and is worth, as a sentence. */
export function describe(width) {
  if (steps.length === 0) return "";
  const ms = between(steps, width);
  const share = ms / steps.at(-1)[1];
  const time = share < 1 ? `${duration(ms)} for an image, ${Math.round(share * 100)} % of full width's` : `${duration(ms)} for an image`;
  // A model does not always say how accurate it is.
  return accuracies.length > 0 ? `${time}; right in ${percent(between(accuracies, width))} of the tests.` : `${time}.`;
}

const brief = (ms) => (ms >= 1 ? `${Number(three(ms))} ms` : `${Number(three(ms * 1000))} µs`);

const ends = (points, write) =>
  points.length === 0 ? "not known" : [points[0], points.at(-1)].map(([width, value]) => `${write(value)} at width ${width}`).join(", ");

const caption = (known) =>
  known.length > 0
    ? "Accuracy as the model's maker tested it, and the time for one image, measured on this machine."
    : "The time for one image, measured on this machine. The model does not say how accurate it is.";

/** The value at a width, along a straight line between those that are known. */
function between(points, width) {
  const after = points.findIndex(([at]) => at >= width);
  if (after === 0) return points[0][1];
  if (after < 0) return points.at(-1)[1];
  const [[x0, y0], [x1, y1]] = [points[after - 1], points[after]];
  return y0 + ((width - x0) / (x1 - x0)) * (y1 - y0);
}
