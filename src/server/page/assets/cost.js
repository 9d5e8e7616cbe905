// Two charts over the width: a model's accuracy and latency.

import { Chart, ceiling } from "./chart.js";
import { at, say } from "./dom.js";
import { count, duration, percent, three, width as written } from "./numbers.js";

const x = { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], write: String };
/** The accuracy axis begins and ends at a multiple of this. */
const ACCURACY_STEP = 0.1;
/** A profile correction above this or below its inverse is shown. */
const CHANGED = 1.2;

let charts = [];
let steps = [];
let accuracies = [];
/** The images on which the accuracies were measured, as stated in the model file; null if it does not state them. */
let evaluation = null;

export function build(pick) {
  const y = { from: 0, to: 1, ticks: [], write: String };
  const make = (id) => new Chart(at(id), { height: 138, x, y: { ...y }, pick });
  charts = [make("cost-accuracy"), make("cost-latency")];
}

/** Draws a model of `/models` with its entry of `/profile`. */
export function draw(model, profiled) {
  // Latencies in `/profile` include the current correction. It is removed here and shown separately.
  const ms = (us) => us / profiled.correction / 1000;
  steps = profiled.steps.map(({ width, latency_us: [[, us]] }) => [width, ms(us)]);
  accuracies = model.accuracy.map(({ width, accuracy }) => [width, accuracy]);
  evaluation = model.evaluation ?? null;
  const [accuracy, latency] = charts;
  // Both curves begin at the narrowest width that the server chooses; narrower ones must be requested.
  const known = accuracies.filter(([width]) => width >= steps[0][0] - 1e-6);
  Object.assign(accuracy.y, accuracyAxis(known));
  const top = ceiling(steps.at(-1)[1]);
  Object.assign(latency.y, { from: 0, to: top, ticks: [0, top / 2, top], write: (ms) => (ms === 0 ? "0" : brief(ms)) });
  accuracy.draw([{ kind: "c1", points: known, filled: true }], `Accuracy: ${ends(known, percent)}`);
  latency.draw([{ kind: "c0", points: steps, filled: true }], `Time for one image: ${ends(steps, duration)}`);
  say(at("cost-accuracy-title"), accuracyTitle(known));
  say(at("cost-caption"), `Both curves begin at ${written(steps[0][0])}, the narrowest width that the server chooses by itself.`);
  tellCorrection(profiled.correction);
}

/** Shows whether the machine is now slower or faster than at the measurement. */
export function tellCorrection(correction) {
  const changed = correction > CHANGED || correction < 1 / CHANGED;
  say(at("width-now"), changed ? `Recent batches took ${three(correction)} times as long.` : "");
  at("width-now").hidden = !changed;
}

export function mark(width) {
  charts.forEach((chart) => chart.mark(width));
}

/** The latency and accuracy of a width in words. */
export function describe(width) {
  if (steps.length === 0) return "";
  const ms = between(steps, width);
  const share = ms / steps.at(-1)[1];
  const narrower = width < steps[0][0] - 1e-6;
  const part = share < 1 && !narrower ? ` (${Math.round(share * 100)} % of full width)` : "";
  const time = `${narrower ? "Less than " : ""}${duration(ms)} per image${part}, measured at server start`;
  // A model file need not state accuracies.
  if (accuracies.length === 0) return `${time}.`;
  const right = percent(between(accuracies, width));
  return `${time}. ${evaluation ? `Accuracy ${right} on ${images()}.` : `Accuracy ${right}, as stated in the model file.`}`;
}

function accuracyTitle(known) {
  if (known.length === 0) return "Accuracy: not stated in the model file";
  return `Accuracy ${evaluation ? `on ${images()}` : "stated in the model file"}; the axis begins at ${whole(charts[0].y.from)}`;
}

const images = () => `${count(evaluation.images)} ${evaluation.split} images`;

/** An axis that shows small differences: from the step below the lowest accuracy to the step above the highest. */
function accuracyAxis(known) {
  if (known.length === 0) return { from: 0, to: 1, ticks: [0, 0.5, 1], write: whole };
  const values = known.map(([, accuracy]) => accuracy);
  const from = Math.min(Math.floor(Math.min(...values) / ACCURACY_STEP) * ACCURACY_STEP, 1 - ACCURACY_STEP);
  const to = Math.max(Math.ceil(Math.max(...values) / ACCURACY_STEP) * ACCURACY_STEP, from + ACCURACY_STEP);
  return { from, to, ticks: [from, (from + to) / 2, to], write: whole };
}

const whole = (share) => `${Math.round(share * 100)} %`;

const brief = (ms) => (ms >= 1 ? `${Number(three(ms))} ms` : `${Number(three(ms * 1000))} µs`);

const ends = (points, write) =>
  points.length === 0 ? "not known" : [points[0], points.at(-1)].map(([width, value]) => `${write(value)} at width ${width}`).join(", ");

/** The value at a width, interpolated linearly. */
function between(points, width) {
  const after = points.findIndex(([at]) => at >= width);
  if (after === 0) return points[0][1];
  if (after < 0) return points.at(-1)[1];
  const [[x0, y0], [x1, y1]] = [points[after - 1], points[after]];
  return y0 + ((width - x0) / (x1 - x0)) * (y1 - y0);
}
