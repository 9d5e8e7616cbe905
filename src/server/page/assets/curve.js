// The chart of class probabilities over all widths, computed by one pass.

import { Chart } from "./chart.js";
import { at, element, say } from "./dom.js";
import { percent, width } from "./numbers.js";

/** Maximum number of lines. */
const LINES = 5;

let chart = null;

/** Creates the chart. `pick` is called with the width of a click. */
export function build(pick) {
  const x = { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], write: String };
  const y = { from: 0, to: 1, ticks: [0, 0.5, 1], write: (share) => `${share * 100} %` };
  chart = new Chart(at("curve"), { height: 250, x, y, pick });
}

/** Draws the predictions at all widths. A width may lack some classes. */
export function draw(widths) {
  const classes = topClasses(widths);
  const lines = classes.map(({ label, index }, kind) => ({
    kind: `c${kind}`,
    points: widths.map(({ width: at, predictions }) => [at, probability(predictions, index)]),
    label,
  }));
  chart.draw(lines, describe(widths));
  say(at("image-widths"), whereItChanges(widths));
  const key = ({ kind, label }) => element("li", { class: kind }, label);
  at("curve-key").replaceChildren(...lines.map(key));
}

/** Clears the chart. */
export function clear() {
  chart.draw([], "Probabilities over all widths: none yet");
  at("curve-key").replaceChildren();
  say(at("image-widths"), "\u00a0");
}

export const mark = (value) => chart.mark(value);

/** The classes with the highest probability at any width, ordered by their probability at full width. */
function topClasses(widths) {
  const best = new Map();
  for (const { predictions } of widths) {
    for (const prediction of predictions) {
      const known = best.get(prediction.index);
      if (!known || known.probability < prediction.probability) best.set(prediction.index, prediction);
    }
  }
  const classes = [...best.values()].sort((a, b) => b.probability - a.probability).slice(0, LINES);
  // Full width decides the order.
  const last = widths.at(-1).predictions;
  return classes.sort((a, b) => (probability(last, b.index) ?? 0) - (probability(last, a.index) ?? 0));
}

const probability = (predictions, index) => predictions.find((prediction) => prediction.index === index)?.probability ?? null;

/** The widths at which the top class changes. */
function changesOf(widths) {
  const steps = widths.map(({ width: at, predictions: [first] }) => ({ at, ...first }));
  return steps.filter(({ index }, step) => step === 0 || steps[step - 1].index !== index);
}

/** Describes where the top class changes with the width. */
function whereItChanges(widths) {
  const changes = changesOf(widths);
  const last = changes.at(-1);
  const others = [...new Set(changes.map(({ label }) => label))].filter((label) => label !== last.label);
  if (others.length === 0) return `Every width predicts ${last.label}.`;
  return `Below width ${width(last.at)} the network predicts ${others.join(" or ")}, from there on ${last.label}. Move the width.`;
}

/** The chart in words: where the top class changes. */
function describe(widths) {
  const changes = changesOf(widths);
  const words = changes.map(({ at, label, probability }) => `from width ${width(at)} ${label}, ${percent(probability)}`);
  return `Probabilities over all widths: ${words.join("; ")}; at full width ${percent(widths.at(-1).predictions[0].probability)}`;
}
